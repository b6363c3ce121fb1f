"""Reads folders of images: one folder per episode, its files in the order of their numbers.

Beside them there may be a list of actions, see data/importers/actions.py. How fast images follow
each other nobody says: whether they come as often as the environment's actions cannot be checked.
Images are taken as a viewer shows them: turned as their EXIF says. Those that let a background
through are refused.
`fit` is what makes an observation of any frame, of videos, too.
"""

import io
import os
import re
import struct
import warnings

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from alpt_jax.data import png, rlds, source_files
from alpt_jax.data.importers import actions as import_actions
from alpt_jax.data.importers import checks, frame_names, jpegs
from alpt_jax.files import regular_files

SUFFIXES = ('.png', '.jpg', '.jpeg')
_OTHER_SUFFIXES = tuple(
    '.apng .avif .bmp .dds .dng .exr .gif .hdr .heic .heif .ico .jfif .jp2 .jpe .jxl .pbm .pgm '
    '.pnm .ppm .psd .qoi .svg .tga .tif .tiff .webp'.split())
# Of downloads that go on or broke off.
_UNFINISHED = tuple(
    '.part .partial .crdownload .download .opdownload .filepart .icloud .aria2 .!ut .!qb'.split())
_FORMATS = ('PNG', 'JPEG', 'BMP', 'GIF', 'WEBP')  # Some are called .png or .jpg.
MAX_PIXELS = 1 << 25  # Of an image: 8K. Few bytes may unpack to many pixels.
_MAX_FILE_BYTES = 8 * MAX_PIXELS
_NUM_SHOWN = 5
_REMEDY = 'Copy it again, or remove it.'
_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)  # Of Pillow.


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


def listed(directory, is_wanted, what, *, are_files=True):
  """Names in a directory that are wanted, in natural order.

  Args:
    directory: to look into.
    is_wanted: function of a name.
    what: of the files, for messages.
    are_files: whether they have to be regular files.

  Raises:
    FileNotFoundError, ValueError: if there are none, or one is no regular file.
  """
  if not os.path.isdir(directory):
    raise FileNotFoundError(f'{directory}: no such directory; expected one with {what}. Correct '
                            'from_dir.')
  names = [name for name in os.listdir(directory) if not name.startswith('.') and is_wanted(name)]
  if not names:
    raise ValueError(f'{directory}: has no {what}. Correct from_dir.')
  for name in names if are_files else ():
    regular_files.check(os.path.join(directory, name))
  return sorted(names, key=natural_order)


def total(directory):
  """Number of images, for the progress of `recordings`."""
  paths = [os.path.join(directory, name) for name in files(directory)]
  return sum(_is_image(path, name) for path in paths for name in os.listdir(path))


