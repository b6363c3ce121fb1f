"""Intervals: known values, what they are over, coverage, and censoring that stays censoring."""

import dataclasses
import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import intervals

AtLeast = intervals.AtLeast
# Student (1908), hours of sleep gained; R's t.test(extra ~ group, sleep, paired = TRUE) prints
# t = -4.0621, df = 9, p-value = 0.002833, interval -2.4598858 to -0.7001142.
SLEEP_1 = dict(enumerate([.7, -1.6, -.2, -1.2, -.1, 3.4, 3.7, .8, 0., 2.]))
SLEEP_2 = dict(enumerate([1.9, .8, 1.1, .1, -.1, 4.4, 5.5, 1.6, 4.6, 3.4]))


class MeanTest(parameterized.TestCase):

  def test_by_hand(self):
    # Mean 3, std sqrt(2.5); t for 4 degrees of freedom from any table: 2.776.
    found = intervals.mean([1., 2., 3., 4., 5.])
    half = 2.776445 * math.sqrt(2.5 / 5)
    np.testing.assert_allclose([found.value, found.low, found.high], [3, 3 - half, 3 + half],
                               rtol=1e-6)
    self.assertEqual((found.n, found.over), (5, 'training seeds'))

  @parameterized.parameters(([], None), ([2.], 2.))
  def test_no_interval_of_fewer_than_two(self, values, expected):
    found = intervals.mean(values)
    self.assertEqual((found.value, found.low, found.high), (expected, None, None))
    self.assertEqual(found.reason, f'no interval: n = {len(values)}')

  def test_covers_the_mean_as_often_as_it_says_with_five_seeds(self):
    generator = np.random.default_rng(0)
    draws = [intervals.mean(generator.normal(1., 2., 5)) for _ in range(2000)]
    covered = np.mean([d.low <= 1 <= d.high for d in draws])
    self.assertBetween(covered, .935, .965)  # Three standard errors.

  @parameterized.parameters(([1., math.nan],), ([[1., 2.]],))
  def test_refuses_what_is_missing(self, values):
    with self.assertRaisesRegex(ValueError, 'values are .* expected a list of finite numbers'):
      intervals.mean(values)

  def test_refuses_a_level_in_percent(self):
    with self.assertRaisesRegex(ValueError, 'level is 95; expected a number between 0 and 1'):
      intervals.mean([1., 2.], level=95)

  @parameterized.parameters(([1., 2., 6.],), ([5., 5.],), ([3.],))
  def test_moments_give_the_interval_of_the_numbers(self, values):
    expected = intervals.mean(values, over=intervals.EPISODES)
    found = intervals.from_moments(np.mean(values), np.std(values), len(values))
    for name in ('low', 'high') if len(values) > 1 else ():
      self.assertAlmostEqual(getattr(found, name), getattr(expected, name))
    keep = dict(low=None, high=None)
    self.assertEqual(dataclasses.replace(found, **keep), dataclasses.replace(expected, **keep))

  @parameterized.parameters((1., -1., 3), (1., 1., 0), (math.nan, 1., 3), (1., math.inf, 3))
  def test_refuses_moments_of_nothing(self, value, std, n):
    with self.assertRaisesRegex(ValueError, 'expected finite moments'):
      intervals.from_moments(value, std, n)


class DifferenceTest(absltest.TestCase):

  def test_equals_the_paired_t_test_of_r(self):
    found = intervals.difference(SLEEP_2, SLEEP_1)
    np.testing.assert_allclose(
        [found.interval.value, found.interval.low, found.interval.high],
        [1.58, .7001142, 2.4598858], atol=1e-7)
    self.assertAlmostEqual(found.p_value, .002833, places=6)
    self.assertAlmostEqual(found.std, 1.229995, places=6)

  def test_seeds_of_one_method_only_do_not_count(self):
    found = intervals.difference({0: 1., 1: 3., 7: 99.}, {1: 1., 0: 2., 8: 99.})
    self.assertEqual((found.interval.value, found.interval.n), (.5, 2))
    self.assertEqual(found.unpaired, (7, 8))

  def test_equal_differences_leave_no_doubt(self):
    same = intervals.difference({0: 1., 1: 2.}, {0: 1., 1: 2.})
    self.assertEqual((same.interval.low, same.interval.high, same.p_value), (0, 0, 1))
    shifted = intervals.difference({0: 2., 1: 3.}, {0: 1., 1: 2.})
    self.assertEqual((shifted.interval.low, shifted.p_value), (1, 0))

  def test_wider_at_a_higher_level(self):
    found = intervals.difference(SLEEP_2, SLEEP_1).at_level(.99)
    half = 3.249836 * 1.229995 / math.sqrt(10)  # t of a table: 9 degrees of freedom, 99.5 %.
    np.testing.assert_allclose([found.low, found.high], [1.58 - half, 1.58 + half], atol=1e-5)


