"""The way from videos to an agent over seeds: one tiny seed for real, and tables of others."""

import json
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

import jax
import numpy as np
from absl import flags
from absl.testing import absltest, flagsaver, parameterized
from scipy import stats

from experiments import own_study
from experiments.studies import own_results

ROOT = pathlib.Path(__file__).resolve().parents[2]


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

  def test_seeds_of_another_film_are_refused_by_name(self):
    other = make_file(1)
    other['data']['digest'] = '1'
    path = self.write('new', [make_file(0), other])
    with self.assertRaisesRegex(ValueError, 'seed1.json: it is of data 1; expected 0'):
      own_results.table([path])
    with self.assertRaisesRegex(ValueError, 'seed0.json: it is of data 0; expected 1'):
      own_results.check_data(path, '1')

  def test_a_film_without_files_has_no_row(self):
    self.assertEqual(own_results.table([self.write('old', [])]), [])

  @parameterized.parameters(('seed', '0'), ('returns', None), ('format', 2))
  def test_damaged_files_are_refused_by_name(self, field, value):
    path = self.write('new', [make_file(0) | {field: value}])
    with self.assertRaisesRegex(ValueError, f'seed0.json: .*{field}'):
      own_results.table([path])


class FilmTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.clips, self.workdir = root / 'clips', root / 'work'
    self.clips.mkdir()
    (self.clips / 'a.mp4').write_bytes(b'one')
    self.enterContext(flagsaver.flagsaver())
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()

  def import_film(self):
    """As the program does; returns whether the data was imported."""
    def collect(*unused):
      (self.workdir / 'data' / 'Breakout').mkdir(parents=True)
    with mock.patch.object(own_study, '_run', side_effect=collect) as run:
      own_study._import(self.clips, self.workdir)
    return run.called

  def test_imported_once_and_another_film_is_refused_by_name(self):
    self.assertTrue(self.import_film())
    self.assertFalse(self.import_film())
    (self.clips / 'a.mp4').write_bytes(b'two')  # As long as before.
    with self.assertRaisesRegex(ValueError, r'another film .*\(1 files differ, e.g. a.mp4\)'):
      self.import_film()
    (self.clips / 'a.mp4').write_bytes(b'one')
    (self.clips / 'actions.csv').write_bytes(b'')
    with self.assertRaisesRegex(ValueError, 'e.g. actions.csv'):
      self.import_film()

  def test_data_of_an_unknown_film_is_refused(self):
    self.import_film()
    (self.workdir / own_study.FILM).unlink()
    with self.assertRaisesRegex(ValueError, 'no film.json says'):
      self.import_film()

  def test_an_idm_that_was_trained_again_has_another_name(self):
    checkpoint = self.clips / 'checkpoints' / '4' / 'params'
    checkpoint.parent.mkdir(parents=True)
    names = []
    for content in (b'one', b'two', b'one'):
      checkpoint.write_bytes(content)
      names.append(own_study._name_of(self.clips))
    self.assertEqual(names[0], names[2])
    self.assertNotEqual(names[0], names[1])


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
    args = (f'--clips={directory}/clips', f'--results_dir={directory}/results/film',
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
    done = self.run_program('--clips=a', '--results_dir=b', '--preset=dsk')
    self.assertEqual((done.returncode, done.stdout), (1, ''))
    self.assertRegex(done.stderr, r"^error: --preset is 'dsk'; expected one of \('desk', .*\n$")


class FlagsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (self.root / 'clips').mkdir()
    (self.root / 'file').touch()
    seeds = self.root / 'damaged' / 'seeds'
    seeds.mkdir(parents=True)
    (seeds / 'seed0.json').write_text('{}')
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()

  @parameterized.parameters(
      (dict(clips=''), '--clips is empty'), (dict(results_dir=''), '--results_dir is empty'),
      (dict(workdir=''), '--workdir is empty'),
      (dict(clips='nowhere'), '--clips is .*nowhere; expected a directory of videos'),
      (dict(preset='dsk'), "--preset is 'dsk'; expected one of "),
      (dict(preset='desk,target=Pong'), '--preset is '),
      (dict(seeds=['1', '1']), '--seeds is 1,1; expected different ones'),
      (dict(seeds=['a']), '--seeds is a; expected whole numbers'),
      (dict(results_dir='damaged'), 'seed0.json: format is missing'),
      (dict(results_dir='file'), 'file'), (dict(workdir='file'), 'file'))
  def test_all_are_checked_before_anything_is_done(self, changes, message):
    values = dict(clips='clips', results_dir='results', workdir='work') | changes
    places = {name: value and str(self.root / value) for name, value in values.items()
              if name in ('clips', 'results_dir', 'workdir')}
    with flagsaver.flagsaver(**values | places), \
        mock.patch.object(own_study, '_run') as run, \
        self.assertRaisesRegex((ValueError, OSError), message):
      own_study.main()
    run.assert_not_called()
    self.assertFalse((self.root / 'work' / own_study.FILM).exists())


if __name__ == '__main__':
  absltest.main()
