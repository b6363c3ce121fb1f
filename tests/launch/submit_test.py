"""Tests of the launcher's door: a user's mistakes, and what is needed around it (nothing)."""

import os
import pathlib
import stat

from absl.testing import absltest, parameterized

from tests.launch import repositories

_CLOUDS = ('tpu_vm', 'gke', 'slurm')


class SubmitTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self)

  def submit(self, target, *own, args=('--config=experiments/configs/probe.py',), env=None,
             run_id='alpt'):
    return self.repository.run(
        'submit', f'--target={target}', *([f'--run_id={run_id}'] if run_id else []),
        '--program=experiments.probe', *repositories.SETTINGS, '--settings.run_root=/shared/runs',
        *own, '--', *args, env=env)

  def assert_one_line(self, done, text):
    self.assertEqual(done.returncode, 1)
    self.assertEqual(done.stdout, '')
    self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
    self.assertTrue(done.stderr.startswith('error: '), done.stderr)
    self.assertIn(text, done.stderr)

  @parameterized.parameters('local', 'multiprocess', *_CLOUDS)
  def test_dry_run_runs_nothing_and_writes_nothing(self, target):
    before = sorted(self.repository.path.rglob('*'))
    done = self.submit(target, '--dry_run', '--seeds=0,1', '--secrets=MY_TOKEN',
                       env={'MY_TOKEN': 'hunter2hunter2'})
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn('alpt-seed0', done.stdout)
    self.assertIn('/shared/runs/alpt-seed1', done.stdout)
    self.assertNotIn('hunter2', done.stdout)
    self.assertEmpty(self.repository.calls())
    after = [p for p in sorted(self.repository.path.rglob('*')) if '__pycache__' not in str(p)]
    self.assertEqual(after, before)

  @parameterized.parameters(
      (dict(run_id=''), '--run_id is missing'),
      (dict(run_id='Alpt'), 'is no run id'),
      (dict(own=['extra']), 'extra: unexpected argument'),
      (dict(own=['--targt=x']), "Unknown command line flag 'targt'"),
      (dict(own=['--settings.zone=x']), '--settings.zone: unknown setting; did you mean'),
      (dict(own=['--settings_file=mine.py']), 'mine.py: no such file'),
      (dict(own=['--secrets=sk-123']), 'is not the name of an environment variable'),
      (dict(own=['--max_restarts=-1']), 'max_restarts is -1'),
      (dict(own=['--settings.tpu=v9']), "tpu is 'v9'"),
      (dict(args=['--config=experiments/configs/probe.py', '--config.num_step=3']),
       '--config.num_step: unknown key; did you mean --config.num_steps'),
      (dict(args=['--config.api_key=12345']), '--config.api_key: holds a secret'))
  def test_mistakes_are_one_line(self, arguments, text):
    arguments = dict(arguments)
    done = self.submit('tpu_vm', *arguments.pop('own', ()), **arguments)
    self.assert_one_line(done, text)
    self.assertEmpty(self.repository.calls())

  def test_bad_id_is_named_before_settings_that_are_missing(self):
    done = self.repository.run('submit', '--target=tpu_vm', '--run_id=bad id!', '--job=maze')
    self.assert_one_line(done, "--run_id: 'bad id!' is no run id")

  @parameterized.parameters(
      ('tpu_vm', ('gcloud.project', 'gcloud.zone', 'storage'), "'--project=<gcloud.project>'"),
      ('gke', ('gke.queue', 'gke.image', 'storage'), '<gke.queue>'),
      ('slurm', ('run_root',), '/<run_root>/alpt'))
  def test_dry_run_shows_placeholders_for_settings_that_are_missing(self, target, keys, shown):
    flags = (f'--target={target}', '--run_id=alpt', '--job=maze')
    done = self.repository.run('submit', *flags, '--dry_run')
    self.assertEqual(done.returncode, 0, done.stderr)
    for key in keys:
      self.assertRegex(done.stdout, f'# warning: {key} is empty, here .*; it has to be set. Write '
                       f'it into launch/user.py .*--settings.{key}=')
    self.assertIn(shown, done.stdout)
    self.assert_one_line(self.repository.run('submit', *flags), f'{keys[0]} is empty; target')
    self.assertEmpty(self.repository.calls())

  @parameterized.parameters(*_CLOUDS)
  def test_uncommitted_changes_are_refused_or_left_out(self, target):
    (self.repository.path / 'experiments' / 'configs' / 'new.py').write_text('')
    self.assert_one_line(self.submit(target), 'experiments/configs/new.py')
    done = self.submit(target, '--allow_uncommitted', '--dry_run')
    self.assertEqual(done.returncode, 0)
    self.assertIn('# warning: runs commit', done.stdout)
    done = self.submit(target, '--allow_uncommitted', '--dry_run',
                       args=['--config=experiments/configs/new.py'])
    self.assertEqual(done.returncode, 1)

  @parameterized.parameters(('tpu_vm', 'gcloud'), ('gke', 'kubectl'), ('slurm', 'squeue'))
  def test_program_that_is_not_installed_is_named(self, target, program):
    directory = self.repository.directory / 'only_git'
    directory.mkdir()
    (directory / 'git').symlink_to(_which('git'))
    done = self.submit(target, env={'PATH': str(directory)})
    self.assertEqual(done.stderr, f'error: {program}: not installed, or not on PATH. Install it, '
                     'or choose another --target.\n')

  def test_settings_come_from_the_users_file_and_flags_change_them(self):
    (self.repository.path / 'launch' / 'user.py').write_text(
        'import ml_collections\n\n\ndef get_config():\n'
        "  return ml_collections.ConfigDict({'gcloud': {'project': 'mine', 'zone': 'a'},\n"
        "                                    'storage': 'gs://b'})\n")
    done = self.repository.run('submit', '--target=tpu_vm', '--run_id=alpt', '--dry_run',
                               '--settings.gcloud.zone=b', '--job=maze')
    self.assertIn('--zone=b --project=mine', done.stdout)

  def test_grace_that_is_too_short_is_warned_of(self):
    done = self.submit('gke', '--dry_run', '--settings.save_seconds=30')
    self.assertIn('# warning: grace_seconds is 5, and a save took 30 s', done.stdout)

  @parameterized.parameters('submit', 'status', 'logs', 'cleanup')
  def test_help_lists_the_flags(self, program):
    done = self.repository.run(program, '--help')
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn('--run_id', done.stdout)

  def test_home_that_cannot_be_written_does_not_matter(self):
    # No HOME, no terminal and LANG=C are what all tests have.
    home = self.repository.directory / 'home'
    home.mkdir()
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)
    self.assertEqual(self.submit('gke', '--dry_run', env={'HOME': str(home)}).returncode, 0)

  def test_every_job_has_a_dry_run_on_every_target(self):
    for job in ('maze_study', 'alpt36_pretrain'):
      for target in _CLOUDS:
        done = self.repository.run(
            'submit', f'--target={target}', '--run_id=alpt', f'--job={job}', '--dry_run',
            *repositories.SETTINGS, '--settings.run_root=/shared/runs')
        self.assertEqual(done.returncode, 0, done.stderr)


def _which(name):
  return next(str(pathlib.Path(directory, name)) for directory in os.environ['PATH'].split(':')
              if pathlib.Path(directory, name).exists())


if __name__ == '__main__':
  absltest.main()
