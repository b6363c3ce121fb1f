"""Accuracy of labels: numbers worked by hand, slow versions written anew, and properties."""

import math
from fractions import Fraction

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import accuracy, intervals
from alpt_jax.measures.predictions import Predictions
from tests.measures import predictions_data as data


def _accuracy(*case, **settings):
  return accuracy.accuracy(Predictions(*case), **settings)


def _gain(*case, **settings):
  return accuracy.gain_over_majority(Predictions(*case), **settings)


def _confusion(*case, **settings):
  return accuracy.confusion(Predictions(*case), **settings)


def _balanced(*case, **settings):
  return accuracy.balanced_accuracy(Predictions(*case), **settings)


def _nll(*case, **settings):
  return accuracy.negative_log_likelihood(Predictions(*case), **settings)


class AccuracyTest(parameterized.TestCase):

  def test_by_hand(self):
    found = _accuracy(data.PROBABILITIES, data.ACTIONS, data.EPISODES)
    self.assertEqual((found.value, found.n, found.over), (.6, 2, intervals.EPISODES))
    # Two episodes with 2 of 3 and 1 of 2 right; a quarter of the draws are of one of them alone.
    self.assertEqual((found.low, found.high), (1 / 2, 2 / 3))

  def test_interval_is_that_of_slow_resampling(self):
    rng = np.random.default_rng(0)
    probabilities, actions = data.random_case(300)
    episodes = rng.integers(12, size=300)
    fast = _accuracy(probabilities, actions, episodes, level=.9)
    groups = [[data.slow_label(p) == a
               for p, a, e in zip(probabilities, actions, episodes, strict=True) if e == episode]
              for episode in sorted(set(episodes.tolist()))]
    means = []
    for _ in range(4000):
      drawn = [right for _ in groups for right in groups[rng.integers(len(groups))]]
      means.append(sum(drawn) / len(drawn))
    means.sort()
    # Standard deviation of a 5 % point of 4000 draws: about .0005 for this interval's width.
    self.assertAlmostEqual(fast.low, means[200], delta=.004)
    self.assertAlmostEqual(fast.high, means[3800], delta=.004)

  def test_large_resamples_in_parts_are_those_at_once(self):
    probabilities, actions = data.random_case(300)
    episodes = np.arange(300) // 10
    whole = _accuracy(probabilities, actions, episodes, num_resamples=500)
    self.addCleanup(setattr, intervals, '_DRAWS_AT_ONCE', intervals._DRAWS_AT_ONCE)
    intervals._DRAWS_AT_ONCE = 100
    self.assertEqual(_accuracy(probabilities, actions, episodes, num_resamples=500), whole)

  def test_interval_does_not_depend_on_the_order_of_transitions(self):
    probabilities, actions = data.random_case(100)
    episodes = np.arange(100) // 7
    order = np.random.default_rng(0).permutation(100)
    self.assertEqual(_accuracy(probabilities, actions, episodes),
                     _accuracy(probabilities[order], actions[order], episodes[order]))

  def test_interval_is_wider_than_one_over_steps_if_episodes_differ(self):
    rng = np.random.default_rng(0)
    episodes = np.repeat(np.arange(20), 50)
    is_right = rng.random(1000) < rng.choice([.3, .9], 20)[episodes]
    actions = np.where(is_right, 0, 1)
    probabilities = np.tile([.8, .2], (1000, 1))
    of_episodes = _accuracy(probabilities, actions, episodes)
    of_steps = intervals.wilson(int(is_right.sum()), 1000)
    self.assertGreater(of_episodes.high - of_episodes.low, 3 * (of_steps.high - of_steps.low))

  def test_interval_is_that_over_steps_if_steps_are_independent(self):
    rng = np.random.default_rng(0)
    actions = np.where(rng.random(4000) < .7, 0, 1)
    probabilities = np.tile([.8, .2], (4000, 1))
    of_episodes = _accuracy(probabilities, actions, np.arange(4000) // 10)
    of_steps = intervals.wilson(int((actions == 0).sum()), 4000)
    self.assertAlmostEqual(of_episodes.low, of_steps.low, delta=.003)
    self.assertAlmostEqual(of_episodes.high, of_steps.high, delta=.003)

  def test_interval_covers_the_truth_about_as_often_as_asked(self):
    rng = np.random.default_rng(0)
    probabilities, episodes = np.tile([.8, .2], (400, 1)), np.arange(400) // 10
    covered = 0
    for _ in range(200):
      is_right = rng.random(400) < rng.beta(2, 1, 40)[episodes]  # Mean 2 / 3.
      found = _accuracy(probabilities, np.where(is_right, 0, 1), episodes, num_resamples=400)
      covered += found.low <= 2 / 3 <= found.high
    self.assertBetween(covered, 180, 198)  # Asked for: 190 of 200, standard deviation 3.

  def test_one_episode_has_no_interval(self):
    found = _accuracy(data.PROBABILITIES, data.ACTIONS, np.full(5, 3))
    self.assertEqual((found.value, found.low, found.high, found.n), (.6, None, None, 1))

  @parameterized.parameters(
      (dict(episodes=data.EPISODES[:3]), r'episodes have shape \(3,\); expected \(5,\)'),
      (dict(episodes=data.EPISODES * 1.), 'episodes are of type float64'),
      (dict(level=95), 'level is 95; expected'),
      (dict(num_resamples=0), 'num_resamples is 0; expected'))
  def test_bad_settings_are_refused(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      _accuracy(data.PROBABILITIES, data.ACTIONS, settings.pop('episodes', data.EPISODES),
                **settings)


class GainTest(parameterized.TestCase):

  def test_by_hand(self):
    # Always saying 1 is as often right as the labels, in both episodes.
    gain = _gain(data.PROBABILITIES, data.ACTIONS, data.EPISODES)
    self.assertEqual((gain.value, gain.low, gain.high), (0., 0., 0.))
    gain = _gain(data.PROBABILITIES, [0, 1, 0, 2, 0], data.EPISODES)
    # Labels are all right, 0 is right in 2 of 3 and 1 of 2.
    self.assertAlmostEqual(gain.value, 2 / 5)
    self.assertAlmostEqual(gain.low, 1 / 3)
    self.assertAlmostEqual(gain.high, 1 / 2)

  def test_labels_that_always_say_the_majority_gain_nothing(self):
    _, actions = data.random_case(100)
    always = np.eye(4)[np.full(100, np.bincount(actions).argmax())]
    gain = _gain(always, actions, np.arange(100) // 10)
    self.assertEqual((gain.value, gain.low, gain.high, gain.n), (0., 0., 0., 10))

  def test_is_the_difference_of_the_accuracies(self):
    probabilities, actions = data.random_case(300)
    gain = _gain(probabilities, actions, np.arange(300) // 10)
    self.assertAlmostEqual(
        gain.value, _accuracy(probabilities, actions, np.arange(300) // 10).value
        - np.bincount(actions).max() / 300)
    self.assertBetween(gain.value, gain.low, gain.high)

  def test_one_episode_has_no_interval(self):
    found = _gain(data.PROBABILITIES, data.ACTIONS, np.full(5, 3))
    self.assertEqual((found.value, found.low, found.high, found.n), (0., None, None, 1))


class CountsTest(parameterized.TestCase):

  def test_confusion_by_hand(self):
    np.testing.assert_array_equal(_confusion(data.PROBABILITIES, data.ACTIONS),
                                  [[1, 0, 0], [2, 1, 0], [0, 0, 1]])

  def test_confusion_is_that_of_counting(self):
    probabilities, actions = data.random_case()
    counts = [[0] * 4 for _ in range(4)]
    for row, action in zip(probabilities, actions, strict=True):
      counts[action][data.slow_label(row)] += 1
    np.testing.assert_array_equal(_confusion(probabilities, actions), counts)

  def test_balanced_accuracy_by_hand(self):
    self.assertAlmostEqual(_balanced(data.PROBABILITIES, data.ACTIONS), (1 + 1 / 3 + 1) / 3)

  def test_actions_that_do_not_occur_do_not_count(self):
    self.assertEqual(_balanced(data.PROBABILITIES[:3], [0, 1, 1]), (1 + 1 / 2) / 2)

  def test_balanced_accuracy_is_the_mean_of_slow_recalls(self):
    probabilities, actions = data.random_case(seed=3)
    labels = [data.slow_label(row) for row in probabilities]
    recalls = [Fraction(sum(x == a == action for x, a in zip(labels, actions, strict=True)),
                        sum(a == action for a in actions)) for action in set(actions.tolist())]
    self.assertAlmostEqual(_balanced(probabilities, actions),
                           float(sum(recalls) / len(recalls)))


class MacroF1Test(absltest.TestCase):

  def test_by_hand(self):
    # Labels 0, 1, 0, 2, 0 of 0, 1, 1, 2, 1.
    found = accuracy.macro_f1(Predictions(data.PROBABILITIES, data.ACTIONS))
    self.assertAlmostEqual(found, (2 / 4 + 2 / 4 + 1) / 3)

  def test_is_the_mean_of_slow_harmonic_means(self):
    probabilities, actions = data.random_case(seed=5)
    labels = [data.slow_label(row) for row in probabilities]
    scores = []
    for action in sorted({*labels, *actions.tolist()}):
      right = sum(x == a == action for x, a in zip(labels, actions, strict=True))
      shares = [Fraction(right, max(of.count(action), 1)) for of in (labels, actions.tolist())]
      scores.append(2 * shares[0] * shares[1] / sum(shares) if right else 0)
    self.assertAlmostEqual(accuracy.macro_f1(Predictions(probabilities, actions)),
                           float(sum(scores) / len(scores)))

  def test_false_alarms_cost_it_more_than_balanced_accuracy(self):
    actions = np.array([0] * 90 + [1] * 10)
    labels = np.where(np.arange(100) < 40, 1, actions)  # All of action 1 is found, and much more.
    known = Predictions(np.eye(2)[labels], actions)
    self.assertLess(accuracy.macro_f1(known), accuracy.balanced_accuracy(known) - .2)


class TopKTest(parameterized.TestCase):

  @parameterized.parameters((1, .6), (2, 1.), (3, 1.))
  def test_by_hand(self, k, expected):
    known = Predictions(data.PROBABILITIES, data.ACTIONS)
    self.assertEqual(accuracy.top_k_accuracy(known, k), expected)

  @parameterized.parameters(1, 2, 3, 4)
  def test_is_that_of_sorting_each_row(self, k):
    probabilities, actions = data.random_case()
    probabilities = (probabilities * 4).round() / 4  # Makes equal ones.
    probabilities[:, 0] += 1 - probabilities.sum(axis=1)
    probabilities = np.abs(probabilities) / np.abs(probabilities).sum(axis=1, keepdims=True)
    best = [sorted(range(4), key=lambda a: (-row[a], a))[:k] for row in probabilities.tolist()]
    expected = sum(a in b for a, b in zip(actions, best, strict=True)) / len(actions)
    found = accuracy.top_k_accuracy(Predictions(probabilities, actions), k)
    self.assertAlmostEqual(found, expected)

  @parameterized.parameters(0, 4)
  def test_k_out_of_range_is_refused(self, k):
    with self.assertRaisesRegex(ValueError, rf'k is {k}; expected a number in \[1, 3\]'):
      accuracy.top_k_accuracy(Predictions(data.PROBABILITIES, data.ACTIONS), k)


class LikelihoodTest(absltest.TestCase):

  def test_by_hand(self):
    expected = -(math.log(.7) + math.log(.6) + math.log(.3) + math.log(.9) + math.log(.4)) / 5
    self.assertAlmostEqual(_nll(data.PROBABILITIES, data.ACTIONS), expected)

  def test_is_that_of_a_loop(self):
    probabilities, actions = data.random_case()
    expected = math.fsum(-math.log(row[a]) for row, a in zip(probabilities, actions, strict=True))
    self.assertAlmostEqual(_nll(probabilities, actions), expected / 200)

  def test_equal_probabilities_cost_the_logarithm_of_their_number(self):
    self.assertAlmostEqual(
        _nll(np.full((3, 4), .25), [0, 1, 2]), math.log(4))

  def test_impossible_truth_costs_what_the_floor_says(self):
    self.assertAlmostEqual(_nll([[1., 0.], [1., 0.]], [0, 1]),
                           12 * math.log(10) / 2)


if __name__ == '__main__':
  absltest.main()
