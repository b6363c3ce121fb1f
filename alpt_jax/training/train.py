"""Trains a method: the data, the networks, and the loop around the update of its program.

What a run keeps is in its directory, see `run_directory`. Running `train` on it again resumes it.
"""

import contextlib
import sys
import time
from typing import NamedTuple

import jax
import numpy as np

from alpt_jax import domains
from alpt_jax.data import pipeline
from alpt_jax.learners import learner
from alpt_jax.training import (
    data_times,
    distributed,
    evaluation,
    exposure,
    inputs,
    pretraining,
    program,
    run_config,
    run_directory,
    sharding,
    shares,
    stopping,
    wandb_run,
)


def train(config, workdir):
  """Trains one run, or resumes it.

  Args:
    config: see experiments/configs.
    workdir: the run directory.

  Returns:
    `stopping.DONE` when all steps are done, `stopping.PREEMPTED` when a signal stopped the run
    after saving.

  Raises:
    ValueError, FileNotFoundError: for a config or data that cannot be trained on.
    FloatingPointError: if a loss is not finite; the state is not saved.
  """
  with stopping.StopSignal() as stop:
    run = stop.unless_set(_prepare, config, workdir)
    if run is None:
      return stopping.PREEMPTED
    # Signals are remembered until the last save is done: a second one does not cut it off.
    watch = distributed.Watch(config.distributed.hang_timeout_seconds)
    with run_directory.RunDirectory(config, workdir, watch) as out:
      return _run(config, run, out, watch, stop)


def _prepare(config, workdir):
  """Reads the data of a run and makes its program; what takes long and writes nothing."""
  if '://' in workdir:
    raise ValueError(f'workdir is {workdir}; expected a directory of the file system. Mount the '
                     'bucket.')
  phase, specs = run_config.check_run(config)
  if config.wandb_project:
    wandb_run.check_installed()
  mesh = sharding.make_mesh(fsdp=config.sharding.fsdp, num_devices=config.sharding.num_devices)
  shares.check_rows(config, phase, specs, mesh)
  pretraining.check(config, workdir)
  with distributed.main_first():  # It indexes data that is new, for all.
    data = inputs.read_data(config, phase)
  streams = inputs.make_streams(config, phase, specs, data)
  digests = domains.digests(config, data.episodes)
  content = run_directory.check_config(config, workdir, digests)
  pretraining.check_data(config, digests, data)
  content |= data_times.check(config, list(data.episodes), workdir)
  config = _with_microbatch(config, learner.make(config, phase, specs), content)
  compiled = program.make_program(config, phase, specs, mesh)
  evaluate = evaluation.Evaluation(config, compiled.learner, specs, data, workdir)
  return _Prepared(mesh, data, streams, content, compiled, evaluate)


def _with_microbatch(config, made, content):
  """Returns the config with the size of microbatches that config.json shall hold; enters it there.

  It is decided by the networks, or by the process that began the run, on any machine.
  """
  settings = content['sharding']
  settings['microbatch'] = settings['microbatch'] or made.microbatch
  config = config.copy_and_resolve_references()
  config.sharding.microbatch = settings['microbatch']
  return config


class _Prepared(NamedTuple):
  """What `_prepare` makes."""
  mesh: jax.sharding.Mesh
  data: inputs.Data
  streams: list
  config_content: dict
  compiled: program.Program
  evaluate: evaluation.Evaluation


def _run(config, run, out, watch, stop):
  """Runs the updates of a run; see `train`."""
  init_key, train_key = jax.random.split(jax.random.key(config.seed))
  state = out.restore(run.compiled, init_key)
  with contextlib.closing(_read_batches(config, run, out.start_step)) as batches:
    out.begin(run.config_content, run.data.choices)
    if distributed.is_main():
      sys.stderr.write(''.join(f'{line}\n' for line in data_times.lines(run.config_content)))
      exposure.write(run.streams, list(run.data.episodes), config, run.compiled.learner.window)
    if out.owes_evaluation:
      watch.at(out.start_step, 'evaluating')
    scalars = stop.unless_set(
        lambda: run.evaluate.run(out.start_step, state) if out.owes_evaluation else {})
    if scalars is None:  # Told to stop meanwhile; nothing is new since the last save.
      return stopping.PREEMPTED
    out.evaluated(scalars)
    stop_together = distributed.StopTogether(run.mesh)
    speed = _Speed(out.start_step, batches)
    for step in range(out.start_step + 1, config.num_steps + 1):
      watch.at(step, 'reading')
      batch = sharding.to_devices(run.mesh, next(batches))
      watch.at(step, 'computing')
      state, scalars = run.compiled.update(state, batch, train_key)
      # Saved below if it is to stop, so that no work is lost.
      due = _due(config, step, stop_together.ask(stop.is_set))
      if any(due):  # The only times the host waits for the device.
        scalars = _check_finite(jax.device_get(scalars), step, batches)
      if due.log:
        scalars |= speed.at(step)
        out.show(step, scalars)
      if due.evaluate:
        watch.at(step, 'evaluating')
        # Not where all stop: it would take too long.
        scores = None if due.stop else stop.unless_set(run.evaluate.run, step, state)
        if scores is None:
          out.postpone(step, state, scalars)
          return stopping.PREEMPTED
        scalars |= scores
      if due.log or due.evaluate:
        out.write(step, scalars)
      if due.save:
        watch.at(step, 'saving')
        out.save(step, state)
      if due.log:
        speed.restart(step)
      if due.stop:
        break
  return stopping.PREEMPTED if int(state.step) < config.num_steps else stopping.DONE


def _read_batches(config, run, start_step):
  """Starts to read the batches of a run from a step on."""
  settings = config.sampling
  return pipeline.Pipeline(
      run.streams, window=run.compiled.learner.window, seed=config.seed, start_step=start_step,
      num_shards=settings.num_shards, pool_size=settings.pool_size,
      num_threads=settings.num_threads, host=jax.process_index(), num_hosts=jax.process_count())


class _Due(NamedTuple):
  """What follows an update."""
  log: bool
  evaluate: bool
  save: bool
  stop: bool


def _due(config, step, is_stopping):
  """Decides what follows the update of a step; the same in all processes."""
  is_last = step == config.num_steps
  log, evaluate, save = (step % every == 0 or is_last for every in (
      config.log_every_steps, config.eval_every_steps, config.checkpoint_every_steps))
  return _Due(log, evaluate, save or is_stopping, is_stopping)


class _Speed:
  """Steps per second, and the share of the time that was spent waiting for data."""

  def __init__(self, step, batches):
    """Starts the clock; `batches` is the `pipeline.Pipeline`."""
    self._batches = batches
    self.restart(step)

  def restart(self, step):
    """Starts the clock: evaluations and saves up to here do not count."""
    self._wait, self._step, self._time = self._batches.wait_seconds, step, time.perf_counter()

  def at(self, step):
    """Returns the metrics of the steps since the clock was started."""
    seconds = time.perf_counter() - self._time
    return {'data/wait_fraction': (self._batches.wait_seconds - self._wait) / seconds,
            'time/steps_per_second': (step - self._step) / seconds}


def _check_finite(scalars, step, batches):
  """Returns the scalars as floats, or says when one of them was seen to be infinite or NaN."""
  scalars = {name: float(value) for name, value in scalars.items()}
  wrong = [name for name, value in scalars.items() if not np.isfinite(value)]
  if wrong:
    raise FloatingPointError(
        f'{wrong[0]} is {scalars[wrong[0]]}, seen at step {step}; the state is not saved, '
        f'older checkpoints are good. Windows of that step: {batches.describe(step - 1)}.')
  return scalars
