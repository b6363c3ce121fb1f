"""Writes RLDS datasets with any content, right or wrong, of the corridor's schema."""

import os

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import tfrecord


def episode(num_transitions):
  """A correct episode: walks right from cell 0, reward 1 at its end; fields [L] to be changed."""
  length = num_transitions + 1
  t = np.arange(length)
  return {
      'xy': np.stack([np.zeros(length), t], axis=1).astype(np.float32),
      'action': (t < num_transitions).astype(np.int64),
      'reward': (t == num_transitions - 1).astype(np.float32),
      'is_first': t == 0,
      'is_last': t == num_transitions,
  }


def write(directory, episodes, *, xy_shape=(2,), action_dtype=np.int64, observation='xy',
          episodes_per_file=1000, file_format='array_record', without=()):
  """Writes a dataset.

  Args:
    directory: where to; must not exist.
    episodes: list of dicts as `episode` returns them.
    xy_shape: declared shape of the observation.
    action_dtype: declared dtype of the actions.
    observation: key of the observation; '' for a single array.
    episodes_per_file: episodes in a file.
    file_format: 'array_record' or 'tfrecord'.
    without: step fields to leave out.
  """
  directory = str(directory)
  tensor = tfds.features.Tensor(shape=xy_shape, dtype=np.float32)
  steps = {
      'observation': tfds.features.FeaturesDict({observation: tensor}) if observation else tensor,
      'action': tfds.features.Scalar(action_dtype), 'reward': tfds.features.Scalar(np.float32),
      'is_first': tfds.features.Scalar(np.bool_), 'is_last': tfds.features.Scalar(np.bool_)}
  steps = {name: feature for name, feature in steps.items() if name not in without}
  written = directory + '.tfrecord' if file_format == 'array_record' else directory
  os.makedirs(written)
  info = tfds.core.DatasetInfo(
      builder=tfds.core.dataset_info.DatasetIdentity(
          name='handmade', version=tfds.core.Version('1.0.0'), data_dir=written, module_name=''),
      features=tfds.features.FeaturesDict({'steps': tfds.features.Dataset(steps)}))
  writer = tfds.core.SequentialWriter(info, episodes_per_file)
  writer.initialize_splits(['train'])
  for fields in episodes:
    rows = []
    for t in range(len(fields['xy'])):
      row = {name: values[t] for name, values in fields.items() if name != 'xy'}
      row['observation'] = {observation: fields['xy'][t]} if observation else fields['xy'][t]
      rows.append({name: row[name] for name in steps})
    writer.add_examples({'train': [{'steps': rows}]})
  writer.close_all()
  if file_format == 'array_record':
    tfrecord.convert_to_array_record(written, directory)
