"""Scripted players that record scenarios of Doom, mixed with uniformly random actions.

A script sees what is on the screen, by the game's own labels, and knows the map; it decides on keys
and where to look, and its hand turns the mouse there: by a share of the angle that is left, at
limited acceleration, never quite steadily. So a turn begins and ends over a few steps, as people's
do, and steps differ too much for the last one to tell the next. Mixed with uniform actions, from
many to few, scripts stand in for the checkpoints of an agent that learns.
"""

import collections

import numpy as np

from alpt_jax.domains.doom import geometry, scenarios

FORWARD, BACKWARD, LEFT, RIGHT, ATTACK = scenarios.KEYS
_GAIN = .6  # Share of the angle left that a step turns by.
_ACCELERATION = 14.  # Degrees a step by which a turn may differ from the last one.
_TREMOR = .6, .15  # Degrees, and share of the turn: standard deviations.
_BODY = 20.  # Radius of most monsters, on the map.
_REACH = 90.  # Of fists and of a chainsaw, to the middle of a monster.


def make(env, *, epsilon, seed):
  """Makes the player of a scenario.

  Args:
    env: the `env.Doom` that is played, made with `has_view`.
    epsilon: share in [0, 1] of steps whose action is drawn uniformly, all parts at once.
    seed: seeds the player's draws.

  Returns:
    A `Policy`.

  Raises:
    ValueError: if `epsilon` is outside [0, 1].
  """
  if not 0 <= epsilon <= 1:
    raise ValueError(f'epsilon is {epsilon}; expected a share in [0, 1].')
  rng = np.random.default_rng(seed)
  return Policy(_SCRIPTS[env.scenario](env, rng), env.scenario, epsilon, rng)


class Policy:
  """A script mixed with uniform actions.

  Attributes:
    is_random: whether the last action was drawn uniformly, whatever the state. What a script draws
      for itself, e.g. its tremor, is no such draw.
  """

  def __init__(self, script, scenario, epsilon, rng):
    self.is_random = False
    self._script, self._scenario, self._epsilon, self._rng = script, scenario, epsilon, rng

  def __call__(self, timestep):
    """Returns an action, [P] float32; the state is read from the game."""
    if timestep.first():
      self._script.begin()
    self.is_random = bool(self._rng.random() < self._epsilon)
    # The script plays on where it is not obeyed, so that its memory is of what it has seen.
    action = self._script()
    if self.is_random:
      action = scenarios.draw(self._scenario, self._rng)
      self._script.obey(action)
    return action


class _Script:
  """A player; subclasses decide on keys and where to look."""

  def __init__(self, env, rng):
    self._env, self._rng = env, rng
    self._walls = None
    self._turn = 0.  # The last one.
    self._places = collections.deque(maxlen=6)  # Of the last steps.
    self._bout = ()  # Keys pressed for some steps to come.
    self._bout_steps = 0
    self._side = 1  # To which it turns if nothing says where: 1 is to the right.
    self._glance = self._last_glance = None  # Where it looks by chance: an angle on the map.

  def begin(self):
    """Forgets the last episode."""
    self._walls = self._env.walls()
    self._turn, self._bout_steps, self._glance = 0., 0, None
    self._places.clear()
    self._side = self._rng.choice([-1, 1])

  def obey(self, action):
    """Takes note of an action that was taken instead of the script's."""
    self._turn = float(action[-1])

  def __call__(self):
    view = self._env.view()
    self._places.append((view.x, view.y))
    self._last_glance, self._glance = self._glance, None
    keys, angle = self.decide(view)
    self._move_mouse(angle)
    return np.array([part in keys for part in self._env.parts[:-1]] + [self._turn], np.float32)

  def decide(self, view):
    """Returns the keys to hold and the angle to turn by in the end, degrees to the right."""
    raise NotImplementedError

  def _move_mouse(self, angle):
    steady, share = _TREMOR
    goal = _GAIN * angle
    goal += self._rng.normal() * (steady + share * abs(goal))
    turn = self._turn + np.clip(goal - self._turn, -_ACCELERATION, _ACCELERATION)
    self._turn = float(np.clip(turn, -scenarios.MAX_TURN, scenarios.MAX_TURN))

  def _hold(self, choices, mean_steps):
    """Holds one of several tuples of keys for some steps, then another."""
    if self._bout_steps <= 0:
      self._bout = choices[self._rng.integers(len(choices))]
      self._bout_steps = 1 + self._rng.geometric(1 / mean_steps)
    self._bout_steps -= 1
    return self._bout

  def _is_stuck(self):
    """Whether it is where it was some steps ago."""
    if len(self._places) < self._places.maxlen:
      return False
    return np.abs(np.subtract(self._places[-1], self._places[0])).max() < 12

  def _look_around(self, view):
    """Looks around in glances: returns the angle to where it will look next."""
    goal = self._last_glance
    if goal is None or self._side * geometry.wrap(view.angle - goal) < 6:
      goal = view.angle - self._side * self._rng.uniform(35, 80)
    self._glance = goal
    return geometry.wrap(view.angle - goal)

  def _wander(self, view):
    """Walks on, and turns away from walls."""
    ahead, left, right = (geometry.clearance(
        self._walls, (view.x, view.y), view.angle - angle) for angle in (0, -40, 40))
    if ahead > 250 and not self._is_stuck():
      keys = {FORWARD} | ({RIGHT} if left < 60 else {LEFT} if right < 60 else set())
      return keys, 0.
    if abs(left - right) > 60:
      self._side = 1 if right > left else -1
    keys = {BACKWARD} if ahead < 50 else {FORWARD} if ahead > 120 else set()
    return keys, self._look_around(view)

  def _walk_to(self, view, place):
    """Walks to a place; sideways as well while it is aside."""
    angle = _angle_to(view, place)
    keys = {FORWARD} if abs(angle) < 60 else set()
    if 12 < abs(angle) < 75:
      keys.add(RIGHT if angle > 0 else LEFT)
    return keys, angle


