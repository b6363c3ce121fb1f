"""The IDM of a run that is there: its config, its parameters, and which actions it has seen.

A run directory says all of that itself, so who uses an IDM gives its directory and nothing else.
"""

import os
import sys
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from alpt_jax import domains, methods
from alpt_jax.data import labels
from alpt_jax.training import checkpoints, program, run_config, sharding


class TrainedIdm(NamedTuple):
  """An IDM with its parameters.

  Attributes:
    directory: of the run.
    config: of the run, as it was trained.
    digests: {environment: digest of its data} of what was read in training.
    idm: the `InverseDynamicsModel`.
    spec: a `types.EnvironmentSpec` of the run; what it reads looks like that.
    params: of the IDM.
    step: updates after which they were saved.
  """
  directory: str
  config: ml_collections.ConfigDict
  digests: dict[str, str]
  idm: Any
  spec: Any
  params: Any
  step: int

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
    content.pop('computation', None)  # No key of a config, and nothing to who only reads.
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


def restore(directory, *, data_dir=''):
  """Restores the IDM of a run at its newest checkpoint.

  Args:
    directory: of the run.
    data_dir: where data is now; '' for where it was in training.

  Returns:
    `TrainedIdm`.

  Raises:
    FileNotFoundError: if there is no run or no checkpoint.
    ValueError: if the run has no IDM, or is damaged.
  """
  config, digests = read_config(directory, data_dir=data_dir)
  phase, specs = run_config.check_run(config)
  if not phase.idm:
    raise ValueError(f'{directory}: method {config.method!r} trains no IDM in phase '
                     f'{config.phase!r}, so nothing labels. Choose a run with one, e.g. of method '
                     "'alpt'.")
  made = program.make_program(config, phase, specs, sharding.make_mesh(num_devices=1))
  step, params = checkpoints.restore_newest(
      os.path.join(directory, 'checkpoints'),
      {'idm': program.network_params(made.state)['idm']})
  return TrainedIdm(
      directory, config, digests, made.networks.idm, specs[0], params['idm'], step)


def warn_if_unfinished(trained):
  """Says, in a line on standard error, that a run has not made all of its updates.

  Args:
    trained: `TrainedIdm`.
  """
  if trained.step < trained.config.num_steps:
    print(f'warning: {trained.directory} stopped at update {trained.step} of '
          f'{trained.config.num_steps}; its IDM is as good as it was then.', file=sys.stderr)


def check_environment(trained, spec, action_names, *, where):
  """Refuses an environment that an IDM cannot read, or whose actions it has other names for.

  Args:
    trained: `TrainedIdm`.
    spec: the `types.EnvironmentSpec` of the environment.
    action_names: its names of all actions, by id.
    where: what to call it in the message: the path of its data, or its name.

  Raises:
    ValueError: naming what differs.
  """
  expected = tuple(domains.of(trained.config).action_names(trained.config))
  if tuple(action_names) != expected:
    raise ValueError(f'{where}: actions.space is {list(action_names)}, that of {trained.directory} '
                     f'is {list(expected)}. Use an IDM of this action space, or data with the '
                     'space of the IDM.')
  for field in ('observation_kind', 'observation_shape', 'observation_low', 'observation_high'):
    found, wanted = getattr(spec, field), getattr(trained.spec, field)
    if found != wanted:
      raise ValueError(f'{where}: {field} is {found}, the IDM of {trained.directory} reads '
                       f'{wanted}. Use another IDM, or other data.')


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
