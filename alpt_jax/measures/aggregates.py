"""Aggregates of normalised scores over tasks (games) and seeds, as rliable defines them.

A run is one training with one seed on one task. With few seeds a table of means hides how far the
next seeds might be from it; Agarwal et al. (2021, "Deep RL at the Edge of the Statistical
Precipice", section 4; github.com/google-research/rliable) report instead the interquartile mean,
profiles and the probability of improvement, each with an interval from a bootstrap that draws seeds
again within each task. The tasks stay as they are: an interval is about other seeds, not games.

Scores are {task: [N] scores, one per seed}. Unlike in rliable, tasks may have different numbers of
seeds: in `mean`, `median`, `optimality_gap`, profiles and the probability of improvement, all of
which average within tasks first, tasks count alike. `iqm` ranks all runs together, so runs count
alike in it and a task with more seeds counts more. With equal numbers all agree with rliable.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import stats

from alpt_jax.measures import intervals


class Estimate(NamedTuple):
  """An aggregate of the scores of one method.

  Attributes:
    value: the aggregate; an array [...] if the scores had leading axes.
    num_runs: over all tasks.
    num_tasks: how many tasks.
    low: lower end of the interval; None if none was asked for.
    high: upper end of the interval; None if none was asked for.
  """
  value: float | np.ndarray
  num_runs: int
  num_tasks: int
  low: float | None = None
  high: float | None = None


class Profile(NamedTuple):
  """Share of the runs of one method above each threshold.

  Attributes:
    thresholds: [K] float64.
    share: [K] float64 in [0, 1], falling where `thresholds` rises.
    num_runs: over all tasks.
    num_tasks: how many tasks.
  """
  thresholds: np.ndarray
  share: np.ndarray
  num_runs: int
  num_tasks: int


class Improvement(NamedTuple):
  """How likely a run of method X beats one of method Y on the same task.

  Attributes:
    value: in [0, 1]; 0.5 if neither is better.
    num_runs: of X, over all tasks.
    num_baseline_runs: of Y, over all tasks.
    num_tasks: how many tasks; both have the same.
    low: lower end of the interval; None if none was asked for.
    high: upper end of the interval; None if none was asked for.
  """
  value: float
  num_runs: int
  num_baseline_runs: int
  num_tasks: int
  low: float | None = None
  high: float | None = None


def _by_task(scores, num_axes=None):
  """Checks scores; returns {task: [..., N] float64}, of `num_axes` axes if they are given."""
  if not scores:
    raise ValueError('scores have no task; expected at least one.')
  by_task = {task: np.asarray(x, np.float64) for task, x in scores.items()}
  for task, x in by_task.items():
    if not x.ndim or num_axes not in (None, x.ndim):
      raise ValueError(f'The scores of task {task!r} have shape {x.shape}; expected [num_seeds].')
    if not x.size:
      raise ValueError(f'Task {task!r} has no score; expected at least one seed.')
    if not np.all(np.isfinite(x)):
      raise ValueError(f'The scores of task {task!r} are {x.tolist()}; expected finite numbers: '
                       'decide first what a missing one means.')
  return by_task


def _num_runs(by_task):
  return sum(x.shape[-1] for x in by_task.values())


def _estimate(value, by_task):
  return Estimate(float(value) if np.ndim(value) == 0 else value, _num_runs(by_task), len(by_task))


def _mean_over_tasks(per_task_fn, *by_tasks):
  """Averages what `per_task_fn` makes of each task's scores; the first dict gives the order."""
  return np.mean([per_task_fn(*(by_task[task] for by_task in by_tasks)) for task in by_tasks[0]],
                 axis=0)


def iqm(scores):
  """Computes the interquartile mean: of the middle half of all runs of all tasks.

  Of R runs, floor(R / 4) are dropped at each end.

  Args:
    scores: {task: [..., N]}; leading axes, e.g. of resamples, stay.

  Returns:
    An `Estimate`.

  Raises:
    ValueError: naming the task, if it has no score or one is not finite.
  """
  by_task = _by_task(scores)
  together = np.concatenate(list(by_task.values()), axis=-1)
  return _estimate(stats.trim_mean(together, .25, axis=-1), by_task)


def mean(scores):
  """Averages, over tasks, the mean over seeds; arguments and errors as in `iqm`."""
  by_task = _by_task(scores)
  return _estimate(_mean_over_tasks(lambda x: x.mean(axis=-1), by_task), by_task)


def median(scores):
  """Takes the median, over tasks, of the mean over seeds; otherwise as `iqm`."""
  by_task = _by_task(scores)
  return _estimate(np.median([x.mean(axis=-1) for x in by_task.values()], axis=0), by_task)


