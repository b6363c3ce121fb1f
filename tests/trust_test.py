"""Trust in labels: numbers worked by hand, slow versions written anew, and properties."""

import math
from fractions import Fraction

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import statistics, trust

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
    of_steps = statistics.wilson_interval(int(is_right.sum()), 1000)
    self.assertGreater(of_episodes.high - of_episodes.low, 3 * (of_steps.high - of_steps.low))

  def test_interval_is_that_over_steps_if_steps_are_independent(self):
    rng = np.random.default_rng(0)
    actions = np.where(rng.random(4000) < .7, 0, 1)
    probabilities = np.tile([.8, .2], (4000, 1))
    of_episodes = trust.accuracy(probabilities, actions, np.arange(4000) // 10).interval
    of_steps = statistics.wilson_interval(int((actions == 0).sum()), 4000)
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


if __name__ == '__main__':
  absltest.main()
