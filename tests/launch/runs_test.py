"""Tests of runs.py and settings.py: what is to be run, decided before any machine is asked for."""

import pathlib
import tempfile

from absl.testing import absltest, parameterized

from launch import jobs, runs
from launch import settings as settings_


def settings(target='local', **changes):
  """Checked settings; `changes` have __ for dots."""
  result = settings_.load(str(settings_.EXAMPLE)).copy_and_resolve_references()
  for key, value in changes.items():
    settings_.set_from_text(result, key.replace('__', '.'), value)
  settings_.check(result, target)
  return result


class RunsTest(parameterized.TestCase):

  def plan(self, *args, **kwargs):
    return runs.plan(settings(), run_id='alpt', args=args, **kwargs)

  def test_run_id_is_the_run_directory(self):
    run, = self.plan('--config.method=dt1', job='maze')
    self.assertEqual(run.id, 'alpt')
    self.assertEqual(run.command('python'), [
        'python', '-m', 'experiments.train', '--config=experiments/configs/maze.py:desk',
        '--config.method=dt1', '--config.workdir=runs/alpt'])

  def test_seeds_and_targets_fan_out(self):
    planned = self.plan('--config=experiments/configs/atari.py:paper,phase=pretrain',
                        seeds=('0', '7'), targets=('Breakout', 'SpaceInvaders'))
    self.assertEqual([run.id for run in planned], [
        'alpt-breakout-seed0', 'alpt-breakout-seed7', 'alpt-spaceinvaders-seed0',
        'alpt-spaceinvaders-seed7'])
    self.assertEqual(planned[3].args, (
        # As argument: a target is no source of its own.
        '--config=experiments/configs/atari.py:paper,phase=pretrain,target=SpaceInvaders',
        '--config.seed=7', '--config.workdir=runs/alpt-spaceinvaders-seed7'))

  def test_target_of_mazes_is_a_key(self):
    run, = self.plan(job='maze', targets=('maze-20-blocks:10-seed1',))
    self.assertEqual(run.id, 'alpt-maze-20-blocks-10-seed1')
    self.assertIn('--config.target=maze-20-blocks:10-seed1', run.args)

  def test_config_of_the_user_replaces_that_of_the_job(self):
    run, = self.plan('--config=experiments/configs/maze.py:tiny', job='maze')
    self.assertEqual([arg for arg in run.args if arg.startswith('--config=')],
                     ['--config=experiments/configs/maze.py:tiny'])

  def test_state_of_a_run_directory_says_how_far_it_is(self):
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.assertEqual(runs.directory_state(directory / 'x'), 'absent')
    self.assertEqual(runs.directory_state(directory), 'kept')
    (directory / 'metrics.jsonl').write_text('{"step": 2}\n{"step": 40, "idm/loss": 1}\n')
    self.assertEqual(runs.directory_state(directory), 'kept, metrics up to step 40')

  def test_data_within_the_code_is_warned_of(self):
    self.assertIn("data_dir is 'runs/maze/data'", runs.data_warning(self.plan(job='maze')))
    there = self.plan('--config.data_dir=x', '--config.data_dir=/mnt/data', job='maze')
    self.assertEqual(runs.data_warning(there), '')

  def test_data_directory_of_the_settings_is_passed_on_unless_given(self):
    given = settings(data_dir='/data')
    run, = runs.plan(given, run_id='a', job='maze')
    self.assertIn('--config.data_dir=/data', run.args)
    run, = runs.plan(given, run_id='a', job='maze', args=['--config.data_dir=here'])
    self.assertNotIn('--config.data_dir=/data', run.args)

  def test_shared_runs_share_what_was_compiled(self):
    run, = runs.plan(settings(run_root='/shared'), run_id='a', job='maze')
    self.assertIn('--config.compilation_cache_dir=/shared/compilation_cache', run.args)
    run, = runs.plan(settings(run_root='/shared'), run_id='a', job='maze',
                     args=['--config.compilation_cache_dir=here'])
    self.assertNotIn('--config.compilation_cache_dir=/shared/compilation_cache', run.args)

  @parameterized.parameters(*jobs.JOBS)
  def test_every_job_is_a_config_that_loads(self, job):
    needed = [f'{flag}=somewhere' for flag in jobs.JOBS[job].needs]
    self.assertLen(self.plan(*needed, job=job), 1)

  @parameterized.parameters(
      (dict(job='mazes'), 'expected one of maze,'),
      (dict(job='atari_finetune'), 'needs --config.init_from'),
      (dict(program='train'), 'expected a module'),
      (dict(program='experiments.trian'), 'no such module'),
      (dict(args=['--config.workdir=x']), 'run id decides it'),
      (dict(args=['--config.seed=1'], seeds=('0',)), '--seeds decides it'),
      (dict(args=['--config', 'x']), 'written --name=value'),
      (dict(args=['--config=experiments/configs/mazes.py']), 'no such file'),
      (dict(args=['--config=../elsewhere.py']), 'outside of the repository'),
      (dict(job='maze', args=['--config.bach_size=3']), 'did you mean --config.batch_size?'),
      (dict(args=['--config=experiments/configs/maze.py:huge']), 'Unknown preset'),
      (dict(args=['--config=experiments/configs/atari.py:desk,target=Breakout'],
            targets=('Freeway',)), 'has a target'),
      (dict(), '--config is missing: experiments.train .* --job=<name>, one of maze,'),
      (dict(seeds=('0', 'one')), 'is no seed'),
      (dict(seeds=('0', '0')), 'id of 2 runs'),
      (dict(run_id='Maze_1'), 'is no run id'),
      (dict(run_id='a' * 41), 'at most 40'),
      (dict(args=['--config.api_key=12']), 'holds a secret'))
  def test_mistakes_are_found_before_machines_are_asked_for(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      runs.plan(settings(), **({'run_id': 'alpt'} | arguments))


class SettingsTest(parameterized.TestCase):

  def file(self, content):
    path = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()), 'user.py')
    path.write_text('import ml_collections\n\n\ndef get_config():\n'
                    f'  return ml_collections.ConfigDict({content})\n')
    return str(path)

  def test_file_and_flags_change_the_example(self):
    found = settings_.load(self.file("{'max_restarts': 3, 'gcloud': {'zone': 'here'}}"))
    self.assertEqual((found.max_restarts, found.gcloud.zone, found.gcloud.project),
                     (3, 'here', ''))
    settings_.set_from_text(found, 'gcloud.spot', 'true')
    settings_.set_from_text(found, 'secrets', 'A_KEY,B_KEY')
    settings_.set_from_text(found, 'poll_seconds', '2')
    self.assertEqual((found.gcloud.spot, found.secrets, found.poll_seconds),
                     (True, ('A_KEY', 'B_KEY'), 2.))

  def test_setting_that_there_is_not_is_named_with_the_nearest(self):
    with self.assertRaisesRegex(ValueError, 'gcloud.zones: .* did you mean gcloud.zone'):
      settings_.load(self.file("{'gcloud': {'zones': 'x'}}"))

  @parameterized.parameters(
      ('tpu_vm', {}, 'gcloud.project is empty'),
      ('tpu_vm', dict(gcloud__project='p', gcloud__zone='z'), 'storage is empty'),
      ('gke', {}, 'gke.queue is empty'),
      ('gke', dict(gke__queue='q'), 'gke.image is empty'),
      ('slurm', {}, 'run_root is empty'),
      ('slurm', dict(run_root='runs'), 'expected an absolute path'),
      ('slurm', dict(run_root='gs://b/runs'), 'mount_point'),
      ('local', dict(max_restarts='-1'), 'expected at least 0'),
      ('multiprocess', dict(multiprocess__num_processes='0'), 'expected at least 1'))
  def test_what_a_target_lacks_is_named(self, target, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      settings(target, **changes)

  @parameterized.parameters(('max_restarts', 'many'), ('gcloud.spot', 'perhaps'))
  def test_value_of_another_type_is_refused(self, key, text):
    with self.assertRaisesRegex(ValueError, f'--settings.{key}={text}: expected'):
      settings_.set_from_text(settings_.load(), key, text)

  def test_grace_that_is_shorter_than_a_save_is_warned_of(self):
    self.assertEqual(settings_.grace_warning(settings()), '')
    self.assertIn('grace_seconds is 120, and a save took 100 s',
                  settings_.grace_warning(settings(save_seconds='100')))


if __name__ == '__main__':
  absltest.main()
