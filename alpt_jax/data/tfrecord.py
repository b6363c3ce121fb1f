"""Copies TFDS datasets from TFRecord files, which only TensorFlow reads, to array_record files.

TFRecord files are read from the front only. The records are the same bytes in array_record files,
so they are copied over once and training reads them by random access without TensorFlow.
"""

import json
import os

# TensorFlow greets with the features of the CPU.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from alpt_jax.data import record_file
from alpt_jax.files import atomic_files

_READ_BYTES = 8 << 20


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


def copy_as_array_record(source, directory, *, progress=None):
  """Copies as `convert_to_array_record`, into a directory that is there.

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
      num_records = 0
      try:
        with record_file.RecordFile(os.path.join(directory, target)) as file:
          for record in _records(path):
            file.write(record)
            num_records += 1
            if progress is not None:
              progress(num_copied + num_records)
      except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise ValueError(f'{path}: missing or damaged ({str(error).splitlines()[0]}). Copy or '
                         'record the dataset again.') from error
      if num_records != length:  # TensorFlow ends silently in a file that is cut between records.
        raise ValueError(f'{path}: holds {num_records} episodes; dataset_info.json says {length}. '
                         'The file is cut short: copy or record the dataset again.')
      num_copied += num_records
  for path in sorted(source.iterdir()):
    # The names of a ClassLabel are in a file of their own.
    if path.name != 'dataset_info.json' and path.name.endswith(('.json', '.labels.txt')):
      path.copy(os.path.join(directory, path.name))
  info = json.loads((source / 'dataset_info.json').read_text())
  info['fileFormat'] = 'array_record'
  for split in info.get('splits', ()):
    split['filepathTemplate'] = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'
  atomic_files.write_json(os.path.join(directory, 'dataset_info.json'), info, indent=2)


def _records(path):
  """Yields the records of a TFRecord file; reads ahead, for files that are far away."""
  return tf.data.TFRecordDataset(os.fspath(path), buffer_size=_READ_BYTES).as_numpy_iterator()
