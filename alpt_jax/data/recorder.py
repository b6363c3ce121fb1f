"""Records a dm_env environment into a TFDS dataset in the RLDS layout, without TensorFlow.

Tests compare the files, byte for byte, with those that envlogger writes of the same episodes.
"""

import os
import re

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import rlds, writer
from alpt_jax.files import atomic_files


def record_episodes(env, policy, num_episodes, directory, *, name, metadata, progress=None):
  """Records whole episodes of a policy.

  The dataset appears under its name only when it is complete: an interrupted recording leaves
  nothing, and what a killed one leaves goes with the next; see `atomic_files.new_directory`.

  Args:
    env: dm_env.Environment with discrete actions; its observation is an array or a flat dict of
      arrays. It is not closed.
    policy: policy(timestep) -> int action; may look into `env`. If it has an attribute `is_random`,
      whether the last action was drawn uniformly, steps are marked with it (`rlds.RANDOM`).
    num_episodes: how many episodes to record, at least 1.
    directory: where the dataset goes; must not exist, or be empty.
    name: names the environment on the dataset card; `rlds.read_episodes` compares it.
    metadata: JSON-able dict for the card: how the data was made (size, seed, epsilon, versions).
    progress: called with the number of episodes recorded after each of them, or None.

  Returns:
    The dataset card, a dict. `mean_length` is in transitions.

  Raises:
    ValueError: if `num_episodes` is below 1, `name` has no letter to start a file name with, or
      `directory` already holds something.
  """
  check(num_episodes, name)
  features = tfds.features.FeaturesDict({'steps': tfds.features.Dataset(
      step_features(env.observation_spec(), is_marked=hasattr(policy, 'is_random')))})
  lengths, returns = [], []

  def records():
    for number in range(1, num_episodes + 1):
      steps = _play(env, policy)
      lengths.append(len(steps['action']) - 1)
      returns.append(float(np.sum(steps['reward'], dtype=np.float64)))
      yield writer.serialize(features, steps)
      if progress is not None:
        progress(number)

  with atomic_files.new_directory(directory) as staging:
    content = os.path.join(staging, 'content')
    shard_lengths = writer.write_shards(content, name, records())
    made = card(name, metadata, lengths, returns)
    writer.finish(content, name=name, features=features, shard_lengths=shard_lengths, card=made)
  return made


def check(num_episodes, name):
  """Raises ValueError for what cannot be recorded; see `record_episodes`."""
  if num_episodes < 1:
    raise ValueError(f'num_episodes is {num_episodes}; expected at least 1.')
  if not re.match('[A-Za-z]', name):
    raise ValueError(f'name is {name!r}; expected it to begin with a letter.')


def card(name, metadata, lengths, returns):
  """Makes the dataset card of episodes, of which there are the transitions and the returns."""
  return {
      'name': name,
      'metadata': metadata,
      'num_episodes': len(lengths),
      'num_transitions': sum(lengths),
      'mean_length': float(np.mean(lengths)),
      'mean_return': float(np.mean(returns)),
  }


def step_features(observation_spec, *, is_marked):
  """Describes the RLDS steps of an environment to TFDS.

  Args:
    observation_spec: of the environment; a dm_env spec, or a flat dict of them.
    is_marked: whether steps say if the action was drawn uniformly.

  Returns:
    {name: TFDS feature}.
  """
  if isinstance(observation_spec, dict):
    observation = tfds.features.FeaturesDict(
        {key: _observation_feature(spec) for key, spec in observation_spec.items()})
  else:
    observation = _observation_feature(observation_spec)
  flag = tfds.features.Tensor(shape=(), dtype=np.bool_)  # As envlogger has it: no Scalar.
  step = {
      'observation': observation,
      'action': tfds.features.Scalar(np.int64),
      'reward': tfds.features.Scalar(np.float32),
      'discount': tfds.features.Scalar(np.float32),
      'is_first': flag, 'is_last': flag, 'is_terminal': flag,
  }
  return step | ({rlds.RANDOM: tfds.features.Scalar(np.bool_)} if is_marked else {})


def _observation_feature(spec):
  # Grids and images are stored as bytes: tf.Example keeps plain integers as one varint each.
  encoding = 'zlib' if spec.dtype == np.uint8 else 'none'
  return tfds.features.Tensor(shape=spec.shape, dtype=spec.dtype, encoding=encoding)


def _play(env, policy):
  """Plays an episode; returns {step field: T + 1 values}, as RLDS aligns them."""
  timestep = env.reset()
  observations, actions, rewards, discounts, marks = [_observation(env, timestep)], [], [], [], []
  while not timestep.last():
    actions.append(int(policy(timestep)))
    marks.append(bool(getattr(policy, 'is_random', False)))
    timestep = env.step(actions[-1])
    observations.append(_observation(env, timestep))
    rewards.append(timestep.reward)
    discounts.append(timestep.discount)
  first = observations[0]
  is_last = np.arange(len(observations)) == len(actions)
  steps = {
      'observation': ({key: [o[key] for o in observations] for key in first}
                      if isinstance(first, dict) else observations),
      # The last step has only its observation.
      'action': np.array([*actions, 0], np.int64),
      'reward': np.array([*rewards, 0], np.float32),
      'discount': np.array([*discounts, 0], np.float32),
      'is_first': np.arange(len(observations)) == 0,
      'is_last': is_last,
      'is_terminal': is_last & (timestep.discount == 0),
  }
  return steps | ({rlds.RANDOM: np.array([*marks, False])} if hasattr(policy, 'is_random') else {})


def _observation(env, timestep):
  """Copies an observation, which the environment may change, to the types of the features."""
  spec = env.observation_spec()
  if isinstance(spec, dict):
    return {key: np.array(timestep.observation[key], spec[key].dtype) for key in spec}
  return np.array(timestep.observation, spec.dtype)
