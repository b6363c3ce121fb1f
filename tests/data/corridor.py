"""A corridor to record: small enough to compute every number of its episodes by hand."""

import dm_env
import numpy as np
from dm_env import specs

from alpt_jax import action_space, types


class Corridor(dm_env.Environment):
  """Cells 0 .. length - 1 in a row; action 1 moves right, 0 stays; reward 1 at the last cell.

  Episode i starts at cell i modulo (length - 1). An episode also ends after `horizon` steps, then
  without reward and without being terminal.
  """

  def __init__(self, length=8, horizon=20):
    self.length = length
    self.horizon = horizon
    self._num_episodes = 0

  def reset(self):
    self._cell = self._num_episodes % (self.length - 1)
    self._num_episodes += 1
    self._num_steps = 0
    return dm_env.restart(self._observation())

  def step(self, action):
    self._num_steps += 1
    self._cell += action
    if self._cell == self.length - 1:
      return dm_env.termination(1., self._observation())
    if self._num_steps == self.horizon:
      return dm_env.truncation(0., self._observation())
    return dm_env.transition(0., self._observation())

  def action_spec(self):
    return specs.DiscreteArray(2, dtype=np.int32)

  def observation_spec(self):
    return {'xy': specs.BoundedArray((2,), np.int32, 0, self.length - 1),
            'grid': specs.BoundedArray((1, self.length, 3), np.uint8, 0, 1)}

  def _observation(self):
    grid = np.zeros((1, self.length, 3), np.uint8)  # Walls (none), goal, agent.
    grid[0, -1, 1] = grid[0, self._cell, 2] = 1
    return {'xy': np.array([0, self._cell], np.int32), 'grid': grid}


def spec(kind='vector', length=8):
  """The EnvironmentSpec of a `Corridor`, for its 'vector' or its 'grid' observation."""
  is_vector = kind == 'vector'
  return types.EnvironmentSpec(
      name=f'corridor-{length}', observation_key='xy' if is_vector else 'grid',
      observation_kind=kind, observation_shape=(2,) if is_vector else (1, length, 3),
      actions=action_space.numbered(2), return_low=0, return_high=1, observation_low=0.,
      observation_high=length - 1.)
