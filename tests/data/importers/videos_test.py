import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

import av
import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from alpt_jax.data import png, source_files, writer
from alpt_jax.data.importers import videos
from alpt_jax.reports import video
from tests.data import own_data
from tests.data.importers import images_test, video_files

_GREY = (16, 32, 1)


def moving(num_frames, seed=0):
  """Images that video codecs keep apart: a bar moves over ground that gets brighter."""
  frames = np.zeros((num_frames, *_GREY), np.uint8)
  for t, frame in enumerate(frames):
    frame += np.uint8(20 + 8 * (t % 25))
    frame[:, (t + 4 * seed) % 28:(t + 4 * seed) % 28 + 4] = 255
  return frames


class ImportVideosTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self._source = self._parent / 'source'
    self._source.mkdir()

  def _import(self, shape=_GREY, steps_per_second=None, frame_skip=1, progress=None, **settings):
    env = own_data.environment(shape=shape, steps_per_second=steps_per_second)
    return own_data.written(
        str(self._parent / 'data'),
        videos.recordings(str(self._source), env, frame_skip=frame_skip, progress=progress),
        env, **settings)

  def _problem(self, **arguments):
    with self.assertRaises(ValueError) as raised:
      self._import(**arguments)
    self.assertNotIn('\n', str(raised.exception))
    self.assertEmpty([path for path in self._parent.iterdir() if path != self._source])
    return str(raised.exception).replace(str(self._source) + '/', '')

  @parameterized.parameters('mkv', 'gif')
  def test_a_video_that_is_too_large_is_left_out_while_it_is_read(self, suffix):
    for name, length in (('a', 5), ('b', 60), ('c', 6)):
      path = self._source / f'{name}.{suffix}'
      if suffix == 'gif':
        video.write(path, moving(length, seed=length), fps=10)
      else:
        video_files.write(path, moving(length, seed=length), 15)
    encode = mock.Mock(side_effect=png.encode)
    most = 20 * len(png.encode(moving(1)[0]))
    with mock.patch.object(writer, 'MAX_EPISODE_BYTES', most), mock.patch.object(
        png, 'encode', encode):
      card, read = self._import()
    self.assertEqual(read.num_transitions.tolist(), [4, 5])
    self.assertEqual(card['left_out'], {'too large': 1})
    self.assertRegex(card['left_out_episodes'][0]['reason'], 'its first [0-9]+ images take .* GB')
    self.assertLess(encode.call_count, 5 + 40 + 6)

  @parameterized.parameters(range(3))
  def test_frames_actions_and_labels_come_back(self, seed):
    rng = np.random.default_rng(seed)
    frame_skip, played, rows = int(rng.integers(1, 4)), [], []
    for e in range(3):
      kept = int(rng.integers(3, 9))
      frames = own_data.frames(rng, (kept - 1) * frame_skip + 1, _GREY)
      video_files.write(self._source / f'clip{e}.mkv', frames, 15 * frame_skip)
      actions, is_labelled = rng.choice([0, 1, 3], kept - 1), rng.random(kept - 1) < .6
      rows += [(f'clip{e}.mkv', t, actions[t]) for t in np.flatnonzero(is_labelled)]
      played.append((frames[::frame_skip], np.where(is_labelled, actions, 0), np.zeros(kept - 1),
                     is_labelled))
    images_test.write_csv(self._source / 'actions.csv', rows)
    seen = []
    _, read = self._import(frame_skip=frame_skip, steps_per_second=15, progress=seen.append)
    for one, other in zip(own_data.split(read), played, strict=True):
      for field, wanted in zip(one, other, strict=True):
        np.testing.assert_array_equal(field, wanted)
    self.assertEqual(seen, sorted(seen))
    self.assertEqual(seen[-1], videos.total(str(self._source)))

  def test_frames_of_one_video_are_those_of_its_import(self):
    frames = own_data.frames(np.random.default_rng(0), 13, (20, 30, 1))
    video_files.write(self._source / 'a.mkv', frames, 60)
    images_test.write_csv(self._source / 'actions.csv', [('a.mkv', 0, 0)])
    _, read = self._import(frame_skip=4, steps_per_second=15)
    found = videos.frames(str(self._source / 'a.mkv'), _GREY, frame_skip=4)
    (observations, *_), = own_data.split(read)
    np.testing.assert_array_equal(found, observations)

  def test_paths_shapes_and_skips_that_give_no_frames(self):
    for path, shape, frame_skip, message in (
        (pathlib.Path('none.mp4'), _GREY, 1, 'none.mp4: no such file; expected a video'),
        ('none.mp4', (2,), 1, r'shape is \(2,\); expected .height, width, channels.'),
        ('none.mp4', (8, 8, 2), 1, r'shape is \(8, 8, 2\); expected .* 1 or 3 channels'),
        (__file__, _GREY, 0, 'frame_skip is 0; expected at least 1'),
        (__file__, _GREY, 1, r'videos_test.py: cannot be opened')):
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        videos.frames(path, shape, frame_skip=frame_skip)

  def test_what_is_no_file_is_refused_by_name(self):
    for name, length in (('a.mkv', 9), ('d.mkv', 8)):
      video_files.write(self._source / name, moving(length, seed=length), 15)
    (self._source / 'b.mp4').mkdir()
    for on_problem in ('error', 'skip'):  # It is no damage.
      self.assertRegex(self._problem(on_problem=on_problem),
                       '^b.mp4: is a directory; expected a file')

  def test_a_video_is_opened_once_to_count_and_twice_to_be_read(self):
    for name, length in (('a.mkv', 9), ('b.mkv', 8), ('c.mkv', 7)):
      video_files.write(self._source / name, moving(length, seed=length), 15)
    seen, opened = [], mock.Mock(side_effect=av.open)
    with mock.patch.object(av, 'open', opened):
      total = videos.total(str(self._source))
      self._import(progress=seen.append)
    self.assertEqual((opened.call_count, total, seen[-1]), (9, 24, 24))

  @parameterized.parameters(('a.mp4', 'mpeg4'), ('a.webm', 'vp8'), ('a.webm', 'vp9'),
                            ('a.avi', 'mjpeg'), ('a.mov', 'h264'), ('a.mov', 'hevc'))
  def test_lossy_videos(self, name, codec):
    video_files.write(self._source / name, moving(20), 60, codec)
    _, read = self._import(frame_skip=4, steps_per_second=15)
    wanted = moving(20)[::4].astype(int)
    self.assertLess(np.abs(read.observations - wanted).mean(), 12)
    # The right ones, too: the ground gets brighter by 8 each frame.
    ground = [np.median(image) for image in read.observations]
    np.testing.assert_allclose(np.diff(ground), 32, atol=3)

  def test_an_mp4_of_another_name(self):
    video_files.write(self._source / 'a.mp4', moving(9), 15, 'h264')
    (self._source / 'a.mp4').rename(self._source / 'a.m4v')
    self.assertEqual(len(self._import()[1].observations), 9)

  @parameterized.parameters(15, 10, 30)
  def test_gifs_of_our_own_come_back(self, rate):
    frames = moving(12)
    frames[3:6] = frames[3]  # Stored as one picture that is held longer.
    video.write(self._source / 'a.gif', frames, fps=rate)
    with Image.open(self._source / 'a.gif') as image:
      self.assertEqual(image.n_frames, 10)
    _, read = self._import(frame_skip=2, steps_per_second=rate / 2)
    np.testing.assert_array_equal(read.observations, frames[::2])

  def test_gif_of_one_speed_needs_no_rate(self):
    video.write(self._source / 'a.gif', moving(6), fps=15)
    np.testing.assert_array_equal(self._import()[1].observations, moving(6))

  def test_card_says_how_many_steps_a_second_of_each_file_has(self):
    video_files.write(self._source / 'b.mkv', moving(8), 30)
    video_files.write(self._source / 'a10.mp4', moving(12, seed=1), 60, 'mpeg4')
    video_files.write(self._source / 'a9.mkv', moving(3), 30)  # Too short.
    video.write(self._source / 'c.gif', moving(8, seed=2), fps=15)  # 60 or 70 ms each.
    card, read = self._import(frame_skip=2, window=3)
    found = source_files.read(self._parent / 'data', read.num_episodes)
    self.assertEqual([file.name for file in found], ['a10.mp4', 'b.mkv', 'c.gif'])
    np.testing.assert_allclose([file.steps_per_second for file in found], [30, 15, 8 / 2 / .53])
    self.assertEqual(card['source_files'], [file._asdict() for file in found])

  def test_gif_of_several_speeds_needs_the_rate(self):
    frames = moving(6)
    frames[3] = frames[2]
    video.write(self._source / 'a.gif', frames, fps=10)
    self.assertRegex(self._problem(), 'a.gif: holds its pictures for 100 to 200 ms.*steps_per_sec')
    self.assertRegex(self._problem(steps_per_second=8),
                     'a.gif: holds picture 0 for 100 ms, until 100 ms; expected 1 times 125.0 ms')

  def test_frame_rate_and_frame_skip_have_to_give_the_steps_of_the_environment(self):
    video_files.write(self._source / 'a.mkv', moving(12), 60)
    self.assertRegex(
        self._problem(steps_per_second=15, frame_skip=2),
        'a.mkv: has 60 frames a second, which frame_skip 2 makes 30 steps; expected the 15 of '
        'steps_per_second')
    self.assertEqual(len(self._import(steps_per_second=15, frame_skip=4)[1].observations), 3)

  def test_rates_of_television_are_those_of_their_names(self):
    video_files.write(self._source / 'a.mkv', moving(12), 60_000 / 1001)
    self.assertEqual(len(self._import(steps_per_second=15, frame_skip=4)[1].observations), 3)

  @parameterized.parameters(('a.webm', 'vp8', 'breaks off at byte'),
                            ('a.mkv', 'ffv1', 'breaks off at byte'),
                            ('a.mp4', 'mpeg4', 'breaks off: .* bytes are missing'),
                            ('a.avi', 'mjpeg', 'breaks off: holds .* of the 40 frames|frame .* is'),
                            ('a.gif', None, 'breaks off after .* frames'))
  def test_videos_that_break_off(self, name, codec, message):
    path = self._source / name
    if codec:
      video_files.write(path, moving(40), 15, codec)
    else:
      video.write(path, moving(40), fps=10)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * 6 // 10])
    self.assertRegex(self._problem(), f'^{name}: ({message})')
    video_files.write(self._source / 'whole.mkv', moving(5, seed=3))
    card, read = self._import(on_problem='skip')
    self.assertEqual(read.num_episodes, 1)
    self.assertEqual(card['left_out'], {'damaged': 1})
    self.assertEndsWith(card['left_out_episodes'][0]['name'], name)

  def test_what_is_no_video(self):
    for name in ('a.mp4', 'b.gif'):
      (self._source / name).write_text('no video')
    (self._source / 'b.webm').touch()
    video_files.write(self._source / 'c.mkv', moving(5))
    (self._source / 'notes.txt').write_text('passed over')
    card, _ = self._import(on_problem='skip')
    self.assertEqual([pathlib.Path(e['name']).name for e in card['left_out_episodes']],
                     ['a.mp4', 'b.gif', 'b.webm'])

  def test_checksums_are_compared_before_any_video_is_read(self):
    listed = []
    for name in ('a.mkv', 'b.mkv'):
      video_files.write(self._source / name, moving(8, seed=len(listed)))
      listed.append(f'{hashlib.sha256((self._source / name).read_bytes()).hexdigest()}  {name}\n')
    (self._source / 'SHA256SUMS').write_text(''.join(listed))
    data = (self._source / 'b.mkv').read_bytes()
    (self._source / 'b.mkv').write_bytes(data + b' ')  # Nothing else would tell.
    with mock.patch.object(videos, '_read') as read:
      self.assertRegex(self._problem(), 'b.mkv: has the SHA-256 sum .*; expected .*SHA256SUMS')
      read.assert_not_called()
    card, read = self._import(on_problem='skip')
    self.assertEqual((read.num_episodes, card['left_out']), (1, {'damaged': 1}))

  def test_a_video_that_is_too_large_is_left_out_and_no_more_is_read_of_it(self):
    for name, length in (('a.mkv', 5), ('b.mkv', 30), ('c.mp4', 6)):
      video_files.write(self._source / name, moving(length, seed=length), 15)
    seen = []
    with mock.patch.object(writer, 'MAX_EPISODE_BYTES', 10 * len(png.encode(moving(1)[0]))):
      card, read = self._import(progress=seen.append)
    self.assertEqual(read.num_transitions.tolist(), [4, 5])
    self.assertEqual(card['left_out'], {'too large': 1})
    self.assertNotIn(5 + 25, seen)

  def test_the_same_video_twice(self):
    for name in ('a.mkv', 'b.mkv'):
      video_files.write(self._source / name, moving(8))
    card, read = self._import()
    self.assertEqual((read.num_episodes, card['left_out']), (1, {'duplicate': 1}))

  def test_decoder_is_quiet(self):
    video_files.write(self._source / 'a.webm', moving(40), 15, 'vp8')
    data = (self._source / 'a.webm').read_bytes()
    (self._source / 'a.webm').write_bytes(data[:len(data) // 2])
    program = ('import sys\nfrom tests.data import own_data\nfrom alpt_jax.data.importers import '
               'videos\nprint([type(found).__name__ for found in videos.recordings('
               'sys.argv[1], own_data.environment())])')
    done = subprocess.run([sys.executable, '-c', program, str(self._source)], text=True,
                          capture_output=True, check=False, env=os.environ)
    self.assertEqual((done.stdout, done.stderr), ("['Problem']\n", ''))


if __name__ == '__main__':
  absltest.main()
