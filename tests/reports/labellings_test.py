"""The order of examples, and what counts as wrong in them."""

from absl.testing import absltest, parameterized

from alpt_jax.reports import labellings
from tests.reports import labelling_data


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
