"""Reads animated .gif files: their structure here, their pictures by Pillow.

Who writes a .gif joins equal pictures that follow each other and rounds times to 10 ms. So how
many frames a picture stands for is told by how long it is held, at a known number of steps a
second. Pillow passes over what it does not understand; here it is an error.
"""

import math

import numpy as np
from PIL import Image

from alpt_jax.data.importers import trailing

_TICK = 10  # Milliseconds; pictures are held for a multiple.
_RATE_TOLERANCE = .01  # As of other videos.
_SIGNATURES = (b'GIF87a', b'GIF89a')
_EXTENSION, _PICTURE, _END = b'!', b',', b';'
_CONTROL = b'\xf9'  # The extension that says how long the next picture is held.
_REMEDY = 'Copy it again, or remove it.'


def durations(path):
  """Reads how long each picture is held.

  Args:
    path: of the file; only padding may follow behind its last block.

  Returns:
    Non-empty list of milliseconds.

  Raises:
    ValueError: without the file's name, if it is no .gif, breaks off, is damaged, or another file
      follows behind it.
  """
  found, held = [], 0
  with open(path, 'rb') as f:
    if f.read(6) not in _SIGNATURES:
      raise ValueError(f'is no .gif. {_REMEDY}')
    _skip_colours(f, _read(f, 7, found)[4])
    while (block := _read(f, 1, found)) != _END:
      if block == _EXTENSION:
        is_control = _read(f, 1, found) == _CONTROL
        blocks = _sub_blocks(f, found)
        if is_control and [len(data) for data in blocks] == [4]:
          held = _TICK * int.from_bytes(blocks[0][1:3], 'little')
      elif block == _PICTURE:
        _skip_colours(f, _read(f, 9, found)[8])
        _read(f, 1, found)  # Bits of a code.
        # Where a length was damaged, pictures may lie between this and the next that fits.
        sizes = [len(data) for data in _sub_blocks(f, found)]
        if not sizes or len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0]:
          raise ValueError(f'frame {len(found)} is damaged: blocks of {sorted(set(sizes))} bytes; '
                           f'expected all but the last to be equally long. {_REMEDY}')
        found.append(held)
        held = 0
      else:
        raise ValueError(f'frame {len(found)} is damaged. {_REMEDY}')
    end = f.tell()
    f.seek(0)
    trailing.check(f.read(), end)
  if not found:
    raise ValueError(f'has no frames. {_REMEDY}')
  return found


def repeats(held, rate):
  """Counts the frames that each picture stands for.

  Args:
    held: milliseconds of each picture.
    rate: frames a second; None if nobody says, and then all have to be held equally long, to 10 ms.

  Returns:
    List of as many integers, at least 1.

  Raises:
    ValueError: without the file's name, if times are not those of frames at that rate.
  """
  if rate is None:
    if max(held) - min(held) > _TICK:
      raise ValueError(f'holds its pictures for {min(held)} to {max(held)} ms; expected one time, '
                       'or a number as steps_per_second in the environment file, which says for '
                       'how many frames each stands.')
    return [1] * len(held)
  expected = 1000 / rate
  numbers = [max(round(milliseconds / expected), 1) for milliseconds in held]
  total, num_frames = 0, 0
  for i, (milliseconds, number) in enumerate(zip(held, numbers, strict=True)):
    total += milliseconds
    num_frames += number
    wanted = num_frames * expected
    if abs(total - wanted) > _TICK + _RATE_TOLERANCE * wanted:
      raise ValueError(f'holds picture {i} for {milliseconds} ms, until {total} ms; expected '
                       f'{number} times {expected:.1f} ms, until {wanted:.1f}, by steps_per_second '
                       'times frame_skip. Change one of the two.')
  return numbers


def frames(path, numbers, *, frame_skip=1, passed=None):
  """Decodes a .gif.

  Args:
    path: of the file.
    numbers: how many frames each picture stands for.
    frame_skip: every how manyth frame is yielded, from the first on.
    passed: called with the number of pictures decoded so far, or None.

  Yields:
    [h, w, 3] RGB uint8.

  Raises:
    ValueError: without the file's name, if it is damaged, or pixels of it are transparent.
  """
  try:
    with Image.open(path, formats=['GIF']) as image:
      num_frames = 0
      for i, number in enumerate(numbers):
        image.seek(i)
        if image.has_transparency_data:
          lowest, _ = image.convert('RGBA').getchannel('A').getextrema()
          if lowest < 255:
            raise ValueError(f'has pixels that are transparent in picture {i}; expected opaque '
                             'ones, as what is behind them is not known. Convert it.')
        picture = np.array(image.convert('RGB'))
        for _ in range(math.ceil(num_frames / frame_skip),
                       math.ceil((num_frames + number) / frame_skip)):
          yield picture
        num_frames += number
        if passed is not None:
          passed(i + 1)
  except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
    raise ValueError(f'is damaged ({error}). {_REMEDY}') from error


def _read(f, size, found):
  data = f.read(size)
  if len(data) < size:
    raise ValueError(f'breaks off after {len(found)} frames: the mark of its end is missing. '
                     f'{_REMEDY}')
  return data


def _skip_colours(f, flags):
  """Passes over a table of colours, if flags say that there is one."""
  if flags & 0x80:
    f.seek(3 << (flags & 7) + 1, 1)


def _sub_blocks(f, found):
  """The contents of blocks up to an empty one."""
  data = []
  while size := _read(f, 1, found)[0]:
    data.append(_read(f, size, found))
  return data
