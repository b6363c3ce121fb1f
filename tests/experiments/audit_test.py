"""The program experiments.audit."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

from absl.testing import absltest

from alpt_jax.training import train
from tests import maze_data

ROOT = pathlib.Path(__file__).resolve().parents[2]


class BinaryTest(absltest.TestCase):

  def run_binary(self, *args):
    return subprocess.run([sys.executable, '-m', 'experiments.audit', *args], cwd=ROOT,
                          capture_output=True, text=True, check=False)

  def test_a_mistake_is_one_line(self):
    done = self.run_binary('--run=/nowhere')
    self.assertEqual(done.returncode, 1)
    self.assertEqual(done.stderr, 'error: /nowhere/config.json: no such file; expected a run '
                                  'directory that experiments.train wrote. Correct the path.\n')

  def test_verdict_page_and_numbers(self):
    with tempfile.TemporaryDirectory() as directory:
      config = maze_data.config(os.path.join(directory, 'run'), train_dt=False)
      train.train(config, config.workdir)
      path = pathlib.Path(config.workdir, 'config.json')  # As if it had been stopped.
      path.write_text(json.dumps(json.loads(path.read_text()) | {'num_steps': 10_000}))
      refused = self.run_binary(f'--run={config.workdir}', '--stride=6')
      self.assertEqual(refused.returncode, 1)
      self.assertRegex(refused.stderr, '^error: stride is 6; .*\n$')  # No warning before.
      refused = self.run_binary(f'--run={config.workdir}', f'--causal={config.workdir}')
      self.assertRegex(refused.stderr, '^error: .*idm_is_causal is False; expected True.*\n$')
      done = self.run_binary(f'--run={config.workdir}', '--num_episodes=10')
      self.assertEqual(done.returncode, 0, msg=done.stderr)
      self.assertRegex(done.stderr, r'(?m)^warning: .* stopped at update \d+ of 10000;')
      found = json.loads(pathlib.Path(config.workdir, 'audit', 'audit.json').read_text())
      page = pathlib.Path(config.workdir, 'audit', 'audit.html').read_text()
    self.assertIn(found['headlines'][0], done.stdout)
    self.assertIn(found['headlines'][0], page)
    self.assertIn('10 held-out episodes', found['headlines'][0])
    environment, = found['environments']
    floors = environment['floors']['floors']  # Of mazes, the best is a table.
    self.assertAlmostEqual(floors['margin']['value'],
                           environment['accuracy']['value'] - floors[floors['best']]['value'])
    self.assertIn('; a table of the change from one observation', found['headlines'][0])
    self.assertIn(f"Temperature {found['temperature']:.4g} for experiments.label with --stride=1; "
                  f"{found['training_temperature']:.4g} for training", done.stdout)
    fit = found['training_temperature_fit']
    self.assertIn(f"  training_temperature {fit['fitted']:.4g}, fitted to "
                  f"{fit['num_episodes_fitted']} episodes; on {fit['num_episodes_judged']} others "
                  f"the log-likelihood costs {fit['nll_before']:.3f} -> ", done.stdout)
    command, = re.findall('(?m)^To label: python -m experiments.label (.*)$', done.stdout)
    self.assertEqual(shlex.split(command), [
        f'--run={config.workdir}', f"--output={os.path.join(config.data_dir, 'Labelled')}",
        '--stride=1', f"--temperature={found['temperature'] or 1:.4g}"])
    self.assertIn(command, page)


if __name__ == '__main__':
  absltest.main()
