"""Confidence intervals of means, differences and ratios, and what each is over.

Two kinds, never mixed in a table. Within a run, an interval is over its episodes: transitions of
one episode are alike, so episodes are resampled (`bootstrap_mean`). Between methods, it is over
training seeds, paired where both methods have a seed, from Student's t (`mean`, `difference`,
`ratio`): a percentile bootstrap of three pairs is [smallest, largest], which covers a median in
75 % of studies instead of 95 %.

A run that never reaches a level is censored: its last step is a lower bound of the steps it needs.
It is given as `AtLeast` and stays a bound, see `ratio`.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from scipy import stats

SEEDS, EPISODES, TRANSITIONS = 'training seeds', 'episodes', 'transitions'
LEVEL = .95
_DRAWS_AT_ONCE = 2**20  # Of a bootstrap; 8 MB.


class AtLeast(NamedTuple):
  """A censored number: the true one is `value` or larger."""
  value: float


@dataclasses.dataclass(frozen=True)
class Interval:
  """An estimate with its confidence interval.

  Attributes:
    value: the estimate; None without data, or if censoring leaves it unbounded.
    low: lower end; None if there is no interval, -inf (0 of a ratio) if it is unbounded.
    high: upper end; None if there is no interval, inf if it is unbounded.
    n: how many seeds, pairs of seeds, episodes or transitions.
    over: SEEDS, EPISODES or TRANSITIONS; n counts these.
    level: coverage; of each end on its own if `relation` is not 'about'.
    reason: why there is no interval; '' if there is one.
    relation: 'about'; of censored data 'at most' or 'at least', if all bounds are on that side, and
      'between' if some are on either.
  """
  value: float | None
  low: float | None
  high: float | None
  n: int
  over: str
  level: float = LEVEL
  reason: str = ''
  relation: str = 'about'

  def text(self, digits=3):
    """Formats the estimate for readers, e.g. '0.500 [0.400, 0.600]'."""
    if self.value is None:
      return self.reason or 'unknown'
    value = ('' if self.relation == 'about' else self.relation + ' ') + f'{self.value:.{digits}f}'
    if self.low is None:
      return f'{value} ({self.reason})'
    return f'{value} [{self.low:.{digits}f}, {self.high:.{digits}f}]'


def caption(over):
  """Returns the sentence under a table that says which intervals it shows."""
  kind = {EPISODES: 'within a run, over its episodes (bootstrap)',
          SEEDS: 'between methods, over training seeds (Student’s t)'}[over]
  return f'Intervals: {100 * LEVEL:g} %, {kind}.'


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A method compared with a baseline, paired by training seed.

  Attributes:
    interval: of the mean difference, or of the ratio (geometric mean, or median if censored).
    is_ratio: whether it is a ratio; no effect is 1 then, else 0.
    std: sample standard deviation (n - 1) of the differences, or of the logs of the ratios; None
      for fewer than two pairs or with censored ones.
    p_value: of no effect, two-sided: t test, or, with censored pairs, sign test, in which a pair
      counts where its bound tells the sign; at least 1/16 of five pairs then. None for fewer than
      two pairs.
    num_censored: pairs of which one or both sides are censored.
    unpaired: seeds that only one of the two has, sorted.
  """
  interval: Interval
  is_ratio: bool
  std: float | None
  p_value: float | None
  num_censored: int = 0
  unpaired: tuple = ()

  def at_level(self, level):
    """Returns the interval with another coverage; of censored pairs, the one it has.

    Args:
      level: in (0, 1).
    """
    if self.std is None or level == self.interval.level:
      return self.interval
    centre = math.log(self.interval.value) if self.is_ratio else self.interval.value
    ends = _t_ends(centre, self.std, self.interval.n, level)
    low, high = map(math.exp, ends) if self.is_ratio else ends
    return dataclasses.replace(self.interval, low=low, high=high, level=level)


def check_level(level, num_resamples=1):
  """Refuses a coverage outside of (0, 1), or less than one resample, with a ValueError."""
  if not 0 < level < 1:
    raise ValueError(f'level is {level}; expected a number between 0 and 1, e.g. 0.95.')
  if num_resamples < 1:
    raise ValueError(f'num_resamples is {num_resamples}; expected at least 1.')


