"""Policies that record Atari data without any download.

'scripted' reads the console's memory, for the games in `SCRIPTED`; 'lookahead' plays any game by
trying actions out in the emulator; 'random' is uniform. Mixed with uniform actions they stand in
for the checkpoints of a learning agent, from bad to good. What they do is a function of the
emulator's state, as an agent's policy is.

A script moves only if it is off by more than half a step, and avoids to undo its last move: one
that overshoots and comes back tells its next action by its last, and whoever imitates it learns to
look at that instead of the game.

The addresses of the scripts are those published with AtariARI (Anand et al., 2019) and OCAtari
(Delfosse et al., 2023), checked by play. Coordinates are in the units of the memory, which differ
between objects; the offsets below align them.
"""

import functools

import numpy as np

from alpt_jax.domains.atari import action_sets

(NOOP, FIRE, UP, RIGHT, LEFT, DOWN, UPRIGHT, UPLEFT, DOWNRIGHT, DOWNLEFT, UPFIRE, RIGHTFIRE,
 LEFTFIRE, DOWNFIRE) = range(14)

_EIGHT_WAYS = {  # (down, right)
    UP: (-1, 0), DOWN: (1, 0), LEFT: (0, -1), RIGHT: (0, 1), UPLEFT: (-1, -1), UPRIGHT: (-1, 1),
    DOWNLEFT: (1, -1), DOWNRIGHT: (1, 1), NOOP: (0, 0)}


def make(name, game, env, *, epsilon, seed):
  """Makes a policy.

  Args:
    name: 'scripted', 'lookahead' or 'random'.
    game: one of `action_sets.GAMES`, of `SCRIPTED` for 'scripted'.
    env: the `atari.env.Atari` that is played.
    epsilon: share in [0, 1] of actions drawn uniformly from the game's minimal set.
    seed: seeds the policy's draws.

  Returns:
    A `Policy`.

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
    act = None  # Every action is drawn.
  elif name == 'scripted':
    if game not in SCRIPTED:
      raise ValueError(f'There is no script for {game}; use "lookahead", or one of {SCRIPTED}.')
    script = _SCRIPTS[game]
    act = lambda: minimal.index(  # noqa: E731
        script(np.append(env.ram().astype(int), env.held_action), rng))
  elif name == 'lookahead':
    act = functools.partial(_look_ahead, env, len(minimal), rng)
  else:
    raise ValueError(f'Unknown behaviour {name!r}; expected "scripted", "lookahead" or "random".')
  return Policy(act, len(minimal), 1. if name == 'random' else epsilon, rng)


class Policy:
  """A behaviour mixed with uniform actions.

  Attributes:
    is_random: whether the last action was drawn uniformly, whatever the state. What a behaviour
      draws for itself, e.g. a plan of the look-ahead, is no such draw.
  """

  def __init__(self, act, num_actions, epsilon, rng):
    """Mixes; see `make`.

    Args:
      act: act() -> index in [0, num_actions).
      num_actions: of the game's minimal set.
      epsilon: share in [0, 1] of uniform actions.
      rng: `np.random.Generator`.
    """
    self.is_random = False
    self._act, self._num_actions, self._epsilon, self._rng = act, num_actions, epsilon, rng

  def __call__(self, timestep):
    """Returns an index into the game's minimal actions; the state is read from the emulator."""
    del timestep
    self.is_random = bool(self._rng.random() < self._epsilon)
    return int(self._rng.integers(self._num_actions) if self.is_random else self._act())


_NUM_PLANS = 18  # As many as there are actions at most.
_PLAN_STEPS = 16
_MAX_REPEATS = 6
_LIFE = 5.  # As much as a prize of 31 points.


