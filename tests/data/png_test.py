"""Tests of png: every image comes out as an image library would give it, or not at all."""

import io
import itertools
import re
import struct
import zlib

import cv2
import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image, PngImagePlugin

from alpt_jax.data import png

_RNG = np.random.default_rng(0)
_SHAPES = ((84, 84, 1), (5, 7, 3), (1, 1, 1), (84, 60, 3))


def _chunk(kind, data):
  return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def _make_png(image, *, filters=0, num_chunks=1, size=None):
  """A PNG written by hand; `filters` are the numbers written before the lines."""
  height, width, channels = image.shape
  lines = np.insert(image.reshape(height, -1), 0, filters, axis=1)
  data = zlib.compress(lines.astype(np.uint8).tobytes())
  cuts = [len(data) * i // num_chunks for i in range(num_chunks + 1)]
  colour = 0 if channels == 1 else 2
  header = struct.pack('>IIBBBBB', *(size or (width, height)), 8, colour, 0, 0, 0)
  return (b'\x89PNG\r\n\x1a\n' + _chunk(b'IHDR', header) + _chunk(b'tEXt', b'Comment\0IDAT') +
          b''.join(_chunk(b'IDAT', data[a:b]) for a, b in itertools.pairwise(cuts)) +
          _chunk(b'IEND', b''))


def _saved(image, **options):
  file = io.BytesIO()
  image.save(file, 'PNG', **options)
  return file.getvalue()


def _interlaced(image):
  """A PNG of [h, w, 3] in the seven passes that the standard describes."""
  height, width, _ = image.shape
  lines = b''
  for x, y, step_x, step_y in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                               (1, 0, 2, 2), (0, 1, 1, 2)):
    part = image[y::step_y, x::step_x]
    if part.size:
      lines += np.insert(part.reshape(len(part), -1), 0, 0, axis=1).tobytes()
  encoded = (b'\x89PNG\r\n\x1a\n' + _chunk(b'IHDR', struct.pack(
      '>IIBBBBB', width, height, 8, 2, 0, 0, 1)) + _chunk(b'IDAT', zlib.compress(lines)) +
      _chunk(b'IEND', b''))
  np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encoded))), image)
  return encoded


def _random(shape):
  return _RNG.integers(256, size=shape, dtype=np.uint8)


def _decoded(encoded, shape):
  image = np.zeros(shape, np.uint8)
  png.decode_into(image, encoded)
  return image


