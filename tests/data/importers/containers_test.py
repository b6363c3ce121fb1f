import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data.importers import containers
from tests import exhaustive
from tests.data.importers import video_files


class ContainersTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def _written(self, name, codec='mjpeg', **arguments):
    path = self._directory / name
    video_files.write(path, video_files.numbered(20), codec=codec, **arguments)
    return path

  def _check(self, data, suffix):
    path = self._directory / f'changed.{suffix}'
    path.write_bytes(data)
    return containers.check(str(path))

  @parameterized.parameters(('mkv', 'mjpeg', {}), ('mkv', 'h264', {'live': '1'}),
                            ('webm', 'vp9', {}), ('webm', 'vp8', {'live': '1'}),
                            ('avi', 'mjpeg', {}))
  def test_whole_files(self, suffix, codec, options):
    found = containers.check(str(self._written(
        f'a.{suffix}', codec, seconds_of_sound=None if suffix == 'avi' else 2, **options)))
    self.assertEqual(found, ('AVI' if suffix == 'avi' else 'Matroska', (), bool(options)))

  def test_durations_of_the_tracks_of_an_mp4(self):
    kind, (declared,), _ = containers.check(str(self._written('a.mp4')))
    self.assertEqual(kind, 'MP4')
    np.testing.assert_allclose(declared[:3], [20 / 15] * 3, atol=1e-3)
    self.assertEqual(declared[3:], (20, (96, 64), (1, 1)))
    self.assertEmpty(containers.check(str(
        self._written('b.mp4', movflags='frag_keyframe+empty_moov'))).tracks)

  def test_every_byte_of_a_matroska_file_with_checksums_counts(self):
    data = self._written('a.mkv').read_bytes()
    first = data.index(b'\x1f\x43\xb6\x75')  # The clusters, which hold all frames.
    last = data.index(b'\x1c\x53\xbb\x6b')  # The index behind them.
    rng = np.random.default_rng(0)
    for at in exhaustive.some_of(range(first, last, 7)):
      changed = bytearray(data)
      changed[at] ^= int(rng.integers(1, 256))
      with self.subTest(at=at), self.assertRaisesRegex(ValueError, 'is damaged|breaks off'):
        self._check(changed, 'mkv')

  @parameterized.parameters(
      (b'\xa3', b'\xb3', 'no element is called b3'), (b'\x81', b'\x82', 'a block of no track'))
  def test_blocks_that_would_be_passed_over(self, old, new, message):
    data = self._written('a.webm', 'vp8').read_bytes()
    at = data.index(b'\xa3', data.index(b'\x1f\x43\xb6\x75') + 8)  # The first block.
    at = data.index(old, at)
    with self.assertRaisesRegex(ValueError, message):
      self._check(data[:at] + new + data[at + 1:], 'webm')

  @parameterized.parameters(('mkv', 'h264', {}), ('mkv', 'h264', {'live': '1'}),
                            ('webm', 'vp9', {}), ('mp4', 'h264', {'movflags': 'faststart'}))
  def test_ends_that_are_missing(self, suffix, codec, options):
    data = self._written(f'a.{suffix}', codec, **options).read_bytes()
    for size in (len(data) // 2, len(data) - 3):
      with self.subTest(size), self.assertRaisesRegex(ValueError, 'breaks off'):
        self._check(data[:size], suffix)

  def test_a_track_without_its_times(self):
    data = self._written('a.mp4').read_bytes()
    for name in (b'tkhd', b'mdhd', b'stts'):
      with self.subTest(name), self.assertRaisesRegex(ValueError, 'a track lacks'):
        self._check(data.replace(name, b'free'), 'mp4')

  @parameterized.parameters((b'stts', 8, 'lists 4294967295 rows in 8 bytes'),
                            (b'stts', 9, 'lists .* rows in 8 bytes'))
  def test_a_count_that_its_box_has_no_room_for(self, name, at, message):
    data = bytearray(self._written('a.mp4').read_bytes())
    start = data.index(name) + at
    data[start:start + 12 - at] = b'\xff' * (12 - at)
    with self.assertRaisesRegex(ValueError, f'is damaged: a table {message}'):
      self._check(data, 'mp4')

  def test_more_samples_than_bytes(self):
    data = bytearray(self._written('a.mp4').read_bytes())
    data[data.index(b'stts') + 12] = 0x7f  # The number of frames that the first row stands for.
    with self.assertRaisesRegex(ValueError, 'a track lists 2130706452 times of frames, in'):
      self._check(data, 'mp4')

  def test_blocks_of_set_bits_give_an_error_or_durations(self):
    data = self._written('a.mp4').read_bytes()
    start, num_refused = data.index(b'moov'), 0
    for at in exhaustive.some_of(range(start, len(data) - 16), at_least=60):
      for size in (1, 4, 16):
        changed = bytearray(data)
        changed[at:at + size] = b'\xff' * size
        try:
          self._check(changed, 'mp4')
        except ValueError:  # All other errors would end an import of many files.
          num_refused += 1
    self.assertGreater(num_refused, 5)

  @parameterized.parameters(('mp4', 'vp9'), ('mov', 'h264'), ('mkv', 'vp9'), ('webm', 'vp9'),
                            ('avi', 'mjpeg'))
  def test_what_follows_behind_a_video(self, suffix, codec):
    data, other = (self._written(f'{name}.{suffix}', codec, **options).read_bytes()
                   for name, options in (('a', {}), ('b', {'seconds_of_sound': None})))
    wanted = self._check(data, suffix)
    for padding in (b'\n', b'\0' * 20, b'\xff' * 3):
      self.assertEqual(self._check(data + padding, suffix), wanted)
    for more in (b'more than 8 bytes', other, b'\0' * 9 + other, b'GIF89a'):
      with self.assertRaisesRegex(ValueError, f'ends at byte {len(data)}, and {len(more)} bytes of '
                                              'something else follow: another file was joined'):
        self._check(data + more, suffix)

  def test_a_joined_recording_that_was_not_closed(self):
    data = self._written('a.mkv', 'h264', live='1').read_bytes()
    with self.assertRaisesRegex(ValueError, 'is damaged at byte .* no element is called 1a45dfa3'):
      self._check(data * 2, 'mkv')

  def test_a_kind_is_told_by_content(self):
    for suffix, codec in (('mp4', 'h264'), ('mkv', 'h264'), ('avi', 'mjpeg')):
      data = self._written(f'a.{suffix}', codec).read_bytes()
      for other in ('mp4', 'mkv', 'avi'):
        self.assertEqual(self._check(data, other), self._check(data, suffix))
    for data in (b'', b'<!DOCTYPE html><html><body>404</body></html>', bytes(99)):
      self.assertEqual(self._check(data, 'mkv'), ('', (), False))


if __name__ == '__main__':
  absltest.main()
