"""Decodes video files with FFmpeg (PyAV): every frame, at its time, or an error.

A player hides damage: it repeats the frame before, or paints over what it could not decode. In an
episode that is an invented observation. So whatever FFmpeg reports ends the video, times are
checked before anything is decoded, and the frames that come out are compared with the packets that
went in: none may be missing, come twice or at another time. A changed byte that a codec cannot
notice changes pixels, and is not found here (experiments/OWN_DATA.md says how often).
"""

import contextlib
import os
import re
from typing import NamedTuple

import av
import numpy as np

from alpt_jax.data.importers import bitstreams, containers

_LARGEST_GAP = .75  # Of a frame: a dropped one makes a whole.
_RATE_TOLERANCE = .01  # 29.97 frames a second are 30.
_OTHER_TRACKS = .1  # Seconds that a packet of sound may last, which does not say it.
_OPTIONS = {'err_detect': 'crccheck+bitstream+buffer+careful+explode',
            'max_pixels': str(1 << 26)}  # Twice 8K.
_HIDDEN_FRAMES = 2.5  # That encoders count more or less, of B-frames.
_MAX_THREADS = 8  # Each holds frames.
_THREAD_PIXELS = 1 << 17  # Of a frame; for smaller ones, handing them over takes longer.
_LATEST_FRAME = 4.5  # That may be the first, of a recording that begins at 0, by B-frames.
_PROGRESSIVE = 1  # And 0: not said; more: interlaced.
_ATTACHED = av.stream.Disposition.attached_pic  # The picture of a cover.
# Of these the container alone says how large their pictures are.
_WITHOUT_SIZE = ('ffv1', 'ffvhuff', 'huffyuv', 'rawvideo', 'utvideo')
_VP8_IS_SHOWN = 0x10  # A bit of the first byte of a packet.
_ALPHA_MODE = 'alpha_mode'  # Of a Matroska file: a second picture says what is transparent.
_SEEN_THROUGH = ('may be transparent; expected opaque pictures, as what is behind them is not '
                 'known. Convert it, over a background.')
_DURATION = re.compile(r'(\d+):(\d+):(\d+\.?\d*)')
_REMEDY = 'Copy it again, or remove it.'
_INTERLACED = ('is interlaced{}: its rows are of two moments. Convert it (ffmpeg -xerror '
               '-err_detect explode -i in.mp4 -vf yadif out.mp4).')
_EMPTY = ('an .avi has an empty packet there, which repeats the frame before. FFmpeg also writes '
          'one at the begin beside MP3 sound: if so, write it anew without the sound, or as .mp4')
_CUT_AVI = ('shows {} of the {} frames that it has, and nothing says which are missing. Was it '
            'cut without encoding (-c copy)? Then the first refer to frames that were cut off. Cut '
            'it again with encoding, or copy it again.')


class Video(NamedTuple):
  """What is known of a video before it is decoded.

  Attributes:
    path: of the file.
    times: [N] int; when each frame is shown, in ticks, increasing.
    tick: seconds of a tick.
    rate: frames a second.
    order_only: whether `times` were not stored, but counted.
    first: when the frame is shown that is decoded first.
  """
  path: str
  times: np.ndarray
  tick: float
  rate: float
  order_only: bool
  first: int


def num_frames(path):
  """Number of frames as the header declares, or makes likely; 0 if neither or if it has none."""
  try:
    with _opened(path) as (container, stream, _):
      rate = stream.guessed_rate or stream.average_rate or 0
      return stream.frames or round((container.duration or 0) / av.time_base * rate)
  except ValueError:
    return 0


