"""Statistics of learning curves: spread over runs, steps to a level, ratios with intervals.

A run is one training with one seed on one target maze; a row is one evaluation of one run. Figure 5
of the paper compares methods by how many steps they need to a level, so that is what is paired and
bootstrapped here. A missing number (None or NaN) stays missing: it never enters a mean unseen.
"""

import collections
import math
from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
  """One metric of one method along training, over its runs.

  Attributes:
    steps: [S] int64; gradient steps of the evaluations, ascending.
    mean: [S] float64; NaN where a run's value is missing.
    std: [S] float64; population standard deviation; NaN where `mean` is or where n < 2.
    n: [S] int64; how many runs have a number at that step; fewer at the end if some stopped early.
  """
  steps: np.ndarray
  mean: np.ndarray
  std: np.ndarray
  n: np.ndarray


class Interval(NamedTuple):
  """A confidence interval, or why there is none (`low` and `high` are None then)."""
  low: float | None
  high: float | None
  n: int
  reason: str = ''


class PairedRatio(NamedTuple):
  """Steps to a threshold, method over baseline, paired by (target, seed).

  Attributes:
    ratio: geometric mean over the counted pairs; None if there are none.
    interval: of `ratio`, by resampling the counted pairs.
    num_pairs: runs that both methods have.
    num_both: pairs in which both reach the threshold after step 0. Exact.
    num_only_method: the baseline never gets there: its last step stands in, so the pair's ratio is
      too high (an upper bound).
    num_only_baseline: the method never gets there: the pair's ratio is a lower bound.
    num_neither: says nothing about the ratio; not counted.
    num_at_start: one is there at step 0 already, so no ratio exists; not counted.
    num_unpaired: runs of either method whose partner is missing; not counted.
  """
  ratio: float | None
  interval: Interval
  num_pairs: int
  num_both: int
  num_only_method: int
  num_only_baseline: int
  num_neither: int
  num_at_start: int
  num_unpaired: int

  @property
  def num_counted(self):
    """Pairs that `ratio` is made of."""
    return self.num_both + self.num_only_method + self.num_only_baseline


class PairedDifference(NamedTuple):
  """How much higher one method ends than another, over the seeds that both have.

  Attributes:
    mean: of the method; NaN without pairs, as the next.
    baseline_mean: of the baseline.
    spread: the larger of the two population standard deviations; NaN for fewer than two pairs.
    num_pairs: seeds that both have.
    num_higher: those in which the method is higher.
    num_lower: those in which it is lower.
  """
  mean: float
  baseline_mean: float
  spread: float
  num_pairs: int
  num_higher: int
  num_lower: int

  @property
  def difference(self):
    """Method minus baseline."""
    return self.mean - self.baseline_mean


def value(row, metric):
  """The number of a row; NaN if it is absent, None or not finite."""
  number = row.get(metric)
  return float(number) if number is not None and math.isfinite(number) else math.nan


def curve(rows, metric):
  """Averages a metric over runs at equal steps.

  Args:
    rows: evaluations of one method in one setting; each run at most once per step.
    metric: key of the rows, e.g. 'argmax/success_500'.

  Returns:
    A `Curve`. Where any run that was evaluated lacks the number, the mean is NaN: a mean over the
    others would be a mean over different runs than its neighbours'.
  """
  by_step = collections.defaultdict(list)
  for row in rows:
    by_step[row['step']].append(value(row, metric))
  steps = sorted(by_step)
  values = [np.array(by_step[step]) for step in steps]
  return Curve(
      steps=np.array(steps, np.int64),
      mean=np.array([v.mean() for v in values]),
      std=np.array([v.std() if len(v) > 1 else math.nan for v in values]),
      n=np.array([np.isfinite(v).sum() for v in values], np.int64))


def curves_by_run(rows, metric):
  """Splits rows into runs.

  Args:
    rows: evaluations of one method in one setting.
    metric: key of the rows.

  Returns:
    {(target, seed): (steps [S] int64 ascending, values [S] float64 with NaN where missing)}.
  """
  runs = collections.defaultdict(list)
  for row in sorted(rows, key=lambda row: row['step']):
    runs[row['target'], row['seed']].append((row['step'], value(row, metric)))
  return {run: (np.array([s for s, _ in points], np.int64), np.array([v for _, v in points]))
          for run, points in runs.items()}


