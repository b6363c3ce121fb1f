"""No finetuning starts from a run that knew hidden actions of its target."""

import contextlib
import dataclasses
import io
import json
import pathlib
import shutil
import tempfile
from unittest import mock

import jax
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import domains, methods
from alpt_jax.data import labels
from alpt_jax.training import (
    checkpoints,
    inputs,
    pretraining,
    program,
    run_config,
    sharding,
    stopping,
    train,
)
from tests import maze_data

TARGET, SOURCE = 'maze-8-blocks:3-seed0', 'maze-8-blocks:3-seed100'
TUNNEL = 'maze-8-tunnel-seed100'


class PretrainingTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.good = maze_data.config(cls.root / 'good', phase='pretrain', num_steps=2)
    assert train.train(cls.good, cls.good.workdir) == stopping.DONE

  def copy(self, **changes):
    """A copy of the pretraining whose config.json says something else."""
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'copy')
    shutil.copytree(self.good.workdir, directory)
    content = json.loads((directory / 'config.json').read_text())
    (directory / 'config.json').write_text(json.dumps(content | changes))
    return directory

  def finetuning(self, directory, **changes):
    return maze_data.config(self.root / 'finetuning', phase='finetune', num_steps=1,
                            init_from=str(directory), **changes)

  def assert_refused(self, message, directory, *, error=ValueError, **changes):
    config = self.finetuning(directory, **changes)
    with self.assertRaisesRegex(error, message) as caught:
      train.train(config, config.workdir)
    self.assertNotIn('\n', str(caught.exception))
    self.assertFalse(pathlib.Path(config.workdir).exists())

  def test_a_copy_of_the_pretraining_is_not_refused(self):
    config = self.finetuning(self.copy())
    config.workdir = str(self.root / 'not refused')
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    # Going on needs the config and labels of the pretraining, but no checkpoint of it.
    shutil.rmtree(pathlib.Path(config.init_from, 'checkpoints'))
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)

  def test_a_run_of_oracle_is_refused_by_every_method(self):
    oracle = maze_data.config(self.root / 'oracle', method='oracle', phase='finetune', num_steps=1)
    self.assertEqual(train.train(oracle, oracle.workdir), stopping.DONE)
    for name, method in methods.METHODS.items():
      if name == 'cql':  # Mazes do not have it.
        continue
      self.assert_refused(
          'init_from is .*starts from scratch' if method.pretrain is None else
          "config.json: method is 'oracle', which sees every action of the target",
          oracle.workdir, method=name)

  @parameterized.parameters(
      (dict(method='oracle'), "method is 'oracle', which sees every action"),
      (dict(method='dt'), "method is 'dt', which sees every action"),
      (dict(phase='joint'), "phase is 'joint'; expected the run of a pretraining"),
      (dict(phase='finetune'), "phase is 'finetune'; expected the run of a pretraining"),
      (dict(method='dt5'), "method is 'dt5', whose pretraining is not that of 'alpt'"),
      (dict(method='alpt_idm_only'), "method is 'alpt_idm_only', whose pretraining is not that of"),
      (dict(method='dt1', phase='finetune'), "phase is 'finetune'; expected"),
      (dict(method='bc'), "method is 'bc'; expected one of"),
      (dict(init_from='runs/oracle'), 'init_from is runs/oracle, so it was not pretrained from'),
      (dict(sources=[TARGET], target=SOURCE), f'sources contain {TARGET}, the target of this run'),
      (dict(target=TUNNEL), f'target is {TUNNEL}, this run has {TARGET}, whose actions'),
      (dict(num_labels=100), 'num_labels is 100, this run has 50'),
      (dict(label_seed=7), 'label_seed is 7, this run has 0'),
      (dict(source_actions='permuted'), 'source_actions is permuted, this run has true'),
      (dict(data_digests={TARGET: 'ab'}), f'data_digests.{TARGET} is ab, the data of this run has'),
      (dict(data_digests={}), f'data_digests.{TARGET} is None, the data of this run has'),
      (dict(num_steps=3), 'its newest checkpoint is of step 2, and its num_steps is 3'))
  def test_what_knew_more_than_the_finetuning_may(self, changes, message):
    self.assert_refused(message, self.copy(**changes))

  def test_a_source_that_is_a_copy_of_the_target(self):
    content = json.loads(pathlib.Path(self.good.workdir, 'config.json').read_text())
    digest = content['data_digests'][TARGET]
    self.assert_refused(
        f'data_digests.{SOURCE} is {digest}, that of the target',
        self.copy(data_digests={TARGET: digest, SOURCE: digest}))

  def test_a_source_that_shows_the_target_with_other_actions(self):
    read = domains.named('maze').read

    def read_copy(domain, name, **settings):
      data = read(domain, TARGET if name == SOURCE else name, **settings)
      return dataclasses.replace(data, actions=3 - data.actions) if name == SOURCE else data

    message = (f'config.json: sources has {SOURCE}: {SOURCE} holds 40 of the 40 episodes of the '
               f'target {TARGET}, .* Pretrain again.$')
    with mock.patch.object(domains.named('maze'), 'read', read_copy):
      self.assert_refused(message, self.copy())
      with self.assertRaisesRegex(ValueError, f'^{SOURCE} holds 40 of the 40 episodes'):
        train.train(self.good, str(self.root / 'another'))
      # A source that has changed since, or is not here, says nothing of the pretraining.
      digests = json.loads((self.copy() / 'config.json').read_text())['data_digests']
      config = self.finetuning(self.copy(data_digests=digests | {SOURCE: 'ab'}))
      config.workdir = str(self.root / 'source has changed')
      printed = self.enterContext(contextlib.redirect_stdout(io.StringIO()))
      self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    self.assertIn(f'whether the source {SOURCE} holds copies of episodes of {TARGET} was not '
                  'checked again: its data has changed since.\n', printed.getvalue())

  def test_a_source_that_is_gone_is_said_not_to_be_compared(self):
    config = self.finetuning(self.good.workdir)
    phase, _ = run_config.check_run(config)
    data = inputs.read_data(config, phase)
    digests = domains.digests(config, inputs.environments(config, phase))
    directories = domains.named('maze').directories
    printed = self.enterContext(contextlib.redirect_stdout(io.StringIO()))
    pretraining.check_data(config, digests, data)
    self.assertNotIn('not checked', printed.getvalue())
    with mock.patch.object(domains.named('maze'), 'directories', lambda self, name: (
        ['/gone'] if name == SOURCE else directories(self, name))):
      pretraining.check_data(config, digests, data)
    self.assertIn('was not checked again: there is no /gone.\n', printed.getvalue())
    printed.truncate(0)
    choice = data.choices[config.target]
    data.choices[config.target] = choice._replace(windows=choice.windows[1:])
    with mock.patch.object(domains.named('maze'), 'directories', lambda self, name: (
        ['/gone'] if name == SOURCE else directories(self, name))), \
        self.assertRaisesRegex(ValueError, 'pretrain again'):
      pretraining.check_data(config, digests, data)
    self.assertNotIn('not checked', printed.getvalue())  # The error is what matters.

  def test_other_labels_of_the_same_number_and_seed(self):
    directory = self.copy()
    choice = labels.read_choice(directory / 'labels.json')
    windows = choice.windows.copy()
    windows[3] = (39, 0) if tuple(windows[3]) != (39, 0) else (38, 0)
    labels.write_choice(directory / 'labels.json', choice._replace(windows=windows))
    self.assert_refused('labels.json: 10 labelled windows, 1 of which this run does not have',
                        directory)

  def test_lost_labels(self):
    directory = self.copy()
    (directory / 'labels.json').unlink()
    self.assert_refused('labels.json: no such file, so nothing says which actions', directory,
                        error=FileNotFoundError)

  def test_a_pretraining_without_checkpoint(self):
    directory = self.copy()
    shutil.rmtree(directory / 'checkpoints')
    self.assert_refused('its newest checkpoint is of step 0', directory)

  @parameterized.parameters('joint', 'pretrain')
  def test_only_finetuning_starts_from_a_pretraining(self, phase):
    config = self.finetuning(self.good.workdir)
    config.phase = phase
    with self.assertRaisesRegex(ValueError, f'in phase finetune, not {phase}. Leave it empty'):
      train.train(config, config.workdir)

  def test_parameters_are_those_of_the_pretraining_and_optimizers_are_new(self):
    phase, specs = run_config.check_run(self.good)
    made = program.make_program(self.good, phase, specs, sharding.make_mesh(num_devices=1))
    state = made.init(jax.random.key(1))
    started = pretraining.initialise(self.good.workdir, state)
    _, saved = checkpoints.restore_params(
        f'{self.good.workdir}/checkpoints', program.network_params(state))
    jax.tree.map(np.testing.assert_array_equal, program.network_params(started), saved)
    jax.tree.map(np.testing.assert_array_equal, started.idm.opt_state, state.idm.opt_state)


if __name__ == '__main__':
  absltest.main()
