"""Aggregates over games and seeds, against numbers worked by hand and against rliable's.

rliable is no dependency: RLIABLE holds what version 1.2.0 (numpy 2.4.6, scipy 1.17.1, arch 7.2.0)
printed for X and Y. Points are `metrics.aggregate_<name>(X)`, called directly; intervals are, after
`np.random.seed(0)`, `library.get_interval_estimates({'x': X}, lambda s: np.array([metric(s)]),
reps=50_000)`, which takes percentiles at 95 %.
"""

import functools
import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import aggregates


def _by_task(scores):
  """{task: [num_seeds]} of rliable's arrays [num_seeds, num_tasks]."""
  return dict(enumerate(np.transpose(scores)))


X = _by_task([[.31, 1.42, -.08],  # 5 seeds, 3 tasks.
              [.27, 1.97, .11],
              [.55, .64, .02],
              [.48, 1.18, .11],
              [.12, 2.35, .29]])
Y = _by_task([[.22, 1.42, .05],  # 4 seeds, with ties to X.
              [.41, .83, -.03],
              [.27, 1.06, .11],
              [.09, 1.55, .17]])

# Of X, of Y, interval of X.
RLIABLE = {
    'iqm': (0.4388888888888889, 0.33499999999999996, 0.3211111111111111, 0.6277777777777778),
    'mean': (0.6493333333333332, 0.5125000000000001, 0.4653333333333334, 0.8313333333333334),
    'median': (0.346, 0.2475, 0.21799999999999997, 0.48),
    'optimality_gap': (0.5453333333333333, 0.5733333333333335, 0.4760000000000001,
                       0.6180000000000001),
    'optimality_gap_05': (0.19133333333333336, 0.22583333333333339, 0.13666666666666666, 0.246),
}
STATISTICS = {
    'iqm': aggregates.iqm,
    'mean': aggregates.mean,
    'median': aggregates.median,
    'optimality_gap': aggregates.optimality_gap,
    'optimality_gap_05': functools.partial(aggregates.optimality_gap, threshold=.5),  # gamma=.5.
}


def _quantile_tolerance(width, *num_resamples):
  """Four standard deviations of the difference between two bootstraps' ends of a 95 % interval.

  An end is a quantile, with deviation sqrt(.025 * .975 / num_resamples) / density; for a normal
  bootstrap distribution of deviation s the density there is .0584 / s, and `width` is 3.92 s.
  """
  return 4 * math.sqrt(sum(.025 * .975 / n for n in num_resamples)) / .0584 * width / 3.92


class RliableTest(parameterized.TestCase):

  @parameterized.parameters(*STATISTICS)
  def test_points(self, name):
    of_x, of_y = STATISTICS[name](X), STATISTICS[name](Y)
    self.assertAlmostEqual(of_x.value, RLIABLE[name][0], places=14)
    self.assertAlmostEqual(of_y.value, RLIABLE[name][1], places=14)
    self.assertEqual((of_x.num_runs, of_y.num_runs, of_x.num_tasks), (15, 12, 3))

  @parameterized.parameters(*STATISTICS)
  def test_intervals(self, name):
    point, _, low, high = RLIABLE[name]
    estimate = aggregates.interval(X, STATISTICS[name], num_resamples=50_000)
    delta = _quantile_tolerance(high - low, 50_000, 50_000)  # 1.7 % of the width.
    self.assertAlmostEqual(estimate.value, point, places=14)
    self.assertAlmostEqual(estimate.low, low, delta=delta)
    self.assertAlmostEqual(estimate.high, high, delta=delta)
    self.assertEqual((estimate.num_runs, estimate.num_tasks), (15, 3))

  def test_profile(self):
    profile = aggregates.performance_profile(X, [-.1, .11, .3, .5, 1., 2.])
    # create_performance_profile({'x': X}, np.array([-.1, .11, .3, .5, 1., 2.]), reps=50_000).
    np.testing.assert_allclose(profile.share, [
        1.0, 0.7333333333333333, 0.5333333333333333, 0.4, 0.26666666666666666, 0.06666666666666667])
    self.assertEqual((profile.num_runs, profile.num_tasks), (15, 3))

  def test_probability_of_improvement(self):
    improvement = aggregates.probability_of_improvement(X, Y, num_resamples=50_000)
    # metrics.probability_of_improvement(X, Y), then of (Y, X); get_interval_estimates(
    # {'xy': [X, Y]}, ..., reps=10_000) prints [0.39999999999999997, 0.8166666666666668].
    self.assertAlmostEqual(improvement.value, 0.6166666666666667, places=14)
    self.assertAlmostEqual(aggregates.probability_of_improvement(Y, X).value, 0.3833333333333333,
                           places=14)
    # A resample's value is a multiple of 1/120 (20 pairs, halves, 3 tasks), which adds one step.
    delta = _quantile_tolerance(.8167 - .4, 10_000, 50_000) + 1 / 120
    self.assertAlmostEqual(improvement.low, .4, delta=delta)
    self.assertAlmostEqual(improvement.high, .8167, delta=delta)
    self.assertEqual((improvement.num_runs, improvement.num_baseline_runs, improvement.num_tasks),
                     (15, 12, 3))


