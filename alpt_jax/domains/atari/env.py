"""One Atari game as a dm_env environment, preprocessed as the data of RL Unplugged is.

That is Dopamine's preprocessing: four frames a step, the pixelwise maximum of the last two in grey,
84x84 by area averaging; sticky actions, no no-op starts, the whole game as one episode and the raw
score as reward. Frames and rewards equal those of `ale_py.vector_env.AtariVectorEnv`, bit for bit,
with noop_max=0, use_fire_reset=False, stack_num=1 and reward_clipping=False, seed for seed; on top
of it, this environment has the RAM and can be cloned, which scripted behaviours need.
"""

import re
from typing import Any, NamedTuple

import ale_py
import cv2
import dm_env
import numpy as np
from ale_py import roms
from dm_env import specs

from alpt_jax.domains.atari import action_sets

FRAME_SKIP = 4
MAX_STEPS = 27_000  # 108,000 frames, 30 minutes of play.
STICKY = .25  # The data's; Machado et al. (2018).
OBSERVATION_SHAPE = (84, 84, 1)


class State(NamedTuple):
  """All that `Atari.restore` needs; read-only."""
  emulator: Any
  random: dict[str, Any]
  held_action: int
  frames: np.ndarray
  score: float
  num_steps: int
  needs_reset: bool


def make(game, seed, *, sticky=STICKY, max_steps=MAX_STEPS):
  """Starts an emulator with a game.

  Args:
    game: one of `action_sets.GAMES`.
    seed: int in [0, 2^31); decides where actions stick, over all episodes. The same seed and
      actions give the same observations and rewards.
    sticky: probability in [0, 1] with which a frame repeats the last frame's action.
    max_steps: agent steps after which an episode is cut off, with discount 1.

  Returns:
    An `Atari`.

  Raises:
    ValueError: if `game` is unknown or a number out of range.
    FileNotFoundError: if the game's ROM is not installed.
  """
  action_sets.check_game(game)
  if not 0 <= seed < 2**31:
    raise ValueError(f'seed of {game} is {seed}; expected an integer in [0, 2^31).')
  if not 0 <= sticky <= 1:
    raise ValueError(f'sticky of {game} is {sticky}; expected a probability in [0, 1].')
  if max_steps < 1:
    raise ValueError(f'max_steps of {game} is {max_steps}; expected at least 1 step.')
  return Atari(game, _load(rom_path(game)), seed, sticky, max_steps)


