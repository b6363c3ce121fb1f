"""Tests of the players that record scenarios of Doom."""

import numpy as np
from absl.testing import parameterized

from alpt_jax.domains.doom import env as doom
from alpt_jax.domains.doom import policies, record, scenarios

# Returns that scripts must reach. Means of 32 episodes, and of as many that are all random: 2103
# and -44, 21.8 and 2.3, 21.8 and 2.0, 35.1 and 12.3, 2100 and 452, .98 and -.03.
LEAST = {'deadly_corridor': 2000, 'deathmatch': 12, 'defend_the_center': 15, 'defend_the_line': 25,
         'health_gathering': 2000, 'my_way_home': .9}


class PoliciesTest(parameterized.TestCase):

  def play(self, scenario, *, epsilon=0., seed=0, num_steps=1):
    """Plays whole episodes of so many steps together."""
    env = doom.make(scenario, seed, has_view=True)
    self.addCleanup(env.close)
    policy, episodes = policies.make(env, epsilon=epsilon, seed=seed), []
    while sum(len(e.actions) for e in episodes) < num_steps:
      episodes.append(record.play(env, policy))
    return episodes

  @parameterized.parameters(*scenarios.SCENARIOS)
  def test_plays_far_better_than_at_random_and_moves_like_a_hand(self, scenario):
    episodes = self.play(scenario, num_steps=250)
    self.assertGreater(np.median([e.rewards.sum() for e in episodes]), LEAST[scenario])
    for episode in episodes:
      turns = episode.actions[:, -1]
      self.assertLessEqual(np.abs(np.diff(turns)).max(), 14.01)  # It accelerates.
      self.assertFalse(episode.is_random.any())
    turns = np.concatenate([e.actions[:, -1] for e in episodes])
    self.assertGreater(np.abs(turns).max(), 10)
    self.assertGreater(len(np.unique(turns)), .8 * len(turns))  # And is never quite steady.
    for key, held in enumerate(np.concatenate([e.actions[:, :-1] for e in episodes]).T):
      part = scenarios.of(scenario).parts[key]
      self.assertTrue(0 < held.mean() < 1, f'{part} is never held, or always')

  @parameterized.parameters('deadly_corridor', 'my_way_home')
  def test_a_seed_gives_the_same_play_and_another_seed_another(self, scenario):
    first, again, other = (self.play(scenario, epsilon=.2, seed=seed)[0] for seed in (5, 5, 6))
    for one, two in zip(first, again, strict=True):
      np.testing.assert_array_equal(one, two)
    length = min(len(first.actions), len(other.actions))
    self.assertTrue((first.actions[:length] != other.actions[:length]).any())

  def test_epsilon_is_the_share_of_uniform_actions_and_these_are_marked(self):
    episode, = self.play('health_gathering', epsilon=.4)
    num = len(episode.actions)
    self.assertAlmostEqual(episode.is_random.mean(), .4, delta=3 * (.24 / num)**.5)
    drawn = episode.actions[episode.is_random]
    np.testing.assert_allclose(drawn[:, :-1].mean(axis=0), .5, atol=.15)
    self.assertGreater(np.abs(drawn[:, -1]).max(), 27)
    forward = episode.actions[~episode.is_random, 0].mean()
    self.assertGreater(forward, .8)  # The script's, which runs.

  def test_epsilon_1_is_uniform(self):
    episode, = self.play('defend_the_center', epsilon=1.)
    self.assertTrue(episode.is_random.all())
    self.assertLess(abs(np.corrcoef(episode.actions[1:, -1], episode.actions[:-1, -1])[0, 1]), .35)

  @parameterized.parameters(-.1, 1.1, float('nan'))
  def test_refuses_shares_that_are_none(self, epsilon):
    with self.assertRaisesRegex(ValueError, 'epsilon is .*; expected a share in'):
      self.play('my_way_home', epsilon=epsilon)

  def test_every_scenario_has_a_script(self):
    self.assertEqual(list(LEAST), list(scenarios.SCENARIOS))
