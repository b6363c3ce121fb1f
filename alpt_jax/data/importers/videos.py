"""Reads a folder of videos, one episode each: .gif by Pillow, all others by FFmpeg (PyAV).

Beside them there may be a list of actions, see data/importers/actions.py. Of a video every
`frame_skip`th frame is kept; what is kept must come as often as the environment's actions: 60
frames a second with a frame_skip of 4 give the 15 steps a second of Atari. A list of SHA-256 sums
beside them (data/importers/checksums.py) is compared before any video is read.
"""

import contextlib
import os

import numpy as np

from alpt_jax.data import png, source_files
from alpt_jax.data.importers import actions as import_actions
from alpt_jax.data.importers import checks, checksums, decoding, gifs, images

SUFFIXES = ('.mp4', '.m4v', '.mov', '.webm', '.mkv', '.avi', '.gif')
_RATE_TOLERANCE = .01  # 29.97 frames a second are 30.


def total(directory):
  """Number of frames, as the videos' headers say, for the progress of `recordings`."""
  return sum(_num_frames(os.path.join(directory, name)) for name in files(directory))


def recordings(directory, environment, *, frame_skip=1, progress=None):
  """Reads all videos.

  Args:
    directory: holds the videos, and perhaps a list of actions.
    environment: `environment_file.Environment` of images.
    frame_skip: every how manyth frame is kept, from the first on.
    progress: called with the number of frames passed, or None.

  Yields:
    `checks.Recording`, or `Problem` where a video cannot be read, is damaged, or has another frame
    rate than the environment; first of those with another checksum than is listed.

  Raises:
    FileNotFoundError, ValueError: if there are no videos, or a list is wrong.
  """
  images.check_kind(environment, 'videos')
  videos = files(directory)
  actions = import_actions.Actions(directory, environment)
  actions.check_files(videos)
  changed = checksums.problems(directory, videos)
  for name, reason in changed.items():
    yield checks.Problem(os.path.join(directory, name), reason)
  num_before = num_passed = 0

  def passed(num_frames):
    nonlocal num_passed
    num_passed = num_frames
    if progress is not None:
      progress(num_before + num_frames)

  shape = environment.observation.shape
  for name in videos:
    path = os.path.join(directory, name)
    if name not in changed:
      try:
        found, rate = _read(path, frame_skip, environment.steps_per_second, passed)
        observations, size = checks.Images(), None
        with contextlib.closing(found):  # Also where it is too large.
          for frame in found:
            size = size or frame.shape[:2]
            observations.append(png.encode(images.fit(frame, shape)))
        labels = actions.of(name, len(observations) - 1)
        recording = checks.Recording(
            path, observations, *labels, file=source_files.SourceFile(name, rate),
            scaled_from=None if size == shape[:2] else size)
      except ValueError as error:
        recording = checks.problem(path, error)
      yield recording
    is_read = name not in changed and isinstance(recording, checks.Recording)
    # Of others as `total` counts them, so that the progress ends where it should.
    num_before, num_passed = num_before + (num_passed if is_read else _num_frames(path)), 0
    passed(0)


def frames(path, shape, *, frame_skip=1):
  """Reads a video as observations, as an import of it has them.

  Args:
    path: of the video.
    shape: (H, W, C) of an observation, in pixels, with C of 1 or 3; see `images.fit`.
    frame_skip: every how manyth frame is kept, from the first on; at least 1.

  Returns:
    [T, H, W, C] uint8 in [0, 255]; all frames are held in memory.

  Raises:
    ValueError: naming `shape` or `frame_skip`, or the video if it is not there, cannot be read, is
      damaged or has no frames.
  """
  path = os.fspath(path)
  if len(shape) != 3 or min(shape) < 1 or shape[2] not in (1, 3):
    raise ValueError(f'shape is {tuple(shape)}; expected (height, width, channels) of an image, '
                     'with 1 or 3 channels.')
  if not os.path.isfile(path):
    raise ValueError(f'{path}: no such file; expected a video ({", ".join(SUFFIXES)}).')
  if frame_skip < 1:
    raise ValueError(f'frame_skip is {frame_skip}; expected at least 1.')
  try:
    found, _ = _read(path, frame_skip, None, None)
    return np.stack([images.fit(frame, shape) for frame in found])
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error


def files(directory):
  """Names of the videos; ValueError if there are none."""
  return images.listed(directory, lambda name: name.lower().endswith(SUFFIXES),
                       f'videos ({", ".join(SUFFIXES)})')


def _is_gif(path):
  return path.lower().endswith('.gif')


def _num_frames(path):
  """As the header says; 0 if there is none that says so."""
  if not os.path.isfile(path):
    return 0
  if not _is_gif(path):
    return decoding.num_frames(path)
  try:
    return len(gifs.durations(path))
  except ValueError:
    return 0


def _read(path, frame_skip, steps_per_second, passed):
  """Checks a video; returns an iterator of its kept frames, and how many a second has."""
  if not os.path.isfile(path):
    raise ValueError('is no file; expected a video. Remove it, or give it another name.')
  if _is_gif(path):
    held = gifs.durations(path)
    numbers = gifs.repeats(held, steps_per_second and steps_per_second * frame_skip)
    found = gifs.frames(path, numbers, frame_skip=frame_skip, passed=passed)
    # Not what is expected: times are rounded to 10 ms.
    return found, sum(numbers) / frame_skip / (sum(held) / 1000) if sum(held) else None
  video = decoding.scan(path)
  if steps_per_second is not None:
    _check_rate(video.rate, frame_skip, steps_per_second)
  return decoding.frames(video, frame_skip=frame_skip, passed=passed), video.rate / frame_skip


def _check_rate(rate, frame_skip, steps_per_second):
  if abs(rate / frame_skip / steps_per_second - 1) > _RATE_TOLERANCE:
    raise ValueError(f'has {rate:g} frames a second, which frame_skip {frame_skip} makes '
                     f'{rate / frame_skip:g} steps; expected the {steps_per_second:g} of '
                     'steps_per_second in the environment file. Change one of the two.')
