"""What is no regular file is refused by its name."""

import os
import pathlib
import socket
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.files import regular_files


def make_socket(path):
  with socket.socket(socket.AF_UNIX) as one:
    one.bind(str(path))


LINKS = 'is a link to what cannot be opened'
MAKERS = {
    'is a pipe': os.mkfifo, 'is a socket': make_socket, 'is a directory': os.mkdir,
    'is a device': lambda path: os.symlink('/dev/zero', path),
    f'{LINKS}, .gone. .No such file': lambda path: os.symlink('gone', path),
    f'{LINKS}, .x. .Too many levels': lambda path: os.symlink('x', path)}


class RegularFilesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (self.directory / 'file').write_text('')
    (self.directory / 'link').symlink_to('file')

  def test_files_and_links_to_files_pass(self):
    for name in ('file', 'link'):
      self.assertEqual(regular_files.problem(self.directory / name), '')
      regular_files.check(self.directory / name)

  @parameterized.parameters(*MAKERS)
  def test_all_else_is_refused(self, message):
    path = self.directory / 'x'
    MAKERS[message](path)
    with self.assertRaisesRegex(ValueError, f'^{path}: {message}.*; expected a file. Remove it'):
      regular_files.check(path)

  @parameterized.product(message=tuple(MAKERS), place=('x', 'below/x', 'below/below/x', '.x'))
  def test_directories_are_searched_for_what_a_program_would_wait_for(self, message, place):
    path = self.directory / place
    path.parent.mkdir(parents=True, exist_ok=True)
    MAKERS[message](path)
    waits = message in ('is a pipe', 'is a socket', 'is a device')
    if waits and place in ('x', 'below/x'):
      with self.assertRaisesRegex(ValueError, f'^{path}: {message}'):
        regular_files.check_tree(self.directory)
    else:
      regular_files.check_tree(self.directory)


if __name__ == '__main__':
  absltest.main()
