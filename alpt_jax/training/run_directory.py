"""Run directory: the files of a run, open for the one process that trains in it.

It holds config.json, labels.json (which target transitions keep their action), sessions.jsonl
(which versions trained from which step on), metrics.jsonl, events/ (the same for TensorBoard),
checkpoints/, eval/step_*.json (scores of the agent) and labels/step_*.npz (the IDM's labels of the
target, to be compared with the truth elsewhere: hidden actions are removed before training).
unevaluated.json says that an evaluation is due.
"""

import contextlib
import fcntl
import json
import os
import sys

from alpt_jax import configs, methods, progress
from alpt_jax.data import labels
from alpt_jax.files import atomic_files, versions
from alpt_jax.training import (
    checkpoints,
    computation,
    distributed,
    events,
    metrics,
    pretraining,
    run_config,
    stopping,
    wandb_run,
)

_SHOWN = ('idm/accuracy', 'dt/action_loss', 'q/loss')  # On the line of progress.

# Changing these, or all of a group, does not change what a run computes up to a step.
_FREE_KEYS = ('workdir', 'data_dir', 'compilation_cache_dir', 'wandb_project', 'num_steps',
              'allow_changed_config', 'allow_other_speed', 'data_times', 'checkpoint_every_steps',
              'log_every_steps', 'study', 'preset', 'collect', 'import_', 'distributed',
              'sampling.num_threads', 'sharding.num_devices', 'sharding.fsdp', 'sharding.optimizer',
              'sharding.microbatch')
# Keys that decide which actions a run has seen. They never change, as later runs may start from it.
_KNOWLEDGE = ('method', 'phase', 'target', 'other_targets', 'sources', 'source_actions',
              'num_labels', 'label_seed', 'held_out', 'data_digests')
# Groups of settings that only their learner reads.
_LEARNERS = {method.learner for method in methods.METHODS.values()}


@contextlib.contextmanager
def only_trainer(workdir):
  """Refuses to train where another run does; the system forgets it with the process."""
  if not distributed.is_main():  # It holds the lock for all.
    yield
    return
  os.makedirs(os.path.realpath(workdir), exist_ok=True)
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
      os.rmdir(os.path.realpath(workdir))


def is_taken(workdir):
  """Returns whether another process is training in a run directory on this machine."""
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
  """Returns the path of the scores after `step` updates."""
  return os.path.join(workdir, 'eval', f'step_{step:07d}.json')


def episode_path(workdir, step):
  """Returns the path of the video of the last evaluation's episode, if there is one."""
  return os.path.join(workdir, 'eval', f'episode_{step:07d}.gif')


