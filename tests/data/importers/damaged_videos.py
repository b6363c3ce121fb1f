"""Damages videos of many formats at random, and counts what an import finds.

python -m tests.data.importers.damaged_videos     # The table of experiments/OWN_DATA.md; minutes.
"""

import collections
import functools
import pathlib
import tempfile

import numpy as np

from alpt_jax.data.importers import decoding
from tests.data.importers import video_files

KINDS = ('byte', 'zeros', 'cut', 'ones', 'random', 'repeated')
REFUSED, SAME, PIXELS, WRONG = 'refused', 'as before', 'pixels differ', 'wrong frames'
_NUM_FRAMES = 40
_IS_THE_OTHER = 3.  # Mean difference of grey levels; frames differ by their noise, about 13.
_TABLE_TRIALS = 2500  # Of each codec.


@functools.cache
def _source(suffix, codec):
  """The bytes of an undamaged video, and what is decoded of it."""
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / f'a.{suffix}'
    video_files.write(path, video_files.numbered(_NUM_FRAMES), 15, codec)
    frames = np.stack(list(decoding.frames(decoding.scan(path))))
    assert video_files.numbers(frames) == list(range(_NUM_FRAMES)), (suffix, codec)
    return path.read_bytes(), frames


def damage(data, kind, rng):
  """Changes one byte of a file, overwrites a block of it, or cuts its end off.

  A block is of zeros, of set bits, of random bytes, or of one that is repeated.
  """
  data, at = bytearray(data), int(rng.integers(1, len(data)))
  if kind == 'byte':
    data[at] ^= int(rng.integers(1, 256))
  elif kind == 'cut':
    del data[at:]
  else:
    size = min(int(rng.choice([16, 256, 4096])), len(data) - at)
    data[at:at + size] = {
        'zeros': lambda: bytes(size), 'ones': lambda: b'\xff' * size,
        'random': lambda: rng.bytes(size), 'repeated': lambda: rng.bytes(1) * size}[kind]()
  return bytes(data)


def outcome(found, wanted):
  """Compares the frames of a damaged video with those of the undamaged one.

  Args:
    found: [M, H, W, 3] uint8.
    wanted: [N, H, W, 3] uint8; all differ.

  Returns:
    `WRONG` if one is missing, comes twice or is one of another time, else `SAME` or `PIXELS`.
  """
  if found.shape != wanted.shape:
    return WRONG
  is_same = (found == wanted).all((1, 2, 3))
  is_double = (found[1:] == found[:-1]).all((1, 2, 3)).any()
  for i in np.flatnonzero(~is_same):
    differences = np.abs(wanted.astype(np.int16) - found[i]).mean((1, 2, 3))
    if is_double or differences.argmin() != i and differences.min() < _IS_THE_OTHER:
      return WRONG
  return SAME if is_same.all() else PIXELS


def trials(number):
  """Yields (suffix, codec, kind, seed) of so many trials, over all formats and kinds in turn."""
  formats = video_files.COMBINATIONS
  for i in range(number):
    yield *formats[i % len(formats)], KINDS[i // len(formats) % len(KINDS)], i


def trial(directory, suffix, codec, kind, seed):
  """Damages a video and decodes it; returns the outcome, and why it was refused."""
  data, wanted = _source(suffix, codec)
  path = pathlib.Path(directory) / f'damaged.{suffix}'
  path.write_bytes(damage(data, kind, np.random.default_rng(seed)))
  try:
    return outcome(np.stack(list(decoding.frames(decoding.scan(path)))), wanted), ''
  except ValueError as error:
    return REFUSED, str(error)


def main():
  """Prints outcomes by codec."""
  print('| codec | ' + ' | '.join((REFUSED, SAME, PIXELS, WRONG)) + ' |\n|' + '---|' * 5)
  with tempfile.TemporaryDirectory() as directory:
    for codec in ('h264', 'hevc', 'vp8', 'vp9', 'av1', 'mpeg4', 'mjpeg', 'ffv1'):
      suffixes = [suffix for suffix, other in video_files.COMBINATIONS if other == codec]
      counts = collections.Counter(
          trial(directory, suffixes[i % len(suffixes)], codec,
                KINDS[i // len(suffixes) % len(KINDS)], i)[0] for i in range(_TABLE_TRIALS))
      print(f'| {codec} | ' + ' | '.join(
          str(counts[key]) for key in (REFUSED, SAME, PIXELS, WRONG)) + ' |', flush=True)


if __name__ == '__main__':
  main()
