"""An environment of somebody's own, and what was played in it."""

import numpy as np

from alpt_jax.data import environment_file, rlds
from alpt_jax.data.importers import checks


def environment(kind='image', shape=(8, 6, 1), **changes):
  """Actions 0 to 3, of which 'down' is not legal."""
  return environment_file.Environment(**{
      'name': 'Own',
      'observation': environment_file.Observation(kind=kind, shape=shape, low=-2., high=2.),
      'actions': environment_file.Actions(space=('noop', 'up', 'down', 'jump'),
                                          legal=('noop', 'up', 'jump')),
      'reward': None} | changes)


def frames(rng, length, shape=(8, 6, 1)):
  """Random images, no two alike."""
  return rng.integers(0, 256, (length, *shape), dtype=np.uint8)


def written(directory, found, env, **settings):
  """Imports recordings; returns the card and `episodes.Episodes` of the dataset."""
  card = checks.write_dataset(
      found, directory, env, checks.Settings(**{'window': 1} | settings), metadata={})
  return card, rlds.read_episodes(directory, env.canonical().spec())


def split(read):
  """[(observations, actions, rewards, is_labelled)] of the episodes of `episodes.Episodes`."""
  result = []
  for first, length in zip(read.first_step, read.num_transitions, strict=True):
    part = slice(first, first + length)
    result.append((read.observations[first:first + length + 1], read.actions[part],
                   read.rewards[part], read.is_labelled[part]))
  return result
