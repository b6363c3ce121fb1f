"""Measures how often an IDM's labels are right, on transitions whose true actions are known."""

from typing import NamedTuple

import numpy as np

from alpt_jax.measures import intervals, predictions

PROBABILITY_FLOOR = 1e-12  # `negative_log_likelihood` takes none as lower: 27.6 nats at most.


class Baselines(NamedTuple):
  """What labels score that look at nothing.

  Attributes:
    majority: the most frequent true action, the first of equals.
    majority_accuracy: of saying that always. It knows the truth that it is scored on, so it is a
      little too good.
    no_op_accuracy: of always saying that nothing was done; None if the environment has no such
      action.
    chance_accuracy: of guessing all actions alike, 1 / A.
  """
  majority: int
  majority_accuracy: float
  no_op_accuracy: float | None
  chance_accuracy: float


def accuracy(known, *, level=.95, num_resamples=10_000, seed=0):
  """Share of right labels, with an interval by a cluster bootstrap over episodes.

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
  """How much more accurate labels are than always saying the most frequent action.

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
  """Mean, over the actions that occur, of the share of each that is labelled right.

  Rare actions weigh as much as frequent ones; always saying the same scores one over the number of
  actions that occur.

  Args:
    known: `predictions.Predictions`.

  Returns:
    A float in [0, 1].
  """
  counts = confusion(known)
  occurring = counts.sum(axis=1)
  return float(np.mean(np.diagonal(counts)[occurring > 0] / occurring[occurring > 0]))


def baselines(actions, num_actions, *, no_op=None):
  """Scores labels that look at nothing: whoever does no better has learned nothing.

  Args:
    actions: [M] int in [0, num_actions); the truth.
    num_actions: A.
    no_op: the action that does nothing, 0 in the ALE; None if there is none.

  Returns:
    `Baselines`.

  Raises:
    ValueError: naming the argument that is not as said above, or if there is no transition.
  """
  actions = predictions.check_actions(actions, np.size(actions), num_actions)
  if not actions.size:
    raise ValueError('actions have no transition; expected at least one.')
  if no_op is not None and not 0 <= no_op < num_actions:
    raise ValueError(f'no_op is {no_op}; expected an id in [0, {num_actions}) or None.')
  shares = np.bincount(actions, minlength=num_actions) / len(actions)
  return Baselines(int(shares.argmax()), float(shares.max()),
                   None if no_op is None else float(shares[no_op]), 1 / num_actions)


def top_k_accuracy(known, k):
  """Share of transitions whose true action is among the k most probable ones.

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
  """Mean of -log p of the true action: a proper score, worse for each false certainty.

  Probabilities below PROBABILITY_FLOOR count as that, so that one impossible truth, e.g. an illegal
  action in the data, costs 27.6 nats and does not make the mean infinite.

  Args:
    known: `predictions.Predictions`.

  Returns:
    A float in nats (natural logarithm); log(A) if all actions are held equally probable.
  """
  return float(-np.mean(np.log(np.maximum(known.of_truth, PROBABILITY_FLOOR))))
