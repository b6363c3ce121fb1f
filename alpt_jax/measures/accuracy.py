"""Measures how often an IDM's labels are right, on transitions whose true actions are known."""

import numpy as np

from alpt_jax.measures import confusions, intervals

PROBABILITY_FLOOR = 1e-12  # `negative_log_likelihood` takes none as lower: 27.6 nats at most.


def accuracy(known, *, level=.95, num_resamples=10_000, seed=0):
  """Measures the share of right labels, with a cluster bootstrap over episodes.

  Whole episodes are drawn again, with all their transitions (Davison & Hinkley, 1997, section 3.8),
  and the percentiles of the share taken. With a handful of episodes such intervals are too narrow,
  and if all labels are right, or none, it has no width: read the number of episodes beside it.

  Args:
    known: `predictions.Predictions` with episodes.
    level: coverage asked for, in (0, 1).
    num_resamples: how many resamples.
    seed: of the resampling, so that a report can be made again.

  Returns:
    An `intervals.Interval` over episodes; without ends for a single one.

  Raises:
    ValueError: if `level` or `num_resamples` is out of range.
  """
  return intervals.bootstrap_mean(known.is_right, known.episodes, level=level,
                                  num_resamples=num_resamples, seed=seed)


def gain_over_majority(known, *, level=.95, num_resamples=10_000, seed=0):
  """Measures how much more accurate labels are than the most frequent action.

  Both are scored on the same transitions, so the interval of the difference is narrower than those
  of the two accuracies suggest. The truth says what is most frequent.

  Args:
    known: as in `accuracy`, like the rest.
    level: coverage asked for, in (0, 1).
    num_resamples: how many resamples.
    seed: of the resampling.

  Returns:
    An `intervals.Interval` of a number in [-1, 1].

  Raises:
    ValueError: as `accuracy`.
  """
  is_majority = known.actions == np.bincount(known.actions).argmax()
  return intervals.bootstrap_mean(known.is_right.astype(np.int64) - is_majority, known.episodes,
                                  level=level, num_resamples=num_resamples, seed=seed)


def confusion(known):
  """Counts labels by true action.

  Args:
    known: `predictions.Predictions`.

  Returns:
    [A, A] int64; a row for each true action, a column for each label.
  """
  size = known.num_actions
  return np.bincount(known.actions * size + known.labels, minlength=size**2).reshape(size, size)


def balanced_accuracy(known):
  """Averages, over the actions that occur, the share of each that is labelled right.

  Rare actions weigh as much as frequent ones; always saying the same scores one over the number of
  actions that occur.

  Args:
    known: `predictions.Predictions`.

  Returns:
    A float in [0, 1].
  """
  return confusions.numbers(confusion(known)).balanced_accuracy


def macro_f1(known):
  """Averages the F1 of the actions that occur or are predicted; see `confusions.macro_f1`.

  Args:
    known: `predictions.Predictions`.

  Returns:
    A float in [0, 1].
  """
  return float(confusions.macro_f1(confusion(known)))


def top_k_accuracy(known, k):
  """Measures the share of transitions whose true action is among the k most probable.

  Of equally probable actions the first counts as more probable, as for the label, so that k = 1 is
  the accuracy.

  Args:
    known: `predictions.Predictions`.
    k: in [1, A].

  Returns:
    A float in [0, 1].

  Raises:
    ValueError: if `k` is out of range.
  """
  if not 1 <= k <= known.num_actions:
    raise ValueError(f'k is {k}; expected a number in [1, {known.num_actions}].')
  true = known.of_truth[:, None]
  is_earlier = np.arange(known.num_actions) < known.actions[:, None]
  is_before = (known.probabilities > true) | (known.probabilities == true) & is_earlier
  return float(np.mean(is_before.sum(axis=1) < k))


def negative_log_likelihood(known):
  """Averages -log p of the true action, a proper scoring rule.

  Probabilities below PROBABILITY_FLOOR count as that, so that one impossible truth, e.g. an illegal
  action in the data, costs 27.6 nats and does not make the mean infinite.

  Args:
    known: `predictions.Predictions`.

  Returns:
    A float in nats (natural logarithm); log(A) if all actions are held equally probable.
  """
  return float(-np.mean(np.log(np.maximum(known.of_truth, PROBABILITY_FLOOR))))
