"""Tests of target gke against a stand-in for kubectl; the container's command is really run."""

import hashlib
import subprocess

import yaml
from absl.testing import absltest, parameterized

from tests.launch import repositories


class GkeTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self)
    self.directory = self.repository.directory

  def submit(self, *args, own=(), env=None):
    return self.repository.run(
        'submit', '--target=gke', '--run_id=alpt', '--program=experiments.probe',
        *repositories.SETTINGS, *own, '--', '--config=experiments/configs/probe.py', *args, env=env)

  def jobset(self):
    return yaml.safe_load((self.repository.stand_ins / 'applied.yaml').read_text())

  def verbs(self):
    return [tuple(call[1:3]) for call in self.repository.calls() if call[1] != 'get']

  def container(self):
    job = self.jobset()['spec']['replicatedJobs'][0]['template']['spec']
    return job['template']['spec']['containers'][0]

  def run_container(self, **env):
    """Runs the command of the container, its paths moved into a directory of the test."""
    code = self.directory / 'etc'
    code.mkdir(exist_ok=True)
    (code / 'code.tar.gz').write_bytes((self.repository.stand_ins / 'code.tar.gz').read_bytes())
    command = self.container()['command']
    for path, own in (('/etc/alpt', code), ('/tmp/alpt', self.directory / 'tmp'),
                      ('/mnt/alpt', self.directory / 'mnt')):
      command = [word.replace(path, str(own)) for word in command]
    return subprocess.run(command, env=self.repository.environment(ALPT_HOST='0', **env),
                          capture_output=True, text=True, timeout=60)

  def test_code_and_jobset_are_made_in_place_of_old_ones(self):
    self.repository.scenario(**{'get jobset': 'alpt,Completed,2'})
    done = self.submit()
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertEqual(self.verbs(), [('delete', 'jobset'), ('delete', 'configmap'),
                                    ('create', 'configmap'), ('apply', self.verbs()[-1][1])])
    jobset = self.jobset()
    self.assertEqual(jobset['apiVersion'], 'jobset.x-k8s.io/v1alpha2')
    self.assertEqual(jobset['metadata']['labels']['kueue.x-k8s.io/queue-name'], 'my-queue')

  def test_run_that_is_not_finished_is_not_submitted_twice(self):
    self.repository.scenario(**{'get jobset': 'alpt,,'})
    done = self.submit()
    self.assertEqual(done.returncode, 1)
    self.assertIn('error: alpt: is in the cluster and not finished', done.stderr)
    self.assertEmpty(self.verbs())

  def test_jobset_is_restarted_within_the_budget_but_not_after_final_codes(self):
    self.submit(own=['--max_restarts=7'])
    policy = self.jobset()['spec']['failurePolicy']
    job = self.jobset()['spec']['replicatedJobs'][0]['template']['spec']
    self.assertEqual(policy['maxRestarts'], 7)
    self.assertEqual(policy['rules'][0]['action'], 'FailJobSet')
    self.assertEqual(policy['rules'][0]['onJobFailureReasons'], ['PodFailurePolicy'])
    self.assertEqual(job['backoffLimit'], 0)
    rule, = job['podFailurePolicy']['rules']
    self.assertEqual((rule['action'], rule['onExitCodes']['values']), ('FailJob', [1, 77]))
    self.assertEqual(job['template']['spec']['restartPolicy'], 'Never')

  @parameterized.parameters(
      ('v5e:4x4', 4, 4, 4), ('v5e:2x4', 8, 1, 8), ('v5e:2x4', 4, 2, 4), ('v5e:1x1', 4, 1, 1),
      ('v5p:2x2x4', 4, 4, 4))
  def test_one_pod_for_each_host_of_the_slice(self, tpu, chips_per_host, num_pods, num_chips):
    self.submit(own=[f'--settings.tpu={tpu}', f'--settings.gke.chips_per_host={chips_per_host}'])
    job = self.jobset()['spec']['replicatedJobs'][0]['template']['spec']
    self.assertEqual((job['parallelism'], job['completions']), (num_pods, num_pods))
    self.assertEqual(self.container()['resources']['limits'], {'google.com/tpu': num_chips})
    self.assertEqual(job['template']['spec']['nodeSelector']['cloud.google.com/gke-tpu-topology'],
                     tpu.split(':')[1])

  @parameterized.parameters(0, 75, 77, 1)
  def test_container_unpacks_the_code_and_ends_with_the_code_of_the_program(self, code):
    self.submit(f'--config.ends=({code},)')
    done = self.run_container()
    self.assertEqual(done.returncode, code, done.stdout + done.stderr)
    self.assertIn(' probe 100% 4/4', done.stdout)

  def test_damaged_code_is_not_run(self):
    self.submit()
    packed = self.repository.stand_ins / 'code.tar.gz'
    packed.write_bytes(packed.read_bytes()[:-1] + b'x')
    done = self.run_container()
    self.assertNotEqual(done.returncode, 0)
    self.assertNotIn('probe', done.stdout)

  def test_secret_is_handed_on_by_name(self):
    done = self.submit(own=['--secrets=WANDB_API_KEY'], env={'WANDB_API_KEY': 'hunter2hunter2'})
    self.assertIn({'name': 'WANDB_API_KEY', 'valueFrom': {
        'secretKeyRef': {'name': 'alpt-secrets', 'key': 'WANDB_API_KEY'}}},
        self.container()['env'])
    self.assertNotIn('hunter2', done.stdout + done.stderr)
    for path in self.directory.rglob('*'):
      if path.is_file():
        self.assertNotIn(b'hunter2', path.read_bytes(), path)
    self.assertEqual(self.run_container(WANDB_API_KEY='hunter2hunter2').returncode, 0)
    self.assertEqual(
        self.repository.probe(self.directory / 'mnt' / 'runs' / 'alpt', 'secret'),
        [hashlib.sha256(b'hunter2hunter2').hexdigest()])

  def test_status_logs_and_cleanup(self):
    self.repository.scenario(**{
        'get jobset': 'alpt,,3', 'get pods': 'alpt-slice-0-0 Running\nalpt-slice-0-1 Pending\n',
        'get configmap': 'alpt-code',
        'logs --selector=jobset.sigs.k8s.io/jobset-name=alpt':
            '2026-01-31T10:00:01.000Z b last\n2026-01-31T10:00:00.000Z a first\n'})
    where = ('--target=gke', '--run_id=alpt', *repositories.SETTINGS)
    status = self.repository.run('status', *where).stdout
    self.assertIn('alpt: JobSet alpt: not finished, 3 restarts\n', status)
    self.assertIn('alpt: pod alpt-slice-0-1: Pending\n', status)
    logs = self.repository.run('logs', *where).stdout
    self.assertEqual(logs, '2026-01-31T10:00:00.000Z a first\n2026-01-31T10:00:01.000Z b last\n')
    self.assertEmpty(self.verbs()[1:])  # The first is `kubectl logs`.
    done = self.repository.run('cleanup', *where, '--yes')
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertEqual(self.verbs()[1:], [('delete', 'jobset'), ('delete', 'configmap')])

  def test_refused_command_is_one_line(self):
    self.repository.scenario(code=1)
    done = self.submit()
    self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1))
    self.assertIn('error: kubectl get jobset', done.stderr)

  def test_storage_that_gke_does_not_know_is_refused(self):
    done = self.submit(own=['--settings.storage=10.0.0.2:/share'])
    self.assertIn("error: storage is '10.0.0.2:/share'; target gke takes", done.stderr)


if __name__ == '__main__':
  absltest.main()
