"""Clips as data of your own: cut at any moment of a game, with their actions."""

import collections
import csv
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

from alpt_jax.reports import video
from experiments import film

ROOT = pathlib.Path(__file__).resolve().parents[2]


class CutTest(absltest.TestCase):

  def test_frames_and_actions_stay_together(self):
    for seed in range(20):
      frames, actions = film.cut(list(range(11)), list(range(10)), 4, seed)
      self.assertEqual(frames, list(range(frames[0], frames[0] + 5)))
      self.assertEqual(actions, frames[:-1])
      self.assertEqual(film.cut(list(range(11)), list(range(10)), 4, seed), (frames, actions))

  def test_every_moment_comes_up(self):
    starts = {film.cut(list(range(11)), list(range(10)), 8, seed)[1][0] for seed in range(50)}
    self.assertEqual(starts, {0, 1, 2})

  def test_a_game_that_is_short_comes_whole(self):
    self.assertEqual(film.cut([0, 1, 2], ['a', 'b'], 5, 0), ([0, 1, 2], ['a', 'b']))


class BinaryTest(absltest.TestCase):

  def run_binary(self, *args):
    return subprocess.run([sys.executable, '-m', 'experiments.film', *args], cwd=ROOT,
                          capture_output=True, text=True, check=False)

  def test_clips_have_their_actions_at_other_moments_than_the_start(self):
    with tempfile.TemporaryDirectory() as directory:
      output = pathlib.Path(directory, 'clips')
      done = self.run_binary(f'--output={output}', '--num_videos=1', '--num_labelled=2',
                             '--seconds=4', '--labelled_seconds=2')
      self.assertEqual(done.returncode, 0, msg=done.stderr)
      self.assertEqual(sorted(path.name for path in output.iterdir()), [
          'actions.csv', 'environment.json', 'labelled000.mp4', 'labelled001.mp4', 'video000.mp4'])
      written = collections.defaultdict(list)
      with open(output / 'actions.csv', newline='') as f:
        for row in csv.DictReader(f):
          written[row['file']].append((int(row['step']), row['action']))
    for number in range(2):
      _, actions = film.film('Breakout', number, 4 * video.FPS, .1)
      expected = film.cut(actions, actions, 2 * video.FPS, number)[1]
      self.assertEqual(written[f'labelled{number:03d}.mp4'], list(enumerate(expected)))

  def test_clips_longer_than_a_game_are_refused(self):
    done = self.run_binary('--seconds=4', '--labelled_seconds=5', '--output=/nowhere/clips')
    self.assertEqual(done.returncode, 1)
    self.assertRegex(done.stderr, r'^error: --labelled_seconds is 5; expected at most --seconds 4')


if __name__ == '__main__':
  absltest.main()