class PointsTest(parameterized.TestCase):

  @parameterized.parameters(
      ([0., 1.], .5),  # Nothing to drop.
      ([-100., 1., 2., 100.], 1.5),  # One at each end.
      ([-100., 1., 2., 3., 100.], 2.),
      ([-9., -8., 1., 2., 3., 4., 8., 9.], 2.5))
  def test_iqm_drops_a_quarter_at_each_end(self, values, expected):
    self.assertAlmostEqual(aggregates.iqm({'Pong': values}).value, expected)

  def test_iqm_ranks_the_runs_of_all_tasks_together(self):
    # Ranked 0 1 2 3 4 5 6 100: the middle half is 2 3 4 5.
    estimate = aggregates.iqm({'a': [0., 3., 100., 1.], 'b': [2., 4., 5., 6.]})
    self.assertEqual(estimate, aggregates.Estimate(3.5, num_runs=8, num_tasks=2))

  def test_mean_and_median_are_over_tasks(self):
    scores = {'a': [0., 2.], 'b': [4.], 'c': [9., 10., 11.]}  # Means 1, 4, 10.
    self.assertEqual(aggregates.mean(scores), aggregates.Estimate(5., 6, 3))
    self.assertEqual(aggregates.median(scores), aggregates.Estimate(4., 6, 3))

  def test_optimality_gap_does_not_count_what_exceeds_the_threshold(self):
    scores = {'a': [.5, 3.], 'b': [0.]}  # Up to 1: means .75 and 0. Up to 2: 1.25 and 0.
    self.assertAlmostEqual(aggregates.optimality_gap(scores).value, 1 - .375)
    self.assertAlmostEqual(aggregates.optimality_gap(scores, threshold=2.).value, 2 - .625)
    self.assertEqual(aggregates.optimality_gap({'a': [1., 5.]}).value, 0.)

  def test_tasks_with_more_seeds_count_more_in_the_iqm_only(self):
    scores = {'a': [0.] * 6, 'b': [1.] * 2}
    self.assertEqual(aggregates.iqm(scores).value, 0.)
    self.assertEqual(aggregates.mean(scores).value, .5)
    self.assertEqual(aggregates.optimality_gap(scores).value, .5)
    self.assertEqual(aggregates.performance_profile(scores, [.5]).share.tolist(), [.5])

  @parameterized.parameters(*STATISTICS)
  def test_leading_axes_stay(self, name):
    stacked = {task: np.stack([x, x[::-1] + 1.]) for task, x in X.items()}
    raised = {task: x + 1. for task, x in X.items()}
    np.testing.assert_allclose(STATISTICS[name](stacked).value,
                               [STATISTICS[name](X).value, STATISTICS[name](raised).value])


class IntervalTest(parameterized.TestCase):

  def test_seeds_are_resampled_within_their_task(self):
    # A task whose seeds agree adds nothing: the mean of 2 draws from {0, 1} is 0, 1/2 or 1 with
    # probability 1/4, 1/2, 1/4; with task b it is half of that plus 50.
    scores = {'a': [0., 1.], 'b': [100., 100.]}
    estimate = aggregates.interval(scores, aggregates.mean)
    self.assertEqual(estimate, aggregates.Estimate(50.25, 4, 2, low=50., high=50.5))
    estimate = aggregates.interval(scores, aggregates.mean, level=.4)
    self.assertEqual((estimate.low, estimate.high), (50.25, 50.25))

  def test_tasks_are_resampled_independently(self):
    # All four draws are 0 with probability 1/16, so the 5 % quantile is 0 and that of 10 % is not;
    # it would be if tasks shared their draws (1/4).
    scores = {'a': [0., 1.], 'b': [0., 1.]}
    low = [aggregates.interval(scores, aggregates.mean, level=level).low for level in (.9, .8)]
    self.assertEqual(low, [0., .25])

  def test_tasks_may_have_different_numbers_of_seeds(self):
    estimate = aggregates.interval({'a': [0., 1., 2.], 'b': [5., 5.]}, aggregates.iqm)
    self.assertEqual((estimate.num_runs, estimate.num_tasks), (5, 2))
    self.assertLess(estimate.low, estimate.high)

  def test_equal_scores_leave_no_doubt(self):
    estimate = aggregates.interval({'a': [.7] * 3, 'b': [.7] * 3}, aggregates.iqm)
    self.assertAlmostEqual(estimate.low, .7)
    self.assertAlmostEqual(estimate.high, .7)

  def test_a_seed_gives_the_same_interval_again(self):
    first, again, other = (aggregates.interval(X, aggregates.mean, num_resamples=2000, seed=seed)
                           for seed in (3, 3, 4))
    self.assertEqual(first, again)
    self.assertNotEqual(first, other)

  def test_one_seed_has_no_interval(self):
    scores = {'Pong': [1., 2.], 'Freeway': [3.]}
    self.assertEqual(aggregates.iqm(scores).num_runs, 3)
    for make in (lambda: aggregates.interval(scores, aggregates.iqm),
                 lambda: aggregates.probability_of_improvement(scores, scores)):
      with self.assertRaisesRegex(ValueError, "'Freeway' has one seed"):
        make()

  @parameterized.parameters(95, 0, 1)
  def test_levels_outside_0_and_1_are_refused(self, level):
    for make in (lambda: aggregates.interval(X, aggregates.iqm, level=level),
                 lambda: aggregates.probability_of_improvement(X, Y, level=level)):
      with self.assertRaisesRegex(ValueError, f'level is {level}'):
        make()

  def test_no_resamples_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'num_resamples is 0'):
      aggregates.interval(X, aggregates.iqm, num_resamples=0)


