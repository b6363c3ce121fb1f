"""Reads datasets of Minari (optional: pip install "minari[hdf5]") with discrete actions."""

import os

import numpy as np

from alpt_jax.data.importers import checks

_MOST_LETTERS = 200  # Of a space in a message.


def total(directory):
  """Number of episodes, for the progress of `recordings`."""
  return int(_open(directory).total_episodes)


def recordings(directory, environment, *, progress=None):
  """Reads all episodes.

  Args:
    directory: of the dataset, e.g. ~/.minari/datasets/D4RL/door/human-v2, or its `data`.
    environment: `environment_file.Environment`; its `observation.key` picks an entry of a dict of
      observations, 'cam/front' of nested ones.
    progress: called with the number of episodes passed, or None.

  Yields:
    `checks.Recording` or `Problem`.

  Raises:
    ValueError: if it is no dataset of Minari, has other spaces than the environment, or Minari is
      not installed.
  """
  dataset = _open(directory)
  _check_spaces(directory, dataset, environment)
  for i, episode in enumerate(dataset.iterate_episodes()):
    name = f'{directory}, episode {i}'
    try:
      found = _recording(name, episode, dataset.action_space, environment)
    except ValueError as error:
      found = checks.problem(name, error)
    yield found
    if progress is not None:
      progress(i + 1)


def _open(directory):
  try:
    import minari  # Only here: who has other data needs no Minari.
  except ImportError as error:
    raise ValueError(f'Minari is not installed, or not whole ({error}); it is needed to read '
                     f'{directory}. pip install "minari[hdf5]".') from error
  path = os.path.join(directory, 'data')
  path = path if os.path.isdir(path) else directory
  if not os.path.exists(os.path.join(path, 'metadata.json')):
    raise FileNotFoundError(f'{directory}: has no data/metadata.json; expected the directory of a '
                            'dataset of Minari. Correct from_dir.')
  try:
    return minari.MinariDataset(path)
  except ImportError as error:
    raise ValueError(f'{directory}: {error}. pip install "minari[hdf5]".') from error


def _check_spaces(directory, dataset, environment):
  """Checks the spaces that a dataset declares, before its episodes are read."""
  space = dataset.action_space
  if type(space).__name__ != 'Discrete':
    raise ValueError(f'{directory}: the action space is {_short(space)}; expected Discrete. Other '
                     'actions are not supported.')
  checks.check_num_actions(f'{directory}: the action space {space}', space.n, environment)
  try:
    space = checks.picked(dataset.observation_space, environment.observation.key,
                          lambda space: getattr(space, 'spaces', None))
  except ValueError as error:
    raise ValueError(f'{directory}: {error}') from error
  if not checks.is_shape(space.shape, environment.observation):
    raise ValueError(f'{directory}: the observation space is {_short(space)}; expected '
                     f'{environment.observation.kind} {list(environment.observation.shape)}, as '
                     'the environment file says. Correct it.')


def _short(space):
  """A space in one line."""
  text = ' '.join(str(space).split())
  return text if len(text) <= _MOST_LETTERS else f'{text[:_MOST_LETTERS]} ..'


def _recording(name, episode, action_space, environment):
  observed = checks.picked(episode.observations, environment.observation.key)
  actions = checks.action_ids(np.asarray(episode.actions) - action_space.start, environment)
  rewards = np.asarray(episode.rewards, np.float32) if environment.reward else None
  return checks.Recording(
      name, checks.observations(np.asarray(observed), environment.observation), actions,
      np.ones(len(actions), bool), rewards, bool(np.asarray(episode.terminations)[-1]))
