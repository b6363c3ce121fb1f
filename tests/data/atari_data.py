"""Small recordings of a real game, and the same episodes in the other forms they come in."""

import atexit
import functools
import json
import os
import pathlib
import shutil
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from array_record.python import array_record_module

from alpt_jax.data import png
from alpt_jax.domains.atari import env as atari
from alpt_jax.domains.atari import record as record_atari

GAME = 'Breakout'
# Three lives of chance last about 180 steps: some episodes end before the cap, others at it.
SETTINGS = record_atari.Settings(behaviour='random', num_steps=700, num_checkpoints=3,
                                 max_episode_steps=180, seed=1)
ORDERED = 'rlu_atari_checkpoints_ordered'


class _Spy:
  """Notes down what an environment returns, and what it is asked to do."""

  def __init__(self, env, episodes):
    self._env, self._episodes = env, episodes

  def __getattr__(self, name):
    return getattr(self._env, name)

  def reset(self):
    self._episodes.append(([self._env.reset()], []))
    return self._episodes[-1][0][-1]

  def step(self, action):
    timesteps, actions = self._episodes[-1]
    timesteps.append(self._env.step(action))
    actions.append(action)
    return timesteps[-1]


@functools.cache
def recorded(dataset=ORDERED):
  """Records a dataset once for all tests of a session.

  Returns:
    (data_dir, directory, card, checkpoints); the last has for every checkpoint its episodes
    (timesteps, actions), as the environment returned them.
  """
  data_dir = tempfile.mkdtemp()
  atexit.register(shutil.rmtree, data_dir, ignore_errors=True)
  checkpoints, make = [], atari.make

  def make_spy(*args, **kwargs):
    checkpoints.append([])
    return _Spy(make(*args, **kwargs), checkpoints[-1])

  with mock.patch.object(atari, 'make', make_spy):
    card = record_atari.record_game(GAME, data_dir, SETTINGS, dataset=dataset)
  directory, = pathlib.Path(data_dir).glob('*/*/*')
  return data_dir, str(directory), card, checkpoints


def records(directory):
  """Returns {split: serialized episodes} of a dataset in any file format."""
  builder = tfds.builder_from_directory(directory)
  if builder.info.file_format.value == 'tfrecord':
    return {name: list(tf.data.TFRecordDataset(split.filepaths).as_numpy_iterator())
            for name, split in builder.info.splits.items()}
  return {name: list(builder.as_data_source(
      name, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES))
          for name in builder.info.splits}


def garble_marks(path):
  """Inverts which actions a file of a recording calls random; returns of how many steps."""
  reader = array_record_module.ArrayRecordReader(str(path))
  found = reader.read_all()
  reader.close()
  writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1')
  num_changed = 0
  for record in found:
    example = tf.train.Example.FromString(record)
    marks = example.features.feature['steps/action_is_random'].int64_list.value
    marks[:] = [1 - mark for mark in marks]
    num_changed += len(marks)
    writer.write(example.SerializeToString(deterministic=True))
  writer.close()
  return num_changed


def write_published(directory, checkpoints):
  """Writes episodes as RL Unplugged published them: one file per checkpoint.

  Args:
    directory: gets `Breakout/run_1-00000-of-00003` ..
    checkpoints: as from `recorded`.
  """
  os.makedirs(os.path.join(directory, GAME))
  for i, episodes in enumerate(checkpoints):
    path = os.path.join(directory, GAME, f'run_1-{i:05d}-of-{len(checkpoints):05d}')
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions('GZIP')) as writer:
      for j, (timesteps, actions) in enumerate(episodes):
        rewards = [*(min(1., max(-1., t.reward)) for t in timesteps[1:]), 0.]
        writer.write(_example(
            checkpoint_idx=[i], episode_idx=[j], episode_return=[sum(rewards)],
            clipped_episode_return=[sum(rewards)],
            observations=[png.encode(t.observation) for t in timesteps],
            actions=[*actions, 0], unclipped_rewards=rewards, clipped_rewards=rewards,
            discounts=[1., *(t.discount for t in timesteps[1:])]).SerializeToString())


def write_tfrecord(source, directory):
  """Copies an array_record dataset to TFRecord files, which is what TFDS publishes."""
  os.makedirs(directory)
  with open(os.path.join(source, 'dataset_info.json')) as f:
    info = json.load(f)
  for split, episodes in records(source).items():
    path = os.path.join(directory, f"{info['name']}-{split}.tfrecord-00000-of-00001")
    with tf.io.TFRecordWriter(path) as writer:
      for episode in episodes:
        writer.write(episode)
  with open(os.path.join(directory, 'dataset_info.json'), 'w') as f:
    json.dump(info | {'fileFormat': 'tfrecord'}, f)
  shutil.copy(os.path.join(source, 'features.json'), directory)


def _example(**fields):
  features = {}
  for name, values in fields.items():
    if isinstance(values[0], bytes):
      features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    elif isinstance(values[0], (int, np.integer)):
      features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    else:
      features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
  return tf.train.Example(features=tf.train.Features(feature=features))
