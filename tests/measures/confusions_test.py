"""Confusions: counted by hand, packed and unpacked, and their numbers worked out by hand."""

import json
import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import confusions
from tests.reports import labelling_data


class ConfusionsTest(parameterized.TestCase):

  def test_counts_by_hand(self):
    ids, counts = confusions.by_episode([7, 2, 7, 7], [0, 1, 1, 0], [0, 0, 1, 1], 2)
    np.testing.assert_array_equal(ids, [2, 7])
    np.testing.assert_array_equal(counts, [[[0, 0], [1, 0]], [[1, 1], [0, 1]]])

  @parameterized.parameters(((3, 2, 2),), ((0, 4, 4),), ((1, 18, 18),), ((),))
  def test_what_was_packed_comes_back(self, shape):
    counts = np.random.default_rng(0).integers(0, 2 ** 32, shape)
    packed = json.loads(json.dumps(confusions.pack(counts)))
    np.testing.assert_array_equal(confusions.unpack(packed), counts)

  def test_five_hundred_episodes_take_little(self):
    generator = np.random.default_rng(0)
    episodes = np.repeat(np.arange(500), 40)
    true = generator.integers(4, size=20_000)
    predicted = np.where(generator.random(20_000) < .5, true, generator.integers(4, size=20_000))
    packed = confusions.pack(confusions.by_episode(episodes, true, predicted, 4)[1])
    self.assertLess(len(json.dumps(packed)), 10_000)

  @parameterized.parameters(
      ({},), ({'shape': [1], 'zlib': '?'},),
      ({'shape': [2], 'zlib': confusions.pack([1])['zlib']},),
      ({'shape': [2 ** 40], 'zlib': confusions.pack([1])['zlib']},))
  def test_damage_is_refused(self, packed):
    with self.assertRaisesRegex(ValueError, 'packed counts are damaged'):
      confusions.unpack(packed)

  def test_negative_counts_are_refused(self):
    with self.assertRaisesRegex(ValueError, r'counts are in \[-1, 3\]; expected'):
      confusions.pack([-1, 3])


class NumbersTest(absltest.TestCase):

  def test_numbers_of_ten_actions(self):
    # NOOP: 5 of 6 right, FIRE 3 of 3, RIGHT 0 of 1; said 6, 3 and 1 times. LEFT does not occur.
    numbers = confusions.numbers(labelling_data.make_labelling()['confusion'])
    self.assertEqual(numbers.accuracy, .8)
    self.assertAlmostEqual(numbers.interval.low, .4902, places=4)
    self.assertAlmostEqual(numbers.interval.high, .9433, places=4)
    self.assertAlmostEqual(numbers.balanced_accuracy, (5 / 6 + 1 + 0) / 3)
    self.assertEqual((numbers.majority, numbers.majority_accuracy), (0, .6))
    np.testing.assert_allclose(numbers.recall, [5 / 6, 1, 0, math.nan])
    np.testing.assert_allclose(numbers.precision, [5 / 6, 1, 0, math.nan])

  def test_shares_and_means_by_hand(self):
    # Recall 3/4 and 1/2. Precision 1 and 1/2, and 0 of an action that is said once and is wrong.
    counts = np.array([[3, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    self.assertEqual(confusions.accuracy(counts), 4 / 6)
    self.assertAlmostEqual(float(confusions.balanced_accuracy(counts)), (3 / 4 + 1 / 2) / 2)
    self.assertAlmostEqual(float(confusions.macro_f1(counts)), (6 / 7 + 2 / 4 + 0) / 3)

  def test_shares_and_means_are_those_of_each_matrix(self):
    counts = np.random.default_rng(0).integers(4, size=(6, 5, 5))
    counts[1], counts[2, 3] = 0, 0
    for matrix, accuracy, balanced in zip(
        counts, confusions.accuracy(counts), confusions.balanced_accuracy(counts), strict=True):
      expected = confusions.numbers(matrix)
      np.testing.assert_allclose([accuracy, balanced],
                                 [expected.accuracy, expected.balanced_accuracy], rtol=1e-15)
    np.testing.assert_array_equal(confusions.macro_f1(counts),
                                  [confusions.macro_f1(matrix) for matrix in counts])
    self.assertTrue(np.isnan(confusions.macro_f1(counts[1])))

  def test_rows_are_true_actions(self):
    numbers = confusions.numbers([[1, 3], [0, 2]])
    np.testing.assert_allclose(numbers.recall, [.25, 1.])
    np.testing.assert_allclose(numbers.precision, [1., .4])
    self.assertEqual((numbers.majority, numbers.majority_accuracy), (0, 4 / 6))

  def test_nothing_counted_has_no_numbers(self):
    numbers = confusions.numbers([[0, 0], [0, 0]])
    self.assertTrue(math.isnan(numbers.accuracy))
    self.assertTrue(math.isnan(numbers.balanced_accuracy))
    self.assertTrue(math.isnan(numbers.majority_accuracy))
    self.assertIsNone(numbers.majority)
    self.assertIsNone(numbers.interval.low)


class BaselinesTest(parameterized.TestCase):

  def test_by_hand(self):
    # Of five true actions 1 is there three times, 0 and 2 once each.
    counts = [[1, 0, 0, 0], [2, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    self.assertEqual(confusions.baselines(counts, 0), (1, .6, .2, .25))
    self.assertEqual(confusions.baselines([[1, 1, 0], [0, 0, 0], [0, 0, 2]]),
                     (0, .5, None, 1 / 3))

  def test_nothing_is_known_of_labels_whose_truth_nobody_knows(self):
    self.assertEqual(confusions.baselines([[0, 0], [0, 0]], 1), (None, None, None, .5))

  @parameterized.parameters(-1, 2, 5)
  def test_what_is_no_action_is_refused(self, no_op):
    for counts in ([[1, 0], [0, 1]], [[0, 0], [0, 0]]):
      with self.assertRaisesRegex(ValueError, rf'no_op is {no_op}; expected an id in \[0, 2\)'):
        confusions.baselines(counts, no_op)


if __name__ == '__main__':
  absltest.main()
