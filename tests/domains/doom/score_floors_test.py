"""Floors of scores are of the recording's scenario, measured once, and refused for another."""

import contextlib
import pathlib
import tempfile
import types

import numpy as np
from absl.testing import parameterized

from alpt_jax.domains import play
from alpt_jax.domains.doom import env, policies, record, scenarios, score_floors

SCENARIO, SKIP = 'defend_the_center', 30


class Recording:
  """Two episodes of known actions."""
  digest, num_episodes = 'abc', 2
  actions = np.array([[0, 7.5], [1, -3]], np.float32), np.array([[1, 30]], np.float32)

  def actions_of(self, episode):
    return self.actions[episode], np.ones(self.actions[episode].shape, bool)


class ScoreFloorsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = self.enterContext(tempfile.TemporaryDirectory())

  def measure(self, **changes):
    return score_floors.measure(self.directory, Recording(), SCENARIO, **dict(
        num_episodes=2, frame_skip=SKIP) | changes)

  def test_every_agent_plays_the_same_games_once(self):
    found = self.measure()
    agents = found['agents']
    self.assertEqual(list(agents), [
        'random', 'recorded actions', 'always nothing', 'always attack', 'always turn',
        'always turn and attack', 'script'])
    self.assertLen(agents, score_floors.num_agents(SCENARIO))
    seeds = play.episode_seeds(0, 2)
    with contextlib.closing(env.make(SCENARIO, 9, frame_skip=SKIP, has_view=True)) as game:
      script = policies.make(game, epsilon=0., seed=0)
      for name, policy in (('script', script), (
          'always turn and attack', lambda _: np.array([1, 5], np.float32))):
        expected = [record.play(game, policy, seed=int(seed)).rewards.sum() for seed in seeds]
        self.assertEqual(agents[name]['scores'], expected)
        self.assertAlmostEqual(agents[name]['score'], np.mean(expected))
        self.assertAlmostEqual(agents[name]['standard_error'], abs(np.diff(expected)[0]) / 2)
    self.assertGreater(agents['script']['score'], agents['always nothing']['score'])
    path = pathlib.Path(score_floors.path_of(self.directory))
    before = path.stat().st_mtime_ns
    self.assertEqual(self.measure(), found)
    self.assertEqual(path.stat().st_mtime_ns, before)
    self.assertEqual(score_floors.known(self.directory, Recording(), SCENARIO, frame_skip=SKIP),
                     found)
    for settings, message in ((dict(frame_skip=4), 'protocol frame_skip is 30; expected 4'),
                              (dict(num_episodes=3), 'protocol num_episodes is 2; expected 3')):
      with self.assertRaisesRegex(ValueError, message):
        self.measure(**settings)
    with self.assertRaisesRegex(ValueError, "protocol scenario is 'defend_the_center'; expected "
                                            "'deathmatch'"):
      score_floors.known(self.directory, Recording(), 'deathmatch', frame_skip=SKIP)

  def test_recorded_actions_come_in_their_order(self):
    rng = np.random.default_rng(0)
    replay = score_floors._Replay(Recording(), rng)
    first, other = (types.SimpleNamespace(first=lambda is_first=x: is_first) for x in (True, False))
    played = [tuple(replay(first if i in (0, 31) else other)) for i in range(60)]
    followed = {(0., 7.5): [(1., -3.)], (1., -3.): [(0., 7.5), (1., 30.)],
                (1., 30.): [(0., 7.5), (1., 30.)]}
    for i in range(59):
      if i != 30:  # There, a new episode begins.
        self.assertIn(played[i + 1], followed[played[i]])
    self.assertLen(set(played), 3)
    self.assertIn(played[31], [(0., 7.5), (1., 30.)])

  def test_constants_hold_what_their_names_say(self):
    found = score_floors.constants('my_way_home')
    self.assertEqual({name: action.tolist() for name, action in found.items()}, {
        'always nothing': [0, 0, 0, 0], 'always forward': [1, 0, 0, 0],
        'always left': [0, 1, 0, 0], 'always right': [0, 0, 1, 0], 'always turn': [0, 0, 0, 5]})
    corridor = score_floors.constants('deadly_corridor')
    self.assertEqual(corridor['always forward and attack'].tolist(), [1, 0, 0, 0, 1, 0])
    for name in scenarios.SCENARIOS:
      low, high = scenarios.bounds(name)
      for action in score_floors.constants(name).values():
        self.assertTrue(((low <= action) & (action <= high)).all())

  def test_in_short_keeps_the_best_constant(self):
    numbers = dict(standard_error=.5, scores=[1., 2.])
    agents = {name: {'score': score} | numbers for name, score in {
        'random': 1., 'recorded actions': 2., 'always nothing': -3., 'always turn': -2.,
        'script': 9.}.items()}
    self.assertEqual(score_floors.in_short({'protocol': {'seed': 0}, 'agents': agents}), {
        'protocol': {'seed': 0}, 'agents': {
            name: {'score': score, 'standard_error': .5, 'num_episodes': 2}
            for name, score in (('random', 1.), ('always turn', -2.), ('recorded actions', 2.))}})

  def test_one_game_is_too_few(self):
    with self.assertRaisesRegex(ValueError, 'num_episodes is 1; expected at least 2'):
      self.measure(num_episodes=1)
