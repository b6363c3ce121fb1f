"""Guards a run directory: one process trains in it, and what it holds goes with the config."""

import contextlib
import fcntl
import json
import os

from alpt_jax import configs, methods
from alpt_jax.training import computation, distributed, run_config

# Changing these, or all of a group, does not change what a run computes up to a step.
_FREE_KEYS = ('workdir', 'data_dir', 'compilation_cache_dir', 'wandb_project', 'num_steps',
              'allow_changed_config', 'checkpoint_every_steps', 'log_every_steps', 'study',
              'preset', 'collect', 'import_', 'distributed', 'sampling.num_threads',
              'sharding.num_devices', 'sharding.fsdp', 'sharding.optimizer', 'sharding.microbatch')
# They decide which actions a run has seen, and never change: runs that start from it rely on them.
_KNOWLEDGE = ('method', 'phase', 'target', 'other_targets', 'sources', 'source_actions',
              'num_labels', 'label_seed', 'held_out', 'data_digests')


@contextlib.contextmanager
def only_trainer(workdir):
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
