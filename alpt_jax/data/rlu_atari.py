"""The RL Unplugged Atari datasets: their names, their files and their known damage.

Agarwal et al. (2020) recorded DQN agents; Gulcehre et al. (2020) published the episodes; TFDS calls
them `{dataset}/{game}_run_{run}/{version}`. Data that is recorded, converted or prepared here has
the same names, so that TFDS reads it, too. Nothing here imports TensorFlow.
"""

import json
import os
import re

import numpy as np

from alpt_jax.data import rlds
from alpt_jax.envs import action_sets

VERSIONS = {
    'rlu_atari': '1.3.0',  # One split, train.
    'rlu_atari_checkpoints': '1.1.0',  # One split per checkpoint of the agent, checkpoint_00 ...
    'rlu_atari_checkpoints_ordered': '1.1.0',  # The same, in the order of the agent's learning.
}
RUNS = (1, 2, 3, 4, 5)


def dataset_directory(data_dir, dataset, game, run):
  """Returns where a dataset is.

  Args:
    data_dir: TFDS's data_dir; the root of all datasets.
    dataset: a key of `VERSIONS`.
    game: e.g. 'MsPacman'.
    run: 1 .. 5; which of the agents that were trained with different seeds.

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
