"""Measures checkpointing overhead and resume latency; see `benchmark`.

What is measured is what `train` does: its updates, `alpt_jax.training.checkpoints` with verified
manifests, and processes of `python -m experiments.train` on a run directory with a checkpoint.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np

from alpt_jax.domains import study as studies
from alpt_jax.training import checkpoints, metrics, stopping
from experiments.studies import runs

_RUN = 'run'  # Of a directory of measurements.
_NEVER = 10 ** 9  # Steps.
_POLL_SECONDS = .01
_SAVES_BEFORE = 3  # Of them, the first is slow; from the third on, each deletes one, as all later.


class Saving:
  """As many updates with a save among them as without, in turns."""

  def __init__(self, update, directory, *, every_steps):
    """Saves a few times, which do not count.

    Args:
      update: a `benchmark.Update`; is used by `run`.
      directory: for a run directory, whose checkpoints are made here.
      every_steps: updates for each save.
    """
    self._update, self._every_steps = update, every_steps
    self._checkpoints = checkpoints.Checkpoints(
        os.path.join(directory, _RUN, 'checkpoints'), save_every_steps=1)
    self._writer = metrics.MetricsWriter(
        os.path.join(directory, 'metrics.jsonl'), resume_step=0)
    self._is_saving_first = False
    self._stopped_seconds, self._late_seconds = [], []  # One number a turn.
    for _ in range(_SAVES_BEFORE):
      update.run(1)
      self._save()
      self._checkpoints.wait()

  def run(self):
    """Returns the seconds of `every_steps` updates with a save, and those of as many without.

    The save begins when they do, as in `train` with a line of metrics that is flushed before, and
    the clock runs until its files have a manifest and their name: nothing of it is left for the
    updates without.
    """
    self._is_saving_first = not self._is_saving_first  # What a machine does over time evens out.
    seconds = {is_saving: self._seconds(is_saving)
               for is_saving in (self._is_saving_first, not self._is_saving_first)}
    return seconds[True], seconds[False]

  def _save(self):
    state = self._update.state
    step = int(state.step)
    self._writer.write(step, {})
    self._writer.sync()
    if not self._checkpoints.save(step, state):
      raise ValueError(f'step {step} was already saved; expected updates in between.')

  def _seconds(self, is_saving):
    self._update.run(1)
    begin = time.perf_counter()
    if is_saving:
      self._save()
      self._stopped_seconds.append(time.perf_counter() - begin)
    self._update.run(self._every_steps)
    updated = time.perf_counter()
    self._checkpoints.wait()
    end = time.perf_counter()
    if is_saving:
      self._late_seconds.append(end - updated)
    return end - begin

  def summary(self, results):
    """Says what saving costs.

    Args:
      results: list of what each turn's `run` returned.

    Returns:
      A dict with arrays of one number a turn: 'slowdown_percent', of updates with a save against
      those without, 'stopped_ms', how long the updates waited for `save` to return, and 'late_ms',
      how long the files took after the last update; and what was saved how often.
    """
    with_save, without = np.transpose(results)
    return {
        'every_steps': self._every_steps, 'num_saves': len(self._stopped_seconds),
        'state_bytes': sum(x.nbytes for x in jax.tree.leaves(self._update.state)),
        'num_arrays': len(jax.tree.leaves(self._update.state)),
        # Of neighbours: both met the same machine.
        'slowdown_percent': 100 * (with_save / without - 1),
        'stopped_ms': 1e3 * np.array(self._stopped_seconds),
        'late_ms': 1e3 * np.array(self._late_seconds)}

  def close(self):
    """Ends the thread that writes."""
    with self._checkpoints, self._writer:
      pass


def measure_resume(config, directory, *, num_times):
  """Measures how soon processes of `experiments.train` resume the run that `Saving` has saved.

  The clock runs from the start of the process until metrics.jsonl has the line of its first update:
  Python, imports, looking over the data, verifying and restoring the checkpoint, tracing, getting
  the programs, the first batch, the update. Then the process is asked to stop, and saves. The first
  one finds the compilation cache empty, the others what it has left.

  Args:
    config: of the run.
    directory: of `Saving`.
    num_times: how many processes shall meet the full cache.

  Returns:
    {'seconds', 'programs_seconds': of which went into reading programs from the cache}, lists with
    one item a process; 'without_cache', the same two numbers of the first process, which compiles;
    'from_steps', where each process, the first too, resumed.

  Raises:
    ValueError: if a process fails.
  """
  config = config.copy_and_resolve_references()
  config.workdir = directory
  run = studies.Run(_RUN, '', {
      'compilation_cache_dir': os.path.join(directory, 'compilation_cache'),
      # A line for every update; no evaluation, and no save until the signal.
      'num_steps': _NEVER, 'log_every_steps': 1, 'eval_every_steps': _NEVER,
      'checkpoint_every_steps': _NEVER})
  from_steps, seconds, programs_seconds = zip(
      *(_resume(config, run, os.path.join(directory, f'log-{i}')) for i in range(1 + num_times)),
      strict=True)
  return {'seconds': seconds[1:], 'programs_seconds': programs_seconds[1:],
          'without_cache': {'seconds': seconds[0], 'programs_seconds': programs_seconds[0]},
          'from_steps': from_steps}


def _resume(config, run, log_path):
  """Returns the step a process resumed from, the seconds to its update, and those for programs."""
  from_step = checkpoints.latest_step(os.path.join(config.workdir, run.name, 'checkpoints'))
  path = os.pathsep.join(filter(None, [str(runs.ROOT), os.environ.get('PYTHONPATH')]))
  environment = os.environ | {'PYTHONPATH': path, 'JAX_LOG_COMPILES': '1'}
  begin = time.perf_counter()
  with open(log_path, 'wb') as log, subprocess.Popen(
      [sys.executable, *runs.command(config, run)], stdout=log, stderr=log,
      env=environment) as process:
    try:
      while process.poll() is None and runs.last_step(config, run) <= from_step:
        time.sleep(_POLL_SECONDS)
      seconds = time.perf_counter() - begin
      log_until_update = pathlib.Path(log_path).read_text()
      process.send_signal(signal.SIGTERM)
      code = process.wait()
    finally:
      process.kill()  # If it has not ended, because of Ctrl-C.
  if code != stopping.PREEMPTED:
    last_line = pathlib.Path(log_path).read_text().strip().splitlines()[-1:]
    raise ValueError(f'going on with a run ended with exit code {code}: {"".join(last_line)}')
  programs = re.findall(r'Finished XLA compilation of .* in ([\d.]+) sec', log_until_update)
  return from_step, seconds, sum(map(float, programs))
