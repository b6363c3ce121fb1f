"""Config of probe.py: how each start of a process ends."""

import ml_collections


def get_config():
  """Returns the ConfigDict."""
  config = ml_collections.ConfigDict()
  config.workdir = 'runs/probe'
  config.data_dir = ''
  config.seed = 0
  config.target = ''
  config.num_steps = 4
  config.hold, config.deaf = -1, -2  # Waits for a signal, and hears it or not.
  config.ends = (0,)  # Exit codes of the first, second, ... start; the last one repeats.
  config.first_process = '0'
  config.other_ends = (0,)  # Of the other processes.
  return config
