"""Confusion counts by episode, and the short form in which a run file keeps them.

With them every interval over episodes can be computed again: accuracy, gain over the majority,
recall of one action.
"""

import base64
import zlib

import numpy as np

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
