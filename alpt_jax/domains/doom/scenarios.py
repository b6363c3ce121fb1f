"""Scenarios of ViZDoom as environments: their keys, their lengths, and how actions are drawn.

An action has one part for each key that a scenario has, 1 while it is held for the step, and
'turn', the mouse: the degrees by which the player turns to the right in the step. The game is
Kempka et al. (2016), the scenarios are those that the package ships, with wider sets of keys: maps
that can be walked are.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax import action_parts
from alpt_jax.data import environment_file

KEYS = 'forward', 'backward', 'left', 'right', 'attack'
TURN = 'turn'
PARTS = (*KEYS, TURN)
MAX_TURN = 30.  # Degrees a step, each way. With four tics a step a third of the view: 260 a second.
TICS_PER_SECOND = 35
FRAME_SKIP = 4  # Tics a step: 8.75 steps a second.
OBSERVATION_SHAPE = (48, 64, 3)
RETURNS = -20, 100  # Of all scenarios, in recorded rewards: one return token serves them all.
_BINS, _GROWTH = 41, 4.  # Of turns: .6 degrees wide around 0, as a hand trembles, to 2.8.


class Scenario(NamedTuple):
  """What an environment has.

  Attributes:
    parts: of its actions, in the order of `PARTS`; all have 'turn'.
    max_tics: after which an episode is cut, with discount 1.
    reward_scale: recorded rewards are those of the game times this, so that returns of all
      scenarios lie within `RETURNS`.
  """
  parts: tuple[str, ...]
  max_tics: int
  reward_scale: float


SCENARIOS = {
    'deadly_corridor': Scenario(PARTS, 2100, .04),
    'deathmatch': Scenario(PARTS, 2100, 1.),
    'defend_the_center': Scenario(('attack', TURN), 2100, 4.),
    'defend_the_line': Scenario(('left', 'right', 'attack', TURN), 2100, 2.),
    'health_gathering': Scenario(('forward', 'backward', 'left', 'right', TURN), 2100, .04),
    'my_way_home': Scenario(('forward', 'left', 'right', TURN), 2100, 90.),
}


def of(name):
  """Returns the `Scenario` of a name; ValueError if there is none."""
  if name not in SCENARIOS:
    raise ValueError(f'scenario is {name!r}; expected one of {", ".join(SCENARIOS)}.')
  return SCENARIOS[name]


def environment(name, *, frame_skip=FRAME_SKIP):
  """Returns the `environment_file.Environment` of recordings of a scenario."""
  parts = tuple(map(action_parts.Binary, of(name).parts[:-1]))
  turn = action_parts.Continuous(TURN, -MAX_TURN, MAX_TURN, unit='degrees', mode='delta',
                                 num_bins=_BINS, growth=_GROWTH)
  return environment_file.Environment(
      name=name,
      observation=environment_file.Observation(kind='image', shape=OBSERVATION_SHAPE),
      actions=environment_file.ActionParts(parts=(*parts, turn)),
      reward=environment_file.Reward(), returns=RETURNS,
      steps_per_second=TICS_PER_SECOND / frame_skip)


def bounds(name):
  """Returns the lowest and the highest action of a scenario, each [P] float32."""
  high = np.array([1] * (len(of(name).parts) - 1) + [MAX_TURN], np.float32)
  low = np.zeros_like(high)
  low[-1] = -MAX_TURN
  return low, high


def draw(name, rng):
  """Draws a uniform action of a scenario: [P] float32; each key is held with probability 1/2."""
  action = rng.integers(2, size=len(of(name).parts)).astype(np.float32)
  action[-1] = rng.uniform(-MAX_TURN, MAX_TURN)
  return action
