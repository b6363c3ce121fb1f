"""Numbers of labellings against those worked out by hand, and the order of examples."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.reports import labellings
from tests.reports import labelling_data


def _first(labelling):
  return labelling['examples'][0]


class ComputeTest(absltest.TestCase):

  def test_numbers_of_ten_actions(self):
    # NOOP: 5 of 6 right, FIRE 3 of 3, RIGHT 0 of 1; said 6, 3 and 1 times. LEFT does not occur.
    numbers = labellings.compute(labelling_data.make_labelling()['confusion'])
    self.assertEqual(numbers.accuracy, .8)
    self.assertAlmostEqual(numbers.interval.low, .4902, places=4)
    self.assertAlmostEqual(numbers.interval.high, .9433, places=4)
    self.assertAlmostEqual(numbers.balanced_accuracy, (5 / 6 + 1 + 0) / 3)
    self.assertEqual((numbers.majority, numbers.majority_accuracy), (0, .6))
    np.testing.assert_allclose(numbers.recall, [5 / 6, 1, 0, math.nan])
    np.testing.assert_allclose(numbers.precision, [5 / 6, 1, 0, math.nan])

  def test_rows_are_true_actions(self):
    numbers = labellings.compute([[1, 3], [0, 2]])
    np.testing.assert_allclose(numbers.recall, [.25, 1.])
    np.testing.assert_allclose(numbers.precision, [1., .4])
    self.assertEqual((numbers.majority, numbers.majority_accuracy), (0, 4 / 6))

  def test_nothing_counted_has_no_numbers(self):
    numbers = labellings.compute([[0, 0], [0, 0]])
    self.assertTrue(math.isnan(numbers.accuracy))
    self.assertTrue(math.isnan(numbers.balanced_accuracy))
    self.assertTrue(math.isnan(numbers.majority_accuracy))
    self.assertIsNone(numbers.majority)
    self.assertIsNone(numbers.interval.low)


class OrderedTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('most_wrong', 'most wrong', [0, 3, 2, 1]),  # The less sure of two with one wrong first.
      ('least_sure', 'least sure', [1, 3, 0, 2]),  # .6 (of .5 and .7), .8, .9; more wrong first.
      ('in_order', 'in order', [3, 2, 1, 0]))
  def test_order(self, order, expected):
    examples = labelling_data.make_labelling()['examples']
    self.assertEqual(labellings.ordered(examples, order), expected)

  def test_what_training_knew_does_not_count(self):
    example = labelling_data.make_example([0, 1], [1, 0], [.2, .8], known=(0,))
    self.assertEqual(labellings.is_wrong(example).tolist(), [False, True])
    self.assertEqual(labellings.mean_confidence(example), .8)

  def test_examples_without_confidence_are_the_last_of_the_least_sure(self):
    examples = [labelling_data.make_example([0], [0]), labelling_data.make_example([0], [0], [1.])]
    self.assertEqual(labellings.ordered(examples, 'least sure'), [1, 0])


if __name__ == '__main__':
  absltest.main()
