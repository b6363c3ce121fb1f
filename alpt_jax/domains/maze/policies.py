"""Policies that record the maze data.

The paper's is epsilon-greedy around breadth-first search (section 5.6, epsilon 0.5), as a mixture:
with probability epsilon the action is uniform over all four, the greedy one included. At 0.5 the
greedy action has probability 0.625, each other 0.125.
"""

import numpy as np

from alpt_jax.domains.maze import env


def epsilon_greedy_probs(walls, goal, epsilon):
  """Tabulates the policy.

  Args:
    walls: [n, n] bool.
    goal: (row, column).
    epsilon: in [0, 1].

  Returns:
    [n, n, 4] float64 probabilities of the actions in each cell; uniform where
    `env.optimal_actions` has none.

  Raises:
    ValueError: if `epsilon` is outside [0, 1].
  """
  if not 0 <= epsilon <= 1:
    raise ValueError(f'epsilon is {epsilon}; expected a probability in [0, 1].')
  uniform = np.full(env.NUM_ACTIONS, 1 / env.NUM_ACTIONS)
  greedy = env.optimal_actions(walls, goal)
  mixture = epsilon * uniform + (1 - epsilon) * np.eye(env.NUM_ACTIONS)[greedy]
  return np.where((greedy >= 0)[..., None], mixture, uniform)


class EpsilonGreedy:
  """Draws actions from `epsilon_greedy_probs`.

  Attributes:
    is_random: whether the last action is from the uniform part of the mixture.
  """

  def __init__(self, layout, epsilon, seed):
    """Makes the policy.

    Args:
      layout: the `env.Layout` acted in.
      epsilon: in [0, 1].
      seed: seeds the draws.

    Raises:
      ValueError: if `epsilon` is outside [0, 1].
    """
    self._probs = epsilon_greedy_probs(layout.walls, layout.goal, epsilon)
    self._epsilon = epsilon
    self._rng = np.random.default_rng(seed)
    # Actions are drawn from the mixture; which part each came from, given the action, has draws of
    # its own, so that the actions of a seed do not depend on it.
    self._mark_rng = np.random.default_rng([seed, 1])
    self.is_random = False

  def __call__(self, timestep):
    """Draws an action.

    Args:
      timestep: a `dm_env.TimeStep` of `env.Maze`.

    Returns:
      np.int32 in [0, 4).
    """
    row, column = timestep.observation['xy']
    probs = self._probs[row, column]
    action = np.int32(self._rng.choice(env.NUM_ACTIONS, p=probs))
    uniform = 1. if probs.max() == probs.min() else self._epsilon  # No way to the goal: all of it.
    self.is_random = bool(
        self._mark_rng.random() < uniform / env.NUM_ACTIONS / probs[action])
    return action
