"""Reads datasets of Minari (optional: pip install "minari[hdf5]") with discrete actions."""

import os

import numpy as np

from alpt_jax.data.importers import checks


def total(directory):
  """Number of episodes, for the progress of `recordings`."""
  return int(_open(directory).total_episodes)


def recordings(directory, environment, *, progress=None):
  """Reads all episodes.

  Args:
    directory: of the dataset, e.g. ~/.minari/datasets/D4RL/door/human-v2, or its `data`.
    environment: `environment_file.Environment`; its `observation.key` picks an entry of a dict of
      observations.
    progress: called with the number of episodes passed, or None.

  Yields:
    `checks.Recording` or `Problem`.

  Raises:
    ValueError: if it is no dataset of Minari, or Minari is not installed.
  """
  dataset = _open(directory)
  for i, episode in enumerate(dataset.iterate_episodes()):
    name = f'{directory}, episode {i}'
    try:
      found = _recording(name, episode, dataset.action_space, environment)
    except ValueError as error:
      found = checks.Problem(name, str(error))
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


def _recording(name, episode, action_space, environment):
  observations = _observations(episode.observations, environment)
  actions = np.asarray(episode.actions)
  if not hasattr(action_space, 'n'):
    raise ValueError(f'the action space is {action_space}; expected Discrete. Other actions are '
                     'not supported.')
  actions = checks.action_ids(actions - action_space.start, environment)
  rewards = np.asarray(episode.rewards, np.float32) if environment.reward else None
  return checks.Recording(
      name, observations, actions, np.ones(len(actions), bool), rewards,
      bool(np.asarray(episode.terminations)[-1]))


def _observations(observations, environment):
  """Returns T + 1 observations as the environment has them."""
  wanted = environment.observation
  is_dict = isinstance(observations, dict)
  if is_dict != bool(wanted.key) or is_dict and wanted.key not in observations:
    found = sorted(observations) if is_dict else 'a single array'
    raise ValueError(f'the observation is {found}; expected observation.key {wanted.key!r} of the '
                     'environment file. Correct it.')
  return checks.observations(
      np.asarray(observations[wanted.key] if is_dict else observations), wanted)
