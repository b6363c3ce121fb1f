import hashlib
import pathlib
import subprocess
import tempfile
import unicodedata

from absl.testing import absltest, parameterized

from alpt_jax.data.importers import checksums


class ChecksumsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    for name in ('a.mp4', 'b c.mp4', 'notes.txt'):
      (self._directory / name).write_bytes(name.encode() * 9)

  def _problems(self):
    return checksums.problems(str(self._directory), ['a.mp4', 'b c.mp4'])

  @parameterized.parameters('SHA256SUMS', 'sha256sums.txt', 'videos.sha256')
  def test_changed_files_are_found(self, name):
    for flags in ([], ['--binary'], ['--tag']):
      with self.subTest(flags):
        listed = subprocess.run(['sha256sum', *flags, 'a.mp4', './b c.mp4', 'notes.txt'], text=True,
                                cwd=self._directory, capture_output=True, check=True).stdout
        (self._directory / name).write_text(listed)
        self.assertEqual(checksums.lists(str(self._directory)), [name])
        self.assertEmpty(self._problems())
        (self._directory / 'b c.mp4').write_bytes(b'changed')
        (self._directory / 'notes.txt').write_bytes(b'is no video')
        self.assertEqual(list(self._problems()), ['b c.mp4'])
        found = hashlib.sha256(b'changed').hexdigest()[:12]
        expected = hashlib.sha256(b'b c.mp4' * 9).hexdigest()[:12]
        self.assertStartsWith(
            self._problems()['b c.mp4'],
            f'has the SHA-256 sum {found}..; expected {expected}.. by {self._directory}/{name}. ')
        for other in ('b c.mp4', 'notes.txt'):
          (self._directory / other).write_bytes(other.encode() * 9)

  def test_without_a_list_nothing_is_wrong(self):
    self.assertEmpty(self._problems())

  def test_files_that_are_not_listed_or_not_there(self):
    (self._directory / 'SHA256SUMS').write_text(
        f'# A comment.\n\n{"0" * 64}  gone.mp4\n{"1" * 64}  notes.txt\n')
    self.assertEmpty(self._problems())

  @parameterized.parameters(('', 'names nothing, and none'),
                            (f'{"0" * 64}  gone.mp4\n', "names 'gone.mp4' .., and none"))
  def test_a_list_that_names_no_file_is_refused(self, content, message):
    (self._directory / 'a.sha256').write_text(content)
    with self.assertRaisesRegex(ValueError, f"a.sha256: {message} of the files beside it; expected "
                                            "names such as 'a.mp4'"):
      self._problems()

  @parameterized.parameters('videos', '/far/away', './x/../videos')
  def test_lists_that_were_made_in_another_folder(self, folder):
    (self._directory / 'SHA256SUMS').write_text(f'{"0" * 64}  {folder}/a.mp4\n')
    self.assertEqual(list(self._problems()), ['a.mp4'])

  def test_the_folder_tells_files_of_one_name_apart(self):
    right, path = hashlib.sha256(b'a.mp4' * 9).hexdigest(), self._directory / 'SHA256SUMS'
    own = self._directory.name
    path.write_text(f'{"0" * 64}  other/a.mp4\n{right}  {own}/a.mp4\n{"1" * 64}  more/a.mp4\n')
    self.assertEmpty(self._problems())
    path.write_text(f'{"0" * 64}  other/a.mp4\n{"1" * 64}  more/a.mp4\n')
    with self.assertRaisesRegex(ValueError, "SHA256SUMS, line 2: another sum of 'a.mp4' than"):
      self._problems()
    (self._directory / 'other').mkdir()
    (self._directory / 'other' / 'a.mp4').write_bytes(b'not this one')
    path.write_text(f'{"0" * 64}  other/a.mp4\n')
    self.assertEmpty(self._problems())

  @parameterized.parameters(('NFC', 'NFD'), ('NFD', 'NFC'))
  def test_names_are_compared_however_their_letters_are_stored(self, of_file, of_list):
    name = unicodedata.normalize(of_file, 'Mädchen.mp4')
    (self._directory / name).write_bytes(b'changed')
    (self._directory / 'SHA256SUMS').write_text(
        f'{"0" * 64}  {unicodedata.normalize(of_list, name)}\n')
    self.assertEqual(list(checksums.problems(str(self._directory), ['a.mp4', name])), [name])

  @parameterized.parameters('no sum', 'a' * 63 + '  a.mp4', 'a' * 64 + ' a.mp4', 'a' * 64)
  def test_lines_that_are_none(self, line):
    (self._directory / 'SHA256SUMS').write_text(f'{"0" * 64}  gone.mp4\n{line}\n')
    with self.assertRaisesRegex(ValueError, f'SHA256SUMS, line 2: .{line[:50]}.*; expected'):
      self._problems()

  def test_lists_that_contradict_each_other(self):
    for name, digit in (('a.sha256', '0'), ('b.sha256', '1')):
      (self._directory / name).write_text(f'{digit * 64}  a.mp4\n')
    with self.assertRaisesRegex(ValueError, "b.sha256, line 1: another sum of 'a.mp4' than "
                                            '.*/a.sha256 has'):
      self._problems()


if __name__ == '__main__':
  absltest.main()
