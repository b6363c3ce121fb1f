"""A file of records is written, or an error of the system names it."""

import errno
import os
import pathlib
import resource
import tempfile

from absl.testing import absltest
from array_record.python import array_record_module

from alpt_jax.data import record_file


class RecordFileTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'records')

  def test_records_come_back(self):
    records = [b'', b'one', bytes(3000)]
    with record_file.RecordFile(self.path) as file:
      for record in records:
        file.write(record)
    self.assertEqual(array_record_module.ArrayRecordReader(str(self.path)).read_all(), records)

  def test_a_disk_that_gets_full_is_named(self):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    with self.assertRaises(OSError) as raised:
      with record_file.RecordFile(self.path) as file:
        for _ in range(9):
          file.write(os.urandom(1 << 15))
    self.assertEqual((raised.exception.errno, raised.exception.filename),
                     (errno.EFBIG, str(self.path)))

  def test_a_directory_that_is_not_there_is_named(self):
    with self.assertRaises(FileNotFoundError) as raised:
      with record_file.RecordFile(self.path / 'below') as file:
        file.write(b'')
    self.assertEqual(raised.exception.filename, f'{self.path}/below')


if __name__ == '__main__':
  absltest.main()
