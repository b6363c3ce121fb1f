"""Records Atari games through envlogger's TFDS backend, as the dataset `rlu_atari`.

The backend writes one split of TFRecord files; they are copied to array_record files at the end.
"""

import contextlib
import os

import envlogger
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.rl_unplugged import atari_utils

from alpt_jax.data import png, recorder_envlogger, rlds, tfrecord
from alpt_jax.domains.atari import env as atari
from alpt_jax.domains.atari import rlu


class Writer(contextlib.AbstractContextManager):
  """Writes all checkpoints into the split 'train'; as `record` asks for."""

  def __init__(self, staging, notice):
    self._recorded = os.path.join(staging, 'tfrecord')
    self._directory = os.path.join(staging, 'content')
    os.mkdir(self._recorded)
    self._backend = _Backend(self._recorded, notice)

  def __exit__(self, *unused):
    pass

  def play(self, env, policy, checkpoint, episode):
    """Plays and writes an episode.

    Args:
      env: `atari.env.Atari`.
      policy: `atari.policies.Policy`.
      checkpoint: number of the checkpoint, from 0.
      episode: number of the episode in the checkpoint, from 0.

    Yields:
      `env.Played`, of every transition.
    """
    ids = {'checkpoint_id': checkpoint, 'episode_id': episode}
    logged = envlogger.EnvLogger(env, backend=self._backend, episode_fn=lambda *unused: ids,
                                 step_fn=recorder_envlogger.mark_step(policy))
    for timestep, action in atari.play(logged, policy):
      if action is not None:
        yield atari.Played(action, timestep.reward, policy.is_random)

  def finish(self):
    """Writes the last episode, and copies the records."""
    self._backend.close()
    tfrecord.copy_as_array_record(self._recorded, self._directory)


class _Backend(recorder_envlogger.Writer):
  """envlogger's TFDS backend, with steps as RL Unplugged has them."""

  def __init__(self, directory, notice):
    episode = rlu.recorded_features(atari_utils.features_dict())
    step = episode['steps'].feature
    super().__init__(
        directory,
        tfds.rlds.rlds_base.DatasetConfig(
            name='rlu_atari', overall_description=notice, observation_info=step['observation'],
            action_info=step['action'], reward_info=step['reward'],
            discount_info=step['discount'], step_metadata_info={rlds.RANDOM: step[rlds.RANDOM]},
            episode_metadata_info={
                name: episode[name] for name in ('checkpoint_id', 'episode_id', 'episode_return')}),
        split_name='train', version=rlu.VERSIONS['rlu_atari'])

  def _record_step(self, data, is_new_episode):
    timestep = data.timestep._replace(
        observation=png.encode(data.timestep.observation))
    if not timestep.first():
      timestep = timestep._replace(reward=rlu.clip(timestep.reward),
                                   discount=np.float32(timestep.discount))
    super()._record_step(data._replace(timestep=timestep), is_new_episode)

  def _write_and_reset_episode(self):
    if self._current_episode is not None:
      episode = self._rlds_episode()
      steps = episode['steps']
      if not steps[-1]['is_terminal']:
        steps[-1]['discount'] = np.float32(1)  # envlogger has 0 there, RL Unplugged has not.
      rewards = np.array([step['reward'] for step in steps])
      self._sequential_writer.add_examples(
          {'train': [episode | {'episode_return': rewards.sum()}]})
      self._current_episode = None
