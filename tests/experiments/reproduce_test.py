"""The whole experiment at the tiny size, through the binaries, as `make maze` runs it."""

import collections
import html.parser
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from unittest import mock

import jax
from absl.testing import absltest

from alpt_jax.training import run_config
from experiments import reproduce
from experiments.configs import maze
from experiments.studies import run_files, runs
from tests import maze_data, processes

_ROOT = pathlib.Path(__file__).parents[2]


def binary(name, workdir, *flags):
  """Arguments that start a binary with the tiny preset in `workdir`."""
  return [sys.executable, '-m', f'experiments.{name}',
          f'--config={_ROOT}/experiments/configs/maze.py:tiny', f'--config.workdir={workdir}',
          f'--config.data_dir={maze_data.recorded()}',
          f'--config.compilation_cache_dir={jax.config.jax_compilation_cache_dir}', *flags]


def run(*args):
  """Runs a binary to its end; returns the finished process with its output as text."""
  return subprocess.run(
      binary(*args), cwd=_ROOT, capture_output=True, text=True, check=False,
      env=processes.environment_without('tensorflow', 'envlogger'))  # As for who has not got them.


class ReproduceTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    ReproduceTest.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.workdir = cls.root / 'maze'
    cls.first = run('reproduce', cls.workdir)
    assert cls.first.returncode == 0, cls.first.stderr

  def test_every_variant_is_trained_and_scored(self):
    results = json.loads((self.workdir / 'results.json').read_text())
    self.assertEqual({r['status'] for r in results['runs']}, {'done'})
    self.assertEqual({r['method'] for r in results['rows']},
                     {'dt1', 'dt1_idm', 'alpt_blocked', 'alpt_blocked_tunnel', 'oracle'})
    agents = [row for row in results['rows'] if row['part'] == 'score']
    for row in agents:
      self.assertIn(row['step'], (0, 3, 6))
      self.assertBetween(row['argmax/success_500'], 0, 1)
      self.assertEqual(row['label_accuracy'] is None, row['method'] in ('dt1', 'oracle'))
    idms = [row for row in results['rows'] if row['part'] == 'labels']
    self.assertCountEqual([(row['method'], row['step']) for row in idms], [
        (method, step) for method in ('dt1_idm', 'alpt_blocked') for step in (0, 2, 4)])
    for row in idms:
      self.assertBetween(row['label_accuracy'], 0, 1)
      self.assertNotIn('argmax/success_500', row)

  def test_the_table_of_the_change_is_fitted_once_for_all_methods(self):
    floor, = json.loads((self.workdir / 'results.json').read_text())['floors']
    self.assertEqual((floor['num_labels'], floor['num_entries']), (50, 5))
    # What remains are moves into walls.
    self.assertGreater(floor['table'], .8)
    self.assertGreater(floor['table'], floor['majority'] + .2)
    self.assertIn('Nobody needs an IDM in these mazes: a table of 5 entries', self.first.stdout)

  def test_last_lines_say_what_was_found_and_what_to_open(self):
    lines = self.first.stdout.strip().splitlines()
    self.assertIn(f'{self.workdir}/report.html', lines[-1])
    self.assertIn(f'{self.workdir}/results.json', lines[-1])
    self.assertTrue(any(line.startswith('Observation “grid”') and ' ALPT-Blocked ' in line
                        for line in lines))

  def test_report_is_one_page_with_every_variant(self):
    page = (self.workdir / 'report.html').read_text()
    html.parser.HTMLParser().feed(page)
    for label in ('DT1', 'DT1-IDM', 'ALPT-Blocked', 'ALPT-Blocked+Tunneled', 'Oracle labels'):
      self.assertIn(label, page)

  def test_second_run_trains_nothing(self):
    logs = {p: p.stat().st_mtime_ns for p in self.workdir.glob('*/train.log')}
    self.assertLen(logs, 7)
    again = run('reproduce', self.workdir)
    self.assertEqual(again.returncode, 0, again.stderr)
    self.assertIn('7 runs, 7 finished before', again.stdout)
    self.assertEqual({p: p.stat().st_mtime_ns for p in self.workdir.glob('*/train.log')}, logs)

  def test_run_files_alone_make_the_results_again_and_train_nothing(self):
    workdir = self.root / 'elsewhere'
    committed = self.root / 'committed'
    shutil.copytree(self.workdir / 'run_files', committed / 'runs')
    self.assertLen(list((committed / 'runs').iterdir()), 7)
    elsewhere = run('reproduce', workdir, f'--config.study.results_dir={committed}')
    self.assertEqual(elsewhere.returncode, 0, elsewhere.stderr)
    self.assertIn('7 runs, 7 finished before', elsewhere.stdout)
    self.assertEmpty(list(workdir.glob('*/train.log')))
    before, after = (json.loads((d / 'results.json').read_text()) for d in (self.workdir, workdir))
    self.assertLen(before['floors'], 1)
    self.assertEqual(after['floors'], before['floors'])
    self.assertEqual([run | {'rollout': None} for run in before['runs']],
                     [run | {'seconds': old['seconds']}
                      for run, old in zip(after['runs'], before['runs'], strict=True)])
    for old, new in zip(before['rows'], after['rows'], strict=True):
      self.assertEqual(old.keys(), new.keys())
      for key, value in old.items():
        if isinstance(value, float):
          self.assertAlmostEqual(value, new[key], delta=1e-5 * abs(value))
        else:
          self.assertEqual(value, new[key])

  def test_run_files_of_another_config_are_refused_where_they_are_committed(self):
    committed = self.root / 'other'
    shutil.copytree(self.workdir / 'run_files', committed / 'runs')
    other = run('reproduce', self.root / 'new', f'--config.study.results_dir={committed}',
                '--config.num_labels=25')
    self.assertEqual(other.returncode, 1)
    self.assertRegex(other.stderr, r'^error: .*other/runs/grid-\w+-seed0.json: the run has another '
                                   r'config \(num_labels: 50 -> 25\)\. ')
    self.assertLen(other.stderr.splitlines(), 1)

  def test_results_of_another_config_are_not_replaced(self):
    before = (self.workdir / 'results.json').read_bytes()
    other = run('reproduce', self.workdir, '--config.num_labels=25')
    self.assertEqual(other.returncode, 1)
    self.assertRegex(other.stderr, r'^error: .*results.json: is of config \w+, this one is \w+ '
                                   r'\(num_labels: 50 -> 25\)\. .*the trained runs beside it stay')
    self.assertEqual((self.workdir / 'results.json').read_bytes(), before)

  def test_evaluate_scores_a_finished_run(self):
    scored = run('evaluate', self.workdir / 'grid-alpt_blocked-seed0')
    self.assertEqual(scored.returncode, 0, scored.stderr)
    result = json.loads(scored.stdout)
    results = json.loads((self.workdir / 'results.json').read_text())
    last, = (r for r in results['rows']
             if r['run'] == 'grid-alpt_blocked-seed0' and r['step'] == 6)
    self.assertEqual(result['argmax']['spl'], last['argmax/spl'])
    self.assertEqual(result['label_accuracy']['6'], last['label_accuracy'])

  def test_evaluate_refuses_the_wrong_observation(self):
    scored = run('evaluate', self.workdir / 'grid-alpt_blocked-seed0',
                 '--config.observation=xy')
    self.assertEqual(scored.returncode, 1)
    self.assertRegex(scored.stderr, r'^error: .*another observation mode')

  def test_evaluate_refuses_another_config(self):
    scored = run('evaluate', self.workdir / 'grid-alpt_blocked-seed0', '--config.label_seed=3')
    self.assertEqual(scored.returncode, 1)
    self.assertRegex(scored.stderr, r'^error: .*another config \(label_seed: 0 -> 3\)')

  def test_failed_run_is_named_and_the_others_are_reported(self):
    workdir = self.root / 'failing'
    shutil.copytree(self.workdir, workdir, ignore=shutil.ignore_patterns(
        '*.html', 'results.*', 'run_files'))
    broken = workdir / 'grid-dt1-seed0'
    (broken / 'finished.json').unlink()
    for path in (broken / 'checkpoints').rglob('manifest.ocdbt'):
      path.write_bytes(b'damaged')
    result = run('reproduce', workdir)
    self.assertEqual(result.returncode, 1)
    self.assertIn('grid-dt1-seed0: exit code 1', result.stdout)
    failed = run_files.read(workdir / 'run_files' / 'grid-dt1-seed0.json')
    self.assertEqual((failed['status'], failed['failures'][0]['exit_code']), ('failed', 1))
    self.assertIn('all steps are damaged', failed['failures'][0]['error'])
    self.assertTrue((workdir / 'report.html').exists())

  def test_what_is_missing_or_cannot_be_is_named_and_in_no_number(self):
    workdir = self.root / 'damaged'
    shutil.copytree(self.workdir, workdir)
    at = {name: workdir / f'grid-{name}-seed0' for name in (
        'dt1', 'dt1_idm', 'alpt_blocked', 'alpt_blocked_tunnel', 'oracle')}
    (at['dt1'] / 'eval' / 'step_0000003.json').unlink()
    labels = at['dt1_idm'] / 'labels' / 'step_0000006.npz'
    labels.write_bytes(labels.read_bytes()[:100])
    self.change(at['alpt_blocked'] / 'eval' / 'step_0000003.json',
                lambda content: content['argmax'].update(success_500=7))
    (at['alpt_blocked'] / 'labels' / 'step_0000000.npz').unlink()
    self.change(at['alpt_blocked_tunnel'] / 'eval' / 'step_0000006.json',
                lambda content: content.update(step=5))
    (at['oracle'] / 'eval' / 'step_0000006.json').unlink()
    result = run('reproduce', workdir)
    self.assertEqual(result.returncode, 1)
    for text in (
        'grid-dt1-seed0: eval/step_0000003.json is missing.',
        f'grid-dt1-seed0: to make it again, delete {at["dt1"]}; ',
        f'grid-dt1_idm-seed0: {labels}: cannot be read',
        "grid-alpt_blocked-seed0: eval/step_0000003.json is damaged (argmax.success_500 is 7; "
        'expected a number between 0 and 1)',
        'grid-alpt_blocked-seed0: labels/step_0000000.npz is missing.',
        "grid-alpt_blocked_tunnel-seed0: eval/step_0000006.json is damaged (step is 5; expected "
        '6)', 'grid-oracle-seed0: eval/step_0000006.json is missing.'):
      self.assertIn(text, result.stdout)
    rows = {(row['method'], row['step']): row for row in json.loads(
        (workdir / 'results.json').read_text())['rows'] if row['part'] == 'score'}
    self.assertCountEqual([step for method, step in rows if method == 'alpt_blocked'], [0, 6])
    self.assertCountEqual([step for method, step in rows if method == 'oracle'], [0, 3])
    self.assertEqual([rows['dt1_idm', step]['label_accuracy'] is None for step in (0, 3, 6)],
                     [False, False, True])

  def change(self, path, change):
    """Changes the content of a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))

  def test_bad_places_and_times_are_one_line(self):
    workdir = self.root / 'places'
    shutil.copytree(self.workdir, workdir)
    seconds = workdir / 'grid-dt1-seed0' / 'seconds.json'
    seconds.write_text('abc')
    for place, message in ((workdir, f'{seconds}: not a number of seconds'),
                           (seconds / 'x', f'workdir: {seconds} is a file')):
      result = run('reproduce', place)
      self.assertEqual((result.returncode, result.stdout), (1, ''))
      self.assertIn(f'error: {message}', result.stderr)
      self.assertLen(result.stderr.splitlines(), 1)

  def test_terminated_experiment_goes_on_where_it_stopped(self):
    workdir = self.root / 'stopped'
    flags = ('--config.num_steps=3000', '--config.eval_every_steps=3000',
             '--config.checkpoint_every_steps=3000', '--config.study.num_workers=1',
             '--config.log_every_steps=1')
    process = subprocess.Popen(binary('reproduce', workdir, *flags), cwd=_ROOT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics_file = workdir / 'grid-alpt_blocked-seed0' / 'metrics.jsonl'
    while process.poll() is None and not (
        metrics_file.exists() and metrics_file.read_bytes().count(b'\n') > 3):
      time.sleep(.05)
    process.send_signal(signal.SIGTERM)
    self.assertEqual(process.wait(), 75)
    stopped_at = int(os.listdir(workdir / 'grid-alpt_blocked-seed0' / 'checkpoints')[0])
    self.assertBetween(stopped_at, 4, 2999)
    results = json.loads((workdir / 'results.json').read_text())
    self.assertEqual({r['status'] for r in results['runs']}, {'unfinished'})
    finished = run('train', workdir / 'grid-alpt_blocked-seed0',
                   f'--config.num_steps={stopped_at + 1}', *flags[1:])
    self.assertEqual(finished.returncode, 0, finished.stderr)
    self.assertCountEqual(os.listdir(workdir / 'grid-alpt_blocked-seed0' / 'checkpoints'),
                          [str(stopped_at), str(stopped_at + 1)])
    steps = [json.loads(line)['step'] for line in metrics_file.read_text().splitlines()]
    self.assertEqual(steps, list(range(1, stopped_at + 2)))


class PlanTest(absltest.TestCase):

  def test_study_is_idms_with_every_budget_and_agents_with_one(self):
    config = maze.get_config('study')
    planned = reproduce.plan(config)
    self.assertLen({run.name for run in planned}, len(planned))
    found = collections.Counter()
    for run in planned:
      own = runs.run_config(config, run)
      run_config.check_run(own)
      self.assertEqual(own.target, f'maze-20-blocks:10-seed{own.seed}')
      self.assertEqual(own.label_seed, own.seed)
      self.assertEqual((own.train_dt, own.eval_every_steps, own.num_label_windows),
                       (False, 20, 500) if run.part == 'labels' else (True, 250, 0))
      found[run.part, run.variant, own.num_labels] += 1
    with_idm = ('dt1_idm', 'alpt_blocked', 'alpt_blocked_tunnel')
    self.assertEqual(found, {
        ('labels', name, budget): 5 * 2 for name in with_idm for budget in (25, 50, 100, 250, 1000)
    } | {('labels', 'alpt_two_blocked', 250): 5 * 2} | {
        ('', name, 250): 5 * 2 for name in ('dt1', 'oracle', *with_idm)})
    self.assertEqual({run.changes['seed'] for run in planned}, set(range(5)))
    two, = {run.changes['sources'] for run in planned if run.variant == 'alpt_two_blocked'}
    self.assertEqual(two, ('maze-20-blocks:10-seed100', 'maze-20-blocks:10-seed101'))

  def test_targets_of_the_study_are_settings(self):
    config = maze.get_config('study')
    config.study.targets = tuple(map(maze.target, range(10, 15)))
    self.assertEqual({run.changes['target'] for run in reproduce.plan(config)},
                     set(map(maze.target, range(10, 15))))

  def test_idms_alone_have_the_labels_of_agents_and_more(self):
    config = maze.get_config('desk')
    config.num_labels, config.study.labels.budgets = 100, (50,)
    self.assertEqual({run.changes['num_labels'] for run in reproduce.plan(config)
                      if run.part == 'labels'}, {50, 100})
    config.study.labels.variants = {}
    self.assertLen(reproduce.plan(config), 5)

  def test_idms_alone_have_no_place_in_a_study_of_budgets(self):
    config = maze.get_config('desk')
    with config.unlocked():
      config.study.budgets = (50, 250)
    with self.assertRaisesRegex(ValueError, r'study.budgets is \(50, 250\), and study.labels is'):
      reproduce.plan(config)

  def test_mode_of_a_study_is_for_the_runs_in_which_an_idm_labels(self):
    config = maze.get_config('study')
    config.pseudo_labels.mode = 'soft'
    modes = {}
    for planned in reproduce.plan(config):
      own = runs.run_config(config, planned)
      run_config.check_run(own)
      modes.setdefault(own.pseudo_labels.mode, set()).add(own.method)
    self.assertEqual(modes['soft'], {'alpt', 'dt1_idm'})
    self.assertEqual(modes['hard'], {'dt1', 'oracle'})

  def test_mode_of_a_variant_in_which_no_idm_labels_is_a_mistake(self):
    config = maze.get_config('trust')
    for variant in config.study.variants.values():
      variant.method = 'dt1'
    refused = 0
    for planned in reproduce.plan(config):
      own = runs.run_config(config, planned)
      if own.pseudo_labels.mode != 'hard':
        with self.assertRaisesRegex(ValueError, 'pseudo_labels.mode is .* no IDM labels'):
          run_config.check_run(own)
        refused += 1
    self.assertEqual(refused, 24)  # Four modes with and without a temperature, three seeds.

  def test_runs_of_the_ablation_of_trust_differ_in_their_labels_only(self):
    config = maze.get_config('trust')
    labels = {}
    for run in reproduce.plan(config):
      own = runs.run_config(config, run)
      mode, temperature = own.pseudo_labels.mode, own.pseudo_labels.temperature
      labels.setdefault((mode, temperature), []).append(own.seed)
      flags = [flag for flag in runs.command(config, run) if 'pseudo_labels' in flag]
      self.assertEqual(f'--config.pseudo_labels.mode={mode}' in flags, mode != 'hard')
      self.assertEqual('--config.pseudo_labels.temperature=4.66' in flags, temperature != 1.)
      common = own.to_dict()
      for key in ('pseudo_labels', 'workdir', 'study'):
        del common[key]
      seeds = dict(seed=run.changes['seed'], label_seed=run.changes['seed'],
                   target=run.changes['target'])
      self.assertEqual(common, {key: value for key, value in (config.to_dict() | seeds).items()
                                if key in common})
      run_config.check_run(own)
    self.assertEqual(labels, {('hard', 1.): [0, 1, 2]} | {
        (mode, temperature): [0, 1, 2] for mode in ('soft', 'sampled', 'weighted', 'thresholded')
        for temperature in (1., 4.66)})

  def test_seeds_without_targets_are_refused(self):
    config = maze.get_config('study')
    config.study.seeds = (0, 1)
    with self.assertRaisesRegex(ValueError, 'study.seeds has 2 entries, study.targets 5'):
      reproduce.plan(config)

  def test_more_seeds_of_a_variant_are_refused_as_they_have_no_targets(self):
    for part in ('labels', 'agents'):
      config = maze.get_config('study')
      study = config.study.labels if part == 'labels' else config.study
      with config.unlocked():
        study.variants.alpt_blocked.more = dict(seeds=(5,), budgets=(250,))
      with self.assertRaisesRegex(ValueError, "more of variant 'alpt_blocked' is .*expected none"):
        reproduce.plan(config)

  def test_what_would_give_two_runs_one_name_is_refused(self):
    config = maze.get_config('study')
    config.study.seeds = (0, 0, 1)
    with self.assertRaisesRegex(ValueError, r'study.seeds is \(0, 0, 1\), with 0 more than once'):
      reproduce.plan(config)
    config.study.seeds, config.study.observations = tuple(range(5)), ('grid', 'grid')
    with self.assertRaisesRegex(ValueError, "study.observations is .* with 'grid' more than once"):
      reproduce.plan(config)

  def test_one_target_may_have_several_seeds(self):
    config = maze.get_config('study')
    config.study.targets = 5 * (maze.target(0),)
    planned = reproduce.plan(config)
    self.assertLen({run.name for run in planned}, len(planned))

  def test_a_study_without_runs_is_refused(self):
    config = maze.get_config('tiny')
    config.study.seeds = config.study.targets = ()
    with self.assertRaisesRegex(ValueError, 'study plans no run; .*--config.study.targets='):
      reproduce.plan(config)


class PlaceTest(absltest.TestCase):

  def test_a_directory_that_cannot_be_written_is_refused_unless_nothing_is(self):
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    with mock.patch.object(os, 'access', return_value=False):
      with self.assertRaisesRegex(ValueError, f'workdir: {directory} cannot be written'):
        reproduce._check_place(directory / 'a' / 'b', False)
      reproduce._check_place(directory / 'a' / 'b', True)  # The hosts may have it.
    reproduce._check_place(directory / 'a' / 'b', False)
    self.assertEmpty(os.listdir(directory))


if __name__ == '__main__':
  absltest.main()
