"""The study of simulated cameras: what it measures, and that it runs."""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest

from alpt_jax.files import atomic_files
from alpt_jax.measures import timeline
from experiments.studies import camera_results

ROOT = pathlib.Path(__file__).resolve().parents[2]


def file_of(way, seed, r2):
  labels = {who: dict.fromkeys(camera_results.NUMBERS, .5) for who in camera_results.WHO}
  labels['idm']['r2'], labels['ceiling']['r2'] = r2, .9
  return {'format': 1, 'way': way, 'seed': seed, 'updates': 3, 'preset': 'desk', 'labels': labels,
          'versions': {}}


class CameraStudyTest(absltest.TestCase):

  def test_numbers_by_hand(self):
    places = timeline.Timeline([0, 0, 0, 1, 1], [0, 1, 2, 0, 1])
    truth = np.array([[1., 0, 0], [2, 1, 0], [3, 1, 1], [4, 0, 0], [5, 1, 0]])
    said = np.array([[1., 0, 0], [2, 1, 0], [3, 1, 0], [4, 0, 0], [10, 1, 1]])
    found = camera_results.numbers(truth, said, places)  # Of steps 1, 2 and 1.
    self.assertAlmostEqual(found['r2'], 1 - 25 / (14 / 3))
    # The one event between counted steps, of jump at 2, is not said.
    self.assertAlmostEqual(found['event_f1'], 0)
    self.assertAlmostEqual(found['all_right'], 1 / 3)
    self.assertEqual(camera_results.numbers(truth, truth, places),
                     {'r2': 1., 'event_f1': 1., 'all_right': 1.})

  def test_table_pairs_runs_by_seed(self):
    with tempfile.TemporaryDirectory() as directory:
      for way, values in (('few', (.1, .3)), ('few_source', (.4, .8))):
        for seed, r2 in enumerate(values):
          atomic_files.write_json(
              os.path.join(directory, f'{way}-seed{seed}.json'), file_of(way, seed, r2))
      header, rows = camera_results.table(directory)
    self.assertEqual(header[2], 'R² of turns')
    rows = {(row[0], row[1]): row[2] for row in rows}
    self.assertStartsWith(rows['200 labels of the target', 'IDM'], '0.200')
    self.assertStartsWith(rows['200 labels of the target, and a source', 'IDM'], '0.600')
    self.assertStartsWith(rows['with a source minus without, 200 labels', ''], '0.400')

  def test_runs_at_tiny_size_and_only_once(self):
    with tempfile.TemporaryDirectory() as directory:
      command = [sys.executable, '-m', 'experiments.camera_study', f'--results_dir={directory}',
                 f'--workdir={directory}/runs_of_it', '--preset=tiny', '--seeds=0']
      subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
      paths = sorted(pathlib.Path(directory, 'seeds').iterdir())
      self.assertEqual([path.stem for path in paths], [
          'all-seed0', 'few-seed0', 'few_short-seed0', 'few_source-seed0'])
      for path in paths:
        labels = camera_results.read(path)['labels']
        self.assertGreater(labels['ceiling']['r2'], max(labels[w]['r2'] for w in ('idm', 'linear')))
        self.assertLess(labels['persistence']['r2'], 0)
      before = [path.stat().st_mtime_ns for path in paths]
      subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
      self.assertEqual(before, [path.stat().st_mtime_ns for path in paths])


if __name__ == '__main__':
  absltest.main()
