"""Reads a folder of videos, one episode each: .gif by Pillow, all others by OpenCV.

Beside them there may be a list of actions, see data/importers/actions.py. Of a video every
`frame_skip`th frame is kept; what is kept must come as often as the environment's actions: 60
frames a second with a frame_skip of 4 give the 15 steps a second of Atari.
"""

import os

os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # What is wrong with a video, we say.

import cv2
import numpy as np
from PIL import Image, ImageSequence

from alpt_jax.data import png, source_files
from alpt_jax.data.importers import actions as import_actions
from alpt_jax.data.importers import checks, images

SUFFIXES = ('.mp4', '.webm', '.mkv', '.avi', '.gif')
_MATROSKA = ('.webm', '.mkv')
_RATE_TOLERANCE = .01  # 29.97 frames a second are 30.
_LARGEST_GAP = .75  # Of a frame: a dropped one makes a whole.
_GIF_END = b';'
_GIF_TICK = 10  # Milliseconds; a .gif holds frames for a multiple.


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
    `checks.Recording`, or `Problem` where a video cannot be read, breaks off, or has
    another frame rate than the environment.

  Raises:
    FileNotFoundError, ValueError: if there are no videos, or the list of actions is wrong.
  """
  images.check_kind(environment, 'videos')
  videos = files(directory)
  actions = import_actions.Actions(directory, environment)
  actions.check_files(videos)
  num_passed = 0

  def passed(num_frames):
    if progress is not None:
      progress(num_passed + num_frames)

  for name in videos:
    path = os.path.join(directory, name)
    read = _read_gif if name.lower().endswith('.gif') else _read_video
    shape = environment.observation.shape
    try:
      observations, size = [], None
      for frame in read(path, frame_skip, environment.steps_per_second, passed):
        observations.append(png.encode(images.fit(frame, shape)))
        size = size or frame.shape[:2]
      if not observations:
        raise ValueError('has no frames. Copy it again, or remove it.')
      labels = actions.of(name, len(observations) - 1)
      rate = _steps_per_second(path, frame_skip, environment.steps_per_second)
      found = checks.Recording(
          path, observations, *labels, file=source_files.SourceFile(name, rate),
          scaled_from=None if size == shape[:2] else size)
    except ValueError as error:
      found = checks.Problem(path, str(error))
    yield found
    num_passed += _num_frames(path)
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
    ValueError: naming `shape` or `frame_skip`, or the video if it is not there, cannot be read,
      breaks off or has no frames.
  """
  path = os.fspath(path)
  if len(shape) != 3 or min(shape) < 1 or shape[2] not in (1, 3):
    raise ValueError(f'shape is {tuple(shape)}; expected (height, width, channels) of an image, '
                     'with 1 or 3 channels.')
  if not os.path.isfile(path):
    raise ValueError(f'{path}: no such file; expected a video ({", ".join(SUFFIXES)}).')
  if frame_skip < 1:
    raise ValueError(f'frame_skip is {frame_skip}; expected at least 1.')
  read = _read_gif if path.lower().endswith('.gif') else _read_video
  try:
    found = [images.fit(frame, shape) for frame in read(path, frame_skip, None, lambda _: None)]
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error
  if not found:
    raise ValueError(f'{path}: has no frames. Copy it again.')
  return np.stack(found)


def files(directory):
  """Names of the videos; ValueError if there are none."""
  return images.listed(directory, lambda name: name.lower().endswith(SUFFIXES),
                       f'videos ({", ".join(SUFFIXES)})')


def _num_frames(path):
  """As the header says; 0 if there is none that says so."""
  if path.lower().endswith('.gif'):
    try:
      with Image.open(path) as image:
        return image.n_frames
    except (OSError, SyntaxError, EOFError):
      return 0
  video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
  try:
    return max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
  finally:
    video.release()


def _steps_per_second(path, frame_skip, expected):
  """How many kept frames a second of a video has; None if it does not say."""
  if path.lower().endswith('.gif'):
    with Image.open(path) as image:
      durations = _durations(image)
    seconds = sum(durations) / 1000  # Not what is expected: times are rounded to 10 ms.
    num_frames = sum(_repeats(durations, frame_skip, expected))
    return num_frames / frame_skip / seconds if seconds else None
  video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
  try:
    rate = video.get(cv2.CAP_PROP_FPS)
  finally:
    video.release()
  return rate / frame_skip if rate > 0 else None


