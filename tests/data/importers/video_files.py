"""Video files for tests, written with PyAV: frames that carry their number, in many formats."""

import fractions
import os

os.environ.setdefault('SVT_LOG', '1')  # Errors only; the encoder of AV1 prints otherwise.

import av
import numpy as np

ENCODERS = {'h264': 'libx264', 'hevc': 'libx265', 'vp8': 'libvpx', 'vp9': 'libvpx-vp9',
            'av1': 'libsvtav1', 'mpeg4': 'mpeg4', 'mjpeg': 'mjpeg', 'ffv1': 'ffv1',
            'mpeg2': 'mpeg2video'}
# Small groups, so that damage does not spread to the end; frames out of order where there are any.
_OPTIONS = {
    'h264': {'preset': 'veryfast', 'x264-params': 'b-adapt=0:bframes=2:keyint=12'},
    'hevc': {'preset': 'ultrafast', 'x265-params': 'log-level=none:bframes=2:keyint=12:pools=1'},
    'vp8': {'cpu-used': '8', 'deadline': 'realtime', 'g': '12'},
    'vp9': {'cpu-used': '8', 'deadline': 'realtime', 'g': '12'},
    'av1': {'preset': '12', 'g': '12', 'svtav1-params': 'lp=1'},
    'mpeg4': {'bf': '2', 'g': '12', 'qmax': '3'}, 'mpeg2': {'bf': '2', 'g': '12'},
    'mjpeg': {'qmax': '3'}, 'ffv1': {}}
_PIXELS = {'mjpeg': 'yuvj420p', 'ffv1': 'bgr0'}  # Others: yuv420p.
# What FFmpeg writes: {suffix: codecs}.
FORMATS = {'mp4': ('h264', 'hevc', 'vp9', 'av1', 'mpeg4', 'mjpeg', 'ffv1'),
           'mov': ('h264', 'hevc', 'mpeg4', 'mjpeg'),
           'mkv': ('h264', 'hevc', 'vp8', 'vp9', 'av1', 'mpeg4', 'mjpeg', 'ffv1'),
           'webm': ('vp8', 'vp9', 'av1'),
           'avi': ('h264', 'vp8', 'vp9', 'av1', 'mpeg4', 'mjpeg', 'ffv1')}
COMBINATIONS = [(suffix, codec) for suffix, codecs in FORMATS.items() for codec in codecs]
_BITS = 10
_SOUND_RATE = 48_000


def write(path, frames, rate=15., codec='ffv1', *, times=None, seconds_of_sound=None,
          pixels=None, options=None, prepare=None, **container):
  """Writes a video.

  Args:
    path: its suffix is the container.
    frames: [N, H, W, 1] or [N, H, W, 3] uint8.
    rate: frames a second.
    codec: one of `ENCODERS`.
    times: [N] int, when frames are shown, in frames of `rate`; None: one after the other.
    seconds_of_sound: length of a track of sound beside it; None: there is none.
    pixels: FFmpeg's name of the format; None: 8 bit.
    options: of the encoder, beside those of here.
    prepare: called with the stream before it is opened, or None.
    **container: options of the container.
  """
  with av.open(str(path), 'w', container_options=container) as file:
    rate = fractions.Fraction(rate).limit_denominator(1001)
    stream = file.add_stream(ENCODERS[codec], rate=rate,
                             options=_OPTIONS[codec] | (options or {}))
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = pixels or _PIXELS.get(codec, 'yuv420p')
    if prepare is not None:
      prepare(stream)
    sound = file.add_stream('libopus', rate=_SOUND_RATE) if seconds_of_sound else None
    for t, frame in enumerate(frames):
      frame = av.VideoFrame.from_ndarray(frame.repeat(3 // frame.shape[-1], axis=-1))
      frame.pts, frame.time_base = t if times is None else int(times[t]), 1 / rate
      file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
    for t in range(0, round((seconds_of_sound or 0) * _SOUND_RATE), 960):
      frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), 'flt', 'mono')
      frame.sample_rate, frame.pts = _SOUND_RATE, t
      file.mux(sound.encode(frame))
    if sound:
      file.mux(sound.encode(None))


def numbered(num_frames, size=(64, 96), *, first=0, seed=0):
  """Frames [N, H, W, 3] that show their number as bars, white for ones, under noise."""
  height, width = size
  frames = np.random.default_rng(seed).integers(0, 40, (num_frames, height, width, 3))
  bits = (np.arange(first, first + num_frames)[:, None] >> np.arange(_BITS)) & 1
  # A white bar at the left and a black one at the right, so that what is no number is seen.
  bits = np.concatenate([np.ones_like(bits[:, :1]), bits, np.zeros_like(bits[:, :1])], axis=1)
  bars = np.linspace(0, width, _BITS + 3).astype(int)
  for i in range(_BITS + 2):
    frames[:, :, bars[i]:bars[i + 1]] += 200 * bits[:, i, None, None, None]
  return frames.astype(np.uint8)


def number(frame):
  """The number that a frame [H, W, C] shows; -1 if it shows none."""
  bars = np.linspace(0, frame.shape[1], _BITS + 3).astype(int)
  bits = [frame[:, low + 2:high - 2].mean() > 120
          for low, high in zip(bars[:-1], bars[1:], strict=True)]
  if not bits[0] or bits[-1]:
    return -1
  return sum(bit << k for k, bit in enumerate(bits[1:-1]))


def numbers(frames):
  """List of the numbers that frames show."""
  return [int(number(frame)) for frame in frames]
