"""Damage of JPEG images is found where their decoder reports it, and nothing is printed."""

import contextlib
import io
import os
import sys
import tempfile
from unittest import mock

import cv2
import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from alpt_jax.data.importers import jpegs
from tests import exhaustive
from tests.data.importers import damaged_images

JPEGS = tuple(name for name in damaged_images.FORMATS if name.startswith('JPEG'))
END = b'\xff\xd9'


@contextlib.contextmanager
def standard_error():
  """Collects what is written to the descriptor."""
  sys.stderr.flush()
  real, found = os.dup(2), []
  with tempfile.TemporaryFile() as file:
    os.dup2(file.fileno(), 2)
    try:
      yield found
    finally:
      os.dup2(real, 2)
      os.close(real)
      file.seek(0)
      found.append(file.read().decode())


def saved(image, **options):
  file = io.BytesIO()
  image.save(file, 'JPEG', **options)
  return file.getvalue()


class JpegsTest(parameterized.TestCase):

  @parameterized.parameters(*JPEGS)
  def test_whole_images_pass(self, name):
    with standard_error() as printed:
      for seed in range(3):
        for size in ((96, 128), (1, 1), (17, 9), (240, 320)):
          whole = damaged_images.encoded(name, damaged_images.picture(seed, size))
          jpegs.check(whole)
          jpegs.check(whole + bytes(300))  # Behind its end.
          jpegs.check(whole + whole)  # As telephones add a preview.
    self.assertEqual(printed, [''])

  @parameterized.parameters({}, {'optimize': True}, {'progressive': True}, {'quality': 5})
  def test_flat_images_pass(self, **options):
    for mode, colour in (('L', 0), ('L', 255), ('L', 128), ('RGB', (0, 0, 0)), ('RGB', (9, 200, 3)),
                         ('CMYK', (1, 2, 3, 4))):
      jpegs.check(saved(Image.new(mode, (640, 480), colour), **options))

  def test_a_preview_in_its_header_passes(self):
    image = Image.fromarray(damaged_images.picture())
    exif = b'Exif\0\0' + saved(image.resize((32, 24)))
    whole = saved(image)
    jpegs.check(whole[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + whole[2:])

  @parameterized.product(
      name=JPEGS, damage=('no end', 'cut', 'cut and closed', 'zeros', 'more behind its pixels'))
  def test_damage_is_refused(self, name, damage):
    if (name, damage) == ('JPEG, progressive', 'zeros'):
      return  # They may refine nothing.
    whole = damaged_images.encoded(name)
    begin = whole.index(b'\xff\xda') + 14
    with standard_error() as printed:
      for share in np.linspace(.02, .95, 20):
        at = int(begin + share * (len(whole) - begin - 2))
        damaged = {
            'no end': whole[:-2], 'cut': whole[:at], 'cut and closed': whole[:at] + END,
            'zeros': whole[:at] + bytes(256) + whole[at + 256:-2] + END,
            'more behind its pixels': whole[:-2] + bytes(range(1, 9)) + END}[damage]
        with self.assertRaisesRegex(ValueError, r'is not a whole image \(.+\)'):
          jpegs.check(damaged)
    self.assertEqual(printed, [''])

  def test_shares_of_random_damage_that_are_found(self):
    for name, least in (('JPEG', .6), ('JPEG, progressive', .6), ('PNG', 1)):
      trials = [(kind, seed) for seed in range(exhaustive.num_of(100))
                for kind in damaged_images.KINDS]
      found = [damaged_images.trial(name, *trial) for trial in trials]
      changed = [outcome for outcome in found if outcome != damaged_images.SAME]
      self.assertGreater(len(changed), .8 * len(trials))
      self.assertGreaterEqual(changed.count(damaged_images.REFUSED), least * len(changed))

  def test_what_others_print_meanwhile_is_not_lost(self):
    imdecode = cv2.imdecode

    def print_and_decode(*args):
      os.write(2, b'of another thread\n')
      return imdecode(*args)

    with standard_error() as printed, mock.patch.object(cv2, 'imdecode', print_and_decode):
      jpegs.check(damaged_images.encoded('JPEG'))
    self.assertEqual(printed, ['of another thread\n'])

  def test_a_library_that_reports_nothing_is_refused(self):
    jpegs._check_that_reports_come.cache_clear()
    self.addCleanup(jpegs._check_that_reports_come.cache_clear)
    with mock.patch.object(cv2, 'imdecode', lambda *unused: np.zeros((1, 1, 3))):
      with self.assertRaisesRegex(RuntimeError, 'does not report damage'):
        jpegs.check(damaged_images.encoded('JPEG'))


if __name__ == '__main__':
  absltest.main()
