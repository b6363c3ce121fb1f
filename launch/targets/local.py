"""One process on this machine, with whatever devices it has; see multiprocess.py."""

from launch.targets import multiprocess


def submit(runs, context):
  """Runs one after the other."""
  return multiprocess.submit_with(runs, context, lambda: [{}])


activity = multiprocess.activity
inventory = multiprocess.inventory
read_logs = multiprocess.read_logs
