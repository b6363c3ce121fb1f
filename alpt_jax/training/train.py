"""Trains a method: the data, the networks, and the loop around the update of its program.

A run directory holds config.json, labels.json (which target transitions keep their action),
sessions.jsonl (which versions trained from which step on), metrics.jsonl, events/ (the same for
TensorBoard), checkpoints/, eval/step_*.json (scores of the agent) and labels/step_*.npz (the IDM's
labels of the target, to be compared with the truth elsewhere: hidden actions are not in this
process). Running `train` on it again resumes it; unevaluated.json says that an evaluation is due.
"""

import contextlib
import fcntl
import io
import json
import os
import time
from typing import NamedTuple

import jax
import numpy as np

from alpt_jax import atomic_files, configs, domains, methods, versions
from alpt_jax import progress as progress_
from alpt_jax.data import episodes, labels, pipeline, sampling, source_actions, transitions
from alpt_jax.learners import acting
from alpt_jax.training import (
    checkpoints,
    computation,
    distributed,
    events,
    exposure,
    label_windows,
    metrics,
    pretraining,
    program,
    run_config,
    sharding,
    stopping,
    wandb_run,
)

# Exit codes; whatever else ends a run, e.g. a kill, may be answered by starting it again.
DONE = 0
PREEMPTED = 75  # Stopped by a signal, has saved, can go on.
POISONED = 77  # A loss is not finite; starting it again would end there again.
# Changing these, or all of a group, does not change what a run computes up to a step.
_FREE_KEYS = ('workdir', 'data_dir', 'compilation_cache_dir', 'wandb_project', 'num_steps',
              'allow_changed_config', 'checkpoint_every_steps', 'log_every_steps', 'study',
              'preset', 'collect', 'import_', 'distributed', 'sampling.num_threads',
              'sharding.num_devices', 'sharding.fsdp', 'sharding.optimizer', 'sharding.microbatch')
# They decide which actions a run has seen, and never change: runs that start from it rely on them.
_KNOWLEDGE = ('method', 'phase', 'target', 'other_targets', 'sources', 'source_actions',
              'num_labels', 'label_seed', 'held_out', 'data_digests')
# In eval/, with the scores; no metrics.
_PROTOCOL = ('seed', 'max_steps', 'sticky', 'epsilon', 'temperature', 'most_frequent_action')


class Data(NamedTuple):
  """The data of a run.

  Attributes:
    episodes: {environment: its episodes}, in the order of the specs.
    choices: {target: `labels.Choice`}, the evaluated one first.
  """
  episodes: dict
  choices: dict


def environments(config, phase):
  """Names of the environments whose data a phase reads: targets first, then sources, if any."""
  sources = config.sources if methods.SOURCES in phase.idm + phase.dt else ()
  return (*domains.targets(config), *sources)


def read_data(config, phase):
  """Opens the data of a phase; the targets' hidden actions are removed on the way.

  Args:
    config: the run's config.
    phase: a `methods.Phase`.

  Returns:
    `Data`.

  Raises:
    ValueError, FileNotFoundError: for data that is missing, or does not fit the config.
  """
  if methods.SOURCES in phase.idm + phase.dt and not config.sources:
    raise ValueError(f'sources is empty, but method {config.method!r} learns from sources; give at '
                     'least one with --config.sources.')
  domain = domains.of(config)
  with_idm_labels = phase.unlabelled == methods.KNOWN_ACTIONS
  is_limited = methods.METHODS[config.method].is_action_limited
  targets = domains.targets(config)
  read = {name: domain.read(config, name, with_idm_labels=with_idm_labels)
          for name in environments(config, phase)}
  domain.check_data(read, targets)
  data = Data(source_actions.change(
      config.source_actions, read, domains.specs(config), len(targets), seed=config.seed), {})
  for name in targets:
    if phase.unlabelled == methods.TRUE_ACTIONS:
      labels.check_all_known(config.method, name, data.episodes[name])
    try:
      windows = domain.choose_labels(config, data.episodes[name])
    except ValueError as error:
      raise ValueError(f'num_labels of {name}: {error}') from error
    data.choices[name] = labels.Choice(
        windows, len(windows) * config.window, config.window, config.label_seed)
    if is_limited:
      data.episodes[name] = labels.hide_actions(data.episodes[name], windows, config.window)
  return data


