"""One scenario of ViZDoom as a dm_env environment, played with keys and mouse.

The game waits for every step (sync mode), without window or sound, and is a function of the seed
and the actions. It renders 160 x 120, of which the observation is the mean of areas: 64 x 48 in
colour show a monster at 40 metres as one pixel or two, and a turn of a degree as a shift by .7
pixels; they are 1.3 times the bytes of an Atari frame.

ViZDoom draws nothing once an episode has ended. Steps are therefore played tic by tic, and the last
observation is the last frame that there was within the step.
"""

import os
import shlex
import sys
import tempfile
from typing import NamedTuple

import cv2
import dm_env
import numpy as np
import vizdoom
from dm_env import specs

from alpt_jax.domains.doom import scenarios

_PACKAGE = os.path.dirname(vizdoom.__file__)
# Starts the game where it may make a directory, and lets it die with the process that plays:
# of a process that was killed, it would wait for ever.
_START = """
import ctypes, os, sys
getattr(ctypes.CDLL(None), 'prctl', lambda *_: 0)(1, 9)  # PR_SET_PDEATHSIG, where there is one.
os.chdir(sys.argv[1])
os.execv(sys.argv[2], sys.argv[2:])
"""
_START_TICS = 14  # Until the weapon is raised and the player obeys.
_BUTTONS = {part: getattr(vizdoom.Button, button) for part, button in zip(scenarios.PARTS, (
    'MOVE_FORWARD', 'MOVE_BACKWARD', 'MOVE_LEFT', 'MOVE_RIGHT', 'ATTACK', 'TURN_LEFT_RIGHT_DELTA'),
    strict=True)}
_VARIABLES = tuple(getattr(vizdoom.GameVariable, name) for name in (
    'POSITION_X', 'POSITION_Y', 'ANGLE', 'HEALTH', 'SELECTED_WEAPON_AMMO'))


class Thing(NamedTuple):
  """An object of the game.

  Attributes:
    id: stays the same for an episode.
    name: of its class, e.g. 'DoomImp'; of the dead another.
    category: 'Monster', 'Health', 'Armor', 'Ammo', 'Weapon', ...
    x, y: on the map.
    width: pixels on the screen of 160 that it covers; 0 if it is not seen.
  """
  id: int
  name: str
  category: str
  x: float
  y: float
  width: int


class View(NamedTuple):
  """What scripts know of the game.

  Attributes:
    x, y: of the player, on the map.
    angle: degrees, counterclockwise from the map's x axis.
    health: up to 100 or 200; 0 when dead.
    ammo: of the weapon at hand.
    things: list of `Thing`, without the player.
  """
  x: float
  y: float
  angle: float
  health: float
  ammo: float
  things: list[Thing]


def make(scenario, seed, *, frame_skip=scenarios.FRAME_SKIP, has_view=False):
  """Starts a game.

  Args:
    scenario: one of `scenarios.SCENARIOS`.
    seed: int in [0, 2^31). The same seed and actions give the same observations and rewards, over
      all episodes.
    frame_skip: tics a step, 1 to 35; a turn is spread evenly over them.
    has_view: whether `Doom.view` and `Doom.walls` can be asked; the game is half as fast then.

  Returns:
    A `Doom`; to be closed, which ends the process of the game.

  Raises:
    ValueError: if the scenario is unknown or a number out of range.
  """
  settings = scenarios.of(scenario)
  if not 0 <= seed < 2**31:
    raise ValueError(f'seed of {scenario} is {seed}; expected an integer in [0, 2^31).')
  if not 1 <= frame_skip <= scenarios.TICS_PER_SECOND:
    raise ValueError(f'frame_skip of {scenario} is {frame_skip}; expected 1 to '
                     f'{scenarios.TICS_PER_SECOND} tics.')
  return Doom(scenario, settings, seed, frame_skip, has_view)


