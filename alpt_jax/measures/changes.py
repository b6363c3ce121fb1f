"""Measures labels where the action changes, and what repeating the last action scores.

Actions are held: where 99 % of the transitions repeat the action before, so does a label that looks
at nothing and is right at 99 %. Two numbers see through it: *persistence*, the score of the true
action of the step before, and the score of the labels at changes only, where persistence has 0.

For categorical parts the ids are those of the actions; for binary parts they are 0 and 1, key by
key. Of continuous parts, `is_changed` chooses the transitions for `continuous.sums`. Numbers come
from `confusions.accuracy`, `balanced_accuracy` and `macro_f1`, with intervals by
`resampling.interval`.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax.measures import confusions, continuous, predictions


class Counts(NamedTuple):
  """Confusions by episode, [E, A, A] each with true actions as rows.

  Episodes of which nothing is counted are left out, so that E may differ.

  Attributes:
    labels: of labels, at the transitions whose true action and that of the step before are known.
    persistence: of the true action of the step before, at the same transitions.
    at_changes: of labels, at those of them where the true action is another than before.
  """
  labels: np.ndarray
  persistence: np.ndarray
  at_changes: np.ndarray


def is_changed(values, is_known, timeline, *, period=None):
  """Finds the transitions whose true value is another than that of the step before.

  Args:
    values: [M] or [M, K]; ids, 0 and 1, or numbers. Anything where not known.
    is_known: bool, of the same shape.
    timeline: `timeline.Timeline` of the M transitions.
    period: of a continuous part that wraps around; None otherwise.

  Returns:
    bool, of the same shape; False where one of the two is not known, or is of another episode.
  """
  values = np.where(is_known, values, 0)
  before, has_one = timeline.before(values, is_known)
  return np.asarray(is_known, bool) & has_one & (continuous.difference(values, before, period) != 0)


def count(true, labels, is_known, timeline, num_actions):
  """Counts confusions of labels and of persistence, and of labels where the action changes.

  Args:
    true: [M] int in [0, A); anything where not known.
    labels: [M] int in [0, A).
    is_known: [M] bool; whether the truth is known.
    timeline: `timeline.Timeline` of the M transitions.
    num_actions: A; 2 for a binary part.

  Returns:
    `Counts`.

  Raises:
    ValueError: if a shape is wrong, or an action is out of range.
  """
  is_known = timeline.check(is_known, 'is_known').astype(bool)
  true, labels = (_ids(x, is_used, name, num_actions) for x, is_used, name in (
      (true, is_known, 'true'), (labels, np.ones(len(timeline), bool), 'labels')))
  before, has_one = timeline.before(true, is_known)
  is_counted = is_known & has_one

  def confusion(said, rows):
    return confusions.by_episode(timeline.index[rows], true[rows], said[rows], num_actions)[1]

  return Counts(confusion(labels, is_counted), confusion(before, is_counted),
                confusion(labels, is_counted & (true != before)))


def _ids(values, is_used, name, num_actions):
  """Returns [M] int64; 0 where not used."""
  values = predictions.check_integers(values, len(is_used), name)
  predictions.refuse(values, is_used & ((values < 0) | (values >= num_actions)), name,
                     f'an id in [0, {num_actions})')
  return np.where(is_used, values, 0)