def recordings(directory, environment, *, frame_skip=1, progress=None):
  """Reads all folders.

  Args:
    directory: holds a folder per episode, and perhaps a list of actions.
    environment: `environment_file.Environment` of images.
    frame_skip: every how manyth image is kept, from the first on.
    progress: called with the number of images passed, or None.

  Yields:
    `checks.Recording`, or `Problem` where a folder has no images or no clear order of them (see
    `frame_names`), or an image that is damaged or of another size than the first.

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
    num_images = 0
    try:
      images, others = _listed(path)
      num_images = len(images)
      images, gap = frame_names.order(images)
      shape = environment.observation.shape
      observations, size = _observations(path, images[::frame_skip], shape)
      labels = actions.of(name, len(observations) - 1)
      found = checks.Recording(
          path, observations, *labels, file=source_files.SourceFile(name),
          scaled_from=None if size == shape[:2] else size,
          notes=(f'{num_images} images, {images[0]} to {images[-1]}', *filter(None, (gap, others))))
    except ValueError as error:
      found = checks.problem(path, error)
    yield found
    num_passed += num_images
    if progress is not None:
      progress(num_passed)


def files(directory):
  """Names of the folders, but for datasets beside them; ValueError if there are none."""
  def is_wanted(name):
    path = os.path.join(directory, name)
    return os.path.isdir(path) and '.unfinished-' not in name and (
        not os.path.exists(os.path.join(path, rlds.CARD)))
  return listed(directory, is_wanted, 'folders of images', are_files=False)


def check(encoded):
  """Checks that an image is shown as its pixels are, or is turned only, and not too large.

  Args:
    encoded: bytes of a PNG or JPEG, or of what is called so.

  Returns:
    The opened image of Pillow, not yet decoded.

  Raises:
    ValueError: saying what it is; without a name.
  """
  try:
    with warnings.catch_warnings(action='ignore', category=Image.DecompressionBombWarning):
      image = Image.open(io.BytesIO(encoded), formats=_FORMATS)
    num_pixels = image.width * image.height
    num_pictures = getattr(image, 'n_frames', 1)  # Which reads on.
  except Image.DecompressionBombError:
    num_pixels = 2 * MAX_PIXELS + 1
  except UnidentifiedImageError as error:
    raise ValueError(f'is not a whole image (its first bytes are of none of {", ".join(_FORMATS)}).'
                     f' {_REMEDY}') from error
  except _ERRORS as error:
    raise ValueError(f'is not a whole image ({error}). {_REMEDY}') from error
  if num_pixels > MAX_PIXELS:
    raise ValueError(f'has more than {MAX_PIXELS:,} pixels, the most that are unpacked. Scale it.')
  if image.mode.startswith(('I', 'F')) or image.format == 'PNG' and encoded[24] > 8:
    raise ValueError('has pixels of more than 8 bit; expected 8 bit. Convert it.')
  if num_pictures > 1 and image.format != 'MPO':  # Telephones add a preview.
    raise ValueError(f'holds {num_pictures} pictures; expected one. Convert it, or import it as a '
                     'video.')
  if image.format == 'PNG' and (problem := png.problem(encoded)):
    raise ValueError(f'is not a whole image ({problem}). {_REMEDY}')
  if jpegs.is_jpeg(encoded):
    jpegs.check(encoded)
  return image


def _listed(path):
  """Names of the images of a folder; a note on its other files, '' if there are none."""
  everything = sorted(os.listdir(path))
  names = [name for name in everything if not name.startswith('.')]
  images = [name for name in names if name.lower().endswith(SUFFIXES)]
  for name in images:
    if problem := regular_files.problem(os.path.join(path, name)):
      raise ValueError(f'{name} {problem}; expected an image. Copy the folder again, or rename '
                       'what is none.')
  unread = [name for name in names if name.lower().endswith(_OTHER_SUFFIXES)]
  if unread:
    raise ValueError(f'{unread[0]} ({len(unread)} in all) is not read; expected images that are '
                     f'{" or ".join(SUFFIXES)}. Convert the folder, or remove what is no image of '
                     'the episode.')
  unfinished = [name for name in everything if name.lower().endswith(_UNFINISHED)]
  if unfinished:
    raise ValueError(f'{unfinished[0]} ({len(unfinished)} in all) is a download that is not '
                     'finished; expected whole images. Finish it, or remove it.')
  if not images:
    raise ValueError(f'has no {" or ".join(SUFFIXES)} images. Remove the folder, or fill it.')
  is_image = set(images)
  overlooked = frame_names.overlooked(images, [n for n in everything if n not in is_image])
  if overlooked is not None:
    raise ValueError(f'{overlooked!r} is no {" or ".join(SUFFIXES)} by its name, and has the '
                     'number of no image: is it one of the episode? Rename it, or remove it.')
  others = [name for name in names if name not in is_image]
  more = ' ..' if len(others) > _NUM_SHOWN else ''
  return images, others and (f'passed over {len(others)} that are no images: '
                             f'{", ".join(others[:_NUM_SHOWN])}{more}')


def _is_image(path, name):
  return name.lower().endswith(SUFFIXES) and not name.startswith('.') and (
      os.path.isfile(os.path.join(path, name)))


def _observations(path, names, shape):
  """Images as PNG bytes of the shape, as they are if they have it; the size that they had."""
  observations, first_size = checks.Images(), None
  for name in names:
    try:
      if os.path.getsize(os.path.join(path, name)) > _MAX_FILE_BYTES:
        raise ValueError(f'is larger than {_MAX_FILE_BYTES:,} bytes. Convert it.')
      with open(os.path.join(path, name), 'rb') as f:
        encoded = f.read()
      if png.shape(encoded) == shape and png.is_plain(encoded):
        size = shape[:2]
      else:
        frame = decode(encoded)
        size, encoded = frame.shape[:2], png.encode(fit(frame, shape))
      first_size = first_size or size
      if size != first_size:
        raise ValueError(
            f'is {size[0]} x {size[1]} pixels, the first image {first_size[0]} x {first_size[1]}; '
            'expected one size. Remove or scale it.')
    except ValueError as error:
      raise ValueError(f'{name} {error}') from error
    observations.append(encoded)
  return observations, first_size


def decode(encoded):
  """Decodes an image as a viewer shows it.

  Args:
    encoded: as of `check`.

  Returns:
    [h, w] grey or [h, w, 3] RGB, uint8.

  Raises:
    ValueError: as `check`; also if a background shows through, or the image is not whole.
  """
  image, lowest = check(encoded), 255
  try:
    if image.has_transparency_data:
      lowest, _ = image.convert('RGBA').getchannel('A').getextrema()
    image = ImageOps.exif_transpose(image)
    pixels = np.array(image if image.mode == 'L' else image.convert('RGB'))
  except _ERRORS as error:
    raise ValueError(f'is not a whole image ({error}). {_REMEDY}') from error
  if lowest < 255:
    raise ValueError(f'has pixels that are transparent (alpha {lowest}); expected opaque ones, as '
                     'what is behind them is not known. Convert it.')
  return pixels
