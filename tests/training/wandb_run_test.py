"""Logging to Weights & Biases, against a stand-in for its package."""

import os
import pathlib
import sys
import tempfile
import types
from unittest import mock

from absl.testing import absltest

from alpt_jax.training import metrics, wandb_run
from experiments.configs import maze


class Error(Exception):
  """As wandb.Error."""


class StandIn(types.ModuleType):
  """The part of wandb that is used, with what its server would have.

  Attributes:
    rows: {identifier: {step: scalars}}.
    calls: the arguments of every init.
    exit_codes: of every finished run.
    is_logged_in, error: what the next calls meet.
  """

  def __init__(self):
    super().__init__('wandb')
    self.Error, self.Settings = Error, dict
    self.rows, self.calls, self.exit_codes = {}, [], []
    self.is_logged_in, self.error, self.used = True, None, set()

  def login(self, *, prompt, verify):
    assert not prompt and not verify
    return self.is_logged_in

  def init(self, **settings):
    assert settings['id'] not in self.used, 'the identifier is in use'
    self.used.add(settings['id'])
    self.calls.append(settings)
    if self.error and settings['mode'] != 'offline':
      raise self.error
    rows = self.rows.setdefault(settings['id'], {})
    return Run(self, rows, max(rows, default=-1) + 1)

  def teardown(self):
    self.used.clear()


class Run:
  """As wandb.Run: refuses to go back."""

  def __init__(self, module, rows, step):
    self._module, self._rows, self.step = module, rows, step

  def log(self, scalars, *, step, commit):
    if self._module.error:
      raise self._module.error
    assert commit and step >= self.step, f'step {step} after {self.step}'
    self._rows[step], self.step = scalars, step + 1

  def finish(self, exit_code):
    self._module.teardown()
    self._module.exit_codes.append(exit_code)
    if self._module.error:
      raise self._module.error


class WandbRunTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.wandb = StandIn()
    self.enterContext(mock.patch.dict(sys.modules, wandb=self.wandb))
    self.enterContext(mock.patch.dict(os.environ))
    os.environ.pop('WANDB_MODE', None)
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir = self.root / 'run'
    self.config = maze.get_config('tiny')
    self.config.wandb_project = 'mazes'

  def write(self, *steps, resume_step=0):
    with metrics.MetricsWriter(
        self.workdir / 'metrics.jsonl', resume_step=resume_step) as writer, wandb_run.WandbRun(
            self.config, str(self.workdir), writer.lines) as viewer:
      writer.add(viewer)
      for step in steps:
        writer.write(step, {'idm/loss': step / 8, 'dt/loss': float('nan')})

  def only_rows(self):
    rows, = self.wandb.rows.values()
    return rows

  def test_has_the_lines_of_metrics_without_null(self):
    self.write(2, 4)
    self.assertEqual(self.only_rows(), {2: {'idm/loss': .25}, 4: {'idm/loss': .5}})
    call, = self.wandb.calls
    self.assertEqual((call['project'], call['name'], call['mode'], call['resume'], call['dir']),
                     ('mazes', 'run', 'online', 'allow', str(self.workdir)))
    self.assertEqual(call['config']['model']['d_model'], 16)
    self.assertEqual(self.wandb.exit_codes, [0])

  def test_resumed_run_is_the_same_and_sends_nothing_twice(self):
    self.write(2, 4, 6)
    self.write(4, 6, 8, resume_step=2)
    self.assertEqual(list(self.only_rows()), [2, 4, 6, 8])

  def test_what_was_written_before_it_was_asked_for_is_sent(self):
    with metrics.MetricsWriter(self.workdir / 'metrics.jsonl', resume_step=0) as writer:
      writer.write(2, {'idm/loss': .25})
    self.write(4, resume_step=2)
    self.assertEqual(self.only_rows(), {2: {'idm/loss': .25}, 4: {'idm/loss': .5}})

  def test_another_directory_is_another_run(self):
    self.write(2)
    self.workdir = self.root / 'elsewhere' / 'run'
    self.write(2)
    self.assertLen(self.wandb.rows, 2)

  def test_without_a_login_it_is_recorded_offline_and_said_in_one_line(self):
    self.wandb.is_logged_in = False
    with self.assertLogs(level='WARNING') as logs:
      self.write(2)
    self.assertLen(logs.output, 1)
    self.assertRegex(logs.output[0], 'W&B: no login .*recording offline')
    self.assertEqual(self.wandb.calls[0]['mode'], 'offline')
    self.assertLen(self.only_rows(), 1)

  def test_mode_of_the_environment_is_kept(self):
    os.environ['WANDB_MODE'], self.wandb.is_logged_in = 'disabled', False
    self.write(2)
    self.assertIsNone(self.wandb.calls[0]['mode'])  # W&B reads it itself.

  def test_server_that_cannot_be_reached_stops_nothing(self):
    self.wandb.error = Error('no\nconnection')
    with self.assertLogs(level='WARNING') as logs:
      self.write(2)
    self.assertRegex(logs.output[0], 'W&B: no connection; recording offline instead')
    self.assertEqual([call['mode'] for call in self.wandb.calls], ['online', 'offline'])

  def test_process_of_wandb_that_ends_stops_nothing_and_loses_no_metrics(self):
    with metrics.MetricsWriter(
        self.workdir / 'metrics.jsonl', resume_step=0) as writer, self.assertLogs(
            level='ERROR') as logs, wandb_run.WandbRun(
                self.config, str(self.workdir), writer.lines) as viewer:
      writer.add(viewer)
      self.wandb.error = ConnectionResetError('Connection lost')
      for step in (2, 4):
        writer.write(step, {'idm/loss': 1.})
    self.assertLen(logs.output, 1)
    self.assertRegex(logs.output[0], 'W&B: Connection lost; it gets nothing more')
    self.assertLen((self.workdir / 'metrics.jsonl').read_text().splitlines(), 2)

  def test_process_of_wandb_that_ends_last_is_said(self):
    self.workdir.mkdir()
    with self.assertLogs(level='ERROR') as logs, wandb_run.WandbRun(
        self.config, str(self.workdir), []):
      self.wandb.error = ConnectionResetError('Connection lost')
    self.assertLen(logs.output, 1)

  def test_failed_training_is_a_failed_run(self):
    self.workdir.mkdir()
    with self.assertRaises(FloatingPointError), wandb_run.WandbRun(
        self.config, str(self.workdir), []):
      raise FloatingPointError
    self.assertEqual(self.wandb.exit_codes, [1])

  def test_missing_package_names_the_remedy(self):
    with mock.patch.dict(sys.modules, wandb=None), self.assertRaisesRegex(
        ValueError, r'^wandb_project: .*wandb.* Install it \(pip install wandb\), or leave '
        '--config.wandb_project empty.$'):
      wandb_run.check_installed()


if __name__ == '__main__':
  absltest.main()
