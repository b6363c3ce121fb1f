"""The way from videos to an agent over seeds: one tiny seed for real, and tables of others."""

import json
import pathlib
import subprocess
import sys
import tempfile

import jax
import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from experiments import own_results

ROOT = pathlib.Path(__file__).resolve().parents[1]


def make_file(seed, accuracy=.8, returns=(1., 3.)):
  return dict(
      format=1, seed=seed, versions={}, returns=list(returns),
      data=dict(digest='0', num_transitions=26_241, num_labelled=1800, num_episodes=44),
      labels=dict(accuracy=accuracy, low=.7, high=.9, num_transitions=375, num_episodes=5,
                  linear=.6, majority=.4, most_frequent_share=.5),
      play=dict(most_frequent_share=.5, longest_run=9, num_cut=0, max_steps=2500, sticky=0.))


class TableTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def write(self, film, files):
    runs = self.directory / film / 'seeds'
    runs.mkdir(parents=True)
    for content in files:
      (runs / f'seed{content["seed"]}.json').write_text(json.dumps(content))
    return self.directory / film

  def test_intervals_are_over_seeds(self):
    accuracies, means = np.array([.8, .9, .7]), np.array([2., 4., 3.])
    path = self.write('new', [make_file(i, a, (m - 1, m + 1)) for i, (a, m) in enumerate(
        zip(accuracies, means, strict=True))])
    row, = own_results.table([path])
    half = stats.t.ppf(.975, 2) / np.sqrt(3)
    self.assertEqual(row, [
        'new', '26,241', '1,800', f'0.800 [{.8 - .1 * half:.3f}, {.8 + .1 * half:.3f}]',
        '0.600 [0.600, 0.600]', '0.400 [0.400, 0.400]',
        f'3.0 [{3 - half:.1f}, {3 + half:.1f}]', '0.500 [0.500, 0.500]', '3'])

  def test_a_film_without_files_has_no_row(self):
    self.assertEqual(own_results.table([self.write('old', [])]), [])

  @parameterized.parameters(('seed', '0'), ('returns', None), ('format', 2))
  def test_damaged_files_are_refused_by_name(self, field, value):
    path = self.write('new', [make_file(0) | {field: value}])
    with self.assertRaisesRegex(ValueError, f'seed0.json: .*{field}'):
      own_results.table([path])


class ProgramTest(absltest.TestCase):

  def run_program(self, *args):
    return subprocess.run([sys.executable, '-m', 'experiments.own_study', *args], cwd=ROOT,
                          capture_output=True, text=True, check=False)

  def test_one_seed_and_no_more_the_second_time(self):
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    done = subprocess.run(
        [sys.executable, '-m', 'experiments.film', f'--output={directory}/clips', '--num_videos=1',
         '--seconds=4', '--num_labelled=3', '--labelled_seconds=3'],
        cwd=ROOT, capture_output=True, text=True, check=False)
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    args = (f'--clips={directory}/clips', f'--results={directory}/results/film',
            f'--workdir={directory}/work', '--preset=tiny', '--seeds=3',
            f'--compilation_cache_dir={jax.config.jax_compilation_cache_dir}')
    done = self.run_program(*args)
    self.assertEqual(done.returncode, 0, msg=done.stdout + done.stderr)
    found = own_results.read(directory / 'results' / 'film' / 'seeds' / 'seed3.json')
    audit, = json.loads(
        (directory / 'work' / 'idm-seed3' / 'audit' / 'audit.json').read_text())['environments']
    self.assertEqual(found['labels']['accuracy'], audit['accuracy']['value'])
    self.assertEqual(audit['kind'], 'held out')
    self.assertLen(found['returns'], 2)
    self.assertEqual(found['data']['num_episodes'], 4)
    self.assertEqual(found['data']['num_labelled'], 3 * 45)  # Clips of 3 s, 15 frames a second.
    (directory / 'work' / 'data').rename(directory / 'gone')  # Whoever reads it now, fails.
    done = self.run_program(*args)
    self.assertEqual(done.returncode, 0, msg=done.stdout + done.stderr)
    self.assertIn('labels right, held out: ', done.stdout)

  def test_bad_flags_are_refused_in_one_line(self):
    for args, text in (((), '--clips is empty'), (('--clips=a', '--results=b', '--seeds=1,1'),
                                                  '--seeds is 1,1; expected different ones')):
      done = self.run_program(*args)
      self.assertEqual(done.returncode, 1)
      self.assertIn(text, done.stderr)


if __name__ == '__main__':
  absltest.main()
