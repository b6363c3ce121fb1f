"""Evaluates agents in scenarios of Doom: the game's own reward of whole episodes, in lockstep.

Every episode is a game of its own, whose seed decides monsters and items. An agent is given rewards
as they were recorded, times `Scenario.reward_scale`; scores are those of the game.
"""

import dataclasses
import functools

import numpy as np

from alpt_jax.domains import play
from alpt_jax.domains.doom import env, scenarios

_SCORES = 'score', 'score_std', 'score_median'


class DoomEvaluator(play.Evaluator):
  """Plays episodes of one scenario; see `play.Evaluator`."""

  def __init__(self, player, scenario, *, num_episodes, frame_skip=scenarios.FRAME_SKIP):
    """Starts the games; compiles nothing yet.

    Args:
      player: an `acting.Player`, or what has its members; its actions may have parts that the
        scenario lacks.
      scenario: one of `scenarios.SCENARIOS`.
      num_episodes: episodes in a run; as many games are held open.
      frame_skip: tics a step.

    Raises:
      ValueError: for a player that cannot play the scenario, an unknown one, or a number out of
        range.
    """
    spec = scenarios.environment(scenario, frame_skip=frame_skip).spec()
    space = spec.actions.within(player.spec.actions, (f'the model ({player.spec.name})', scenario))
    play.check_spec(player, dataclasses.replace(spec, actions=space))
    about = scenarios.of(scenario)
    super().__init__(
        player, functools.partial(_Emulator, scenario, space, frame_skip),
        num_episodes=num_episodes, max_steps=about.max_tics // frame_skip, is_chance=True)
    self._scenario, self._frame_skip, self._scale = scenario, frame_skip, about.reward_scale

  def run(self, params, **options):
    """Plays all episodes.

    Args:
      params: of the player's network.
      **options: see `play.Evaluator.run`.

    Returns:
      As there, with scores in the game's own reward; and `scenario` and `frame_skip`.
    """
    result, episodes = super().run(params, **options)
    result |= {name: result[name] / self._scale for name in _SCORES}
    return result | {
        'scores': [score / self._scale for score in result['scores']],
        'scenario': self._scenario, 'frame_skip': self._frame_skip}, [
            episode | {'score': episode['score'] / self._scale} for episode in episodes]


class _Emulator:
  """One game; see `play`. It is a process that waits for every step."""

  def __init__(self, scenario, space, frame_skip):
    self._env = env.make(scenario, 0, frame_skip=frame_skip)
    self._space, self._scale = space, scenarios.of(scenario).reward_scale
    self._timestep = None

  def reset(self, seed):
    return self._env.reset(int(seed)).observation

  def send(self, action):
    stored = self._space.to_stored(action[None])
    self._timestep = self._env.step(np.array([stored[part][0] for part in self._env.parts]))

  def receive(self):
    observation, reward = self._timestep.observation, self._timestep.reward
    return observation, self._scale * reward, self._timestep.discount == 0
