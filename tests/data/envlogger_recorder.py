"""Records a dm_env environment through envlogger's TFDS backend: a reference for `recorder`.

The backend writes TFRecord files; they are copied to array_record files at the end.
"""

import os

# Before what follows: it sets what TensorFlow reads when it is imported.
from alpt_jax.data import recorder_envlogger  # isort: split

import dm_env
import envlogger
import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import recorder, rlds, tfrecord, writer
from alpt_jax.files import atomic_files


def record_episodes(env, policy, num_episodes, directory, *, name, metadata, progress=None):
  """Records whole episodes of a policy, as `recorder.record_episodes`."""
  recorder.check(num_episodes, name)
  with atomic_files.new_directory(directory) as staging:
    recorded, content = os.path.join(staging, 'tfrecord'), os.path.join(staging, 'content')
    os.mkdir(recorded)
    lengths, returns = _record(env, policy, num_episodes, recorded, name, progress)
    tfrecord.copy_as_array_record(recorded, content)
    card = recorder.card(name, metadata, lengths, returns)
    atomic_files.write_json(os.path.join(content, rlds.CARD), card, indent=2)
  return card


class _Typed(dm_env.Environment):
  """Casts what the environment returns to the types of the features, and copies it.

  envlogger keeps the steps of an episode until its end and takes the types of the last step's empty
  fields from the ones before: Python floats would become float64, which the features refuse.
  """

  def __init__(self, env):
    self._env = env

  def reset(self):
    return self._typed(self._env.reset())

  def step(self, action):
    return self._typed(self._env.step(action))

  def action_spec(self):
    return self._env.action_spec()

  def observation_spec(self):
    return self._env.observation_spec()

  def _typed(self, timestep):
    spec = self._env.observation_spec()
    if isinstance(spec, dict):
      observation = {key: np.array(timestep.observation[key], spec[key].dtype) for key in spec}
    else:
      observation = np.array(timestep.observation, spec.dtype)
    if timestep.first():
      return timestep._replace(observation=observation)
    return timestep._replace(observation=observation, reward=np.float32(timestep.reward),
                             discount=np.float32(timestep.discount))


def _record(env, policy, num_episodes, directory, name, progress):
  """Writes TFRecord files; returns the transitions and the return of every episode."""
  backend = recorder_envlogger.Writer(
      data_directory=directory,
      ds_config=_config(env.observation_spec(), name, is_marked=hasattr(policy, 'is_random')),
      split_name=writer.SPLIT, version=writer.VERSION,
      max_episodes_per_file=writer.EPISODES_PER_SHARD)
  logged = envlogger.EnvLogger(
      _Typed(env), backend=backend,
      step_fn=recorder_envlogger.mark_step(policy) if hasattr(policy, 'is_random') else None)
  lengths, returns = [], []
  for episode in range(num_episodes):
    timestep = logged.reset()
    lengths.append(0)
    returns.append(0.)
    while not timestep.last():
      timestep = logged.step(int(policy(timestep)))
      lengths[-1] += 1
      returns[-1] += float(timestep.reward)
    if progress is not None:
      progress(episode + 1)
  backend.close()  # Not `logged`, which would close the caller's environment, too.
  return lengths, returns


def _config(observation_spec, name, *, is_marked):
  """Describes the RLDS steps of an environment to envlogger."""
  step = recorder.step_features(observation_spec, is_marked=is_marked)
  return tfds.rlds.rlds_base.DatasetConfig(
      name=writer.file_name(name), observation_info=step['observation'],
      action_info=step['action'], reward_info=step['reward'], discount_info=step['discount'],
      step_metadata_info={rlds.RANDOM: step[rlds.RANDOM]} if is_marked else None)