class _Shooter(_Script):
  """Aims at the nearest monster on the screen and shoots; turns on until there is one."""
  home = None  # Where to look, in degrees on the map, while there is none; None to turn around.
  mean_steps = 6.  # Of moves to dodge.

  def decide(self, view):
    monster = _nearest(view, ('Monster',))
    if monster is None:
      return self.search(view)
    angle, distance = _angle_to(view, monster), _distance(view, monster)
    if abs(angle) > 3:
      self._side = np.sign(angle)
    keys = set(self.dodge(view, angle, distance))
    is_aimed = abs(angle) < 1.5 + np.degrees(np.arctan2(_BODY, distance))
    if is_aimed and (view.ammo or distance < _REACH):
      keys.add(ATTACK)
    return keys, angle

  def search(self, view):
    """Decides while there is no monster to be seen."""
    if self.home is not None:
      return set(), geometry.wrap(view.angle - self.home)
    return set(), self._look_around(view)

  def dodge(self, view, angle, distance):
    """Moves while aiming at a monster."""
    del view, angle, distance
    return self._hold(((LEFT,), (RIGHT,), ()), self.mean_steps)


class _DefendTheLine(_Shooter):
  home = 0.


class _Fighter(_Shooter):
  """Shoots what it sees, keeps its distance, and goes on when nothing is left."""
  far, near = 600., 130.

  def dodge(self, view, angle, distance):
    keys = set(self._hold(((LEFT,), (RIGHT,), (LEFT,), (RIGHT,), ()), self.mean_steps))
    if not view.ammo:
      return keys | {FORWARD}  # With its fists.
    if distance < self.near:
      return keys | {BACKWARD}
    return keys | {FORWARD} if distance > self.far else keys


class _DeadlyCorridor(_Fighter):
  """Clears the corridor from pair to pair, then takes the armour at its end."""
  far, near = 450., 200.

  def search(self, view):
    armour = [thing for thing in view.things if thing.category == 'Armor']
    if not armour:
      return set(), 0.
    return self._walk_to(view, armour[0])


class _Deathmatch(_Fighter):
  """Roams the arena, takes what it sees and shoots what it meets."""
  wanted = ('Weapon', 'Health', 'Armor', 'Ammo')

  def search(self, view):
    view = view._replace(things=[t for t in view.things if t.name != 'Chainsaw'])
    thing = _nearest(view, self.wanted)
    if thing is None or _distance(view, thing) > 500 or self._is_stuck():
      return self._wander(view)
    return self._walk_to(view, thing)


class _HealthGathering(_Script):
  """Runs from medikit to medikit; looks for one along the walls if there is none."""

  def decide(self, view):
    thing = _nearest(view, ('Health',))
    return self._wander(view) if thing is None else self._walk_to(view, thing)


class _MyWayHome(_Script):
  """Walks the shortest way through the rooms, looking as far ahead as it can."""
  _ways = None

  def begin(self):
    super().begin()
    goal, = (thing for thing in self._env.view().things if thing.category == 'Armor')
    if self._ways is None:  # The map and the goal are the same in all episodes.
      self._ways = geometry.Ways(self._walls, (goal.x, goal.y))

  def decide(self, view):
    if self._is_stuck():
      return {FORWARD, *self._hold(((LEFT,), (RIGHT,)), 4)}, 40. * self._side
    return self._walk_to(view, _Place(*self._ways.next_place((view.x, view.y))))


_SCRIPTS = {
    'deadly_corridor': _DeadlyCorridor,
    'deathmatch': _Deathmatch,
    'defend_the_center': _Shooter,
    'defend_the_line': _DefendTheLine,
    'health_gathering': _HealthGathering,
    'my_way_home': _MyWayHome,
}

_Place = collections.namedtuple('_Place', 'x y')


def _angle_to(view, place):
  """Degrees to the right by which a place is off the middle of the screen."""
  return geometry.wrap(view.angle - np.degrees(np.arctan2(place.y - view.y, place.x - view.x)))


def _distance(view, place):
  return np.hypot(place.x - view.x, place.y - view.y)


def _nearest(view, categories):
  """Picks what takes the shortest time to walk and turn to, of what is on the screen."""
  seen = [thing for thing in view.things if thing.category in categories and thing.width]
  return min(seen, default=None,
             key=lambda thing: _distance(view, thing) + 4 * abs(_angle_to(view, thing)))
