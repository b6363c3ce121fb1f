"""Tests that the benchmark measures Atari as it says, on the tiny preset; never how fast."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest

from tests import atari_runs

_ROOT = pathlib.Path(__file__).parents[2]


class BenchmarkAtariTest(absltest.TestCase):

  def test_reading_and_evaluation_stand_beside_the_plain_ways(self):
    workdir = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, workdir)
    process = subprocess.run(
        [sys.executable, '-m', 'experiments.benchmark',
         f'--config={_ROOT}/experiments/configs/atari.py:tiny,setting=disjoint',
         f'--config.workdir={workdir}', f'--config.data_dir={atari_runs.recorded()}', '--turns=1',
         '--turn_steps=2', '--loading_seconds=.5', '--saving_steps=2', '--resumes=1'],
        cwd=_ROOT, capture_output=True, text=True, check=False)
    self.assertEqual(process.returncode, 0, process.stderr)
    result = json.loads(pathlib.Path(workdir, 'benchmark.json').read_text())
    self.assertEqual(set(result['loading']), {'ours', 'ours_4_times', 'naive'})
    for loading in result['loading'].values():
      self.assertGreater(loading['windows_per_second'], 0)
      self.assertGreater(loading['max_memory_bytes'], 0)
    evaluation = result['evaluation']
    ours, plain = (evaluation[name]['median'] for name in (
        'steps_per_second', 'plain_steps_per_second'))
    self.assertAlmostEqual(evaluation['speed_ratio']['median'], ours / plain)
    self.assertAlmostEqual(sum(evaluation['percent_waiting'].values()), 100)
    self.assertEqual(result['environment'], 'Breakout')
    self.assertEqual(result['saving']['num_saves'], 1)
    self.assertGreater(result['resume']['seconds']['median'], 0)
    for row in ('reading by rlds.transformations.batch', 'evaluation, speed against the plain way'):
      self.assertIn(f'| {row} |', process.stdout)


if __name__ == '__main__':
  absltest.main()
