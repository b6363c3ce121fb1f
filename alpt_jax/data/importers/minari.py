"""Reads datasets of Minari (optional: pip install "minari[hdf5]").

Actions are Discrete, or parts: each element of a Box, MultiDiscrete or MultiBinary, and each entry
of a Dict of them, is a part, see `stored_actions`: action[0], action[1], .. of a Box. Minari does
not say in which units numbers are, nor whether they are changes: `unit` and `mode` of the
environment file are the word of whoever writes it.
"""

import functools
import os
from typing import NamedTuple

import numpy as np

from alpt_jax.data import environment_file
from alpt_jax.data.importers import checks, stored_actions

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
  _check_observations(directory, dataset, environment)
  actions_of = _action_reader(environment.actions, directory, dataset.action_space, environment)
  for i, episode in enumerate(dataset.iterate_episodes()):
    name = f'{directory}, episode {i}'
    try:
      found = _recording(name, episode, actions_of, environment)
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


class _Element(NamedTuple):
  """A number of an action: its type; how many values it has, None for any; the smallest of them."""
  dtype: np.dtype
  num: int | None = None
  start: int = 0


@functools.singledispatch
def _action_reader(actions, directory, space, environment):
  """Checks the action space that a dataset declares, before its episodes are read.

  Returns:
    A function of an episode's actions: actions and is_labelled of a `checks.Recording`.
  """
  raise NotImplementedError(type(actions))


@_action_reader.register
def _(actions: environment_file.Actions, directory, space, environment):
  if type(space).__name__ != 'Discrete':
    raise ValueError(f'{directory}: the action space is {_short(space)}; expected Discrete. '
                     'Declare others as actions.parts in the environment file.')
  stored_actions.check_num_actions(f'{directory}: the action space {space}', space.n,
                                   stored_actions.stored_names(actions))

  def read(stored):
    ids = stored_actions.action_ids(np.asarray(stored) - space.start, environment)
    return ids, np.ones(len(ids), bool)

  return read


@_action_reader.register
def _(actions: environment_file.ActionParts, directory, space, environment):
  where = f'{directory}: the action space'
  found = {}
  for key, leaf in stored_actions.places(space, _spaces, actions.key).items():
    found |= _elements(where, key, leaf)
  stored_actions.check_keys(where, found, actions)
  for part, key in zip(actions.parts, actions.keys, strict=True):
    stored_actions.check_values(where, key, part, found[key].dtype, found[key].num)

  def read(stored):
    values = {}
    for name, leaf in stored_actions.places(stored, checks.entries_of, actions.key).items():
      leaf = np.asarray(leaf)
      for key, index in stored_actions.elements(name, leaf.shape[1:]).items():
        values[key] = leaf[:, *index] - (found[key].start if key in found else 0)
    return stored_actions.parts(values, environment)

  return read


def _spaces(space):
  return space.spaces if type(space).__name__ == 'Dict' else None


def _elements(where, key, space):
  """{key: `_Element`} of a space that is no Dict."""
  kind = type(space).__name__
  if kind == 'Discrete':
    return {key: _Element(space.dtype, int(space.n), int(space.start))}
  if kind not in ('Box', 'MultiBinary', 'MultiDiscrete'):
    raise ValueError(f'{where} is, at {key!r}, {_short(space)}; expected Discrete, Box, '
                     'MultiBinary, MultiDiscrete, or a Dict of them.')
  places = stored_actions.elements(key, space.shape)
  if kind == 'MultiDiscrete':
    return {place: _Element(space.dtype, int(space.nvec[index]), int(space.start[index]))
            for place, index in places.items()}
  return dict.fromkeys(places, _Element(space.dtype, 2 if kind == 'MultiBinary' else None))


def _check_observations(directory, dataset, environment):
  """Checks the observation space that a dataset declares."""
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


def _recording(name, episode, actions_of, environment):
  observed = checks.picked(episode.observations, environment.observation.key)
  rewards = np.asarray(episode.rewards, np.float32) if environment.reward else None
  return checks.Recording(
      name, checks.observations(np.asarray(observed), environment.observation),
      *actions_of(episode.actions), rewards, bool(np.asarray(episode.terminations)[-1]))
