"""Records a dm_env environment into a TFDS dataset in the RLDS layout.

envlogger's TFDS backend writes TFRecord files, which only TensorFlow reads and only from the front.
The records themselves are the same bytes in array_record files, so they are copied over once and
training reads them by random access without TensorFlow. TensorFlow is imported here, and in
`domains/atari/convert.py` only.
"""

import json
import os
import re

# TensorFlow greets with the features of the CPU.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

import dm_env
import envlogger
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from envlogger.backends import tfds_backend_writer
from etils import epath

from alpt_jax import atomic_files
from alpt_jax.data import records, rlds

_EPISODES_PER_FILE = 1000
_READ_BYTES = 8 << 20


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
  if num_episodes < 1:
    raise ValueError(f'num_episodes is {num_episodes}; expected at least 1.')
  if not re.match('[A-Za-z]', name):
    raise ValueError(f'name is {name!r}; expected it to begin with a letter.')
  with atomic_files.new_directory(directory) as staging:
    recorded, content = os.path.join(staging, 'tfrecord'), os.path.join(staging, 'content')
    os.mkdir(recorded)
    lengths, returns = _record(env, policy, num_episodes, recorded, name, progress)
    copy_as_array_record(recorded, content)
    card = {
        'name': name,
        'metadata': metadata,
        'num_episodes': num_episodes,
        'num_transitions': sum(lengths),
        'mean_length': float(np.mean(lengths)),
        'mean_return': float(np.mean(returns)),
    }
    with open(os.path.join(content, rlds.CARD), 'w') as f:
      json.dump(card, f, indent=2)
  return card


def convert_to_array_record(source, directory, *, progress=None):
  """Copies a TFDS dataset from TFRecord to array_record files, record by record.

  Args:
    source: TFDS directory with TFRecord files, e.g. written by envlogger or downloaded; any path
      that TensorFlow reads, gs:// too.
    directory: where the copy goes, on a local disk; must not exist, or be empty.
    progress: called with the number of episodes copied after each of them, or None.

  Raises:
    FileNotFoundError: if there is no dataset at `source`.
    ValueError: if `source` is damaged, or `directory` already holds something.
  """
  if not (epath.Path(source) / 'dataset_info.json').exists():
    raise FileNotFoundError(f'{source}: has no dataset_info.json: not a TFDS dataset. Correct the '
                            'path.')
  with atomic_files.new_directory(directory) as staging:
    copy_as_array_record(source, os.path.join(staging, 'content'), progress=progress)


class Writer(tfds_backend_writer.TFDSBackendWriter):
  """The TFDS backend of envlogger, closed by its owner only; the same files in every process."""

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self._sequential_writer._serializer = records.ExampleSerializer(
        self._ds_info.features.get_serialized_info())

  def _rlds_episode(self):
    """The current episode; marks are moved from the step after an action to the action's."""
    episode = self._current_episode.get_rlds_episode()
    steps = episode['steps']
    if rlds.RANDOM in steps[0]:
      marks = [step[rlds.RANDOM] for step in steps[1:]]
      for step, mark in zip(steps, [*marks, np.bool_(False)], strict=True):
        step[rlds.RANDOM] = mark
    return episode

  def _write_and_reset_episode(self):
    if self._current_episode is not None:
      self._sequential_writer.add_examples({self._split_name: [self._rlds_episode()]})
      self._current_episode = None

  def __del__(self):
    # The base class closes a second time, which would write into a directory that is gone by then,
    # and prints an AttributeError when the interpreter exits first.
    pass


def mark_step(policy):
  """Returns the `step_fn` of envlogger that keeps whether a policy's last action was random."""
  return lambda timestep, action, env: {
      rlds.RANDOM: np.bool_(action is not None and policy.is_random)}


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
  writer = Writer(
      data_directory=directory,
      ds_config=_features(env.observation_spec(), name, is_marked=hasattr(policy, 'is_random')),
      split_name='train', version='1.0.0', max_episodes_per_file=_EPISODES_PER_FILE)
  logged = envlogger.EnvLogger(
      _Typed(env), backend=writer,
      step_fn=mark_step(policy) if hasattr(policy, 'is_random') else None)
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
  writer.close()  # Not `logged`, which would close the caller's environment, too.
  return lengths, returns


def _features(observation_spec, name, *, is_marked):
  """Describes the RLDS steps of an environment to TFDS."""
  if isinstance(observation_spec, dict):
    observation = tfds.features.FeaturesDict(
        {key: _observation_feature(spec) for key, spec in observation_spec.items()})
  else:
    observation = _observation_feature(observation_spec)
  return tfds.rlds.rlds_base.DatasetConfig(
      name=re.sub('[^a-z0-9]+', '_', name.lower()).strip('_'),  # All that TFDS allows.
      observation_info=observation,
      action_info=tfds.features.Scalar(np.int64),
      reward_info=tfds.features.Scalar(np.float32),
      discount_info=tfds.features.Scalar(np.float32),
      step_metadata_info={rlds.RANDOM: tfds.features.Scalar(np.bool_)} if is_marked else None)


def _observation_feature(spec):
  # Grids and images are stored as bytes: tf.Example keeps plain integers as one varint each.
  encoding = 'zlib' if spec.dtype == np.uint8 else 'none'
  return tfds.features.Tensor(shape=spec.shape, dtype=spec.dtype, encoding=encoding)


def copy_as_array_record(source, directory, *, progress=None):
  """As `convert_to_array_record`, into a directory that is there.

  The manifest is written last, so that less than all does not open.
  """
  source = epath.Path(source)
  builder = tfds.builder_from_directory(source)
  if builder.info.file_format.value != 'tfrecord':
    raise ValueError(f'{source}: fileFormat is {builder.info.file_format.value}; expected '
                     'tfrecord. What is array_record already needs no conversion.')
  num_copied = 0
  for split in builder.info.splits.values():
    for i, (path, length) in enumerate(zip(split.filepaths, split.shard_lengths, strict=True)):
      target = f'{builder.name}-{split.name}.array_record-{i:05d}-of-{split.num_shards:05d}'
      # group_size:1 stores each episode for itself: reading one does not unpack its neighbours.
      writer = array_record_module.ArrayRecordWriter(os.path.join(directory, target),
                                                     'group_size:1')
      num_records = 0
      try:
        for record in _records(path):
          writer.write(record)
          num_records += 1
          if progress is not None:
            progress(num_copied + num_records)
      except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise ValueError(f'{path}: missing or damaged ({str(error).splitlines()[0]}). Copy or '
                         'record the dataset again.') from error
      finally:
        writer.close()
      if num_records != length:  # TensorFlow ends silently in a file that is cut between records.
        raise ValueError(f'{path}: holds {num_records} episodes; dataset_info.json says {length}. '
                         'The file is cut short: copy or record the dataset again.')
      num_copied += num_records
  for path in sorted(source.iterdir()):
    if path.suffix == '.json' and path.name != 'dataset_info.json':
      path.copy(os.path.join(directory, path.name))
  info = json.loads((source / 'dataset_info.json').read_text())
  info['fileFormat'] = 'array_record'
  for split in info.get('splits', ()):
    split['filepathTemplate'] = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'
  atomic_files.write_json(os.path.join(directory, 'dataset_info.json'), info, indent=2)


def _records(path):
  """Yields the records of a TFRecord file; reads ahead, for files that are far away."""
  return tf.data.TFRecordDataset(os.fspath(path), buffer_size=_READ_BYTES).as_numpy_iterator()
