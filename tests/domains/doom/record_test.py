"""Tests of recordings of Doom."""

import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from alpt_jax.data import environment_file, records, rlds
from alpt_jax.domains.doom import env as doom
from alpt_jax.domains.doom import record, scenarios

SETTINGS = record.Settings(num_steps=240, num_checkpoints=3, first_epsilon=.8, last_epsilon=.05)


class RecordTest(parameterized.TestCase):

  def test_episodes_are_aligned_and_get_less_random_with_each_checkpoint(self):
    episodes = list(record.episodes('defend_the_center', SETTINGS))
    for episode in episodes:
      length = len(episode.actions)
      self.assertEqual(episode.observations.shape, (length + 1, *scenarios.OBSERVATION_SHAPE))
      self.assertEqual(episode.actions.shape, (length, 2))
      self.assertEqual((episode.rewards.shape, episode.is_random.shape), ((length,), (length,)))
      self.assertEqual([x.dtype for x in episode[:4]], [np.uint8, np.float32, np.float32, bool])
    checkpoints = [e.checkpoint for e in episodes]
    self.assertEqual(sorted(set(checkpoints)), [0, 1, 2])
    self.assertEqual(checkpoints, sorted(checkpoints))
    shares = [np.concatenate([e.is_random for e in episodes if e.checkpoint == c]).mean()
              for c in range(3)]
    np.testing.assert_allclose(shares, [.8, .2, .05], atol=.15)
    num_steps = np.cumsum([len(e.actions) for e in episodes])
    self.assertGreaterEqual(num_steps[-1], 240)
    for c in (0, 1, 2):  # The last episode of each is the one that reaches its share.
      last = max(i for i, found in enumerate(checkpoints) if found == c)
      self.assertGreaterEqual(num_steps[last], 80 * (c + 1))
      first = checkpoints.index(c)
      if last > first:
        self.assertLess(num_steps[last - 1], 80 * (c + 1))

  def test_datasets_hold_what_was_played(self):
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'deadly_corridor')
    done = []
    card = record.record('deadly_corridor', directory, SETTINGS, progress=done.append)
    played = list(record.episodes('deadly_corridor', SETTINGS))
    environment = environment_file.read(directory)
    self.assertEqual(environment, scenarios.environment('deadly_corridor'))
    found = rlds.read_episodes(directory, environment.spec(), expected_name='deadly_corridor')
    self.assertLen(played, found.num_episodes)
    marks = records.random_draws(directory)
    for i, episode in enumerate(played):
      length = len(episode.actions)
      cut = found.cut(np.array([i]), np.array([0]), length)
      np.testing.assert_array_equal(cut.observations[0], episode.observations)
      np.testing.assert_array_equal(cut.actions[0], episode.actions)
      np.testing.assert_allclose(cut.rewards[0], .04 * episode.rewards, rtol=1e-6)
      self.assertTrue(cut.is_labelled.all())
      np.testing.assert_array_equal(marks[i], episode.is_random)
    scores = [[e.rewards.sum() for e in played if e.checkpoint == c] for c in range(3)]
    np.testing.assert_allclose([c['mean_score'] for c in card['checkpoints']],
                               [np.mean(own) for own in scores], rtol=1e-5)
    self.assertEqual([c['num_episodes'] for c in card['checkpoints']], list(map(len, scores)))
    self.assertEqual((done[-1], len(done)), (240, len(played)))
    low, high = environment.returns
    for own in scores:
      self.assertBetween(.04 * min(own), low, high)
      self.assertBetween(.04 * max(own), low, high)

  def test_played_again_the_actions_give_the_same_frames_and_rewards(self):
    episode = next(record.episodes('deadly_corridor', SETTINGS))
    (seed, _), *_ = record.seeds('deadly_corridor', SETTINGS)
    env = doom.make('deadly_corridor', seed)
    self.addCleanup(env.close)
    actions = iter(episode.actions)
    again = record.play(env, lambda timestep: next(actions))
    for one, two in zip(episode[:3], again[:3], strict=True):
      np.testing.assert_array_equal(one, two)
    self.assertEqual(episode.is_terminal, again.is_terminal)

  def test_the_same_settings_give_the_same_episodes_again_and_scenarios_have_draws_of_their_own(
      self):
    one, two = (next(record.episodes('my_way_home', SETTINGS)) for _ in range(2))
    for first, again in zip(one, two, strict=True):
      np.testing.assert_array_equal(first, again)
    seeds = [record.seeds(name, SETTINGS) for name in scenarios.SCENARIOS]
    self.assertLen({seed for pairs in seeds for pair in pairs for seed in pair},
                   2 * 3 * len(scenarios.SCENARIOS))

  @parameterized.parameters(
      (dict(num_checkpoints=0), 'num_checkpoints is 0'),
      (dict(num_steps=5), 'num_checkpoints is 10 and num_steps 5; expected at least one'),
      (dict(first_epsilon=0.), r'first_epsilon is 0.0; expected a share in \(0, 1\]'),
      (dict(last_epsilon=1.5), 'last_epsilon is 1.5; expected a share'),
      (dict(seed=-1), 'seed is -1; expected at least 0'))
  def test_refuses_settings(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      record.Settings(**settings)
