"""Time scales of datasets, and what of them is the same."""

import dataclasses
import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.data import time_scale
from tests.data import own_data

Scale = time_scale.TimeScale


class CompareTest(parameterized.TestCase):

  def compare(self, found, learned):
    return time_scale.compare(found, learned, where='a', of='b')

  @parameterized.parameters(
      (Scale('image', 15., 1), Scale('image', 15., 1)),
      (Scale('image', 29.97, 1), Scale('image', 30., 1)),  # NTSC; imports allow 1 %, too.
      (Scale('image', 15., 4), Scale('image', 15., None)),
      (Scale('image', 15., 4, True), Scale('image', 15., 1, True)),  # Each times what it thins.
      (None, Scale('image', 15., 1)), (None, None))
  def test_the_same(self, found, learned):
    self.assertEqual(self.compare(found, learned), ([], []))

  @parameterized.parameters(
      (Scale('image', 60., 1), Scale('image', 15., 1), ['steps_per_second of a is 60, that of b '
                                                        'is 15']),
      (Scale('image', 15.2, 1), Scale('image', 15., 1), ['steps_per_second of a is 15.2, that of '
                                                         'b is 15']),
      (Scale('image', 15., 4), Scale('image', 15., 1), ['frame_skip of a is 4, that of b is 1']),
      (Scale('image', 15., 4, True), Scale('image', 15., 1), ['frame_skip of a is 4, that of b is '
                                                              '1']),
      (Scale('image', 60., 1, True), Scale('image', 15., 4, True), [
          'steps_per_second of a is 60, that of b is 15', 'frame_skip of a is 1, that of b is 4']),
      (Scale('grid'), Scale('vector'), ['observation_kind of a is grid, that of b is vector']))
  def test_what_differs_is_named_with_both_values(self, found, learned, expected):
    self.assertEqual(self.compare(found, learned).differences, expected)

  @parameterized.parameters(
      (Scale('image', None, 1), Scale('image', 15., 1), 'a'),
      (Scale('image', 15., 1), Scale('image', None, 1), 'b'),
      (Scale('image', 15., 1), None, 'b'), (Scale('image'), Scale('image'), 'a and of b'))
  def test_what_is_not_known_is_said(self, found, learned, who):
    result = self.compare(found, learned)
    self.assertEqual(result.differences, [])
    self.assertEqual(result.unknown, [f'steps_per_second of {who} is not known, so whether a and b '
                                      'have one speed was not compared.'])

  @parameterized.parameters((None, 2, 1, False), (None, 4, 1, True), (15., 200, 201, False))
  def test_frame_skip_is_compared_exactly_where_no_speed_was_measured(self, rate, a, b, measured):
    result = self.compare(Scale('image', rate, a, measured), Scale('image', rate, b, measured))
    self.assertEqual(result.differences, [f'frame_skip of a is {a}, that of b is {b}'])

  def test_refuses_unless_allowed(self):
    time_scale.refuse([], is_allowed=False, remedy='mend it')
    time_scale.refuse(['x is 1'], is_allowed=True, remedy='mend it')
    with self.assertRaisesRegex(ValueError, '^x is 1; y is 2. An IDM knows .* in a step: mend it.'):
      time_scale.refuse(['x is 1', 'y is 2'], is_allowed=False, remedy='mend it')


class OfDatasetTest(parameterized.TestCase):

  @parameterized.parameters(
      (None, {}, (None, None, False)),
      (15., {'metadata': {'frame_skip': 4}}, (15., 4, False)),
      (15., {'source_files': [{'name': 'a', 'steps_per_second': 15.1}]}, (15., None, True)),
      (None, {'source_files': [{'name': 'a', 'steps_per_second': 30.},
                               {'name': 'b', 'steps_per_second': 30.1}]}, (30., None, True)),
      (None, {'source_files': [{'name': 'a', 'steps_per_second': 30.},
                               {'name': 'b', 'steps_per_second': 60.}]}, (None, None, False)),
      (None, {'source_files': [{'name': 'a'}]}, (None, None, False)))
  def test_environment_file_and_card(self, rate, card, expected):
    with tempfile.TemporaryDirectory() as directory:
      pathlib.Path(directory, 'dataset_card.json').write_text(json.dumps(card))
      env = dataclasses.replace(own_data.environment(), steps_per_second=rate)
      self.assertEqual(time_scale.of_dataset(directory, env), ('image', *expected))


if __name__ == '__main__':
  absltest.main()
