"""Trains or resumes one run; writes finished.json in the end.

python -m experiments.train --config=experiments/configs/maze.py:desk --config.method=alpt \\
    --config.workdir=runs/alpt

Exit codes: 0 done; 75 stopped by SIGTERM or SIGINT after saving (run it again to resume), or 143 or
130 before there was anything to save; 76 hung, or a device or another process of the run has failed
(run it again); 77 a loss is not finite (running it again would end there again); 1 a mistake in the
config or the data, too little memory, or a full disk.
"""

import os
import sys
import traceback

import jax

from alpt_jax import cli
from alpt_jax.files import atomic_files
from alpt_jax.training import compilation_cache, distributed, stopping, train


def main(config):
  """Runs `train.train` in `config.workdir`."""
  compilation_cache.use(config.compilation_cache_dir)
  settings = config.distributed
  distributed.initialize(init_timeout_seconds=settings.init_timeout_seconds,
                         heartbeat_timeout_seconds=settings.heartbeat_timeout_seconds)
  if os.path.exists(os.path.join(config.workdir, 'results.json')):
    raise ValueError(f'{config.workdir}: holds a whole experiment (results.json). Give the run a '
                     'directory of its own with --config.workdir.')
  try:
    code = train.train(config, config.workdir)
  except FloatingPointError as error:
    sys.stderr.write(f'error: {error}\n')
    code = stopping.POISONED  # In all processes: they have the same loss.
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' in str(error):  # Too large for the memory: it would be again.
      raise
    traceback.print_exc()
    sys.stderr.write('error: a device, or another process of the run, has failed. Nothing is lost '
                     'but the work since the last checkpoint; start again.\n')
    distributed.leave(distributed.HUNG)
    return distributed.HUNG
  if distributed.is_main() and code == stopping.DONE:
    atomic_files.write_json(os.path.join(config.workdir, 'finished.json'), {})
  if distributed.is_main() and code != stopping.POISONED:
    print(f'{config.workdir}: ' + ('stopped; the same command resumes.'
                                   if code == stopping.PREEMPTED else 'done.'))
  distributed.finish()
  return code


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py')
