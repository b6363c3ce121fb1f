"""Compares the losses of training in bfloat16 and float32, with the same seeds.

python -m experiments.compare_precision --config=experiments/configs/atari.py:desk \\
    --config.workdir=runs/precision --config.num_steps=300

Data as for training (experiments/collect.py). A seed decides the same batches and the same start
for both. What the last third of the curves says is averaged; the noise is how much that differs
between seeds of float32. Exit code 0 if bfloat16 is inside of it, 1 if not.
"""

import copy
import json
import math
import os
import statistics

from absl import flags

from alpt_jax import cli
from alpt_jax.training import train

_SEEDS = flags.DEFINE_integer('num_seeds', 3, 'Runs of each.', lower_bound=2)

_METRICS = ('idm/loss', 'dt/return_loss', 'dt/action_loss')
_MAX_DEVIATIONS = 2.


def last_third(path, name):
  """Averages a metric over the last third of a run, from its metrics.jsonl."""
  with open(path) as f:
    lines = [json.loads(line) for line in f]
  values = [line[name] for line in lines if name in line]
  return statistics.mean(values[-math.ceil(len(values) / 3):])


def compare(exact, half):
  """Compares what the seeds of two precisions came to.

  Args:
    exact: numbers of float32, one a seed.
    half: of bfloat16, in the same order.

  Returns:
    Mean of float32, its standard deviation between seeds, mean of bfloat16 minus that of float32,
    and whether this is within `_MAX_DEVIATIONS` standard errors of the difference of two means of
    as many seeds.
  """
  noise = statistics.stdev(exact)
  difference = statistics.mean(half) - statistics.mean(exact)
  error = noise * math.sqrt(2 / len(exact))
  return statistics.mean(exact), noise, difference, abs(difference) <= _MAX_DEVIATIONS * error


def main(config):
  """Trains what is not there yet and prints a table."""
  results = {}
  for dtype in ('float32', 'bfloat16'):
    for seed in range(_SEEDS.value):
      run = copy.deepcopy(config)
      run.model.compute_dtype, run.seed = dtype, seed
      run.workdir = os.path.join(config.workdir, f'{dtype}_seed{seed}')
      run.log_every_steps = max(1, config.num_steps // 100)
      # Nothing but the losses is wanted.
      run.eval_every_steps = run.checkpoint_every_steps = config.num_steps
      code = train.train(run, run.workdir)
      if code:
        return code
      path = os.path.join(run.workdir, 'metrics.jsonl')
      for name in _METRICS:
        results.setdefault((name, dtype), []).append(last_third(path, name))
  is_close = True
  print(f'{"":16s} float32   noise   bfloat16 differs by')
  for name in _METRICS:
    mean, noise, difference, is_inside = compare(
        results[name, 'float32'], results[name, 'bfloat16'])
    is_close &= is_inside
    print(f'{name:16s} {mean:7.4f} {noise:7.4f} {difference:+8.4f}'
          f'{"" if is_inside else "   MORE THAN NOISE"}')
  return 0 if is_close else 1


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/atari.py')
