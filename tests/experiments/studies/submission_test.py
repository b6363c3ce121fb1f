"""Tests of submitting a whole experiment; clouds and clusters are stand-ins (tests/launch)."""

import os
import pathlib
import re
import shlex
import subprocess
import sys
from unittest import mock

import jax
import yaml
from absl import flags
from absl.testing import absltest, flagsaver, parameterized
from ml_collections import config_flags

from alpt_jax import configs
from alpt_jax.domains import study as studies
from experiments import reproduce
from experiments.configs import paper
from experiments.studies import runs, submission
from launch import restarts, targets
from launch import runs as launch_runs
from launch import settings as settings_
from tests import maze_data
from tests.launch import repositories

_MOUNT = '/mnt/alpt'


def figure(name, preset='paper', workdir=f'{_MOUNT}/figures'):
  """The config of a figure, its places where a cloud mounts them, and its runs."""
  config = paper.get_config(f'figure={name},preset={preset}')
  config.workdir, config.data_dir = workdir, f'{_MOUNT}/data'
  return config, reproduce.plan(config)


def one_target(config, planned, target='Breakout'):
  """The part of a figure that one target and one seed have."""
  return config, [run for run in planned
                  if run.changes['target'] == target and run.changes['seed'] == 0]


class RunIdTest(parameterized.TestCase):

  @parameterized.parameters(*paper.FIGURES)
  def test_every_run_of_a_figure_has_an_id_of_its_own_that_all_platforms_take(self, name):
    config, planned = figure(name)
    ids = [submission.run_id(config, run) for run in planned]
    self.assertLen(set(ids), len(planned))
    for run_id in ids:
      self.assertTrue(launch_runs.is_id(run_id), run_id)

  def test_id_is_the_name_of_the_run_and_long_words_lose_letters(self):
    config, _ = figure('6')
    for name, expected in (
        ('score-Pong-10000-cql-seed0', 'score-pong-10000-cql-seed0'),
        ('score-pretrain-SpaceInvaders-10000-alpt_idm_only-seed2',
         'sc-pr-spa-10000-alp-idm-onl-seed2')):
      run_id = submission.run_id(config, studies.Run(name, '', {}))
      self.assertRegex(run_id, f'^{expected}-[0-9a-f]{{6}}$')

  def test_run_that_figures_share_has_one_id_and_that_of_another_directory_another(self):
    def ids(*args):
      config, planned = figure(*args)
      return {run.name: submission.run_id(config, run) for run in planned}
    name = 'score-Freeway-10000-dt1_idm-seed0'
    self.assertEqual(ids('2')[name], ids('6')[name])
    self.assertNotEqual(ids('2')[name], ids('2', 'paper', '/mnt/alpt/others')[name])


class _SubmissionTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self)
    self.config, self.planned = one_target(*figure('2'))
    self.enter_context(mock.patch.dict(os.environ, self.repository.environment()))
    self.enter_context(mock.patch.object(settings_, 'ROOT', self.repository.path))
    self.said = []
    self.enter_context(mock.patch('builtins.print', lambda *args, **_: self.said.extend(args)))
    flags.FLAGS.mark_as_parsed()
    self.enter_context(flagsaver.flagsaver(settings=[
        arg.removeprefix('--settings.') for arg in repositories.SETTINGS]
        + [f'run_root={self.repository.directory}/shared']))

  def submit(self, target, todo=None, **kwargs):
    return submission.submit(
        self.config, self.planned if todo is None else todo, target, **kwargs)

  def id_of(self, name):
    return submission.run_id(self.config, studies.Run(name, '', {}))

  def files(self, name):
    """{id: text} of what was rendered."""
    found = self.repository.path.glob(f'runs/launch/*/{name}')
    return {path.parent.name: path.read_text() for path in found}


