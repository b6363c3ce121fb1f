"""What experiments/train.py says to whoever decides whether to start it again."""

import contextlib
import io
import pathlib
import tempfile
from unittest import mock

import jax
from absl.testing import absltest, parameterized

from alpt_jax.training import distributed, stopping, train
from experiments import train as train_program
from tests import maze_data


class ExitCodesTest(parameterized.TestCase):

  def run_failing(self, error):
    """Runs the program with a training that ends with an error; returns exit code and output."""
    config = maze_data.config(self.enterContext(tempfile.TemporaryDirectory()))
    config.compilation_cache_dir = ''
    err = io.StringIO()
    with mock.patch.object(train, 'train', side_effect=error), contextlib.redirect_stderr(err):
      return train_program.main(config), err.getvalue()

  def test_loss_that_is_not_finite(self):
    config = maze_data.config(
        pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'run'))
    config.compilation_cache_dir = ''
    config.optimizer.update(idm_learning_rate=1e39, dt_learning_rate=1e39, warmup_steps=0)
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
      self.assertEqual(train_program.main(config), stopping.POISONED)
    self.assertRegex(err.getvalue(), 'error: .*(nan|inf|not finite)')
    self.assertFalse(any(pathlib.Path(config.workdir, 'checkpoints').glob('[0-9]*')))

  def test_failed_device_asks_for_a_restart(self):
    code, err = self.run_failing(jax.errors.JaxRuntimeError('UNAVAILABLE: connection reset'))
    self.assertEqual(code, distributed.HUNG)
    self.assertIn('connection reset', err)
    self.assertIn('start again', err)

  def test_too_little_memory_does_not(self):
    with self.assertRaisesRegex(jax.errors.JaxRuntimeError, 'Out of memory'):
      self.run_failing(jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory'))


if __name__ == '__main__':
  absltest.main()
