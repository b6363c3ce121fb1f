"""Writes RLDS datasets: TFDS directories with array_record files, one record per episode.

Without TensorFlow, and with the same bytes in every process. Whatever is written here has the same
step fields, whatever it was made of: observation (one array), action, reward, discount, is_first,
is_last, is_terminal and is_labelled, which says whether the action is known. Actions of several
parts are dicts, see `action_fields`.

`write` writes a whole dataset from an iterator of episodes. `serialize`, `write_shard` and `finish`
are its parts, for who makes shards one at a time.
"""

import collections
import itertools
import os
import re

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import (
    action_fields,
    environment_file,
    png,
    record_file,
    records,
    rlds,
)
from alpt_jax.files import atomic_files

SPLIT = 'train'
VERSION = '1.0.0'
EPISODES_PER_SHARD = 1000
MAX_EPISODE_BYTES = 1_900_000_000  # Of its observations: protobuf reads records of 2 GiB at most.


def features(environment, extra=None):
  """Describes the episodes of an environment to TFDS.

  Args:
    environment: `environment_file.Environment`.
    extra: {name: TFDS feature} of more step fields, or None.

  Returns:
    `tfds.features.FeaturesDict`.

  Raises:
    ValueError: if an extra field has the name of another.
  """
  observation = environment.observation
  if observation.kind == 'image':
    feature = tfds.features.Image(shape=observation.shape, dtype=np.uint8, encoding_format='png')
  elif observation.kind == 'grid':
    # tf.Example keeps plain integers as one varint each.
    feature = tfds.features.Tensor(shape=observation.shape, dtype=np.uint8, encoding='zlib')
  else:
    feature = tfds.features.Tensor(shape=observation.shape, dtype=np.float32)
  actions = action_fields.features(environment.spec().actions)
  step = {
      'observation': feature,
      'action': actions['action'],
      'reward': tfds.features.Scalar(np.float32),
      'discount': tfds.features.Scalar(np.float32),
      'is_first': tfds.features.Scalar(np.bool_),
      'is_last': tfds.features.Scalar(np.bool_),
      'is_terminal': tfds.features.Scalar(np.bool_),
      rlds.LABELLED: actions[rlds.LABELLED],
  }
  if repeated := sorted(step.keys() & (extra or {}).keys()):
    raise ValueError(f'{repeated[0]} is a step field of every dataset; expected another name.')
  return tfds.features.FeaturesDict({'steps': tfds.features.Dataset(step | (extra or {}))})


def steps(observations, actions, *, rewards=None, is_labelled=None, is_terminal=False):
  """Aligns an episode as RLDS does: the last step has only its observation.

  Args:
    observations: T + 1 arrays, or PNG bytes.
    actions: [T] int, or {part: [T]} of the types in `action_fields`; whatever stands where not
      labelled does not get into the result.
    rewards: [T] float; None for 0, where nobody knows them.
    is_labelled: [T] bool; the action is known, with all its parts; or {part: [T] bool}. None for
      all.
    is_terminal: whether the episode ended, and was not merely cut.

  Returns:
    {step field: T + 1 values}.

  Raises:
    ValueError: if the lengths do not fit each other.
  """
  length = len(observations)
  rewards = np.zeros(length - 1) if rewards is None else rewards
  is_labelled = np.ones(length - 1, bool) if is_labelled is None else is_labelled
  if isinstance(actions, dict) and not isinstance(is_labelled, dict):
    is_labelled = dict.fromkeys(actions, is_labelled)
  counts = [action_fields.each(len, field) for field in (actions, rewards, is_labelled)]
  per_action = action_fields.each(lambda _: length - 1, actions)
  if counts != [per_action, length - 1, per_action]:
    raise ValueError(f'{length} observations, and {counts[0]} actions, {counts[1]} rewards and '
                     f'{counts[2]} labels; expected one less of these than of observations.')
  is_end = np.arange(length) == length - 1
  discounts = np.ones(length, np.float32)
  if is_terminal:
    discounts[-2:] = 0  # The transition that ends it, and the step that has none.
  return {
      'observation': observations,
      'action': ({part: _with_last(actions[part], is_labelled[part]) for part in actions}
                 if isinstance(actions, dict) else
                 _with_last(actions, is_labelled).astype(np.int64)),
      'reward': np.append(rewards, 0).astype(np.float32),
      'discount': discounts,
      'is_first': np.arange(length) == 0,
      'is_last': is_end,
      'is_terminal': is_end & is_terminal,
      rlds.LABELLED: action_fields.each(
          lambda known: np.append(np.asarray(known, bool), False), is_labelled),
  }


