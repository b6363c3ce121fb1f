"""Real `python -m experiments.train` processes, which tests stop at moments of their choice.

Where a process is can be seen from outside, by the files of its run directory. A process is frozen
before it is looked at, so that it is still there when the signal comes.
"""

import itertools
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from alpt_jax.domains import study as studies
from experiments.studies import runs

# In the order in which a process comes to them.
PHASES = ('starting', 'compiling', 'training', 'evaluating', 'saving')
_POLL_SECONDS = .001
_MAX_MISSES = 3  # Then the signal comes at once.
_LONGEST_WAIT = .03  # Seconds that a process is left in a phase before it is stopped there.
_DEADLINE = 300.  # Seconds for any process; only a hang takes as long.


class Trainer:
  """One process that trains a run."""

  def __init__(self, config, *, environment=(), prefix=()):
    """Starts the process.

    Args:
      config: of the run; the process gets its differences from the preset as flags.
      environment: {name: value} beside the test's own environment.
      prefix: words before the command, e.g. of a shell that sets limits.
    """
    run = studies.Run(os.path.basename(config.workdir), '', {})
    config = config.copy_and_resolve_references()
    self.workdir = pathlib.Path(config.workdir)
    config.workdir = os.path.dirname(config.workdir)
    self._resume_step = max(self._steps(), default=0)
    self._output = tempfile.TemporaryFile('w+')
    self._start_time = time.time_ns()
    self._process = subprocess.Popen(
        [*prefix, sys.executable, *runs.command(config, run)], cwd=runs.ROOT,
        stdout=self._output, stderr=subprocess.STDOUT,
        env=os.environ | {'JAX_NUM_CPU_DEVICES': '1'} | dict(environment))

  def wait(self):
    """Waits for the end; returns the exit code, negative for a signal, and what was printed."""
    try:
      code = self._process.wait(_DEADLINE)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
      raise
    self._output.seek(0)
    with self._output:
      return code, self._output.read()

  def signal(self, number):
    """Sends a signal."""
    self._process.send_signal(number)

  def stop_in(self, phase, number, rng=None):
    """Sends a signal while the process is in a phase.

    Args:
      phase: one of `PHASES`.
      number: of the signal.
      rng: `random.Random`, for how long the process stays in the phase before; not at all if None.

    Raises:
      AssertionError: if the process ended before it was in the phase.
    """
    rng = rng or random.Random(0)
    for num_misses in itertools.count():
      if not self.reach(phase):
        break
      if num_misses < _MAX_MISSES:  # Short phases are over before a busy machine comes back to us.
        self._process.send_signal(signal.SIGCONT)
        time.sleep(rng.uniform(0, _LONGEST_WAIT))
      if self._freeze() and self.phase() == phase:
        self._process.send_signal(number)
        self._process.send_signal(signal.SIGCONT)
        return
    raise AssertionError(f'ended with {self._process.returncode} before {phase}')

  def reach(self, phase):
    """Freezes the process in a phase; returns False if it ended before."""
    end = time.monotonic() + _DEADLINE
    self._process.send_signal(signal.SIGCONT)
    while self._process.poll() is None:
      if self.phase() == phase and self._freeze():
        if self.phase() == phase:
          return True
        self._process.send_signal(signal.SIGCONT)
      if time.monotonic() > end:
        self._process.kill()
        raise AssertionError(f'{phase} was not reached')
      time.sleep(_POLL_SECONDS)
    return False

  def phase(self):
    """Says where the process is, by what it has written."""
    if _time(self.workdir / 'config.json') < self._start_time:
      return 'starting'
    if any('saving' in name for name in _names(self.workdir / 'checkpoints')):
      return 'saving'
    for name in _names(self.workdir / 'labels'):
      labelled = _time(self.workdir / 'labels' / name)
      scores = self.workdir / 'eval' / name.replace('.npz', '.json')
      if re.fullmatch(r'step_\d+\.npz', name) and max(self._start_time, _time(scores)) < labelled:
        return 'evaluating'
    return 'training' if self._last_step() > self._resume_step else 'compiling'

  def _freeze(self):
    """Stops the process until SIGCONT; returns False if it has ended."""
    self._process.send_signal(signal.SIGSTOP)
    if self._process.returncode is None:
      os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return self._process.poll() is None

  def _steps(self):
    return [int(n) for n in _names(self.workdir / 'checkpoints') if n.isdecimal()]

  def _last_step(self):
    try:
      lines = (self.workdir / 'metrics.jsonl').read_bytes().split(b'\n')
    except FileNotFoundError:
      return 0
    found = re.match(rb'{"step": (\d+),', lines[-2]) if len(lines) > 1 else None
    return int(found[1]) if found else 0


def _names(directory):
  try:
    return os.listdir(directory)
  except FileNotFoundError:
    return []


def _time(path):
  """When a file was written, in ns; 0 if it is not there."""
  try:
    return path.stat().st_mtime_ns
  except FileNotFoundError:
    return 0
