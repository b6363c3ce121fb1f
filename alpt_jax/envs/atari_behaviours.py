"""Policies that record Atari data without any download.

'scripted' reads the console's memory, for the games in `SCRIPTED`; 'lookahead' plays any game by
trying actions out in the emulator; 'random' is uniform. Mixed with uniform actions they stand in
for the checkpoints of a learning agent, from bad to good. What they do is a function of the
emulator's state, as an agent's policy is, and they rather move than wait: an inverse dynamics model
learns from what is seen to change.

The addresses of the scripts are those published with AtariARI (Anand et al., 2019) and OCAtari
(Delfosse et al., 2023), checked by play. Coordinates are in the units of the memory, which differ
between objects; the offsets below align them.
"""

import functools

import numpy as np

from alpt_jax.envs import action_sets

(NOOP, FIRE, UP, RIGHT, LEFT, DOWN, UPRIGHT, UPLEFT, DOWNRIGHT, DOWNLEFT, UPFIRE, RIGHTFIRE,
 LEFTFIRE, DOWNFIRE) = range(14)

_EIGHT_WAYS = {  # (down, right)
    UP: (-1, 0), DOWN: (1, 0), LEFT: (0, -1), RIGHT: (0, 1), UPLEFT: (-1, -1), UPRIGHT: (-1, 1),
    DOWNLEFT: (1, -1), DOWNRIGHT: (1, 1), NOOP: (0, 0)}
_CAR_SPEEDS = (.8, 1, 4 / 3, 2, 4, -4, -2, -4 / 3, -1, -.8)  # Freeway, a step, from the lowest lane.


def make(name, game, env, *, epsilon, seed):
  """Makes a policy.

  Args:
    name: 'scripted', 'lookahead' or 'random'.
    game: one of `action_sets.GAMES`, of `SCRIPTED` for 'scripted'.
    env: the `atari.Atari` that is played.
    epsilon: share in [0, 1] of actions drawn uniformly from the game's minimal set.
    seed: seeds the policy's draws.

  Returns:
    policy(timestep) -> int, an index into the game's minimal actions.

  Raises:
    ValueError: if `name` or `game` is unknown, the game has no script, or `epsilon` is outside
      [0, 1].
  """
  action_sets.check_game(game)
  if not 0 <= epsilon <= 1:
    raise ValueError(f'epsilon is {epsilon}; expected a share in [0, 1].')
  rng = np.random.default_rng(seed)
  minimal = action_sets.MINIMAL_ACTIONS[game]
  if name == 'random':
    act = functools.partial(rng.integers, len(minimal))
  elif name == 'scripted':
    if game not in SCRIPTED:
      raise ValueError(f'There is no script for {game}; use "lookahead", or one of {SCRIPTED}.')
    script = _SCRIPTS[game]
    act = lambda: minimal.index(script(env.ram().astype(int), rng))  # noqa: E731
  elif name == 'lookahead':
    act = functools.partial(_look_ahead, env, len(minimal), rng)
  else:
    raise ValueError(f'Unknown behaviour {name!r}; expected "scripted", "lookahead" or "random".')

  def policy(timestep):
    del timestep  # The state is read from the emulator.
    return int(rng.integers(len(minimal)) if rng.random() < epsilon else act())

  return policy


_HORIZON = 16  # Steps.
_MAX_MACRO_STEPS = 6
_LIFE = 5.  # Points (of log-compressed score) that a life is worth.
_NUM_ROLLOUTS = 18


def _look_ahead(env, num_actions, rng):
  """Tries random plans from the current state and takes the first action of the best.

  A plan repeats each of its actions a few times; every legal action begins one at least. The best
  result counts, not the mean: the next step plans anew.
  """
  state, lives = env.clone(), env.lives
  first_actions = np.resize(rng.permutation(num_actions), max(num_actions, _NUM_ROLLOUTS))
  values = []
  for first in first_actions:
    actions = np.repeat(rng.integers(num_actions, size=_HORIZON),
                        rng.integers(1, _MAX_MACRO_STEPS + 1, size=_HORIZON))[:_HORIZON]
    actions[:rng.integers(1, _MAX_MACRO_STEPS + 1)] = first
    points, lives_left = env.simulate(actions, rng)
    values.append(points - _LIFE * max(lives - lives_left, 0))
    env.restore(state)
  return int(first_actions[np.argmax(values)])


def _toward(offset, tolerance, negative, positive, near=NOOP):
  """Picks the action that reduces an offset; `near` if it is within the tolerance."""
  if abs(offset) <= tolerance:
    return near
  return positive if offset > 0 else negative


