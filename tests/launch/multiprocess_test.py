"""Tests of targets local and multiprocess: real processes, signals and exit codes."""

import hashlib
import json
import os
import pathlib
import signal
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from launch.targets import multiprocess
from tests.launch import repositories


class MultiprocessTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self)

  def arguments(self, *args, target='multiprocess', own=()):
    return (f'--target={target}', '--run_id=alpt', '--program=experiments.probe',
            *repositories.SETTINGS, *own, '--', '--config=experiments/configs/probe.py', *args)

  def submit(self, *args, **kwargs):
    return self.repository.run('submit', *self.arguments(*args, **kwargs))

  def start(self, *args, **kwargs):
    """Starts a launcher, and waits until all of its processes are half-way."""
    process = self.repository.start('submit', *self.arguments(*args, **kwargs))
    names = ('0',) if kwargs.get('target') == 'local' else ('0', '1')
    repositories.wait_for(lambda: all(self.is_held(name) for name in names), process)
    return process

  def is_held(self, name, start=0):
    return (self.repository.path / 'runs' / 'alpt' / 'probe' / name / f'held{start}').exists()

  def starts(self, process='0', run_id='alpt'):
    return self.repository.probe(f'runs/{run_id}', 'starts', process)

  def log(self, name, run_id='alpt'):
    return (self.repository.path / 'runs' / run_id / 'logs' / f'{name}.log').read_text()

  def test_output_is_prefixed_by_the_process_and_kept_with_times(self):
    done = self.submit(own=['--num_processes=3'])
    self.assertEqual(done.returncode, 0, done.stderr)
    for i in range(3):
      self.assertIn(f'[{i}] probe 100% 4/4\n', done.stdout)
      self.assertRegex(self.log(f'process{i}'), rf'(?m)^\S+Z process{i} probe 100% 4/4$')
    merged = self.repository.run('logs', '--target=multiprocess', '--run_id=alpt', '--tail=2')
    self.assertLen(merged.stdout.splitlines(), 2)
    self.assertRegex(merged.stderr, r'process1  \S+Z  step 4  probe 100% 4/4')

  def test_local_is_one_process_without_a_prefix(self):
    done = self.submit(target='local')
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn('\nprobe 25% 1/4\n', done.stdout)
    self.assertEqual(self.starts(), ['0 '])

  @parameterized.parameters((1, 1), (77, 1), (0, 1), (137, 2), (75, 2), (134, 2))
  def test_exit_code_decides_whether_there_is_another_start(self, code, num_starts):
    done = self.submit(f'--config.ends=({code},0)')
    self.assertEqual(done.returncode, code if num_starts == 1 else 0, done.stdout)
    self.assertLen(self.starts(), num_starts)

  def test_restarted_run_goes_on_where_it_was(self):
    self.assertEqual(self.submit('--config.ends=(137,0)').returncode, 0)
    self.assertEqual(self.repository.probe('runs/alpt', 'steps'), ['1', '2', '3', '4'])

  def test_budget_of_restarts_is_respected(self):
    done = self.submit('--config.ends=(137,)', own=['--max_restarts=1'])
    self.assertEqual(done.returncode, 137)
    self.assertLen(self.starts(), 2)

  def test_when_one_is_killed_the_others_are_ended_and_all_start_again(self):
    process = self.start('--config.ends=(-1,0)', '--config.other_ends=(-2,0)',
                         own=['--settings.grace_seconds=1'])
    path = self.repository.path / 'runs/alpt/logs/processes.json'
    # Written after the processes are made, which may be half-way by then.
    repositories.wait_for(lambda: path.exists() and path.read_text(), process)
    pids = json.loads(path.read_text())['processes']
    os.kill(pids[0], signal.SIGKILL)
    output, _ = process.communicate()
    self.assertEqual(process.returncode, 0, output)
    self.assertIn('exit code 137: starting again', output)
    self.assertLen(self.starts('0'), 2)
    self.assertLen(self.starts('1'), 2)  # It heard no SIGTERM, and was killed.

  def test_mistake_of_one_ends_the_run_with_its_code(self):
    done = self.submit('--config.ends=(1,)', '--config.other_ends=(-2,)',
                       own=['--settings.grace_seconds=1'])
    self.assertEqual(done.returncode, 1)
    self.assertIn('[0] error: sources is empty; expected at least one', done.stdout)
    self.assertLen(self.starts('1'), 1)

  @parameterized.parameters(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
  def test_signals_are_passed_on_and_the_saved_run_is_not_started_again(self, number):
    process = self.start('--config.ends=(-1,)', '--config.other_ends=(-1,)')
    process.send_signal(number)
    output, _ = process.communicate()
    self.assertEqual(process.returncode, 75)
    self.assertIn('[0] saved', output)
    self.assertIn('[1] saved', output)
    self.assertLen(self.starts(), 1)
    self.assertEqual(self.submit('--config.ends=(0,)').returncode, 0)  # The same id resumes.
    self.assertEqual(self.repository.probe('runs/alpt', 'steps'), ['1', '2', '3', '4'])

  def test_one_process_can_be_signalled_alone(self):
    process = self.start('--config.ends=(-1,)', '--config.other_ends=(-2,)',
                         own=['--signalled_process=0', '--settings.grace_seconds=1'])
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    self.assertIn('[0] saved', output)
    self.assertEqual(process.returncode, 75)

  def test_runs_of_a_fan_out_follow_one_another(self):
    done = self.submit(target='local', own=['--seeds=0,1'])
    self.assertEqual(done.returncode, 0, done.stderr)
    for run_id in ('alpt-seed0', 'alpt-seed1'):
      self.assertLen(self.starts(run_id=run_id), 1)

  def test_status_and_cleanup_find_the_launcher_which_passes_the_end_on(self):
    process = self.start('--config.ends=(-1,)', target='local')
    where = ('--target=local', '--run_id=alpt')
    status = self.repository.run('status', *where).stdout
    self.assertIn(f'alpt: launcher {process.pid}: running', status)
    self.assertIn('alpt: process ', status)
    self.repository.run('cleanup', *where, '--yes')
    process.communicate()
    self.assertEqual(process.returncode, 75)
    after = self.repository.run('cleanup', *where).stdout
    self.assertRegex(after, r'^alpt: run directory \S+/runs/alpt: kept\n$')

  def test_secret_reaches_the_program_and_nothing_else(self):
    env = {'WANDB_API_KEY': 'hunter2hunter2'}
    done = self.repository.run('submit', *self.arguments(own=['--secrets=WANDB_API_KEY']), env=env)
    self.assertEqual(self.repository.probe('runs/alpt', 'secret'),
                     [hashlib.sha256(b'hunter2hunter2').hexdigest()])
    shown = self.repository.run(
        'submit', *self.arguments(own=['--secrets=WANDB_API_KEY', '--dry_run']), env=env)
    self.assertIn('WANDB_API_KEY=*** ', shown.stdout)
    self.assertNotIn('hunter2', done.stdout + done.stderr + shown.stdout + shown.stderr)
    for path in self.repository.path.rglob('*'):
      if path.is_file():
        self.assertNotIn(b'hunter2', path.read_bytes(), path)

  def test_secret_that_the_program_prints_is_hidden(self):
    with mock.patch.dict(os.environ, {'MY_TOKEN': 'hunter2hunter2'}):
      directory = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
      group = multiprocess.Group(
          [['bash', '-c', 'echo "token $MY_TOKEN"']], [dict(os.environ)], directory,
          grace_seconds=5, redact=lambda text: text.replace(os.environ['MY_TOKEN'], '***'))
      self.assertEqual(group.wait(), 0)
    self.assertTrue((directory / 'process0.log').read_text().endswith('process0 token ***\n'))

  def test_each_process_is_told_its_place(self):
    env = multiprocess.environment(1, num_processes=2, devices_per_process=4, port=1234,
                                   base={'XLA_FLAGS': '--a=b '
                                         '--xla_force_host_platform_device_count=9'})
    self.assertEqual(env, {
        'ALPT_COORDINATOR': '127.0.0.1:1234', 'ALPT_NUM_PROCESSES': '2', 'ALPT_PROCESS_ID': '1',
        'JAX_PLATFORMS': 'cpu',
        'XLA_FLAGS': '--a=b --xla_force_host_platform_device_count=4'})


if __name__ == '__main__':
  absltest.main()
