"""Tests of target slurm against stand-ins for its commands; the batch script is really run."""

import hashlib
import os
import signal
import subprocess

from absl.testing import absltest, parameterized

from tests.launch import repositories


class SlurmTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self)
    self.directory = self.repository.directory
    self.runs = self.directory / 'shared'

  def submit(self, *args, own=(), env=None):
    return self.repository.run(
        'submit', '--target=slurm', '--run_id=alpt', '--program=experiments.probe',
        *repositories.SETTINGS, f'--settings.run_root={self.runs}',
        '--settings.slurm.partition=tpu', '--settings.slurm.nodes=2',
        '--settings.first_pause_seconds=0', *own, '--',
        '--config=experiments/configs/probe.py', '--config.first_process=node0-0', *args, env=env)

  def start_job(self, restarts, **env):
    """What Slurm does when the nodes are there: runs the script in --chdir."""
    script = self.repository.stand_ins / 'job.sbatch'
    options = dict(line.removeprefix('#SBATCH --').split('=', 1)
                   for line in script.read_text().splitlines()
                   if line.startswith('#SBATCH --') and '=' in line)
    return subprocess.Popen(
        ['bash', str(script)], cwd=options['chdir'], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=self.repository.environment(SLURM_JOB_ID='42', SLURM_RESTART_COUNT=str(restarts),
                                        NUM_TASKS='2', **env))

  def run_job(self, max_starts=10, **env):
    """Runs the job as often as it puts itself into the queue; returns (exit code, starts)."""
    for restarts in range(max_starts):
      requeued = self.repository.stand_ins / 'requeued'
      requeued.unlink(missing_ok=True)
      process = self.start_job(restarts, **env)
      process.communicate(timeout=60)
      if not requeued.exists():
        return process.returncode, restarts + 1
    raise AssertionError(f'still not over after {max_starts} starts')

  def starts(self, process='node0-0'):
    return self.repository.probe(self.runs / 'alpt', 'starts', process)

  def test_job_is_handed_in_and_runs_on_every_node(self):
    self.repository.scenario(sbatch='42\n')
    done = self.submit()
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn('alpt: job 42', done.stdout)
    self.assertEqual(self.run_job(), (0, 1))
    self.assertEqual(self.starts('node0-0'), ['0 1'])  # Distributed.
    self.assertEqual(self.starts('node1-1'), ['0 1'])
    logs = self.repository.run('logs', '--target=slurm', '--run_id=alpt',
                               f'--settings.run_root={self.runs}')
    self.assertIn('node1-1 probe 100% 4/4', logs.stdout)
    self.assertRegex(logs.stderr, r'node0-0  \S+  step 4')

  def test_preempted_job_goes_back_into_the_queue_and_resumes(self):
    # One is told to stop. If both ended by themselves, the one that is late would be ended by Slurm
    # before it has begun to count its starts.
    self.submit('--config.ends=(75,75,0)')
    self.assertEqual(self.run_job(), (0, 3))
    self.assertEqual(self.repository.probe(self.runs / 'alpt', 'steps', 'node0-0'),
                     ['1', '2', '3', '4'])
    self.assertIn(['scontrol', 'requeue', '42'], self.repository.calls())

  def test_signal_of_slurm_reaches_the_program_which_saves(self):
    self.submit('--config.ends=(-1,0)', '--config.other_ends=(-1,0)')
    process = self.start_job(0)
    held = [self.runs / 'alpt' / 'probe' / name / 'held0' for name in ('node0-0', 'node1-1')]
    repositories.wait_for(lambda: all(path.exists() for path in held), process)
    # At a preemption, Slurm signals the steps, then the batch script, too.
    os.kill(int((self.repository.stand_ins / 'srun.pid').read_text()), signal.SIGTERM)
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    self.assertIn('saved', output)
    self.assertIn('exit code 75: back into the queue', output)

  @parameterized.parameters(1, 77)
  def test_final_codes_are_not_requeued_though_slurm_ends_the_other_tasks(self, code):
    self.submit(f'--config.ends=({code},)', '--config.other_ends=(-1,)')
    self.assertEqual(self.run_job(), (code, 1))

  def test_budget_of_restarts_is_respected(self):
    self.submit('--config.ends=(137,)', own=['--max_restarts=2'])
    self.assertEqual(self.run_job(), (137, 3))

  def test_run_that_is_in_the_queue_is_not_handed_in_twice(self):
    self.repository.scenario(squeue='41 RUNNING\n')
    done = self.submit()
    self.assertEqual(done.returncode, 1)
    self.assertIn('error: alpt: is job 41, RUNNING.', done.stderr)
    self.assertNotIn('sbatch', [call[0] for call in self.repository.calls()])

  def test_cleanup_cancels_the_job_and_keeps_the_run(self):
    self.repository.scenario(squeue='41 RUNNING\n')
    where = ('--target=slurm', '--run_id=alpt', f'--settings.run_root={self.runs}')
    self.assertIn('alpt: job 41: RUNNING', self.repository.run('status', *where).stdout)
    done = self.repository.run('cleanup', *where, '--yes')
    self.assertIn('alpt: job 41: deleted', done.stdout)
    self.assertEqual(self.repository.calls()[-1], ['scancel', '41'])

  def test_secret_is_handed_on_by_name(self):
    env = {'WANDB_API_KEY': 'hunter2hunter2'}
    done = self.submit(own=['--secrets=WANDB_API_KEY'], env=env)
    script = (self.repository.stand_ins / 'job.sbatch').read_text()
    self.assertIn('#SBATCH --export=PATH,HOME,USER,WANDB_API_KEY\n', script)
    self.assertEqual(self.run_job(**env), (0, 1))
    self.assertEqual(self.repository.probe(self.runs / 'alpt', 'secret', 'node0-0'),
                     [hashlib.sha256(b'hunter2hunter2').hexdigest()])
    self.assertNotIn('hunter2', done.stdout + done.stderr)
    for path in self.directory.rglob('*'):
      if path.is_file():
        self.assertNotIn(b'hunter2', path.read_bytes(), path)

  def test_secret_that_is_not_there_is_named(self):
    done = self.submit(own=['--secrets=WANDB_API_KEY'])
    self.assertEqual(done.stderr,
                     'error: secrets: WANDB_API_KEY is not in the environment. Export it first.\n')

  def test_two_runs_share_the_code(self):
    done = self.submit(own=['--seeds=0,1', '--dry_run'])
    self.assertEqual(done.stdout.count('\ntar '), 1)
    self.assertEqual(done.stdout.count('\nsbatch '), 2)
    self.assertEmpty(self.repository.calls())


if __name__ == '__main__':
  absltest.main()