def _signed(whole, fraction):
  """Reads a fixed-point number of two bytes."""
  return (whole + 128) % 256 - 128 + fraction / 256


def _breakout(ram, rng):
  """Goes where the ball will come down; plays with the paddle below it while it rises."""
  x, y = ram[99], ram[101]
  if y == 0:
    return FIRE
  speed_x, speed_y = -_signed(ram[105], ram[106]), _signed(ram[103], ram[104])
  knob = 243 - ram[70]  # The paddle's centre two frames from now; a step moves it by 23.
  if speed_y <= 0:
    return _toward(x - knob, 4, LEFT, RIGHT)
  # The side walls, 143 apart, reflect the ball; the paddle is at 178.
  beyond_wall = (x + speed_x * (178 - y) / speed_y - 57) % 286
  landing = 57 + min(beyond_wall, 286 - beyond_wall)
  return _toward(landing - knob, 8 if y < 150 else 11, LEFT, RIGHT)


def _asterix(ram, rng):
  """Runs for the nearest object that is no cauldron; keeps out of the cauldrons' way."""
  lane, x = ram[39], ram[41]
  lanes, xs, is_cauldron, is_eaten = np.arange(8), ram[42:50], ram[29:37] % 2 == 1, ram[73:81] > 0
  values = {}
  for action, (down, right) in _EIGHT_WAYS.items():
    new_lane, new_x = np.clip(lane + down, 0, 7), np.clip(x + 8 * right, 8, 144)
    detours = np.abs(xs - new_x) + 16 * np.abs(lanes - new_lane)
    is_hit = is_cauldron[new_lane] and abs(xs[new_lane] - new_x) < 28
    values[action] = (
        -np.min(detours, where=~is_cauldron & ~is_eaten, initial=300) - 1000 * is_hit
        - .1 * abs(new_x - 76) - abs(new_lane - 3.5))
  return max(values, key=values.get)


def _freeway(ram, rng):
  """Crosses where no car will be, waits before the others and backs off from them."""
  def is_hit(steps, y):
    lane = int((y - 18) // 16)
    if not 0 <= lane < 10:
      return False
    return abs((ram[108 + lane] + _CAR_SPEEDS[lane] * steps) % 160 - 48) < 14

  y = ram[14]
  if not any(is_hit(steps, y + 4 * steps + reach) for steps in range(1, 5) for reach in (0, 6)):
    return UP
  return DOWN if any(is_hit(steps, y) for steps in range(1, 5)) else NOOP


def _space_invaders(ram, rng):
  """Dodges bombs, otherwise lines up with the nearest column of invaders and shoots."""
  x = ram[28]
  for bomb_x, bomb_y in zip(ram[83:85], ram[81:83], strict=True):
    if 60 < bomb_y < 100 and abs(bomb_x - x - 4) < 7:
      return LEFT if (bomb_x > x + 4 and x > 37) or x > 120 else RIGHT
  alive = np.bitwise_or.reduce(ram[18:24])
  columns = np.flatnonzero(alive >> np.arange(6) & 1)
  if not len(columns):
    return FIRE
  offsets = ram[26] + 16 * (columns - columns[0]) - x
  offset = offsets[np.argmin(np.abs(offsets))]
  return _toward(offset, 3, LEFTFIRE, RIGHTFIRE, FIRE)


def _seaquest(ram, rng):
  """Shoots what is in its lane, collects divers, goes up for air when it has one."""
  x, y, air, num_divers = ram[70], ram[97], ram[102], ram[62]
  if (air < 20 and num_divers) or num_divers == 6:
    return UP
  if y < 20:
    return DOWN if air > 60 else NOOP  # Breathes.
  lane_ys = 108 - 24 * np.arange(4)
  # Up to three enemies a lane, 16 apart.
  enemies = [((ram[30 + i] + 16 * slot) % 256 - x, lane_ys[i] - y) for i in range(4)
             for slot in range(3) if ram[36 + i] >> (2 - slot) & 1]
  ahead = [dx for dx, dy in enemies if abs(dy) < 12 and abs(dx) < 110]
  if ahead:
    nearest = min(ahead, key=abs)
    return LEFTFIRE if nearest < 0 else RIGHTFIRE
  return _toward(60 - y, 4, UP, DOWN, rng.choice([LEFT, RIGHT]))


_SCRIPTS = {  # game -> function(ram [128] int, rng) -> id in the full action set.
    'Asterix': _asterix,
    'Breakout': _breakout,
    'Freeway': _freeway,
    'Seaquest': _seaquest,
    'SpaceInvaders': _space_invaders,
}
SCRIPTED = tuple(_SCRIPTS)
