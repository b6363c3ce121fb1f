"""Tests of target tpu_vm against a stand-in for gcloud that really runs what workers are told."""

import hashlib
import os
import shlex
import signal

from absl.testing import absltest, parameterized

from tests.launch import repositories

_WAITING = ['WAITING_FOR_RESOURCES', 'PROVISIONING', 'ACTIVE']
_SECRET = 'hunter2hunter2'


class TpuVmTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self)
    self.directory = self.repository.directory
    self.runs = self.directory / 'shared'

  def arguments(self, *args, tpu='v5e:2x4', own=()):
    return ('--target=tpu_vm', '--run_id=alpt', '--program=experiments.probe',
            *repositories.SETTINGS, f'--settings.run_root={self.runs}', f'--settings.tpu={tpu}',
            *own, '--', '--config=experiments/configs/probe.py',
            '--config.first_process=worker0', *args)

  def submit(self, *args, **kwargs):
    return self.repository.run('submit', *self.arguments(*args, **kwargs))

  def held(self, worker='worker0', start=0, run_id='alpt'):
    """A file that the program makes when it is half-way, and waits."""
    return str(self.runs / run_id / 'probe' / worker / f'held{start}')

  def verbs(self):
    """Of queued resources, in order: what was asked."""
    return [call[4] for call in self.repository.calls()
            if call[3] == 'queued-resources' and call[4] != 'describe']

  def starts(self, worker='worker0', run_id='alpt'):
    return self.repository.probe(self.runs / run_id, 'starts', worker)

  @parameterized.parameters('PREEMPTED', 'SUSPENDED', 'FAILED')
  def test_taken_away_machines_are_requested_again_and_the_run_resumes(self, state):
    self.repository.scenario(requests=[
        {'states': _WAITING, 'lose_when': self.held(), 'lost_state': state},
        {'states': _WAITING}])
    done = self.submit('--config.ends=(-1,0)')
    self.assertEqual(done.returncode, 0, done.stdout)
    # The dead request is deleted before there is another one, and that one at the end.
    self.assertEqual(self.verbs(), ['create', 'delete', 'create', 'delete'])
    self.assertEqual(self.starts(), ['0 1', '1 1'])
    self.assertEqual(self.repository.probe(self.runs / 'alpt', 'steps', 'worker0'),
                     ['1', '2', '3', '4'])  # None twice: the second start found the first's.
    for state in _WAITING:
      self.assertEqual(done.stdout.count(f'alpt: {state}\n'), 2)

  def test_who_is_not_logged_in_is_told_at_once(self):
    self.repository.scenario(requests=[], is_logged_out=True)
    done = self.submit()
    self.assertEqual(done.returncode, 1)
    self.assertIn('gcloud auth login', done.stderr)
    self.assertEqual(self.verbs(), [])

  def test_lost_node_is_noticed_though_its_request_is_called_active(self):
    self.repository.scenario(requests=[
        {'states': ['ACTIVE'], 'lose_when': self.held(), 'lost_state': 'ACTIVE',
         'node_when_lost': 'TERMINATED'}, {'states': ['ACTIVE']}])
    done = self.submit('--config.ends=(-1,0)')
    self.assertEqual(done.returncode, 0, done.stdout)
    self.assertEqual(self.verbs(), ['create', 'delete', 'create', 'delete'])

  def test_dead_request_of_before_is_deleted_first(self):
    self.repository.scenario(requests=[{'states': ['SUSPENDED']}, {'states': _WAITING}])
    (self.repository.stand_ins / 'state-alpt.json').write_text('{"num_requests": 1, "shown": 0}')
    done = self.submit()
    self.assertEqual(done.returncode, 0, done.stdout)
    self.assertEqual(self.verbs(), ['delete', 'create', 'delete'])

  def test_mistake_is_not_started_again(self):
    self.repository.scenario(requests=[{'states': _WAITING}])
    done = self.submit('--config.ends=(1,0)')
    self.assertEqual(done.returncode, 1)
    self.assertLen(self.starts(), 1)
    self.assertEqual(self.verbs(), ['create', 'delete'])
    log = (self.repository.path / 'runs' / 'launch' / 'alpt' / 'pod.log').read_text()
    self.assertIn('worker0 error: sources is empty', log)  # Kept, though the host is gone.

  def test_poisoned_run_is_not_started_again(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}])
    self.assertEqual(self.submit('--config.ends=(77,0)').returncode, 77)
    self.assertLen(self.starts(), 1)

  def test_killed_program_is_started_again_on_the_same_machines(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}])
    self.assertEqual(self.submit('--config.ends=(137,75,0)').returncode, 0)
    self.assertLen(self.starts(), 3)
    self.assertEqual(self.verbs(), ['create', 'delete'])

  def test_budget_of_restarts_is_respected(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}])
    done = self.submit('--config.ends=(137,)', own=['--max_restarts=2'])
    self.assertEqual(done.returncode, 137)
    self.assertIn('the budget of restarts is spent', done.stdout)
    self.assertLen(self.starts(), 3)
    self.assertEqual(self.verbs(), ['create', 'delete'])

  def test_first_worker_to_fail_decides_and_those_that_wait_for_it_are_ended(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}], num_workers=4)
    done = self.submit('--config.ends=(77,)', '--config.other_ends=(-2,)', tpu='v5e:4x4',
                       own=['--settings.grace_seconds=1'])
    self.assertEqual(done.returncode, 77, done.stdout)
    self.assertLen(self.starts('worker3'), 1)

  def test_launcher_that_was_interrupted_watches_again(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}])
    arguments = self.arguments('--config.ends=(-1,0)')
    first = self.repository.start('submit', *arguments)
    repositories.wait_for(lambda: os.path.exists(self.held()), first)
    first.send_signal(signal.SIGINT)
    output, _ = first.communicate()
    self.assertEqual(first.returncode, 130)
    self.assertIn('what runs goes on, and costs', output)
    second = self.repository.start('submit', *arguments)
    pid = next(self.repository.stand_ins.glob('hosts/*/alpt/runs/alpt/pid'))
    repositories.wait_for(lambda: 'running already' in second.stdout.readline(), second)
    os.kill(int(pid.read_text()), signal.SIGTERM)  # It saves, 75; then it is started again.
    second.communicate()
    self.assertEqual(second.returncode, 0)
    self.assertLen(self.starts(), 2)
    self.assertEqual(self.verbs(), ['create', 'delete'])

  def test_request_that_somebody_deletes_is_not_made_again(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}])
    first = self.repository.start('submit', *self.arguments('--config.ends=(-1,0)'))
    repositories.wait_for(lambda: os.path.exists(self.held()), first)
    place = ('--target=tpu_vm', '--run_id=alpt', *repositories.SETTINGS)
    listed = self.repository.run('cleanup', *place)
    self.assertIn('alpt: queued resource alpt: ACTIVE', listed.stdout)
    self.assertIn('the same command with --yes', listed.stdout)
    self.assertEqual(self.verbs(), ['create'])
    deleted = self.repository.run('cleanup', *place, '--yes')
    self.assertEqual(deleted.returncode, 0, deleted.stderr)
    self.assertIn('alpt: queued resource alpt: deleted', deleted.stdout)
    output, _ = first.communicate(timeout=60)
    self.assertIn('deleted by another process', output)
    self.assertEqual(self.verbs(), ['create', 'delete'])
    status = self.repository.run('status', *place)
    self.assertIn('alpt: queued resource alpt: absent', status.stdout)

  def test_no_network_for_a_while_is_no_reason_to_give_up(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}], offline=5)
    self.assertEqual(self.submit().returncode, 0)
    self.assertEqual(self.verbs(), ['create', 'delete'])

  def test_request_that_is_refused_is_one_line(self):
    self.repository.scenario(requests=[{'states': []}],
                             create_error='INVALID_ARGUMENT: no such zone')
    done = self.submit()
    self.assertEqual(done.returncode, 1)
    self.assertEqual(done.stderr, 'error: gcloud compute tpus queued-resources ...: ERROR: '
                     '(gcloud) INVALID_ARGUMENT: no such zone\n')

  def test_runs_of_a_fan_out_are_watched_side_by_side(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}])
    done = self.submit(own=['--seeds=0,1', '--keep'])
    self.assertEqual(done.returncode, 0, done.stdout)
    for run_id in ('alpt-seed0', 'alpt-seed1'):
      self.assertEqual(self.starts(run_id=run_id), ['0 1'])
      self.assertIn(f'{run_id}: kept, and costs', done.stdout)

  def test_secret_reaches_the_program_and_nothing_else(self):
    self.repository.scenario(requests=[{'states': ['ACTIVE']}],
                             secrets={'WANDB_API_KEY': _SECRET})
    env = {'WANDB_API_KEY': _SECRET, 'OTHER_TOKEN': 'another secret'}
    done = self.repository.run('submit', *self.arguments(own=['--secrets=WANDB_API_KEY']), env=env)
    self.assertEqual(done.returncode, 0, done.stdout)
    got, = self.repository.probe(self.runs / 'alpt', 'secret', 'worker0')
    self.assertEqual(got, hashlib.sha256(_SECRET.encode()).hexdigest())
    self.assertNotIn(_SECRET, done.stdout + done.stderr)
    for path in self.directory.rglob('*'):
      if path.is_file() and path.name != 'scenario.json':
        for secret in env.values():
          self.assertNotIn(secret.encode(), path.read_bytes(), path)

  def test_dry_run_shows_every_command_and_runs_none(self):
    self.repository.scenario(requests=[{'states': _WAITING}])
    shown = self.repository.run('submit', *self.arguments(own=['--dry_run']))
    self.assertEqual(shown.returncode, 0, shown.stderr)
    self.assertEmpty(self.repository.calls())
    self.assertFalse((self.repository.path / 'runs').exists())
    self.submit()
    lines = set(shown.stdout.splitlines())
    for call in self.repository.calls():
      self.assertIn(shlex.join(call), lines)


if __name__ == '__main__':
  absltest.main()
