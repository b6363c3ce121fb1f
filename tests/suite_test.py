"""The test suite itself: it cannot hang, whoever starts it."""

import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PYTEST = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-n', '0']


class SuiteTest(absltest.TestCase):

  def test_in_the_background_of_a_shell_tests_of_interrupts_pass(self):
    done = subprocess.run(
        ['sh', '-c', "trap '' INT; exec \"$@\"", 'sh', *PYTEST, 'tests/process/starting_test.py',
         '-k', 'config_is_loaded'], cwd=ROOT, capture_output=True, text=True)
    self.assertEqual(done.returncode, 0, msg=done.stdout)
    self.assertStartsWith(done.stdout, '. ')

  def test_a_test_that_hangs_fails(self):
    with tempfile.TemporaryDirectory() as directory:
      path = pathlib.Path(directory) / 'hanging_test.py'
      path.write_text('import time\ndef test_hangs():\n  time.sleep(600)\n')
      done = subprocess.run([*PYTEST, '--timeout=1', '-c', ROOT / 'pyproject.toml', path],
                            cwd=directory, capture_output=True, text=True)
    self.assertEqual(done.returncode, 1, msg=done.stdout)
    self.assertIn('Timeout', done.stdout)

  def test_every_test_has_a_limit(self):
    settings = (ROOT / 'pyproject.toml').read_text()
    self.assertRegex(settings, r'(?m)^timeout = \d+')


if __name__ == '__main__':
  absltest.main()
