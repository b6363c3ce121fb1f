"""Brings in the data of an experiment: TFDS directories with RLDS episodes.

python -m experiments.collect --config=experiments/configs/maze.py:desk
python -m experiments.collect --config=experiments/configs/atari.py:desk
python -m experiments.collect import --config.import_.kind=videos \
    --config.import_.from_dir=clips --config.import_.environment=breakout.json

Collects what the config names as targets and sources and is not there yet. Mazes are recorded here,
one directory each, epsilon-greedy around the shortest path (paper section 5.6). For Atari games see
alpt_jax/domains/atari/collect.py. The word `import` brings in data of your own; see
alpt_jax/domains/own/collect.py.
"""

import os
import zlib
from importlib import metadata

import numpy as np

from alpt_jax import cli
from alpt_jax import progress as progress_
from alpt_jax.data import rlds
from alpt_jax.domains.maze import env, policies


def dataset_names(config):
  """Returns the names of all environments that a config mentions, sorted, without repetition."""
  if config.experiment == 'atari':
    return sorted({config.target, *config.get('other_targets', ()), *config.sources})
  names = {config.target, *config.sources, *config.study.targets}
  for part in (config.study, config.study.get('labels') or {}):
    for variant in part.get('variants', {}).values():
      names |= set(variant.sources)
  return sorted(names)


def collect_maze(name, config, progress=None):
  """Records one maze.

  Args:
    name: of the maze; see `env.layout_of`.
    config: with `data_dir` and `collect`.
    progress: called with the number of episodes recorded, or None.

  Returns:
    The dataset card.
  """
  from alpt_jax.data import recorder  # TensorFlow: seconds that a second run need not wait.

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
          'versions': {p: metadata.version(p) for p in ('envlogger', 'tensorflow-datasets')},
      })


def main(config, names=None):
  """Collects what is missing of some environments; of those that the config mentions by default."""
  if 'import_' in config:
    raise ValueError('import_ is in the config, which is one of data of your own; expected the '
                     'word import before the flags (python -m experiments.collect import ...).')
  names = dataset_names(config) if names is None else names
  if config.experiment == 'atari':
    # The emulator, which mazes do not need.
    from alpt_jax.domains.atari import collect as collect_atari

    collect_atari.main(config, names)
    return
  for name in names:
    directory = os.path.join(config.data_dir, name)
    card = rlds.read_card(directory) if os.path.isdir(directory) else None
    if card is None:
      num_episodes = config.collect.num_episodes
      with progress_.Progress(num_episodes, label=f'recording {name}') as progress:
        card = collect_maze(name, config, progress.update)
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


def _import(config):
  """Brings in data of somebody's own."""
  from alpt_jax.domains.own import collect as import_own  # Readers that nobody else needs.

  import_own.main(config)


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py',
          verbs={'import': (_import, 'experiments/configs/own.py')})
