import pathlib
import tempfile

import av
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data.importers import bitstreams
from tests.data.importers import video_files

_MP4_HEADER = bytes([1, 100, 0, 31, 0xff])  # Of H.264, with lengths of 4 bytes.
_HEVC_HEADER = bytes([1, *[0] * 20, 1])  # With lengths of 2 bytes.


def unit(content, size=4):
  return len(content).to_bytes(size, 'big') + content


class BitstreamsTest(parameterized.TestCase):

  @parameterized.parameters(*(
      (suffix, codec) for suffix, codec in [*video_files.COMBINATIONS, ('mkv', 'mpeg2')]))
  def test_what_encoders_write_is_whole(self, suffix, codec):
    frames = video_files.numbered(24)
    frames[12:] = 0  # Black pictures are stored as few bits, most of them zero.
    with tempfile.TemporaryDirectory() as directory:
      path = pathlib.Path(directory) / f'a.{suffix}'
      video_files.write(path, frames, codec=codec)
      with av.open(str(path)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        packets = [bytes(packet) for packet in file.demux(stream) if packet.size]
        self.assertLen(packets, 24)
        for data in packets:
          self.assertFalse(bitstreams.is_damaged(context.name, context.extradata, data))
        if codec != 'ffv1':  # It has checksums.
          data = max(packets, key=len)
          middle = len(data) // 2
          if codec == 'mjpeg':
            middle = data.index(b'\xff\xda')
          data = data[:middle] + bytes(256) + data[middle + 256:]
          self.assertTrue(bitstreams.is_damaged(context.name, context.extradata, data))

  @parameterized.parameters(('h264', _MP4_HEADER, 4), ('hevc', _HEVC_HEADER, 2))
  def test_units_with_lengths(self, codec, header, size):
    for contents, is_damaged in (
        ([b'\x65\x88'], False), ([b'\x65\x88', b'\x41\0\0\3\1'], False),
        ([b'\x65' + bytes(range(1, 256)) * 2], False),  # Its length has zeros in front of a two.
        ([b'\x65\x88\0\0'], False),  # Some pad at the end.
        ([b'\x65\0\0\0\x88'], True), ([b'\x65\0\0\1\x88'], True), ([b'\x65\0\0\2\x88'], True),
        ([b'\x65', b''], True)):
      with self.subTest(contents):
        data = b''.join(unit(content, size) for content in contents)
        self.assertEqual(bitstreams.is_damaged(codec, header, data), is_damaged)
    self.assertTrue(bitstreams.is_damaged(codec, header, unit(b'\x65\x88', size)[:-1]))

  def test_packets_of_vp9_that_show_an_earlier_picture(self):
    # By the specification: 2 bits of a mark (10), 2 of a profile (3 has one more), show_existing,
    # and 3 that say which; a superframe ends with its index: 110, bytes of a length, frames.
    two_frames = b'\x88' + bytes(range(9)) + bytes([0b11000001, 1, 9, 0b11000001])
    for data, is_damaged in ((b'\x88', False), (b'\x86\0\x40', False), (b'\xb4\x80', False),
                             (b'\xb0\0\x40', False), (two_frames, False),
                             (b'\x8e\0\x40', True), (b'\xb6\0\x40', True),
                             (b'\x9b' * 300, True), (two_frames[:-4] + b'\xc1', True)):
      with self.subTest(data):
        self.assertEqual(bitstreams.is_damaged('vp9', None, data), is_damaged)

  @parameterized.parameters('h264', 'hevc', 'mpeg4', 'mpeg2video')
  def test_start_codes(self, codec):
    for data, is_damaged in ((b'\0\0\0\1\x65\x88\0\0\1\x41\x88', False),
                             (b'\0\0\1\x65\x88\0\0\0\0\0\1\x41', False),
                             (b'\0\0\1\x65\0\0\0', False),
                             (b'\0\0\1\x65\x88\0\0\0\x88', True),
                             (b'\0\0\1\x65' + bytes(99) + b'\x88', True)):
      with self.subTest(data):
        self.assertEqual(bitstreams.is_damaged(codec, None, data), is_damaged)

  @parameterized.parameters('vp8', 'vp9', 'libdav1d')
  def test_holes_of_arithmetic_coders(self, codec):
    for size in (64, 255, 256, 4096):
      data = b'\x12' + bytes(size) + b'\x12'
      self.assertEqual(bitstreams.is_damaged(codec, None, data), size >= 256)

  def test_pictures_of_jpeg(self):
    begin, table = b'\xff\xd8', b'\xff\xdb\0\5\1\2\3'
    scan = b'\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0' + b'\x77' * 20 + b'\xff\xd9'
    for data, is_damaged in (
        (begin + table + scan, False), (begin + table + b'\xff' + scan, False),
        (begin + scan, False), (table + scan, True), (begin + table, True),
        (begin + table + b'\xff\0' + scan[2:], True), (begin + table[:-1] + scan, True),
        (begin + table + scan.replace(b'\0\x0c\3', b'\0\x0c\0'), True), (b'', True)):
      with self.subTest(data):
        self.assertEqual(bitstreams.is_damaged('mjpeg', None, data), is_damaged)

  def test_others_are_not_looked_at(self):
    for codec in ('ffv1', 'rawvideo'):
      self.assertFalse(bitstreams.is_damaged(codec, None, bytes(np.zeros(999, np.uint8))))


if __name__ == '__main__':
  absltest.main()