def _finite(values, name):
  values = np.asarray(values, np.float64)
  if values.ndim != 1 or not np.all(np.isfinite(values)):
    raise ValueError(f'{name} are {values.tolist()}; expected a list of finite numbers: decide '
                     'first what a missing one means.')
  return values


def _t_ends(centre, std, n, level):
  half = stats.t.ppf((1 + level) / 2, n - 1) * std / math.sqrt(n)
  return float(centre - half), float(centre + half)


def mean(values, *, over=SEEDS, level=LEVEL):
  """Averages independent numbers, with Student's t interval.

  Args:
    values: [N] finite numbers, one per training seed.
    over: what the numbers are; SEEDS.
    level: coverage, in (0, 1).

  Returns:
    An `Interval`; without ends if N < 2.

  Raises:
    ValueError: if a value is missing or `level` is out of range.
  """
  check_level(level)
  values = _finite(values, 'values')
  n = len(values)
  centre = float(values.mean()) if n else None
  if n < 2:
    return Interval(centre, None, None, n, over, level, f'no interval: n = {n}')
  return Interval(centre, *_t_ends(centre, values.std(ddof=1), n, level), n, over, level)


def from_moments(value, std, n):
  """Gives the interval of `mean` over EPISODES where only the numbers' moments were kept.

  Args:
    value: mean of N finite numbers.
    std: their population standard deviation.
    n: N, at least 1.

  Returns:
    An `Interval`; without ends if N < 2.

  Raises:
    ValueError: for moments that no numbers have.
  """
  if not (n >= 1 and std >= 0 and math.isfinite(value) and math.isfinite(std)):
    raise ValueError(f'{n} numbers have mean {value} and standard deviation {std}; expected finite '
                     'moments of at least one.')
  if n < 2:
    return Interval(float(value), None, None, n, EPISODES, reason=f'no interval: n = {n}')
  low, high = _t_ends(value, std * math.sqrt(n / (n - 1)), n, LEVEL)
  return Interval(float(value), low, high, n, EPISODES)


def wilson(num_right, n):
  """Shares of independent transitions with Wilson's interval (1927), also of few and extreme ones.

  Transitions of one episode are not independent: with episodes, `bootstrap_mean` is wider.

  Args:
    num_right: how many of them are right.
    n: how many there are.

  Returns:
    An `Interval` over TRANSITIONS; without a value and ends if n is 0.
  """
  if not n:
    return Interval(None, None, None, n, TRANSITIONS, reason=f'no interval: n = {n}')
  found = stats.binomtest(num_right, n).proportion_ci(LEVEL, method='wilson')
  return Interval(num_right / n, float(found.low), float(found.high), n, TRANSITIONS)


def _paired(values, baseline_values):
  """Seeds of both, sorted; seeds of one only, sorted."""
  return (sorted(values.keys() & baseline_values.keys()),
          tuple(sorted(values.keys() ^ baseline_values.keys())))


def difference(values, baseline_values, *, level=LEVEL):
  """Compares two methods by the mean of their paired differences, with a paired t test.

  Args:
    values: {seed: finite number} of the method; a seed may stand for a pair (target, seed).
    baseline_values: the same of the baseline. Seeds that only one has do not count.
    level: coverage, in (0, 1).

  Returns:
    A `Comparison`: method minus baseline.

  Raises:
    ValueError: if a value is missing or `level` is out of range.
  """
  seeds, unpaired = _paired(values, baseline_values)
  differences = (_finite([values[seed] for seed in seeds], 'values')
                 - _finite([baseline_values[seed] for seed in seeds], 'baseline_values'))
  return _compared(differences, level, unpaired)


def _compared(differences, level, unpaired):
  interval, n = mean(differences, level=level), len(differences)
  if n < 2:
    return Comparison(interval, False, None, None, unpaired=unpaired)
  std = float(differences.std(ddof=1))
  if std:
    p_value = float(2 * stats.t.sf(abs(interval.value) / (std / math.sqrt(n)), n - 1))
  else:
    p_value = 0. if interval.value else 1.
  return Comparison(interval, False, std, p_value, unpaired=unpaired)