class RatioTest(parameterized.TestCase):

  def test_is_a_t_interval_on_logs(self):
    method, baseline = {0: 100., 1: 200., 2: 400.}, {0: 200., 1: 200., 2: 200.}
    found = intervals.ratio(method, baseline)
    # Logs to base 2: -1, 0, 1. Mean 0, std 1; t for 2 degrees of freedom: 4.302653.
    half = 2 ** (4.302653 / math.sqrt(3))
    np.testing.assert_allclose([found.interval.value, found.interval.low, found.interval.high],
                               [1, 1 / half, half], rtol=1e-6)
    self.assertAlmostEqual(found.std, math.log(2))
    self.assertEqual((found.num_censored, found.interval.relation), (0, 'about'))

  def test_scale_and_direction_do_not_matter(self):
    method, baseline = {0: 3., 1: 5., 2: 8.}, {0: 2., 1: 9., 2: 4.}
    one = intervals.ratio(method, baseline).interval
    other = intervals.ratio({s: 7 * x for s, x in baseline.items()},
                            {s: 7 * x for s, x in method.items()}).interval
    np.testing.assert_allclose([other.value, other.low, other.high],
                               [1 / one.value, 1 / one.high, 1 / one.low])

  def test_a_baseline_that_never_gets_there_bounds_from_above(self):
    method = {seed: 100. * (1 + seed) for seed in range(5)}
    baseline = dict.fromkeys(range(4), 1000.) | {4: AtLeast(1000.)}
    found = intervals.ratio(method, baseline)
    # Ratios .1, .2, .3, .4 and at most .5: the median is at most .3, and below .5 with 31 / 32.
    self.assertAlmostEqual(found.interval.value, .3)
    self.assertEqual(found.interval.relation, 'at most')
    self.assertEqual(found.interval.low, 0)
    self.assertAlmostEqual(found.interval.high, .5)
    self.assertEqual((found.num_censored, found.std), (1, None))
    self.assertAlmostEqual(found.p_value, 2 / 32)  # Five of five pairs, two-sided.
    self.assertEqual(found.interval.text(1), 'at most 0.3 [0.0, 0.5]')

  def test_a_method_that_never_gets_there_bounds_from_below(self):
    found = intervals.ratio({s: AtLeast(1000.) for s in range(5)}, dict.fromkeys(range(5), 500.))
    self.assertAlmostEqual(found.interval.low, 2.)
    self.assertEqual((found.interval.high, found.interval.relation), (math.inf, 'at least'))

  def test_a_pair_in_which_neither_gets_there_counts_against_both_ends(self):
    method = dict.fromkeys(range(4), 1.) | {4: AtLeast(1.)}
    found = intervals.ratio(method, dict.fromkeys(range(4), 2.) | {4: AtLeast(2.)})
    self.assertEqual((found.interval.low, found.interval.high), (0, math.inf))
    self.assertEqual((found.interval.value, found.interval.relation), (None, 'between'))
    self.assertAlmostEqual(found.p_value, 2 * 6 / 32)  # Four of five pairs, two-sided.

  @parameterized.parameters(6, 9)
  def test_censored_pairs_find_nothing_as_often_as_they_say(self, n):
    generator, found = np.random.default_rng(n), []
    for _ in range(2000):
      method, baseline = np.exp(generator.normal(size=(2, n)))
      censored = [{i: AtLeast(2.) if x > 2 else x for i, x in enumerate(xs)}
                  for xs in (method, baseline)]
      found.append(intervals.ratio(dict(enumerate(method)), censored[1]).p_value <= .05)
      found.append(intervals.ratio(censored[0], dict(enumerate(baseline))).p_value <= .05)
    self.assertLess(np.mean(found), .05 + 3 * math.sqrt(.05 * .95 / len(found)))

  def test_four_censored_pairs_have_no_end(self):
    found = intervals.ratio(dict.fromkeys(range(4), 1.), {s: AtLeast(9.) for s in range(4)})
    self.assertEqual((found.interval.low, found.interval.high), (0, math.inf))

  @parameterized.parameters(5, 8, 12)
  def test_censored_ends_cover_the_median_as_often_as_they_say(self, n):
    generator, covered = np.random.default_rng(n), 0
    for _ in range(1500):
      method = np.exp(generator.normal(-.5, 1., n))
      baseline = np.exp(generator.normal(0., 1., n))  # Median ratio exp(-.5).
      found = intervals.ratio(
          dict(enumerate(method)),
          {i: AtLeast(1.5) if x > 1.5 else x for i, x in enumerate(baseline)})
      if found.num_censored:
        covered += found.interval.high >= math.exp(-.5)
      else:
        covered += 1
    self.assertGreater(covered / 1500, .95 - 3 * math.sqrt(.95 * .05 / 1500))

  @parameterized.parameters(0., -1., math.inf, math.nan)
  def test_refuses_what_has_no_logarithm(self, value):
    with self.assertRaisesRegex(ValueError, 'the value of seed 3 is .* expected a positive'):
      intervals.ratio({3: value}, {3: 1.})


