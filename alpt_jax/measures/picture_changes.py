"""Describes how pictures change from one to the next, in numbers that a linear probe can read.

Two resolutions: what changes where, and where something moves which way, which is the same whatever
colour it has and wherever in its cell it is.
"""

import numpy as np

from alpt_jax.measures import floors

_LARGEST_SIDE = 84  # Pixels; larger pictures are scaled down.
_NUM_CELLS, _NUM_COARSE = 21, 7  # A side.


def features(observations):
  """Describes the change of the picture in each transition.

  Args:
    observations: [T + 1, H, W, C] images or grids, or [T + 1, K] vectors.

  Returns:
    changes: [T, F] float32; of pictures, what `floors.change_features` says of their brightness,
      and means of the movement in rows and columns.
    movement: [T, P] float32; where something moves which way: means over 7 x 7 cells of the change
      times the slope of the brightness, down and to the right. It has one sign whatever moves.
    Of vectors, both are the difference.
  """
  if np.ndim(observations) == 2:
    change = floors.change_features(observations[:-1], observations[1:])
    return change, change
  x = _brightness(observations)
  fine, coarse = (-(-max(x.shape[1:]) // cells) for cells in (_NUM_CELLS, _NUM_COARSE))
  changes, movement = [floors.change_features(x[:-1, ..., None], x[1:, ..., None])], []
  for moved in _movements(x):
    changes += [floors.cell_means(moved.mean(axis=across, keepdims=True), fine)
                for across in (1, 2)]
    movement.append(floors.cell_means(moved, coarse))
  return np.concatenate(changes, axis=1), np.concatenate(movement, axis=1)


def _brightness(observations):
  """[N, H, W] float32 of pictures [N, H, W, C], scaled down where they are large.

  Channels weigh differently, so that it changes where one takes the place of another.
  """
  x = np.asarray(observations)
  x = x @ (np.arange(1, x.shape[3] + 1, dtype=np.float32) / x.shape[3])
  factor = -(-max(x.shape[1:]) // _LARGEST_SIDE)
  if factor == 1:
    return x
  height, width = (-(-n // factor) for n in x.shape[1:])
  return floors.cell_means(x, factor).reshape(len(x), height, width)


def _movements(x):
  """Change times slope of pictures [T + 1, H, W], down and to the right: two [T, H, W]."""
  change, middle = x[1:] - x[:-1], (x[1:] + x[:-1]) / 2
  for axis in (1, 2):
    slope = np.zeros_like(middle)
    inner, before, after = ([slice(None)] * 3 for _ in range(3))
    inner[axis], before[axis], after[axis] = slice(1, -1), slice(None, -2), slice(2, None)
    slope[tuple(inner)] = (middle[tuple(after)] - middle[tuple(before)]) / 2
    yield change * slope
