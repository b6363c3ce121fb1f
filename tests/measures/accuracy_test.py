"""Trust in labels: numbers worked by hand, slow versions written anew, and properties."""

import math
from fractions import Fraction

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import accuracy as trust
from alpt_jax.measures import curves

# Five transitions of two episodes, three actions. Labels: 0, 1, 0, 2, 0 (the last of two equals).
PROBABILITIES = np.array([[.7, .2, .1],
                          [.1, .6, .3],
                          [.5, .3, .2],
                          [.0, .1, .9],
                          [.4, .4, .2]])
ACTIONS = np.array([0, 1, 1, 2, 1])
EPISODES = np.array([4, 4, 4, 7, 7])
IS_RIGHT = np.array([True, True, False, True, False])

# Every function that takes probabilities and true actions.
SCORES = {
    'accuracy': lambda p, a: trust.accuracy(p, a, np.arange(len(p))),
    'confusion': trust.confusion,
    'balanced_accuracy': trust.balanced_accuracy,
    'top_k_accuracy': lambda p, a: trust.top_k_accuracy(p, a, 1),
    'negative_log_likelihood': trust.negative_log_likelihood,
    'equal_width_calibration': trust.equal_width_calibration,
    'equal_mass_calibration': trust.equal_mass_calibration,
    'coverage_curve': trust.coverage_curve,
    'gain_over_majority': lambda p, a: trust.gain_over_majority(p, a, np.arange(len(p))),
    'lag_test': lambda p, a: trust.lag_test(p, a, np.zeros(len(p), int), np.arange(len(p))),
}


def _random_logits(num, num_actions=4, seed=0, spread=2.):
  return spread * np.random.default_rng(seed).normal(size=(num, num_actions))


def _softmax(logits):
  weights = np.exp(logits - logits.max(axis=1, keepdims=True))
  return weights / weights.sum(axis=1, keepdims=True)


def _draw_actions(probabilities, seed=1):
  """True actions that follow the probabilities, which are calibrated then."""
  numbers = np.random.default_rng(seed).random((len(probabilities), 1))
  return np.minimum((numbers > probabilities.cumsum(axis=1)).sum(axis=1),
                    probabilities.shape[1] - 1)


def _random_case(num=200, seed=0):
  probabilities = _softmax(_random_logits(num, seed=seed))
  return probabilities, _draw_actions(probabilities, seed + 1)


def _slow_label(row):
  """The first of the most probable actions."""
  return max(range(len(row)), key=lambda a: (row[a], -a))


class InputTest(parameterized.TestCase):

  @parameterized.product(name=tuple(SCORES), case=(
      (PROBABILITIES[0], ACTIONS, r'probabilities have shape \(3,\); expected \[trans'),
      (np.zeros((0, 3)), np.zeros(0, int), r'shape \(0, 3\); expected at least one transition'),
      (np.zeros((2, 0)), np.zeros(2, int), r'shape \(2, 0\); expected at least one transition'),
      ([[.5, .5], [.5, math.nan]], [0, 1], r'probabilities\[1, 1\] is nan; expected a number in'),
      ([[.5, .5], [-.5, 1.5]], [0, 1], r'probabilities\[1, 0\] is -0.5; expected a number in'),
      ([[.5, .5], [math.inf, 0]], [0, 1], r'probabilities\[1\] sum to inf; expected 1 within'),
      ([[.5, .5], [.5, .4998]], [0, 1], r'probabilities\[1\] sum to 0.9998; expected 1 within'),
      (PROBABILITIES, ACTIONS[:4], r'actions have shape \(4,\); expected \(5,\)'),
      (PROBABILITIES, ACTIONS[:, None], r'actions have shape \(5, 1\); expected \(5,\)'),
      (PROBABILITIES, ACTIONS * 1., 'actions are of type float64; expected integers'),
      (PROBABILITIES, IS_RIGHT, 'actions are of type bool; expected integers'),
      (PROBABILITIES, [0, 1, 1, 3, 1], r'actions\[3\] is 3; expected an id in \[0, 3\)'),
      (PROBABILITIES, [0, 1, -1, 2, 1], r'actions\[2\] is -1; expected an id in \[0, 3\)')))
  def test_bad_input_is_refused_by_name(self, name, case):
    probabilities, actions, message = case
    with self.assertRaisesRegex(ValueError, message):
      SCORES[name](probabilities, actions)

  def test_rounding_of_single_precision_is_accepted(self):
    probabilities, actions = _random_case()
    self.assertAlmostEqual(
        trust.negative_log_likelihood(probabilities.astype(np.float32), actions),
        trust.negative_log_likelihood(probabilities, actions), delta=1e-6)


