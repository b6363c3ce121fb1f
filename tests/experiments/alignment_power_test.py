"""Tests of the study of how often late lists are found."""

import csv
import functools
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest

from alpt_jax.data import episodes
from experiments.studies import alignment_datasets
from tests import maze_data
from tests.measures import alignment_test

ROOT = pathlib.Path(__file__).resolve().parents[2]


@functools.cache
def recording():
  """24 episodes of a player, one too short to be cut."""
  played = [alignment_test.play(i, num_steps=9 if i == 5 else 60) for i in range(24)]
  lengths = np.array([len(frames) for frames, _ in played])
  is_labelled = np.concatenate([np.arange(n) < n - 1 for n in lengths])
  return episodes.InMemory(
      np.concatenate([frames for frames, _ in played]),
      np.concatenate([np.append(actions, 0) for _, actions in played]).astype(np.int32),
      np.zeros(len(is_labelled), np.float32), is_labelled, np.cumsum(lengths) - lengths,
      lengths - 1)


class AlignmentPowerTest(absltest.TestCase):

  def test_clips_are_of_other_episodes_while_there_are_enough(self):
    clips = alignment_datasets.clips_of(recording(), 23, np.random.default_rng(0))
    self.assertLen({actions.tobytes() for *_, actions in clips}, 23)
    self.assertEqual({len(actions) for *_, actions in clips}, {60})
    self.assertLen(alignment_datasets.clips_of(recording(), 30, np.random.default_rng(0)), 30)

  def test_a_late_list_has_the_action_of_before(self):
    clips = alignment_datasets.clips_of(recording(), 3, np.random.default_rng(0))
    for stretch, late, (*_, actions) in zip(
        alignment_datasets.listed(clips, (0, 1, 2), 3), (0, 1, 2), clips, strict=True):
      self.assertEqual(stretch.is_known.tolist(), [t >= late for t in range(60)])
      self.assertEqual(stretch.targets.argmax(axis=1)[late:].tolist(),
                       actions[:60 - late].tolist())

  def test_a_dataset_is_judged_in_every_case(self):
    rows = alignment_datasets.dataset('Play', recording(), 3, seed=1)
    self.assertEqual([row['case'] for row in rows], list(alignment_datasets.CASES))
    right, late, tenth = rows
    self.assertEqual((right['kind'], right['late'], right['late_files']), ('aligned', 0, 0))
    self.assertEqual((late['kind'], late['steps']), ('late', late['late']))
    self.assertIn(late['late'], (1, 2))
    self.assertEqual(tenth['late_files'], tenth['clips'] // 10)
    self.assertEqual((tenth['kind'], tenth['found_files'], tenth['wrong_files']),
                     ('aligned', tenth['late_files'], 0))

  def test_sums(self):
    row = dict.fromkeys(alignment_datasets.FIELDS, 0) | {
        'environment': 'Play', 'case': 'late', 'clips': 10, 'late': 1}
    rows = [row | {'kind': 'late', 'steps': 1, 'seconds': 1.}, row | {'kind': 'late', 'steps': 2},
            row | {'kind': 'cannot tell'}, row | {'kind': 'aligned', 'wrong_files': 2},
            row | {'kind': 'not late', 'late_files': 3, 'found_files': 2, 'untold_files': 1}]
    found, = alignment_datasets.summed(rows)
    self.assertEqual(found, {
        'environment': 'Play', 'case': 'late', 'datasets': 5, 'found': 1, 'aligned': 1,
        'not_late': 1, 'cannot_tell': 1, 'wrong': 1, 'late_files': 3, 'found_files': 2,
        'untold_files': 1, 'other_files': 47, 'wrong_files': 2, 'datasets_with_wrong_files': 1,
        'seconds': .2})

  def test_the_program_writes_both_tables(self):
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    config = maze_data.config(directory / 'run')
    done = subprocess.run(
        [sys.executable, '-m', 'experiments.alignment_power',
         '--config=experiments/configs/maze.py:tiny', f'--config.data_dir={config.data_dir}',
         f'--environments={config.target}', '--num_datasets=1', '--seed=3',
         f'--output={directory}/found'], cwd=ROOT, text=True, capture_output=True, check=False)
    self.assertEqual(done.returncode, 0, done.stderr)
    rows, sums = (list(csv.DictReader((directory / 'found' / name).read_text().splitlines()))
                  for name in ('maze_datasets.csv', 'maze.csv'))
    self.assertEqual([(row['case'], row['seed']) for row in rows], [
        (case, seed) for seed in '3' for case in alignment_datasets.CASES])
    self.assertEqual([(row['case'], row['datasets']) for row in sums],
                     [(case, '1') for case in alignment_datasets.CASES])
    self.assertLen(done.stdout.splitlines(), 3)


if __name__ == '__main__':
  absltest.main()