def ratio(values, baseline_values, *, level=LEVEL):
  """Compares two methods by the ratio of positive numbers, e.g. of steps to a level.

  Without censoring: Student's t of the logs of the paired ratios, so 2 and 1/2 average to 1.

  With a censored number a pair's ratio is only bounded: from above if the baseline is censored,
  from below if the method is, not at all if both are. No number is put in for what is unknown.
  Then the estimate is the median of the ratios, and its ends are order statistics (the sign test
  turned round; Conover, 1999, section 3.2), in which an unknown end is 0 or infinite. Each end
  holds by itself with probability `level`: the interval is one-sided, and of five pairs it ends at
  the largest bound. t has no such rule: pushing one ratio further down can raise its upper end.

  Args:
    values: {seed: positive number, or `AtLeast` of one} of the method.
    baseline_values: the same of the baseline. Seeds that only one has do not count.
    level: coverage, in (0, 1).

  Returns:
    A `Comparison`: method over baseline.

  Raises:
    ValueError: if a number is not positive and finite, or `level` is out of range.
  """
  check_level(level)
  seeds, unpaired = _paired(values, baseline_values)
  lows, highs = np.empty(len(seeds)), np.empty(len(seeds))
  for i, seed in enumerate(seeds):
    ours, theirs = _positive(values[seed], seed), _positive(baseline_values[seed], seed)
    log_ratio = math.log(ours.value) - math.log(theirs.value)
    lows[i] = -math.inf if theirs.is_censored else log_ratio
    highs[i] = math.inf if ours.is_censored else log_ratio
  is_exact = lows == highs
  if is_exact.all():
    found = _compared(lows, level, unpaired)
    interval = found.interval
    if interval.value is not None:
      interval = dataclasses.replace(
          interval, value=math.exp(interval.value),
          low=None if interval.low is None else math.exp(interval.low),
          high=None if interval.high is None else math.exp(interval.high))
    return dataclasses.replace(found, interval=interval, is_ratio=True)
  return _censored_ratio(lows, highs, level, unpaired)


class _Number(NamedTuple):
  value: float
  is_censored: bool


def _positive(number, seed):
  found = (_Number(float(number.value), True) if isinstance(number, AtLeast)
           else _Number(float(number), False))
  if not 0 < found.value < math.inf:
    raise ValueError(f'the value of seed {seed} is {found.value}; expected a positive, finite '
                     'number, as its logarithm is taken.')
  return found


def _censored_ratio(lows, highs, level, unpaired):
  """The `Comparison` of logs of ratios of which only bounds are known, [N] each."""
  n = len(lows)
  if np.isfinite(highs).all():
    relation, value = 'at most', float(np.median(highs))
  elif np.isfinite(lows).all():
    relation, value = 'at least', float(np.median(lows))
  else:  # Bounds on either side, or pairs that say nothing.
    relation, value = 'between', None
  num_clear = max((highs < 0).sum(), (lows > 0).sum())  # Either side may win: two-sided.
  p_value = min(1., 2 * float(stats.binom.sf(num_clear - 1, n, .5)))
  # The k-th smallest of n lies above the median with probability P(Binomial(n, 1/2) < k).
  k = int(stats.binom.ppf(1 - level, n, .5))
  if stats.binom.cdf(k, n, .5) > 1 - level:
    k -= 1
  has_end = k >= 0 and n >= 2
  low = math.exp(np.sort(lows)[k]) if has_end else 0.
  high = math.exp(np.sort(highs)[n - 1 - k]) if has_end else math.inf
  interval = Interval(None if value is None else math.exp(value), low, high, n, SEEDS, level,
                      'the ratio is not bounded on one side' if value is None else '', relation)
  return Comparison(interval, True, None, p_value if n >= 2 else None,
                    num_censored=int((lows != highs).sum()), unpaired=unpaired)