def optimality_gap(scores, threshold=1.):
  """Averages how far runs fall short of a score; what they exceed it by does not count.

  Args:
    scores: as in `iqm`.
    threshold: the score beyond which better does not matter; 1 is human play.

  Returns:
    An `Estimate`, at least 0; lower is better.

  Raises:
    ValueError: as in `iqm`.
  """
  by_task = _by_task(scores)
  reached = _mean_over_tasks(lambda x: np.minimum(x, threshold).mean(axis=-1), by_task)
  return _estimate(threshold - reached, by_task)


def _ends(statistic, *by_tasks, level, num_resamples, seed):
  """Ends of a percentile interval; the seeds of each task are drawn again, independently.

  Args:
    statistic: maps dicts as `by_tasks`, of [..., N], to [..., num_resamples].
    *by_tasks: {task: [N]}, one of each method.
    level: coverage, in (0, 1).
    num_resamples: how many draws.
    seed: of the draws.

  Returns:
    Two arrays [...].
  """
  places = [(i, task) for i, by_task in enumerate(by_tasks) for task in by_task]
  for i, task in places:
    if len(by_tasks[i][task]) < 2:
      raise ValueError(f'Task {task!r} has one seed; expected two or more: one says nothing about '
                       'the spread over seeds.')

  def of_samples(*samples, axis):
    del axis  # The last.
    drawn = [{} for _ in by_tasks]
    for (i, task), sample in zip(places, samples, strict=True):
      drawn[i][task] = sample
    return statistic(*drawn)

  return intervals.bootstrap_ends(
      [by_tasks[i][task] for i, task in places], of_samples, level=level,
      num_resamples=num_resamples, seed=seed)


def interval(scores, statistic, *, level=.95, num_resamples=10_000, seed=0):
  """Estimates an aggregate with its stratified percentile bootstrap interval.

  With a handful of seeds percentile intervals are too narrow: read the numbers of runs and tasks
  beside them.

  Args:
    scores: {task: [N]}, N >= 2.
    statistic: `iqm`, `mean`, `median`, `optimality_gap` or another function that maps
      {task: [..., N]} to an `Estimate` with values [...].
    level: coverage asked for, in (0, 1).
    num_resamples: how many resamples.
    seed: of the resampling, so that a report can be made again.

  Returns:
    An `Estimate` with `low` and `high`.

  Raises:
    ValueError: naming the task, if it has no score, only one, or one that is not finite; or if
      `level` or `num_resamples` is out of range.
  """
  by_task = _by_task(scores, num_axes=1)
  low, high = _ends(lambda drawn: statistic(drawn).value, by_task, level=level,
                    num_resamples=num_resamples, seed=seed)
  return statistic(by_task)._replace(low=float(low), high=float(high))


def performance_profile(scores, thresholds):
  """Computes the share of runs above each threshold (rliable's run-score distribution).

  Args:
    scores: {task: [N]}.
    thresholds: [K] scores; a run at a threshold is not above it.

  Returns:
    A `Profile`.

  Raises:
    ValueError: as in `iqm`, or if a threshold is not finite.
  """
  by_task = _by_task(scores, num_axes=1)
  thresholds = np.asarray(thresholds, np.float64)
  if thresholds.ndim != 1 or not np.all(np.isfinite(thresholds)):
    raise ValueError(f'thresholds are {thresholds.tolist()}; expected a list of finite numbers.')
  share = _mean_over_tasks(lambda x: (x[:, None] > thresholds).mean(axis=0), by_task)
  return Profile(thresholds, share, _num_runs(by_task), len(by_task))


def _share_of_wins(x, y):
  """Mann-Whitney's U by the number of pairs; a tie is half a win. [..., N], [..., M] to [...]."""
  return .5 + .5 * np.sign(x[..., :, None] - y[..., None, :]).mean(axis=(-2, -1))


def probability_of_improvement(x, y, *, level=.95, num_resamples=2000, seed=0):
  """Estimates how likely a run of method X beats one of method Y, averaged over tasks.

  It counts how often X is better and not by how much.

  Args:
    x: {task: [N]}; the scores of X.
    y: {task: [M]}; the scores of Y on the same tasks, whose seeds are not paired with those of X.
    level: None for no interval, else coverage asked for, in (0, 1).
    num_resamples: as in `interval`; X and Y are resampled independently.
    seed: as in `interval`.

  Returns:
    An `Improvement`.

  Raises:
    ValueError: as in `interval`, or if X and Y have different tasks; only an interval needs two
      seeds per task.
  """
  x, y = _by_task(x, num_axes=1), _by_task(y, num_axes=1)
  if x.keys() != y.keys():
    unmatched = sorted(map(str, x.keys() ^ y.keys()))
    raise ValueError(f'Only one method has the tasks {unmatched}; expected the same tasks of both.')
  share = functools.partial(_mean_over_tasks, _share_of_wins)
  improvement = Improvement(float(share(x, y)), _num_runs(x), _num_runs(y), len(x))
  if level is None:
    return improvement
  low, high = _ends(share, x, y, level=level, num_resamples=num_resamples, seed=seed)
  return improvement._replace(low=float(low), high=float(high))
