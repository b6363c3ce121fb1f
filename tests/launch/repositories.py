"""A repository with the launcher and a program to launch, and the clouds that stand in for others.

No test of the launcher reaches a real cloud: gcloud, kubectl and Slurm's commands are found first
in a directory of stand-ins (tests/launch/stand_ins).
"""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
_STAND_INS = pathlib.Path(__file__).parent / 'stand_ins'
_SLURM = ('sbatch', 'squeue', 'scancel', 'srun', 'scontrol')

# Enough for every target; the clouds' clocks are faster here.
SETTINGS = ('--settings.gcloud.project=my-project', '--settings.gcloud.zone=us-west4-a',
            '--settings.gke.queue=my-queue', '--settings.gke.image=registry/deps:1',
            '--settings.storage=gs://my-bucket', '--settings.poll_seconds=0.05',
            '--settings.first_pause_seconds=0.01', '--settings.grace_seconds=5')


@dataclasses.dataclass(frozen=True)
class Repository:
  """A directory to launch from.

  Attributes:
    path: of the repository.
    stand_ins: where the stand-ins keep what they know.
  """
  path: pathlib.Path
  stand_ins: pathlib.Path

  @property
  def directory(self):
    """That holds all; what is shared by hosts may go there."""
    return self.path.parent

  def environment(self, **changes):
    """Of a launcher: small, so that nothing of the developer's matters."""
    return {'PATH': f'{self.stand_ins / "bin"}:{os.environ["PATH"]}', 'LANG': 'C',
            'STAND_INS': str(self.stand_ins), 'REAL_PYTHON': sys.executable,
            'GIT_CONFIG_GLOBAL': os.devnull} | changes

  def start(self, command, *args, env=None):
    """Starts `python -m launch.<command>`; no terminal, no HOME."""
    return subprocess.Popen(
        [sys.executable, '-m', f'launch.{command}', *args], cwd=self.path,
        env=self.environment(**(env or {})), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)

  def run(self, command, *args, env=None, timeout=60):
    """Runs `python -m launch.<command>`; returns a CompletedProcess."""
    process = self.start(command, *args, env=env)
    try:
      output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
      process.send_signal(signal.SIGKILL)
      output, errors = process.communicate()
      raise AssertionError(f'still running after {timeout} s:\n{output}\n{errors}') from None
    return subprocess.CompletedProcess(command, process.returncode, output, errors)

  def scenario(self, **content):
    """Tells the stand-ins what to do."""
    (self.stand_ins / 'scenario.json').write_text(json.dumps(content))

  def calls(self):
    """What the stand-ins were asked: list of command lines."""
    path = self.stand_ins / 'calls.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

  def git(self, *args):
    """Runs git in the repository."""
    subprocess.run(['git', '-C', str(self.path), '-c', 'user.name=t', '-c', 'user.email=t@t',
                    *args], check=True, capture_output=True)

  def probe(self, workdir, name, process='0'):
    """Lines of a file that the program has written; [] if it is not there."""
    path = self.path / workdir / 'probe' / process / name
    return path.read_text().splitlines() if path.exists() else []


def make(test, *, is_whole=False):
  """Makes a `Repository` for a test, after which nothing of it is left, nor runs.

  Args:
    test: an `absltest.TestCase`.
    is_whole: with all programs, beside the one to launch.
  """
  directory = pathlib.Path(test.enter_context(tempfile.TemporaryDirectory()))
  path, stand_ins = directory / 'repository', directory / 'stand_ins'
  test.addCleanup(_kill_all, stand_ins)
  ignored = shutil.ignore_patterns('__pycache__', 'user.py')
  shutil.copytree(ROOT / 'launch', path / 'launch', ignore=ignored)
  if is_whole:
    for name in ('alpt_jax', 'experiments'):
      shutil.copytree(ROOT / name, path / name, ignore=ignored)
  (path / 'experiments' / 'configs').mkdir(parents=True, exist_ok=True)
  for name in ('__init__.py', 'configs/__init__.py', 'configs/base.py', 'configs/maze.py',
               'configs/atari.py'):
    shutil.copy(ROOT / 'experiments' / name, path / 'experiments' / name)
  (path / 'alpt_jax').mkdir(exist_ok=True)
  (path / 'alpt_jax' / '__init__.py').touch()
  for name in ('cli.py', 'configs.py'):
    shutil.copy(ROOT / 'alpt_jax' / name, path / 'alpt_jax' / name)
  for name in ('files', 'process'):
    shutil.copytree(ROOT / 'alpt_jax' / name, path / 'alpt_jax' / name, ignore=ignored,
                    dirs_exist_ok=True)
  here = pathlib.Path(__file__).parent
  shutil.copy(here / 'probe.py', path / 'experiments' / 'probe.py')
  shutil.copy(here / 'probe_config.py', path / 'experiments' / 'configs' / 'probe.py')
  for name in ('requirements.txt', '.gitignore'):
    shutil.copy(ROOT / name, path / name)
  bin_ = stand_ins / 'bin'
  bin_.mkdir(parents=True)
  for name in ('gcloud', 'kubectl', 'fake-python', 'sudo', 'gcsfuse', 'python3',
               *_SLURM):
    text = (_STAND_INS / ('slurm' if name in _SLURM else name)).read_text()
    # This Python, and without what it does not need to start.
    (bin_ / name).write_text(text.replace('#!/usr/bin/env python3', f'#!{sys.executable} -IS'))
    (bin_ / name).chmod(0o755)
  repository = Repository(path, stand_ins)
  repository.scenario()
  repository.git('init', '--quiet')
  repository.git('add', '--all')
  repository.git('commit', '--quiet', '--message=Everything')
  return repository


def _kill_all(stand_ins):
  """Ends what a failed test has left: processes that know its stand-ins."""
  sign = f'STAND_INS={stand_ins}'.encode()
  for environment in pathlib.Path('/proc').glob('[0-9]*/environ'):
    try:
      if sign in environment.read_bytes().split(b'\0'):
        os.kill(int(environment.parent.name), signal.SIGKILL)
    except (OSError, ProcessLookupError):
      pass  # Over, or somebody else's.


def wait_for(condition, process=None, timeout=60):
  """Waits until a function returns something true; fails if a process ends before that."""
  deadline = time.monotonic() + timeout
  while not (result := condition()):
    if process is not None and process.poll() is not None:
      output, errors = process.communicate()
      raise AssertionError(f'ended with {process.returncode}:\n{output}\n{errors}')
    if time.monotonic() > deadline:
      raise AssertionError(f'nothing after {timeout} s')
    time.sleep(.01)
  return result
