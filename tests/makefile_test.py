"""Tests what `make` says of a Python on which the requirements do not install."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Runs `-c` with another version; of `-m venv`, only writes that it was called.
_PYTHON = '''#!{python}
import sys
sys.version_info = {version}
if sys.argv[1] == '-c':
  exec(sys.argv[2])
else:
  open('called', 'a').write(' '.join(sys.argv[1:]) + '\\n')
  sys.exit(9)
'''


class MakefileTest(parameterized.TestCase):

  def make(self, version):
    """Runs `make maze` with a Python of a version; returns its result and the calls after `-c`."""
    with tempfile.TemporaryDirectory() as directory:
      directory = pathlib.Path(directory)
      for name in ('Makefile', 'requirements.txt'):
        shutil.copy(ROOT / name, directory)
      python = directory / 'python3'
      python.write_text(_PYTHON.format(python=sys.executable, version=version))
      python.chmod(0o755)
      env = {k: v for k, v in os.environ.items() if k not in ('PYTHON', 'MAKEFLAGS', 'MAKELEVEL')}
      done = subprocess.run(
          ['make', 'maze'], cwd=directory, capture_output=True, text=True,
          env=env | {'PATH': f'{directory}:{os.environ["PATH"]}'})
      called = directory / 'called'
      return done, called.read_text() if called.exists() else ''

  @parameterized.parameters((3, 10), (3, 12), (3, 13), (4, 0))
  def test_stops_with_one_sentence_before_anything_is_installed(self, *version):
    done, called = self.make((*version, 1, 'final', 0))
    self.assertEqual(called, '')
    self.assertEqual(done.returncode, 2)
    sentence, *rest = done.stderr.splitlines()
    self.assertEqual(
        sentence, f'Python 3.11 is needed, and python3 is {version[0]}.{version[1]}: on 3.12 and '
        'later the requirements do not install (envlogger 1.2 ends with 3.11). '
        'Try: make maze PYTHON=python3.11')
    self.assertNotIn('Traceback', ''.join(rest))
    self.assertNotIn('Installing', done.stdout)

  def test_installs_with_python_3_11(self):
    done, called = self.make((3, 11, 2, 'final', 0))
    self.assertEqual(called, '-m venv .venv\n')
    self.assertNotIn('is needed', done.stderr)


if __name__ == '__main__':
  absltest.main()
