"""Ranks clips for labelling: uncertain ones, and different from each other.

The least sure clips alone are often many of the same kind, and the second of a kind teaches little.
So they are picked one after the other, each as far as can be from those that have labels or were
picked before, times how unsure the IDM is of it. Without the factor this is the farthest-first
traversal for k-centre clustering (Gonzalez, 1985), which Sener & Savarese (2018) use to choose what
to label; the factor is ours. The rule has no random number in it.
"""

import numpy as np

_CELLS = 8  # Features see at most so many cells in height and width.


def uncertainty(confidence, is_hidden):
  """Computes one minus the mean confidence over the hidden actions of a window.

  Args:
    confidence: [W, T] float in [0, 1]; of the labels.
    is_hidden: [W, T] bool.

  Returns:
    [W] float64 in [0, 1]; 0 where nothing is hidden.
  """
  return mean_of_hidden(1. - confidence.astype(np.float64), is_hidden)


def mean_of_hidden(doubt, is_hidden):
  """Averages how unsure an IDM is over the hidden actions of a window.

  Args:
    doubt: [W, T] float64, at least 0.
    is_hidden: [W, T] bool.

  Returns:
    [W] float64; 0 where nothing is hidden.
  """
  counts = np.maximum(is_hidden.sum(axis=1), 1)
  return np.where(is_hidden, doubt, 0.).sum(axis=1) / counts


def looks(observations):
  """Describes how windows look: mean observation, and its change from frame to frame.

  Args:
    observations: [W, T + 1, height, width, C] numbers. Where height or width is more than 8 pixels,
      means over up to 8 cells stand for them.

  Returns:
    [W, 2, F] float32.
  """
  frames = observations.astype(np.float32)
  parts = [frames.mean(axis=1), np.abs(np.diff(frames, axis=1)).mean(axis=1)]
  return np.stack([_cells(part).reshape(len(frames), -1) for part in parts], axis=1)


def _cells(images):
  """Means over cells of [W, height, width, C]; the last cells may be smaller."""
  for axis in (1, 2):
    size = images.shape[axis]
    starts = np.arange(0, size, -(-size // _CELLS))
    lengths = np.diff(np.append(starts, size))
    shape = [-1 if i == axis else 1 for i in range(images.ndim)]
    images = np.add.reduceat(images, starts, axis=axis) / lengths.reshape(shape)
  return images


def balanced(parts):
  """Makes both parts of `looks` count the same.

  Args:
    parts: [W, 2, F] float.

  Returns:
    [W, 2 F] float64; of each part, windows have a root mean square distance of 1 from the mean, or
    are all the same.
  """
  centred = parts - parts.mean(axis=0, dtype=np.float64)
  size = np.sqrt((centred ** 2).sum(axis=2, keepdims=True).mean(axis=0, keepdims=True))
  return np.divide(centred, size, out=np.zeros_like(centred), where=size > 0).reshape(
      len(parts), -1)


def choose(unsure, places, num_clips, *, episode, start, window, is_labelled):
  """Picks windows to label next.

  The next one is that with the largest product of how unsure the labels are and the distance to the
  nearest window that has labels or was picked before; of equals the most unsure one, then the
  earliest. Where there is nothing to be far from, it is the most unsure one.

  Args:
    unsure: [W] float, at least 0; see `uncertainty`.
    places: [W, F] float, e.g. from `balanced`; distances between windows are Euclidean.
    num_clips: how many, at least 1.
    episode: [W] int; of each window.
    start: [W] int; its first transition.
    window: T, transitions in a window.
    is_labelled: [W] bool; True where any transition has its label. These are not picked.

  Returns:
    [n] int64 indices, the most useful first. No two of the windows overlap. Fewer than `num_clips`
    if there are no more.

  Raises:
    ValueError: if `num_clips` is less than 1, or a number is not finite.
  """
  if num_clips < 1:
    raise ValueError(f'num_clips is {num_clips}; expected at least 1.')
  if not (np.isfinite(unsure).all() and np.isfinite(places).all()):
    raise ValueError('a confidence or a feature of the windows is not finite; expected numbers.')
  places = np.asarray(places, np.float64)
  is_free, picked = ~np.asarray(is_labelled, bool), []
  distance = np.where(is_free, np.inf, 0.)
  free = places[is_free]  # Only these distances are used.
  for i in np.flatnonzero(is_labelled):
    distance[is_free] = np.minimum(distance[is_free], _distances(free, places[i]))
  while len(picked) < num_clips and is_free.any():
    worth = unsure * distance if np.isfinite(distance).any() else unsure
    i = int(np.lexsort((start, episode, -unsure, -np.where(is_free, worth, -1.)))[0])
    picked.append(i)
    is_free &= (episode != episode[i]) | (np.abs(start - start[i]) >= window)
    distance = np.minimum(distance, _distances(places, places[i]))
  return np.array(picked, np.int64)


def _distances(places, place):
  return np.sqrt(((places - place) ** 2).sum(axis=1))
