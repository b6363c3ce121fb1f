"""Writes videos: .gif by Pillow, .mp4 by OpenCV."""

import io
import os
import pathlib
import tempfile

import numpy as np
from PIL import Image

from alpt_jax.files import atomic_files

SUFFIXES = ('.gif', '.mp4')
FPS = 15  # Agent steps a second of Atari: 60 frames, four to a step.


def check_path(path):
  """Returns the suffix of a video's path; ValueError if it is none that `write` knows."""
  suffix = pathlib.PurePath(path).suffix.lower()
  if suffix not in SUFFIXES:
    raise ValueError(f'{path}: the suffix is {suffix!r}; expected one of {SUFFIXES}.')
  return suffix


def write(path, frames, *, fps=FPS):
  """Writes a video, whole or not at all, replacing one that is there; makes its directory.

  Args:
    path: ends in .gif or .mp4. A .gif holds every frame for a multiple of 10 ms, and equal frames
      that follow each other as one that lasts longer.
    frames: [N, H, W] grey, or [N, H, W, C] with C of 1 (grey) or 3 (RGB); uint8.
    fps: frames per second.

  Raises:
    ValueError: if there is nothing to show, or it cannot be shown.
    OSError: if it cannot be written to `path`.
  """
  suffix = check_path(path)
  frames = np.asarray(frames)
  if frames.ndim == 4 and frames.shape[-1] == 1:
    frames = frames[..., 0]
  is_video = frames.ndim == 3 or frames.ndim == 4 and frames.shape[-1] == 3
  if not is_video or not frames.size or frames.dtype != np.uint8:
    raise ValueError(f'{path}: the frames are {frames.dtype} {list(frames.shape)}; expected uint8 '
                     '[N, H, W], [N, H, W, 1] or [N, H, W, 3] with at least one frame.')
  if not fps > 0:
    raise ValueError(f'{path}: fps is {fps}; expected more than 0.')
  atomic_files.write(path, (_gif if suffix == '.gif' else _mp4)(frames, fps))


def _gif(frames, fps):
  first, *rest = [Image.fromarray(frame) for frame in frames]
  file = io.BytesIO()
  # Held for a multiple of 10 ms: what one is held too long, the next is too short.
  durations = np.diff(np.round(np.arange(len(frames) + 1) * 100 / fps)).astype(int) * 10
  first.save(file, 'GIF', save_all=True, append_images=rest, duration=durations.tolist(), loop=0)
  return file.getvalue()


def _mp4(frames, fps):
  try:
    import cv2  # Only here: a .gif shall not need it.
  except ImportError as error:
    raise ValueError(
        'A .mp4 needs OpenCV: pip install opencv-python-headless. Or write a .gif.') from error
  # The codec halves the resolution of the colours: repeat the last row or column of odd sizes.
  pad = [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)]
  frames = np.pad(frames, pad[:frames.ndim], mode='edge')
  with tempfile.TemporaryDirectory() as directory:  # OpenCV writes to files only.
    path = os.path.join(directory, 'video.mp4')
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), fps, (width, height))
    if not writer.isOpened():
      raise ValueError(f'This OpenCV ({cv2.__version__}) has no encoder for .mp4; write a .gif.')
    for frame in frames:
      writer.write(cv2.cvtColor(
          frame, cv2.COLOR_GRAY2BGR if frame.ndim == 2 else cv2.COLOR_RGB2BGR))
    writer.release()
    return pathlib.Path(path).read_bytes()
