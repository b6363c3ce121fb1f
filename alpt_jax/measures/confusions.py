"""Counts confusions of actions, by episode; packs the counts, and computes their numbers.

With them every interval over episodes can be computed again: accuracy, gain over the majority,
recall of one action.
"""

import base64
import math
import zlib
from typing import NamedTuple

import numpy as np

from alpt_jax.measures import intervals, resampling

_MOST_VALUES = 2 ** 24  # Of a packed array, so that a damaged file asks for no more memory.


def by_episode(episodes, true, predicted, num_actions):
  """Counts true and predicted actions, episode by episode.

  Args:
    episodes: [M] int; of each transition.
    true: [M] int in [0, A).
    predicted: [M] int in [0, A).
    num_actions: A.

  Returns:
    [E] int64, ids of the episodes, ascending; [E, A, A] int64 counts, a row for each true action
    and a column for each label.
  """
  ids, index = np.unique(episodes, return_inverse=True)
  cells = (index * num_actions + np.asarray(true)) * num_actions + np.asarray(predicted)
  counts = np.bincount(cells, minlength=len(ids) * num_actions ** 2)
  return ids.astype(np.int64), counts.reshape(len(ids), num_actions, num_actions)


def pack(counts):
  """Writes an array of counts as text, about a byte for each count that is not 0.

  Args:
    counts: integers in [0, 2^32), of any shape.

  Returns:
    {'shape': list, 'zlib': base64 of compressed little-endian uint32}.
  """
  counts = np.asarray(counts)
  if counts.size and not 0 <= counts.min() <= counts.max() < 2 ** 32:
    raise ValueError(f'counts are in [{counts.min()}, {counts.max()}]; expected [0, 2^32).')
  planes = counts.astype('<u4').reshape(-1, 1).view(np.uint8).T  # Equal bytes beside each other.
  return {'shape': list(counts.shape),
          'zlib': base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()}


def unpack(packed):
  """Reads what `pack` has written: an int64 array.

  Raises:
    ValueError: if it is damaged.
  """
  try:
    shape = tuple(packed['shape'])
    size = int(np.prod(shape))
    if min((*shape, 0)) < 0 or size > _MOST_VALUES:
      raise ValueError(f'its shape is {shape}')
    reader = zlib.decompressobj()
    data = reader.decompress(base64.b64decode(packed['zlib'], validate=True), 4 * size + 1)
    planes = np.frombuffer(data, np.uint8).reshape(4, size)
  except (KeyError, TypeError, ValueError, zlib.error) as error:
    raise ValueError(f'packed counts are damaged ({error}); expected what `pack` '
                     'writes.') from error
  return np.ascontiguousarray(planes.T).view('<u4').reshape(shape).astype(np.int64)


class Numbers(NamedTuple):
  """How well actions were labelled; NaN (None for `majority`) where there is nothing to count.

  Attributes:
    accuracy: share that is right.
    interval: 95 % Wilson `intervals.Interval` of the accuracy.
    balanced_accuracy: mean recall of the actions that occur.
    majority: index of the most frequent true action, the first of equals.
    majority_accuracy: share that is right if that is always said.
    recall: [A] share of each true action that is right.
    precision: [A] share of each predicted action that is right.
  """
  accuracy: float
  interval: intervals.Interval
  balanced_accuracy: float
  majority: int | None
  majority_accuracy: float
  recall: np.ndarray
  precision: np.ndarray


def numbers(confusion):
  """Computes the `Numbers` of a confusion matrix, [A, A] counts with true actions as rows."""
  counts = np.asarray(confusion)
  right, n = np.diagonal(counts), int(counts.sum())
  occurring = counts.sum(1)
  recall = resampling.ratio(right, occurring)
  return Numbers(
      accuracy=int(right.sum()) / n if n else math.nan,
      interval=intervals.wilson(int(right.sum()), n),
      balanced_accuracy=float(recall[occurring > 0].mean()) if n else math.nan,
      majority=int(occurring.argmax()) if n else None,
      majority_accuracy=int(occurring.max()) / n if n else math.nan,
      recall=recall, precision=resampling.ratio(right, counts.sum(0)))


def accuracy(counts):
  """Computes the share that is right: [..., A, A] counts to [...], NaN without any."""
  return resampling.ratio(_diagonal(counts).sum(axis=-1), np.sum(counts, axis=(-2, -1)))


def balanced_accuracy(counts):
  """Averages the recall of the actions that occur: [..., A, A] counts to [...], as `numbers`."""
  return _mean_share(_diagonal(counts), np.sum(counts, axis=-1))


def macro_f1(counts):
  """Averages the F1 of actions, so that rare ones weigh as much as frequent ones.

  In contrast to balanced accuracy, it also falls with false alarms, i.e. where a rare action is
  predicted too often.

  Args:
    counts: [..., A, A], e.g. summed over episodes; true actions as rows.

  Returns:
    [...] in [0, 1]: the mean, over the actions that occur or are predicted, of twice the right ones
    by all that are true or predicted. NaN without any.
  """
  either = np.sum(counts, axis=-1) + np.sum(counts, axis=-2)
  return _mean_share(2 * _diagonal(counts), either)


def _diagonal(counts):
  return np.diagonal(counts, axis1=-2, axis2=-1)


def _mean_share(parts, wholes):
  """Mean [...] of the shares [..., A] whose whole is not 0."""
  shares = resampling.ratio(parts, wholes)
  return resampling.ratio(np.nansum(shares, axis=-1), np.sum(wholes > 0, axis=-1))


class Baselines(NamedTuple):
  """What labels score that look at nothing.

  Attributes:
    majority: the most frequent true action, the first of equals; None if none is known.
    majority_accuracy: of saying that always; None if none is known. It knows the truth that it is
      scored on, so it is a little too good.
    no_op_accuracy: of always saying that nothing was done; None if the environment has no such
      action.
    chance_accuracy: of guessing all actions alike, 1 / A.
  """
  majority: int | None
  majority_accuracy: float | None
  no_op_accuracy: float | None
  chance_accuracy: float


def baselines(confusion, no_op=None):
  """Scores labels that are chosen without looking at the data, which a useful IDM must beat.

  Args:
    confusion: [A, A] counts with true actions as rows.
    no_op: the action that does nothing, 0 in the ALE; None if there is none.

  Returns:
    `Baselines`.

  Raises:
    ValueError: if `no_op` is no action.
  """
  occurring = np.sum(confusion, axis=1)
  if no_op is not None and not 0 <= no_op < len(occurring):
    raise ValueError(f'no_op is {no_op}; expected an id in [0, {len(occurring)}) or None.')
  n, found = int(occurring.sum()), numbers(confusion)
  return Baselines(found.majority, found.majority_accuracy if n else None,
                   None if no_op is None or not n else float(occurring[no_op] / n),
                   1 / len(occurring))
