"""Enumerates actions in the emulator: how well an action can be told from its consequences.

From the state before a step, all actions are played, with all numbers of frames for which the
action before may have been held (sticky actions). Those that lead to the observation that followed
are played on, one step more, and compared again. What is left agrees with o[t + 1] and o[t + 2];
a guess that knows only these and how often each action is played is best at the most probable. An
IDM that sees its whole window may know more of the policy, and do better.
"""

import numpy as np

from alpt_jax.domains.atari import env as atari


def held_probabilities(sticky):
  """Returns how probable each number of repeated frames is: [FRAME_SKIP + 1] float.

  Args:
    sticky: probability with which a frame repeats the last frame's action. Once a frame did not,
      the frames after it hold the new action either way.
  """
  frames = np.arange(atari.FRAME_SKIP + 1)
  return sticky ** frames * np.where(frames < atari.FRAME_SKIP, 1 - sticky, 1.)


def posterior(env, seen, prior, *, sticky):
  """Says how probable each action was, given what was seen after it.

  Args:
    env: `atari.Atari` at the state before the step; it is left there.
    seen: list of one or two `dm_env.TimeStep`, the next ones of the episode; one if the episode
      ends with it.
    prior: [A] float; probability of each minimal action, of this step and the next.
    sticky: probability of sticky actions with which `seen` came about.

  Returns:
    [A] float64, sums to 1.

  Raises:
    ValueError: if no action leads to what was seen.
  """
  prior, start = np.asarray(prior, np.float64), env.clone()
  try:
    joint = prior * _likelihood(env, seen, prior, held_probabilities(sticky))
  finally:
    env.restore(start)
  if not joint.sum() > 0:
    raise ValueError(f'no action of {env.game} leads to what was seen after step '
                     f'{start.num_steps}; expected the play of this emulator, with sticky {sticky} '
                     'and actions that the prior allows.')
  return joint / joint.sum()


def _likelihood(env, seen, prior, held):
  """Returns [A], the probability of `seen` after each action that `prior` allows."""
  state, before = env.clone(), env.held_index
  wanted, *later = seen
  found = {}  # By what the frames repeat: different draws lead to the same frames.
  likelihood = np.zeros(len(prior))
  for action in np.flatnonzero(prior).tolist():
    for num_held in np.flatnonzero(held).tolist():
      frames = (before,) * num_held + (action,) * (atari.FRAME_SKIP - num_held)
      if frames not in found:
        env.restore(state)
        is_same = _is_same(env.step_with_held(action, num_held), wanted)
        found[frames] = 0. if not is_same else (
            float(prior @ _likelihood(env, later, prior, held)) if later else 1.)
      likelihood[action] += held[num_held] * found[frames]
  return likelihood


def _is_same(timestep, wanted):
  """Whether two steps look the same and both, or neither, end the game."""
  return ((timestep.discount == 0) == (wanted.discount == 0)
          and np.array_equal(timestep.observation, wanted.observation))
