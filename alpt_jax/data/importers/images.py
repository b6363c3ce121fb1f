"""Reads folders of images: one folder per episode, its files in the order of their numbers.

Beside them there may be a list of actions, see data/importers/actions.py. How fast images follow
each other nobody says: whether they come as often as the environment's actions cannot be checked.
`fit` is what makes an observation of any frame, of videos, too.
"""

import os
import re

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from alpt_jax.data import png, source_files
from alpt_jax.data.importers import actions as import_actions
from alpt_jax.data.importers import checks

SUFFIXES = ('.png', '.jpg', '.jpeg')


def fit(frame, shape):
  """Makes an observation of a frame.

  Colours become grey by the weights of ITU-R 601. Then the frame is scaled to the shape, by
  averaging over areas where it gets smaller (as RL Unplugged and the emulator here do); its
  proportions are not kept.

  Args:
    frame: [h, w] grey or [h, w, 3] RGB, uint8.
    shape: (H, W, C), with C of 1 or 3.

  Returns:
    [H, W, C] uint8.
  """
  height, width, channels = shape
  if channels == 1 and frame.ndim == 3:
    frame = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
  if frame.shape[:2] != (height, width):
    frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
  if frame.ndim == 2:
    frame = np.repeat(frame[..., None], channels, axis=-1)
  return frame


def natural_order(name):
  """Sorts 'frame10' after 'frame9'."""
  return [(0, int(part), '') if part.isdecimal() else (1, 0, part)
          for part in re.split(r'(\d+)', name) if part], name


def check_kind(environment, what):
  """Raises ValueError if `what` is to be read as an observation that is no image."""
  if environment.observation.kind != 'image':
    raise ValueError(f'observation.kind of {environment.name} is '
                     f'{environment.observation.kind!r}; expected image, for {what}. Correct the '
                     'environment file.')


def listed(directory, is_wanted, what):
  """Names in a directory that are wanted, in natural order; ValueError if there are none."""
  if not os.path.isdir(directory):
    raise FileNotFoundError(f'{directory}: no such directory; expected one with {what}. Correct '
                            'from_dir.')
  names = [name for name in os.listdir(directory) if not name.startswith('.') and is_wanted(name)]
  if not names:
    raise ValueError(f'{directory}: has no {what}. Correct from_dir.')
  return sorted(names, key=natural_order)


def total(directory):
  """Number of images, for the progress of `recordings`."""
  return sum(len(_images(os.path.join(directory, name))) for name in files(directory))


def recordings(directory, environment, *, frame_skip=1, progress=None):
  """Reads all folders.

  Args:
    directory: holds a folder per episode, and perhaps a list of actions.
    environment: `environment_file.Environment` of images.
    frame_skip: every how manyth image is kept, from the first on.
    progress: called with the number of images passed, or None.

  Yields:
    `checks.Recording`, or `Problem` where a folder has no images, or one that is damaged
    or of another size than the first.

  Raises:
    FileNotFoundError, ValueError: if there are no folders, or the list of actions is wrong.
  """
  check_kind(environment, 'folders of images')
  folders = files(directory)
  actions = import_actions.Actions(directory, environment)
  actions.check_files(folders)
  num_passed = 0
  for name in folders:
    path = os.path.join(directory, name)
    paths = [os.path.join(path, file) for file in _images(path)]
    try:
      if not paths:
        raise ValueError(f'has no {" or ".join(SUFFIXES)} images. Remove the folder, or fill it.')
      shape = environment.observation.shape
      observations, size = _observations(paths[::frame_skip], shape)
      labels = actions.of(name, len(observations) - 1)
      found = checks.Recording(
          path, observations, *labels, file=source_files.SourceFile(name),
          scaled_from=None if size == shape[:2] else size)
    except ValueError as error:
      found = checks.Problem(path, str(error))
    yield found
    num_passed += len(paths)
    if progress is not None:
      progress(num_passed)


def files(directory):
  """Names of the folders; ValueError if there are none."""
  return listed(directory, lambda name: os.path.isdir(os.path.join(directory, name)),
                'folders of images')


def _images(path):
  """Names of the images of a folder in natural order; other files are passed over."""
  names = [name for name in os.listdir(path)
           if name.lower().endswith(SUFFIXES) and not name.startswith('.')]
  return sorted(names, key=natural_order)


def _observations(paths, shape):
  """Images as PNG bytes of the shape, as they are if they have it; the size that they had."""
  observations, first_size = [], None
  for path in paths:
    with open(path, 'rb') as f:
      encoded = f.read()
    if png.shape(encoded) == shape:
      size = shape[:2]
    else:
      frame = _decode(path)
      size, encoded = frame.shape[:2], png.encode(fit(frame, shape))
    first_size = first_size or size
    if size != first_size:
      raise ValueError(f'{os.path.basename(path)} is {size[0]} x {size[1]} pixels, the first image '
                       f'{first_size[0]} x {first_size[1]}; expected one size. Remove or scale it.')
    observations.append(encoded)
  return observations, first_size


def _decode(path):
  """Returns [h, w] grey or [h, w, 3] RGB, uint8."""
  try:
    with Image.open(path) as image:
      if image.mode.startswith(('I', 'F')):
        raise ValueError(f'{os.path.basename(path)} has pixels of more than 8 bit; expected 8 bit. '
                         'Convert it.')
      return np.array(image if image.mode == 'L' else image.convert('RGB'))
  except (OSError, SyntaxError, UnidentifiedImageError) as error:
    raise ValueError(f'{os.path.basename(path)} is not a whole image ({error}). Copy it again, or '
                     'remove it.') from error