def _with_last(values, is_known):
  """[T] -> [T + 1] of one type: 0 where not known, and at the last step, which has no action."""
  values = np.asarray(values)
  zero = np.zeros(1, values.dtype)
  return np.concatenate([np.where(is_known, values, zero), zero])


def serialize(features, episode, *, consume=False):
  """Makes the record of an episode.

  Args:
    features: as `features` returns them; the observation may be a flat dict.
    episode: {step field: L values} of all fields; images may be PNG bytes, which are not decoded.
    consume: whether lists of images are emptied, so that they are not in memory a second time.

  Returns:
    Bytes, the same in every process.

  Raises:
    ValueError: if the fields do not fit the features, or the record gets too large.
  """
  fields, episode = (
      action_fields.flat(x) for x in (features['steps'].feature, episode))
  if episode.keys() != fields.keys():
    raise ValueError(f'the fields of an episode are {sorted(episode)}; expected {sorted(fields)}.')
  lengths = {name: len(values) for name, values in episode.items()}
  if len(set(lengths.values())) > 1:
    raise ValueError(f'the fields of an episode have different lengths, {lengths}; expected one.')
  encoded = {f'steps/{name}': _encode(name, feature, episode[name])
             for name, feature in fields.items()}
  record = records.serialize(encoded)
  if consume:
    for values in (*episode.values(), *encoded.values()):
      if isinstance(values, list):
        values.clear()
  return record


def write_shard(path, serialized):
  """Writes a file of episodes.

  Args:
    path: of the file; see `shard_path`.
    serialized: iterator of bytes, as `serialize` returns them.

  Returns:
    How many there were.
  """
  num_records = 0
  with record_file.RecordFile(path) as file:
    for record in serialized:
      file.write(record)
      del record  # Before the next one is made.
      num_records += 1
  return num_records


def file_name(name):
  """Returns the start of a dataset's file names: `name` with the letters that TFDS allows."""
  return re.sub('[^a-z0-9]+', '_', name.lower()).strip('_')


def shard_path(directory, name, index, num_shards):
  """Path of a file of episodes of the dataset `name`, counted from 0."""
  return os.path.join(
      directory, f'{file_name(name)}-{SPLIT}.array_record-{index:05d}-of-{num_shards:05d}')


def write_shards(directory, name, serialized, episodes_per_shard=EPISODES_PER_SHARD):
  """Writes all files of episodes of a dataset.

  Args:
    directory: where to.
    name: of the dataset.
    serialized: iterator of bytes, as `serialize` returns them.
    episodes_per_shard: episodes in a file.

  Returns:
    List of the number of episodes in each file.
  """
  lengths, written, serialized = [], [], iter(serialized)
  while True:
    # How many files there are, which their names say, is known at the end.
    path = os.path.join(directory, f'shard-{len(lengths):05d}')
    length = write_shard(path, itertools.islice(serialized, episodes_per_shard))
    if not length:
      os.remove(path)
      break
    lengths.append(length)
    written.append(path)
  for i, path in enumerate(written):
    os.rename(path, shard_path(directory, name, i, len(written)))
  return lengths


def finish(directory, *, name, features, shard_lengths, card, environment=None):
  """Makes a dataset of files of episodes.

  Args:
    directory: holds the files `shard_path(directory, name, 0 ..)`.
    name: of the dataset.
    features: as `features` returns them.
    shard_lengths: number of episodes in each file.
    card: JSON-able dict for the dataset card.
    environment: `environment_file.Environment` of the data; its canonical form is written. None
      for data of an environment that is known by its name.
  """
  paths = [shard_path(directory, name, i, len(shard_lengths)) for i in range(len(shard_lengths))]
  # Before the manifest, without which a directory does not open.
  atomic_files.write_json(os.path.join(directory, rlds.CARD), card, indent=2)
  if environment is not None:
    environment_file.write(os.path.join(directory, environment_file.FILE), environment.canonical())
  info = tfds.core.DatasetInfo(
      builder=tfds.core.dataset_info.DatasetIdentity(
          name=file_name(name), version=tfds.core.Version(VERSION), data_dir=os.fspath(directory),
          module_name=''),
      features=features)
  info.set_file_format('array_record', override=True)
  template = tfds.core.ShardedFileTemplate(
      data_dir=os.fspath(directory), dataset_name=file_name(name), filetype_suffix='array_record')
  info.set_splits(tfds.core.SplitDict([tfds.core.SplitInfo(
      name=SPLIT, shard_lengths=list(shard_lengths),
      num_bytes=sum(os.path.getsize(path) for path in paths), filename_template=template)]))
  info.write_to_directory(directory)