def _read_video(path, frame_skip, steps_per_second, passed):
  """Yields every `frame_skip`th frame, [h, w, 3] RGB."""
  video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
  try:
    if not video.isOpened():
      raise ValueError('cannot be opened: it is no video, breaks off before its end, or has a '
                       'codec that OpenCV does not read. Copy it again, or convert it to H.264.')
    rate, num_expected = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
    _check_rate(rate, frame_skip, steps_per_second)
    num_frames, times = 0, []
    while video.grab():
      times.append(video.get(cv2.CAP_PROP_POS_MSEC) / 1000)
      _check_times(times, rate)
      if num_frames % frame_skip == 0:
        is_whole, frame = video.retrieve()
        if not is_whole:
          raise ValueError(f'frame {num_frames} cannot be decoded. Copy or convert it again.')
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
      num_frames += 1
      passed(num_frames)
    # A Matroska header says how long all lasts, and sound may last longer than the pictures.
    num_missing = rate if path.lower().endswith(_MATROSKA) else 0
    if num_frames < num_expected - num_missing:
      raise ValueError(f'breaks off: holds {num_frames} of the {num_expected:.0f} frames that its '
                       'header says. Copy or convert it again.')
  finally:
    video.release()


def _check_times(times, rate):
  """Checks that the last frame came when it should: others cannot be counted as steps."""
  gap, num_frames = times[-1] - times[max(len(times) - 2, 0)], len(times)
  is_late = num_frames > 1 and abs(gap - 1 / rate) > _LARGEST_GAP / rate
  # Small differences add up, too; but timestamps may be rounded to a millisecond.
  total = (num_frames - 1) / rate
  if is_late or abs(times[-1] - times[0] - total) > max(1 / rate, total * _RATE_TOLERANCE):
    raise ValueError(f'frame {num_frames - 1} comes {gap:.3f} s after the one before and '
                     f'{times[-1] - times[0]:.3f} s after the first; expected {1 / rate:.3f} and '
                     f'{total:.3f} s at {rate:g} frames a second: the frame rate varies. Convert '
                     'it to a constant one (ffmpeg -i in.mp4 -r 30 out.mp4).')


def _check_rate(rate, frame_skip, steps_per_second):
  if not rate > 0:
    raise ValueError(f'has a frame rate of {rate}; expected more than 0. Convert it.')
  if steps_per_second is None:
    return
  if abs(rate / frame_skip / steps_per_second - 1) > _RATE_TOLERANCE:
    raise ValueError(f'has {rate:g} frames a second, which frame_skip {frame_skip} makes '
                     f'{rate / frame_skip:g} steps; expected the {steps_per_second:g} of '
                     'steps_per_second in the environment file. Change one of the two.')


def _read_gif(path, frame_skip, steps_per_second, passed):
  """Yields every `frame_skip`th frame, [h, w, 3] RGB; one that is held longer more often.

  Who writes a .gif joins equal frames that follow each other, and rounds times to 10 ms.
  """
  try:
    with Image.open(path) as image:
      durations = _durations(image)
      with open(path, 'rb') as f:
        f.seek(-1, os.SEEK_END)
        if f.read() != _GIF_END:
          raise ValueError(f'breaks off after {len(durations)} pictures: the mark of its end is '
                           'missing. Copy or convert it again.')
      num_frames = 0
      for i, times in enumerate(_repeats(durations, frame_skip, steps_per_second)):
        image.seek(i)
        for _ in range(times):
          if num_frames % frame_skip == 0:
            yield np.array(image.convert('RGB'))
          num_frames += 1
        passed(i + 1)
  except (OSError, SyntaxError, EOFError) as error:
    raise ValueError(f'is no whole .gif ({error}). Copy or convert it again.') from error


def _durations(image):
  """Milliseconds that each picture of an open .gif is held."""
  return [picture.info.get('duration', 0) for picture in ImageSequence.Iterator(image)]


def _repeats(durations, frame_skip, steps_per_second):
  """How many frames each picture of a .gif stands for, by the milliseconds that it is held."""
  if steps_per_second is None:
    if len(set(durations)) > 1:
      raise ValueError(f'holds its pictures for {min(durations)} to {max(durations)} ms; expected '
                       'one time, or a number as steps_per_second in the environment file, which '
                       'says for how many frames each stands.')
    return [1] * len(durations)
  expected = 1000 / (steps_per_second * frame_skip)
  times = [max(round(duration / expected), 1) for duration in durations]
  for i, (duration, n) in enumerate(zip(durations, times, strict=True)):
    if abs(duration - n * expected) >= _GIF_TICK:
      raise ValueError(f'holds picture {i} for {duration} ms; expected a multiple of the '
                       f'{expected:.1f} ms of one frame, by steps_per_second {steps_per_second:g} '
                       f'and frame_skip {frame_skip}. Change one of the two.')
  return times