def scan(path):
  """Reads a video without decoding it, and checks that every frame comes when it should.

  Args:
    path: of the video.

  Returns:
    A `Video`.

  Raises:
    ValueError: without the file's name, if it is no video, is damaged or breaks off, or its frame
      rate varies.
  """
  structure = containers.check(path)
  with _opened(path) as (container, stream, reports):
    kind, codec = containers.FORMATS[container.format.name], stream.codec_context
    if kind != structure.kind:
      raise ValueError(f'is damaged: its first bytes are not those of {kind}. {_REMEDY}')
    if codec.field_order > _PROGRESSIVE:  # Not all codecs say it of each frame.
      raise ValueError(_INTERLACED.format(' by its header'))
    order_only, declared = kind == containers.AVI, structure.tracks
    if codec.name in _WITHOUT_SIZE:
      _check_size(path, (codec.width, codec.height), declared and declared[stream.index])
    times, begins, ends, first = [], {}, {}, None
    for packet in _packets(container, None, reports, times):
      time = packet.dts if order_only else packet.pts
      if time is not None:
        index, begin = packet.stream_index, float(time * packet.time_base)
        end = begin + float((packet.duration or 0) * packet.time_base)
        begins[index] = min(begin, begins.get(index, begin))
        ends[index] = max(end, ends.get(index, end))
      if packet.stream_index == stream.index:
        if time is None:
          raise ValueError(f'frame {len(times)} has no time. {_REMEDY}')
        data = bytes(packet)
        if bitstreams.is_damaged(codec.name, codec.extradata, data):
          raise ValueError(f'frame {len(times)} is damaged: its bytes are none that an encoder '
                           f'writes. {_REMEDY}')
        # Others are hidden by an edit list, or are for frames to refer to.
        if not packet.is_discard and (codec.name != 'vp8' or data[0] & _VP8_IS_SHOWN):
          times.append(time)
          first = time if first is None else first
    if not times:
      raise ValueError(f'has no frames. {_REMEDY}')
    times = np.sort(np.array(times))
    tick, rate = float(stream.time_base), _rate(stream, times)
    _check_times(times * tick, rate, order_only)
    begin = min(begins.values())
    if structure.is_open and begin > _LATEST_FRAME / rate + _OTHER_TRACKS:
      raise ValueError(f'begins at {begin:.3f} s, and was never closed; expected 0 s: its first '
                       f'part is missing. {containers.BEGUN_LATE.format("mkv")}')
    end = max(times[-1] * tick + 1 / rate, ends[stream.index])
    # What FFmpeg calls the number of frames of an .avi are ticks, as its header declares them.
    ticks = stream.frames if order_only else stream.duration
    _check_end(container, stream, (ticks or 0) * tick, end, ends, _LARGEST_GAP / rate)
    if declared:
      _check_declared(declared[stream.index], (end, end - times[0] * tick), rate,
                      len(times), stream.frames > len(times))
    return Video(path, times, tick, rate, order_only, first)


def frames(video, *, frame_skip=1, passed=None):
  """Decodes a video.

  Args:
    video: `Video`.
    frame_skip: every how manyth frame is yielded, from the first on.
    passed: called with the number of frames decoded so far, or None.

  Yields:
    [h, w, 3] RGB uint8, upright.

  Raises:
    ValueError: without the file's name, if it is damaged, interlaced, may be transparent, or its
      size changes. What was yielded before is then not to be used.
  """
  with _opened(video.path) as (container, stream, reports):
    codec, number, first, times = stream.codec_context, 0, None, video.times
    codec.options = dict(_OPTIONS)
    codec.thread_type = 'FRAME'
    codec.thread_count = min(1 + codec.width * codec.height // _THREAD_PIXELS,
                             os.cpu_count() or 1, _MAX_THREADS)
    try:
      for packet in _packets(container, stream, reports, video.times):
        for frame in _decoded(packet, reports, number):
          if not first and frame.pts == video.first:
            # What is shown before was cut off with the frames that it refers to; players skip it.
            times = times[np.searchsorted(times, video.first):]
          _check_frame(frame, number, times, video.order_only)
          found = frame.width, frame.height, frame.format.name, frame.rotation
          if any(component.is_alpha for component in frame.format.components):
            raise ValueError(f'frame {number} ({frame.format.name}) {_SEEN_THROUGH}')
          if not first:
            first, to_rgb, upright = found, _converter(frame), _upright(frame)
          if found != first:
            is_now, was = ('{} x {} pixels ({}, turned by {} degrees)'.format(*of)
                           for of in (found, first))
            raise ValueError(f'frame {number} is {is_now}, the first {was}; expected one size. '
                             'Cut it there.')
          if number % frame_skip == 0:
            yield upright(to_rgb(frame))
          number += 1
          if passed is not None:
            passed(number)
    finally:
      # With threads at work: one that reports something waits for the lock that closing holds.
      codec.flush_buffers()
  if number != len(times):
    raise ValueError(
        _CUT_AVI.format(number, len(times)) if video.order_only and number else
        f'frame {number} is damaged: it cannot be decoded. {_REMEDY}')