class Doom(dm_env.Environment):
  """A scenario in its game; made by `make`.

  An action is [P] float32: 0 or 1 for each key, then degrees to the right; an observation
  [48, 64, 3] uint8 RGB. The discount is 0 where the scenario ends and 1 at the step limit.

  Attributes:
    scenario: its name.
    parts: names of an action's parts.
    score: sum of the current episode's rewards so far.
  """

  def __init__(self, scenario, settings, seed, frame_skip, has_view):
    self.scenario, self.parts = scenario, settings.parts
    self.score = 0.
    self._random = np.random.default_rng(seed)
    self._frame_skip = frame_skip
    self._has_view = has_view
    self._max_steps = settings.max_tics // frame_skip
    self._low, self._high = scenarios.bounds(scenario)
    self._scale = np.where(np.array(self.parts) == scenarios.TURN, 1 / frame_skip, 1)
    self._state = None
    self._num_steps = 0
    self._needs_reset = True
    self._directory = tempfile.TemporaryDirectory(prefix='doom-')
    self._game = _start(scenario, self.parts, self._directory.name, has_view)

  def reset(self, seed=None):
    """Begins an episode: the one of a seed in [0, 2^31), or the next one."""
    # Each episode has a seed, so that it does not depend on how long others took.
    self._game.set_seed(int(self._random.integers(2**31) if seed is None else seed))
    self._game.new_episode()
    self._state = self._game.get_state()
    self.score = 0.
    self._num_steps = 0
    self._needs_reset = False
    return dm_env.restart(self._observation())

  def step(self, action):
    if self._needs_reset:
      return self.reset()
    self._game.set_action((self._check(action) * self._scale).tolist())
    for _ in range(self._frame_skip):
      self._game.advance_action(1, True)
      if self._game.is_episode_finished():
        break
      self._state = self._game.get_state()
    score = self._game.get_total_reward()
    reward, self.score = score - self.score, score
    self._num_steps += 1
    is_over = self._game.is_episode_finished()
    self._needs_reset = is_over or self._num_steps == self._max_steps
    if is_over:
      return dm_env.termination(reward, self._observation())
    if self._needs_reset:
      return dm_env.truncation(reward, self._observation())
    return dm_env.transition(reward, self._observation())

  def screen(self):
    """Copies what a player sees: [120, 160, 3] uint8 RGB."""
    return self._state.screen_buffer.copy()

  def view(self):
    """Returns the `View` of the current state; ValueError unless made with `has_view`."""
    self._check_view()
    widths = {label.object_id: label.width for label in self._state.labels}
    things = [Thing(o.id, o.name, o.category, o.position_x, o.position_y, widths.get(o.id, 0))
              for o in self._state.objects if o.name != 'DoomPlayer']
    return View(*self._state.game_variables, things)

  def walls(self):
    """Returns the walls of the map, [N, 2, 2] float: both ends of each line that blocks the way."""
    self._check_view()
    return np.array([((line.x1, line.y1), (line.x2, line.y2)) for sector in self._state.sectors
                     for line in sector.lines if line.is_blocking])

  def observation_spec(self):
    return specs.BoundedArray(scenarios.OBSERVATION_SHAPE, np.uint8, 0, 255, name='observation')

  def action_spec(self):
    return specs.BoundedArray(self._low.shape, np.float32, self._low, self._high, name='action')

  def close(self):
    self._game.close()
    self._directory.cleanup()

  def _check(self, action):
    action = np.asarray(action, np.float64)
    if action.shape != self._low.shape:
      raise ValueError(f'action has shape {list(action.shape)}; {self.scenario} has the parts '
                       f'{", ".join(self.parts)}.')
    for part, value, low, high in zip(self.parts, action, self._low, self._high, strict=True):
      is_key = part != scenarios.TURN
      if not low <= value <= high or is_key and value not in (0, 1):
        expected = '0 or 1' if is_key else f'{low:g} to {high:g} degrees'
        raise ValueError(f'{part} is {value:g}; {self.scenario} expects {expected}.')
    return action

  def _check_view(self):
    if not self._has_view:
      raise ValueError(f'{self.scenario} was made with has_view=False; expected True, or the game '
                       'does not say where things are.')

  def _observation(self):
    height, width, _ = scenarios.OBSERVATION_SHAPE
    return cv2.resize(self._state.screen_buffer, (width, height), interpolation=cv2.INTER_AREA)


def _start(scenario, parts, directory, has_view):
  game = vizdoom.DoomGame()
  game.load_config(os.path.join(vizdoom.scenarios_path, f'{scenario}.cfg'))
  game.set_doom_config_path(os.path.join(directory, 'doom.ini'))
  game.set_mode(vizdoom.Mode.PLAYER)
  game.set_window_visible(False)
  game.set_sound_enabled(False)
  game.set_screen_resolution(vizdoom.ScreenResolution.RES_160X120)
  game.set_screen_format(vizdoom.ScreenFormat.RGB24)
  game.set_render_screen_flashes(False)
  game.set_available_buttons([_BUTTONS[part] for part in parts])
  game.set_available_game_variables(list(_VARIABLES))
  game.set_labels_buffer_enabled(has_view)
  game.set_objects_info_enabled(has_view)
  game.set_sectors_info_enabled(has_view)
  game.set_episode_start_time(_START_TICS)
  game.set_episode_timeout(0)  # None: the frame after the last step would not be drawn.
  game.set_vizdoom_path(_launcher(directory))
  game.init()
  return game


def _launcher(directory):
  """Writes the program that ViZDoom starts instead of the game, see `_START`; returns its path."""
  path = os.path.join(directory, 'start')
  command = shlex.join([sys.executable, '-IS', '-c', _START, directory,
                        os.path.join(_PACKAGE, 'vizdoom')])
  with open(path, 'w', encoding='utf-8') as f:
    f.write(f'#!/bin/sh\nexec {command} "$@"\n')
  os.chmod(path, 0o700)
  return path
