"""Labellings: what is refused, and their numbers against those worked out by hand."""

import base64
import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.reports import labellings
from tests.reports import labelling_data


def _first(labelling):
  return labelling['examples'][0]


class CheckTest(parameterized.TestCase):

  def test_a_good_labelling_is_accepted(self):
    labellings.check(labelling_data.make_labelling(), 'labellings[0]')

  def test_confidence_returns_and_examples_may_be_missing(self):
    labelling = labelling_data.make_labelling()
    _first(labelling).update(confidence=None, return_to_go=None)
    labellings.check(labelling, 'x')
    labellings.check(labelling | dict(examples=[]), 'x')

  @parameterized.named_parameters(
      ('no_label', lambda x: x.pop('label'), r'x\.label is missing; expected a string'),
      ('seed', lambda x: x.update(seed=-1), r"x\.seed is '-1'; expected a whole number, 0 or more"),
      ('no_step', lambda x: x.pop('step'), r'x\.step is missing; expected a whole number'),
      ('true_is_no_number', lambda x: x.update(num_hidden=True), r"x\.num_hidden is 'True'"),
      ('total', lambda x: x.update(num_hidden=11),
       r'x\.num_hidden is 11; expected 10, the sum of confusion'),
      ('no_actions', lambda x: x.update(actions=[]), r'x\.actions is empty'),
      ('same_name', lambda x: x['actions'].__setitem__(1, 'NOOP'),
       r"x\.actions\[0\] is 'NOOP'; expected a name of its own"),
      ('rows', lambda x: x['confusion'].pop(), r'x\.confusion has 3 entries; expected 4'),
      ('columns', lambda x: x['confusion'][2].pop(), r'x\.confusion\[2\] has 3 entries'),
      ('count', lambda x: x['confusion'][2].__setitem__(1, .5),
       r"x\.confusion\[2\]\[1\] is '0.5'; expected a count"),
      ('example', lambda x: x['examples'].append(3),
       r"x\.examples\[4\] is '3'; expected an object"),
      ('no_window', lambda x: _first(x).update(true=[]), r'examples\[0\]\.true is empty'),
      ('shape', lambda x: _first(x)['predicted'].pop(),
       r'examples\[0\]\.predicted has 2 entries; expected 3'),
      ('index', lambda x: _first(x)['true'].__setitem__(1, 4),
       r"examples\[0\]\.true\[1\] is '4'; expected an index below 4"),
      ('negative', lambda x: _first(x)['predicted'].__setitem__(1, -1),
       r"examples\[0\]\.predicted\[1\] is '-1'; expected an index below 4"),
      ('known', lambda x: _first(x)['was_labelled'].__setitem__(0, 1),
       r"examples\[0\]\.was_labelled\[0\] is '1'; expected true or false"),
      ('confidence', lambda x: _first(x)['confidence'].__setitem__(2, 1.01),
       r"examples\[0\]\.confidence\[2\] is '1.01'; expected a number between 0 and 1"),
      ('nan', lambda x: _first(x)['confidence'].__setitem__(2, math.nan),
       r"confidence\[2\] is 'nan'"),
      ('no_confidence', lambda x: _first(x).pop('confidence'),
       r'examples\[0\]\.confidence is missing; expected a list or null'),
      ('return', lambda x: _first(x)['return_to_go'].__setitem__(0, math.inf),
       r"examples\[0\]\.return_to_go\[0\] is 'inf'; expected a finite number"),
      ('frame_width', lambda x: _first(x).update(frame_width=0),
       r"examples\[0\]\.frame_width is '0'; expected a whole number, 1 or more"),
      ('size', lambda x: _first(x).update(frame_width=80),
       r'examples\[0\]\.strip is 336 x 84; expected base64 of a PNG, .*320 x 84'),
      ('not_base64', lambda x: _first(x).update(strip='<b>'),
       r"examples\[0\]\.strip is '<b>'; expected base64 of a PNG"),
      ('not_png', lambda x: _first(x).update(strip=base64.b64encode(b'GIF89a').decode()),
       r"examples\[0\]\.strip begins with b'GIF89a'; expected base64 of a PNG"),
      ('cut', lambda x: _first(x).update(strip=_first(x)['strip'][:200]),
       r'examples\[0\]\.strip is damaged'))
  def test_a_bad_field_is_named(self, spoil, message):
    labelling = labelling_data.make_labelling()
    spoil(labelling)
    with self.assertRaisesRegex(ValueError, message) as caught:
      labellings.check(labelling, 'x')
    self.assertNotIn('\n', str(caught.exception))


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
