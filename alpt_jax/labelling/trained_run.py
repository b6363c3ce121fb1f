"""Loads a trained run from its directory: config, parameters, and the actions it was trained on.

A run directory says all of that itself: programs are given its path and nothing else.
"""

import os
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from alpt_jax import domains, methods
from alpt_jax.data import labels
from alpt_jax.training import checkpoints, data_times, program, run_config, sharding

_REMEDY = 'Choose another run, or restore it from a copy.'  # Of a damaged config.json.


def read_config(directory, *, data_dir=''):
  """Reads config.json of a run.

  Args:
    directory: of the run.
    data_dir: where data is now; '' for where it was in training.

  Returns:
    The locked `ConfigDict`; {environment: digest of its data} as it was in training.

  Raises:
    FileNotFoundError: if there is no such file.
    ValueError: if it is damaged.
  """
  path = os.path.join(directory, 'config.json')
  if not os.path.exists(path):
    raise FileNotFoundError(f'{path}: no such file; expected a run directory that '
                            'experiments.train wrote. Correct the path.')
  content = run_config.load(path, remedy=_REMEDY)
  try:
    digests = dict(content.pop('data_digests'))
    for name in ('computation', data_times.KEY):  # No keys of a config.
      content.pop(name, None)
    config = ml_collections.ConfigDict(_with_tuples(content))
    config.data_dir = data_dir or config.data_dir
    run_config.check_run(config)  # As when it was trained.
  except (AttributeError, KeyError, TypeError) as error:
    raise ValueError(f'{path}: not the config of a run ({error!r}); the file is damaged. '
                     f'{_REMEDY}') from error
  return config.lock(), digests


def _with_tuples(tree):
  """JSON knows lists only, configs have tuples."""
  if isinstance(tree, dict):
    return {key: _with_tuples(x) for key, x in tree.items()}
  return tuple(map(_with_tuples, tree)) if isinstance(tree, list) else tree


class Restored(NamedTuple):
  """The learner of a run, with the parameters of its networks.

  Attributes:
    learner: `learner.Learner`.
    params: {'idm': .., 'dt': ..} or {'q': ..}; those that were asked for.
    step: updates after which they were saved.
  """
  learner: Any
  params: dict
  step: int


def restore(directory, config, phase, specs, *, names=(), mesh=None):
  """Restores networks of a run at its newest checkpoint.

  Args:
    directory: of the run.
    config: from `read_config`, or the same.
    phase, specs: from `run_config.check_run`.
    names: which networks; () for all.
    mesh: of this process's devices, all of which get the parameters; None for the first one.

  Returns:
    `Restored`.

  Raises:
    FileNotFoundError: if there is no checkpoint.
    ValueError: if it is damaged, or of another config.
  """
  made = program.make_program(
      config, phase, specs, mesh or sharding.make_mesh(num_devices=1))
  wanted = program.network_params(made.state)
  step, params = checkpoints.restore_params(
      os.path.join(directory, 'checkpoints'), {name: wanted[name] for name in names or wanted})
  return Restored(made.learner, params, step)


class Known(NamedTuple):
  """Which actions of an environment an IDM has been trained on.

  Attributes:
    is_all: all of them: the environment was a source.
    choice: `labels.Choice`, its labelled windows; None if it was no target.
    path: the file that says so, '' if there is none.
  """
  is_all: bool
  choice: labels.Choice | None
  path: str


def known(directory, name, *, data_dir=''):
  """Says which actions of an environment the IDM of a run, and its pretraining, have been given.

  Args:
    directory: of the run.
    name: of the environment, which may be one that it never read.
    data_dir: where data is now; '' for where it was in training.

  Returns:
    `Known`.

  Raises:
    FileNotFoundError, ValueError: if the run, or what it was pretrained as, cannot be read.
  """
  while directory:
    config, _ = read_config(directory, data_dir=data_dir)
    if name in config.sources and (
        methods.SOURCES in methods.phase_of(config.method, config.phase).idm):
      return Known(True, None, '')
    targets = domains.targets(config)
    if name in targets:  # A pretraining of it had the same labels, or training refused it.
      file = f'labels-{name}.json' if targets.index(name) else 'labels.json'
      path = os.path.join(directory, file)
      if not os.path.exists(path):
        raise FileNotFoundError(f'{path}: no such file, so nothing says which actions training '
                                'knew. Restore it from a copy of the run.')
      return Known(False, labels.read_choice(path), path)
    directory = config.init_from
  return Known(False, None, '')


def is_known(choice, num_transitions, path):
  """Marks the labelled windows of a target.

  Args:
    choice: `labels.Choice`.
    num_transitions: [E] int.
    path: of the file that `choice` was read from.

  Returns:
    {episode: [L] bool} of the episodes with such windows.

  Raises:
    ValueError: if the data has no such transitions.
  """
  found = {}
  for episode, start in np.asarray(choice.windows).tolist():
    if not (0 <= episode < len(num_transitions)
            and 0 <= start <= num_transitions[episode] - choice.window):
      raise ValueError(f'{path}: transitions {start} .. {start + choice.window - 1} of episode '
                       f'{episode} are labelled, which the data does not have. The file is damaged '
                       'or of other data: restore it from a copy of the run.')
    marked = found.setdefault(episode, np.zeros(num_transitions[episode], bool))
    marked[start:start + choice.window] = True
  return found
