"""Measures how fast windows are read from Atari data, in its own process; see `benchmark`.

python -m experiments.loading --config=experiments/configs/atari.py:desk --copies=4

Prints one JSON object: windows and seconds, when the first batch was there, and the most memory
that the process has had. `--naive` reads the same data, copied to TFRecord files before the clock
starts, as a newcomer to RLDS would: TFDS decodes whole episodes, `rlds.transformations.batch` cuts
all windows, `shuffle` mixes them.
"""

import atexit
import contextlib
import json
import os
import resource
import shutil
import tempfile
import time

import numpy as np
from absl import flags

from alpt_jax import cli

_COPIES = flags.DEFINE_integer('copies', 1, 'Reads that many copies of the data, made before the '
                               'clock starts.', lower_bound=1)
_NAIVE = flags.DEFINE_bool('naive', False, 'Read with tf.data and rlds instead.')
_SECONDS = flags.DEFINE_float('seconds', 10., 'How long to read.', lower_bound=.1)
_BATCH = 256
_SHUFFLE = 5000  # Windows, of the naive pipeline.


def read(config):
  """Yields None, when the clock starts, then the number of windows of each batch."""
  from alpt_jax import domains
  from alpt_jax.data import episode_files, pipeline, sampling
  from alpt_jax.domains import base

  domain = domains.of(config)
  names = (config.target, *config.sources)
  directories = {name: _copies(config, domain.directories(name)) for name in names}
  yield None
  rows = _BATCH // len(names) // config.sampling.num_shards * config.sampling.num_shards
  streams = []
  for i, name in enumerate(names):
    data = episode_files.EpisodeFiles(directories[name], domain.spec(name))
    base.reserve(config, data)
    streams.append(pipeline.Stream(
        'dt', data, sampling.whole_episodes(data.num_transitions), i, rows))
  batches = pipeline.Pipeline(
      streams, window=config.window, seed=0, num_shards=config.sampling.num_shards,
      pool_size=config.sampling.pool_size, start_step=0,
      num_threads=config.sampling.num_threads)
  with contextlib.closing(batches):
    while True:
      yield len(next(batches).dt.actions)


def read_naively(config):
  """Reads as `read`, with the means that RLDS brings."""
  import rlds
  import tensorflow as tf
  import tensorflow_datasets as tfds

  from alpt_jax import domains

  directories, datasets = [], []
  copies = _temporary(config)
  for name in (config.target, *config.sources):
    for directory in _copies(config, domains.of(config).directories(name)):
      directories.append(os.path.join(copies, str(len(directories))))
      _copy_as_tfrecord(directory, directories[-1])  # What tf.data reads.
  yield None
  for directory in directories:
    episodes = tfds.builder_from_directory(directory).as_dataset(split='all')
    datasets.append(episodes.flat_map(lambda episode: rlds.transformations.batch(
        episode['steps'], size=config.window + 1, shift=1, drop_remainder=True)))
  windows = tf.data.Dataset.sample_from_datasets([d.repeat() for d in datasets], seed=0)
  windows = windows.shuffle(_SHUFFLE, seed=0).batch(_BATCH).prefetch(2)
  for batch in windows.as_numpy_iterator():
    yield len(batch['action'])


def _temporary(config):
  """A directory beside the data that goes away with the process."""
  path = tempfile.mkdtemp(dir=config.data_dir)
  atexit.register(shutil.rmtree, path, ignore_errors=True)
  return path


def _copies(config, directories):
  """The directories and as many copies of them as make `--copies` in all."""
  result = list(directories)
  for _ in range(1, _COPIES.value):
    for directory in directories:
      result.append(os.path.join(_temporary(config), 'copy'))
      shutil.copytree(directory, result[-1])
  return result


def _copy_as_tfrecord(directory, target):
  """Copies a dataset, record by record."""
  import tensorflow as tf
  import tensorflow_datasets as tfds

  os.makedirs(target)
  builder = tfds.builder_from_directory(directory)
  for split in builder.info.splits:
    path = os.path.join(target, f'{builder.name}-{split}.tfrecord-00000-of-00001')
    with tf.io.TFRecordWriter(path) as writer:
      for record in builder.as_data_source(
          split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES):
        writer.write(record)
  shutil.copy(os.path.join(directory, 'features.json'), target)
  with open(os.path.join(directory, 'dataset_info.json')) as f:
    info = json.load(f)
  info['fileFormat'] = 'tfrecord'
  for split in info['splits']:
    split['filepathTemplate'] = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'
    split['shardLengths'] = [str(sum(map(int, split['shardLengths'])))]
  with open(os.path.join(target, 'dataset_info.json'), 'w') as f:
    json.dump(info, f)


def _max_memory_bytes():
  """Most memory of this process; `ru_maxrss` would include that of the process that started it."""
  if not os.path.exists('/proc/self/status'):  # Not on macOS, where `ru_maxrss` is in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  with open('/proc/self/status') as f:
    return next(1024 * int(line.split()[1]) for line in f if line.startswith('VmHWM:'))


def main(config):
  """Reads for a while and prints what came."""
  batches = (read_naively if _NAIVE.value else read)(config)
  next(batches)
  begin = time.perf_counter()
  next(batches)
  first_seconds = time.perf_counter() - begin
  begin, num_windows, seconds = time.perf_counter(), 0, []
  while time.perf_counter() - begin < _SECONDS.value:
    before = time.perf_counter()
    num_windows += next(batches)
    seconds.append(time.perf_counter() - before)
  passed = time.perf_counter() - begin
  print(json.dumps({
      'windows_per_second': num_windows / passed, 'windows': num_windows,
      'first_batch_seconds': first_seconds,
      'longest_wait_seconds': float(np.max(seconds)),
      'max_memory_bytes': _max_memory_bytes(),
      'process_seconds': time.process_time()}), flush=True)
  batches.close()


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/atari.py')
