"""Tests of the alignment of the data of a run, from its directory and from outside."""

import json
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

from alpt_jax.labelling import alignment_run
from alpt_jax.training import computation
from tests import own_runs
from tests.data import alignment_check_test

ROOT = pathlib.Path(__file__).resolve().parents[2]


class AlignmentRunTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    alignment_check_test.write(self.parent / 'data' / 'Play', [1] * 10)
    config = own_runs.config(self.parent / 'data', self.parent / 'run', 'tiny,target=Play')
    config.model.patch_size = 12
    (self.parent / 'run').mkdir()
    (self.parent / 'run' / 'config.json').write_text(json.dumps(
        json.loads(config.to_json()) | {'data_digests': {}} | computation.CURRENT))

  def audit(self, *flags):
    return subprocess.run([sys.executable, '-m', 'experiments.audit', *flags], cwd=ROOT, text=True,
                          capture_output=True, check=False)

  def test_a_run_that_has_no_checkpoint_yet(self):
    found, = alignment_run.check_run(self.parent / 'run')
    self.assertEqual((found['environment'], found['kind'], found['steps']), ('Play', 'late', 1))
    self.assertEqual(found['files'][3]['file'], '3.mp4')
    again, = alignment_run.check_run(self.parent / 'run', environments=['Play'], latency=1)
    self.assertEqual((again['kind'], again['steps']), ('late', 2))

  def test_the_program(self):
    done = self.audit('--alignment', f'--dataset={self.parent}/data/Play')
    self.assertEqual((done.returncode, done.stderr.count('error')), (0, 0), done.stderr)
    path = self.parent / 'data' / 'Play' / 'alignment.json'
    found, = json.loads(path.read_text())['environments']
    self.assertEqual(done.stdout.splitlines(), [*found['sentences'], f'Wrote {path}.'])
    done = self.audit('--alignment', f'--run={self.parent}/run')
    self.assertEqual(done.returncode, 0, done.stderr)
    path = self.parent / 'run' / 'audit' / 'alignment.json'
    self.assertEqual(json.loads(path.read_text())['environments'], [found])

  def test_mistakes_end_in_one_line(self):
    for flags, message in (
        (['--alignment'], 'expected one directory, of a run or of a dataset'),
        (['--latency=0', '--run=y'], '--latency is for --alignment')):
      done = self.audit(*flags)
      self.assertEqual((done.returncode, done.stdout), (1, ''))
      self.assertRegex(done.stderr, f'^error: [^\n]*{message}[^\n]*\n$')


if __name__ == '__main__':
  absltest.main()