def steps_to_threshold(steps, values, threshold):
  """First step at which a curve reaches a level, by linear interpolation between evaluations.

  A later fall below the level does not count against it. Nothing is interpolated across a missing
  value: the first evaluation at the level is taken then, which is at worst too late.

  Args:
    steps: [S] ascending gradient steps.
    values: [S] float; NaN where missing.
    threshold: the level, in units of `values`.

  Returns:
    A float, or None if no evaluation reaches the level.
  """
  reached = np.flatnonzero(np.asarray(values) >= threshold)  # False for NaN.
  if not reached.size:
    return None
  i = reached[0]
  if i == 0 or math.isnan(values[i - 1]):
    return float(steps[i])
  fraction = (threshold - values[i - 1]) / (values[i] - values[i - 1])
  return float(steps[i - 1] + fraction * (steps[i] - steps[i - 1]))


def geometric_mean(values, axis=None):
  """The mean of ratios: 2 and 1/2 average to 1."""
  return np.exp(np.mean(np.log(values), axis=axis))


def bootstrap_interval(values, *, statistic=np.mean, num_resamples=10_000, seed=0, level=.95):
  """Percentile bootstrap over runs (Efron & Tibshirani, 1993, chapter 13).

  Runs are resampled as if independent. Runs on one target maze are not quite, and with a handful of
  runs percentile intervals are too narrow: read n beside them.

  Args:
    values: [N] finite numbers, one per run (or pair of runs).
    statistic: maps ([num_resamples, N], axis=1) to [num_resamples].
    num_resamples: how many resamples.
    seed: of the resampling, so that a report can be made again.
    level: coverage asked for, in (0, 1).

  Returns:
    An `Interval`; without numbers and with the reason if N < 2.

  Raises:
    ValueError: if a value is missing or `level` is not in (0, 1).
  """
  values = np.asarray(values, np.float64)
  if not 0 < level < 1:
    raise ValueError(f'level is {level}; expected a number between 0 and 1, e.g. 0.95.')
  if not np.all(np.isfinite(values)):
    raise ValueError(f'values are {values.tolist()}; expected finite numbers: decide first what a '
                     'missing one means.')
  n = len(values)
  if n < 2:
    return Interval(None, None, n, f'no interval (n = {n})')
  draws = np.random.default_rng(seed).integers(n, size=(num_resamples, n))
  statistics = statistic(values[draws], axis=1)
  low, high = np.quantile(statistics, [(1 - level) / 2, (1 + level) / 2])
  return Interval(float(low), float(high), n)


def wilson_interval(num_right, n):
  """95 % interval of a share by Wilson (1927); it holds for few and extreme ones, too.

  Args:
    num_right: how many of them are right.
    n: how many independent trials there are.

  Returns:
    An `Interval`; without numbers and with the reason if n is 0.
  """
  if not n:
    return Interval(None, None, n, f'no interval (n = {n})')
  z = 1.959964  # 97.5 % of a normal distribution are below it.
  share, shrink = num_right / n, 1 + z**2 / n
  centre = (share + z**2 / (2 * n)) / shrink
  half = z / shrink * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
  return Interval(max(0., centre - half), min(1., centre + half), n)


def paired_ratio(rows, baseline_rows, metric, threshold, *, num_resamples=10_000, seed=0,
                 level=.95):
  """How many of the baseline's steps a method needs to a level, over paired runs.

  A run that never reaches the level is censored: its last step stands in for the unknown one, and
  the pair is counted as the bound that it is (see `PairedRatio`). Pairs in which neither gets there
  are left out and counted apart.

  Args:
    rows: evaluations of the method.
    baseline_rows: evaluations of the baseline in the same setting.
    metric: key of the rows.
    threshold: the level.
    num_resamples: as in `bootstrap_interval`.
    seed: as in `bootstrap_interval`.
    level: as in `bootstrap_interval`.

  Returns:
    A `PairedRatio`; below 1 the method is faster.
  """
  method_runs = curves_by_run(rows, metric)
  baseline_runs = curves_by_run(baseline_rows, metric)
  pairs = sorted(method_runs.keys() & baseline_runs.keys())
  ratios, counts = [], collections.Counter()
  for pair in pairs:
    method = steps_to_threshold(*method_runs[pair], threshold)
    baseline = steps_to_threshold(*baseline_runs[pair], threshold)
    if method is None and baseline is None:
      counts['neither'] += 1
      continue
    outcome = ('only_baseline' if method is None else
               'only_method' if baseline is None else 'both')
    method = method_runs[pair][0][-1] if method is None else method
    baseline = baseline_runs[pair][0][-1] if baseline is None else baseline
    if not method or not baseline:
      outcome = 'at_start'
    else:
      ratios.append(method / baseline)
    counts[outcome] += 1
  return PairedRatio(
      ratio=float(geometric_mean(ratios)) if ratios else None,
      interval=bootstrap_interval(ratios, statistic=geometric_mean, num_resamples=num_resamples,
                                  seed=seed, level=level),
      num_pairs=len(pairs),
      num_both=counts['both'],
      num_only_method=counts['only_method'],
      num_only_baseline=counts['only_baseline'],
      num_neither=counts['neither'],
      num_at_start=counts['at_start'],
      num_unpaired=len(method_runs.keys() ^ baseline_runs.keys()))