class ClusterTest(_SubmissionTest):

  def submitted(self, target):
    """Ids of the runs that were handed in, in order."""
    if target == 'slurm':
      files = [call[-1] for call in self.repository.calls() if call[0] == 'sbatch']
    else:
      files = [call[2] for call in self.repository.calls() if call[1] == 'apply']
    return [pathlib.Path(file).parent.name for file in files]

  def arguments(self, target, run_id):
    """What the program of a run is given."""
    if target == 'slurm':
      script = self.files('job.sbatch')[run_id]
      words = shlex.split(re.search(r'.* -m experiments\.train .*', script)[0])
    else:
      jobset = yaml.safe_load(self.files('jobset.yaml')[run_id])
      job = jobset['spec']['replicatedJobs'][0]['template']['spec']
      words = job['template']['spec']['containers'][0]['command']
    return words[words.index('experiments.train') + 1:]

  @parameterized.parameters('slurm', 'gke')
  def test_what_starts_from_nothing_is_submitted_and_the_rest_waits(self, target):
    self.assertEqual(self.submit(target), 0)
    ready = [run for run in self.planned if run.after is None]
    self.assertEqual(self.submitted(target),
                     [submission.run_id(self.config, run) for run in ready])
    self.assertIn('8 runs to finish: 5 submitted now, 0 under way, 3 waiting', self.said)
    name = 'score-Breakout-10000-alpt-seed0'
    self.assertIn(f'{name}: {self.id_of(name)}, waits for score-pretrain-Breakout-10000-alpt-seed0',
                  self.said)

  @parameterized.parameters('slurm', 'gke')
  def test_program_gets_the_config_of_its_run(self, target):
    self.submit(target, [run for run in self.planned if run.after is None])
    after = [run for run in self.planned if run.after]
    self.submit(target, after)
    self.assertLen(self.submitted(target), 8)
    for run in self.planned:
      path, *changes = self.arguments(target, submission.run_id(self.config, run))
      self.assertEqual(path, '--config=experiments/configs/atari.py:paper')
      values = flags.FlagValues()
      config_flags.DEFINE_config_file('config', flag_values=values)
      with mock.patch.object(sys, 'argv', ['train', path, *changes]):
        values(sys.argv)
      found, expected = (
          {key: value for key, value in configs.flatten(of).items() if not key.startswith('study.')
           and key != 'compilation_cache_dir'}
          for of in (values.config, runs.run_config(self.config, run)))
      self.assertEqual(found, expected)
      self.assertEqual(found['workdir'], f'{_MOUNT}/figures/{run.name}')
      self.assertEqual(found['init_from'],
                       f'{_MOUNT}/figures/{run.after.name}' if run.after else '')

  @parameterized.parameters(
      ('slurm', 'squeue --name={}', '41 RUNNING\n', 'job 41, RUNNING'),
      ('gke', 'get jobset {}', '{},,', 'in the cluster and not finished'))
  def test_run_that_is_under_way_is_not_submitted_again(self, target, question, answer, shown):
    name = 'score-Breakout-10000-dt1-seed0'
    run_id = self.id_of(name)
    self.repository.scenario(**{question.format(run_id): answer.format(run_id)})
    self.assertEqual(self.submit(target), 0)
    self.assertLen(self.submitted(target), 4)
    self.assertNotIn(run_id, self.submitted(target))
    self.assertIn('8 runs to finish: 4 submitted now, 1 under way, 3 waiting', self.said)
    self.assertIn(f'{name}: {run_id}, is {shown}', self.said)

  def test_all_may_be_under_way(self):
    self.repository.scenario(squeue='41 PENDING\n')
    self.assertEqual(self.submit('slurm'), 0)
    self.assertEmpty(self.submitted('slurm'))

  def test_finished_pretraining_makes_its_finetuning_ready(self):
    finetuning, = (run for run in self.planned if run.name == 'score-Breakout-10000-alpt-seed0')
    self.submit('slurm', [run for run in self.planned if run is not finetuning.after])
    self.assertIn(submission.run_id(self.config, finetuning), self.submitted('slurm'))
    self.assertIn('7 runs to finish: 5 submitted now, 0 under way, 2 waiting', self.said)

  @parameterized.parameters(*targets.NAMES)
  def test_dry_run_asks_nobody_and_writes_nothing(self, target):
    before = sorted(self.repository.path.rglob('*'))
    self.assertEqual(self.submit(target, is_dry_run=True), 0)
    shown = '\n'.join(self.said)
    self.assertIn(f'--config.workdir={_MOUNT}/figures/score-Breakout-10000-dt1-seed0', shown)
    self.assertRegex(shown, '# score-Breakout-10000-alpt-seed0: .*, waits for score-pretrain-')
    self.assertEmpty(self.repository.calls())
    self.assertEqual([path for path in sorted(self.repository.path.rglob('*'))
                      if '__pycache__' not in str(path)],
                     [path for path in before if '__pycache__' not in str(path)])

  def test_status_finds_the_directory_of_a_run(self):
    self.config.workdir = str(self.repository.directory / 'figures')
    self.submit('slurm', self.planned[:1])
    run_id = submission.run_id(self.config, self.planned[0])
    (self.repository.directory / 'figures' / self.planned[0].name / 'metrics.jsonl').write_text(
        '{"step": 40}\n')
    done = self.repository.run('status', '--target=slurm', f'--run_id={run_id}',
                               '--settings.run_root=/nowhere')
    self.assertIn(f'figures/{self.planned[0].name}: kept, metrics up to step 40', done.stdout)

  @parameterized.parameters(
      ('slurm', dict(workdir='runs/x'), "workdir is 'runs/x'; target slurm needs an absolute"),
      ('slurm', dict(data_dir='data'), "data_dir is 'data'; target slurm needs an absolute"),
      ('tpu_vm', dict(workdir='gs://b/x'), "workdir is 'gs://b/x'; target tpu_vm needs an absolu"),
      ('gke', dict(workdir='/shared/x'), 'hosts of target gke keep only what is under /mnt/alpt'),
      ('local', dict(workdir='runs/x'), "workdir is 'runs/x', and target local works in /"),
      ('slrum', {}, '--submit=slrum: unknown target; did you mean slurm'))
  def test_mistake_names_the_field(self, target, changes, message):
    self.config.update(changes)
    with self.assertRaisesRegex(ValueError, message):
      self.submit(target)
    with flagsaver.flagsaver(submit=target), self.assertRaisesRegex(ValueError, message):
      submission.check(self.config)
    self.assertEmpty(self.repository.calls())

  def test_data_directory_of_the_settings_takes_the_place_of_a_relative_one(self):
    self.config.data_dir = 'data'
    given = flags.FLAGS.settings + ['data_dir=/shared/data']
    with flagsaver.flagsaver(settings=given):
      self.submit('slurm', self.planned[:1])
    run_id, = self.submitted('slurm')
    self.assertIn('--config.data_dir=/shared/data', self.arguments('slurm', run_id))

  def test_settings_without_a_target_are_refused(self):
    with self.assertRaisesRegex(ValueError, '--settings.gcloud.project=my-project: is for --subm'):
      submission.check(self.config)