def check_config(config, workdir, digests, *, ignored=()):
  """Refuses to resume a run with another config or other data.

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
    before = configs.flatten(run_config.load(
        path, remedy='Restore it from a copy, or choose another --config.workdir.'))
    content['sharding']['microbatch'] = config.sharding.microbatch or before['sharding.microbatch']
    content |= {} if 'computation' in ignored else computation.check(before, config, workdir)
    now = configs.flatten(content)
    free = {*_FREE_KEYS, *ignored, 'computation',
            *_LEARNERS - {methods.METHODS[config.method].learner}}
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
                'Or resume with --config.allow_changed_config=True.')
      raise ValueError(f'{path}: the run has another config ({changes}). Choose another '
                       f'--config.workdir. {remedy}')
  return content


class RunDirectory:
  """What a run has written and writes, as a context manager; leaving it waits for the last save.

  Every process of a run makes the same calls, and the first writes. It is left in this order:
  progress and metrics, the last save, the watch, W&B, which may wait for a network for longer than
  the watch lets, and the lock.

  Attributes:
    start_step: updates made before this process; known once the state is restored.
    owes_evaluation: whether the state of this step is yet to be evaluated; likewise.
  """

  def __init__(self, config, workdir, watch):
    """Touches nothing yet.

    Args:
      config: the run's.
      workdir: the directory, of the file system; may be new.
      watch: the run's `distributed.Watch`, a context manager that is entered here.
    """
    self._config, self._workdir, self._watch = config, workdir, watch
    self._postponed = stopping.Postponed(workdir)
    self._unevaluated = self._metrics = self._progress = None  # Those of the first process.

  def __enter__(self):
    """Takes the lock; raises ValueError if another process has it."""
    with contextlib.ExitStack() as stack:
      stack.enter_context(only_trainer(self._workdir))
      self._after_saving = stack.enter_context(contextlib.ExitStack())
      stack.enter_context(self._watch)
      self._checkpoints = stack.enter_context(checkpoints.Checkpoints(
          self._path('checkpoints'), save_every_steps=self._config.checkpoint_every_steps))
      self._before_saving = stack.enter_context(contextlib.ExitStack())
      self._stack = stack.pop_all()
    return self

  def __exit__(self, *error):
    return self._stack.__exit__(*error)

  def _path(self, *names):
    return os.path.join(self._workdir, *names)

  def restore(self, compiled, key):
    """Returns the state to start from, and sets `start_step` to its step.

    Args:
      compiled: the run's `program.Program`.
      key: PRNG key of an initial state.

    Returns:
      The run's own newest checkpoint, or else the parameters of a pretraining, or an initial state.

    Raises:
      ValueError: if a file is damaged.
    """
    state = self._checkpoints.restore_latest(compiled.state)
    if state is None:
      state = compiled.init(key)
      if self._config.init_from:
        state = pretraining.initialise(self._config.init_from, state)
    self.start_step = int(state.step)
    if distributed.is_main():
      self._unevaluated = self._postponed.read(self.start_step)
    self.owes_evaluation = distributed.agree(
        self.start_step == 0 or self._unevaluated is not None)
    return state

  def begin(self, content, choices):
    """Writes what a run consists of, and opens what it writes on.

    Not earlier: a mistake in the config must not bind the directory to that config.

    Args:
      content: of config.json, from `check_config`.
      choices: {target: `labels.Choice`}, the evaluated one first.
    """
    if not distributed.is_main():
      return
    for name in ('', 'eval', 'labels'):
      atomic_files.remove_unfinished(self._path(name))
    atomic_files.write_json(self._path('config.json'), content)
    versions.record_session(self._workdir, self.start_step)
    if self.start_step:
      sys.stderr.write(f'{self._workdir}: resumes from update {self.start_step} of '
                       f'{self._config.num_steps}\n')
    for i, (name, choice) in enumerate(choices.items()):
      labels.write_choice(self._path(f'labels-{name}.json' if i else 'labels.json'), choice)
    enter = self._before_saving.enter_context
    self._metrics = enter(metrics.MetricsWriter(
        self._path('metrics.jsonl'),
        resume_step=self.start_step - (self._unevaluated is not None)))
    self._metrics.add(enter(events.EventWriter(self._path('events'), self._metrics.lines)))
    if self._config.wandb_project:
      self._metrics.add(self._after_saving.enter_context(
          wandb_run.WandbRun(self._config, self._workdir, self._metrics.lines)))
    self._progress = enter(progress.Progress(
        self._config.num_steps, label=f'{self._config.method} {self._config.target}',
        start_step=self.start_step))

  def evaluated(self, scalars):
    """Writes the metrics that an evaluation was owed for, and forgets that it was."""
    if not distributed.is_main():
      return
    if self._unevaluated is not None:
      self._metrics.write(self.start_step, self._unevaluated | scalars)
    self._postponed.remove()

  def show(self, step, scalars):
    """Shows progress."""
    if self._progress:
      self._progress.update(step, **{
          name: f'{scalars[name]:.3f}' for name in _SHOWN if name in scalars})

  def write(self, step, scalars):
    """Appends a line of metrics."""
    if self._metrics:
      self._metrics.write(step, scalars)

  def save(self, step, state):
    """Starts to save a state, once its line of metrics is on the disk."""
    if self._metrics:
      self._metrics.sync()
    self._checkpoints.save(step, state, force=True)

  def postpone(self, step, state, scalars):
    """Saves a state that is yet to be evaluated, and its metrics for who does so."""
    if distributed.is_main():
      self._postponed.write(step, scalars)
    self._checkpoints.save(step, state, force=True)