VERDICTS = ('reproduced', 'partly', 'not shown', 'contradicted', 'undecided')


def verdict(ratio, at_most):
  """Judges the claim that a method needs at most `at_most` times the baseline's steps.

  A rule of ours:
    undecided     no interval, or fewer than half of the pairs say anything;
    contradicted  the whole interval is above 1, and no pair is an upper bound;
    not shown     the interval reaches 1, or a run of the method never gets there;
    partly        the whole interval is below 1, but the ratio is above `at_most`;
    reproduced    the whole interval is below 1 and the ratio is at most `at_most`.

  Args:
    ratio: a `PairedRatio`.
    at_most: the largest ratio that still agrees with the claim, in (0, 1].

  Returns:
    One of VERDICTS.
  """
  if ratio.interval.low is None or 2 * ratio.num_counted < ratio.num_pairs:
    return 'undecided'
  if ratio.interval.low > 1 and not ratio.num_only_method:
    return 'contradicted'
  if ratio.interval.high >= 1 or ratio.num_only_baseline:
    return 'not shown'
  return 'reproduced' if ratio.ratio <= at_most else 'partly'


def overall_verdict(verdicts):
  """One verdict for several levels: the common one, else 'partly' if any level agrees.

  Undecided levels do not vote, but a claim that is reproduced at some levels, undecided at others,
  holds 'partly' (added after results were seen, see experiments/results/maze/README.md). Different
  verdicts without one that agrees with the claim are 'not shown' and 'contradicted': 'contradicted'
  is what a reader must not miss.
  """
  votes = {v for v in verdicts if v != 'undecided'}
  if not votes:
    return 'undecided'
  if votes == {'reproduced'} and 'undecided' in verdicts:
    return 'partly'
  if len(votes) == 1:
    return votes.pop()
  return 'partly' if votes & {'reproduced', 'partly'} else 'contradicted'


def paired_difference(values, baseline_values):
  """Compares two methods seed by seed.

  Args:
    values: {seed: number}; NaN counts as missing.
    baseline_values: the same of the baseline.

  Returns:
    A `PairedDifference`.
  """
  seeds = [seed for seed in values if math.isfinite(values[seed])
           and math.isfinite(baseline_values.get(seed, math.nan))]
  ours, theirs = (np.array([v[seed] for seed in seeds]) for v in (values, baseline_values))
  n = len(seeds)
  return PairedDifference(
      mean=float(ours.mean()) if n else math.nan,
      baseline_mean=float(theirs.mean()) if n else math.nan,
      spread=float(max(ours.std(), theirs.std())) if n > 1 else math.nan,
      num_pairs=n, num_higher=int((ours > theirs).sum()), num_lower=int((ours < theirs).sum()))


OUTCOMES = ('better', 'worse', 'cannot tell')


def outcome(pairs):
  """Judges whether a method ends higher than a baseline, by a rule of ours.

  'better' and 'worse' need two seeds or more that all agree, and means that are more than twice the
  spread apart. Between methods that do not differ (normal noise), 'better' still comes up in 11 %
  of comparisons of two seeds, 4 % of three, 1 % of four.

  Args:
    pairs: a `PairedDifference`.

  Returns:
    One of OUTCOMES, and in a few words why.
  """
  if pairs.num_pairs < 2:
    return 'cannot tell', ('no seed' if not pairs.num_pairs else 'one seed') + ' to compare'
  if pairs.num_pairs not in (pairs.num_higher, pairs.num_lower):
    return 'cannot tell', 'the seeds disagree'
  if abs(pairs.difference) <= 2 * pairs.spread:
    return 'cannot tell', 'within the spread'
  return ('better' if pairs.num_higher else 'worse'), 'all seeds agree, beyond the spread'


def verdict_of_outcomes(outcomes):
  """One verdict for the comparisons that measure a claim.

  That more worse than better ones contradict was decided after results were seen, see
  experiments/results/figures/README.md.

  Args:
    outcomes: list of OUTCOMES.

  Returns:
    'reproduced' if all are better, 'partly' if some are and no more are worse, 'contradicted' if
    more are worse than better, 'undecided' if nothing can be told of any, 'not measured' if there
    are none.
  """
  if not outcomes:
    return 'not measured'
  num_better, num_worse = outcomes.count('better'), outcomes.count('worse')
  if num_better == len(outcomes):
    return 'reproduced'
  if num_worse > num_better:
    return 'contradicted'
  return 'partly' if num_better else 'undecided'