class RoundsTest(_SubmissionTest):
  """Of a target that waits for its programs, with programs that only say how they ended."""

  def setUp(self):
    super().setUp()
    self.config, self.planned = figure('6', 'tiny')
    self.pretraining, = (run for run in self.planned if run.changes['phase'] == 'pretrain')
    self.finetuning, = (run for run in self.planned if run.after)
    self.rounds, self.codes, self.finished, self.active = [], {}, set(), {}
    self.enter_context(mock.patch.object(targets, 'module', lambda _: self))
    self.enter_context(mock.patch.object(
        runs, 'is_finished', lambda _, run: self.id_of(run.name) in self.finished))

  def submit(self, *args, **kwargs):
    """Of the experiment, and of the target, which is given the runs of a round."""
    if isinstance(args[0], str):
      return super().submit(*args, **kwargs)
    planned, _ = args
    self.rounds.append([run.id for run in planned])
    self.finished |= {run.id for run in planned if not self.codes.get(run.id)}
    return max(self.codes.get(run.id, 0) for run in planned)

  def activity(self, run_id, context):
    del context
    return self.active.get(run_id, '')

  def ids(self, *chosen):
    return [submission.run_id(self.config, run) for run in chosen]

  def test_what_waits_is_submitted_when_what_it_starts_from_is_finished(self):
    self.assertIsNone(self.submit('tpu_vm'))
    other, = (run for run in self.planned if run not in (self.pretraining, self.finetuning))
    self.assertEqual(self.rounds, [
        self.ids(self.pretraining), self.ids(self.finetuning), self.ids(other)])

  def test_nothing_is_submitted_after_a_failure(self):
    self.codes = dict.fromkeys(self.ids(self.pretraining), 77)
    self.assertEqual(self.submit('local'), 77)
    self.assertLen(self.rounds, 1)
    self.assertIn(f'{self.pretraining}: is not finished; the same command resumes it',
                  self.said)

  def test_tpus_are_given_as_many_runs_at_a_time_as_there_are_workers(self):
    self.config.study.num_workers = 5
    self.assertIsNone(self.submit('tpu_vm'))
    self.assertEqual([len(ids) for ids in self.rounds], [2, 1])

  def test_another_launcher_of_this_machine_may_take_the_next_run(self):
    after, = (run for run in self.planned if run.after is None and run is not self.pretraining)

    def activity(run_id, context):  # As soon as the first one has ended.
      del context
      return 'process 7, running' if self.rounds and [run_id] == self.ids(after) else ''

    self.activity = activity
    self.assertEqual(self.submit('local'), restarts.PREEMPTED)
    self.assertEqual(self.rounds, [self.ids(self.pretraining), self.ids(self.finetuning)])

  def test_run_that_another_launcher_has_is_left_to_it(self):
    self.active = dict.fromkeys(self.ids(self.pretraining), 'process 7, running')
    self.assertEqual(self.submit('local'), restarts.PREEMPTED)
    self.assertEqual(self.rounds, [self.ids(*(
        run for run in self.planned if run not in (self.pretraining, self.finetuning)))])

  def test_run_that_ended_well_and_left_nothing_is_an_error(self):
    with mock.patch.object(runs, 'is_finished', return_value=False):
      with self.assertRaisesRegex(ValueError, 'that the hosts and this computer both see'):
        self.submit('tpu_vm')
    self.assertLen(self.rounds, 1)


