"""The study of simulated cameras: what it measures, and that it runs."""

import os
import pathlib
import tempfile

import numpy as np
from absl import flags
from absl.testing import absltest, flagsaver

from alpt_jax.files import atomic_files
from alpt_jax.measures import timeline
from experiments import camera_study


def file_of(way, seed, r2):
  labels = {who: dict.fromkeys(camera_study.NUMBERS, .5) for who in camera_study.WHO}
  labels['idm']['r2'], labels['ceiling']['r2'] = r2, .9
  return {'format': 1, 'way': way, 'seed': seed, 'updates': 3, 'preset': 'desk', 'labels': labels,
          'versions': {}}


class CameraStudyTest(absltest.TestCase):

  def test_numbers_by_hand(self):
    places = timeline.Timeline([0, 0, 0, 1, 1], [0, 1, 2, 0, 1])
    truth = np.array([[1., 0, 0], [2, 1, 0], [3, 1, 1], [4, 0, 0], [5, 1, 0]])
    said = np.array([[1., 0, 0], [2, 1, 0], [3, 1, 0], [4, 0, 0], [10, 1, 1]])
    found = camera_study._numbers(truth, said, places)
    self.assertAlmostEqual(found['r2'], 1 - 25 / 10)
    # Onsets: light at 1 of episode 0 and of 1, jump at 2; said without that, and one of jump.
    self.assertAlmostEqual(found['event_f1'], 2 * 2 / (3 + 3))
    self.assertAlmostEqual(found['all_right'], 3 / 5)
    self.assertEqual(camera_study._numbers(truth, truth, places),
                     {'r2': 1., 'event_f1': 1., 'all_right': 1.})

  def test_table_pairs_runs_by_seed(self):
    with tempfile.TemporaryDirectory() as directory:
      for way, values in (('few', (.1, .3)), ('few_source', (.4, .8))):
        for seed, r2 in enumerate(values):
          atomic_files.write_json(
              os.path.join(directory, f'{way}-seed{seed}.json'), file_of(way, seed, r2))
      header, rows = camera_study.table(directory)
    self.assertEqual(header[2], 'R² of turns')
    rows = {(row[0], row[1]): row[2] for row in rows}
    self.assertStartsWith(rows['200 labels of the target', 'IDM'], '0.200')
    self.assertStartsWith(rows['200 labels of the target, and a source', 'IDM'], '0.600')
    self.assertStartsWith(rows['with a source minus without, 200 labels', ''], '0.400')

  def test_runs_at_tiny_size_and_only_once(self):
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    with tempfile.TemporaryDirectory() as directory, flagsaver.flagsaver(
        results_dir=directory, workdir=os.path.join(directory, 'runs_of_it'), preset='tiny',
        seeds=['0']):
      camera_study.main()
      paths = sorted(pathlib.Path(directory, 'runs').iterdir())
      self.assertEqual([path.stem for path in paths], [
          'all-seed0', 'few-seed0', 'few_short-seed0', 'few_source-seed0'])
      for path in paths:
        labels = camera_study.read(path)['labels']
        self.assertGreater(labels['ceiling']['r2'], max(labels[w]['r2'] for w in ('idm', 'linear')))
        self.assertLess(labels['persistence']['r2'], 0)
      before = [path.stat().st_mtime_ns for path in paths]
      camera_study.main()
      self.assertEqual(before, [path.stat().st_mtime_ns for path in paths])


if __name__ == '__main__':
  absltest.main()
