"""Test of target multiprocess with the real program: two processes train a tiny maze together."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import jax
from absl.testing import absltest

from tests import maze_data
from tests.launch import repositories

_NUM_STEPS, _SAVE_EVERY = 100, 10


class TrainTest(absltest.TestCase):

  def test_run_survives_a_kill_and_a_preemption_of_one_process(self):
    root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    self.workdir = root / 'tiny'
    cache = jax.config.jax_compilation_cache_dir or str(root / 'cache')
    launcher = subprocess.Popen(
        [sys.executable, '-m', 'launch.submit', '--target=multiprocess', '--run_id=tiny',
         '--num_processes=2', '--devices_per_process=2', f'--settings.run_root={root}',
         f'--settings.data_dir={maze_data.recorded()}', '--settings.first_pause_seconds=0',
         '--settings.grace_seconds=20', '--', '--config=experiments/configs/maze.py:tiny',
         '--config.sharding.num_devices=0',
         '--config.train_dt=False', '--config.idm_batch_size=16',  # Less to compile.
         f'--config.num_steps={_NUM_STEPS}', f'--config.checkpoint_every_steps={_SAVE_EVERY}',
         '--config.log_every_steps=10', '--config.eval_every_steps=1000',
         f'--config.compilation_cache_dir={cache}'],
        cwd=repositories.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    self.addCleanup(lambda: launcher.poll() is None and launcher.terminate())
    repositories.wait_for(lambda: self.last_step() > 2 * _SAVE_EVERY, launcher, timeout=400)
    os.kill(self.pids()[1], signal.SIGKILL)
    killed_at = self.last_step()
    repositories.wait_for(lambda: 'starting again' in launcher.stdout.readline(), launcher)
    repositories.wait_for(lambda: self.last_step() > killed_at + 2 * _SAVE_EVERY, launcher,
                          timeout=400)
    os.kill(self.pids()[1], signal.SIGTERM)  # Of one; both save and stop at the same step.
    output, _ = launcher.communicate(timeout=400)
    self.assertEqual(launcher.returncode, 0, output)
    self.assertIn('exit code 75: starting again', output)
    self.assertEqual(self.steps(), list(range(10, _NUM_STEPS + 1, 10)))

  def steps(self):
    path = self.workdir / 'metrics.jsonl'
    lines = path.read_text().split('\n')[:-1] if path.exists() else []
    return [json.loads(line)['step'] for line in lines]

  def last_step(self):
    return max(self.steps(), default=0)

  def pids(self):
    return json.loads((self.workdir / 'logs' / 'processes.json').read_text())['processes']


if __name__ == '__main__':
  absltest.main()
