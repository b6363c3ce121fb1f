"""Measurements are kept, and those of something else are refused in one line."""

import os
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.data import measure_files


class MeasureFilesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    directory = self.enterContext(tempfile.TemporaryDirectory())
    self.path = os.path.join(directory, 'new', 'ceiling.json')
    measure_files.write(self.path, 'ceiling', digest='ab', protocol={'sticky': .25},
                        content={'value': .9})

  def test_reads_what_was_written(self):
    found = measure_files.read(self.path, 'ceiling', digest='ab', protocol={'sticky': .25})
    self.assertEqual(found['value'], .9)

  def test_none_before_it_was_measured(self):
    self.assertIsNone(measure_files.read(self.path + 'x', 'ceiling', digest='ab', protocol={}))

  @parameterized.parameters(
      ('floor', 'ab', {'sticky': .25}, "kind is 'ceiling'; expected 'floor'"),
      ('ceiling', 'cd', {'sticky': .25}, "digest is 'ab'; expected 'cd'"),
      ('ceiling', 'ab', {'sticky': 0.}, 'protocol sticky is 0.25; expected 0.0'),
      ('ceiling', 'ab', {}, 'protocol sticky is 0.25; expected None'),
      ('ceiling', 'ab', {'sticky': .25, 'seed': 1}, 'protocol seed is None; expected 1'))
  def test_refuses_another(self, kind, digest, protocol, message):
    with self.assertRaisesRegex(ValueError, f'{self.path}: {message}') as raised:
      measure_files.read(self.path, kind, digest=digest, protocol=protocol)
    self.assertNotIn('\n', str(raised.exception))

  @parameterized.parameters('{', '[]', '{"format": 1}')
  def test_refuses_damage(self, content):
    with open(self.path, 'w') as f:
      f.write(content)
    with self.assertRaisesRegex(ValueError, f'{self.path}: .*Delete it and measure again'):
      measure_files.read(self.path, 'ceiling', digest='ab', protocol={})


if __name__ == '__main__':
  absltest.main()