class BootstrapTest(absltest.TestCase):

  def test_resamples_whole_episodes(self):
    values, episodes = np.repeat([0., 1.], 50), np.repeat([4, 9], 50)
    found = intervals.bootstrap_mean(values, episodes)
    # Of two episodes a draw holds the first twice, both, or the second twice.
    self.assertEqual((found.value, found.low, found.high), (.5, 0, 1))
    self.assertEqual((found.n, found.over), (2, 'episodes'))

  def test_longer_episodes_count_more(self):
    found = intervals.bootstrap_mean([1., 0., 0., 0.], [0, 1, 1, 1])
    self.assertEqual(found.value, .25)

  def test_one_episode_has_no_interval(self):
    found = intervals.bootstrap_mean([1., 0.], [3, 3])
    self.assertEqual((found.value, found.low, found.reason), (.5, None, 'no interval: n = 1'))

  def test_covers_the_mean_when_steps_of_an_episode_are_alike(self):
    generator, covered = np.random.default_rng(0), 0
    for _ in range(300):
      values = np.repeat(generator.random(40) < .7, 10)
      found = intervals.bootstrap_mean(values, np.repeat(np.arange(40), 10), num_resamples=400)
      covered += found.low <= .7 <= found.high
    self.assertBetween(covered / 300, .95 - .05, .95 + .038)

  def test_is_the_same_each_time(self):
    values, episodes = np.random.default_rng(1).random(60), np.repeat(np.arange(12), 5)
    self.assertEqual(intervals.bootstrap_mean(values, episodes),
                     intervals.bootstrap_mean(values, episodes))

  def test_refuses_arguments_of_different_lengths(self):
    with self.assertRaisesRegex(ValueError, 'expected one episode for each value'):
      intervals.bootstrap_mean([1., 2.], [0])


class CaptionTest(absltest.TestCase):

  def test_says_what_intervals_are_over(self):
    self.assertIn('within a run, over its episodes', intervals.caption('episodes'))
    self.assertIn('between methods, over training seeds', intervals.caption('training seeds'))


class WilsonIntervalTest(parameterized.TestCase):

  @parameterized.named_parameters(
      # (0.8 + 3.8415 / 20 ± 1.96 sqrt(0.16 / 10 + 3.8415 / 400)) / (1 + 3.8415 / 10).
      ('most', 8, 10, .4902, .9433),
      ('none', 0, 10, 0., .2775),  # 3.8415 / (10 + 3.8415).
      ('all', 10, 10, .7225, 1.),
      ('one', 1, 1, .2065, 1.))  # 1 / (1 + 3.8415).
  def test_interval_of_a_share(self, num_right, n, low, high):
    interval = intervals.wilson(num_right, n)
    self.assertAlmostEqual(interval.low, low, places=4)
    self.assertAlmostEqual(interval.high, high, places=4)
    self.assertLessEqual(interval.high, 1.)
    self.assertEqual(interval.n, n)

  def test_nothing_has_no_interval(self):
    found = intervals.wilson(0, 0)
    self.assertEqual((found.value, found.low, found.high, found.reason),
                     (None, None, None, 'no interval: n = 0'))


if __name__ == '__main__':
  absltest.main()