def make_streams(config, phase, specs, data):
  """Decides which windows an update consumes.

  Args:
    config: the run's config.
    phase: a `methods.Phase`.
    specs: from `domains.specs`.
    data: from `read_data`.

  Returns:
    A list of `pipeline.Stream`.

  Raises:
    ValueError: for a batch size that cannot be shared.
  """
  streams = []
  for share in program.shares(config, phase, specs):
    name = specs[share.environment].name
    read = data.episodes[name]
    segments = sampling.whole_episodes(read.num_transitions)
    if share.part == 'q':
      read = transitions.LabelledTransitions(
          read, data.choices[name].windows, config.window, stack=config.cql.stack)
      segments = sampling.labelled_windows(read.places, 1)
    elif share.data == methods.LABELLED:
      windows = data.choices[name].windows
      read = episodes.HeldWindows(read, windows, config.window)
      segments = sampling.labelled_windows(windows, config.window)
    streams.append(pipeline.Stream(
        share.part, read, segments, share.environment, share.rows, share.data))
  return streams


@contextlib.contextmanager
def _only_trainer(workdir):
  """Refuses to train where another run does; the system forgets it with the process."""
  if not distributed.is_main():  # It holds the lock for all.
    yield
    return
  os.makedirs(workdir, exist_ok=True)
  directory = os.open(workdir, os.O_RDONLY)  # Its lock needs no file, so none is left behind.
  try:
    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError as error:
    raise ValueError(f'{workdir}: another process is training here. Wait for it, or stop it, or '
                     'choose another --config.workdir.') from error
  try:
    yield
  finally:
    os.close(directory)
    if not os.listdir(workdir):  # A mistake was found before anything was written.
      os.rmdir(workdir)


def is_taken(workdir):
  """Whether another process is training in a run directory on this machine."""
  try:
    directory = os.open(workdir, os.O_RDONLY)
  except FileNotFoundError:
    return False
  try:
    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return True
  finally:
    os.close(directory)
  return False


def evaluation_path(workdir, step):
  """Where the scores after `step` updates are written."""
  return os.path.join(workdir, 'eval', f'step_{step:07d}.json')


def episode_path(workdir, step):
  """Where an episode of the last evaluation is shown, where there are pictures of it."""
  return os.path.join(workdir, 'eval', f'episode_{step:07d}.gif')


def check_config(config, workdir, digests, *, ignored=()):
  """Refuses to go on with a run of another config or other data.

  Args:
    config: the run's.
    workdir: the run directory; may be new.
    digests: from `domains.digests`, of the phase's `environments`.
    ignored: groups of keys that may differ beside those that never matter.

  Returns:
    What config.json shall hold; `sharding.microbatch` is that of the file if the config has 0.

  Raises:
    ValueError: naming all keys that matter in which config.json differs; or `computation.check`’s.
  """
  path = os.path.join(workdir, 'config.json')
  content = json.loads(config.to_json()) | {'data_digests': digests} | computation.CURRENT
  if os.path.exists(path):
    try:
      with open(path) as f:
        before = json.load(f)
      run_config.upgrade(before)
      before = configs.flatten(before)
    except (ValueError, AttributeError, TypeError) as error:
      raise ValueError(f'{path}: not a config ({error}); the file is damaged. Restore it from a '
                       'copy, or choose another --config.workdir.') from error
    content['sharding']['microbatch'] = config.sharding.microbatch or before['sharding.microbatch']
    content |= {} if 'computation' in ignored else computation.check(before, config, workdir)
    now = configs.flatten(content)
    free = {*_FREE_KEYS, *ignored, 'computation'}
    if not methods.phase_of(config.method, config.phase).q:  # Once there was no such group.
      free.add('cql')
      if config.optimizer.schedule == 'cosine':  # Every rate depends on where it ends.
        free.discard('num_steps')
    keys = sorted(k for k in before.keys() | now.keys()
                  if not {k, k.split('.')[0]} & free
                  and before.get(k) != now.get(k)
                  # Data that this phase does not read.
                  and (k in now or not k.startswith('data_digests.')))
    fixed = [k for k in keys if k.split('.')[0] in _KNOWLEDGE]
    if fixed or keys and not config.allow_changed_config:
      changes = ', '.join(f'{k}: {before.get(k)} -> {now.get(k)}' for k in keys)
      remedy = (f'{fixed[0]} decides which actions a run has seen, and never changes.' if fixed else
                'Or go on with --config.allow_changed_config=True.')
      raise ValueError(f'{path}: the run has another config ({changes}). Choose another '
                       f'--config.workdir. {remedy}')
  return content


