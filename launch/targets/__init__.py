"""Targets: platforms that runs are started on, modules with the same functions.

  submit(runs, context)       Starts or resumes runs; returns an exit code.
  activity(run_id, context)   What a run is doing there, so that it must not be submitted again.
  inventory(run_id, context)  All that a run has there, and how to remove it.
  read_logs(run_id, context)  What its hosts have said.
"""

import importlib

NAMES = ('local', 'multiprocess', 'tpu_vm', 'gke', 'slurm')
ON_THIS_MACHINE = ('local', 'multiprocess')
WAIT = (*ON_THIS_MACHINE, 'tpu_vm')  # `submit` returns when the programs have ended.
MOUNT = ('tpu_vm', 'gke')  # Their hosts see nothing lasting but storage, at mount_point.


def module(name):
  """Imports the module of a target."""
  return importlib.import_module(f'launch.targets.{name}')
