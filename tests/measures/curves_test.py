"""Statistics of learning curves, against numbers worked out by hand."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import curves


def _rows(runs, steps=(0, 10, 20)):
  """Rows of {seed: values}, on one target."""
  return [dict(target='maze', seed=seed, step=step, x=x)
          for seed, values in runs.items() for step, x in zip(steps, values, strict=False)]


class CurveTest(absltest.TestCase):

  def test_mean_and_population_std_over_runs_at_equal_steps(self):
    curve = curves.curve(_rows({0: [.2, .6], 1: [.4, 1.]}), 'x')
    np.testing.assert_array_equal(curve.steps, [0, 10])
    np.testing.assert_allclose(curve.mean, [.3, .8])
    np.testing.assert_allclose(curve.std, [.1, .2])
    np.testing.assert_array_equal(curve.n, [2, 2])

  def test_targets_and_seeds_count_alike(self):
    rows = [dict(target=target, seed=0, step=0, x=x) for target, x in (('a', 1.), ('b', 3.))]
    curve = curves.curve(rows, 'x')
    self.assertEqual((curve.mean[0], curve.std[0], curve.n[0]), (2., 1., 2))

  def test_a_missing_number_is_a_gap_and_no_mean_of_the_others(self):
    for missing in (None, math.nan):
      curve = curves.curve(_rows({0: [.2, .6, .7], 1: [.4, missing, .9]}), 'x')
      np.testing.assert_allclose(curve.mean, [.3, math.nan, .8])
      np.testing.assert_allclose(curve.std, [.1, math.nan, .1])
      np.testing.assert_array_equal(curve.n, [2, 1, 2])

  def test_a_run_that_stopped_early_lowers_n(self):
    curve = curves.curve(_rows({0: [.2, .6], 1: [.4]}), 'x')
    np.testing.assert_allclose(curve.mean, [.3, .6])
    np.testing.assert_allclose(curve.std, [.1, math.nan])  # One run has no spread.
    np.testing.assert_array_equal(curve.n, [2, 1])

  def test_no_rows_make_an_empty_curve(self):
    self.assertEqual(curves.curve([], 'x').steps.shape, (0,))


class StepsToThresholdTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('between_evaluations', [0., .5, 1.], .75, 15.),
      ('at_an_evaluation', [0., .5, 1.], .5, 10.),
      ('at_the_first', [.6, .7, 1.], .5, 0.),
      ('first_of_two_crossings', [0., .8, .2], .4, 5.),
      ('never', [0., .5, .9], .95, None),
      ('not_across_a_gap', [0., math.nan, 1.], .5, 20.),
      ('no_numbers', [math.nan] * 3, .5, None))
  def test_first_step_at_the_level(self, values, threshold, expected):
    steps = curves.steps_to_threshold([0, 10, 20], values, threshold)
    if expected is None:
      self.assertIsNone(steps)
    else:
      self.assertAlmostEqual(steps, expected)


class PairedRatioTest(absltest.TestCase):

  def _ratio(self, method, baseline, threshold=1.):
    return curves.paired_ratio(_rows(method), _rows(baseline), 'x', threshold)

  def test_twice_and_half_as_many_steps_average_to_one(self):
    fast, slow = [0., 1., 1.], [0., .5, 1.]  # Reach 1 at steps 10 and 20.
    ratio = self._ratio({0: fast, 1: slow}, {0: slow, 1: fast})
    self.assertAlmostEqual(ratio.ratio, 1.)
    # Logs to base 2 are -1 and 1: the standard error is 1, and t for one degree of freedom 12.7062.
    self.assertAlmostEqual(math.log2(ratio.interval.low), -12.7062, places=4)
    self.assertAlmostEqual(math.log2(ratio.interval.high), 12.7062, places=4)
    self.assertEqual((ratio.num_pairs, ratio.num_both), (2, 2))

  def test_pairs_are_of_one_target_and_seed(self):
    rows = [dict(target='a', seed=0, step=4, x=1.), dict(target='b', seed=0, step=6, x=1.)]
    baseline = [dict(target='b', seed=0, step=12, x=1.), dict(target='a', seed=0, step=8, x=1.)]
    ratio = curves.paired_ratio(rows, baseline, 'x', 1.)
    self.assertAlmostEqual(ratio.ratio, .5)
    self.assertAlmostEqual(ratio.interval.high, .5)

  def test_censored_runs_are_bounds_and_are_reported(self):
    reaches, never = [0., 1., 1.], [0., .1, .2]
    ratio = self._ratio({0: reaches, 1: never, 2: never, 3: reaches},
                        {0: never, 1: reaches, 2: never, 4: reaches})
    # Pair 0: at most 10 / 20; pair 1: at least 20 / 10; pair 2 says nothing.
    self.assertEqual((ratio.ratio, ratio.interval.low, ratio.interval.high), (None, 0, math.inf))
    self.assertEqual((ratio.num_pairs, ratio.num_both, ratio.num_only_method,
                      ratio.num_only_baseline, ratio.num_neither, ratio.num_unpaired),
                     (3, 0, 1, 1, 1, 2))

  def test_a_baseline_that_never_gets_there_bounds_the_median(self):
    reaches, never = [0., 1., 1.], [0., .1, .2]
    ratio = self._ratio(dict.fromkeys(range(5), reaches), dict.fromkeys(range(5), never))
    self.assertAlmostEqual(ratio.ratio, .5)
    self.assertEqual(ratio.interval.low, 0)
    self.assertAlmostEqual(ratio.interval.high, .5)

  def test_a_level_reached_at_step_zero_has_no_ratio(self):
    ratio = self._ratio({0: [1., 1.]}, {0: [0., 1.]})
    self.assertIsNone(ratio.ratio)
    self.assertEqual((ratio.num_at_start, ratio.interval.n), (1, 0))


class PairedDifferenceTest(parameterized.TestCase):

  def test_seeds_that_both_have_are_compared(self):
    pairs = curves.paired_difference({0: .5, 1: .7, 2: .9, 3: math.nan},
                                     {0: .4, 1: .2, 3: .1, 4: .1})
    self.assertAlmostEqual(pairs.mean, .6)
    self.assertAlmostEqual(pairs.baseline_mean, .3)
    self.assertAlmostEqual(pairs.difference, .3)
    self.assertAlmostEqual(pairs.spread, .1)  # Of .5 and .7, and of .4 and .2.
    self.assertEqual((pairs.num_pairs, pairs.num_higher, pairs.num_lower), (2, 2, 0))

  def test_interval_is_over_the_seeds_that_both_have(self):
    # Differences -1, 3, -1, 3, 1: mean 1, std 2; half of the interval is 2.776 * 2 / sqrt(5).
    pairs = curves.paired_difference(
        {seed: 10 + x for seed, x in enumerate((-1., 3., -1., 3., 1.))},
        {seed: 10. for seed in range(9)})
    self.assertAlmostEqual(pairs.interval.low, 1 - 2.776445 * 2 / 5**.5, places=4)
    self.assertAlmostEqual(pairs.interval.high, 1 + 2.776445 * 2 / 5**.5, places=4)
    self.assertEqual(pairs.interval.n, 5)

  def test_of_equal_methods_one_interval_in_forty_is_above_zero(self):
    draws = np.random.default_rng(0).normal(size=(3000, 2, 5))
    lows = [curves.paired_difference(dict(enumerate(ours)), dict(enumerate(theirs)))
            .interval.low for ours, theirs in draws]
    self.assertAlmostEqual(np.mean(np.array(lows) > 0), .025, delta=.009)


if __name__ == '__main__':
  absltest.main()
