"""Tests of videos: what is written is read back by other programs' decoders."""

import pathlib
import tempfile
from unittest import mock

import cv2
import numpy as np
from absl.testing import parameterized
from PIL import Image

from alpt_jax.reports import video


def moving_square(num_frames, height=84, width=84):
  """[N, H, W] black frames with a white square that moves right by 4 pixels a frame."""
  frames = np.zeros((num_frames, height, width), np.uint8)
  for i in range(num_frames):
    frames[i, 20:40, 4 * i:4 * i + 20] = 255
  return frames


def read_gif(path):
  """Frames [N, H, W, 3], and their durations in ms."""
  with Image.open(path) as image:
    frames, durations = [], []
    for i in range(image.n_frames):
      image.seek(i)
      frames.append(np.array(image.convert('RGB')))
      durations.append(image.info['duration'])
  return np.array(frames), durations


def read_mp4(path):
  """Frames [N, H, W, 3], and frames per second."""
  capture = cv2.VideoCapture(str(path))
  fps, frames = capture.get(cv2.CAP_PROP_FPS), []
  while True:
    is_read, frame = capture.read()
    if not is_read:
      return np.array(frames), fps
    frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


class VideoTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  @parameterized.parameters((), (1,))
  def test_gif_of_grey_frames_is_exact(self, *channels):
    frames = moving_square(12)
    path = self.directory / 'new' / 'a.gif'
    video.write(path, frames.reshape(*frames.shape, *channels), fps=10)
    seen, durations = read_gif(path)
    np.testing.assert_array_equal(seen, np.repeat(frames[..., None], 3, axis=-1))
    self.assertEqual(durations, [100] * 12)

  def test_gif_lasts_as_long_when_frames_are_equal(self):
    frames = moving_square(4)[[0, 0, 0, 1, 2, 2]]
    video.write(self.directory / 'a.gif', frames, fps=20)
    self.assertEqual(sum(read_gif(self.directory / 'a.gif')[1]), 6 * 50)

  @parameterized.parameters(15, 24, 30, 60)
  def test_times_of_a_gif_are_right_in_sum(self, fps):
    path = self.directory / 'a.gif'
    frames = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    video.write(path, frames, fps=fps)
    ends = np.cumsum(read_gif(path)[1])
    np.testing.assert_allclose(ends, np.arange(1, 41) * 1000 / fps, atol=5)

  def test_gif_keeps_colours(self):
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[0, ..., 0], frames[1, ..., 2] = 255, 255  # Red, then blue.
    video.write(self.directory / 'a.GIF', frames)
    np.testing.assert_array_equal(read_gif(self.directory / 'a.GIF')[0], frames)

  @parameterized.parameters((84, 84), (33, 51))
  def test_mp4_of_grey_frames(self, height, width):
    frames = moving_square(8, height, width)
    video.write(self.directory / 'a.mp4', frames, fps=15)
    seen, fps = read_mp4(self.directory / 'a.mp4')
    self.assertEqual((len(seen), fps), (8, 15.))
    seen = seen[:, :height, :width].astype(float)
    self.assertLess(np.abs(seen - frames[..., None]).mean(), 8.)  # It is a lossy codec.

  def test_mp4_keeps_colours(self):
    frames = np.zeros((3, 32, 32, 3), np.uint8)
    frames[..., 0] = 255
    video.write(self.directory / 'a.mp4', frames)
    red, green, blue = read_mp4(self.directory / 'a.mp4')[0].mean(axis=(0, 1, 2))
    self.assertGreater(red, 200)
    self.assertLess(max(green, blue), 50)

  @parameterized.named_parameters(
      ('suffix', 'a.avi', moving_square(1), "a.avi: the suffix is '.avi'; expected one of"),
      ('no_suffix', 'a', moving_square(1), "the suffix is ''"),
      ('no_frames', 'a.gif', np.zeros((0, 84, 84), np.uint8), r'uint8 \[0, 84, 84\]; expected'),
      ('one_frame', 'a.gif', np.zeros((84, 84), np.uint8), r'uint8 \[84, 84\]; expected'),
      ('channels', 'a.mp4', np.zeros((5, 84, 84, 4), np.uint8), r'\[5, 84, 84, 4\]; expected'),
      ('dtype', 'a.mp4', np.zeros((5, 84, 84)), 'float64'))
  def test_what_cannot_be_shown_is_refused(self, name, frames, message):
    with self.assertRaisesRegex(ValueError, message):
      video.write(self.directory / name, frames)
    self.assertEmpty(list(self.directory.iterdir()))

  def test_no_fps(self):
    with self.assertRaisesRegex(ValueError, 'fps is 0; expected more than 0'):
      video.write(self.directory / 'a.gif', moving_square(1), fps=0)

  @parameterized.parameters('a.gif', 'a.mp4')
  def test_path_that_cannot_be_written(self, name):
    (self.directory / 'file').write_text('not a directory')
    with self.assertRaisesRegex(OSError, 'file'):
      video.write(self.directory / 'file' / name, moving_square(2))

  @parameterized.parameters('a.gif', 'a.mp4')
  def test_a_failure_leaves_the_old_video(self, name):
    video.write(self.directory / name, moving_square(3))
    old = (self.directory / name).read_bytes()
    with mock.patch('os.replace', side_effect=OSError(28, 'No space left on device')):
      with self.assertRaisesRegex(OSError, f'No space left on device: .*/{name}'):
        video.write(self.directory / name, moving_square(5))
    self.assertEqual((self.directory / name).read_bytes(), old)
    self.assertLen(list(self.directory.iterdir()), 1)
