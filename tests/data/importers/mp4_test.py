import pathlib
import struct
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.data.importers import mp4
from tests.data.importers import video_files

_FRAGMENTS = 'frag_keyframe+empty_moov+default_base_moof'
_NORMAL = 1 << 16


def boxes(data):
  """The boxes of a file, [(name, bytes)]."""
  found, at = [], 0
  while at < len(data):
    size, = struct.unpack('>I', data[at:at + 4])
    found.append((data[at + 4:at + 8], data[at:at + size]))
    at += size
  return found


class Mp4Test(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def _written(self, **arguments):
    path = self._directory / 'a.mp4'
    video_files.write(path, video_files.numbered(40), codec='h264', **arguments)
    return path.read_bytes()

  def _parts(self, flags=_FRAGMENTS):
    """The begin of a file of four fragments, these, and the index behind them."""
    found = boxes(self._written(movflags=flags))
    names = [name for name, _ in found]
    first = names.index(b'moof')
    fragments = [found[i][1] + found[i + 1][1] for i, name in enumerate(names) if name == b'moof']
    self.assertLen(fragments, 4)
    head, tail = (b''.join(box for _, box in part)
                  for part in (found[:first], found[first + 2 * len(fragments):]))
    return head, fragments, tail

  def _problem(self, data):
    with self.assertRaises(ValueError) as raised:
      mp4.check(data)
    return str(raised.exception)

  @parameterized.parameters(_FRAGMENTS, 'dash+global_sidx+frag_keyframe+empty_moov', 'dash',
                            _FRAGMENTS + '+frag_every_frame', _FRAGMENTS + '+delay_moov')
  def test_whole_files_in_fragments(self, flags):
    self.assertEqual(mp4.check(self._written(movflags=flags)), ())

  def test_fragments_whose_times_are_stored(self):
    head, (a, b, c, d), _ = self._parts()
    mp4.check(head + a + b + c + d)
    mp4.check(head + a + c + d)  # Frames that are missing are found by their times.
    self.assertRegex(self._problem(head + b + c + d),
                     'begins at 0.[678][03]. s, with fragment 2; expected 0 s: its first part is '
                     'missing.*ffmpeg -i in.mp4 -c copy out.mp4')
    for order in ((a, c, b, d), (a, b, b, c, d)):
      self.assertRegex(self._problem(head + b''.join(order)),
                       'its fragment [23] is followed by fragment 2; expected growing numbers')

  def test_fragments_whose_times_are_not_stored(self):
    head, (a, b, c, d), _ = (part.replace(b'tfdt', b'free') if isinstance(part, bytes) else
                             [piece.replace(b'tfdt', b'free') for piece in part]
                             for part in self._parts())
    mp4.check(head + a + b + c + d)
    self.assertRegex(self._problem(head + b + c + d), 'its fragment 2 is the first, and nothing')
    self.assertRegex(self._problem(head + a + b + d), 'its fragment 4 follows fragment 2, and noth')
    self.assertRegex(self._problem(head + a + c + b + d), 'fragment 3 is followed by fragment 2')

  def test_a_recording_that_was_joined_while_it_ran_is_not_taken_for_a_whole_one(self):
    head, (_, b, c, d), _ = self._parts()
    late = b''.join((b, c, d))
    for number in (1, 2, 3):  # Counted from 1, as it was recorded from there on.
      late = late.replace(*(b'mfhd' + struct.pack('>II', 0, n) for n in (number + 1, number)))
    self.assertRegex(self._problem(head + late), 'begins at 0.[678][03]. s, with fragment 1')

  @parameterized.parameters((_FRAGMENTS, 'a fragment at byte'),
                            ('dash+global_sidx+frag_keyframe+empty_moov', 'a part that ends at'))
  def test_an_index_lists_parts_that_are_missing(self, flags, message):
    head, (a, b, c, d), tail = self._parts(flags)
    mp4.check(head + a + b + c + d + tail)
    for parts in ((b, c, d), (a, b, c), (a, c, d)):
      self.assertRegex(self._problem(head + b''.join(parts) + tail),
                       f'is damaged: its index lists {message}')

  def _edited(self, *edits):
    """A file with an edit list of rows (frames, first frame, rate); -1: shows nothing."""
    data = bytearray(self._written(options={'x264-params': 'bframes=0:keyint=1'}))
    at = data.index(b'mdhd') + 16
    scale, = struct.unpack_from('>I', data, at)
    rows = [struct.pack('>IiI', round(count * 1000 / 15),
                        first if first < 0 else first * scale // 15, rate)
            for count, first, rate in edits]
    start = data.index(b'elst') - 4
    size, = struct.unpack_from('>I', data, start)
    new = struct.pack('>I4sII', 16 + 12 * len(rows), b'elst', 0, len(rows)) + b''.join(rows)
    for name in (b'edts', b'trak', b'moov'):
      at = data.index(name) - 4
      struct.pack_into('>I', data, at, struct.unpack_from('>I', data, at)[0] + len(new) - size)
    data[start:start + size] = new
    return bytes(data)

  def test_edit_lists_that_show_one_stretch(self):
    for edits in (((40, 0, _NORMAL),), ((15, 0, _NORMAL), (25, 15, _NORMAL)),
                  ((10, -1, _NORMAL), (40, 0, _NORMAL)), ((35, 5, _NORMAL),)):
      declared, = mp4.check(self._edited(*edits))
      self.assertEqual(declared.num_from_start, 40 - min(edit[1] for edit in edits if edit[1] >= 0))

  @parameterized.parameters(
      (((20, 0, _NORMAL), (20, 10, _NORMAL)), 'until 1.333 s .* then from 0.667 s on'),
      (((15, 0, _NORMAL), (20, 20, _NORMAL)), 'until 1.000 s .* then from 1.333 s on'),
      (((20, 20, _NORMAL), (20, 0, _NORMAL)), 'until 2.66. s .* then from 0.000 s on'),
      (((15, 0, _NORMAL), (10, -1, _NORMAL), (25, 15, _NORMAL)), 'until 1.000 s .* then none for'),
      (((15, 0, _NORMAL), (5, 15, 0), (25, 15, _NORMAL)), 'at 0 times its speed'),
      (((40, 0, _NORMAL // 2),), 'at 0.5 times its speed'))
  def test_edit_lists_that_show_frames_twice_or_not_at_all(self, edits, message):
    self.assertRegex(self._problem(self._edited(*edits)), message)


if __name__ == '__main__':
  absltest.main()
