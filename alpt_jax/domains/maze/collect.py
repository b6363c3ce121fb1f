"""Records mazes: epsilon-greedy around the shortest path (paper section 5.6), a directory each."""

import os
import zlib
from importlib import metadata

import numpy as np

from alpt_jax import progress as progress_
from alpt_jax.data import recorder, rlds
from alpt_jax.domains.maze import env, policies
from alpt_jax.files import disk_space

_BYTES_PER_STEP = 100  # At most, of 8 x 8 to 20 x 20 cells.
_PACKAGES = ('array-record', 'numpy', 'tensorflow-datasets')


def main(config, names):
  """Records what is missing.

  Args:
    config: with `data_dir` and `collect`.
    names: of the mazes.
  """
  for name in names:
    directory = os.path.join(config.data_dir, name)
    card = rlds.read_card(directory) if os.path.isdir(directory) else None
    if card is None:
      num_episodes = config.collect.num_episodes
      most = num_episodes * (config.collect.horizon + 1) * _BYTES_PER_STEP
      print(disk_space.check(directory, most, what=f'a recording of {name}'), flush=True)
      with progress_.Progress(num_episodes, label=f'recording {name}') as progress:
        card = record(name, config, progress.update)
      verb = 'recorded'
    else:
      _check_card(directory, card, name, config)
      try:
        rlds.dataset_digest(directory)  # Notices files that are missing or cut short.
      except (ValueError, FileNotFoundError) as error:
        raise ValueError(f'{error} To record it again, delete {directory} first.') from error
      verb = 'found'
    print(f"{verb} {name}: {card['num_episodes']} episodes, {card['num_transitions']} "
          f"transitions, mean length {card['mean_length']:.1f}", flush=True)


def record(name, config, progress=None):
  """Records one maze.

  Args:
    name: of the maze; see `env.layout_of`.
    config: with `data_dir` and `collect`.
    progress: called with the number of episodes recorded, or None.

  Returns:
    The dataset card.
  """
  settings = config.collect
  layout = env.layout_of(name)
  # Mazes are recorded with streams of their own, whatever else is recorded.
  seed = np.random.SeedSequence([settings.seed, zlib.crc32(name.encode())])
  start_seed, policy_seed = (int(s) for s in seed.generate_state(2))
  return recorder.record_episodes(
      env.Maze(layout, start_seed, horizon=settings.horizon),
      policies.EpsilonGreedy(layout, settings.epsilon, policy_seed),
      settings.num_episodes, os.path.join(config.data_dir, name), name=name, progress=progress,
      metadata={
          'behaviour': 'epsilon-greedy around the breadth-first shortest path, mixture form',
          **settings.to_dict(),
          'versions': {package: metadata.version(package) for package in _PACKAGES},
      })


def _check_card(directory, card, name, config):
  """Refuses data that is of another maze, or was recorded with other settings."""
  if card.get('name') != name:
    raise ValueError(f'{directory}: {rlds.CARD} says name {card.get("name")!r}; expected {name!r}: '
                     'this is the data of another maze. Choose another data_dir, or delete the '
                     'directory.')
  for key, value in config.collect.to_dict().items():
    found = (card.get('metadata') or {}).get(key)
    if found != value:
      raise ValueError(f'{directory}: was recorded with {key} {found}, the config has '
                       f'collect.{key} {value}. Choose another data_dir, or delete the directory.')
