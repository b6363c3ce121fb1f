"""Tests that a file is never half written."""

import io
import json
import os
import pathlib
import tempfile
import zlib
from unittest import mock

from absl.testing import absltest

from alpt_jax import whole_files


class WholeFilesTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'new', 'file.json')

  def test_file_is_made_with_its_directory_and_replaced(self):
    whole_files.write_json(self.path, {'a': 1})
    whole_files.write_json(self.path, {'b': 2}, indent=1)
    self.assertEqual(json.loads(self.path.read_text()), {'b': 2})
    self.assertEqual(os.listdir(self.path.parent), ['file.json'])

  def test_failure_leaves_the_old_file_and_nothing_else(self):
    whole_files.write(self.path, b'old')
    with mock.patch.object(os, 'replace', side_effect=OSError), self.assertRaises(OSError):
      whole_files.write(self.path, b'new')
    with self.assertRaises(TypeError):
      whole_files.write_json(self.path, object())
    self.assertEqual(self.path.read_bytes(), b'old')
    self.assertEqual(os.listdir(self.path.parent), ['file.json'])

  def test_others_may_read_it_as_any_new_file(self):
    whole_files.write(self.path, b'')
    plain = self.path.with_name('plain')
    plain.touch()
    self.assertEqual(self.path.stat().st_mode, plain.stat().st_mode)

  def test_crc32_is_that_of_everybody(self):
    for size in (0, 1, (1 << 20) + 7):
      content = os.urandom(size)
      self.assertEqual(whole_files.crc32(io.BytesIO(content)),
                       (size, f'{zlib.crc32(content):08x}'))

  def test_directory_appears_whole(self):
    path = self.path.parent
    with whole_files.new_directory(path) as staging:
      pathlib.Path(staging, 'content', 'a').touch()
      pathlib.Path(staging, 'scratch').touch()
      self.assertFalse(path.exists())
    self.assertEqual(os.listdir(path), ['a'])
    self.assertEqual(os.listdir(path.parent), ['new'])
    with (self.assertRaisesRegex(ValueError, f'{path}: already exists'),
          whole_files.new_directory(path)):
      self.fail('The block must not run.')

  def test_failure_leaves_no_directory(self):
    self.path.parent.mkdir()  # One that is empty is taken.
    with self.assertRaises(KeyboardInterrupt), whole_files.new_directory(self.path.parent):
      raise KeyboardInterrupt
    self.assertEqual(list(self.path.parent.parent.iterdir()), [self.path.parent])
    self.assertEqual(os.listdir(self.path.parent), [])


if __name__ == '__main__':
  absltest.main()
