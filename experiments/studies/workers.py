"""Trains the runs of a study side by side on this machine, a process each."""

import concurrent.futures
import os
import pathlib
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time

from alpt_jax import progress as progress_
from alpt_jax.files import atomic_files
from alpt_jax.process import starting
from alpt_jax.training import run_directory, stopping
from experiments.studies import runs

_POLL_SECONDS = 1.
_ENDED_BY_SIGNAL = (-signal.SIGTERM, -signal.SIGINT, starting.INTERRUPTED, starting.TERMINATED)
_CAN_PIN = hasattr(os, 'sched_setaffinity')  # Not on macOS: one run at a time there.


class Workers:
  """Trains runs side by side, each on cores of its own, and shows how far they are."""

  def __init__(self, config, todo, writer):
    self._config, self._runs, self._writer = config, todo, writer
    # One core a run, where there are runs enough: the number of threads decides how sums round.
    cores = sorted(os.sched_getaffinity(0)) if _CAN_PIN else [0]
    num_workers = min(config.study.num_workers or len(cores), len(todo))
    self._free_cores = queue.SimpleQueue()
    for i in range(num_workers):
      self._free_cores.put(set(cores[i::num_workers]) or set(cores))
    self._is_ended = {run: threading.Event() for run in todo}
    self._codes = {}
    self._lock = threading.RLock()  # A signal may come while its thread holds it.
    self._processes = []
    self._is_stopping = False

  def train_all(self):
    """Returns {run: exit code}; a run that was never started has None."""
    codes = dict.fromkeys(self._runs)
    first_steps = self._num_steps_done()
    progress = progress_.Progress(
        sum(runs.num_steps(self._config, run) for run in self._runs), start_step=first_steps,
        label=f'training {len(self._runs)} runs')
    print('starting: every run compiles first, up to a minute without a word', flush=True)
    previous = signal.signal(signal.SIGTERM, lambda *_: self._stop())
    try:
      with concurrent.futures.ThreadPoolExecutor(len(self._runs)) as pool:
        futures = {pool.submit(self._train, run): run for run in self._runs}
        try:
          pending = set(futures)
          while pending:
            done, pending = concurrent.futures.wait(pending, timeout=_POLL_SECONDS)
            for future in done:
              run = futures[future]
              codes[run] = future.result()
              _write_run_file(self._config, self._writer, run, codes[run],
                              self._codes.get(run.after))
            num_finished = sum(code == 0 for code in codes.values())
            num_steps = self._num_steps_done()
            if num_steps > first_steps:  # Before that, there is no speed to estimate the rest from.
              progress.update(num_steps, finished=f'{num_finished}/{len(codes)} runs')
        except BaseException:
          self._stop()
          raise
    finally:
      signal.signal(signal.SIGTERM, previous)
      progress.close()
    return codes

  def _train(self, run):
    """Waits for the run that this one starts from, then for a core; returns an exit code."""
    try:
      if run.after in self._is_ended:
        self._is_ended[run.after].wait()
        if self._codes[run.after] != 0:
          return None  # Not started.
      cores = self._free_cores.get()
      try:
        self._codes[run] = self._train_on(run, cores)
      finally:
        self._free_cores.put(cores)
      return self._codes[run]
    finally:
      self._codes.setdefault(run, None)
      self._is_ended[run].set()

  def _train_on(self, run, cores):
    with self._lock:
      if self._is_stopping:
        return None
    workdir = pathlib.Path(self._config.workdir, run.name)
    workdir.mkdir(parents=True, exist_ok=True)
    is_others = False
    while run_directory.is_taken(workdir):  # By the experiment of another figure.
      if self._is_stopping:
        return None
      if not is_others:
        print(f'{run.name}: another process is training it; waiting', flush=True)
      is_others = True
      time.sleep(_POLL_SECONDS)
    if is_others and runs.is_finished(self._config, run):
      return 0
    start = time.time()
    with open(workdir / 'train.log', 'a') as log:
      arguments = runs.command(self._config, run)
      log.write(f'$ python {shlex.join(arguments)}\n')
      log.flush()
      if _CAN_PIN:
        os.sched_setaffinity(0, cores)  # Of this thread; the process inherits it.
      with self._lock:  # A process is either never started, or known to `_stop`.
        if self._is_stopping:
          return None
        path = os.pathsep.join(filter(None, [str(runs.ROOT), os.environ.get('PYTHONPATH')]))
        process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log,
                                   env=os.environ | {'PYTHONPATH': path})
        self._processes.append(process)
      code = process.wait()
    atomic_files.write_json(
        workdir / 'seconds.json', runs.seconds(self._config, run) + time.time() - start)
    if self._is_stopping and code in _ENDED_BY_SIGNAL:
      return stopping.PREEMPTED  # Before it could listen to signals, so there is nothing to save.
    return code

  def _stop(self):
    """Asks the running ones to save and stop."""
    with self._lock:
      self._is_stopping = True
      for process in self._processes:
        if process.poll() is None:
          process.terminate()

  def _num_steps_done(self):
    return sum(runs.last_step(self._config, run) for run in self._runs)


def _write_run_file(config, writer, run, code, code_before=None):
  """Writes what a run that has ended has to say; nothing for one that was stopped.

  Args:
    config: of the experiment.
    writer: `run_files.Writer`.
    run: a `study.Run`.
    code: its exit code; None if it was not started.
    code_before: exit code of the run that it starts from; None if that did not run now.
  """
  if code == 0:
    writer.done(run)
  elif is_failure(code):
    writer.failed(run, code, last_line(log_path(config, run)))
  elif code is None and is_failure(code_before):
    writer.failed(run, None, f'not started: {run.after.name} failed')


def is_failure(code):
  """Returns whether an exit code means failure; None, of a run not started, does not."""
  return code not in (0, None, stopping.PREEMPTED)


def log_path(config, run):
  """Returns the path of what a run printed."""
  return pathlib.Path(config.workdir, run.name, 'train.log')


def last_line(path):
  """Returns the last line of a text file; '' if it is empty."""
  return (path.read_text().strip().splitlines() or [''])[-1]
