"""Tests which Python `make` takes, and what it says if there is none."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Runs `-c` with another version; of `-m venv`, only writes that it was called.
_PYTHON = '''#!{python}
import sys
sys.version_info = {version} + (1, 'final', 0)
if not {has_venv}:
  sys.modules['ensurepip'] = None
if sys.argv[1] == '-c':
  exec(sys.argv[2])
else:
  open('called', 'a').write(sys.argv[0].split('/')[-1] + ' ' + ' '.join(sys.argv[1:]) + '\\n')
  sys.exit(9)
'''
_NAMES = ('python3', 'python3.11', 'python3.12', 'python3.13')
_NEEDED = 'Python 3.11, 3.12 or 3.13 is needed: '
_REMEDY = '. Try: make maze PYTHON=/path/to/python3.12'


class MakefileTest(parameterized.TestCase):

  def make(self, versions, *arguments, has_venv=True):
    """Runs `make maze` with Pythons, {name: version}; returns its result and the calls of venv."""
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    for name in ('Makefile', 'requirements.txt'):
      shutil.copy(ROOT / name, directory)
    for name in {*_NAMES, *versions}:
      program = directory / name
      # As pyenv's of a version that is not chosen.
      program.write_text('#!/bin/sh\necho "pyenv: command not found" >&2\nexit 127\n')
      if name in versions:
        program.write_text(_PYTHON.format(
            python=sys.executable, version=versions[name], has_venv=has_venv))
      program.chmod(0o755)
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHON', 'MAKEFLAGS', 'MAKELEVEL')}
    done = subprocess.run(
        ['make', 'maze', *arguments], cwd=directory, capture_output=True, text=True,
        env=env | {'PATH': f'{directory}:{os.environ["PATH"]}'})
    called = directory / 'called'
    return done, called.read_text() if called.exists() else ''

  def assert_stops(self, made, sentence):
    """Asserts that `make` stopped with a sentence, before anything was installed."""
    done, called = made
    self.assertEqual(called, '')
    self.assertEqual(done.returncode, 2)
    self.assertEqual(done.stderr.splitlines()[0], sentence)
    self.assertNotIn('Traceback', done.stderr)
    self.assertNotIn('Installing', done.stdout)

  @parameterized.parameters((3, 10), (3, 14), (4, 0))
  def test_stops_if_no_python_is_right(self, *version):
    self.assert_stops(
        self.make({'python3': version}),
        f'{_NEEDED}python3 is {version[0]}.{version[1]}, python3.11 is not there, python3.12 is '
        f'not there, python3.13 is not there{_REMEDY}')

  def test_stops_if_the_one_that_is_asked_for_is_not_right(self):
    versions = {'python3': (3, 12), 'other': (3, 9)}
    self.assert_stops(self.make(versions, 'PYTHON=other'), f'{_NEEDED}other is 3.9{_REMEDY}')
    self.assert_stops(self.make(versions, 'PYTHON=nowhere/python3'),
                      f'{_NEEDED}nowhere/python3 is not there{_REMEDY}')

  def test_says_which_package_of_debian_is_missing(self):
    self.assert_stops(
        self.make({'python3': (3, 12)}, 'PYTHON=python3', has_venv=False),
        f'{_NEEDED}python3 has no venv (Debian and Ubuntu have it in the package '
        f'python3.12-venv){_REMEDY}')

  @parameterized.parameters(
      ({'python3': (3, 11)}, 'python3'),
      ({'python3': (3, 13), 'python3.11': (3, 11)}, 'python3'),
      ({'python3': (3, 10), 'python3.13': (3, 13)}, 'python3.13'),
      ({'python3': (3, 14), 'python3.12': (3, 12), 'python3.13': (3, 13)}, 'python3.12'),
      ({'python3.11': (3, 11)}, 'python3.11'))
  def test_takes_the_first_that_is_right(self, versions, name):
    done, called = self.make(versions)
    self.assertEqual(called, f'{name} -m venv .venv\n')
    self.assertNotIn('is needed', done.stderr)
    self.assertIn(f'into .venv with {name} ', done.stdout)

  def test_takes_the_one_that_is_asked_for(self):
    _, called = self.make({'python3': (3, 11), 'other': (3, 13)}, 'PYTHON=other')
    self.assertEqual(called, 'other -m venv .venv\n')

  def test_versions_are_those_that_setup_py_says(self):
    said = re.findall(r'Python :: (3\.\d+)', (ROOT / 'setup.py').read_text())
    self.assertEqual([f'python{version}' for version in said], list(_NAMES[1:]))


if __name__ == '__main__':
  absltest.main()
