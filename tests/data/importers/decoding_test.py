import fractions
import pathlib
import struct
import tempfile
from unittest import mock

import av
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data.importers import decoding
from tests import exhaustive
from tests.data.importers import damaged_videos, video_files

_INTERLACED = (av.codec.context.Flags.interlaced_dct, av.codec.context.Flags.interlaced_me)


def decoded(path, **arguments):
  return list(decoding.frames(decoding.scan(str(path)), **arguments))


def numbers(path):
  return video_files.numbers(decoded(path))


class DecodingTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def _problem(self, path):
    with self.assertRaises(ValueError) as raised:
      decoded(path)
    self.assertNotIn('\n', str(raised.exception))
    return str(raised.exception)

  def _written(self, name, num_frames=30, codec='ffv1', **arguments):
    path = self._directory / name
    video_files.write(path, video_files.numbered(num_frames), codec=codec, **arguments)
    return path

  @parameterized.parameters(*video_files.COMBINATIONS)
  def test_every_frame_comes_once_and_at_its_turn(self, suffix, codec):
    path = self._written(f'a.{suffix}', codec=codec)
    self.assertEqual(decoding.num_frames(str(path)), 30)
    video = decoding.scan(str(path))
    self.assertEqual(video.rate, 15)
    np.testing.assert_allclose((video.times - video.times[0]) * video.tick, np.arange(30) / 15,
                               atol=6e-4)
    passed = []
    found = list(decoding.frames(video, frame_skip=4, passed=passed.append))
    self.assertEqual(video_files.numbers(found), list(range(0, 30, 4)))
    self.assertEqual(passed, list(range(1, 31)))

  @parameterized.parameters(
      ('h264', 'yuv420p10le'), ('hevc', 'yuv420p10le'), ('av1', 'yuv420p10le'),
      ('h264', 'yuv444p'), ('h264', 'yuv422p'), ('ffv1', 'gray'))
  def test_formats_of_pixels(self, codec, pixels):
    path = self._written('a.mkv', codec=codec, pixels=pixels)
    self.assertEqual(numbers(path), list(range(30)))

  @parameterized.parameters(('ffv1', 'bgra', 'frame 0 .bgra. '), ('ffv1', 'yuva420p', 'frame 0 '),
                            ('vp9', 'yuva420p', ''), ('vp8', 'yuva420p', ''))
  def test_pictures_that_let_a_background_through_are_refused(self, codec, pixels, begin):
    path = self._written('a.mkv', 5, codec, pixels=pixels,
                         options={'auto-alt-ref': '0'} if codec == 'vp8' else {})
    self.assertRegex(self._problem(path), f'^{begin}.*may be transparent; expected opaque')

  @parameterized.parameters('bt709', 'smpte170m')
  def test_colours_are_those_that_the_file_declares(self, matrix):
    red, green, blue, grey = colours = [(220, 30, 40), (30, 200, 60), (40, 50, 210), (90, 90, 90)]
    del red, green, blue, grey
    path = self._directory / 'a.mp4'
    spaces = {'bt709': 1, 'smpte170m': 5}
    with av.open(str(path), 'w') as file:
      stream = file.add_stream('libx264', rate=15, options={
          'crf': '1', 'x264-params': f'colormatrix={matrix}'})
      stream.width = stream.height = 64
      stream.pix_fmt = 'yuv444p'
      reformatter = av.video.reformatter.VideoReformatter()
      for colour in colours:
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), colour, np.uint8))
        file.mux(stream.encode(reformatter.reformat(
            frame, format='yuv444p', dst_colorspace=spaces[matrix], dst_color_range=1)))
      file.mux(stream.encode(None))
    np.testing.assert_allclose([frame[32, 32] for frame in decoded(path)], colours, atol=3)

  @parameterized.parameters((0, False), (90, False), (180, False), (-90, False), (0, True),
                            (90, True))
  def test_frames_are_turned_as_a_player_turns_them(self, degrees, is_mirrored):
    path = self._written('a.mp4', 2, 'mpeg4')
    straight = decoded(path)
    path = self._written('b.mp4', 2, 'mpeg4', prepare=lambda stream: stream.set_display_rotation(
        degrees, hflip=is_mirrored))
    for found, frame in zip(decoded(path), straight, strict=True):
      wanted = np.rot90(frame, degrees // 90)
      np.testing.assert_array_equal(found, wanted[:, ::-1] if is_mirrored else wanted)

  def test_a_crooked_video_is_refused(self):
    path = self._written('a.mp4', 2, 'mpeg4',
                         prepare=lambda stream: stream.set_display_rotation(30))
    self.assertRegex(self._problem(path), 'is turned by .* degrees; expected a multiple of 90')

  @parameterized.parameters('h264', 'hevc', 'mpeg4', 'vp9')
  def test_frames_that_an_edit_list_hides_are_hidden(self, codec):
    self.assertEqual(numbers(self._trimmed(codec)), list(range(7, 30)))

  @parameterized.parameters(
      ('mp4', {'movflags': 'faststart'}), ('mp4', {'movflags': 'frag_keyframe+empty_moov'}),
      ('mp4', {'movflags': 'dash'}), ('mp4', {'use_editlist': '0'}),
      ('mov', {'video_track_timescale': '90000'}), ('mkv', {'live': '1'}))
  def test_other_ways_to_write_a_container(self, suffix, options):
    path = self._written(f'a.{suffix}', codec='h264', **options)
    self.assertEqual(numbers(path), list(range(30)))

  def test_a_begin_that_refers_to_what_was_cut_off_is_skipped(self):
    whole, path = self._written('whole.mp4', codec='mpeg4'), self._directory / 'a.mkv'
    with av.open(str(whole)) as source, av.open(str(path), 'w') as target:
      stream = source.streams.video[0]
      copy, has_begun = target.add_stream_from_template(stream), False
      for packet in source.demux(stream):
        has_begun |= packet.is_keyframe and packet.dts > 0
        if packet.size and has_begun:
          packet.stream = copy
          target.mux(packet)
    found = numbers(path)
    self.assertEqual(found, list(range(6, 30)))  # From the second key frame on.
    self.assertLen(decoding.scan(str(path)).times, len(found) + 2)

  def test_an_avi_of_finer_ticks(self):
    whole, path = self._written('whole.mp4', codec='mpeg4'), self._directory / 'a.avi'
    with av.open(str(whole)) as source, av.open(str(path), 'w') as target:
      stream = source.streams.video[0]
      copy = target.add_stream_from_template(stream)
      copy.time_base = fractions.Fraction(1, 600)
      for packet in source.demux(stream):
        if packet.size:
          packet.stream = copy
          target.mux(packet)
    self.assertEqual(numbers(path), list(range(30)))

  def _trimmed(self, codec):
    """A video whose first 7 frames are there to be decoded, and not to be shown."""
    whole, path = self._written('whole.mp4', codec=codec), self._directory / 'a.mp4'
    with av.open(str(whole)) as source, av.open(str(path), 'w', container_options={
        'avoid_negative_ts': 'disabled'}) as target:
      stream = source.streams.video[0]
      copy = target.add_stream_from_template(stream)
      for packet in source.demux(stream):
        if packet.size:
          shift = round(7 / 15 / stream.time_base)
          packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
          target.mux(packet)
    return path

  def test_an_edit_list_that_was_damaged(self):
    path = self._trimmed('mpeg4')
    data = path.read_bytes()
    at = data.index(b'elst') + 16  # Where in the track what is shown begins.
    begin, = struct.unpack('>I', data[at:at + 4])
    path.write_bytes(data[:at] + struct.pack('>I', begin + 2 * 1024) + data[at + 4:])
    self.assertRegex(self._problem(path), 'ends after 1.400 of the 1.533 s that its header')

  @parameterized.parameters(('avi', b'avih', 40, '<I'), ('avi', b'strf', 12, '<I'),
                            ('mp4', b'tkhd', 80, '>H'), ('mp4', b'FFV1', 28, '>H'))
  def test_a_size_that_was_damaged_where_no_codec_says_it(self, suffix, name, at, kind):
    path = self._written(f'a.{suffix}')
    data = path.read_bytes()
    at += data.index(name)
    for start, value in ((at, 96), (at + struct.calcsize(kind) * (1 + (name == b'tkhd')), 64)):
      found, = struct.unpack_from(kind, data, start)
      self.assertEqual(found, value)
      changed = bytearray(data)
      struct.pack_into(kind, changed, start, value + 1)
      path.write_bytes(changed)
      self.assertRegex(self._problem(path), 'is damaged: 9[67] x 6[45] pixels by one of its '
                                            'headers, 9[67] x 6[45] by another')

  @parameterized.parameters('avi', 'mp4')
  def test_pixels_that_are_not_square_are_read(self, suffix):
    def prepare(stream):
      stream.codec_context.sample_aspect_ratio = fractions.Fraction(10, 11)
    self.assertEqual(numbers(self._written(f'a.{suffix}', prepare=prepare)), list(range(30)))

  @parameterized.parameters((0xfce8, 1), (1035, 29))
  def test_a_clock_that_was_damaged_and_hides_the_end(self, scale, num_shown):
    path = self._written('a.mp4', codec='mjpeg')
    data = path.read_bytes()
    at = data.index(b'mvhd') + 16  # Ticks of a second, of the edit list and of the track's header.
    self.assertEqual(data[at:at + 4], struct.pack('>I', 1000))
    path.write_bytes(data[:at] + struct.pack('>I', scale) + data[at + 4:])
    self.assertRegex(self._problem(path), f'show {num_shown} of 30 frames from its begin on')

  def test_times_that_were_damaged_and_hide_the_end(self):
    path = self._written('a.mp4', codec='mjpeg')
    data = path.read_bytes()
    at = data.index(b'stts') + 16  # Ticks from a frame to the next.
    ticks, = struct.unpack('>I', data[at:at + 4])
    path.write_bytes(data[:at] + struct.pack('>I', ticks * 9 // 8) + data[at + 4:])
    self.assertRegex(self._problem(path), 'is damaged: ')

  @parameterized.parameters(('webm', 'vp9', 4), ('mkv', 'h264', 4), ('mkv', 'mpeg4', 1))
  def test_sound_may_be_longer_or_shorter_than_the_pictures(self, suffix, codec, seconds):
    path = self._written(f'a.{suffix}', codec=codec, seconds_of_sound=seconds)
    self.assertEqual(numbers(path), list(range(30)))

  @parameterized.parameters(('a.mp4', 'h264', {'x264-params': 'tff=1'}), ('a.mkv', 'mpeg2', {}),
                            ('a.avi', 'mpeg4', {}))
  def test_interlaced_videos_are_refused_by_name(self, name, codec, options):
    def prepare(stream):
      stream.codec_context.flags |= _INTERLACED[0] | _INTERLACED[1]
    path = self._written(name, codec=codec, options=options, prepare=prepare)
    self.assertRegex(self._problem(path), '^(frame 0 is interlaced|is interlaced by its header): '
                                          '.*-err_detect explode.*yadif')

  @parameterized.parameters('vp9', 'ffv1')
  def test_videos_that_their_container_calls_interlaced_are_refused(self, codec):
    path = self._written('a.mkv', codec=codec, options={'field_order': 'tt'})
    self.assertRegex(self._problem(path), '^is interlaced by its header: its rows')

  def test_a_size_that_changes_is_refused(self):
    path = self._directory / 'a.mkv'
    other = self._directory / 'b.mkv'
    video_files.write(other, video_files.numbered(5, (96, 128), first=5), codec='vp8')
    self._written('c.mkv', 5, 'vp8')
    with av.open(str(self._directory / 'c.mkv')) as first, av.open(str(other)) as second, \
         av.open(str(path), 'w') as target:
      copy = target.add_stream_from_template(first.streams.video[0])
      for offset, source in ((0, first), (333, second)):
        for packet in source.demux():
          if packet.size:
            packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, copy
            target.mux(packet)
    self.assertRegex(self._problem(path), 'frame 5 is 128 x 96 pixels.* the first 96 x 64 pixels.*'
                                          'expected one size')

  @parameterized.parameters(('mkv', 'ffv1'), ('mp4', 'mpeg4'))
  def test_frame_rates_that_vary(self, suffix, codec):
    for times, message in (
        ([0, 1, 2, 5, 6], 'frame 3 comes 0.[23]00 s after the one before and 0.[45]00 s after the '
         'first; expected .*frames are missing, or the frame rate varies. Copy it again'),
        ([*range(9), *range(9, 60, 2)], 'frame .* comes')):
      with self.subTest(times):
        path = self._written(f'a.{suffix}', len(times), codec, rate=10, times=times,
                             options={'bf': '0'})
        found = self._problem(path)
        self.assertRegex(found, message)
        self.assertNotRegex(found, 'ffmpeg')  # Which would fill holes with what was before.

  def test_small_differences_of_times_add_up(self):
    # Each gap is within a half of that of the rate, and the frames drift from it.
    times = np.cumsum([0, *[10, 14] * 40])
    with self.assertRaisesRegex(ValueError, 'frame 6 comes 0.014 s after the one before'):
      decoding._check_times(times / 1000, 1000 / 10)
    decoding._check_times(np.arange(100) / 30.2, 30)
    decoding._check_times(np.round(np.arange(1000) / 60, 3), 60)

  def test_rates_of_television(self):
    video = decoding.scan(str(self._written('a.mkv', rate=30_000 / 1001)))
    self.assertAlmostEqual(video.rate, 30_000 / 1001)

  def test_a_recording_that_was_not_closed_and_lacks_its_begin(self):
    path = self._written('a.mkv', 40, 'h264', live='1', cluster_time_limit='600')
    data = path.read_bytes()
    clusters = [i for i in range(len(data)) if data.startswith(b'\x1f\x43\xb6\x75', i)]
    self.assertGreater(len(clusters), 2)
    self.assertEqual(numbers(path), list(range(40)))
    path.write_bytes(data[:clusters[0]] + data[clusters[1]:])
    self.assertRegex(self._problem(path), r'^begins at 0.[5-9]\d\d s, and was never closed; '
                                          'expected 0 s: its first part is missing.*copy out.mkv')

  def test_an_empty_packet_of_an_avi_is_named(self):
    path = self._written('a.avi', 6, 'mjpeg', times=[0, 2, 3, 4, 5, 6])
    self.assertRegex(self._problem(path), '^frame 1 is missing: an .avi has an empty packet there')

  def test_an_avi_that_was_cut_without_encoding(self):
    whole, path = self._written('whole.avi', codec='mpeg4'), self._directory / 'a.avi'
    with av.open(str(whole)) as source, av.open(str(path), 'w') as target:
      stream = source.streams.video[0]
      copy, begin = target.add_stream_from_template(stream), None
      for packet in source.demux(stream):
        if packet.size and packet.is_keyframe and packet.dts > 0 and begin is None:
          begin = packet.dts
        if packet.size and begin is not None:
          packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
          packet.stream = copy
          target.mux(packet)
    self.assertRegex(self._problem(path), r'^shows \d+ of the \d+ frames that it has, .*-c copy')

  @parameterized.parameters((b'<!DOCTYPE html></html>', 'cannot be opened .*: it is no video'),
                            (b'', 'cannot be opened .*: it is no video'),
                            (bytes(50_000), 'cannot be opened .*: it is no video'),
                            (b"ffconcat version 1.0\nfile 'a.mp4'\n", 'is a file of .*concatenat'))
  def test_what_is_no_video(self, data, message):
    self._written('a.mp4', 5)
    for suffix in ('mkv', 'mp4', 'avi'):
      path = self._directory / f'b.{suffix}'
      path.write_bytes(data)
      self.assertRegex(self._problem(path), message)

  @parameterized.parameters(0, 2)
  def test_videos_with_another_number_of_tracks(self, number):
    path = self._directory / 'a.mkv'
    with av.open(str(path), 'w') as file:
      streams = [file.add_stream('ffv1', rate=15) for _ in range(number)]
      for stream in streams:
        stream.height, stream.width, stream.pix_fmt = 64, 96, 'bgr0'
      frames = video_files.numbered(5)
      for stream in streams:
        for frame in frames:
          file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode(None))
      if not number:
        sound = file.add_stream('libopus', rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), 'flt', 'mono')
        frame.sample_rate = 48_000
        file.mux(sound.encode(frame) + sound.encode(None))
    self.assertRegex(self._problem(path), f'has {number} tracks of pictures; expected one')

  def test_threads_hide_no_damage(self):
    self.enterContext(mock.patch.object(decoding, '_THREAD_PIXELS', 1))
    path, other = self._written('a.mp4', codec='h264'), self._directory / 'b.mp4'
    whole, num_found = path.read_bytes(), 0
    for at in np.linspace(100, len(whole) * 9 // 10, 40).astype(int):
      data = bytearray(whole)
      data[at] ^= 0x55
      other.write_bytes(data)
      outcomes = []
      for num_threads in (1, 8):
        with mock.patch('os.cpu_count', lambda number=num_threads: number):
          try:
            outcomes.append(decoded(other))
          except ValueError:
            outcomes.append([])
      np.testing.assert_array_equal(*outcomes)
      num_found += not outcomes[0]
    self.assertGreater(num_found, 3)

  def test_the_same_damage_is_found_in_the_next_file(self):
    path = self._written('a.mp4', codec='h264')
    whole, problems = path.read_bytes(), []
    for at in range(1000, len(whole) - 2000, 50):
      for _ in range(2):  # FFmpeg is silent about what it has just said.
        data = bytearray(whole)
        data[at] ^= 0x55
        path.write_bytes(data)
        try:
          problems.append(len(decoded(path)))
        except ValueError as error:
          problems.append(str(error))
    self.assertEqual(problems[::2], problems[1::2])
    self.assertGreater(len({problem for problem in problems if problem != 30}), 3)

  def test_logging_of_others_is_as_it_was(self):
    path = self._written('a.mkv', 3)
    av.logging.set_level(av.logging.WARNING)
    self.addCleanup(av.logging.set_level, None)
    frames = decoding.frames(decoding.scan(str(path)))
    next(frames)
    self.assertEqual(av.logging.get_level(), av.logging.ERROR)
    frames.close()
    self.assertEqual(av.logging.get_level(), av.logging.WARNING)


class DamageTest(absltest.TestCase):
  """At random: byte flips, overwritten blocks and cuts over all formats."""

  def test_no_frame_of_a_damaged_video_is_missing_doubled_or_of_another_time(self):
    with tempfile.TemporaryDirectory() as directory:
      for suffix, codec, kind, seed in exhaustive.some_of(damaged_videos.trials(300)):
        with self.subTest(suffix=suffix, codec=codec, kind=kind, seed=seed):
          outcome, _ = damaged_videos.trial(directory, suffix, codec, kind, seed)
          self.assertNotEqual(outcome, damaged_videos.WRONG)

  def test_undamaged_videos_pass(self):
    rates = (10, 15, 24, 25, 30_000 / 1001, 30, 50, 60)
    with tempfile.TemporaryDirectory() as directory:
      for seed in exhaustive.some_of(range(300)):
        rng = np.random.default_rng(seed)
        suffix, codec = video_files.COMBINATIONS[seed % len(video_files.COMBINATIONS)]
        size = tuple(int(2 * n) for n in rng.integers((20, 34), (60, 90)))
        first, count, rate = int(rng.integers(100)), int(rng.integers(2, 50)), rng.choice(rates)
        seconds = rng.choice([0, 1, 3]) if suffix in ('mkv', 'webm') else 0
        with self.subTest(suffix=suffix, codec=codec, seed=seed):
          path = pathlib.Path(directory) / f'a.{suffix}'
          video_files.write(path, video_files.numbered(count, size, first=first, seed=seed),
                            rate, codec, seconds_of_sound=int(seconds))
          self.assertEqual(numbers(path), list(range(first, first + count)))


if __name__ == '__main__':
  absltest.main()
