"""Calibration: numbers worked by hand, slow versions written anew, and properties."""

import math
from fractions import Fraction

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import calibration
from alpt_jax.measures.predictions import Predictions
from tests.measures import predictions_data as data


def _error_by_chance(probabilities, **settings):
  known = Predictions(probabilities, np.zeros(len(probabilities), int))
  return calibration.calibration_error_by_chance(known, **settings)


def _equal_width(*case, **settings):
  return calibration.equal_width_calibration(Predictions(*case), **settings)


def _equal_mass(*case, **settings):
  return calibration.equal_mass_calibration(Predictions(*case), **settings)


def _coverage(*case, **settings):
  return calibration.coverage_curve(Predictions(*case), **settings)


def _two_actions(confidences, is_right):
  """Label 0 with these confidences, at least 1/2, and a truth that makes it right or wrong."""
  confidences = np.array(confidences)
  return np.stack([confidences, 1 - confidences], axis=1), np.where(is_right, 0, 1)


def _slow_calibration(groups):
  """Error and rows (count, mean confidence, accuracy) of lists of (confidence, is right)."""
  rows = [(len(group), math.fsum(c for c, _ in group) / len(group),
           sum(right for _, right in group) / len(group)) for group in groups if group]
  total = sum(n for n, _, _ in rows)
  return math.fsum(n * abs(c - a) for n, c, a in rows) / total, rows


def _pairs(probabilities, actions):
  return [(max(row), data.slow_label(row) == a)
          for row, a in zip(probabilities.tolist(), actions.tolist(), strict=True)]


class CalibrationTest(parameterized.TestCase):

  def test_equal_width_by_hand(self):
    # .55 and .6 are in (.5, .75], of which one is right; .9 and 1 in (.75, 1], both right.
    result = _equal_width(
        *_two_actions([.55, 1., .6, .9], [True, True, False, True]), num_bins=4)
    np.testing.assert_array_equal(result.low, [.5, .75])
    np.testing.assert_array_equal(result.high, [.75, 1.])
    np.testing.assert_array_equal(result.count, [2, 2])
    np.testing.assert_allclose(result.confidence, [.575, .95])
    np.testing.assert_allclose(result.accuracy, [.5, 1.])
    self.assertAlmostEqual(result.error, (.075 + .05) / 2)

  def test_a_confidence_at_an_edge_is_in_the_bin_below(self):
    result = _equal_width(*_two_actions([.5, .75, .8], [True] * 3), num_bins=4)
    np.testing.assert_array_equal(result.high, [.5, .75, 1.])

  def test_confidence_that_rounding_put_above_one_is_in_the_last_bin(self):
    result = _equal_width([[1.00005, 0.]], [0])
    self.assertEqual((result.high[0], result.confidence[0], result.error), (1., 1., 0.))

  def test_equal_mass_by_hand(self):
    result = _equal_mass(
        *_two_actions([.99, .9, .98, .6, .97, .7], [True, True, True, False, True, True]),
        num_bins=3)
    np.testing.assert_array_equal(result.low, [.6, .9, .98])
    np.testing.assert_array_equal(result.high, [.7, .97, .99])
    np.testing.assert_array_equal(result.count, [2, 2, 2])
    np.testing.assert_allclose(result.accuracy, [.5, 1., 1.])
    self.assertAlmostEqual(result.error, (.15 + .065 + .015) / 3)

  def test_equal_confidences_share_a_bin_of_equal_mass(self):
    result = _equal_mass(
        *_two_actions([.6, 1., 1., 1., 1.], [False, True, True, False, True]), num_bins=5)
    np.testing.assert_array_equal(result.count, [1, 4])
    np.testing.assert_array_equal(result.low, [.6, 1.])
    np.testing.assert_array_equal(result.high, [.6, 1.])
    self.assertAlmostEqual(result.error, (.6 + 4 * .25) / 5)

  @parameterized.parameters(1, 7, 15)
  def test_equal_width_is_that_of_a_loop_over_bins(self, num_bins):
    probabilities, actions = data.random_case(seed=5)
    pairs = _pairs(probabilities, actions)
    error, rows = _slow_calibration([
        [pair for pair in pairs if i / num_bins < pair[0] <= (i + 1) / num_bins]
        for i in range(num_bins)])
    result = _equal_width(probabilities, actions, num_bins=num_bins)
    self.assertAlmostEqual(result.error, error)
    np.testing.assert_allclose(np.stack(result[3:], axis=1), rows)

  @parameterized.parameters(1, 7, 15, 1000)
  def test_equal_mass_is_that_of_dealing_out_sorted_transitions(self, num_bins):
    probabilities, actions = data.random_case(seed=5)
    pairs = sorted(_pairs(probabilities, actions))
    groups = [[] for _ in range(num_bins)]
    for rank, pair in enumerate(pairs):
      groups[math.floor(Fraction(rank, len(pairs)) * num_bins)].append(pair)
    error, rows = _slow_calibration(groups)
    result = _equal_mass(probabilities, actions, num_bins=num_bins)
    self.assertAlmostEqual(result.error, error)
    np.testing.assert_allclose(np.stack(result[3:], axis=1), rows)
    kept = [group for group in groups if group]
    np.testing.assert_array_equal(result.low, [group[0][0] for group in kept])
    np.testing.assert_array_equal(result.high, [group[-1][0] for group in kept])

  @parameterized.parameters(_equal_width, _equal_mass)
  def test_error_is_near_zero_if_the_truth_follows_the_probabilities(self, calibration):
    probabilities, actions = data.random_case(50_000)
    self.assertLess(calibration(probabilities, actions).error, .01)
    sharper = data.softmax(np.log(probabilities) * 3)
    self.assertGreater(calibration(sharper, actions).error, .1)

  @parameterized.parameters(_equal_width, _equal_mass)
  def test_order_of_transitions_does_not_matter(self, calibration):
    probabilities, actions = data.random_case()
    probabilities[::2] = [1., 0., 0., 0.]
    order = np.random.default_rng(0).permutation(200)
    for x, y in zip(calibration(probabilities, actions),
                    calibration(probabilities[order], actions[order]), strict=True):
      np.testing.assert_allclose(x, y, rtol=1e-12)

  @parameterized.parameters(_equal_width, _equal_mass)
  def test_no_bins_are_refused(self, calibration):
    with self.assertRaisesRegex(ValueError, 'num_bins is 0; expected at least 1'):
      calibration(data.PROBABILITIES, data.ACTIONS, num_bins=0)