class ProfileTest(absltest.TestCase):

  def test_share_of_runs_above(self):
    profile = aggregates.performance_profile({'a': [0., 1.], 'b': [1., 2.]}, [-1., 0., .5, 1., 2.])
    np.testing.assert_allclose(profile.share, [1., .75, .75, .25, 0.])
    self.assertEqual((profile.num_runs, profile.num_tasks), (4, 2))

  def test_its_integral_is_the_mean(self):
    # For scores in [0, 1], the area under the profile is the mean over tasks and runs.
    scores = {task: x.clip(0, 1) for task, x in X.items()}
    thresholds = (np.arange(10_000) + .5) / 10_000
    self.assertAlmostEqual(aggregates.performance_profile(scores, thresholds).share.mean(),
                           aggregates.mean(scores).value, places=4)

  def test_a_missing_threshold_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'thresholds are'):
      aggregates.performance_profile(X, [0., math.nan])


class ImprovementTest(absltest.TestCase):

  def test_counts_pairs_and_half_of_ties(self):
    # Task a: 1 > 0, 1 = 1, 3 > 0, 3 > 1: 3.5 of 4. Task b: 0 < 2: 0 of 1.
    improvement = aggregates.probability_of_improvement(
        {'a': [1., 3.], 'b': [0.]}, {'b': [2.], 'a': [0., 1.]}, level=None)
    self.assertEqual(improvement, aggregates.Improvement(.4375, 3, 3, 2))

  def test_both_directions_add_up_to_one(self):
    there, back = (aggregates.probability_of_improvement(*pair) for pair in ((X, Y), (Y, X)))
    self.assertAlmostEqual(there.value + back.value, 1.)

  def test_a_method_does_not_improve_on_itself(self):
    self.assertAlmostEqual(aggregates.probability_of_improvement(X, X).value, .5)

  def test_it_does_not_see_by_how_much(self):
    stretched = [{task: np.exp(3 * x) for task, x in scores.items()} for scores in (X, Y)]
    self.assertEqual(aggregates.probability_of_improvement(X, Y),
                     aggregates.probability_of_improvement(*stretched))

  def test_a_method_that_always_wins_leaves_no_doubt(self):
    improvement = aggregates.probability_of_improvement(
        {task: y + 10. for task, y in Y.items()}, Y)
    self.assertEqual((improvement.value, improvement.low, improvement.high), (1., 1., 1.))

  def test_different_tasks_are_refused(self):
    with self.assertRaisesRegex(ValueError, r"\['b', 'c'\]"):
      aggregates.probability_of_improvement({'a': [1.], 'b': [1.]}, {'a': [1.], 'c': [1.]})


class RefusalTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('nan', {'Pong': [1., 2.], 'Freeway': [1., math.nan]}, "'Freeway'.*expected finite"),
      ('none', {'Pong': [1., None]}, "'Pong'.*expected finite"),
      ('infinite', {'Pong': [1., math.inf]}, "'Pong'.*expected finite"),
      ('no_seed', {'Pong': []}, "'Pong' has no score"),
      ('no_task', {}, 'no task'),
      ('a_number', {'Pong': 1.}, r"'Pong' have shape \(\)"))
  def test_scores(self, scores, message):
    for make in (*STATISTICS.values(),
                 lambda x: aggregates.interval(x, aggregates.iqm),
                 lambda x: aggregates.performance_profile(x, [1.]),
                 lambda x: aggregates.probability_of_improvement(X, x)):
      with self.assertRaisesRegex(ValueError, message):
        make(scores)

  def test_scores_of_every_episode_are_refused_where_one_per_seed_is_needed(self):
    with self.assertRaisesRegex(ValueError, r"'Pong' have shape \(2, 3\)"):
      aggregates.interval({'Pong': np.zeros((2, 3))}, aggregates.iqm)


if __name__ == '__main__':
  absltest.main()
