"""Run files: what is in them, that they are small, what is refused, which runs they stand for."""

import json
import pathlib
import shutil
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.domains import study as studies
from alpt_jax.measures import confusions, intervals
from experiments import reproduce
from experiments.configs import atari, maze
from experiments.studies import run_files, runs
from tests import maze_data
from tests.experiments import reproduce_budget_test


class DigestTest(absltest.TestCase):

  def test_a_new_key_at_its_default_leaves_digests_as_they_were(self):
    config = maze_data.config('somewhere')
    first = reproduce.plan(config)[0]
    before = runs.config_digest(config), runs.digest(runs.settings(config, first))
    with mock.patch.dict(runs.LATER_KEYS, {'model.some_new_key': 7}):
      config.model.unlock()
      config.model.some_new_key = 7
      self.assertEqual(
          (runs.config_digest(config), runs.digest(runs.settings(config, first))), before)
      config.model.some_new_key = 8
      self.assertNotEqual(runs.config_digest(config), before[0])
      self.assertNotEqual(runs.digest(runs.settings(config, first)), before[1])

  def test_games_with_exchanged_images_leave_digests_as_they_were_if_there_are_none(self):
    config = atari.get_config('desk')
    config.study.floors.exchanged_games = 0
    with_none, content = runs.config_digest(config), json.loads(config.to_json())
    del content['study']['floors']['exchanged_games']
    self.assertEqual(runs.config_changes(content, config), '')
    config.study.floors.exchanged_games = 64
    self.assertNotEqual(runs.config_digest(config), with_none)

  def test_places_and_workers_leave_digests_as_they_were(self):
    config, other = maze_data.config('somewhere'), maze_data.config('elsewhere')
    other.study.num_workers, other.study.results_dir = 7, 'results'
    other.sharding.num_devices, other.sharding.microbatch = 0, 3
    first, second = reproduce.plan(config)[0], reproduce.plan(other)[0]
    self.assertEqual(runs.digest(runs.settings(config, first)),
                     runs.digest(runs.settings(other, second)))

  def test_what_a_run_starts_from_is_in_its_digest(self):
    def digest(**model):
      config = atari.get_config('tiny')
      config.study.score.pretrain_steps = model.pop('pretrain_steps', 2)
      finetuned = next(run for run in reproduce.plan(config) if run.after)
      return runs.digest(runs.settings(config, finetuned))

    self.assertEqual(digest(), digest())
    self.assertNotEqual(digest(), digest(pretrain_steps=3))


class TakenTest(absltest.TestCase):

  def test_a_pretraining_is_trained_again_for_who_needs_its_checkpoint(self):
    before = studies.Run('before', 'alpt', {})
    after = studies.Run('after', 'alpt', {}, after=before)
    other = studies.Run('other', 'dt1', {})
    planned, done = [before, after, other], {'status': 'done'}

    def taken(found, trained=()):
      return run_files.taken(found, planned, lambda run: run in trained)

    self.assertEqual(taken({before: done, after: done}), [before, after])
    self.assertEqual(taken({before: done}), [])  # `after` cannot start without it.
    self.assertEqual(taken({before: done}, trained=[before]), [before])
    self.assertEqual(taken({before: done}, trained=[after]), [before])
    self.assertEqual(taken({other: {'status': 'failed'}}), [])


class RunFilesTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.directory = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
    cls.config = maze_data.config(str(cls.directory))
    cls.planned = reproduce.plan(cls.config)
    cls.run_ = next(run for run in cls.planned if run.variant == 'dt1_idm')
    reproduce_budget_test.make_run(cls.config, cls.run_, .6)
    cls.writer = run_files.Writer(cls.config, 'abc')
    cls.writer.done(cls.run_)
    cls.path = run_files.path_of(cls.config, cls.run_)

  def test_says_what_a_finished_run_has_to_say(self):
    content = run_files.read(self.path)
    self.assertEqual(content['seeds'], {'seed': 0, 'label_seed': 0})
    self.assertEqual((content['registration'], content['status']), ('abc', 'done'))
    self.assertEqual(content['settings']['num_labels'], 50)
    self.assertEqual(content['curves']['step'], [0, 3, 6])
    self.assertEqual(content['curves']['argmax/success_500'], [.6] * 3)
    self.assertIn('maze-8-blocks:3-seed0', content['data_digests'])

  def test_rows_say_what_the_directory_holds(self):
    directory = pathlib.Path(runs.run_config(self.config, self.run_).workdir)
    found = run_files.rows(run_files.read(self.path))
    self.assertEqual([row['step'] for row in found], [0, 3, 6])
    truth = runs.Truths(self.config)['maze-8-blocks:3-seed0']
    for row in found:
      self.assertEqual({key: row[key] for key in (
          'run', 'method', 'observation', 'target', 'seed', 'num_labels', 'argmax/spl')}, {
              'run': self.run_.name, 'method': 'dt1_idm', 'observation': 'grid',
              'target': 'maze-8-blocks:3-seed0', 'seed': 0, 'num_labels': 50, 'argmax/spl': .6})
      with np.load(directory / 'labels' / f'step_{row["step"]:07d}.npz') as saved:
        right = [prediction == truth.actions_of(episode)[0][start + t]
                 for episode, start, counts, predictions in zip(
                     saved['episode'], saved['start'], saved['is_counted'], saved['actions'],
                     strict=True)
                 for t, prediction in enumerate(predictions) if counts[t]]
      self.assertLen(right, truth.num_transitions.sum())
      self.assertAlmostEqual(row['label_accuracy'], np.mean(right), places=5)

  def test_intervals_over_episodes_can_be_made_from_its_confusions(self):
    content = run_files.read(self.path)
    confusion = content['confusion']
    counts = confusions.unpack(confusion['by_episode']['counts'])
    self.assertEqual(counts.sum(axis=0).tolist(), confusion['confusion'])
    self.assertLen(confusion['by_episode']['episodes'], len(counts))
    right = np.trace(counts, axis1=1, axis2=2)
    values = np.concatenate([np.repeat([1., 0.], [r, n - r]) for r, n in zip(
        right, counts.sum(axis=(1, 2)), strict=True)])
    found = intervals.bootstrap_mean(values, np.repeat(np.arange(len(counts)),
                                                       counts.sum(axis=(1, 2))))
    self.assertAlmostEqual(found.value, content['curves']['label_accuracy'][-1], places=5)

  def test_is_small_and_has_a_field_a_line(self):
    text = self.path.read_text()
    self.assertLess(len(text), 15_000)
    self.assertLen(text.splitlines(), len(json.loads(text)))

  def test_is_not_written_again(self):
    before = self.path.stat().st_mtime_ns
    self.writer.done(self.run_)
    self.writer.failed(self.run_, 1, 'error: after it was done')
    self.assertEqual(self.path.stat().st_mtime_ns, before)

  def test_an_unfinished_run_has_none(self):
    other = next(run for run in self.planned if run.variant == 'dt1')
    self.writer.done(other)
    self.assertFalse(run_files.path_of(self.config, other).exists())

  def test_failures_stay_when_a_run_succeeds_later(self):
    run = next(run for run in self.planned if run.variant == 'alpt_blocked')
    self.writer.failed(run, 77, 'error: the loss is not finite')
    self.writer.failed(run, -9, '')
    failed = run_files.read(run_files.path_of(self.config, run))
    self.assertEqual(failed['status'], 'failed')
    self.assertEqual([(f['exit_code'], f['error']) for f in failed['failures']],
                     [(77, 'error: the loss is not finite'), (-9, '')])
    reproduce_budget_test.make_run(self.config, run, .5)
    self.writer.done(run)
    done = run_files.read(run_files.path_of(self.config, run))
    self.assertEqual((done['status'], done['failures']), ('done', failed['failures']))

  def change(self, **changes):
    """A directory with the file, changed; a config that takes it."""
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    content = json.loads(self.path.read_text()) | changes
    (directory / 'runs').mkdir()
    (directory / 'runs' / self.path.name).write_text(json.dumps(content))
    config = self.config.copy_and_resolve_references()
    config.study.results_dir = str(directory)
    return config

  def test_another_registration_is_refused(self):
    config = self.change()
    self.assertIn(self.run_, run_files.read_all(config, self.planned, 'abc'))
    for digest in ('def', None):
      with self.assertRaisesRegex(ValueError, f'of registration abc, the study of {digest}'):
        run_files.read_all(config, self.planned, digest)

  def test_other_data_is_refused(self):
    config = self.change(data_digests={'maze-8-blocks:3-seed0': '0'})
    with self.assertRaisesRegex(ValueError, 'the run is of other data .maze-8-blocks:3-seed0: 0, '):
      run_files.read_all(config, self.planned, 'abc')

  def test_another_config_is_refused_there_and_ignored_beside_the_run(self):
    config = self.change()
    config.idm_batch_size = 24
    with self.assertRaisesRegex(ValueError, r'another config \(idm_batch_size: 12 -> 24\)'):
      run_files.read_all(config, self.planned, 'abc')
    config.study.results_dir = ''
    self.assertNotIn(self.run_, run_files.read_all(config, self.planned, 'abc'))

  @parameterized.parameters(
      ({'status': 'perhaps'}, "status is 'perhaps'"), ({'format': 2}, 'format is 2; expected 1'),
      ({'curves': None}, 'curves is'),
       ({'curves': {'step': [0], 'x': [1, 2]}}, 'curves.x has 2 values; expected 1, one a step'),
      ({'curves': {'step': [0], 'x': ['1']}}, r"curves.x\[0\] is '1'; expected a finite number"),
      ({'run': 'another'}, "it is of run 'another'"))
  def test_damage_is_one_line(self, changes, message):
    config = self.change(**changes)
    with self.assertRaisesRegex(ValueError, f'{self.path.name}: not a run file: .*{message}'):
      run_files.read_all(config, self.planned, 'abc')

  def test_every_preset_says_where_run_files_are(self):
    for module in (maze, atari):
      for preset in ('desk', 'study', 'tiny'):
        config = module.get_config(preset)
        self.assertEqual(run_files.directory(config),
                         pathlib.Path(config.workdir, 'run_files'))


if __name__ == '__main__':
  absltest.main()
