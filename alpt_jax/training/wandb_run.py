"""Mirrors metrics.jsonl to Weights & Biases, if `config.wandb_project` asks for it.

A run keeps its W&B identifier in its directory, so that a resumed run stays the same one there.
Each step is sent once: a resumed process does not repeat what a killed one had sent. Lines that W&B
does not have, e.g. from before it was asked for, are sent when the run is opened.

There is no prompt for a login. Without one, and while W&B cannot be reached, the run is recorded
in the run directory, and `wandb sync` sends it later.
"""

import contextlib
import json
import os
import uuid

from absl import logging

from alpt_jax.files import atomic_files

_SECONDS = 30.  # To wait for W&B at the start, and at the end: a preempted machine has no more.


def check_installed():
  """Raises a ValueError if the package is missing."""
  try:
    import wandb  # noqa: F401
  except ImportError as error:
    raise ValueError(f'wandb_project: {error}. Install it (pip install wandb), or leave '
                     '--config.wandb_project empty.') from error


class WandbRun(contextlib.AbstractContextManager):
  """Sends metrics to W&B; what fails here is said, and does not stop the training."""

  def __init__(self, config, workdir, lines):
    """Starts or resumes the run.

    Args:
      config: the run's.
      workdir: the run directory, for the identifier and what W&B writes.
      lines: of metrics.jsonl, see `metrics.MetricsWriter.lines`.
    """
    import wandb
    self._errors = wandb.Error, OSError  # OSError: W&B's own process has ended.
    settings = dict(
        project=config.wandb_project, id=_identifier(workdir), resume='allow',
        name=os.path.basename(os.path.abspath(workdir)), dir=workdir,
        config=json.loads(config.to_json()), allow_val_change=True, reinit='create_new',
        settings=wandb.Settings(console='off', quiet=True, init_timeout=_SECONDS,
                                finish_timeout=_SECONDS))
    try:
      self._run = wandb.init(mode=_mode(wandb), **settings)
    except self._errors as error:
      logging.warning('W&B: %s; recording offline instead. `wandb sync` sends it later.',
                      _one_line(error))
      wandb.teardown()  # It takes the identifier for used.
      self._run = wandb.init(mode='offline', **settings)
    self._next_step = self._run.step
    for line in lines:
      self.write(line)

  def __exit__(self, error_type, *unused):
    if self._run is None:
      return
    try:
      self._run.finish(exit_code=int(error_type is not None))
    except self._errors as error:
      self._give_up(error)

  def write(self, line):
    """Sends a line.

    Args:
      line: dict of names to numbers, with 'step'; None is left out.
    """
    if self._run is None or line['step'] < self._next_step:
      return
    scalars = {name: value for name, value in line.items() if name != 'step' and value is not None}
    try:
      self._run.log(scalars, step=line['step'], commit=True)
    except self._errors as error:
      self._give_up(error)

  def _give_up(self, error):
    logging.error('W&B: %s; it gets nothing more until the run is started again. metrics.jsonl has '
                  'all.', _one_line(error))
    self._run = None


def _mode(wandb):
  """'online' for who is logged in, 'offline' for others; None if the environment decides."""
  if os.environ.get('WANDB_MODE', 'online') != 'online':
    return None
  if wandb.login(prompt=False, verify=False):
    return 'online'
  logging.warning('W&B: no login (WANDB_API_KEY, or `wandb login`); recording offline. '
                  '`wandb sync` sends it later.')
  return 'offline'


def _identifier(workdir):
  """Reads the run's identifier, or makes one.

  It is random: on another machine, or after the directory is deleted, a run of the same path is
  another run.
  """
  path = os.path.join(workdir, 'wandb_id')
  if not os.path.exists(path):
    atomic_files.write(path, uuid.uuid4().hex[:12].encode())
  with open(path) as f:
    return f.read()


def _one_line(error):
  return ' '.join(str(error).split())
