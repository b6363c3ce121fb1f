"""Places transitions in their episodes: which one precedes which, and sums over each episode.

Measures of events and of changes compare a transition with the one before it. Rows of arrays may be
in any order and have gaps; nothing is compared across a gap or across the end of an episode.
"""

import numpy as np

from alpt_jax.measures import predictions


class Timeline:
  """Episode and timestep of each of M transitions.

  Attributes:
    episodes: [E] int64; ids of the episodes, ascending.
    index: [M] int64 in [0, E); the position in `episodes` of each transition's episode.
    order: [M] int64; the rows by episode, then by timestep.
    previous: [M] int64; the row of the timestep before in the same episode, -1 if there is none.
  """

  def __init__(self, episodes, timesteps):
    """Sorts transitions.

    Args:
      episodes: [M] int; equal for the transitions of an episode.
      timesteps: [M] int; place of each in its episode.

    Raises:
      ValueError: if the arrays are no [M] integers each, or two rows are the same transition.
    """
    num = len(np.atleast_1d(episodes))
    episodes = predictions.check_integers(episodes, num, 'episodes')
    timesteps = predictions.check_integers(timesteps, num, 'timesteps')
    self.episodes, self.index = np.unique(episodes, return_inverse=True)
    self.order = np.lexsort((timesteps, self.index))
    is_same = np.diff(self.index[self.order]) == 0
    gap = np.diff(timesteps[self.order])
    if np.any(is_same & (gap == 0)):
      row = self.order[int(np.argmax(is_same & (gap == 0)))]
      raise ValueError(f'episodes and timesteps have transition {timesteps[row]} of episode '
                       f'{episodes[row]} twice; expected each once.')
    self.previous = np.full(num, -1)
    is_next = np.flatnonzero(is_same & (gap == 1))
    self.previous[self.order[is_next + 1]] = self.order[is_next]

  def __len__(self):
    return len(self.index)

  def check(self, values, name, ndim=1):
    """Returns an array with a row for each transition.

    Args:
      values: [M, ...].
      name: of the array, for the message.
      ndim: of the array.

    Raises:
      ValueError: if it has another shape.
    """
    values = np.asarray(values)
    if values.ndim != ndim or len(values) != len(self):
      more = ', K' * (ndim - 1)
      raise ValueError(f'{name} has shape {values.shape}; expected [{len(self)}{more}], a row for '
                       'each transition.')
    return values

  def before(self, values, is_known):
    """Looks up the value of the timestep before.

    Args:
      values: [M, ...].
      is_known: [M, ...] bool, of the same shape.

    Returns:
      [M, ...] values of the timesteps before, 0 where there is none; [M, ...] bool: whether there
      is one that is known.
    """
    values, is_known = np.asarray(values), np.asarray(is_known, bool)
    has_one = (self.previous >= 0).reshape((-1,) + (1,) * (values.ndim - 1))
    has_one = has_one & is_known[self.previous]
    return np.where(has_one, values[self.previous], 0), has_one

  def sums(self, values):
    """Adds up [M, ...] finite numbers over each episode: [E, ...] float64."""
    values = np.asarray(values)
    columns = values.reshape(len(self), -1).T
    found = [np.bincount(self.index, weights=x, minlength=len(self.episodes)) for x in columns]
    return np.stack(found, axis=-1).reshape(len(self.episodes), *values.shape[1:])

  def draw_half(self, seed=0):
    """Draws half of the episodes, one more if their number is odd.

    What is fitted to them, e.g. a threshold, is scored on the others.

    Args:
      seed: of the draw.

    Returns:
      [M] bool; True for the transitions of the drawn episodes.

    Raises:
      ValueError: for fewer than two episodes.
    """
    num = len(self.episodes)
    if num < 2:
      raise ValueError(f'there are transitions of {num} episodes; expected at least 2, to fit on '
                       'one half of them and score on the other.')
    drawn = np.random.default_rng(seed).permutation(num)[:(num + 1) // 2]
    return np.isin(self.index, drawn)
