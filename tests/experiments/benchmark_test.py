"""Tests that the benchmark measures what it says, on the tiny preset; never how fast."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import jax
import jax.numpy as jnp
from absl.testing import absltest

from experiments import benchmark
from experiments.configs import atari
from tests import maze_data

_ROOT = pathlib.Path(__file__).parents[2]


class BinaryTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.workdir = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, cls.workdir)
    process = subprocess.run(
        [sys.executable, '-m', 'experiments.benchmark',
         f'--config={_ROOT}/experiments/configs/maze.py:tiny', f'--config.workdir={cls.workdir}',
         f'--config.data_dir={maze_data.recorded()}', '--turns=2', '--turn_steps=3',
         '--saving_steps=2', '--resumes=1'],
        cwd=_ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    cls.stdout = process.stdout
    cls.result = json.loads(pathlib.Path(cls.workdir, 'benchmark.json').read_text())

  def assert_measured(self, values):
    self.assertGreater(values['min'], 0)
    self.assertLessEqual(values['min'], values['median'])
    self.assertLessEqual(values['median'], values['max'])

  def test_everything_is_measured(self):
    update, evaluation = self.result['update'], self.result['evaluation']
    for values in (self.result['matmul_gflop_per_second'], update['step_ms'],
                   update['steps_per_second'], update['windows_per_second'],
                   update['gflop_per_second'], evaluation['seconds'],
                   evaluation['steps_per_second']):
      self.assert_measured(values)
    self.assertGreater(update['compile_seconds'], 0)
    self.assertGreater(update['percent_of_matmul'], 0)
    self.assertBetween(update['data_wait_percent']['median'], 0, 100)
    self.assertGreater(evaluation['num_steps'], 0)

  def test_nothing_is_compiled_after_the_first_step(self):
    self.assertEqual(self.result['compilations_after_first_step'], 0)

  def test_work_is_that_of_the_three_parts(self):
    work = dict(self.result['update']['gflop_per_step'])
    self.assertEqual(set(work), {'idm', 'labelling', 'dt', 'all'})
    self.assertAlmostEqual(work.pop('all'), sum(work.values()))
    for part in work.values():
      self.assertGreater(part, 0)

  def test_saving_is_measured_in_every_turn(self):
    saved = self.result['saving']
    self.assertEqual((saved['every_steps'], saved['num_saves']), (2, 2))
    self.assert_measured(saved['stopped_ms'])
    self.assertGreater(saved['state_bytes'], 0)
    self.assertIn('| updates, slowed by a save every 2 steps |', self.stdout)

  def test_processes_go_on_from_one_anothers_checkpoints(self):
    resume = self.result['resume']
    without_cache, with_cache = resume['from_steps']
    self.assertGreater(without_cache, 0)
    self.assertGreater(with_cache, without_cache)
    self.assert_measured(resume['seconds'])
    self.assert_measured(resume['programs_seconds'])
    self.assertGreater(resume['seconds']['min'], resume['programs_seconds']['max'])
    self.assertGreater(resume['without_cache']['seconds'],
                       resume['without_cache']['programs_seconds'])
    self.assertIn('to its first update, 1 times |', self.stdout)

  def test_says_what_was_measured_where(self):
    self.assertGreater(self.result['machine']['cores'], 0)
    self.assertTrue(self.result['machine']['cpu'])
    self.assertEqual(self.result['versions']['jax'], jax.__version__)
    self.assertIn('experiments.benchmark --config=', self.result['command'])
    self.assertIn(self.result['command'], self.stdout)

  def test_table_has_three_columns(self):
    rows = [line for line in self.stdout.splitlines() if line.startswith('|')]
    self.assertGreater(len(rows), 10)
    self.assertEqual({row.count('|') for row in rows}, {4})

  def test_pytorch_is_beside_it_where_installed(self):
    if importlib.util.find_spec('torch') and importlib.util.find_spec('transformers'):
      for values in self.result['pytorch'].values():
        self.assert_measured(values)
      self.assertIn('GPT-2 of the same shape, AdamW', self.stdout)
    else:
      self.assertIsNone(self.result['pytorch'])
      self.assertIn('pip install ".[benchmark]"', self.stdout)


class BenchmarkTest(absltest.TestCase):

  def test_missing_mazes_of_the_run_are_recorded_and_no_others(self):
    data_dir = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, data_dir)
    config = maze_data.config('unused', data_dir=data_dir)
    config.collect.num_episodes = 2
    benchmark.record_missing(config)
    self.assertEqual(set(os.listdir(data_dir)), {config.target, *config.sources})

  def test_refuses_a_method_without_the_networks_that_it_measures(self):
    config = atari.get_config('tiny,method=cql,phase=finetune')
    with self.assertRaisesRegex(ValueError, "method is 'cql', which trains neither IDM nor DT"):
      benchmark.Update(config)

  def test_jobs_take_turns(self):
    calls = []
    jobs = {name: lambda name=name: calls.append(name) or len(calls) for name in 'ab'}
    self.assertEqual(benchmark.take_turns(jobs, 3), {'a': [1, 3, 5], 'b': [2, 4, 6]})
    self.assertEqual(calls, list('ababab'))

  def test_compilations_are_counted(self):
    double = jax.jit(lambda x: 2 * x)
    inputs = [jnp.ones(n) for n in (3, 3, 4)]
    counts = []
    with benchmark.compilations() as compiled:
      for x in inputs:
        double(x)
        counts.append(len(compiled))
    jax.jit(lambda x: 3 * x)(inputs[0])
    self.assertEqual(counts, [1, 1, 2])
    self.assertLen(compiled, 2)


if __name__ == '__main__':
  absltest.main()
