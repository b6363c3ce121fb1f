"""Trains one run, or goes on with it.

python -m experiments.train --config=experiments/configs/maze.py:desk --config.method=alpt \\
    --config.workdir=runs/alpt

Exit codes: 0 done, 75 stopped by SIGTERM or SIGINT after saving (run it again to go on), 1 a
mistake in the config or the data.
"""

import os

import jax

from alpt_jax import train
from experiments import cli


def main(config):
  """Runs `train.train` in `config.workdir`."""
  if config.compilation_cache_dir:
    jax.config.update('jax_compilation_cache_dir', config.compilation_cache_dir)
  if os.path.exists(os.path.join(config.workdir, 'results.json')):
    raise ValueError(f'{config.workdir}: holds a whole experiment (results.json). Give the run a '
                     'directory of its own with --config.workdir.')
  code = train.train(config, config.workdir)
  print(f'{config.workdir}: ' + ('stopped and saved; the same command goes on from there.'
                                 if code == train.PREEMPTED else 'done.'))
  return code


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py')
