"""Statistics of learning curves: spread over runs, steps to a level, ratios with intervals.

A run is one training with one seed on one target maze; a row is one evaluation of one run. Figure 5
of the paper compares methods by how many steps they need to a level, so that is what is paired
here, with the intervals of `measures.intervals`. A missing number (None or NaN) stays missing: it
never enters a mean unseen.
"""

import collections
import math
from typing import NamedTuple

import numpy as np

from alpt_jax.measures import intervals


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


class PairedRatio(NamedTuple):
  """Steps to a threshold, method over baseline, paired by (target, seed).

  Attributes:
    ratio: geometric mean over the pairs; with censored ones a bound of the median, see
      `intervals.ratio`; None if there is none.
    interval: of `ratio`, over training seeds.
    num_pairs: runs that both methods have.
    num_both: pairs in which both reach the threshold after step 0. Exact.
    num_only_method: the baseline never gets there: the pair's ratio is bounded from above.
    num_only_baseline: the method never gets there: the pair's ratio is bounded from below.
    num_neither: says nothing about the ratio, and counts against both ends of the interval.
    num_at_start: one is there at step 0 already, so no ratio exists; not counted.
    num_unpaired: runs of either method whose partner is missing; not counted.
  """
  ratio: float | None
  interval: intervals.Interval
  num_pairs: int
  num_both: int
  num_only_method: int
  num_only_baseline: int
  num_neither: int
  num_at_start: int
  num_unpaired: int


class PairedDifference(NamedTuple):
  """How much higher one method ends than another, over the seeds that both have.

  Attributes:
    mean: of the method; NaN without pairs, as the next.
    baseline_mean: of the baseline.
    spread: the larger of the two population standard deviations; NaN for fewer than two pairs.
    num_pairs: seeds that both have.
    num_higher: those in which the method is higher.
    num_lower: those in which it is lower.
    interval: of the mean difference, over training seeds (Student's t).
  """
  mean: float
  baseline_mean: float
  spread: float
  num_pairs: int
  num_higher: int
  num_lower: int
  interval: intervals.Interval

  @property
  def difference(self):
    """Method minus baseline."""
    return self.mean - self.baseline_mean


def value(row, metric):
  """Returns the number of a row; NaN if it is absent, None or not finite."""
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
  """Finds the first step at which a curve reaches a level, interpolating linearly.

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


def paired_ratio(rows, baseline_rows, metric, threshold):
  """Compares the steps that a method and a baseline need to a level, over paired runs.

  A run that never reaches the level is censored and stays so: its last step bounds the pair's
  ratio, see `intervals.ratio`.

  Args:
    rows: evaluations of the method.
    baseline_rows: evaluations of the baseline in the same setting.
    metric: key of the rows.
    threshold: the level.

  Returns:
    A `PairedRatio`; below 1 the method is faster.
  """
  method_runs = curves_by_run(rows, metric)
  baseline_runs = curves_by_run(baseline_rows, metric)
  pairs = sorted(method_runs.keys() & baseline_runs.keys())
  ours, theirs, counts = {}, {}, collections.Counter()
  for pair in pairs:
    method = _steps_needed(*method_runs[pair], threshold)
    baseline = _steps_needed(*baseline_runs[pair], threshold)
    if 0 in (method, baseline) or intervals.AtLeast(0) in (method, baseline):
      counts['at_start'] += 1
      continue
    is_reached = [not isinstance(x, intervals.AtLeast) for x in (method, baseline)]
    counts[tuple(is_reached)] += 1
    ours[pair], theirs[pair] = method, baseline
  interval = intervals.ratio(ours, theirs).interval
  return PairedRatio(
      ratio=interval.value,
      interval=interval,
      num_pairs=len(pairs),
      num_both=counts[True, True],
      num_only_method=counts[True, False],
      num_only_baseline=counts[False, True],
      num_neither=counts[False, False],
      num_at_start=counts['at_start'],
      num_unpaired=len(method_runs.keys() ^ baseline_runs.keys()))


def _steps_needed(steps, values, threshold):
  """`steps_to_threshold`, or that it is more than the last step."""
  found = steps_to_threshold(steps, values, threshold)
  return intervals.AtLeast(float(steps[-1])) if found is None else found


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
      num_pairs=n, num_higher=int((ours > theirs).sum()), num_lower=int((ours < theirs).sum()),
      interval=intervals.difference(
          dict(enumerate(ours.tolist())), dict(enumerate(theirs.tolist()))).interval)
