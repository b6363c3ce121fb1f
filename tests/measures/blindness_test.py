"""Whether an agent looks at its images."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import blindness


class PartnersTest(absltest.TestCase):

  def test_same_episode_and_more_than_20_steps_away(self):
    rng = np.random.default_rng(0)
    episodes, starts = rng.integers(3, size=200), rng.integers(100, size=200)
    found = blindness.partners(episodes, starts, seed=1)
    self.assertTrue((found >= 0).all())
    np.testing.assert_array_equal(episodes[found], episodes)
    self.assertGreater(np.abs(starts[found] - starts).min(), 20)

  def test_none_in_a_short_episode(self):
    np.testing.assert_array_equal(blindness.partners([0, 0, 1, 1], [0, 20, 0, 21]), [-1, -1, 3, 2])


class JudgeTest(parameterized.TestCase):

  def test_no_rise_is_blind(self):
    rng = np.random.default_rng(0)
    losses, episodes = rng.uniform(.5, 2, 400), np.repeat(np.arange(20), 20)
    found = blindness.judge(losses, losses + rng.normal(0, .05, 400), episodes)
    self.assertIs(found.is_blind, True)
    self.assertLess(found.rise.high, .05)

  def test_clear_rise_looks(self):
    losses, episodes = np.ones(10), np.repeat(np.arange(5), 2)
    found = blindness.judge(losses, losses + .06, episodes)
    self.assertIs(found.is_blind, False)
    self.assertAlmostEqual(found.rise.value, .06)
    self.assertEqual((found.loss, found.num_windows), (1., 10))

  def test_interval_on_both_sides_cannot_tell(self):
    """On average the rise is 0.04, but episodes differ: it may be more."""
    rise = np.repeat([0., .08] * 4, 10)
    found = blindness.judge(np.ones(80), 1 + rise, np.repeat(np.arange(8), 10))
    self.assertAlmostEqual(found.rise.value, .04)
    self.assertIsNone(found.is_blind)

  @parameterized.parameters((1, None), (4, None), (5, True))
  def test_few_episodes_say_nothing(self, num_episodes, expected):
    found = blindness.judge(np.ones(20), np.ones(20), np.arange(20) % num_episodes)
    self.assertIs(found.is_blind, expected)

  def test_refuses_no_windows(self):
    with self.assertRaisesRegex(ValueError, 'more than 20 steps apart'):
      blindness.judge([], [], [])

  def test_refuses_infinite_losses(self):
    with self.assertRaisesRegex(ValueError, 'not finite'):
      blindness.judge([np.inf], [1.], [0])


if __name__ == '__main__':
  absltest.main()
