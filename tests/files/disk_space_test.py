"""What is written is compared with what is free where it goes."""

import os
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from alpt_jax.files import disk_space


class DiskSpaceTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.parent = self.enterContext(tempfile.TemporaryDirectory())

  def check(self, num_bytes, num_free, directory='a/b', **kwargs):
    self.usage = mock.Mock(return_value=mock.Mock(free=num_free))
    with mock.patch('shutil.disk_usage', self.usage):
      return disk_space.check(os.path.join(self.parent, directory), num_bytes, what='it',
                              **kwargs)

  def test_says_both(self):
    self.assertEqual(self.check(1.234e6, 5.678e9),
                     f'it takes about 1.23 MB; 5.68 GB are free at {self.parent}')

  @parameterized.parameters('', 'a', 'a/b/c')
  def test_asks_the_disk_of_what_is_there(self, directory):
    os.mkdir(os.path.join(self.parent, 'a'))
    self.check(1, 2, directory)
    self.usage.assert_called_once_with(os.path.join(self.parent, directory[:1]).rstrip('/'))

  def test_refuses_what_does_not_fit(self):
    self.check(1000, 1050)
    with self.assertRaisesRegex(OSError, 'a/b: it takes about 3 GB, and 2 GB are free on that d'):
      self.check(3e9, 2e9)
    with self.assertRaisesRegex(OSError, 'about 0.001 MB, and 0.00104 MB are free'):
      self.check(1000, 1040)  # An estimate may be a bit too small.

  def test_only_warns_of_what_goes_by_a_part(self):
    self.assertEqual(self.check(3e9, 2e9, certain=1e9),
                     f'it takes about 3 GB; 2 GB are free at {self.parent}. That goes by a part of '
                     'it, and may not fit.')
    self.assertEqual(self.check(1e9, 2e9, certain=1e6),
                     f'it takes about 1 GB; 2 GB are free at {self.parent}')
    with self.assertRaisesRegex(OSError, 'it takes about 3 GB, and 900 MB are free'):
      self.check(3e9, .9e9, certain=1e9)


if __name__ == '__main__':
  absltest.main()