@contextlib.contextmanager
def _opened(path):
  """Opens a video: its container, its video track, and a list that fills with FFmpeg's reports."""
  before = av.logging.get_level(), av.logging.get_skip_repeated()
  av.logging.set_level(av.logging.ERROR)
  av.logging.set_skip_repeated(False)  # The same damage of another file.
  try:
    with av.logging.Capture(local=False) as reports:
      try:
        container = av.open(path, options=dict(_OPTIONS), metadata_errors='replace')
      except av.FFmpegError as error:
        raise ValueError(f'cannot be opened ({error.strerror}): it is no video, or breaks off '
                         f'before its end. {_REMEDY}') from error
      with container:
        if container.format.name not in containers.FORMATS:
          raise ValueError(f'is a file of {container.format.long_name}, whatever it is called; '
                           'expected .mp4, .mov, .mkv, .webm or .avi. Write it as one of these '
                           '(ffmpeg -i in -c copy out.mp4).')
        stream = _track(container)
        others = {other.codec_context.name for other in container.streams
                  if other.index != stream.index and other.codec_context}
        reports[:] = [report for report in reports if report[1] not in others]
        yield container, stream, reports
  finally:
    av.logging.set_level(before[0])
    av.logging.set_skip_repeated(before[1])


def _track(container):
  """The only track of a container that shows a video."""
  streams = [stream for stream in container.streams.video if not stream.disposition & _ATTACHED]
  if len(streams) != 1:
    raise ValueError(f'has {len(streams)} tracks of pictures; expected one. Keep one of them '
                     '(ffmpeg -i in.mp4 -map 0:v:0 -c copy out.mp4), or remove it.')
  stream, = streams
  if stream.codec_context is None or not stream.codec_context.width:
    raise ValueError('has a codec that FFmpeg does not know. Convert it to H.264, or remove it.')
  if any(name.lower() == _ALPHA_MODE and value != '0' for name, value in stream.metadata.items()):
    raise ValueError(_SEEN_THROUGH)
  return stream


def _packets(container, stream, reports, before):
  """Yields the packets of one track or all; for one track an empty one behind the last."""
  number, packets = 0, container.demux(*[stream] if stream else [])
  while True:
    number = len(before) if stream is None else number
    with _damage(reports, number):
      packet = next(packets, None)
    if packet is None:
      return
    if packet.is_corrupt:
      raise ValueError(f'frame {number} is damaged. {_REMEDY}')
    if packet.size or stream:
      number += 1
      yield packet


def _decoded(packet, reports, number):
  with _damage(reports, number):
    return packet.decode()


@contextlib.contextmanager
def _damage(reports, number):
  """Turns into an error what FFmpeg raises or reports within."""
  try:
    yield
  except av.FFmpegError as error:
    what = reports[0][2].strip() if reports else error.strerror
    raise ValueError(f'frame {number} is damaged ({what}). {_REMEDY}') from error
  if reports:
    raise ValueError(f'frame {number} is damaged ({reports[0][2].strip()}). {_REMEDY}')


def _check_frame(frame, number, times, order_only):
  """Checks a frame by itself, and that it is the one whose turn it is."""
  is_expected = number < len(times) and (order_only or frame.pts == times[number])
  if frame.is_corrupt or not is_expected:
    raise ValueError(f'frame {number} is damaged. {_REMEDY}')
  if frame.interlaced_frame:
    raise ValueError(f'frame {number} {_INTERLACED.format("")}')


def _rate(stream, times):
  """Frames a second: as declared if times agree, which may be rounded; else as measured.

  They agree, too, if most gaps do: then frames are missing, and which is told by the declared one.
  """
  ticks = float(times[-1] - times[0])
  for declared in (stream.guessed_rate, stream.average_rate):
    gap = 1 / float(declared * stream.time_base) if declared else 0
    num_gaps = len(times) - 1
    if gap and (abs(num_gaps * gap - ticks) <= 1 or
                abs(np.median(np.diff(times)) - gap) < 1 and ticks > (num_gaps + .5) * gap):
      return float(declared)
  if not ticks:
    raise ValueError(f'does not say how many frames a second it has. {_REMEDY}')
  return (len(times) - 1) / (ticks * float(stream.time_base))