class ReproduceTest(absltest.TestCase):
  """The binary, in a repository with two runs of figure 5; training is real."""

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self, is_whole=True)
    self.directory = self.repository.directory
    (self.repository.path / 'experiments' / 'configs' / 'two.py').write_text(
        'from experiments.configs import paper\n\n\ndef get_config():\n'
        "  config = paper.get_config('figure=5,preset=tiny')\n"
        '  del config.study.labels\n'
        "  for name in ('dt1_idm', 'alpt_blocked_tunnel', 'oracle'):\n"
        '    del config.study.variants[name]\n'
        '  return config\n')
    self.repository.git('add', '--all')
    self.repository.git('commit', '--quiet', '--message=Two runs')
    self.workdir = self.directory / 'shared' / 'figures'
    self.cache = jax.config.jax_compilation_cache_dir or self.directory / 'cache'

  def reproduce(self, *args):
    return subprocess.run(
        [sys.executable, '-m', 'experiments.reproduce', '--config=experiments/configs/two.py',
         f'--config.workdir={self.workdir}', f'--config.data_dir={maze_data.recorded()}',
         f'--config.compilation_cache_dir={self.cache}', *args],
        cwd=self.repository.path, capture_output=True, text=True, check=False, timeout=600,
        env=self.environment())

  def environment(self, **changes):
    return self.repository.environment(
        JAX_DISABLE_MOST_OPTIMIZATIONS='1', PYTHONDONTWRITEBYTECODE='1',
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0',
        XLA_FLAGS=os.environ.get('XLA_FLAGS', ''), **changes)

  def is_finished(self, name):
    return (self.workdir / name / 'finished.json').exists()

  def test_local_trains_one_run_after_the_other_and_reports(self):
    done = self.reproduce('--submit=local')
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
    self.assertIn('2 runs to finish: 1 submitted now, 0 under way, 1 waiting', done.stdout)
    for name in ('grid-dt1-seed0', 'grid-alpt_blocked-seed0'):
      self.assertTrue(self.is_finished(name))
      self.assertTrue((self.workdir / name / 'logs' / 'process0.log').exists())
    self.assertTrue((self.workdir / 'figure5' / 'results.json').exists())
    again = self.reproduce('--submit=local')
    self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
    self.assertNotIn('to finish', again.stdout)

  def test_job_of_slurm_finishes_a_run_and_the_same_command_goes_on(self):
    arguments = ('--submit=slurm', f'--settings.run_root={self.directory}/shared')
    shown = self.reproduce(*arguments, '--dry_run')
    self.assertEqual(shown.returncode, 0, shown.stderr)
    self.assertEmpty(self.repository.calls())
    self.assertFalse(self.workdir.exists())
    first = self.reproduce(*arguments)
    self.assertEqual(first.returncode, 0, first.stderr)
    self.assertIn('2 runs to finish: 2 submitted now, 0 under way', first.stdout)
    script = self.repository.stand_ins / 'job.sbatch'  # The last one.
    chdir = re.search('--chdir=(.*)', script.read_text())[1]
    job = subprocess.run(['bash', script], cwd=chdir, capture_output=True, text=True, check=False,
                         env=self.environment(SLURM_JOB_ID='42'), timeout=600)
    self.assertEqual(job.returncode, 0, job.stdout + job.stderr)
    self.assertTrue(self.is_finished('grid-dt1-seed0'))
    self.repository.scenario(squeue='41 RUNNING\n')
    second = self.reproduce(*arguments)
    self.assertEqual(second.returncode, 0, second.stderr)
    self.assertIn('1 runs to finish: 0 submitted now, 1 under way', second.stdout)

  def test_mistake_is_one_line(self):
    done = self.reproduce('--submit=slurm', '--settings.run_rot=/x')
    self.assertEqual(done.returncode, 1)
    self.assertEqual(
        done.stderr, 'error: --settings.run_rot: unknown setting; did you mean run_root?\n')


if __name__ == '__main__':
  absltest.main()
