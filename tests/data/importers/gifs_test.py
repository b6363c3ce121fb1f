import io
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from alpt_jax.data.importers import gifs
from tests import exhaustive
from tests.data.importers import damaged_videos, video_files


def encoded(frames, **arguments):
  """The bytes of a .gif of [N, H, W, 3]."""
  file = io.BytesIO()
  first, *rest = [Image.fromarray(frame).quantize(16) for frame in frames]
  first.save(file, 'GIF', save_all=True, append_images=rest, **arguments)
  return file.getvalue()


class GifsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self._path = str(directory / 'a.gif')

  def _write(self, data):
    pathlib.Path(self._path).write_bytes(data)

  def _read(self):
    held = gifs.durations(self._path)
    return list(gifs.frames(self._path, gifs.repeats(held, None)))

  def test_times_and_pictures(self):
    self._write(encoded(video_files.numbered(12), duration=70, loop=0, comment=b'a comment'))
    self.assertEqual(gifs.durations(self._path), [70] * 12)
    self.assertEqual(video_files.numbers(self._read()), list(range(12)))

  def test_frames_that_a_picture_stands_for(self):
    self._write(encoded(video_files.numbered(4), duration=[70, 210, 70, 140]))
    passed = []
    for frame_skip in (1, 2, 3):
      found = list(gifs.frames(self._path, [1, 3, 1, 2], frame_skip=frame_skip,
                               passed=passed.append))
      self.assertEqual(video_files.numbers(found), [0, 1, 1, 1, 2, 3, 3][::frame_skip])
    self.assertEqual(passed, [1, 2, 3, 4] * 3)

  def test_bytes_behind_the_end(self):
    data = encoded(video_files.numbered(5), duration=70)
    for padding in (b'\n', b'\0\0'):
      self._write(data + padding)
      self.assertEqual(video_files.numbers(self._read()), list(range(5)))
    for more in (b'; and more', data, b'\n' + data):
      self._write(data + more)
      with self.assertRaisesRegex(ValueError, f'{len(more)} bytes of something else follow'):
        self._read()

  @parameterized.parameters(
      ([100] * 12, 10, [1] * 12), ([70, 60, 70] * 8, 15, [1] * 24),
      ([30, 30, 40] * 9, 30, [1] * 27),
      ([20, 10, 20] * 9, 60, [1] * 27), ([200, 100, 300], 10, [2, 1, 3]),
      ([40] * 50, 25.2, [1] * 50), ([0] * 3, None, [1] * 3), ([70, 60, 70], None, [1] * 3))
  def test_frames_by_the_time(self, held, rate, wanted):
    self.assertEqual(gifs.repeats(held, rate), wanted)

  @parameterized.parameters(
      ([100] * 40, 11, 'holds picture 1 for 100 ms, until 200 ms; expected 1 times 90.9 ms, until '
       '181.8'), ([20] * 40, 35, 'holds picture 1'), ([60] * 40, 15, 'holds picture 1'),
      ([70] * 40, 15, 'holds picture 3'), ([20] * 40, 60, 'holds picture 3'),
      ([0] * 3, 15, 'holds picture 0'), ([40] * 300, 25.5, 'holds picture'),
      ([100, 200], None, 'holds its pictures for 100 to 200 ms; expected one time'))
  def test_times_that_are_not_those_of_the_environment(self, held, rate, message):
    with self.assertRaisesRegex(ValueError, message):
      gifs.repeats(held, rate)

  @parameterized.parameters((b'', 'is no .gif'), (b'GIF88a', 'is no .gif'),
                            (b'GIF89a' + bytes(7) + b';', 'has no frames'))
  def test_what_is_no_gif(self, data, message):
    self._write(data)
    with self.assertRaisesRegex(ValueError, message):
      self._read()

  def _layered(self, is_hole, disposal):
    """A .gif whose second picture keeps half of the first; whether the first has a hole."""
    pixels = np.ones((8, 6), np.uint8)
    pixels[0, 0] = 0 if is_hole else 2
    second = np.zeros_like(pixels)
    second[:, 3:] = 3
    images = [Image.fromarray(values).convert('P') for values in (pixels, second)]
    for image in images:
      image.putpalette([9, 9, 9, 10, 20, 30, 40, 50, 60, 70, 80, 90])
    file = io.BytesIO()
    images[0].save(file, 'GIF', save_all=True, append_images=images[1:], transparency=0,
                   duration=70, disposal=disposal, optimize=False)
    self._write(file.getvalue())

  def test_pixels_that_keep_those_of_the_picture_before(self):
    self._layered(is_hole=False, disposal=1)
    first, second = self._read()
    self.assertEqual(first[0, 0].tolist(), [40, 50, 60])
    np.testing.assert_array_equal(second[:, :3], first[:, :3])
    self.assertEqual(np.unique(second[:, 3:].reshape(-1, 3), axis=0).tolist(), [[70, 80, 90]])

  @parameterized.parameters((True, 1, 0), (False, 2, 1))
  def test_pixels_that_let_a_background_through_are_refused(self, is_hole, disposal, picture):
    self._layered(is_hole, disposal)
    with self.assertRaisesRegex(ValueError, f'transparent in picture {picture}; expected opaque'):
      self._read()

  def test_a_picture_that_is_too_large(self):
    size = (65_000).to_bytes(2, 'little') * 2
    data = encoded(video_files.numbered(2), duration=70)
    self._write(data[:6] + size + data[10:])
    with self.assertRaisesRegex(ValueError, 'is damaged .*pixels'):
      self._read()

  def test_no_frame_of_a_damaged_gif_is_missing_doubled_or_of_another_time(self):
    data = encoded(video_files.numbered(30), duration=70)
    self._write(data)
    wanted, num_refused = np.stack(self._read()), 0
    seeds = exhaustive.some_of(range(300))
    for seed in seeds:
      kind = damaged_videos.KINDS[seed % len(damaged_videos.KINDS)]
      self._write(damaged_videos.damage(data, kind, np.random.default_rng(seed)))
      try:
        found = np.stack(self._read())
      except ValueError:
        num_refused += 1
        continue
      with self.subTest(seed=seed):
        self.assertNotEqual(damaged_videos.outcome(found, wanted), damaged_videos.WRONG)
    self.assertGreater(num_refused, len(seeds) // 3)


if __name__ == '__main__':
  absltest.main()