class LegalTest(parameterized.TestCase):

  def test_probability_of_an_illegal_action_is_refused_by_place(self):
    with self.assertRaisesRegex(ValueError, r'probabilities\[1, 2\] is 1e-30; expected 0: the '
                                            r'legal actions are \[0, 1\]'):
      trust.check_legal([[.5, .5, 0], [.5, .5, 1e-30]], (1, 0))

  def test_legal_actions_may_have_any_probability(self):
    trust.check_legal([[.5, .5, 0], [1, 0, 0]], (0, 1))
    trust.check_legal(PROBABILITIES, (0, 1, 2))

  @parameterized.parameters(
      ((), r'legal_actions are \(\); expected at least one'),
      ((0, 3), r'legal_actions\[1\] is 3; expected an id in \[0, 3\)'),
      ((0., 1.), 'legal_actions are of type float64'))
  def test_bad_legal_actions_are_refused(self, legal_actions, message):
    with self.assertRaisesRegex(ValueError, message):
      trust.check_legal(PROBABILITIES, legal_actions)


class AccuracyTest(parameterized.TestCase):

  def test_by_hand(self):
    accuracy = trust.accuracy(PROBABILITIES, ACTIONS, EPISODES)
    self.assertEqual((accuracy.value, accuracy.num_transitions, accuracy.interval.n), (.6, 5, 2))
    # Two episodes with 2 of 3 and 1 of 2 right; a quarter of the draws are of one of them alone.
    self.assertEqual((accuracy.interval.low, accuracy.interval.high), (1 / 2, 2 / 3))

  def test_interval_is_that_of_slow_resampling(self):
    rng = np.random.default_rng(0)
    probabilities, actions = _random_case(300)
    episodes = rng.integers(12, size=300)
    fast = trust.accuracy(probabilities, actions, episodes, level=.9).interval
    groups = [[_slow_label(p) == a for p, a, e in zip(probabilities, actions, episodes, strict=True)
               if e == episode] for episode in sorted(set(episodes.tolist()))]
    means = []
    for _ in range(4000):
      drawn = [right for _ in groups for right in groups[rng.integers(len(groups))]]
      means.append(sum(drawn) / len(drawn))
    means.sort()
    # Standard deviation of a 5 % point of 4000 draws: about .0005 for this interval's width.
    self.assertAlmostEqual(fast.low, means[200], delta=.004)
    self.assertAlmostEqual(fast.high, means[3800], delta=.004)

  def test_large_resamples_in_parts_are_those_at_once(self):
    probabilities, actions = _random_case(300)
    episodes = np.arange(300) // 10
    whole = trust.accuracy(probabilities, actions, episodes, num_resamples=500)
    self.addCleanup(setattr, trust, '_DRAWS_AT_ONCE', trust._DRAWS_AT_ONCE)
    trust._DRAWS_AT_ONCE = 100
    self.assertEqual(trust.accuracy(probabilities, actions, episodes, num_resamples=500), whole)

  def test_interval_does_not_depend_on_the_order_of_transitions(self):
    probabilities, actions = _random_case(100)
    episodes = np.arange(100) // 7
    order = np.random.default_rng(0).permutation(100)
    self.assertEqual(trust.accuracy(probabilities, actions, episodes),
                     trust.accuracy(probabilities[order], actions[order], episodes[order]))

  def test_interval_is_wider_than_one_over_steps_if_episodes_differ(self):
    rng = np.random.default_rng(0)
    episodes = np.repeat(np.arange(20), 50)
    is_right = rng.random(1000) < rng.choice([.3, .9], 20)[episodes]
    actions = np.where(is_right, 0, 1)
    probabilities = np.tile([.8, .2], (1000, 1))
    of_episodes = trust.accuracy(probabilities, actions, episodes).interval
    of_steps = curves.wilson_interval(int(is_right.sum()), 1000)
    self.assertGreater(of_episodes.high - of_episodes.low, 3 * (of_steps.high - of_steps.low))

  def test_interval_is_that_over_steps_if_steps_are_independent(self):
    rng = np.random.default_rng(0)
    actions = np.where(rng.random(4000) < .7, 0, 1)
    probabilities = np.tile([.8, .2], (4000, 1))
    of_episodes = trust.accuracy(probabilities, actions, np.arange(4000) // 10).interval
    of_steps = curves.wilson_interval(int((actions == 0).sum()), 4000)
    self.assertAlmostEqual(of_episodes.low, of_steps.low, delta=.003)
    self.assertAlmostEqual(of_episodes.high, of_steps.high, delta=.003)

  def test_interval_covers_the_truth_about_as_often_as_asked(self):
    rng = np.random.default_rng(0)
    probabilities, episodes = np.tile([.8, .2], (400, 1)), np.arange(400) // 10
    covered = 0
    for _ in range(200):
      is_right = rng.random(400) < rng.beta(2, 1, 40)[episodes]  # Mean 2 / 3.
      low, high, *_ = trust.accuracy(probabilities, np.where(is_right, 0, 1), episodes,
                                     num_resamples=400).interval
      covered += low <= 2 / 3 <= high
    self.assertBetween(covered, 180, 198)  # Asked for: 190 of 200, standard deviation 3.

  def test_one_episode_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'episodes are all 3; expected two different ones'):
      trust.accuracy(PROBABILITIES, ACTIONS, np.full(5, 3))

  @parameterized.parameters(
      (dict(episodes=EPISODES[:3]), r'episodes have shape \(3,\); expected \(5,\)'),
      (dict(episodes=EPISODES * 1.), 'episodes are of type float64'),
      (dict(level=95), 'level is 95; expected'),
      (dict(num_resamples=0), 'num_resamples is 0; expected'))
  def test_bad_settings_are_refused(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      trust.accuracy(PROBABILITIES, ACTIONS, **(dict(episodes=EPISODES) | settings))


class GainTest(parameterized.TestCase):

  def test_by_hand(self):
    # Always saying 1 is as often right as the labels, in both episodes.
    gain = trust.gain_over_majority(PROBABILITIES, ACTIONS, EPISODES)
    self.assertEqual((gain.value, gain.interval.low, gain.interval.high), (0., 0., 0.))
    gain = trust.gain_over_majority(PROBABILITIES, [0, 1, 0, 2, 0], EPISODES)
    # Labels are all right, 0 is right in 2 of 3 and 1 of 2.
    self.assertAlmostEqual(gain.value, 2 / 5)
    self.assertAlmostEqual(gain.interval.low, 1 / 3)
    self.assertAlmostEqual(gain.interval.high, 1 / 2)

  def test_labels_that_always_say_the_majority_gain_nothing(self):
    _, actions = _random_case(100)
    always = np.eye(4)[np.full(100, np.bincount(actions).argmax())]
    self.assertEqual(trust.gain_over_majority(always, actions, np.arange(100) // 10),
                     (0., (0., 0., 10, '')))

  def test_is_the_difference_of_the_accuracies(self):
    probabilities, actions = _random_case(300)
    gain = trust.gain_over_majority(probabilities, actions, np.arange(300) // 10)
    self.assertAlmostEqual(
        gain.value, trust.accuracy(probabilities, actions, np.arange(300) // 10).value
        - trust.baselines(actions, 4).majority_accuracy)
    self.assertBetween(gain.value, gain.interval.low, gain.interval.high)

  def test_one_episode_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'episodes are all 3; expected two different ones'):
      trust.gain_over_majority(PROBABILITIES, ACTIONS, np.full(5, 3))


class CountsTest(parameterized.TestCase):

  def test_confusion_by_hand(self):
    np.testing.assert_array_equal(trust.confusion(PROBABILITIES, ACTIONS),
                                  [[1, 0, 0], [2, 1, 0], [0, 0, 1]])

  def test_confusion_is_that_of_counting(self):
    probabilities, actions = _random_case()
    counts = [[0] * 4 for _ in range(4)]
    for row, action in zip(probabilities, actions, strict=True):
      counts[action][_slow_label(row)] += 1
    np.testing.assert_array_equal(trust.confusion(probabilities, actions), counts)

  def test_balanced_accuracy_by_hand(self):
    self.assertAlmostEqual(trust.balanced_accuracy(PROBABILITIES, ACTIONS), (1 + 1 / 3 + 1) / 3)

  def test_actions_that_do_not_occur_do_not_count(self):
    self.assertEqual(trust.balanced_accuracy(PROBABILITIES[:3], [0, 1, 1]), (1 + 1 / 2) / 2)

  def test_balanced_accuracy_is_the_mean_of_slow_recalls(self):
    probabilities, actions = _random_case(seed=3)
    labels = [_slow_label(row) for row in probabilities]
    recalls = [Fraction(sum(x == a == action for x, a in zip(labels, actions, strict=True)),
                        sum(a == action for a in actions)) for action in set(actions.tolist())]
    self.assertAlmostEqual(trust.balanced_accuracy(probabilities, actions),
                           float(sum(recalls) / len(recalls)))

  def test_baselines_by_hand(self):
    self.assertEqual(trust.baselines(ACTIONS, 4, no_op=0), (1, .6, .2, .25))
    self.assertEqual(trust.baselines([2, 2, 0, 0], 3), (0, .5, None, 1 / 3))

  @parameterized.parameters(
      (ACTIONS, dict(num_actions=2), r'actions\[3\] is 2; expected an id in \[0, 2\)'),
      (np.zeros(0, int), dict(num_actions=2), 'actions have no transition'),
      (ACTIONS[None], dict(num_actions=3), r'actions have shape \(1, 5\); expected \(5,\)'),
      (ACTIONS, dict(num_actions=3, no_op=3), r'no_op is 3; expected an id in \[0, 3\) or None'))
  def test_baselines_refuse_bad_input(self, actions, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      trust.baselines(actions, **settings)


class TopKTest(parameterized.TestCase):

  @parameterized.parameters((1, .6), (2, 1.), (3, 1.))
  def test_by_hand(self, k, expected):
    self.assertEqual(trust.top_k_accuracy(PROBABILITIES, ACTIONS, k), expected)

  @parameterized.parameters(1, 2, 3, 4)
  def test_is_that_of_sorting_each_row(self, k):
    probabilities, actions = _random_case()
    probabilities = (probabilities * 4).round() / 4  # Makes equal ones.
    probabilities[:, 0] += 1 - probabilities.sum(axis=1)
    probabilities = np.abs(probabilities) / np.abs(probabilities).sum(axis=1, keepdims=True)
    best = [sorted(range(4), key=lambda a: (-row[a], a))[:k] for row in probabilities.tolist()]
    expected = sum(a in b for a, b in zip(actions, best, strict=True)) / len(actions)
    self.assertAlmostEqual(trust.top_k_accuracy(probabilities, actions, k), expected)

  @parameterized.parameters(0, 4)
  def test_k_out_of_range_is_refused(self, k):
    with self.assertRaisesRegex(ValueError, rf'k is {k}; expected a number in \[1, 3\]'):
      trust.top_k_accuracy(PROBABILITIES, ACTIONS, k)


class LikelihoodTest(absltest.TestCase):

  def test_by_hand(self):
    expected = -(math.log(.7) + math.log(.6) + math.log(.3) + math.log(.9) + math.log(.4)) / 5
    self.assertAlmostEqual(trust.negative_log_likelihood(PROBABILITIES, ACTIONS), expected)

  def test_is_that_of_a_loop(self):
    probabilities, actions = _random_case()
    expected = math.fsum(-math.log(row[a]) for row, a in zip(probabilities, actions, strict=True))
    self.assertAlmostEqual(trust.negative_log_likelihood(probabilities, actions), expected / 200)

  def test_equal_probabilities_cost_the_logarithm_of_their_number(self):
    self.assertAlmostEqual(
        trust.negative_log_likelihood(np.full((3, 4), .25), [0, 1, 2]), math.log(4))

  def test_impossible_truth_costs_what_the_floor_says(self):
    self.assertAlmostEqual(trust.negative_log_likelihood([[1., 0.], [1., 0.]], [0, 1]),
                           12 * math.log(10) / 2)


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
  return [(max(row), _slow_label(row) == a)
          for row, a in zip(probabilities.tolist(), actions.tolist(), strict=True)]


class CalibrationTest(parameterized.TestCase):

  def test_equal_width_by_hand(self):
    # .55 and .6 are in (.5, .75], of which one is right; .9 and 1 in (.75, 1], both right.
    result = trust.equal_width_calibration(
        *_two_actions([.55, 1., .6, .9], [True, True, False, True]), num_bins=4)
    np.testing.assert_array_equal(result.low, [.5, .75])
    np.testing.assert_array_equal(result.high, [.75, 1.])
    np.testing.assert_array_equal(result.count, [2, 2])
    np.testing.assert_allclose(result.confidence, [.575, .95])
    np.testing.assert_allclose(result.accuracy, [.5, 1.])
    self.assertAlmostEqual(result.error, (.075 + .05) / 2)

  def test_a_confidence_at_an_edge_is_in_the_bin_below(self):
    result = trust.equal_width_calibration(*_two_actions([.5, .75, .8], [True] * 3), num_bins=4)
    np.testing.assert_array_equal(result.high, [.5, .75, 1.])

  def test_confidence_that_rounding_put_above_one_is_in_the_last_bin(self):
    result = trust.equal_width_calibration([[1.00005, 0.]], [0])
    self.assertEqual((result.high[0], result.confidence[0], result.error), (1., 1., 0.))

  def test_equal_mass_by_hand(self):
    result = trust.equal_mass_calibration(
        *_two_actions([.99, .9, .98, .6, .97, .7], [True, True, True, False, True, True]),
        num_bins=3)
    np.testing.assert_array_equal(result.low, [.6, .9, .98])
    np.testing.assert_array_equal(result.high, [.7, .97, .99])
    np.testing.assert_array_equal(result.count, [2, 2, 2])
    np.testing.assert_allclose(result.accuracy, [.5, 1., 1.])
    self.assertAlmostEqual(result.error, (.15 + .065 + .015) / 3)

  def test_equal_confidences_share_a_bin_of_equal_mass(self):
    result = trust.equal_mass_calibration(
        *_two_actions([.6, 1., 1., 1., 1.], [False, True, True, False, True]), num_bins=5)
    np.testing.assert_array_equal(result.count, [1, 4])
    np.testing.assert_array_equal(result.low, [.6, 1.])
    np.testing.assert_array_equal(result.high, [.6, 1.])
    self.assertAlmostEqual(result.error, (.6 + 4 * .25) / 5)

  @parameterized.parameters(1, 7, 15)
  def test_equal_width_is_that_of_a_loop_over_bins(self, num_bins):
    probabilities, actions = _random_case(seed=5)
    pairs = _pairs(probabilities, actions)
    error, rows = _slow_calibration([
        [pair for pair in pairs if i / num_bins < pair[0] <= (i + 1) / num_bins]
        for i in range(num_bins)])
    result = trust.equal_width_calibration(probabilities, actions, num_bins=num_bins)
    self.assertAlmostEqual(result.error, error)
    np.testing.assert_allclose(np.stack(result[3:], axis=1), rows)

  @parameterized.parameters(1, 7, 15, 1000)
  def test_equal_mass_is_that_of_dealing_out_sorted_transitions(self, num_bins):
    probabilities, actions = _random_case(seed=5)
    pairs = sorted(_pairs(probabilities, actions))
    groups = [[] for _ in range(num_bins)]
    for rank, pair in enumerate(pairs):
      groups[math.floor(Fraction(rank, len(pairs)) * num_bins)].append(pair)
    error, rows = _slow_calibration(groups)
    result = trust.equal_mass_calibration(probabilities, actions, num_bins=num_bins)
    self.assertAlmostEqual(result.error, error)
    np.testing.assert_allclose(np.stack(result[3:], axis=1), rows)
    kept = [group for group in groups if group]
    np.testing.assert_array_equal(result.low, [group[0][0] for group in kept])
    np.testing.assert_array_equal(result.high, [group[-1][0] for group in kept])

  @parameterized.parameters(trust.equal_width_calibration, trust.equal_mass_calibration)
  def test_error_is_near_zero_if_the_truth_follows_the_probabilities(self, calibration):
    probabilities, actions = _random_case(50_000)
    self.assertLess(calibration(probabilities, actions).error, .01)
    sharper = _softmax(np.log(probabilities) * 3)
    self.assertGreater(calibration(sharper, actions).error, .1)

  @parameterized.parameters(trust.equal_width_calibration, trust.equal_mass_calibration)
  def test_order_of_transitions_does_not_matter(self, calibration):
    probabilities, actions = _random_case()
    probabilities[::2] = [1., 0., 0., 0.]
    order = np.random.default_rng(0).permutation(200)
    for x, y in zip(calibration(probabilities, actions),
                    calibration(probabilities[order], actions[order]), strict=True):
      np.testing.assert_allclose(x, y, rtol=1e-12)

  @parameterized.parameters(trust.equal_width_calibration, trust.equal_mass_calibration)
  def test_no_bins_are_refused(self, calibration):
    with self.assertRaisesRegex(ValueError, 'num_bins is 0; expected at least 1'):
      calibration(PROBABILITIES, ACTIONS, num_bins=0)


class ErrorByChanceTest(absltest.TestCase):

  def test_one_bin_of_coin_flips(self):
    # |share of right - 1/2| of 1000 flips: 95 % are below 1.96 standard deviations, 0.031.
    found = trust.calibration_error_by_chance(np.full((1000, 2), .5), num_draws=4000)
    self.assertAlmostEqual(found, 1.96 * math.sqrt(.25 / 1000), delta=.002)

  def test_certain_labels_have_no_error_by_chance(self):
    self.assertEqual(trust.calibration_error_by_chance(np.eye(3)), 0.)

  def test_calibrated_labels_stay_below_and_others_do_not(self):
    num_above = 0
    for seed in range(50):
      probabilities, actions = _random_case(500, seed)
      limit = trust.calibration_error_by_chance(probabilities, num_draws=200)
      num_above += trust.equal_mass_calibration(probabilities, actions).error > limit
      sharper = _softmax(np.log(probabilities) * 3)
      self.assertGreater(trust.equal_mass_calibration(sharper, actions).error,
                         trust.calibration_error_by_chance(sharper, num_draws=200))
    self.assertLessEqual(num_above, 8)  # 2.5 expected, standard deviation 1.5.

  def test_bad_settings_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'num_bins is 0; expected at least 1'):
      trust.calibration_error_by_chance(PROBABILITIES, num_bins=0)


class CoverageTest(absltest.TestCase):

  def test_by_hand(self):
    curve = trust.coverage_curve(
        *_two_actions([.6, .9, .8, .8], [False, True, True, False]))
    np.testing.assert_array_equal(curve.threshold, [.9, .8, .6])
    np.testing.assert_array_equal(curve.coverage, [.25, .75, 1.])
    np.testing.assert_allclose(curve.accuracy, [1., 2 / 3, .5])
    self.assertAlmostEqual(curve.area, .25 * 1 + .5 * 2 / 3 + .25 * .5)

  def test_is_that_of_trying_every_threshold(self):
    probabilities, actions = _random_case()
    probabilities[::3] = [.7, .3, 0., 0.]
    pairs = _pairs(probabilities, actions)
    curve = trust.coverage_curve(probabilities, actions)
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
    probabilities, actions = _random_case()
    ranked = [right for _, right in sorted(_pairs(probabilities, actions), reverse=True)]
    expected = sum(sum(ranked[:n]) / n for n in range(1, 201)) / 200
    self.assertAlmostEqual(trust.coverage_curve(probabilities, actions).area, expected)

  def test_accuracy_only_falls_with_coverage_if_confidence_knows_what_is_right(self):
    is_right = np.random.default_rng(0).random(100) < .7
    confidences = np.where(is_right, .8, .5) + np.linspace(0, .19, 100)
    curve = trust.coverage_curve(*_two_actions(confidences, is_right))
    self.assertTrue(np.all(np.diff(curve.accuracy) <= 0))
    self.assertEqual(curve.accuracy[0], 1.)
    self.assertEqual(curve.accuracy[-1], is_right.mean())

  def test_area_is_the_accuracy_if_confidence_is_always_the_same(self):
    curve = trust.coverage_curve(*_two_actions([.8] * 10, [True] * 7 + [False] * 3))
    self.assertEqual((len(curve.threshold), curve.accuracy[0], curve.area), (1, .7, .7))

  def test_area_is_near_the_accuracy_if_confidence_is_chance(self):
    rng = np.random.default_rng(0)
    curve = trust.coverage_curve(
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
    result = trust.fit_temperature(np.tile([1., 0.], (5, 1)), [0, 0, 1, 0, 0])
    self.assertAlmostEqual(result.value, 1 / math.log(4), places=12)
    self.assertAlmostEqual(result.before, math.log(1 + math.exp(-1)) + .2)
    self.assertAlmostEqual(result.after, -.8 * math.log(.8) - .2 * math.log(.2))
    self.assertFalse(result.is_at_bound)

  def test_no_temperature_of_a_slow_search_is_better(self):
    logits = _random_logits(100)
    actions = _draw_actions(_softmax(logits / 3))
    result = trust.fit_temperature(logits, actions)
    self.assertAlmostEqual(result.before, _slow_loss(logits, actions, 1.))
    self.assertAlmostEqual(result.after, _slow_loss(logits, actions, result.value))
    losses = {t: _slow_loss(logits, actions, t) for t in np.geomspace(.1, 20, 500)}
    best = min(losses, key=losses.get)
    self.assertLess(result.after, losses[best])
    self.assertAlmostEqual(result.value, best, delta=.02 * best)

  @parameterized.parameters(.05, .3, 1., 4., 30.)
  def test_logits_times_c_have_c_times_the_temperature(self, c):
    logits = _random_logits(20_000)
    actions = _draw_actions(_softmax(logits))
    once = trust.fit_temperature(logits, actions)
    self.assertAlmostEqual(once.value, 1., delta=.03)
    scaled = trust.fit_temperature(c * logits, actions)
    self.assertAlmostEqual(scaled.value, c * once.value, delta=1e-9 * c)
    self.assertAlmostEqual(scaled.after, once.after)

  def test_adding_to_a_row_changes_nothing(self):
    logits = _random_logits(50)
    actions = _draw_actions(_softmax(logits))
    offsets = 1000 * np.random.default_rng(0).normal(size=(50, 1))
    self.assertAlmostEqual(trust.fit_temperature(logits, actions).value,
                           trust.fit_temperature(logits + offsets, actions).value)

  @parameterized.parameters(1e-3, 1., 1e4)
  def test_labels_that_are_all_right_end_at_the_lower_bound(self, scale):
    logits = scale * _random_logits(50)
    result = trust.fit_temperature(logits, logits.argmax(axis=1))
    self.assertEqual((result.value, result.is_at_bound), (.01, True))
    self.assertTrue(0 <= result.after <= result.before)

  @parameterized.parameters(1e-3, 1., 1e4)
  def test_labels_that_are_all_wrong_end_at_the_upper_bound(self, scale):
    logits = scale * _random_logits(50)
    result = trust.fit_temperature(logits, logits.argmin(axis=1))
    self.assertEqual((result.value, result.is_at_bound), (100., True))
    self.assertLess(result.after, result.before)

  def test_logits_that_say_nothing_keep_their_temperature(self):
    result = trust.fit_temperature([[3., 3.], [0., 0.], [5., -math.inf]], [0, 1, 0])
    self.assertEqual((result.value, result.is_at_bound), (1., False))
    self.assertAlmostEqual(result.after, 2 / 3 * math.log(2))

  def test_illegal_actions_do_not_matter_and_get_nothing(self):
    logits = _random_logits(100, num_actions=3)
    actions = _draw_actions(_softmax(logits))
    masked = np.insert(logits, 1, -math.inf, axis=1)
    result = trust.fit_temperature(masked, actions + (actions > 0))
    self.assertEqual(result, trust.fit_temperature(logits, actions))
    probabilities = trust.apply_temperature(masked, result.value)
    trust.check_legal(probabilities, (0, 2, 3))

  def test_applied_by_hand(self):
    np.testing.assert_allclose(
        trust.apply_temperature([[2 * math.log(3), 0., -math.inf]], 2.), [[.75, .25, 0.]])

  @parameterized.parameters(.01, 1., 100.)
  def test_applied_keeps_labels_and_sums_to_one(self, temperature):
    logits = _random_logits(100, spread=50.)
    probabilities = trust.apply_temperature(logits, temperature)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1., rtol=1e-12)
    self.assertTrue(np.all(np.take_along_axis(
        probabilities, logits.argmax(axis=1)[:, None], 1)[:, 0] == probabilities.max(axis=1)))

  def test_fitted_temperature_calibrates(self):
    logits = _random_logits(20_000)
    actions = _draw_actions(_softmax(logits))
    overconfident = 3 * logits
    value = trust.fit_temperature(overconfident[:10_000], actions[:10_000]).value
    before, after = (trust.equal_mass_calibration(
        trust.apply_temperature(overconfident[10_000:], t), actions[10_000:]).error
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
      trust.fit_temperature(logits, actions)

  @parameterized.parameters(0., -1., math.inf, math.nan)
  def test_bad_temperature_is_refused(self, temperature):
    with self.assertRaisesRegex(ValueError, f'temperature is {temperature}; expected a finite'):
      trust.apply_temperature([[1., 0.]], temperature)


def _lagging_case(lag, num_episodes=10, length=30, num_actions=3, share_right=.8, seed=0):
  """Labels that are, mostly, the action `lag` later; (probabilities, actions, episodes, times)."""
  rng = np.random.default_rng(seed)
  truth = rng.integers(num_actions, size=(num_episodes, length + 6))
  labels = np.where(rng.random((num_episodes, length)) < share_right,
                    truth[:, 3 + lag:3 + lag + length],
                    rng.integers(num_actions, size=(num_episodes, length)))
  return (np.eye(num_actions)[labels.reshape(-1)], truth[:, 3:3 + length].reshape(-1),
          np.repeat(np.arange(num_episodes), length), np.tile(np.arange(length), num_episodes))


class LagTest(parameterized.TestCase):

  def test_by_hand(self):
    # Labels 0, 1, 2, 0 are the actions one later, as far as there are such.
    lag = trust.lag_test(np.eye(3)[[0, 1, 2, 0]], [1, 0, 1, 2], [8, 8, 8, 8], [5, 6, 7, 8])
    np.testing.assert_array_equal(lag.shifts, [-3, -2, -1, 0, 1, 2, 3])
    np.testing.assert_array_equal(lag.num_transitions, [1, 2, 3, 4, 3, 2, 1])
    np.testing.assert_allclose(lag.accuracy, [0, .5, 1 / 3, 0, 1, 0, 0])
    self.assertEqual((lag.best, lag.gain, lag.num_episodes), (1, 1., 1))
    self.assertFalse(lag.is_shifted)  # One episode is no evidence.

  def test_is_that_of_looking_each_transition_up(self):
    rng = np.random.default_rng(0)
    probabilities, actions, episodes, timesteps = _lagging_case(2, num_episodes=6, seed=3)
    kept = rng.permutation(len(actions))[:120]  # Gaps, and no order.
    case = [x[kept] for x in (probabilities, actions, episodes * 7 - 3, timesteps)]
    truth = {(e, t): a for a, e, t in zip(*(x.tolist() for x in case[1:]), strict=True)}
    lag = trust.lag_test(*case)
    gains = {}
    for i, shift in enumerate(range(-3, 4)):
      pairs = [(_slow_label(p), a, truth[e, t + shift]) for p, a, e, t in
               zip(*(x.tolist() for x in case), strict=True) if (e, t + shift) in truth]
      self.assertEqual(lag.num_transitions[i], len(pairs))
      self.assertAlmostEqual(lag.accuracy[i], sum(p == b for p, _, b in pairs) / len(pairs))
      gains[shift] = sum((p == b) - (p == a) for p, a, b in pairs) / len(pairs)
    self.assertEqual(lag.best, max(gains, key=gains.get))
    self.assertAlmostEqual(lag.gain, max(gains.values()))

  @parameterized.parameters(-3, -2, -1, 1, 2, 3)
  def test_finds_a_lag(self, injected):
    lag = trust.lag_test(*_lagging_case(injected))
    self.assertEqual((lag.best, lag.is_shifted, lag.num_episodes), (injected, True, 10))
    self.assertGreater(lag.gain, .4)
    self.assertLess(lag.p_value, .01)

  def test_finds_a_lag_of_unsure_labels_whose_actions_often_stay(self):
    rng = np.random.default_rng(0)
    changes = rng.random((20, 60)) < .3
    truth = np.take_along_axis(rng.integers(4, size=(20, 60)), changes.cumsum(axis=1), axis=1)
    labels = np.where(rng.random((20, 59)) < .6, truth[:, 1:], rng.integers(4, size=(20, 59)))
    lag = trust.lag_test(np.eye(4)[labels.reshape(-1)], truth[:, :-1].reshape(-1),
                         np.repeat(np.arange(20), 59), np.tile(np.arange(59), 20))
    self.assertEqual((lag.best, lag.is_shifted), (1, True))

  def test_labels_in_place_have_no_lag(self):
    lag = trust.lag_test(*_lagging_case(0))
    self.assertEqual((lag.best, lag.gain, lag.p_value, lag.is_shifted), (0, 0., None, False))

  def test_of_shifts_that_fit_alike_the_nearest_is_best(self):
    always = np.eye(2)[np.zeros(20, int)]
    self.assertEqual(trust.lag_test(always, np.zeros(20, int), np.zeros(20, int),
                                    np.arange(20)).best, 0)

  def test_p_value_is_never_zero(self):
    self.assertEqual(
        trust.lag_test(*_lagging_case(1, num_episodes=60), num_resamples=999).p_value, 1 / 1000)

  def test_no_lag_is_clear_from_few_episodes(self):
    self.assertFalse(trust.lag_test(*_lagging_case(1, num_episodes=7)).is_shifted)
    self.assertTrue(trust.lag_test(*_lagging_case(1, num_episodes=8)).is_shifted)

  def test_no_lag_is_clear_that_gains_next_to_nothing(self):
    # 20 labels of each 400 fit one later only, 14 in place only: all episodes agree on .015.
    actions = np.tile(np.arange(401) % 3, 8)
    labels = np.full(401, 3)
    labels[:20] = (np.arange(20) + 1) % 3
    labels[20:34] = np.arange(20, 34) % 3
    lag = trust.lag_test(np.eye(4)[np.tile(labels, 8)], actions, np.repeat(np.arange(8), 401),
                         np.tile(np.arange(401), 8))
    self.assertEqual((lag.best, lag.is_shifted), (1, False))
    self.assertAlmostEqual(lag.gain, 6 / 400)
    self.assertLess(lag.p_value, .05 / 6)

  def test_p_value_is_the_share_of_all_signs(self):
    values = np.array([3., 1., -1., 2., 0., 4., 1., -2.])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    exact = np.mean(values @ signs >= values.sum())
    self.assertAlmostEqual(trust._random_signs_p_value(values, 20_000, 0), exact, delta=.008)

  def test_random_labels_rarely_lag_clearly(self):
    found = sum(trust.lag_test(*_lagging_case(0, share_right=0., seed=seed),
                               num_resamples=1000).is_shifted for seed in range(100))
    self.assertLessEqual(found, 10)  # At most 5 expected: 3 standard deviations above are 11.

  def test_nothing_is_compared_across_episodes_and_gaps(self):
    lag = trust.lag_test(np.eye(2)[[0, 1, 0, 1]], [0, 1, 0, 1], [0, 0, 1, 1], [0, 4, 1, 5])
    np.testing.assert_array_equal(lag.num_transitions, [0, 0, 0, 4, 0, 0, 0])
    np.testing.assert_array_equal(np.isnan(lag.accuracy), [1, 1, 1, 0, 1, 1, 1])

  @parameterized.parameters(
      ([0, 0, 1, 1, 1], [0, 1, 4, 3, 4], 'have transition 4 of episode 1 twice'),
      ([0, 0, 1, 1], [0, 1, 0, 1, 2], r'episodes have shape \(4,\); expected \(5,\)'),
      ([0, 0, 1, 1, 1], [0, 1, 0, 1], r'timesteps have shape \(4,\); expected \(5,\)'),
      ([0, 0, 1, 1, 1], [0, 1, 0, 1, .5], 'timesteps are of type float64'))
  def test_bad_places_are_refused(self, episodes, timesteps, message):
    with self.assertRaisesRegex(ValueError, message):
      trust.lag_test(PROBABILITIES, ACTIONS, episodes, timesteps)

  def test_no_draws_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'num_resamples is 0; expected at least 1'):
      trust.lag_test(PROBABILITIES, ACTIONS, EPISODES, [0, 1, 2, 0, 1], num_resamples=0)


if __name__ == '__main__':
  absltest.main()