def write(directory, *, name, environment, episodes, card, extra_features=None,
          episodes_per_shard=EPISODES_PER_SHARD, progress=None, consume=False):
  """Writes a dataset; it appears under its name only when it is whole.

  One episode at a time is in memory.

  Args:
    directory: where to; must not exist, or be empty.
    name: of the dataset, on its card, too; begins with a letter.
    environment: `environment_file.Environment` of the episodes.
    episodes: iterator of dicts as `steps` returns them, with the extra fields.
    card: JSON-able dict for the dataset card; or a function that returns it, called after the last
      episode.
    extra_features: as of `features`.
    episodes_per_shard: episodes in a file.
    progress: called with the number of episodes written after each of them, or None.
    consume: as of `serialize`.

  Returns:
    The dataset card, a dict: `card` with name, num_episodes, num_transitions, num_labelled (the
    transitions whose action, or any part of it, is known), num_labelled_by_part (if there are
    parts), mean_length (in transitions) and mean_return (unclipped; None without rewards).

  Raises:
    ValueError: if there are no episodes, one does not fit the environment (an action that it does
      not have is named with its step), or `directory` already holds something.
  """
  if not re.match('[A-Za-z]', name):
    raise ValueError(f'name is {name!r}; expected it to begin with a letter.')
  described, space = features(environment, extra_features), environment.canonical().spec().actions
  totals = {'num_episodes': 0, 'num_transitions': 0, 'num_labelled': 0}
  sum_of_returns, by_part = 0., collections.Counter()

  def serialized():
    nonlocal sum_of_returns
    for episode in episodes:
      actions, is_known = (action_fields.each(lambda values: values[:-1], episode[name])
                           for name in ('action', rlds.LABELLED))
      if problem := space.check(actions, is_known, name=environment.name):
        raise ValueError(f'{directory}: episode {totals["num_episodes"]}: {problem}. Correct the '
                         'environment file, or the data.')
      yield serialize(described, episode, consume=consume)
      totals['num_episodes'] += 1
      totals['num_transitions'] += len(episode['reward']) - 1
      totals['num_labelled'] += int(np.sum(action_fields.any_known(is_known)))
      if isinstance(is_known, dict):
        by_part.update({part: int(np.sum(known)) for part, known in is_known.items()})
      sum_of_returns += float(np.sum(episode['reward'], dtype=np.float64))
      if progress is not None:
        progress(totals['num_episodes'])

  with atomic_files.new_directory(directory) as staging:
    content = os.path.join(staging, 'content')
    shard_lengths = write_shards(content, name, serialized(), episodes_per_shard)
    if not shard_lengths:
      raise ValueError(f'{directory}: there are no episodes to write; expected at least one.')
    num_episodes = totals['num_episodes']
    card = (card() if callable(card) else card) | totals | {
        'name': name,
        'mean_length': totals['num_transitions'] / num_episodes,
        'mean_return': sum_of_returns / num_episodes if environment.reward else None,
        **({'num_labelled_by_part': dict(by_part)} if by_part else {}),
    }
    finish(content, name=name, features=described, shard_lengths=shard_lengths, card=card,
           environment=environment)
  return card


def _encode(name, feature, values):
  """Encodes the L values of a step field as TFDS stores them."""
  if isinstance(feature, tfds.features.Image):
    return [_encode_image(value, feature) for value in values]
  values = np.asarray(values)
  if values.shape[1:] != feature.shape or not np.can_cast(values.dtype, feature.np_dtype,
                                                          'same_kind'):
    raise ValueError(f'{name} of an episode is {values.dtype} {list(values.shape)}; expected '
                     f'{np.dtype(feature.np_dtype)} {["steps", *feature.shape]}.')
  values = values.astype(feature.np_dtype)
  if feature.get_serialized_info().np_dtype == np.object_:  # Compressed bytes.
    return [feature.encode_example(value) for value in values]
  return values


def _encode_image(value, feature):
  encoded = value if isinstance(value, bytes) else png.encode(np.asarray(value))
  if png.shape(encoded) != feature.shape:
    raise ValueError(f'an image is {png.shape(encoded) or "no PNG"}; expected {feature.shape}, 8 '
                     'bit.')
  return encoded
