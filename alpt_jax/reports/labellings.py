"""Numbers of labellings: what an IDM said about the hidden actions of a target.

A labelling is a part of results.json; its fields: `experiments/studies/labelling_schema.py`.
"""

import math
from typing import NamedTuple

import numpy as np

from alpt_jax.measures import curves

ORDERS = ('most wrong', 'least sure', 'in order')


class Numbers(NamedTuple):
  """How well actions were labelled; NaN (None for `majority`) where there is nothing to count.

  Attributes:
    accuracy: share that is right.
    interval: 95 % Wilson `curves.Interval` of the accuracy.
    balanced_accuracy: mean recall of the actions that occur.
    majority: index of the most frequent true action, the first of equals.
    majority_accuracy: share that is right if that is always said.
    recall: [A] share of each true action that is right.
    precision: [A] share of each predicted action that is right.
  """
  accuracy: float
  interval: curves.Interval
  balanced_accuracy: float
  majority: int | None
  majority_accuracy: float
  recall: np.ndarray
  precision: np.ndarray


def _shares(parts, wholes):
  return np.divide(parts, wholes, out=np.full(len(parts), math.nan), where=wholes > 0)


def compute(confusion):
  """Computes the `Numbers` of a confusion matrix, [A, A] counts with true actions as rows."""
  counts = np.asarray(confusion)
  right, n = np.diagonal(counts), int(counts.sum())
  occurring = counts.sum(1)
  recall = _shares(right, occurring)
  return Numbers(
      accuracy=int(right.sum()) / n if n else math.nan,
      interval=curves.wilson_interval(int(right.sum()), n),
      balanced_accuracy=float(recall[occurring > 0].mean()) if n else math.nan,
      majority=int(occurring.argmax()) if n else None,
      majority_accuracy=int(occurring.max()) / n if n else math.nan,
      recall=recall, precision=_shares(right, counts.sum(0)))


def is_wrong(example):
  """[T] bool: hidden actions that were labelled wrong. What training knew does not count."""
  return np.array([predicted != true and not known for predicted, true, known in zip(
      example['predicted'], example['true'], example['was_labelled'], strict=True)])


def mean_confidence(example):
  """Mean over the hidden actions; infinite, so that it comes last, where none is known."""
  if example['confidence'] is None or all(example['was_labelled']):
    return math.inf
  return float(np.mean(np.array(example['confidence'])[~np.array(example['was_labelled'])]))


def ordered(examples, order):
  """Sorts examples.

  Args:
    examples: of a labelling.
    order: one of ORDERS. 'most wrong' puts the least sure of equally wrong ones first, 'least sure'
      the most wrong of equally sure ones; what is still equal stays in order of time.

  Returns:
    Indices into `examples`.
  """
  wrong = [-int(is_wrong(example).sum()) for example in examples]
  sure = [mean_confidence(example) for example in examples]
  time = [(example['episode'], example['start']) for example in examples]
  key = {'most wrong': lambda i: (wrong[i], sure[i], time[i]),
         'least sure': lambda i: (sure[i], wrong[i], time[i]),
         'in order': lambda i: time[i]}[order]
  return sorted(range(len(examples)), key=key)
