"""RL Unplugged's Atari datasets: names, files and known damage.

Agarwal et al. (2020) recorded DQN agents; Gulcehre et al. (2020) published the episodes; TFDS calls
them `{dataset}/{game}_run_{run}/{version}`. What is recorded, converted or prepared here is named
the same, so that TFDS reads it, too. Nothing here imports TensorFlow.
"""

import os

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from alpt_jax.data import rlds
from alpt_jax.domains.atari import action_sets

VERSIONS = {
    'rlu_atari': '1.3.0',  # One split, train.
    'rlu_atari_checkpoints': '1.1.0',  # One split per checkpoint of the agent, checkpoint_00 ..
    'rlu_atari_checkpoints_ordered': '1.1.0',  # The same, episodes in the order of learning.
}
RUNS = (1, 2, 3, 4, 5)  # Agents trained with different seeds.
RANDOM_NOTICE = ('Whether the action was drawn uniformly, whatever was seen. Not of RL Unplugged; '
                 'training never reads it.')
_NUM_CHECKPOINTS = 50
_SHORT_GAMES = ('Carnival', 'Gravitar', 'StarGunner')  # Published with one checkpoint less.
# https://github.com/google-research/batch_rl/issues/28: results were not reproducible with it.
_SUSPECTED_CORRUPT = {('Asterix', 1)}
# https://github.com/google-research/batch_rl/issues/40: index 2 moves up, as id 2 of the full set.
_SUSPECTED_FULL_IDS = ('MsPacman',)


def dataset_directory(data_dir, dataset, game, run):
  """Returns where a dataset is.

  Args:
    data_dir: root of all datasets, as TFDS's data_dir; a local path or gs://.
    dataset: a key of `VERSIONS`.
    game: e.g. 'MsPacman'.
    run: one of `RUNS`.

  Returns:
    `{data_dir}/{dataset}/{game}_run_{run}/{version}`.

  Raises:
    ValueError: if there is no such dataset, game or run.
  """
  if dataset not in VERSIONS:
    raise ValueError(f'dataset is {dataset!r}; expected one of {sorted(VERSIONS)}.')
  action_sets.check_game(game)
  if run not in RUNS:
    raise ValueError(f'run is {run!r}; expected one of {RUNS}.')
  return os.path.join(data_dir, dataset, f'{game}_run_{run}', VERSIONS[dataset])


def split_name(dataset, checkpoint):
  """Returns the split that holds a checkpoint's episodes; checkpoints count from 0."""
  return 'train' if dataset == 'rlu_atari' else f'checkpoint_{checkpoint:02d}'


def recorded_features(official):
  """Adds to RL Unplugged's features what only recordings made here have.

  Args:
    official: `tfds.features.FeaturesDict` of a dataset.

  Returns:
    `tfds.features.FeaturesDict` with the step field `rlds.RANDOM`.
  """
  mark = tfds.features.Scalar(np.bool_, doc=tfds.features.Documentation(desc=RANDOM_NOTICE))
  steps = tfds.features.Dataset(dict(official['steps'].feature) | {rlds.RANDOM: mark})
  return tfds.features.FeaturesDict(dict(official) | {'steps': steps})


def check_dataset(directory, game, run, *, allow_damaged=False):
  """Refuses a dataset that is of another game, incomplete, or known to be damaged.

  What was recorded here has a card; it may have any number of checkpoints, and the damage that is
  known of the published data is not in it.

  Args:
    directory: a dataset directory as `dataset_directory` names it, in any file format.
    game: the game that it should be of.
    run: the run that it should be of.
    allow_damaged: take published data with missing checkpoints, or of a run that is suspected to be
      corrupt.

  Raises:
    FileNotFoundError: if there is no dataset, or files that it names are missing.
    ValueError: if the dataset is of another game or run, or damaged.
  """
  path = epath.Path(directory)
  if not (path / 'dataset_info.json').exists():
    raise FileNotFoundError(f'{directory}: no dataset (dataset_info.json) of {game}, run {run}. '
                            'Record it first (python -m experiments.collect), or correct data_dir.')
  builder = tfds.builder_from_directory(directory)
  _check_names(directory, builder, game, run)
  found = {p.name for p in path.iterdir()}
  missing = [os.path.basename(p) for split in builder.info.splits.values()
             for p in split.filepaths if os.path.basename(p) not in found]
  if missing:
    raise FileNotFoundError(f'{directory}: {len(missing)} files that dataset_info.json names are '
                            f'missing: {_shortened(missing)}. Copy or record the dataset again.')
  if rlds.CARD in found or allow_damaged:
    return
  if builder.name != 'rlu_atari':
    expected = [split_name(builder.name, i)
                for i in range(_NUM_CHECKPOINTS - (game in _SHORT_GAMES))]
    missing = [split for split in expected if split not in builder.info.splits]
    if missing:
      raise ValueError(
          f'{directory}: {game} was published with {len(expected)} checkpoints; {len(missing)} are '
          f'missing: {_shortened(missing)}. Download the dataset again, or take it as it is with '
          '--config.allow_damaged.')
  check_run(game, run)


def check_run(game, run, *, allow_damaged=False):
  """Raises ValueError for a run that is suspected to be corrupt as published, unless allowed."""
  if (game, run) in _SUSPECTED_CORRUPT and not allow_damaged:
    raise ValueError(
        f'Run {run} of {game} is suspected to be corrupt as published (google-research/batch_rl '
        'issue 28). Use another run, or take it as it is with --config.allow_damaged.')


def check_actions(actions, game, path, episode):
  """Refuses actions that are no indices into the game's minimal set.

  Args:
    actions: [T] int; the stored actions of an episode's transitions.
    game: the game that they should be of.
    path: of the file they stand in, for the message.
    episode: number of the episode in the file, for the message.

  Raises:
    ValueError: if an action is outside the minimal set.
  """
  num_actions = len(action_sets.MINIMAL_ACTIONS[game])
  actions = np.asarray(actions)
  wrong = np.flatnonzero((actions < 0) | (actions >= num_actions))
  if not wrong.size:
    return
  value = actions[wrong[0]]
  reason = 'The data is damaged or of another game'
  if 0 <= value < action_sets.NUM_ACTIONS:
    reason = f'The data is of another game, or holds ids of the full {action_sets.NUM_ACTIONS}'
    if game in _SUSPECTED_FULL_IDS:
      reason += f', as is suspected of {game} (google-research/batch_rl issue 40)'
  raise ValueError(
      f'{path}: action is {value} at step {wrong[0]} of episode {episode}; {game} has '
      f'{num_actions} minimal actions, stored as indices 0 .. {num_actions - 1}. {reason}: use '
      'another game, or store indices.')


def _check_names(directory, builder, game, run):
  expected = f'{game}_run_{run}'
  if builder.name not in VERSIONS:
    raise ValueError(f'{directory}: dataset_info.json says name {builder.name!r}; expected one of '
                     f'{sorted(VERSIONS)}. Correct data_dir.')
  card = rlds.read_card(directory)
  config_name = builder.builder_config and builder.builder_config.name
  if card is not None:
    config_name = f"{card.get('name')}_run_{(card.get('metadata') or {}).get('run')}"
  if config_name and config_name != expected:
    raise ValueError(f'{directory}: holds {config_name}; expected {expected}: this is the data of '
                     'another game or run. Correct data_dir, or move the directory.')


def _shortened(names):
  return ', '.join(names[:5]) + (', ..' if len(names) > 5 else '')


def clip(rewards):
  """Clips rewards to [-1, 1], as float32: all that RL Unplugged keeps of them."""
  return np.clip(rewards, -1, 1).astype(np.float32)
