"""Trains a method: the data, the networks, and the loop around the update of its program.

A run directory holds config.json, labels.json (which target transitions keep their action),
sessions.jsonl (which versions trained from which step on), metrics.jsonl, events/ (the same for
TensorBoard), checkpoints/, eval/step_*.json (scores of the agent) and labels/step_*.npz (the IDM's
labels of the target, to be compared with the truth elsewhere: hidden actions are not in this
process). Running `train` on it again resumes it; unevaluated.json says that an evaluation is due.
"""

import contextlib
import os
import time
from typing import NamedTuple

import jax
import numpy as np

from alpt_jax import atomic_files, domains, versions
from alpt_jax import progress as progress_
from alpt_jax.data import labels, pipeline
from alpt_jax.training import (
    checkpoints,
    distributed,
    evaluation,
    events,
    exposure,
    inputs,
    metrics,
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
  """Trains one run, or goes on with it.

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
    try:
      with stop.raising():
        run = _prepare(config, workdir)
    except stopping.Stopped:
      return stopping.PREEMPTED
    return _run(config, workdir, run, stop)


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
  if not phase.q:
    config = _with_microbatch(config, specs[0], content)
  compiled = program.make_program(config, phase, specs, mesh)
  evaluate = evaluation.Evaluation(config, phase, compiled.networks, specs, data, workdir)
  return _Prepared(mesh, data, streams, shares.window_of(config, phase), content, compiled,
                   evaluate)


def _with_microbatch(config, spec, content):
  """Returns the config with the size of microbatches that config.json shall hold; enters it there.

  It is decided by the networks, or by the process that began the run, on any machine.
  """
  settings = content['sharding']
  settings['microbatch'] = settings['microbatch'] or program.fitting_microbatch(config, spec)
  config = config.copy_and_resolve_references()
  config.sharding.microbatch = settings['microbatch']
  return config


class _Prepared(NamedTuple):
  """What `_prepare` makes."""
  mesh: jax.sharding.Mesh
  data: inputs.Data
  streams: list
  window: int
  config_content: dict
  compiled: program.Program
  evaluate: evaluation.Evaluation


def _run(config, workdir, prepared, stop):
  """The loop; see `train`."""
  mesh, data, streams, window, config_content, compiled, evaluate = prepared
  init_key, train_key = jax.random.split(jax.random.key(config.seed))
  # Signals are remembered until the last save is done, so that a second one does not cut it off.
  # What may wait for a network ends after the last save.
  with run_directory.only_trainer(workdir), contextlib.ExitStack() as outer, distributed.Watch(
      config.distributed.hang_timeout_seconds) as watch, checkpoints.Checkpoints(
          os.path.join(workdir, 'checkpoints'),
          save_every_steps=config.checkpoint_every_steps) as saved, contextlib.ExitStack() as stack:
    # 1. The run's own newest checkpoint; 2. a pretraining's parameters; 3. scratch.
    state = saved.restore_latest(compiled.state)
    if state is None:
      state = compiled.init(init_key)
      if config.init_from:
        state = pretraining.initialise(config.init_from, state)
    start_step = int(state.step)
    postponed = stopping.Postponed(workdir)
    unevaluated = postponed.read(start_step) if distributed.is_main() else None
    is_evaluating = distributed.agree(start_step == 0 or unevaluated is not None)
    batches = stack.enter_context(contextlib.closing(pipeline.Pipeline(
        streams, window=window, seed=config.seed, start_step=start_step,
        num_shards=config.sampling.num_shards, pool_size=config.sampling.pool_size,
        num_threads=config.sampling.num_threads, host=jax.process_index(),
        num_hosts=jax.process_count())))
    writer = progress = None
    if distributed.is_main():
      for name in ('', 'eval', 'labels'):
        atomic_files.remove_unfinished(os.path.join(workdir, name))
      # Not earlier: a mistake in the config must not bind the directory to that config.
      atomic_files.write_json(os.path.join(workdir, 'config.json'), config_content)
      versions.record_session(workdir, start_step)
      exposure.write(streams, list(data.episodes), config, window)
      for i, (name, choice) in enumerate(data.choices.items()):
        labels.write_choice(
            os.path.join(workdir, f'labels-{name}.json' if i else 'labels.json'), choice)
      writer = stack.enter_context(metrics.MetricsWriter(
          os.path.join(workdir, 'metrics.jsonl'),
          resume_step=start_step - (unevaluated is not None)))
      writer.add(stack.enter_context(
          events.EventWriter(os.path.join(workdir, 'events'), writer.lines)))
      if config.wandb_project:
        writer.add(outer.enter_context(wandb_run.WandbRun(config, workdir, writer.lines)))
      progress = stack.enter_context(progress_.Progress(
          config.num_steps, label=f'{config.method} {config.target}', start_step=start_step))
    try:
      with stop.raising():
        if is_evaluating:
          watch.at(start_step, 'evaluating')
          scalars = evaluate.run(start_step, state)
    except stopping.Stopped:  # Nothing is new since the last process.
      return stopping.PREEMPTED
    if writer and unevaluated is not None:
      writer.write(start_step, unevaluated | scalars)
    if distributed.is_main():
      postponed.remove()
    stop_together = distributed.StopTogether(mesh)
    wait_before, step_before, time_before = 0., start_step, time.perf_counter()
    for step in range(start_step + 1, config.num_steps + 1):
      watch.at(step, 'reading')
      batch = sharding.to_devices(mesh, next(batches))
      watch.at(step, 'computing')
      state, scalars = compiled.update(state, batch, train_key)
      is_last = step == config.num_steps
      # Asked once a step: who stops without having saved loses work.
      is_stopping = stop_together.ask(stop.is_set)
      is_logging = step % config.log_every_steps == 0 or is_last
      is_evaluating = step % config.eval_every_steps == 0 or is_last
      is_saving = step % config.checkpoint_every_steps == 0 or is_last or is_stopping
      if is_logging or is_evaluating or is_saving:  # The only times the host waits for the device.
        scalars = _check_finite(jax.device_get(scalars), step, batches)
      if is_logging:
        now = time.perf_counter()
        scalars |= {
            'data/wait_fraction': (batches.wait_seconds - wait_before) / (now - time_before),
            'time/steps_per_second': (step - step_before) / (now - time_before),
        }
        if progress:
          progress.update(step, **{name: f'{scalars[name]:.3f}' for name in (
              'idm/accuracy', 'dt/action_loss', 'q/loss') if name in scalars})
      if is_evaluating:
        watch.at(step, 'evaluating')
        try:
          if is_stopping:  # All of them; it would take too long.
            raise stopping.Stopped
          with stop.raising():
            scalars |= evaluate.run(step, state)
        except stopping.Stopped:
          if distributed.is_main():
            postponed.write(step, scalars)
          saved.save(step, state, force=True)
          return stopping.PREEMPTED
      if writer and (is_logging or is_evaluating):
        writer.write(step, scalars)
      if is_saving:
        watch.at(step, 'saving')
        if writer:
          writer.sync()
        saved.save(step, state, force=True)
      if is_logging:
        wait_before, step_before, time_before = batches.wait_seconds, step, time.perf_counter()
      if is_stopping:
        break
  return stopping.PREEMPTED if int(state.step) < config.num_steps else stopping.DONE


def _check_finite(scalars, step, batches):
  """Returns the scalars as floats, or says when one of them was seen to be infinite or NaN."""
  scalars = {name: float(value) for name, value in scalars.items()}
  wrong = [name for name, value in scalars.items() if not np.isfinite(value)]
  if wrong:
    raise FloatingPointError(
        f'{wrong[0]} is {scalars[wrong[0]]}, seen at step {step}; the state is not saved, '
        f'older checkpoints are good. Windows of that step: {batches.describe(step - 1)}.')
  return scalars
