"""Bootstraps any number that is a function of sums over episodes.

F1, R², a correlation or a balanced accuracy are no means over transitions, but each follows from
sums over transitions: of matched events, of squares, of a confusion matrix. With these sums kept by
episode, resampling whole episodes is one matrix product.
"""

import math

import numpy as np

from alpt_jax.measures import intervals

_DRAWS_AT_ONCE = 2**21  # Numbers in memory; 16 MB.


def ratio(part, whole):
  """Divides [...] by [...] numbers of at least 0: [...], NaN where the divisor is 0."""
  return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def interval(sums, statistic, *, level=intervals.LEVEL, num_resamples=10_000, seed=0):
  """Computes a number from sums over episodes, with a percentile bootstrap over the episodes.

  Resamples in which the number is not defined, e.g. the F1 of a key that no drawn episode uses, are
  left out. If they are more than would lie beyond one end, (1 - level) / 2, there is no interval.

  Args:
    sums: [E, ...] finite numbers; sums over the transitions of each episode. Leave out episodes of
      which nothing is known.
    statistic: function from total sums [..., *sums.shape[1:]] to numbers [...], NaN where it is not
      defined.
    level: coverage, in (0, 1).
    num_resamples: how many draws.
    seed: of the draws.

  Returns:
    An `intervals.Interval` over EPISODES; without a value if the number is not defined.

  Raises:
    ValueError: if a sum is not finite, or `level` or `num_resamples` is out of range.
  """
  sums, n = np.asarray(sums, np.float64), len(sums)
  if not np.all(np.isfinite(sums)):
    raise ValueError('sums over episodes are not all finite; expected numbers.')
  flat = sums.reshape(n, math.prod(sums.shape[1:]))
  return of_weights(lambda counts: statistic((counts @ flat).reshape(
      *counts.shape[:-1], *sums.shape[1:])), n, size=n + flat.shape[1], level=level,
      num_resamples=num_resamples, seed=seed)


def of_weights(statistic, num_episodes, *, size, level=intervals.LEVEL, num_resamples=10_000,
               seed=0):
  """Computes a number from how often each episode counts; otherwise as `interval`.

  For numbers that are no function of sums over episodes, such as those of ranks.

  Args:
    statistic: function from [..., E] float64, how often each episode is drawn, to numbers [...].
    num_episodes: E.
    size: how many numbers `statistic` holds for each resample.
    level: as in `interval`.
    num_resamples: as in `interval`.
    seed: as in `interval`.

  Returns:
    An `intervals.Interval` over EPISODES.

  Raises:
    ValueError: if `level` or `num_resamples` is out of range.
  """
  intervals.check_level(level, num_resamples)
  n = num_episodes
  value = float(statistic(np.ones(n))) if n else np.nan
  if not np.isfinite(value):
    return intervals.Interval(None, None, None, n, intervals.EPISODES, level,
                              'not defined for this data')
  if n < 2:
    return intervals.Interval(value, None, None, n, intervals.EPISODES, level,
                              f'no interval: n = {n}')
  values = np.concatenate([statistic(counts)
                           for counts in _draws(n, num_resamples, seed, size)])
  is_defined = np.isfinite(values)
  if 1 - is_defined.mean() > (1 - level) / 2:
    return intervals.Interval(
        value, None, None, n, intervals.EPISODES, level,
        f'no interval: not defined in {np.sum(~is_defined)} of {len(values)} resamples')
  low, high = np.quantile(values[is_defined], [(1 - level) / 2, (1 + level) / 2])
  return intervals.Interval(value, float(low), float(high), n, intervals.EPISODES, level)


def _draws(num_episodes, num_resamples, seed, size):
  """Yields [r, E] float64, how often each episode is drawn in some of the resamples at a time."""
  generator = np.random.default_rng(seed)
  most = max(1, _DRAWS_AT_ONCE // size)
  for begin in range(0, num_resamples, most):
    rows = min(most, num_resamples - begin)
    drawn = generator.integers(num_episodes, size=(rows, num_episodes))
    cells = drawn + num_episodes * np.arange(rows)[:, None]
    yield np.bincount(cells.ravel(), minlength=rows * num_episodes).reshape(
        rows, num_episodes).astype(np.float64)
