"""What is written to a run directory, by whom and in which order; states are a number."""

import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import types
from unittest import mock

import jax.numpy as jnp
from absl.testing import absltest

from alpt_jax import types as types_
from alpt_jax.training import checkpoints, distributed, metrics, run_directory, wandb_run
from tests import maze_data
from tests.training import wandb_run_test

CONTENT = {'seed': 0}


def state(step):
  model = types_.ModelState({'w': jnp.ones(2)}, ())
  return types_.TrainState(step=jnp.int32(step), idm=None, dt=model)


PROGRAM = types.SimpleNamespace(state=state(0), init=lambda key: state(0))


class RunDirectoryTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir = root / 'run'
    self.config = maze_data.config(self.workdir)

  def open(self):
    return run_directory.RunDirectory(self.config, str(self.workdir), distributed.Watch(60))

  def lines(self):
    return [json.loads(line) for line in (self.workdir / 'metrics.jsonl').read_text().splitlines()]

  def test_a_mistake_before_it_begins_leaves_nothing(self):
    with self.assertRaisesRegex(ValueError, 'a mistake'), self.open() as out:
      out.restore(PROGRAM, None)
      raise ValueError('a mistake')
    self.assertFalse(self.workdir.exists())

  def test_is_for_one_trainer(self):
    with self.open():
      self.assertTrue(run_directory.is_taken(self.workdir))
      with self.assertRaisesRegex(ValueError, 'another process is training here'), self.open():
        pass
    self.assertFalse(run_directory.is_taken(self.workdir))

  def test_line_of_metrics_is_on_the_disk_before_the_state_is_saved(self):
    done = []
    sync, save = metrics.MetricsWriter.sync, checkpoints.Checkpoints.save

    def spy(name, function):
      def call(*args, **kwargs):
        done.append((name, [line['step'] for line in self.lines()]))
        return function(*args, **kwargs)
      return call

    with mock.patch.object(metrics.MetricsWriter, 'sync', spy('sync', sync)), mock.patch.object(
        checkpoints.Checkpoints, 'save', spy('save', save)), self.open() as out:
      out.restore(PROGRAM, None)
      out.begin(CONTENT, {})
      out.write(1, {'a': 1.})
      out.save(1, state(1))
    self.assertEqual(done, [('sync', [1]), ('save', [1])])
    self.assertEqual(checkpoints.latest_step(self.workdir / 'checkpoints'), 1)

  def test_who_resumes_evaluates_what_was_postponed_and_writes_its_line_once(self):
    with self.open() as out:
      out.restore(PROGRAM, None)
      self.assertTrue(out.owes_evaluation)  # Of the start.
      out.begin(CONTENT, {})
      out.evaluated({'eval/score': 1.})
      out.postpone(3, state(3), {'loss': .5})
    self.assertEqual(self.lines(), [])
    for _ in range(2):  # Stopped once more before anything is done, it is owed still.
      with self.open() as out:
        self.assertEqual(int(out.restore(PROGRAM, None).step), 3)
        self.assertTrue(out.owes_evaluation)
        out.begin(CONTENT, {})
    with self.open() as out:
      out.restore(PROGRAM, None)
      out.begin(CONTENT, {})
      out.evaluated({'eval/score': 2.})
    self.assertEqual(self.lines(), [{'step': 3, 'loss': .5, 'eval/score': 2.}])
    with self.open() as out:
      out.restore(PROGRAM, None)
      self.assertFalse(out.owes_evaluation)

  def test_says_from_which_update_a_run_goes_on(self):
    said = []
    for _ in range(2):
      with contextlib.redirect_stderr(io.StringIO()) as error, self.open() as out:
        out.restore(PROGRAM, None)
        out.begin(CONTENT, {})
        if not said:
          out.save(4, state(4))
      said.append(error.getvalue())
    self.assertEqual(
        said, ['', f'{self.workdir}: resumes from update 4 of {self.config.num_steps}\n'])

  def test_leaves_metrics_the_last_save_the_watch_then_what_waits_for_a_network(self):
    self.config.wandb_project = 'mazes'
    self.enterContext(mock.patch.dict(sys.modules, wandb=wandb_run_test.StandIn()))
    left = []

    def note(cls, name):
      leave = cls.__exit__

      def call(this, *error):
        left.append((name, run_directory.is_taken(self.workdir)))
        return leave(this, *error)
      return mock.patch.object(cls, '__exit__', call)

    with (note(metrics.MetricsWriter, 'metrics'), note(checkpoints.Checkpoints, 'save'),
          note(distributed.Watch, 'watch'), note(wandb_run.WandbRun, 'wandb')):
      with self.open() as out:
        out.restore(PROGRAM, None)
        out.begin(CONTENT, {})
    self.assertEqual(left, [(name, True) for name in ('metrics', 'save', 'watch', 'wandb')])
    self.assertFalse(run_directory.is_taken(self.workdir))

  def test_other_hosts_than_the_first_write_nothing(self):
    self.workdir.mkdir()
    with mock.patch.object(distributed, 'is_main', lambda: False), self.open() as out:
      out.restore(PROGRAM, None)
      out.begin(CONTENT, {})
      out.evaluated({})
      out.show(1, {'idm/accuracy': .5})
      out.write(1, {'a': 1.})
      self.assertEmpty(os.listdir(self.workdir))


if __name__ == '__main__':
  absltest.main()