def _look_ahead(env, num_actions, rng):
  """Tries random plans from the current state and takes the first action of the best.

  A plan repeats each of its actions a few times; every legal action begins one at least. A single
  lucky outcome counts, not a mean: the next step plans anew.
  """
  state, lives = env.clone(), env.lives
  first_actions = np.resize(rng.permutation(num_actions), _NUM_PLANS)
  values = []
  for first_action in first_actions:
    actions = np.append(first_action, rng.integers(num_actions, size=_PLAN_STEPS - 1))
    plan = np.repeat(actions, rng.integers(1, _MAX_REPEATS + 1, size=_PLAN_STEPS))[:_PLAN_STEPS]
    rewards, lives_left = env.simulate(plan, rng)
    # Logarithms, so that no single large reward decides alone.
    points = np.sign(rewards) * np.log2(1 + np.abs(rewards))
    values.append(points.sum() - _LIFE * max(lives - lives_left, 0))
    env.restore(state)
  return first_actions[np.argmax(values)]


_HELD = 128  # Behind the 128 bytes of memory, scripts find the action that the emulator holds.
_STAY = 3.  # Units by which another place must be better to move; scripts of eight ways move by 4.


def _toward(offset, tolerance, negative, positive, near=NOOP):
  """Picks the action that reduces an offset; `near` if it is within the tolerance."""
  if abs(offset) <= tolerance:
    return near
  return positive if offset > 0 else negative


def _signed(whole, fraction=0):
  """Reads a fixed-point number of two bytes."""
  return (whole + 128) % 256 - 128 + fraction / 256


# A step of the knob is 22 units, more than a paddle is wide: what lies between two places where the
# paddle can rest is reached by a move that is under way when the ball comes down.
_KNOB_SPEED = 5.5  # Units a frame.
_LEFT_WALL, _RIGHT_WALL, _PADDLE_HEIGHT = 57, 200, 177
_BREAKOUT_STEPS = 7  # From wall to wall.


def _moves(num_steps):
  """Lists the ways to move without turning: from one step to another, left or right, or not.

  Returns:
    [plans, num_steps] int in {-1, 0, 1}; those that wait least come first.
  """
  steps = np.arange(num_steps)
  plans = [sign * ((begin <= steps) & (steps < end))
           for begin in steps for end in steps + 1 if begin < end for sign in (-1, 1)]
  return np.array([0 * steps, *plans])


_BREAKOUT_PLANS = _moves(_BREAKOUT_STEPS)


