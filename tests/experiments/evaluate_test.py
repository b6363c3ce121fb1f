"""Evaluating a run by its directory, without its config."""

import contextlib
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl import flags
from absl.testing import absltest, flagsaver, parameterized

from alpt_jax.training import train
from experiments import evaluate
from experiments.configs import maze
from tests import maze_data

ROOT = pathlib.Path(__file__).resolve().parents[2]


class EvaluateTest(parameterized.TestCase):

  def evaluate(self, config, **given):
    """What is printed."""
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(**given), contextlib.redirect_stdout(io.StringIO()) as out:
      evaluate.main(config)
    return json.loads(out.getvalue())

  def test_a_run_that_moved_needs_no_config(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    config = maze_data.config(root / 'run', num_steps=2, eval_every_steps=2, seed=3)
    train.train(config, config.workdir)
    expected = self.evaluate(config)
    self.assertEqual(expected['step'], 2)
    self.assertIn('argmax', expected)
    shutil.copytree(config.data_dir, root / 'data')
    moved = str(root / 'moved')
    shutil.move(config.workdir, moved)
    final = pathlib.Path(moved, 'eval', 'final.json')
    final.unlink()
    other = maze.get_config('tiny')  # What the command line has if nothing is given.
    self.assertEqual(self.evaluate(other, run=moved), expected)
    self.assertEqual(json.loads(final.read_text()), expected)
    self.assertEqual(self.evaluate(other, run=moved, data_dir=str(root / 'data')), expected)
    shutil.rmtree(root / 'data' / config.target)
    shutil.copytree(root / 'data' / config.sources[0], root / 'data' / config.target)
    with self.assertRaisesRegex(ValueError, 'have the same data|has another config'):
      self.evaluate(other, run=moved, data_dir=str(root / 'data'))
    with self.assertRaisesRegex(ValueError, '--data_dir is /x and --run is empty; expected both'):
      self.evaluate(config, data_dir='/x')

  @parameterized.parameters('--config=experiments/configs/maze.py:tiny', '--config.seed=0')
  def test_a_run_and_a_config_are_refused_in_one_line(self, given):
    done = subprocess.run(
        [sys.executable, '-m', 'experiments.evaluate', '--run=/nowhere', given], cwd=ROOT,
        capture_output=True, text=True, check=False)
    self.assertEqual((done.returncode, done.stdout), (1, ''))
    self.assertEqual(done.stderr, 'error: --run is /nowhere and --config is given, too; expected '
                                  'one of them: --run reads the config of the run.\n')


if __name__ == '__main__':
  absltest.main()
