"""Tests of the comparison of precisions."""

import json
import pathlib
import tempfile

from absl.testing import parameterized

from experiments import compare_precision


class ComparePrecisionTest(parameterized.TestCase):

  def test_last_third_of_a_run(self):
    path = pathlib.Path(tempfile.mkdtemp(), 'metrics.jsonl')
    lines = [{'step': i, 'idm/loss': float(i)} for i in range(1, 8)]
    lines.insert(3, {'step': 3, 'eval/score': 1.})  # Evaluations have lines of their own.
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    self.assertEqual(compare_precision.last_third(path, 'idm/loss'), 6.)  # 5, 6 and 7.

  @parameterized.parameters((.1, True), (-.1, True), (1., False), (-1., False))
  def test_differences_within_the_noise_of_seeds(self, shift, expected):
    exact = [1., 1.2, 1.4]  # Standard deviation .2; of a difference of means .163.
    mean, noise, difference, is_inside = compare_precision.compare(
        exact, [x + shift for x in exact])
    self.assertAlmostEqual(mean, 1.2)
    self.assertAlmostEqual(noise, .2)
    self.assertAlmostEqual(difference, shift)
    self.assertEqual(is_inside, expected)