class _Evaluation:
  """Scores the agent and lets the IDM label the target; writes both, returns scalars.

  With several processes, each does all of it for itself, on its own devices, and the first writes.
  """

  def __init__(self, config, phase, networks, specs, data, workdir):
    self._agent = (domains.of(config).make_evaluation(config, networks)
                   if config.phase != 'pretrain' and config.train_dt else None)
    self._acts = phase.agent
    self._mesh = sharding.make_mesh(
        devices=jax.local_devices()[:config.sharding.num_devices or None])
    self._label = phase.idm and label_windows.make_label_fn(
        networks.idm, specs[0], self._mesh,
        microbatch=program.microbatch(config, specs[0], self._mesh))
    self._episodes = data.episodes[config.target]
    self._window, self._workdir = config.window, workdir
    self._num_windows = config.num_label_windows
    self._num_steps = config.num_steps

  def run(self, step, state):
    """Evaluates after `step` updates. Returns a flat dict."""
    networks = program.network_params(state)
    if self._label:
      params = jax.device_put(
          sharding.on_one_device(networks['idm']), sharding.replicated(self._mesh))
      labelled = label_windows.predict_actions(
          self._label, params, self._episodes, window=self._window, num_windows=self._num_windows)
      buffer = io.BytesIO()
      np.savez_compressed(buffer, **labelled._asdict())
      if distributed.is_main():
        atomic_files.write(
            os.path.join(self._workdir, 'labels', f'step_{step:07d}.npz'), buffer.getvalue())
    result = {'step': step}
    if self._agent is not None:
      result |= self._agent(
          sharding.on_one_device(networks[self._acts]), step == self._num_steps,
          short_path=episode_path(self._workdir, step) if distributed.is_main() else '')
    if distributed.is_main():
      atomic_files.write_json(evaluation_path(self._workdir, step), result)
    return {f'eval/{mode}/{name}': value for mode in acting.MODES if mode in result
            for name, value in result[mode].items()
            if isinstance(value, int | float) and name not in _PROTOCOL}


def train(config, workdir):
  """Trains one run, or goes on with it.

  Args:
    config: see experiments/configs.
    workdir: the run directory.

  Returns:
    `DONE` when all steps are done, `PREEMPTED` when a signal stopped the run after saving.

  Raises:
    ValueError, FileNotFoundError: for a config or data that cannot be trained on.
    FloatingPointError: if a loss is not finite; the state is not saved.
  """
  with stopping.StopSignal() as stop:
    try:
      with stop.raising():
        run = _prepare(config, workdir)
    except stopping.Stopped:
      return PREEMPTED
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
  program.check_rows(config, phase, specs, mesh)
  pretraining.check(config, workdir)
  with distributed.main_first():  # It indexes data that is new, for all.
    data = read_data(config, phase)
  streams = make_streams(config, phase, specs, data)
  digests = domains.digests(config, data.episodes)
  content = check_config(config, workdir, digests)
  pretraining.check_data(config, digests, data)
  if not phase.q:
    config = _with_microbatch(config, specs[0], content)
  compiled = program.make_program(config, phase, specs, mesh)
  evaluation = _Evaluation(config, phase, compiled.networks, specs, data, workdir)
  return _Prepared(mesh, data, streams, program.window_of(config, phase), content, compiled,
                   evaluation)


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
  data: Data
  streams: list
  window: int
  config_content: dict
  compiled: program.Program
  evaluation: _Evaluation


def _run(config, workdir, prepared, stop):
  """The loop; see `train`."""
  mesh, data, streams, window, config_content, compiled, evaluation = prepared
  init_key, train_key = jax.random.split(jax.random.key(config.seed))
  # Signals are remembered until the last save is done, so that a second one does not cut it off.
  # What may wait for a network ends after the last save.
  with _only_trainer(workdir), contextlib.ExitStack() as outer, distributed.Watch(
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
          scalars = evaluation.run(start_step, state)
    except stopping.Stopped:  # Nothing is new since the last process.
      return PREEMPTED
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
            scalars |= evaluation.run(step, state)
        except stopping.Stopped:
          if distributed.is_main():
            postponed.write(step, scalars)
          saved.save(step, state, force=True)
          return PREEMPTED
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
  return PREEMPTED if int(state.step) < config.num_steps else DONE


def _check_finite(scalars, step, batches):
  """Returns the scalars as floats, or says when one of them was seen to be infinite or NaN."""
  scalars = {name: float(value) for name, value in scalars.items()}
  wrong = [name for name, value in scalars.items() if not np.isfinite(value)]
  if wrong:
    raise FloatingPointError(
        f'{wrong[0]} is {scalars[wrong[0]]}, seen at step {step}; the state is not saved, '
        f'older checkpoints are good. Windows of that step: {batches.describe(step - 1)}.')
  return scalars
