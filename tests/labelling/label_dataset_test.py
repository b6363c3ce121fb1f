"""Labelling datasets with trained IDMs: what comes out, and who may label what."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import domains
from alpt_jax.data import labels, rlds
from alpt_jax.labelling import label_dataset, trained_idm
from alpt_jax.training import inputs, label_windows, run_config, sharding, stopping, train
from tests import maze_data, own_runs, processes

ROOT = pathlib.Path(__file__).resolve().parents[2]


class LabelRunTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.config = maze_data.config(cls.root / 'run', train_dt=False, num_steps=30,
                                  eval_every_steps=30)
    train.train(cls.config, cls.config.workdir)
    cls.trained = trained_idm.restore(cls.config.workdir)
    cls.target = cls.config.target
    cls.labelled = cls.root / 'labelled' / cls.target
    cls.card = label_dataset.label_run(
        cls.trained, cls.labelled, known='run', stride=5, episodes_per_file=7, progress=False)

  def label(self, name, **kwargs):
    return label_dataset.label_run(self.trained, self.root / name,
                                   **dict(known='run', progress=False) | kwargs)

  def read(self, directory):
    return rlds.read_episodes(directory, domains.of(self.config).spec(self.target),
                              with_idm_labels=True)

  def test_labels_are_those_of_training_and_known_actions_are_true(self):
    truth = domains.of(self.config).read(self.target)
    choice = labels.read_choice(self.root / 'run' / 'labels.json')
    hidden = labels.hide_actions(truth, choice.windows, 5)
    label_fn = label_windows.make_label_fn(
        self.trained.idm, self.trained.spec, sharding.make_mesh(num_devices=1))
    said = label_windows.predict_actions(label_fn, self.trained.params, hidden, window=5)
    found = self.read(self.labelled)
    self.assertTrue(np.delete(found.is_labelled, found.first_step + found.num_transitions).all())
    for e, start, counted, actions, was_labelled, _ in zip(*said, strict=True):
      place = truth.first_step[e] + start + np.flatnonzero(counted)
      expected = np.where(was_labelled, truth.actions[place[0]:place[0] + 5][:5], actions) if (
          counted.all()) else None
      if expected is not None:
        np.testing.assert_array_equal(found.actions[place], expected)
    np.testing.assert_array_equal(found.observations, truth.observations)
    self.assertEqual(self.card['labels']['num_true'], choice.budget)

  def test_provenance_is_with_the_data(self):
    card = rlds.read_card(self.labelled)
    self.assertEqual(card, self.card)
    said = card['labels']
    self.assertEqual((said['run'], said['step'], said['window'], said['stride'], said['known']),
                     ('run', 30, 5, 5, 'run'))
    other = jax.tree.map(lambda x: x + 1e-6, self.trained.params)
    self.assertEqual(said['idm_digest'], label_dataset.params_digest(self.trained.params))
    self.assertNotEqual(said['idm_digest'], label_dataset.params_digest(other))
    self.assertIn('jax', said['versions'])
    self.assertEqual(said['config']['num_labels'], self.config.num_labels)
    self.assertNotIn('workdir', said['config'])  # It may lie elsewhere in another process.

  def test_dt_trains_on_it(self):
    config = maze_data.config(self.root / 'dt', method='dt', sources=(),
                              data_dir=str(self.root / 'labelled'))
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)

  def test_shares_make_the_same_files(self):
    self.assertIsNone(self.label('shared', stride=5, episodes_per_file=7, share=(1, 3)))
    self.assertIsNone(self.label('shared', stride=5, episodes_per_file=7, share=(0, 3)))
    self.label('shared', stride=5, episodes_per_file=7, share=(2, 3))
    self.assertEqual(rlds.dataset_digest(self.root / 'shared'),
                     rlds.dataset_digest(self.labelled))

  def test_killed_and_started_again_it_makes_the_same_files(self):
    command = [sys.executable, '-m', 'experiments.label', f'--run={self.config.workdir}',
               f'--output={self.root / "killed"}', '--known=run', '--stride=5',
               '--episodes_per_file=1']
    options = dict(cwd=ROOT, text=True, env=processes.environment_of_users())
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    files = self.root / 'killed.unfinished' / 'files'
    while process.poll() is None and not (files.is_dir() and list(files.iterdir())):
      time.sleep(.005)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    self.assertEqual(process.returncode, stopping.PREEMPTED, msg=out)
    self.assertIn('stopped; the same command resumes', out)
    self.assertFalse((self.root / 'killed').exists())
    done = subprocess.run(command, capture_output=True, check=False, **options)
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    command[4] = f'--output={self.root / "unbroken"}'
    subprocess.run(command, capture_output=True, check=True, **options)
    self.assertEqual(rlds.dataset_digest(self.root / 'killed'),
                     rlds.dataset_digest(self.root / 'unbroken'))

  @parameterized.parameters(
      (dict(stride=0), 'stride is 0; expected 1'),
      (dict(stride=6), 'stride is 6; expected 1'),
      (dict(temperature=0.), 'temperature is 0.0; expected a number above 0'),
      (dict(temperature=float('nan')), 'temperature is nan; expected a number above 0'),
      (dict(top_k=5), 'top_k is 5; expected 1 to 4'),
      (dict(share=(2, 2)), 'share is 2 of 2; expected 0 to 1'),
      (dict(episodes_per_file=0), 'episodes_per_file is 0; expected at least 1'),
      (dict(known='data'), 'has no step field is_labelled, so all its actions are known'),
      (dict(known=''), 'label the others with --known=run'),
      (dict(environment='maze-8-blocks:3-seed100'), 'is no target of .*run, which was given all'),
      (dict(dataset='/nowhere'), '/nowhere: no such dataset directory'))
  def test_refuses(self, changes, message):
    with self.assertRaisesRegex((ValueError, FileNotFoundError), message):
      self.label('refused', **changes)
    self.assertFalse((self.root / 'refused').exists())
    self.assertFalse((self.root / 'refused.unfinished').exists())

  def test_refuses_data_that_training_did_not_read(self):
    with tempfile.TemporaryDirectory() as directory:
      other = maze_data.config(directory)
      other.data_dir = directory
      other.collect.seed = 5
      from experiments import collect
      collect.main(other)
      with self.assertRaisesRegex(ValueError, 'other data than .*run was trained on'):
        self.label('refused', dataset=os.path.join(directory, self.target))

  def test_refuses_a_list_of_known_windows_that_the_data_does_not_have(self):
    run = self.root / 'damaged'
    shutil.copytree(self.root / 'run', run)
    content = json.loads((run / 'labels.json').read_text())
    content['windows'][-1] = [content['windows'][-1][0], 10_000]
    (run / 'labels.json').write_text(json.dumps(content))
    with self.assertRaisesRegex(ValueError, 'labels.json: transitions 10000 .. 10004 of episode'):
      label_dataset.label_run(trained_idm.restore(run), self.root / 'refused', known='run',
                              progress=False)

  def test_refuses_data_of_another_environment(self):
    other = self.config.sources[0]
    with self.assertRaisesRegex(ValueError, f"says name '{other}'; expected '{self.target}'"):
      self.label('refused', dataset=os.path.join(self.config.data_dir, other))


class OwnDataTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    own_runs.write(self.root / 'Play', (20, 30, 25, 9), known=(1., 1., .4, 0.))
    config = own_runs.config(self.root, self.root / 'run', train_dt=False)
    train.train(config, config.workdir)
    self.trained = trained_idm.restore(config.workdir)

  def test_only_unknown_actions_are_labelled_and_a_dt_trains_on_the_result(self):
    card = label_dataset.label_run(self.trained, self.root / 'Labelled', progress=False)
    self.assertEqual(card['labels']['num_true'], 60)
    self.assertEqual(card['labels']['num_idm'], 24)
    content = json.loads((self.root / 'Labelled' / 'environment.json').read_text())
    self.assertEqual(content['actions']['space'], list(own_runs.ACTIONS))
    config = own_runs.config(self.root, self.root / 'dt', 'tiny,target=Labelled,method=dt')
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    phase, _ = run_config.check_run(config)
    read = inputs.read_data(config, phase).episodes['Labelled']
    self.assertEqual([read.actions_of(e)[1].sum() for e in range(4)], [20, 30, 25, 9])

  def test_an_unfinished_run_is_warned_of_once_nothing_is_refused(self):
    trained = dataclasses.replace(self.trained, step=1)
    with contextlib.redirect_stderr(io.StringIO()) as error:
      with self.assertRaisesRegex(ValueError, 'top_k is 5'):
        label_dataset.label_run(trained, self.root / 'Labelled', top_k=5)
      (self.root / 'taken').mkdir()
      (self.root / 'taken' / 'file').touch()
      with self.assertRaisesRegex(ValueError, 'taken: already exists'):
        label_dataset.label_run(trained, self.root / 'taken')
      for place, what in ((trained.directory, 'is the run'), (self.root, 'holds the dataset')):
        with self.assertRaisesRegex(ValueError, f'{what}.*; expected a new directory. Choose ano'):
          label_dataset.label_run(trained, place)
      self.assertEqual(error.getvalue(), '')
      label_dataset.label_run(trained, self.root / 'Labelled')
    self.assertStartsWith(error.getvalue(), f'warning: {self.root}/run stopped at update 1 of 4;')
    self.assertEqual(error.getvalue().count('warning'), 1)

  @parameterized.parameters(
      (dict(space=('stay', 'left', 'up', 'right')),
       'environment.json: actions.space is .*, that of .*run is .*Use an IDM of this'),
      (dict(shape=(28, 28, 3)), 'observation_shape is'))
  def test_refuses_data_that_is_not_like_that_of_the_idm(self, changes, message):
    directory = self.root / 'Other'
    directory.mkdir()
    own_runs.environment_file.write(
        directory / 'environment.json', own_runs.environment('Other', **changes))
    with self.assertRaisesRegex(ValueError, message):
      label_dataset.label_run(self.trained, self.root / 'output', dataset=str(directory),
                              progress=False)
    self.assertFalse((self.root / 'output.unfinished').exists())


if __name__ == '__main__':
  absltest.main()
