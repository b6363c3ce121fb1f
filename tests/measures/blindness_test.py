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


class JudgeScoresTest(parameterized.TestCase):

  @parameterized.parameters(
      (10., True), (11., True),
      # The lowest mean of resampled games is 8: no resample reaches 7.9.
      (7.9, False), (0., False), (12.1, True), (99., True))
  def test_blind_inside_or_above_the_interval_of_its_own_score(self, exchanged, expected):
    scores = np.array([8., 12.] * 4)
    found = blindness.judge_scores(scores, np.full(8, exchanged))
    self.assertIs(found.is_blind, expected)
    self.assertEqual((found.score, found.num_games), (10., 8))
    self.assertAlmostEqual(found.exchanged_score, exchanged)

  def test_a_fall_that_the_exchanged_games_explain_cannot_be_told(self):
    scores, exchanged = np.array([9., 11.] * 4), np.array([-40., 57.] * 4)  # Means 10 and 8.5.
    found = blindness.judge_scores(scores, exchanged)
    self.assertLess(found.exchanged_score, found.low)
    self.assertIsNone(found.is_blind)
    self.assertLess(found.drop_low, 0)
    self.assertGreater(found.drop_high, 1.5)

  def test_the_same_games_rarely_look(self):
    rng = np.random.default_rng(0)
    games = rng.gamma(5, 2, size=(300, 2, 64))
    verdicts = [blindness.judge_scores(*pair).is_blind for pair in games]
    self.assertLessEqual(verdicts.count(False), .05 * len(verdicts))
    # A point in place of the exchanged games' own spread would let many more look.
    outside = [not found.low <= found.exchanged_score <= found.high for found in (
        blindness.judge_scores(*pair) for pair in games[:100])]
    self.assertGreater(sum(outside), 10)

  def test_interval_of_the_fall_is_over_games_of_both(self):
    own, exchanged = np.random.default_rng(0).normal([[10.], [4.]], [[2.], [1.]], size=(2, 400))
    found = blindness.judge_scores(own, exchanged)
    half = 1.96 * np.sqrt((own.var() + exchanged.var()) / 400)
    drop = own.mean() - exchanged.mean()
    self.assertAlmostEqual(found.drop_low, drop - half, delta=.1 * half)
    self.assertAlmostEqual(found.drop_high, drop + half, delta=.1 * half)
    self.assertIs(found.is_blind, False)

  def test_interval_is_over_games(self):
    scores = np.random.default_rng(0).normal(10, 2, size=400)
    found = blindness.judge_scores(scores, scores)
    half = 1.96 * scores.std() / np.sqrt(400)  # Of so many games, normal.
    self.assertAlmostEqual(found.low, scores.mean() - half, delta=.1 * half)
    self.assertAlmostEqual(found.high, scores.mean() + half, delta=.1 * half)

  def test_who_always_scores_the_same_looks_only_if_it_falls(self):
    """Its interval is a point."""
    self.assertIs(blindness.judge_scores([-20.] * 5, [-20.] * 5).is_blind, True)
    self.assertIs(blindness.judge_scores([-20.] * 5, [-20.] * 4 + [-19.]).is_blind, True)
    self.assertIs(blindness.judge_scores([-20.] * 5, [-21.] * 5).is_blind, False)
    # One game of five: a third of the resamples have none of it.
    self.assertIsNone(blindness.judge_scores([-20.] * 5, [-20.] * 4 + [-21.]).is_blind)

  @parameterized.parameters((1, None), (4, None), (5, True))
  def test_few_games_say_nothing(self, num_games, expected):
    found = blindness.judge_scores(np.arange(num_games), np.arange(num_games))
    self.assertIs(found.is_blind, expected)
    self.assertEqual(found.low is None, num_games == 1)

  @parameterized.parameters(([], [], r'shape \(0,\)'), ([1.], [1., 2.], r'shape \(1,\), exch'),
                            ([1.], [np.nan], 'exchanged scores are'), ([np.nan], [1.], 'values'))
  def test_refuses_what_cannot_be_compared(self, scores, exchanged, message):
    with self.assertRaisesRegex(ValueError, message):
      blindness.judge_scores(scores, exchanged)

  @parameterized.parameters(
      (True, True, True), (True, False, True), (False, True, True), (None, True, True),
      (True, None, True), (False, False, False), (None, False, None), (False, None, None),
      (None, None, None))
  def test_one_criterion_is_enough_to_be_blind_and_both_are_needed_to_look(
      self, by_loss, by_score, expected):
    self.assertIs(blindness.overall(by_loss, by_score), expected)


if __name__ == '__main__':
  absltest.main()
