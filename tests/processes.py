"""Starts the processes of a run, each with some CPU devices, as a launcher would."""

import atexit
import contextlib
import functools
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
_TIMEOUT_SECONDS = 900.  # A run that hangs shall fail its test, not stop all tests.


def free_port():
  """A port that nobody listens on."""
  with socket.socket() as s:
    s.bind(('localhost', 0))
    return s.getsockname()[1]


def environment(process, num_processes, port, *, num_devices=4):
  """The environment of one of several processes."""
  variables = {
      'PYTHONPATH': os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')])),
      'JAX_NUM_CPU_DEVICES': str(num_devices),
      'ALPT_COORDINATOR': f'localhost:{port}', 'ALPT_NUM_PROCESSES': str(num_processes),
      'ALPT_PROCESS_ID': str(process)}
  return os.environ | variables


def environment_of_users():
  """The environment of a process that compiles as for users, not as for tests (see conftest)."""
  return {name: value for name, value in os.environ.items()
          if name != 'XLA_FLAGS' and not name.startswith('JAX_')}


def environment_without(*packages):
  """The environment of a process in which packages are not installed."""
  directory = _not_installed(packages)
  return os.environ | {'PYTHONPATH': os.pathsep.join([directory, str(ROOT)])}


@functools.cache
def _not_installed(packages):
  """Makes a directory that hides packages from whoever has it in front of the others."""
  directory = tempfile.mkdtemp()
  atexit.register(shutil.rmtree, directory, ignore_errors=True)
  for name in packages:
    pathlib.Path(directory, f'{name}.py').write_text(
        f'raise ModuleNotFoundError("No module named {name!r}", name={name!r})\n')
  return directory


def start(arguments, *, num_processes=2, num_devices=4, started=None):
  """Starts `python *arguments` in several processes.

  Args:
    arguments: list of strings.
    num_processes: how many the run has.
    num_devices: of each process.
    started: the ids of those that are started; all if None.

  Returns:
    A list of `subprocess.Popen`; what they write goes to files, `finish` reads it.
  """
  port, result = free_port(), []
  for i in range(num_processes) if started is None else started:
    files = tempfile.TemporaryFile('w+'), tempfile.TemporaryFile('w+')
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, text=True, stdout=files[0], stderr=files[1],
        env=environment(i, num_processes, port, num_devices=num_devices))
    process.files = files
    result.append(process)
  return result


def kill(processes):
  """Ends what is still there of them, e.g. after a failed test."""
  for process in processes:
    with contextlib.suppress(ProcessLookupError):
      process.kill()
    process.wait()


def finish(processes):
  """Waits for all; returns [(exit code, standard output, standard error), ..]."""
  deadline, results = time.monotonic() + _TIMEOUT_SECONDS, []
  try:
    for process in processes:
      process.wait(max(0., deadline - time.monotonic()))
  finally:
    kill(processes)
  for process in processes:
    texts = []
    for file in process.files:
      file.seek(0)
      texts.append(file.read())
      file.close()
    results.append((process.returncode, *texts))
  return results