class ErrorByChanceTest(absltest.TestCase):

  def test_one_bin_of_coin_flips(self):
    # |share of right - 1/2| of 1000 flips: 95 % are below 1.96 standard deviations, 0.031.
    found = _error_by_chance(np.full((1000, 2), .5), num_draws=4000)
    self.assertAlmostEqual(found, 1.96 * math.sqrt(.25 / 1000), delta=.002)

  def test_certain_labels_have_no_error_by_chance(self):
    self.assertEqual(_error_by_chance(np.eye(3)), 0.)

  def test_calibrated_labels_stay_below_and_others_do_not(self):
    num_above = 0
    for seed in range(50):
      probabilities, actions = data.random_case(500, seed)
      limit = _error_by_chance(probabilities, num_draws=200)
      num_above += _equal_mass(probabilities, actions).error > limit
      sharper = data.softmax(np.log(probabilities) * 3)
      self.assertGreater(_equal_mass(sharper, actions).error,
                         _error_by_chance(sharper, num_draws=200))
    self.assertLessEqual(num_above, 8)  # 2.5 expected, standard deviation 1.5.

  def test_bad_settings_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'num_bins is 0; expected at least 1'):
      _error_by_chance(data.PROBABILITIES, num_bins=0)


class CoverageTest(absltest.TestCase):

  def test_by_hand(self):
    curve = _coverage(
        *_two_actions([.6, .9, .8, .8], [False, True, True, False]))
    np.testing.assert_array_equal(curve.threshold, [.9, .8, .6])
    np.testing.assert_array_equal(curve.coverage, [.25, .75, 1.])
    np.testing.assert_allclose(curve.accuracy, [1., 2 / 3, .5])
    self.assertAlmostEqual(curve.area, .25 * 1 + .5 * 2 / 3 + .25 * .5)

  def test_is_that_of_trying_every_threshold(self):
    probabilities, actions = data.random_case()
    probabilities[::3] = [.7, .3, 0., 0.]
    pairs = _pairs(probabilities, actions)
    curve = _coverage(probabilities, actions)
    thresholds = sorted({c for c, _ in pairs}, reverse=True)
    np.testing.assert_array_equal(curve.threshold, thresholds)
    area, before = 0., 0.
    for i, threshold in enumerate(thresholds):
      kept = [right for c, right in pairs if c >= threshold]
      coverage, accuracy = len(kept) / len(pairs), sum(kept) / len(kept)
      self.assertAlmostEqual(curve.coverage[i], coverage)
      self.assertAlmostEqual(curve.accuracy[i], accuracy)
      area, before = area + (coverage - before) * accuracy, coverage
    self.assertAlmostEqual(curve.area, area)

  def test_area_is_the_mean_accuracy_of_the_most_confident_if_all_confidences_differ(self):
    probabilities, actions = data.random_case()
    ranked = [right for _, right in sorted(_pairs(probabilities, actions), reverse=True)]
    expected = sum(sum(ranked[:n]) / n for n in range(1, 201)) / 200
    self.assertAlmostEqual(_coverage(probabilities, actions).area, expected)

  def test_accuracy_only_falls_with_coverage_if_confidence_knows_what_is_right(self):
    is_right = np.random.default_rng(0).random(100) < .7
    confidences = np.where(is_right, .8, .5) + np.linspace(0, .19, 100)
    curve = _coverage(*_two_actions(confidences, is_right))
    self.assertTrue(np.all(np.diff(curve.accuracy) <= 0))
    self.assertEqual(curve.accuracy[0], 1.)
    self.assertEqual(curve.accuracy[-1], is_right.mean())

  def test_area_is_the_accuracy_if_confidence_is_always_the_same(self):
    curve = _coverage(*_two_actions([.8] * 10, [True] * 7 + [False] * 3))
    self.assertEqual((len(curve.threshold), curve.accuracy[0], curve.area), (1, .7, .7))

  def test_area_is_near_the_accuracy_if_confidence_is_chance(self):
    rng = np.random.default_rng(0)
    curve = _coverage(
        *_two_actions(.5 + rng.random(50_000) / 2, rng.random(50_000) < .7))
    self.assertAlmostEqual(curve.area, .7, delta=.01)