class Atari(dm_env.Environment):
  """A game in an emulator; made by `make`.

  An action is an index into the game's minimal action set, an observation [84, 84, 1] uint8, a
  reward the points scored in the step. The discount is 0 at game over and 1 at the step limit.

  Attributes:
    game: the game's name.
    score: points of the current episode so far.
  """

  def __init__(self, game, ale, seed, sticky, max_steps):
    self.game = game
    self.score = 0.
    self._ale = ale
    # Our draws are those ALE would make. Made by ALE, they could not be restored: its states leave
    # out which action is being held.
    self._random = np.random.RandomState(seed)
    self._sticky = sticky
    self._max_steps = max_steps
    self._actions = ale.getMinimalActionSet()
    self._held_action = self._actions[0]
    height, width = ale.getScreenDims()
    # The last two frames. After a step the first holds their maximum, as in AtariVectorEnv: it
    # shows once more where a game ends before its step does.
    self._frames = np.zeros((2, height, width), np.uint8)
    self._num_steps = 0
    self._needs_reset = True

  @property
  def held_index(self):
    """Index into the minimal actions of the action that a sticky frame would repeat."""
    return self._actions.index(self._held_action)

  @property
  def lives(self):
    """Lives left, the one being played included; 0 in games without lives."""
    return self._ale.lives()

  @property
  def held_action(self):
    """Id, in the full set, of the action of the last frame, which sticks; NOOP at a start."""
    return int(self._held_action.value)

  def screen(self):
    """Copies what a player sees.

    Returns:
      [210, 160, 3] uint8 in most games; RGB of the last frame.
    """
    return self._ale.getScreenRGB()

  def ram(self):
    """Copies the console's memory.

    Returns:
      [128] uint8.
    """
    return self._ale.getRAM()

  def reset(self):
    self._ale.reset_game()
    self._held_action = self._actions[0]
    self._ale.getScreenGrayscale(self._frames[0])
    self._frames[1] = 0
    self.score = 0.
    self._num_steps = 0
    self._needs_reset = False
    return dm_env.restart(self._observation())

  def step(self, action):
    if self._needs_reset:
      return self.reset()
    if not 0 <= action < len(self._actions):
      raise ValueError(f'action is {action}; expected an index into the {len(self._actions)} '
                       f'minimal actions of {self.game}.')
    return self._advance(action, lambda frame: self._draw_stick())

  def step_with_held(self, action, num_held):
    """Takes a step as `step`, but with a given sticky action: no random number is used.

    Args:
      action: index into the minimal action set.
      num_held: in [0, FRAME_SKIP]; so many of the first frames repeat the action that was held
        before. Later draws change nothing: the new action is the one that is held then.

    Returns:
      The `dm_env.TimeStep`; like `step`, past a game's end it is to be followed by `restore`.
    """
    return self._advance(action, lambda frame: frame < num_held)

  def _advance(self, action, is_held_fn):
    reward = 0.
    for frame in range(FRAME_SKIP):
      reward += self._act(action, is_held_fn(frame))
      if self._ale.game_over():
        break
      if frame >= FRAME_SKIP - 2:
        self._ale.getScreenGrayscale(self._frames[FRAME_SKIP - 1 - frame])
    self.score += reward
    self._num_steps += 1
    is_over = self._ale.game_over()
    self._needs_reset = is_over or self._num_steps == self._max_steps
    if is_over:
      return dm_env.termination(reward, self._observation())
    if self._needs_reset:
      return dm_env.truncation(reward, self._observation())
    return dm_env.transition(reward, self._observation())

  def simulate(self, actions, rng):
    """Plays without drawing frames, faster than `step`; `restore` a clone afterwards.

    Args:
      actions: [N] int, indices into the minimal action set.
      rng: `np.random.Generator` that decides where actions stick. Not the environment's own draws:
        looking ahead must not reveal them.

    Returns:
      ([N] float64 points scored in each step, lives left at the end); the points are 0 after game
      over.
    """
    is_held = rng.random((len(actions), FRAME_SKIP)) < self._sticky
    rewards = np.zeros(len(actions))
    for t, action in enumerate(actions):
      for frame in range(FRAME_SKIP):
        rewards[t] += self._act(action, is_held[t, frame])  # Nothing happens after game over.
    return rewards, self.lives

  def clone(self):
    """Captures everything the future depends on.

    Returns:
      A `State`.
    """
    return State(self._ale.cloneState(), self._random.get_state(legacy=False), self._held_action,
                 self._frames.copy(), self.score, self._num_steps, self._needs_reset)

  def restore(self, state):
    """Returns to a state: the same actions then give the same observations and rewards again.

    Args:
      state: a `State` of this environment.
    """
    self._ale.restoreState(state.emulator)
    self._random.set_state(state.random)
    self._held_action = state.held_action
    self._frames[:] = state.frames
    self.score = state.score
    self._num_steps = state.num_steps
    self._needs_reset = state.needs_reset

  def observation_spec(self):
    return specs.BoundedArray(OBSERVATION_SHAPE, np.uint8, 0, 255, name='observation')

  def action_spec(self):
    return specs.DiscreteArray(len(self._actions), name='action')

  def close(self):
    self._ale = None

  def _draw_stick(self):
    """Draws as ALE does: once for each of two players, of whom only the first plays."""
    return self._random.randint(2**32, size=2, dtype=np.uint32)[0] < self._sticky * 2.**32

  def _act(self, action, is_held):
    if not is_held:
      self._held_action = self._actions[action]
    return self._ale.act(self._held_action)

  def _observation(self):
    np.maximum(*self._frames, out=self._frames[0])
    return cv2.resize(self._frames[0], OBSERVATION_SHAPE[:2],
                      interpolation=cv2.INTER_AREA)[..., None]


def rom_path(game):
  """Finds the file of a game's program.

  Args:
    game: one of `action_sets.GAMES`.

  Returns:
    Its path; the stem is the name by which ALE knows the game, e.g. 'space_invaders'.

  Raises:
    FileNotFoundError: if it is not installed.
  """
  name = re.sub('(?<!^)(?=[A-Z])', '_', game).lower()
  try:
    path = roms.get_rom_path(name)
  except (FileNotFoundError, NotADirectoryError):
    path = None
  if path is None:
    raise FileNotFoundError(f'The ROM {name}.bin of {game} is missing; reinstall ale-py, which '
                            'brings it, or point ALE_ROMS_DIR to a directory that has it.')
  return path


def _load(path):
  ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
  ale = ale_py.ALEInterface()
  ale.setFloat('repeat_action_probability', 0.)
  ale.loadROM(path)  # Options count only if set before.
  return ale


class Played(NamedTuple):
  """A transition, for the card: the action, the unclipped reward, and `Policy.is_random`."""
  action: int
  reward: float
  is_random: bool


def play(env, policy):
  """Plays an episode; yields (timestep, the action before it), None before the first."""
  timestep = env.reset()
  yield timestep, None
  while not timestep.last():
    action = int(policy(timestep))
    timestep = env.step(action)
    yield timestep, action