def _breakout(ram, rng):
  """Waits where the ball will come down; follows it from a step away while it rises."""
  x, y = ram[99], ram[101]
  if y == 0:
    return FIRE
  speed_x, speed_y = -_signed(ram[105], ram[106]), _signed(ram[103], ram[104])
  knob, paddle = 243 - ram[70], ram[72]  # The paddle follows the knob in about two frames.
  if speed_y <= 0 or y > _PADDLE_HEIGHT:
    return _toward(x - knob, 22, LEFT, RIGHT)  # A step.
  num_frames = int(np.ceil((_PADDLE_HEIGHT - y) / speed_y))
  # The side walls, 143 apart, reflect the ball.
  beyond_wall = (x + speed_x * num_frames - _LEFT_WALL) % (2 * (_RIGHT_WALL - _LEFT_WALL))
  landing = _LEFT_WALL + min(beyond_wall, 2 * (_RIGHT_WALL - _LEFT_WALL) - beyond_wall)
  centre, reach = (9, 7) if ram[108] == 8 else (6, 3)  # It shrinks at the upper wall.
  while num_frames > 4 * _BREAKOUT_STEPS:
    num_frames -= 4  # The paddle rests in these frames.
  knobs, paddles = np.full(len(_BREAKOUT_PLANS), knob), np.full(len(_BREAKOUT_PLANS), paddle)
  for frame in range(num_frames):
    knobs = knobs + _KNOB_SPEED * _BREAKOUT_PLANS[:, frame // 4]
    paddles = np.ceil((paddles + np.clip(knobs - 9, 55, 191)) / 2)
  offsets = np.abs(landing - paddles - centre)
  num_moves = np.abs(_BREAKOUT_PLANS).sum(axis=1)
  plan = np.argmin(100 * np.maximum(offsets - reach, 0) + num_moves + .02 * offsets)
  return (LEFT, NOOP, RIGHT)[_BREAKOUT_PLANS[plan, 0] + 1]


def _asterix(ram, rng):
  """Runs for the nearest object that is no cauldron; keeps out of the cauldrons' way."""
  is_cauldron, is_eaten = ram[29:37] % 2 == 1, ram[73:81] > 0  # One object a lane.
  down, right = np.array(list(_EIGHT_WAYS.values())).T
  lane, x = np.clip(ram[39] + down, 0, 7), np.clip(ram[41] + 8 * right, 8, 144)  # [moves]
  across = np.abs(ram[42:50] - x[:, None])  # [moves, lanes]
  detours = across + 16 * np.abs(np.arange(8) - lane[:, None])
  nearest = detours.min(axis=1, where=~is_cauldron & ~is_eaten, initial=300)
  is_hit = is_cauldron[lane] & (across[np.arange(len(lane)), lane] < 28)
  cost = nearest + 1000 * is_hit + .1 * abs(x - 76) + abs(lane - 3.5)  # The middle is safest.
  cost[-1] -= _STAY
  return list(_EIGHT_WAYS)[cost.argmin()]


# Pixels a step to the right, from the lowest lane up.
_CAR_SPEEDS = np.array([.8, 1, 4 / 3, 2, 4, -4, -2, -4 / 3, -1, -.8])
_FREEWAY_HORIZON = 12  # Steps; three lanes.


def _freeway(ram, rng):
  """Plans the way that gets farthest in the next steps without being hit."""
  y, lanes = ram[14], np.arange(10)
  steps = np.arange(1, _FREEWAY_HORIZON + 1)
  ys = np.arange(y % 4, 184, 4)  # A step moves by 4; the far side is at 176.
  cars = (ram[108:118] + _CAR_SPEEDS * steps[:, None]) % 160
  has_car = np.abs(cars - 46) < 8 + np.abs(_CAR_SPEEDS)  # [steps, lanes]
  is_hit = has_car @ (np.abs(ys - 16 - 16 * lanes[:, None]) < 8)  # [steps, ys]
  gains = .01 * ys - 50 * is_hit  # A hit throws back by 24; sooner is better.
  values = np.minimum(ys, 176.)
  for gain in gains[::-1]:
    values = values + gain
    choices = np.stack([np.append(values[1:], values[-1]), values,
                        np.append(values[0], values[:-1])])
    values = choices.max(axis=0)
  return (UP, NOOP, DOWN)[choices[:, min(y // 4, len(ys) - 1)].argmax()]


def _space_invaders(ram, rng):
  """Dodges bombs, otherwise lines up with the nearest column of invaders and shoots."""
  x = ram[28]
  bombs = [bomb_x - 4 - x for bomb_x, bomb_y in zip(ram[83:85], ram[81:83], strict=True)
           if 60 < bomb_y < 100]
  for bomb in bombs:
    if abs(bomb) < 7:
      return LEFT if (bomb > 0 and x > 37) or x > 120 else RIGHT
  alive = np.bitwise_or.reduce(ram[18:24])
  columns = np.flatnonzero(alive >> np.arange(6) & 1)
  if not len(columns):
    return FIRE
  offsets = ram[26] + 16 * (columns - columns[0]) - x
  offset = offsets[np.argmin(np.abs(offsets))]
  if any(abs(bomb) < 12 and bomb * offset > 0 for bomb in bombs):
    return FIRE  # Would go back under the bomb that it has dodged.
  return _toward(offset, 3, LEFTFIRE, RIGHTFIRE, FIRE)


def _seaquest(ram, rng):
  """Fetches divers and shoots what is in its lane; goes up for air when it has a diver."""
  x, y, air, num_divers = ram[70], ram[97], ram[102], ram[62]
  if y < 14 and air < 60:
    return NOOP  # Breathes; the surface is at 13.
  lanes, enemies, divers = np.arange(4), [], []  # (x, y), and the speed right of enemies.
  for lane, lane_y, speed in zip(lanes, 108 - 24 * lanes, np.where(ram[89:93] & 8, -1.5, 1.5),
                                 strict=True):
    first_x, other_x = (ram[30 + lane] + 128) % 256 - 128, ram[71 + lane]
    enemies += [(first_x + 16 * place, lane_y, speed) for place in range(3)
                if ram[36 + lane] >> (2 - place) & 1]
    if 0 < other_x < 160:  # A submarine's torpedo, or the lane's diver.
      if ram[89 + lane] % 8 in (4, 5, 6):
        enemies.append((other_x, lane_y, 2 * speed))
      else:
        divers.append((other_x, lane_y))
  if num_divers == 6 or num_divers and air < 20:
    goal = (x, 13)
  elif divers:
    goal = min(divers, key=lambda diver: abs(diver[0] - x) + abs(diver[1] - y))
  else:
    goal = (76, min((enemy_y for _, enemy_y, _ in enemies), default=60,
                    key=lambda enemy_y: abs(enemy_y - y)))

  def value(action):
    down, right = _EIGHT_WAYS[action]
    new_x, new_y = np.clip(x + 4 * right, 21, 134), np.clip(y + 4 * down, 13, 108)
    is_hit = any(abs(enemy_x + 2 * speed - new_x) < 22 and abs(enemy_y - new_y) < 14
                 for enemy_x, enemy_y, speed in enemies)
    stay = _STAY if action == NOOP and goal[1] > 13 else 0  # There is air at 13 only.
    return stay - abs(goal[0] - new_x) - abs(goal[1] - new_y) - 1000 * is_hit

  action = max(_EIGHT_WAYS, key=value)
  targets = [enemy_x - x for enemy_x, enemy_y, _ in enemies
             if abs(enemy_y - y) < 9 and abs(enemy_x - x) < 100]
  if not targets:
    return action
  nearest = min(targets, key=abs)
  if (nearest < 0) == (ram[86] == 8):  # It faces the target.
    if nearest * _EIGHT_WAYS[action][1] < 0 and value(NOOP) > -1000:
      action = NOOP  # Does not turn away.
    if ram[103]:
      return action  # Its torpedo is under way; the button must be released.
    return action + 8 if action != NOOP else FIRE
  if abs(nearest) > 30:
    return LEFTFIRE if nearest < 0 else RIGHTFIRE
  return action


def _pong(ram, rng):
  """Waits at the height at which the ball will arrive; follows it from afar as it flies away."""
  x, y, held_action = ram[49], ram[54], ram[_HELD]
  if y == 0:
    return FIRE
  # A step moves the paddle by 23, of which 13 come after the step.
  paddle = ram[51] + 7 + {LEFT: 13, RIGHT: -13}.get(held_action, 0)
  speed_x, speed_y = -_signed(ram[58]), _signed(ram[56])
  if speed_x <= 0:
    action = _toward(y - paddle, 12, RIGHT, LEFT)
  else:
    # The upper and lower wall, 159 apart, reflect the ball; the paddle is at 188.
    beyond_wall = (y + speed_y * (188 - x) / speed_x - 48) % 318
    arrival = 48 + min(beyond_wall, 318 - beyond_wall)
    action = _toward(arrival - paddle, 8, RIGHT, LEFT)
  # The paddle stops before it turns.
  return NOOP if {action, held_action} == {LEFT, RIGHT} else action


# x, speed right, height and speed upwards, a step.
_ATLANTIS_GUNS = {FIRE: (75, 0, 97, 12), RIGHTFIRE: (142, -12, 100, 8), LEFTFIRE: (17, 12, 90, 8)}


def _atlantis(ram, rng):
  """Fires the gun whose shot will meet a ship."""
  if any(90 <= height < 105 for height in ram[58:60]):
    return NOOP  # The button must be released after a shot.
  for ship in range(4):
    lane = ram[71 + ship] % 128
    if lane > 3 or not ram[36 + lane]:
      continue  # Not on the screen.
    speed = 4 * _signed(ram[75 + ship])
    for gun, (gun_x, shot_speed, start, rise) in _ATLANTIS_GUNS.items():
      steps = (113 + 21 * lane - start) / rise + 1
      if abs(ram[36 + lane] + speed * steps - gun_x - shot_speed * (steps - 1)) < 5:
        return gun
  return rng.choice([FIRE, RIGHTFIRE, LEFTFIRE]) if rng.random() < .3 else NOOP


def _star_gunner(ram, rng):
  """Flies to the height of the nearest enemy and shoots it; flies out from under bombs."""
  x, y = ram[21], ram[14]
  if ram[108] and abs(ram[33] - x) < 14 and -20 < y - ram[34] < 60:
    return LEFTFIRE if (ram[33] > x or x > 130) and x > 24 else RIGHTFIRE
  enemies = [(ram[74 + i] - x, ram[71 + i] - y) for i in range(3) if i <= ram[15] and ram[74 + i]]
  if not enemies:
    return _toward(70 - y, 8, UP, DOWN, LEFTFIRE if ram[19] == 246 else RIGHTFIRE)
  right, down = min(enemies, key=lambda enemy: abs(enemy[0]) + 2 * abs(enemy[1]))
  is_right = int(right > 0)
  is_facing = is_right == int(ram[19] != 246)
  if abs(right) < (18 if is_facing else 26):  # It would ram; goes aside first, with room to turn.
    return RIGHT if (right <= 0 or x < 24) and x < 130 else LEFT
  is_near = abs(right) < 32
  if abs(down) >= 6:
    if is_near:
      return UP if down < 0 else DOWN
    return ((UPLEFT, UPRIGHT) if down < 0 else (DOWNLEFT, DOWNRIGHT))[is_right]
  if is_near and is_facing:
    return NOOP if ram[40] else FIRE  # One shot.
  return (LEFT, RIGHT)[is_right] if ram[40] else (LEFTFIRE, RIGHTFIRE)[is_right]


# x, address and bits that say it is open up to the surface.
_GOPHER_HOLES = ((12, 1, 128), (28, 1, 24), (44, 1, 1), (108, 4, 24), (124, 4, 1), (140, 5, 24))


def _gopher(ram, rng):
  """Hits the gopher when it comes up; meanwhile fills the nearest hole."""
  x, gopher_x, height = ram[31] - 10, ram[41] - 4, ram[85]
  holes = [hole_x for hole_x, address, bits in _GOPHER_HOLES if ram[address] & bits == bits]
  goal = gopher_x if height > 5 or not holes else min(holes, key=lambda hole_x: abs(hole_x - x))
  if rng.random() < .05:
    return FIRE  # Goes on after a carrot was lost.
  return _toward(goal - x, 2, LEFT, RIGHT, rng.choice([UP, FIRE]))


def _frostbite(ram, rng):
  """Jumps to the nearest white ice; enters the igloo when it is built."""
  x, row = ram[102], (131 - ram[100]) // 26  # Row 0 is the lowest, 4 the shore.
  if ram[106]:
    return NOOP  # In the air.
  is_built = ram[77] == 15
  if row == 4 and is_built:
    return _toward(124 - x, 3, LEFT, RIGHT, UP)  # The door.
  white = [other for other in range(4) if other != row and ram[43 + other] == 12]
  goal = 4 if is_built or not white else min(white, key=lambda other: abs(other - row))
  jump, landing = (UP, row + 1) if goal > row else (DOWN, row - 1)
  if landing == 4:
    return jump if is_built or row == 3 and not white else DOWN
  drift = -4 if landing % 2 else 4  # Until the landing, seven steps from now; the rows alternate.
  offset = _nearest_ice(ram[31 + landing] + drift - x)
  if abs(offset) <= 6:
    return jump
  step = 3 if offset > 0 else -3
  if row < 4 and abs(_nearest_ice(ram[31 + row] - x - step)) > 10:
    return NOOP  # It would walk off its ice.
  return RIGHT if step > 0 else LEFT


def _nearest_ice(offset):
  """Pieces of a row lie 32 apart."""
  return (offset + 16) % 32 - 16


_SCRIPTS = {  # game -> function(ram [129] int, see _HELD; rng) -> id in the full action set.
    'Asterix': _asterix,
    'Atlantis': _atlantis,
    'Breakout': _breakout,
    'Freeway': _freeway,
    'Frostbite': _frostbite,
    'Gopher': _gopher,
    'Pong': _pong,
    'Seaquest': _seaquest,
    'SpaceInvaders': _space_invaders,
    'StarGunner': _star_gunner,
}
SCRIPTED = tuple(_SCRIPTS)