def _check_times(times, rate, order_only=False):
  """Checks that frames come at a constant rate: others cannot be counted as steps.

  Of an .avi (`order_only`) times are counted from its packets, of which some are empty.

  Each has to come a frame after the one before; and as small differences add up, when it should
  after the first. Times may be rounded to a millisecond, and a rate is known to 1 %.
  """
  gaps, since, expected = np.diff(times), times - times[0], np.arange(len(times)) / rate
  is_late = np.abs(np.insert(gaps, 0, 1 / rate) * rate - 1) > _LARGEST_GAP
  is_off = np.abs(since - expected) > np.maximum(1 / rate, expected * _RATE_TOLERANCE)
  wrong = np.flatnonzero(is_late | is_off)
  if wrong.size:
    i = wrong[0]
    if order_only:
      raise ValueError(f'frame {i} is missing: {_EMPTY}')
    raise ValueError(f'frame {i} comes {gaps[i - 1]:.3f} s after the one before and '
                     f'{since[i]:.3f} s after the first; expected {1 / rate:.3f} and '
                     f'{expected[i]:.3f} s at {rate:g} frames a second: frames are missing, or '
                     'the frame rate varies. Copy it again; or record it again at a constant '
                     'rate, as converting it would repeat frames and renumber steps.')


def _check_end(container, stream, of_track, end, ends, tolerance):
  """Compares when the video ends with what the file declares of it, and of its longest track."""
  tag = _DURATION.fullmatch(stream.metadata.get('DURATION', ''))  # Of a Matroska file.
  if not of_track and tag:
    of_track = sum(float(part) * unit for part, unit in zip(tag.groups(), (3600, 60, 1),
                                                            strict=True))
  for declared, found, more in (
      (of_track, end, 0),
      (container.duration and container.duration / av.time_base,
       max(end, *ends.values()), _OTHER_TRACKS * (len(ends) > 1))):
    if declared and declared - found > tolerance + more:
      raise ValueError(f'breaks off: ends after {found:.3f} of the {declared:.3f} s that its '
                       f'header declares. {_REMEDY}')


def _check_size(path, size, declared):
  """Compares the size of the pictures with what the container says of it a second time."""
  other, widths = containers.size_of_avi(path), {size[0]}
  if declared:
    other, (width, height) = declared.size, declared.pixel
    # Not all who write pixels that are not square say how wide they are shown.
    widths.add(size[0] if width == height else round(size[0] * width / max(height, 1)))
  if other and all(other) and (other[0] not in widths or other[1] != size[1]):
    raise ValueError(f'is damaged: {size[0]} x {size[1]} pixels by one of its headers, '
                     f'{other[0]} x {other[1]} by another. {_REMEDY}')


def _check_declared(declared, ends, rate, num_frames, is_trimmed):
  """Compares what an .mp4 says of its video track twice; `ends` from 0, and from its begin."""
  if declared.end is not None and all(
      abs(declared.end - end) > _LARGEST_GAP / rate for end in ends):
    raise ValueError(f'is damaged: its pictures end after {ends[0]:.3f} s; expected '
                     f'{declared.end:.3f} s by its header. {_REMEDY}')
  if is_trimmed and abs(declared.seconds - declared.seconds_of_samples) * rate > _HIDDEN_FRAMES:
    raise ValueError(f'is damaged: {declared.seconds:.3f} s long by its header; its pictures are '
                     f'{declared.seconds_of_samples:.3f} s. {_REMEDY}')
  # Its clock decides where an edit list ends, and what the header says of it: both may be wrong.
  if num_frames < declared.num_from_start:
    raise ValueError(f'is damaged, or its end is hidden: its edit list or its times show '
                     f'{num_frames} of {declared.num_from_start} frames from its begin on. Copy it '
                     'again; or, if it was trimmed on purpose, cut off what is not to be shown.')


def _converter(frame):
  """Returns a function that makes [h, w, 3] RGB of frames like this one.

  A graph of filters keeps its memory from frame to frame, which takes a fifth of the time.
  """
  graph = av.filter.Graph()
  graph.threads = 1
  source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format,
                            time_base=frame.time_base)
  sink = graph.add('buffersink')
  graph.link_nodes(source, graph.add('format', 'rgb24'), sink).configure()

  def convert(frame, graph=graph):  # Which has to live as long.
    source.push(frame)
    return sink.pull().to_ndarray()

  return convert


def _upright(frame):
  """Returns a function that turns [h, w, 3] as a player does: cameras are turned, and say so."""
  side = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
  if side is None:
    return lambda image: image
  # x' = ax + cy, y' = bx + dy; numbers of 16 bits behind the point, three to a row.
  a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5]
  is_turned = bool(b and c and not a and not d)
  if not is_turned and not (a and d and not b and not c):
    raise ValueError(f'is turned by {frame.rotation} degrees; expected a multiple of 90. Convert '
                     'it.')
  down, right = np.sign([b, c] if is_turned else [d, a])
  return lambda image: np.ascontiguousarray(
      (image.transpose(1, 0, 2) if is_turned else image)[::down, ::right])
