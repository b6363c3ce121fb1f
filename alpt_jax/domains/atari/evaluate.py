"""Evaluates agents on Atari: raw points of whole games, all episodes in lockstep.

The protocol is that of Multi-Game Decision Transformers (Lee et al., 2022) as ALPT follows it: 16
episodes of at most 2,500 agent steps, no sticky actions, no no-op starts, a game ends with its last
life, and the score is the sum of unclipped rewards. Their release drops the reward of the step that
ends a game; here it counts.
"""

import functools
import pathlib

import numpy as np

try:
  from ale_py import vector_env  # Needs gymnasium, which ale-py does not bring.
except ImportError as error:
  raise ImportError(f'Evaluating on Atari needs ale-py and gymnasium ({error}): '
                    'pip install ".[atari]"') from error

from alpt_jax.domains import play
from alpt_jax.domains.atari import action_sets, env
from alpt_jax.domains.atari import scores as atari_scores


class AtariEvaluator(play.Evaluator):
  """Plays episodes of one game; see `play.Evaluator`.

  Without sticky actions a game has no chance in it: the episodes differ by what the agent samples,
  and if it samples nothing (arg max, but for the 'release' rule), one is played.
  """

  def __init__(self, player, game, *, num_episodes=16, max_steps=2500, sticky=0.):
    """Starts the emulators; compiles nothing yet.

    Args:
      player: an `acting.Player`, or what has its members; of the full action set, for 84 x 84 grey
        images.
      game: one of `action_sets.GAMES`.
      num_episodes: episodes in a run.
      max_steps: agent steps (four frames each) after which an episode is cut.
      sticky: probability that a frame repeats the last frame's action; .25 in the data.

    Raises:
      ValueError: for a player that cannot play the game, an unknown game, or a value out of range.
      FileNotFoundError: if the game's ROM is missing.
    """
    play.check_spec(player, action_sets.spec(game))
    if not 0. <= sticky < 1.:
      raise ValueError(f'sticky is {sticky}; expected a probability in [0, 1).')
    super().__init__(player, functools.partial(_Emulator, game, max_steps, sticky),
                     num_episodes=num_episodes, max_steps=max_steps, is_chance=sticky > 0)
    self._game, self._sticky = game, sticky

  def run(self, params, **options):
    """Plays all games.

    Args:
      params: of the player's network.
      **options: see `play.Evaluator.run`.

    Returns:
      As there; with `human_normalised`, 0 for random and 1 for human play, None where no human
      score is known, and `human_normalised_by`, whose; and `game` and `sticky`.
    """
    result, episodes = super().run(params, **options)
    return result | {
        'human_normalised': atari_scores.human_normalised(self._game, result['score']),
        'human_normalised_by': atari_scores.PUBLISHED,
        'game': self._game, 'sticky': self._sticky}, episodes


class _Emulator:
  """One game, with a thread of its own; see `play`."""

  def __init__(self, game, max_steps, sticky):
    self._emulator = _make_emulator(game, max_steps, sticky)

  def reset(self, seed):
    return self._emulator.reset(seed=np.array([seed]))[0][0, 0]

  def send(self, action):
    self._emulator.send(action[None])

  def receive(self):
    observation, reward, is_terminal, _, _ = self._emulator.recv()
    return observation[0, 0], reward[0], is_terminal[0]


def _make_emulator(game, max_steps, sticky):
  """Makes an emulator of one game with Dopamine's preprocessing, as the data was recorded."""
  return vector_env.AtariVectorEnv(
      pathlib.Path(env.rom_path(game)).stem, num_envs=1, num_threads=1, full_action_space=True,
      repeat_action_probability=sticky, noop_max=0, use_fire_reset=False, stack_num=1,
      reward_clipping=False, max_num_frames_per_episode=env.FRAME_SKIP * (max_steps + 1))
