"""Checks the rewards and observations of an episode; a problem is half a sentence.

Callers put the place before it and the remedy behind it. Actions are
checked by their space, see `action_space`.
"""

import numpy as np


def reward_problem(rewards):
  """Looks for rewards [L] that are not finite; '' if there are none."""
  wrong = np.flatnonzero(~np.isfinite(rewards))
  if not wrong.size:
    return ''
  return (f'reward is {rewards[wrong[0]]} at step {wrong[0]} ({wrong.size} in all); expected a '
          'finite number')


def observation_problem(observations, spec):
  """Looks for observations [L, ...] outside the range of a `types.EnvironmentSpec`; '' if none."""
  low, high = spec.observation_range
  is_outside = ~((observations >= low) & (observations <= high))  # Also where it is NaN.
  if not is_outside.any():
    return ''
  t = int(np.argmax(is_outside.reshape(len(observations), -1).any(axis=1)))
  return (f'observation has {observations[t][is_outside[t]][0]} at step {t}; expected values in '
          f'[{low}, {high}]')