def bootstrap_mean(values, episodes, *, level=LEVEL, num_resamples=10_000, seed=0):
  """Averages transitions, or games, of one run, with an interval over its episodes.

  Whole episodes are drawn again (percentile bootstrap of a ratio of sums, by
  `scipy.stats.bootstrap`): an episode with more transitions counts more, as in the mean.

  Args:
    values: [M] finite numbers, e.g. whether each label is right.
    episodes: [M] int; equal for what belongs to one episode.
    level: coverage, in (0, 1).
    num_resamples: how many draws.
    seed: of the draws, so that a report can be made again.

  Returns:
    An `Interval` over EPISODES; without ends for fewer than two episodes.

  Raises:
    ValueError: if the arguments differ in length, a value is missing or `level` is out of range.
  """
  values, episodes = _finite(values, 'values'), np.asarray(episodes)
  if episodes.shape != values.shape:
    raise ValueError(f'episodes have shape {episodes.shape}, values {values.shape}; expected one '
                     'episode for each value.')
  _, index = np.unique(episodes, return_inverse=True)
  return bootstrap_ratio(np.bincount(index, weights=values), np.bincount(index), level=level,
                         num_resamples=num_resamples, seed=seed)


def bootstrap_ratio(sums, sizes, *, level=LEVEL, num_resamples=10_000, seed=0):
  """Divides sums over episodes, e.g. of right labels by labels; otherwise as `bootstrap_mean`.

  Args:
    sums: [E] finite numbers, one per episode.
    sizes: [E] positive numbers.
    level: as in `bootstrap_mean`.
    num_resamples: as in `bootstrap_mean`.
    seed: as in `bootstrap_mean`.

  Returns:
    An `Interval` of sum(sums) / sum(sizes).
  """
  check_level(level, num_resamples)
  sums, sizes = _finite(sums, 'sums'), _finite(sizes, 'sizes')
  if sums.shape != sizes.shape or np.any(sizes <= 0):
    raise ValueError(f'sizes are {sizes.tolist()} of {len(sums)} sums; expected as many positive '
                     'numbers.')
  n = len(sums)
  centre = float(sums.sum() / sizes.sum()) if n else None
  if n < 2:
    return Interval(centre, None, None, n, EPISODES, level, f'no interval: n = {n}')
  low, high = bootstrap_ends(
      (sums, sizes), lambda x, y, axis: x.sum(axis=axis) / y.sum(axis=axis), is_paired=True,
      level=level, num_resamples=num_resamples, seed=seed)
  return Interval(centre, float(low), float(high), n, EPISODES, level)


def bootstrap_ends(samples, statistic, *, level, num_resamples, seed, is_paired=False):
  """Returns the ends of a percentile bootstrap of some samples.

  Args:
    samples: list of [N] numbers, two or more; of any length each unless `is_paired`.
    statistic: statistic(*samples, axis) -> [..., R] of samples [R, N] with `axis` -1.
    level: coverage, in (0, 1).
    num_resamples: R, how many draws.
    seed: of the draws.
    is_paired: whether one draw is for all samples; else each is drawn by itself.

  Returns:
    Two arrays [...].

  Raises:
    ValueError: if `level` or `num_resamples` is out of range.
  """
  check_level(level, num_resamples)
  found = stats.bootstrap(
      samples, statistic, paired=is_paired, vectorized=True, confidence_level=level,
      method='percentile', n_resamples=num_resamples, rng=np.random.default_rng(seed),
      batch=max(1, _DRAWS_AT_ONCE // len(samples[0])) if is_paired else None)
  return found.confidence_interval


def bootstrap_difference(values, others, *, seed=0):
  """Subtracts the means of two independent sets of games, with an interval over the games of both.

  Args:
    values: [N] finite numbers, one per game.
    others: [M] finite numbers, one per game; not paired with `values`.
    seed: as in `bootstrap_mean`.

  Returns:
    An `Interval` over EPISODES of mean(values) - mean(others), with n of the smaller set; without
    ends if that has fewer than two games.

  Raises:
    ValueError: if a set is empty or a value is missing.
  """
  values, others = _finite(values, 'values'), _finite(others, 'others')
  n = min(len(values), len(others))
  if not n:
    raise ValueError(f'there are {len(values)} values and {len(others)} others; expected at least '
                     'one of each.')
  centre = float(values.mean() - others.mean())
  if n < 2:
    return Interval(centre, None, None, n, EPISODES, reason=f'no interval: n = {n}')
  low, high = bootstrap_ends(
      (values, others), lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis), level=LEVEL,
      num_resamples=10_000, seed=seed)
  return Interval(centre, float(low), float(high), n, EPISODES)