def _slow_loss(logits, actions, temperature):
  total = 0.
  for row, action in zip(logits.tolist(), actions.tolist(), strict=True):
    total += math.log(math.fsum(math.exp((x - row[action]) / temperature) for x in row))
  return total / len(actions)


class TemperatureTest(parameterized.TestCase):

  def test_by_hand(self):
    # Of two actions 4 / 5 times the likelier one, by a logit of 1: it must get 4 / 5, and
    # 1 / (1 + exp(-1 / T)) = 4 / 5 for T = 1 / log(4).
    result = calibration.fit_temperature(np.tile([1., 0.], (5, 1)), [0, 0, 1, 0, 0])
    self.assertAlmostEqual(result.value, 1 / math.log(4), places=12)
    self.assertAlmostEqual(result.before, math.log(1 + math.exp(-1)) + .2)
    self.assertAlmostEqual(result.after, -.8 * math.log(.8) - .2 * math.log(.2))
    self.assertFalse(result.is_at_bound)

  def test_no_temperature_of_a_slow_search_is_better(self):
    logits = data.random_logits(100)
    actions = data.draw_actions(data.softmax(logits / 3))
    result = calibration.fit_temperature(logits, actions)
    self.assertAlmostEqual(result.before, _slow_loss(logits, actions, 1.))
    self.assertAlmostEqual(result.after, _slow_loss(logits, actions, result.value))
    losses = {t: _slow_loss(logits, actions, t) for t in np.geomspace(.1, 20, 500)}
    best = min(losses, key=losses.get)
    self.assertLess(result.after, losses[best])
    self.assertAlmostEqual(result.value, best, delta=.02 * best)

  @parameterized.parameters(.05, .3, 1., 4., 30.)
  def test_logits_times_c_have_c_times_the_temperature(self, c):
    logits = data.random_logits(20_000)
    actions = data.draw_actions(data.softmax(logits))
    once = calibration.fit_temperature(logits, actions)
    self.assertAlmostEqual(once.value, 1., delta=.03)
    scaled = calibration.fit_temperature(c * logits, actions)
    self.assertAlmostEqual(scaled.value, c * once.value, delta=1e-9 * c)
    self.assertAlmostEqual(scaled.after, once.after)

  def test_adding_to_a_row_changes_nothing(self):
    logits = data.random_logits(50)
    actions = data.draw_actions(data.softmax(logits))
    offsets = 1000 * np.random.default_rng(0).normal(size=(50, 1))
    self.assertAlmostEqual(calibration.fit_temperature(logits, actions).value,
                           calibration.fit_temperature(logits + offsets, actions).value)

  @parameterized.parameters(1e-3, 1., 1e4)
  def test_labels_that_are_all_right_end_at_the_lower_bound(self, scale):
    logits = scale * data.random_logits(50)
    result = calibration.fit_temperature(logits, logits.argmax(axis=1))
    self.assertEqual((result.value, result.is_at_bound), (.01, True))
    self.assertTrue(0 <= result.after <= result.before)

  @parameterized.parameters(1e-3, 1., 1e4)
  def test_labels_that_are_all_wrong_end_at_the_upper_bound(self, scale):
    logits = scale * data.random_logits(50)
    result = calibration.fit_temperature(logits, logits.argmin(axis=1))
    self.assertEqual((result.value, result.is_at_bound), (100., True))
    self.assertLess(result.after, result.before)

  def test_logits_that_say_nothing_keep_their_temperature(self):
    result = calibration.fit_temperature([[3., 3.], [0., 0.], [5., -math.inf]], [0, 1, 0])
    self.assertEqual((result.value, result.is_at_bound), (1., False))
    self.assertAlmostEqual(result.after, 2 / 3 * math.log(2))

  def test_illegal_actions_do_not_matter_and_get_nothing(self):
    logits = data.random_logits(100, num_actions=3)
    actions = data.draw_actions(data.softmax(logits))
    masked = np.insert(logits, 1, -math.inf, axis=1)
    result = calibration.fit_temperature(masked, actions + (actions > 0))
    self.assertEqual(result, calibration.fit_temperature(logits, actions))
    probabilities = calibration.apply_temperature(masked, result.value)
    Predictions(probabilities, actions).check_legal((0, 2, 3))

  def test_applied_by_hand(self):
    np.testing.assert_allclose(
        calibration.apply_temperature([[2 * math.log(3), 0., -math.inf]], 2.), [[.75, .25, 0.]])

  @parameterized.parameters(.01, 1., 100.)
  def test_applied_keeps_labels_and_sums_to_one(self, temperature):
    logits = data.random_logits(100, spread=50.)
    probabilities = calibration.apply_temperature(logits, temperature)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1., rtol=1e-12)
    self.assertTrue(np.all(np.take_along_axis(
        probabilities, logits.argmax(axis=1)[:, None], 1)[:, 0] == probabilities.max(axis=1)))

  def test_fitted_temperature_calibrates(self):
    logits = data.random_logits(20_000)
    actions = data.draw_actions(data.softmax(logits))
    overconfident = 3 * logits
    value = calibration.fit_temperature(overconfident[:10_000], actions[:10_000]).value
    before, after = (_equal_mass(
        calibration.apply_temperature(overconfident[10_000:], t), actions[10_000:]).error
                     for t in (1., value))
    self.assertGreater(before, .1)
    self.assertLess(after, .02)

  @parameterized.parameters(
      ([1., 2.], [0], r'logits have shape \(2,\); expected'),
      (np.zeros((0, 3)), [], r'logits have shape \(0, 3\); expected'),
      ([[1., math.nan]], [0], r'logits\[0, 1\] is nan; expected a finite number, or -inf'),
      ([[1., math.inf]], [0], r'logits\[0, 1\] is inf; expected a finite number, or -inf'),
      ([[1., 0.], [-math.inf, -math.inf]], [0, 0], r'logits\[1\] are all -inf; expected'),
      ([[1., -math.inf]], [1], r'actions\[0\] is 1, whose logit is -inf; expected a legal'),
      ([[1., 0.]], [2], r'actions\[0\] is 2; expected an id in \[0, 2\)'),
      ([[1., 0.]], [0, 1], r'actions have shape \(2,\); expected \(1,\)'))
  def test_bad_input_is_refused(self, logits, actions, message):
    with self.assertRaisesRegex(ValueError, message):
      calibration.fit_temperature(logits, actions)

  @parameterized.parameters(0., -1., math.inf, math.nan)
  def test_bad_temperature_is_refused(self, temperature):
    with self.assertRaisesRegex(ValueError, f'temperature is {temperature}; expected a finite'):
      calibration.apply_temperature([[1., 0.]], temperature)


if __name__ == '__main__':
  absltest.main()
