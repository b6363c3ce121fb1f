"""Tests that the cost of saving, and of going on, is measured as it says; never how large it is."""

import pathlib
import tempfile

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from alpt_jax import types
from experiments.benchmarks import saving
from experiments.configs import maze


class FakeUpdate:
  """Counts updates, and sees what is on the disk when they begin."""

  def __init__(self, directory):
    params = {'kernel': jnp.ones((2, 3))}
    self.state = types.TrainState(jnp.int32(0), None, types.ModelState(params, ()))
    self._directory = directory
    self.seen = []  # Number of updates; steps on the disk; whether one is being written.

  def run(self, num_steps):
    names = [path.name for path in self._directory.glob('run/checkpoints/*')]
    steps = {int(name) for name in names if name.isdecimal()}
    self.seen.append((num_steps, steps, len(names) > len(steps)))
    self.state = self.state.replace(step=self.state.step + num_steps)


class SavingTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.update = FakeUpdate(self.directory)
    self.saving = saving.Saving(self.update, self.directory, every_steps=5)
    self.addCleanup(self.saving.close)

  def steps(self):
    return {int(path.name) for path in self.directory.glob('run/checkpoints/*')}

  def test_each_turn_saves_once_and_turns_change_their_order(self):
    # Three saves that do not count; the newest two stay.
    self.assertEqual(self.steps(), {2, 3})
    self.saving.run()  # One update, save, 5 updates; 1 update, 5 updates.
    self.assertEqual(self.steps(), {3, 4})
    self.assertEqual(int(self.update.state.step), 15)
    self.saving.run()  # 1 update, 5 updates; 1 update, save, 5 updates.
    self.assertEqual(self.steps(), {4, 22})
    self.assertEqual(int(self.update.state.step), 27)

  def test_updates_without_a_save_begin_when_all_files_are_written(self):
    self.update.seen.clear()
    self.saving.run()
    self.saving.run()
    self.assertEqual([num for num, _, _ in self.update.seen], 4 * [1, 5])
    for i, expected in ((3, {3, 4}), (5, {3, 4})):  # The updates that count, without a save.
      _, steps, is_writing = self.update.seen[i]
      self.assertEqual(steps, expected)
      self.assertFalse(is_writing)

  def test_slowdown_is_that_of_neighbouring_turns(self):
    self.saving.run()
    self.saving.run()
    summary = self.saving.summary([(1.1, 1.), (1.5, 2.)])
    np.testing.assert_allclose(summary['slowdown_percent'], [10., -25.])
    self.assertEqual(summary['num_saves'], 2)
    self.assertEqual(summary['every_steps'], 5)
    self.assertEqual(summary['state_bytes'], 4 * (1 + 2 * 3))  # The step and the kernel.
    self.assertLen(summary['stopped_ms'], 2)
    self.assertLen(summary['late_ms'], 2)

  def test_updates_that_make_no_steps_are_refused(self):
    self.update.run = lambda num_steps: None
    with self.assertRaisesRegex(ValueError, 'step 3 was already saved'):
      self.saving.run()

  def test_process_that_fails_is_an_error_with_its_last_line(self):
    config = maze.get_config('tiny')
    config.data_dir = '/nowhere'
    with self.assertRaisesRegex(ValueError, 'exit code 1: error: /nowhere'):
      saving.measure_resume(config, str(self.directory), num_times=1)


if __name__ == '__main__':
  absltest.main()
