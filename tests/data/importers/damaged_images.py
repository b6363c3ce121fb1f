"""Damages images at random, and counts what an import finds.

python -m tests.data.importers.damaged_images     # The table of experiments/OWN_DATA.md; minutes.
"""

import collections
import io

import cv2
import numpy as np
from PIL import Image

from alpt_jax.data.importers import images
from tests.data.importers import damaged_videos

KINDS = (*damaged_videos.KINDS, 'closed', 'lost')
FORMATS = {
    'JPEG': ('JPEG', {'quality': 90}), 'JPEG, own tables': ('JPEG', {'optimize': True}),
    'JPEG, progressive': ('JPEG', {'quality': 90, 'progressive': True}),
    'JPEG, restarts': ('JPEG', {'quality': 90, 'restart_marker_rows': 1}),
    'PNG': ('PNG', {})}
REFUSED, SAME, PIXELS = damaged_videos.REFUSED, damaged_videos.SAME, damaged_videos.PIXELS
_TABLE_TRIALS = 2500  # Of each format.


def picture(seed=0, size=(96, 128)):
  """Draws smooth colours with a grain: [h, w, 3] uint8."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (5, 7, 3)).astype(np.float32)
  smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)
  return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def encoded(name, image=None):
  """Encodes an image in one of `FORMATS`."""
  kind, options = FORMATS[name]
  file = io.BytesIO()
  Image.fromarray(picture() if image is None else image).save(file, kind, **options)
  return file.getvalue()


def damage(data, kind, rng):
  """As `damaged_videos.damage`, or closes a file that was cut, or loses a block of it."""
  at, size = int(rng.integers(1, len(data))), int(rng.choice([1, 16, 256]))
  if kind == 'closed':
    return data[:at] + data[-2:]
  if kind == 'lost':
    return data[:at] + data[at + size:]
  return damaged_videos.damage(data, kind, rng)


def trial(name, kind, seed):
  """Damages an image and decodes it; returns the outcome."""
  data = encoded(name)
  try:
    found = images.decode(damage(data, kind, np.random.default_rng(seed)))
  except ValueError:
    return REFUSED
  return SAME if np.array_equal(found, images.decode(data)) else PIXELS


def main():
  """Prints outcomes by format."""
  print('| images | ' + ' | '.join((REFUSED, SAME, PIXELS)) + ' |\n|' + '---|' * 4)
  for name in FORMATS:
    counts = collections.Counter(
        trial(name, KINDS[i % len(KINDS)], i) for i in range(_TABLE_TRIALS))
    print(f'| {name} | ' + ' | '.join(str(counts[key]) for key in (REFUSED, SAME, PIXELS)) + ' |',
          flush=True)


if __name__ == '__main__':
  main()
