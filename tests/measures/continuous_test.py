"""Measures of continuous parts: worked by hand, against numpy and scipy, and properties."""

import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from alpt_jax import action_parts
from alpt_jax.measures import continuous, events, resampling
from alpt_jax.measures import timeline as timeline_

NUMBERS = ('r2', 'pearson', 'mean_absolute_error', 'bias', 'scale_ratio', 'scale_factor', 'within',
           'moving_f1')


def _timeline(*lengths):
  return timeline_.Timeline(np.repeat(np.arange(len(lengths)), lengths),
                            np.concatenate([np.arange(n) for n in lengths]))


def _sums(true, predicted, is_known=None, **settings):
  num = len(true)
  is_known = np.ones(num, bool) if is_known is None else is_known
  return continuous.sums(true, predicted, is_known, _timeline(num - num // 2, num // 2),
                         **dict(tolerance=1.) | settings)


def _numbers(*case, **settings):
  total = _sums(*case, **settings).sum(axis=0)
  return {name: float(getattr(continuous, name)(total)) for name in NUMBERS}


def _case(num=300, seed=0):
  rng = np.random.default_rng(seed)
  true = rng.normal(2, 3, num) * (rng.random(num) < .7)
  return true, .8 * true + rng.normal(.2, 1, num)


class NumbersTest(parameterized.TestCase):

  def test_by_hand(self):
    # Errors 1, 0, -2, 0; the truth varies about 2 by 4 + 0 + 4 + 0.
    found = _numbers([0, 2, 4, 2], [1, 2, 2, 2])
    self.assertAlmostEqual(found['r2'], 1 - 5 / 8)
    self.assertAlmostEqual(found['pearson'], 2 / np.sqrt(8 * .75))  # The mean said is 1.75.
    self.assertEqual(found['mean_absolute_error'], 3 / 4)
    self.assertEqual(found['bias'], -1 / 4)
    self.assertEqual((found['scale_ratio'], found['scale_factor']), (7 / 8, 8 / 7))
    self.assertEqual(found['within'], 3 / 4)
    self.assertAlmostEqual(found['moving_f1'], 2 * 3 / (3 + 4))

  @parameterized.parameters(0., 1e5)
  def test_is_that_of_numpy_and_scipy(self, offset):
    true, said = (x + offset for x in _case())
    found, error = _numbers(true, said), said - true
    self.assertAlmostEqual(found['r2'], 1 - np.mean(error**2) / np.var(true))
    self.assertAlmostEqual(found['pearson'], stats.pearsonr(true, said).statistic)
    self.assertAlmostEqual(found['mean_absolute_error'], np.mean(np.abs(error)))
    self.assertAlmostEqual(found['bias'], np.mean(error))
    self.assertAlmostEqual(found['scale_ratio'], np.mean(np.abs(said)) / np.mean(np.abs(true)))
    self.assertAlmostEqual(found['within'], np.mean(np.abs(error) <= 1))

  def test_moving_f1_is_that_of_a_loop(self):
    true, said = _case()
    both = sum(abs(t) > .5 and abs(p) > .5 for t, p in zip(true, said, strict=True))
    either = sum(abs(t) > .5 for t in true) + sum(abs(p) > .5 for p in said)
    self.assertAlmostEqual(_numbers(true, said, threshold=.5)['moving_f1'], 2 * both / either)

  def test_of_each_episode_alone(self):
    true, said = _case()
    sums = _sums(true, said)
    self.assertEqual(sums.shape, (2, 15))
    np.testing.assert_array_equal(sums[:, 0], [150, 150])
    for rows, total in ((slice(150), sums[0]), (slice(150, None), sums[1])):
      error = said[rows] - true[rows]
      self.assertAlmostEqual(continuous.r2(total), 1 - np.mean(error**2) / np.var(true[rows]))

  def test_what_is_not_known_does_not_count(self):
    true, said = _case()
    is_known = np.arange(300) % 3 > 0
    expected = _numbers(true[is_known], said[is_known])
    found = _numbers(np.where(is_known, true, np.nan), said, is_known)
    for name in NUMBERS:
      self.assertAlmostEqual(found[name], expected[name], msg=name)

  def test_a_change_of_units_changes_only_errors(self):
    true, said = _case()
    degrees = _numbers(true, said, threshold=.5)
    radians = _numbers(true / 50, said / 50, tolerance=1 / 50, threshold=.5 / 50)
    for name in NUMBERS:
      factor = 50 if name in ('mean_absolute_error', 'bias') else 1
      self.assertAlmostEqual(degrees[name], factor * radians[name], msg=name)

  def test_predictions_that_are_too_small(self):
    true, _ = _case()
    found = _numbers(true, true / 4)
    self.assertAlmostEqual(found['scale_ratio'], 1 / 4)
    self.assertAlmostEqual(found['scale_factor'], 4)
    self.assertAlmostEqual(_numbers(true, 4 * true)['scale_factor'], 4)
    self.assertAlmostEqual(found['pearson'], 1)
    self.assertLess(found['r2'], 1)

  def test_the_mean_explains_nothing_and_the_truth_all(self):
    true, _ = _case()
    self.assertAlmostEqual(_numbers(true, np.full(300, true.mean()))['r2'], 0)
    self.assertEqual(_numbers(true, true)['r2'], 1)

  @parameterized.parameters(0., .1, 350.1, 1e6)
  def test_a_constant_truth_has_no_r2(self, value):
    _, said = _case()
    found = _numbers(np.full(300, value), said)
    self.assertTrue(np.isnan(found['r2']))
    self.assertTrue(np.isnan(found['pearson']))
    self.assertEqual(np.isnan(found['scale_ratio']), value == 0)
    interval = resampling.interval(_sums(np.full(300, value), said), continuous.r2)
    self.assertEqual((interval.value, interval.low), (None, None))

  def test_a_truth_that_is_constant_in_every_draw_of_one_episode_has_no_r2_there(self):
    # Constants: of three episodes, a ninth of the draws is of one alone.
    sums = continuous.sums(np.repeat([.1, .3, .8], 7), np.zeros(21), np.ones(21, bool),
                           _timeline(7, 7, 7), tolerance=1.)
    for episode in sums:
      for times in (1, 2, 3):
        self.assertTrue(np.isnan(continuous.r2(times * episode)))
    found = resampling.interval(sums, continuous.r2)
    self.assertAlmostEqual(found.value, 1 - .74 / 3 / np.var([.1, .3, .8]))
    self.assertIsNone(found.low)
    self.assertIn('not defined in', found.reason)

  def test_a_constant_prediction_has_no_correlation(self):
    true, _ = _case()
    found = _numbers(true, np.full(300, .1))
    self.assertTrue(np.isnan(found['pearson']))
    self.assertFalse(np.isnan(found['r2']))
    nothing = _numbers(true, np.zeros(300))
    self.assertEqual(nothing['scale_ratio'], 0)
    self.assertTrue(np.isnan(nothing['scale_factor']))  # It would be infinite.

  def test_without_transitions_nothing_is_defined(self):
    true, said = _case()
    found = _numbers(true, said, np.zeros(300, bool))
    self.assertTrue(all(np.isnan(x) for x in found.values()), found)

  def test_interval_is_that_of_resampled_transitions(self):
    true, said = _case(400)
    line = _timeline(*[20] * 20)
    sums = continuous.sums(true, said, np.ones(400, bool), line, tolerance=1.)
    rng, slow = np.random.default_rng(0), {'r2': [], 'pearson': []}
    for _ in range(2000):
      rows = np.concatenate([np.arange(20) + 20 * e for e in rng.integers(20, size=20)])
      t, p = true[rows], said[rows]
      slow['r2'].append(1 - np.mean((p - t)**2) / np.var(t))
      slow['pearson'].append(np.corrcoef(t, p)[0, 1])
    for name, values in slow.items():
      found = resampling.interval(sums, getattr(continuous, name))
      for end, share in ((found.low, .025), (found.high, .975)):
        self.assertAlmostEqual(end, np.quantile(values, share), delta=.1 * (found.high - found.low))

  @parameterized.parameters(
      (dict(true=[1, np.nan]), r'true\[1\] is nan; expected a finite number where it is known'),
      (dict(predicted=[np.inf, 1]), r'predicted\[0\] is inf'),
      (dict(predicted=[1, 1, 1]), r'predicted has shape \(3,\); expected \[2\]'),
      (dict(tolerance=-1), 'tolerance is -1; expected a number, at least 0'),
      (dict(tolerance=np.nan), 'tolerance is nan'),
      (dict(threshold=-1), 'threshold is -1'),
      (dict(period=0), 'period is 0; expected a positive number'))
  def test_bad_input_is_refused(self, changed, message):
    case = dict(true=[1, 2], predicted=[1, 2], is_known=[True, True], timeline=_timeline(2),
                tolerance=1) | changed
    with self.assertRaisesRegex(ValueError, message):
      continuous.sums(**case)


class CircleTest(parameterized.TestCase):

  @parameterized.parameters(
      (350, 10, -20), (10, 350, 20), (0, 180, -180), (90, 0, 90), (720, 0, 0), (-10, 350, 0))
  def test_differences_by_hand(self, value, other, expected):
    self.assertEqual(continuous.difference(value, other, 360), expected)
    self.assertEqual(continuous.difference(value, other), value - other)

  @parameterized.parameters(([350, 10], 0), ([80, 100], 90), ([170, -170], 180), ([359], 359))
  def test_means_by_hand(self, values, expected):
    found = continuous.mean_of(values, 360)
    self.assertAlmostEqual(continuous.difference(found, expected, 360), 0)
    self.assertEqual(continuous.mean_of(values), np.mean(values))

  def test_errors_across_the_ends_by_hand(self):
    found = _numbers([350., 0, 10, 0], [10., 0, 350, 0], period=360.)
    self.assertEqual(found['mean_absolute_error'], 10)
    self.assertEqual(found['bias'], 0)
    self.assertEqual(found['scale_ratio'], 1)
    self.assertEqual(found['within'], 1 / 2)
    self.assertAlmostEqual(found['r2'], 1 - 800 / 200)
    self.assertAlmostEqual(found['pearson'], -1)

  @parameterized.parameters(0., 40., 170., 200.)
  def test_a_turn_of_the_circle_changes_nothing(self, turn):
    rng = np.random.default_rng(0)
    true = np.clip(rng.normal(0, 60, 200), -140, 140)  # Within half a turn of its mean,
    said = true + rng.normal(2, 40, 200)  # which predictions need not be.
    self.assertGreater(np.abs(said).max(), 190)
    line = _numbers(true, said, tolerance=15.)
    circle = _numbers((true + turn) % 360, (said + turn) % 360, tolerance=15., period=360.)
    for name in ('r2', 'pearson', 'mean_absolute_error', 'bias', 'within'):
      self.assertAlmostEqual(circle[name], line[name], msg=name)

  def test_constants_on_a_circle(self):
    true = np.random.default_rng(0).normal(0, 20, 50) % 360
    self.assertTrue(np.isnan(_numbers(np.full(50, 350.1), true, period=360.)['r2']))
    constant = _numbers(true, np.full(50, 350.1), period=360.)
    self.assertTrue(np.isnan(constant['pearson']))
    self.assertLess(constant['r2'], 0)


class CoverageTest(parameterized.TestCase):

  def test_by_hand(self):
    found = continuous.count_covered([1, 2, 3, 4], [1, 3, 0, 0], [1, 4, 3, 9], [1, 1, 1, 0],
                                     _timeline(2, 2))
    np.testing.assert_array_equal(found, [[1, 2], [1, 1]])

  @parameterized.parameters(
      (355, 350, 10, True), (5, 350, 10, True), (20, 350, 10, False), (340, 350, 10, False),
      (5, 350, 370, True), (355, -10, 10, True), (20, -10, 10, False), (100, 0, 360, True),
      (100, -200, 200, True), (100, 100, 100, True))
  def test_intervals_across_the_ends_by_hand(self, true, low, high, is_in):
    found = continuous.count_covered([true], [low], [high], [True], _timeline(1), period=360)
    np.testing.assert_array_equal(found, [[is_in, 1]])

  @parameterized.parameters((.5, .25, .75), (.9, .05, .95))
  def test_quantiles_of_the_truth_cover_what_they_say(self, share, low, high):
    rng = np.random.default_rng(0)
    mean = rng.normal(size=4000)
    ends = (mean + stats.norm.ppf(x) for x in (low, high))
    sums = continuous.count_covered(mean + rng.normal(size=4000), *ends, np.ones(4000, bool),
                                    _timeline(*[40] * 100))
    found = resampling.interval(sums, events.share)
    self.assertAlmostEqual(found.value, share, delta=.025)  # Standard deviation .008 at most.
    self.assertEqual(found.n, 100)

  @parameterized.parameters(True, False)
  def test_quantiles_of_a_part_cover_what_they_say(self, wraps):
    part = action_parts.Continuous('turn', -180., 180., wraps=wraps)
    rng, num = np.random.default_rng(0), 1500
    centre = rng.uniform(-180, 180, (num, 1))
    size = np.abs(continuous.difference(part.class_values, centre, 360. if wraps else None))
    probabilities = np.exp(-(size / 50)**2)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    bins = (rng.random((num, 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    true = part.edges[bins] + rng.random(num) * np.diff(part.edges)[bins]
    ends = part.quantiles(probabilities, np.array([.05, .25, .75, .95])).T
    for low, high, share in ((0, 3, .9), (1, 2, .5)):
      found = continuous.count_covered(true, ends[low], ends[high], np.ones(num, bool),
                                       _timeline(num), period=360. if wraps else None)
      self.assertAlmostEqual(found[0, 0] / num, share, delta=.04)  # Standard deviation .013.

  def test_bad_input_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'period is -360; expected a positive number'):
      continuous.count_covered([1], [0], [2], [True], _timeline(1), period=-360)
    with self.assertRaisesRegex(ValueError, r'high\[0\] is nan; expected a finite number'):
      continuous.count_covered([1], [0], [np.nan], [True], _timeline(1))
    with self.assertRaisesRegex(ValueError, r'low\[1\] is 3.0 and high\[1\] 2.0; expected'):
      continuous.count_covered([1, 2], [0, 3], [1, 2], [True, True], _timeline(2))


class BaselinesTest(absltest.TestCase):

  def test_a_linear_world_is_found(self):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    values = x @ [2, -1, 0] + 5
    said = continuous.fit_linear(x[:200], values[:200])(x[200:])
    self.assertGreater(_numbers(values[200:], said)['r2'], .999)

  def test_a_heading_is_found_across_the_ends(self):
    rng = np.random.default_rng(0)
    heading = rng.normal(0, 60, 400) % 360
    angle = np.deg2rad(heading)
    x = np.stack([np.cos(angle + .3), np.sin(angle + .3)], axis=1)
    said = continuous.fit_linear(x[:300], heading[:300], 360.)(x[300:])
    self.assertTrue(np.all((said >= 0) & (said <= 360)))
    self.assertLess(np.abs(continuous.difference(said, heading[300:], 360.)).max(), 1.)
    line = continuous.fit_linear(x[:300], heading[:300])(x[300:])
    self.assertGreater(np.abs(continuous.difference(line, heading[300:], 360.)).max(), 30.)

  def test_persistence_of_a_slow_and_of_a_fast_truth(self):
    rng, line = np.random.default_rng(0), _timeline(*[100] * 20)
    noise = rng.normal(size=2000)
    walk = noise.reshape(20, 100).cumsum(axis=1).ravel()
    r2 = []
    for true in (walk, noise):
      before, has_one = line.before(true, np.ones(2000, bool))
      self.assertEqual(has_one.sum(), 20 * 99)
      sums = continuous.sums(true, before, has_one, line, tolerance=1.)
      r2.append(continuous.r2(sums.sum(axis=0)))
    self.assertGreater(r2[0], .9)
    self.assertAlmostEqual(r2[1], -1, delta=.15)  # Twice the variance.

  def test_no_labels_have_no_mean(self):
    with self.assertRaisesRegex(ValueError, 'there are no values'):
      continuous.mean_of([])


if __name__ == '__main__':
  absltest.main()
