"""Predictions of an IDM with the true actions, checked once for all measures of labels.

An IDM's label is its most probable action, the first of equals; the confidence in it is its
probability. Transitions of one episode are alike, so intervals are about other episodes, not about
other steps of these.
"""

import functools

import numpy as np

_SUM_TOLERANCE = 1e-4  # Of float32 probabilities to sum to 1.


class Predictions:
  """What an IDM says of M transitions that no training saw, and what was done in them.

  Attributes:
    probabilities: [M, A] float64; each row sums to 1.
    actions: [M] int64 in [0, A); the truth.
    episodes: [M] int64; equal for the transitions of an episode. None if it was not given.
    timesteps: [M] int64; place of the transition in its episode. None if it was not given.
    num_actions: A.
  """

  def __init__(self, probabilities, actions, episodes=None, timesteps=None):
    """Checks the arrays, whose rows may be in any order.

    Raises:
      ValueError: naming the array and its first entry that is not as said above.
    """
    self.probabilities = _check_probabilities(probabilities)
    num_transitions, self.num_actions = self.probabilities.shape
    self.actions = check_actions(actions, num_transitions, self.num_actions)
    self.episodes, self.timesteps = (
        None if values is None else check_integers(values, num_transitions, name)
        for name, values in (('episodes', episodes), ('timesteps', timesteps)))

  def __len__(self):
    return len(self.actions)

  @functools.cached_property
  def labels(self):
    """[M] int64."""
    return self.probabilities.argmax(axis=1)

  @functools.cached_property
  def is_right(self):
    """[M] bool, of the labels."""
    return self.labels == self.actions

  @functools.cached_property
  def confidence(self):
    """[M] float64, of the labels."""
    return np.minimum(self.probabilities.max(axis=1), 1)  # Rounding can put it above 1.

  @functools.cached_property
  def of_truth(self):
    """[M] float64; the probability of each true action."""
    return self.probabilities[np.arange(len(self)), self.actions]

  def check_legal(self, legal_actions):
    """Refuses probability outside the actions that the environment knows.

    An IDM masks those before its softmax, so they have probability 0 exactly. Anything else means a
    wrong mask, or labels of another environment.

    Args:
      legal_actions: ids in [0, A), as in `types.EnvironmentSpec`.

    Raises:
      ValueError: naming the transition and the action of the first such probability; or if
        `legal_actions` are not as said above.
    """
    if not len(legal_actions):
      raise ValueError(f'legal_actions are {legal_actions}; expected at least one.')
    legal = check_integers(legal_actions, len(legal_actions), 'legal_actions')
    refuse(legal, (legal < 0) | (legal >= self.num_actions), 'legal_actions',
           f'an id in [0, {self.num_actions}), the actions that have a probability')
    is_legal = np.zeros(self.num_actions, bool)
    is_legal[legal] = True
    refuse(self.probabilities, (self.probabilities != 0) & ~is_legal, 'probabilities',
           f'0: the legal actions are {sorted(set(legal.tolist()))}')


def _check_probabilities(probabilities):
  """Returns [M, A] float64; refuses what is no distribution per transition."""
  probabilities = np.asarray(probabilities, np.float64)
  if probabilities.ndim != 2:
    raise ValueError(f'probabilities have shape {probabilities.shape}; expected '
                     '[transitions, actions].')
  if not probabilities.size:
    raise ValueError(f'probabilities have shape {probabilities.shape}; expected at least one '
                     'transition and one action.')
  # Not (>= 0), so that NaN is found, too; what is above 1 has a wrong sum.
  refuse(probabilities, ~(probabilities >= 0), 'probabilities', 'a number in [0, 1]')
  sums = probabilities.sum(axis=1)
  is_wrong = ~(np.abs(sums - 1) <= _SUM_TOLERANCE)
  if is_wrong.any():
    i = int(is_wrong.argmax())
    raise ValueError(f'probabilities[{i}] sum to {sums[i]:.6g}; expected 1 within '
                     f'{_SUM_TOLERANCE}.')
  return probabilities


def refuse(values, is_wrong, name, expected):
  """Raises a ValueError that names the first wrong entry."""
  if is_wrong.any():
    index = tuple(int(i) for i in np.argwhere(is_wrong)[0])
    raise ValueError(f'{name}{list(index)} is {values[index]}; expected {expected}.')


def check_integers(values, num_transitions, name):
  """Returns [M] integers."""
  values = np.asarray(values)
  if values.shape != (num_transitions,):
    raise ValueError(f'{name} have shape {values.shape}; expected ({num_transitions},), one for '
                     'each transition that was predicted.')
  if not np.issubdtype(values.dtype, np.integer):
    raise ValueError(f'{name} are of type {values.dtype}; expected integers.')
  return values.astype(np.int64)


def check_actions(actions, num_transitions, num_actions):
  """Returns [M] ids; refuses those that are none of `num_actions`."""
  actions = check_integers(actions, num_transitions, 'actions')
  refuse(actions, (actions < 0) | (actions >= num_actions), 'actions',
         f'an id in [0, {num_actions}), the actions that have a probability')
  return actions
