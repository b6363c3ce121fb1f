"""Tests that a file is never half written."""

import errno
import io
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import zlib
from unittest import mock

from absl.testing import absltest

from alpt_jax.files import atomic_files


class WholeFilesTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'new', 'file.json')

  def test_file_is_made_with_its_directory_and_replaced(self):
    atomic_files.write_json(self.path, {'a': 1})
    atomic_files.write_json(self.path, {'b': 2}, indent=1)
    self.assertEqual(json.loads(self.path.read_text()), {'b': 2})
    self.assertEqual(os.listdir(self.path.parent), ['file.json'])

  def test_failure_leaves_the_old_file_and_nothing_else(self):
    atomic_files.write(self.path, b'old')
    with mock.patch.object(os, 'replace', side_effect=OSError), self.assertRaises(OSError):
      atomic_files.write(self.path, b'new')
    with self.assertRaises(TypeError):
      atomic_files.write_json(self.path, object())
    self.assertEqual(self.path.read_bytes(), b'old')
    self.assertEqual(os.listdir(self.path.parent), ['file.json'])

  def test_full_disk_names_the_file_and_leaves_the_old_one(self):
    atomic_files.write(self.path, b'old')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    with self.assertRaisesRegex(OSError, f'File too large: .*{self.path.name}'):
      atomic_files.write(self.path, bytes(2 << 20))
    self.assertEqual(self.path.read_bytes(), b'old')
    self.assertEqual(os.listdir(self.path.parent), ['file.json'])

  def test_of_several_files_none_is_written_if_one_does_not_fit(self):
    other = self.path.with_name('other') / 'deep' / 'file'
    atomic_files.write(self.path, b'old')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    with self.assertRaisesRegex(OSError, f'File too large: .*{other}'):
      atomic_files.write_all({self.path: b'new', other: bytes(2 << 20)})
    self.assertEqual(self.path.read_bytes(), b'old')
    self.assertEqual(os.listdir(self.path.parent), ['file.json'])
    atomic_files.write_all({self.path: b'new', other: b'too'})
    self.assertEqual((self.path.read_bytes(), other.read_bytes()), (b'new', b'too'))

  def test_of_several_files_none_is_written_if_one_is_a_directory_or_two_are_one(self):
    atomic_files.write(self.path, b'old')
    page, link = self.path.with_name('page'), self.path.with_name('link')
    page.mkdir()
    link.symlink_to(self.path.name)
    with self.assertRaisesRegex(IsADirectoryError, f'Is a directory: .*{page}'):
      atomic_files.write_all({self.path: b'new', page: b'new'})
    for other in (link, f'{page}/../{self.path.name}'):
      with self.assertRaisesRegex(ValueError, f'{other}: is written twice'):
        atomic_files.write_all({self.path: b'new', other: b'new'})
    self.assertEqual(self.path.read_bytes(), b'old')
    self.assertCountEqual(os.listdir(self.path.parent), ['file.json', 'page', 'link'])

  def test_what_killed_writers_left_is_removed(self):
    killed = subprocess.Popen([sys.executable, '-c', f"""
import os, signal
from alpt_jax.files import atomic_files
os.replace = lambda *unused: os.kill(os.getpid(), signal.SIGKILL)
atomic_files.write({str(self.path)!r}, b'new')"""], cwd=pathlib.Path(__file__).parents[2])
    self.assertEqual(killed.wait(), -signal.SIGKILL)
    left, = os.listdir(self.path.parent)
    self.assertEqual(left, f'file.json.unfinished-{socket.gethostname()}-{killed.pid}')
    alive = f'file.json.unfinished-{socket.gethostname()}-{os.getpid()}'
    others = [alive, 'file.json.unfinished-elsewhere-1', f'{left}.txt', 'file.json']
    for name in others:
      self.path.with_name(name).touch()
    atomic_files.write(self.path.with_name('json'), b'')  # Another file.
    self.assertIn(left, os.listdir(self.path.parent))
    self.path.with_name('json').unlink()
    atomic_files.write(self.path, b'')
    self.assertCountEqual(os.listdir(self.path.parent), [*others[1:]])
    self.path.with_name(alive).touch()
    self.path.with_name(left).touch()
    atomic_files.remove_unfinished(self.path.parent)
    self.assertCountEqual(os.listdir(self.path.parent), others)
    atomic_files.remove_unfinished(self.path.parent / 'nowhere')

  def test_others_may_read_it_as_any_new_file(self):
    atomic_files.write(self.path, b'')
    plain = self.path.with_name('plain')
    plain.touch()
    self.assertEqual(self.path.stat().st_mode, plain.stat().st_mode)

  def test_crc32_is_that_of_everybody(self):
    for size in (0, 1, (1 << 20) + 7):
      content = os.urandom(size)
      self.assertEqual(atomic_files.crc32(io.BytesIO(content)),
                       (size, f'{zlib.crc32(content):08x}'))

  def test_a_link_stays_and_what_it_leads_to_is_written(self):
    for target in ('there', 'nowhere/new'):
      link, place = self.path.with_name('link'), self.path.parent / target
      self.path.parent.mkdir(exist_ok=True)
      link.symlink_to(target)
      atomic_files.write(link, b'1')
      atomic_files.write(link, b'2')
      self.assertEqual((os.readlink(link), place.read_bytes()), (target, b'2'))
      self.assertEqual(os.listdir(place.parent).count('link'), target == 'there')
      link.unlink()
    self.assertCountEqual(os.listdir(self.path.parent), ['there', 'nowhere'])
    self.assertEqual(os.listdir(self.path.parent / 'nowhere'), ['new'])

  def test_a_new_directory_is_made_where_a_link_leads(self):
    for kind in ('empty', 'missing'):
      root = self.path.parent / kind
      (root / 'far').mkdir(parents=True)
      if kind == 'empty':
        (root / 'far' / 'place').mkdir()
      (root / 'link').symlink_to('far/place')
      for spelling in (f'{root}/link', f'{root}/link/'):
        if spelling.endswith('/') and kind == 'missing':
          continue  # `paths.clean` takes it away; no directory has this name.
        with atomic_files.new_directory(spelling) as staging:
          self.assertEqual(os.path.dirname(staging), str(root.resolve() / 'far'))
          pathlib.Path(staging, 'content', 'file').touch()
        self.assertEqual(os.listdir(root / 'far'), ['place'])
        self.assertEqual(os.listdir(root / 'far' / 'place'), ['file'])
        self.assertTrue((root / 'link').is_symlink())
        with self.assertRaisesRegex(ValueError, 'link/?: already exists'):
          with atomic_files.new_directory(spelling):
            self.fail()
        (root / 'far' / 'place' / 'file').unlink()

  def test_what_is_read_is_not_to_be_deleted(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (root / 'data' / 'part').mkdir(parents=True)
    (root / 'data' / 'part' / 'file').touch()
    (root / 'link').symlink_to('data')
    inputs = {'the other': '/nowhere', 'the run': str(root / 'link')}
    for name, how in (('data', 'is'), ('link', 'is'), ('data/', 'is'), ('', 'holds')):
      with self.assertRaisesRegex(ValueError, f'^{root}/{name}: {how} the run, {root}/link; '):
        atomic_files.check_new(f'{root}/{name}', inputs)
    with self.assertRaisesRegex(ValueError, 'part: lies in the run, .*; expected a new directory'):
      atomic_files.check_new(root / 'data' / 'part', inputs, may_lie_in=False)
    with self.assertRaisesRegex(ValueError, 'part: already exists and is not overwritten. Delete'):
      atomic_files.check_new(root / 'data' / 'part', inputs)
    for may_lie_in in (True, False):
      atomic_files.check_new(root / 'data' / 'new', inputs, may_lie_in=may_lie_in)

  def test_the_later_of_two_makers_says_that_it_is_there(self):
    place = self.path.parent / 'place'
    with atomic_files.new_directory(place) as first:
      pathlib.Path(first, 'content', 'first').touch()
      with self.assertRaisesRegex(ValueError, 'place: already exists and is not overwritten'):
        with atomic_files.new_directory(place) as second:
          pathlib.Path(second, 'content', 'second').touch()
          with atomic_files.new_directory(place) as third:
            pathlib.Path(third, 'content', 'third').touch()
      os.rename(place, self.path.parent / 'of the third')
    self.assertEqual(os.listdir(place), ['first'])
    self.assertCountEqual(os.listdir(self.path.parent), ['place', 'of the third'])

  def test_a_full_disk_is_said_of_the_directory_and_leaves_nothing(self):
    place = self.path.parent / 'above' / 'place'
    for name in ('content/file', None):  # As some calls of Python do.
      with self.assertRaisesRegex(OSError, f'No space left on device: .*{place}.$'):
        with atomic_files.new_directory(place) as staging:
          raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC),
                        name and os.path.join(staging, name))
      self.assertFalse(self.path.parent.exists())
    with self.assertRaisesRegex(FileNotFoundError, '/elsewhere'):
      with atomic_files.new_directory(place):
        raise FileNotFoundError(errno.ENOENT, 'No such file', '/elsewhere')

  def test_a_mounted_file_system_is_not_replaced(self):
    self.path.parent.mkdir()
    with mock.patch.object(os.path, 'ismount', side_effect=lambda path: path == str(
        self.path.parent.resolve())):
      with self.assertRaisesRegex(ValueError, 'a file system is mounted there'):
        atomic_files.check_new(self.path.parent)
      atomic_files.check_new(self.path)

  def test_directory_appears_whole(self):
    path = self.path.parent
    with atomic_files.new_directory(path) as staging:
      pathlib.Path(staging, 'content', 'a').touch()
      pathlib.Path(staging, 'scratch').touch()
      self.assertFalse(path.exists())
    self.assertEqual(os.listdir(path), ['a'])
    self.assertEqual(os.listdir(path.parent), ['new'])
    with (self.assertRaisesRegex(ValueError, f'{path}: already exists'),
          atomic_files.new_directory(path)):
      self.fail('The block must not run.')

  def test_failure_leaves_no_directory(self):
    self.path.parent.mkdir()  # One that is empty is taken.
    with self.assertRaises(KeyboardInterrupt), atomic_files.new_directory(self.path.parent):
      raise KeyboardInterrupt
    self.assertEqual(list(self.path.parent.parent.iterdir()), [self.path.parent])
    self.assertEqual(os.listdir(self.path.parent), [])

  def start_directory(self, path, then):
    """A process that makes a directory, with a file in it, and does something in the middle."""
    process = subprocess.Popen([sys.executable, '-c', f"""
import os, pathlib, signal, time
from alpt_jax.files import atomic_files
with atomic_files.new_directory({str(path)!r}) as staging:
  pathlib.Path(staging, 'content', 'half').touch()
  print('inside', flush=True)
  {then}"""], cwd=pathlib.Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    self.addCleanup(process.communicate)
    self.addCleanup(process.kill)
    self.assertEqual(process.stdout.readline(), 'inside\n')
    return process

  def test_what_killed_makers_of_a_directory_left_goes_with_the_next(self):
    path = self.path.parent
    kill = 'os.kill(os.getpid(), signal.SIGKILL)'
    killed, other = (self.start_directory(p, kill) for p in (path, path.with_name('other')))
    for process in (killed, other):
      self.assertEqual(process.wait(), -signal.SIGKILL)
    number = f'unfinished-{socket.gethostname()}'
    self.assertLen(list(path.parent.glob(f'new.{number}-{killed.pid}-*/content/half')), 1)
    alive = self.start_directory(path, 'time.sleep(600)')
    self.assertEmpty(list(path.parent.glob(f'new.{number}-{killed.pid}-*')))
    self.assertLen(list(path.parent.glob(f'other.{number}-{other.pid}-*/content/half')), 1)
    # As of a living process of another container with our name, whose number nobody has here.
    name, = (name for name in os.listdir(path.parent) if f'-{alive.pid}-' in name)
    (path.parent / name).rename(path.parent / name.replace(f'-{alive.pid}-', '-4194303-'))
    kept = {*os.listdir(path.parent), 'new.unfinished-elsewhere-1-0123abcd'}
    (path.parent / 'new.unfinished-elsewhere-1-0123abcd' / 'content').mkdir(parents=True)
    self.assertLen(kept, 3)
    with atomic_files.new_directory(path) as staging:
      self.assertEqual(os.listdir(pathlib.Path(staging, 'content')), [])
      self.assertCountEqual(os.listdir(path.parent), [*kept, os.path.basename(staging)])
    self.assertCountEqual(os.listdir(path.parent), [*kept, 'new'])
    half, = path.parent.glob('new.unfinished-*-4194303-*/content/half')
    self.assertTrue(half.exists())

  def test_a_directory_that_a_killed_process_with_our_number_left_is_not_written_into(self):
    path, number = self.path.parent, f'{socket.gethostname()}-{os.getpid()}'
    left = path.with_name(f'new.unfinished-{number}-0123abcd') / 'content'
    left.mkdir(parents=True)
    (left / 'half').touch()
    with atomic_files.new_directory(path):
      pass
    self.assertEqual(os.listdir(path.parent), ['new'])
    self.assertEqual(os.listdir(path), [])


if __name__ == '__main__':
  absltest.main()