class PngTest(parameterized.TestCase):

  @parameterized.parameters(*_SHAPES)
  def test_without_filters(self, *shape):
    image = _random(shape)
    for num_chunks in (1, 3):
      encoded = _make_png(image, num_chunks=num_chunks)
      self.assertEqual(png.shape(encoded), shape)
      np.testing.assert_array_equal(_decoded(encoded, shape), image)

  @parameterized.parameters(*_SHAPES)
  def test_with_filters(self, *shape):
    image = np.cumsum(_random(shape) // 128, axis=1, dtype=np.uint8)  # Smooth: filters pay.
    encoded = cv2.imencode('.png', image[..., ::-1], [cv2.IMWRITE_PNG_FILTER, 4])[1].tobytes()
    np.testing.assert_array_equal(_decoded(encoded, shape), image)

  def test_one_filtered_line_is_not_taken_for_pixels(self):
    image = _random((4, 6, 1))
    # Filter 1: each byte holds the difference to the one before.
    encoded = _make_png(image, filters=[0, 1, 0, 0])
    image[1] = np.cumsum(image[1], axis=0, dtype=np.uint8)
    np.testing.assert_array_equal(_decoded(encoded, image.shape), image)

  def test_as_recorded(self):
    image = _random((84, 84, 1))
    np.testing.assert_array_equal(
        _decoded(png.encode(image), image.shape), image)

  @parameterized.parameters(*_SHAPES)
  def test_many_at_once(self, *shape):
    images = _random((5, *shape))
    plain = [png.encode(image) for image in images]
    other = cv2.imencode('.png', images[2][..., ::-1], [cv2.IMWRITE_PNG_FILTER, 4])[1].tobytes()
    for encoded in (plain, [*plain[:2], other, *plain[3:]], [_make_png(x) for x in images],
                    [*plain[:4], _make_png(images[4], num_chunks=3)], [other] * 5):
      decoded = np.zeros_like(images)
      png.decode_all(decoded, encoded)
      for image, one in zip(decoded, encoded, strict=True):
        np.testing.assert_array_equal(image, _decoded(one, shape))
    png.decode_all(images[:0], [])

  def test_one_of_many_is_refused_as_it_is_alone(self):
    plain = [png.encode(_random((4, 4, 1))) for _ in range(3)]
    for place in range(3):
      for wrong in (plain[0][:50], png.encode(_random((4, 5, 1))), b''):
        encoded = [*plain[:place], wrong, *plain[place + 1:]]
        with self.assertRaises(ValueError) as alone:
          _decoded(wrong, (4, 4, 1))
        with self.assertRaisesRegex(ValueError, re.escape(str(alone.exception))):
          png.decode_all(np.zeros((3, 4, 4, 1), np.uint8), encoded)

  def test_damage_is_an_error_or_harmless(self):
    image = _random((12, 12, 1))
    encoded = _make_png(image)
    for cut in range(0, len(encoded) - 20):
      with self.assertRaises(ValueError):
        _decoded(encoded[:cut], image.shape)
    begin = encoded.index(b'IDAT', encoded.index(b'IDAT') + 4)
    for place in range(begin + 4, len(encoded) - 16):  # Its data and their checksum.
      for bit in (1, 128):
        flipped = bytearray(encoded)
        flipped[place] ^= bit
        try:
          np.testing.assert_array_equal(_decoded(bytes(flipped), image.shape), image)
        except ValueError:
          pass

  @parameterized.parameters(
      (b'',), (b'\x89PNG\r\n\x1a\n',), (b'GIF89a' + bytes(40),),
      (_make_png(np.zeros((3, 4, 1), np.uint8)),), (_make_png(np.zeros((4, 4, 3), np.uint8)),))
  def test_of_another_kind_is_refused(self, encoded):
    with self.assertRaisesRegex(ValueError, r'expected \(4, 4, 1\)'):
      _decoded(encoded, (4, 4, 1))

  def test_data_of_another_size_than_the_header_says_is_refused(self):
    for size in ((4, 4), (5, 3)):
      encoded = _make_png(np.zeros((3, 4, 1), np.uint8), size=size)
      with self.assertRaises(ValueError):
        _decoded(encoded, (size[1], size[0], 1))


class PlainTest(parameterized.TestCase):
  """Whether a viewer shows an image as its pixels are."""

  def setUp(self):
    super().setUp()
    # Even steps, for which Pillow takes filters.
    self.image = Image.fromarray(np.arange(90, dtype=np.uint8).reshape(6, 5, 3))

  def saved(self, **options):
    file = io.BytesIO()
    self.image.save(file, 'PNG', **options)
    return file.getvalue()

  def test_what_is_plain(self):
    text = PngImagePlugin.PngInfo()
    text.add_text('Comment', 'tRNS')
    for encoded in (self.saved(), self.saved(pnginfo=text), self.saved() + b'more',
                    png.encode(np.asarray(self.image))):
      self.assertTrue(png.is_plain(encoded))

  def test_what_is_not(self):
    exif, xmp, raw = Image.Exif(), PngImagePlugin.PngInfo(), PngImagePlugin.PngInfo()
    exif[0x0112] = 6
    xmp.add_itxt('XML:com.adobe.xmp', '<x tiff:Orientation="6"/>')
    raw.add_text('Raw profile type exif', '00', zip=True)
    for encoded in (self.saved(exif=exif), self.saved(pnginfo=xmp), self.saved(pnginfo=raw),
                    self.saved(transparency=(1, 2, 3)), self.saved()[:-1], self.saved()[:40], b'',
                    self.saved(save_all=True, append_images=[Image.new('RGB', (5, 6))]),
                    b'GIF89a' + self.saved()):
      self.assertFalse(png.is_plain(encoded))

  def whole(self):
    """Images of many forms, one of several chunks of pixels among them."""
    large = _random((80, 60, 3))
    return (self.saved(), _make_png(_random((7, 5, 1)), num_chunks=3), png.encode(large),
            self.saved(transparency=(1, 2, 3)), self.saved(dpi=(30, 30)),
            _interlaced(large[:9, :11]),
            *(_saved(self.image.convert(mode)) for mode in ('1', 'L', 'P', 'LA', 'RGBA')),
            _saved(self.image.convert('P', palette=Image.Palette.ADAPTIVE, colors=4), bits=2),
            cv2.imencode('.png', np.zeros((5, 3, 3), np.uint16))[1].tobytes())

  def test_whole_images_have_no_problem(self):
    for encoded in self.whole():
      self.assertEqual(png.problem(encoded), '')
      self.assertEqual(png.problem(encoded + b'more'), '')

  def test_every_byte_that_is_changed_or_lost_is_a_problem(self):
    for encoded in self.whole():
      places = range(len(encoded))
      if len(encoded) > 1000:
        places = [*places[::29], *places[-20:]]
      for at in places:
        changed = encoded[:at] + bytes([encoded[at] ^ 1 + at % 255]) + encoded[at + 1:]
        self.assertNotEqual(png.problem(changed), '', at)
        self.assertNotEqual(png.problem(encoded[:at]), '', at)
        if encoded[at:] != encoded[at + 1:] + b'\0':
          lost = encoded[:at] + encoded[at + 1:]
          self.assertNotEqual(png.problem(lost), '', at)
          self.assertNotEqual(png.problem(lost + b'\0'), '', at)

  def test_pixels_that_do_not_unpack_are_a_problem_whatever_the_checksums_say(self):
    image = _random((6, 5, 1))
    lines = np.insert(image[..., 0], 0, 0, axis=1).tobytes()
    header = _chunk(b'IHDR', struct.pack('>IIBBBBB', 5, 6, 8, 0, 0, 0, 0))
    for data, expected in ((zlib.compress(lines), ''), (zlib.compress(lines)[:-4], 'unpack'),
                           (zlib.compress(lines[:-1]), 'unpack'), (b'', 'unpack'),
                           (zlib.compress(lines + b'0'), 'unpack')):
      self.assertRegex(png.problem(b'\x89PNG\r\n\x1a\n' + header + _chunk(b'IDAT', data) +
                                   _chunk(b'IEND', b'')), f'{expected}$')

  def test_a_transparent_colour_is_refused_in_words(self):
    with self.assertRaisesRegex(ValueError, r'decodes to \(6, 5, 4\); .* a transparent colour'):
      png.decode_into(np.empty((6, 5, 3), np.uint8), self.saved(transparency=(1, 2, 3)))


if __name__ == '__main__':
  absltest.main()
