"""Converts published RL Unplugged Atari data to array_record files, which training reads.

TFDS publishes and prepares TFRecord files. They are copied once instead of being read in place: on
one core and 51,000 steps of Breakout (24 MB), copying takes 29 MB/s (60,000 steps/s), after which
all windows of six frames of randomly visited episodes come at 5,900 windows/s. tf.data with
SkipDecoding gives 1,800 windows/s (3,500 if it takes 16 at a time from an episode), mixes only what
stands side by side in the files, and begins at the front again wherever a run resumes; decoding
whole episodes, it gives 9.
"""

import os
import re

# TensorFlow greets with the features of the CPU.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from alpt_jax.data import tfrecord
from alpt_jax.domains.atari import rlu


def convert(game, data_dir, from_dir, *, dataset='rlu_atari_checkpoints_ordered', run=1,
            progress=None):
  """Copies a prepared dataset from TFRecord to array_record files, under the same name.

  Args:
    game: e.g. 'Breakout'.
    data_dir: root of the copies, on a local disk.
    from_dir: root of the datasets to copy, as TFDS's data_dir; local or gs://.
    dataset: a key of `rlu.VERSIONS`.
    run: one of `rlu.RUNS`.
    progress: called with the number of episodes copied, or None.

  Raises:
    FileNotFoundError: if there is no such dataset in `from_dir`.
    ValueError: if it is damaged, or there is one in `data_dir` already.
  """
  tfrecord.convert_to_array_record(
      rlu.dataset_directory(from_dir, dataset, game, run),
      rlu.dataset_directory(data_dir, dataset, game, run), progress=progress)


def num_episodes(game, from_dir, *, dataset, run):
  """Returns the number of episodes that `convert` copies."""
  source = rlu.dataset_directory(from_dir, dataset, game, run)
  return sum(split.num_examples
             for split in tfds.builder_from_directory(source).info.splits.values())


def prepare(game, data_dir, from_dir, *, run=1, progress=None):
  """Runs TFDS's own preparation of `rlu_atari_checkpoints_ordered` into array_record files.

  Args:
    game: e.g. 'Breakout'.
    data_dir: root of the prepared datasets.
    from_dir: directory with the published files `{game}/run_{run}-00000-of-00050` ..; '' for the
      place where TFDS downloads them from.
    run: one of `rlu.RUNS`.
    progress: called with the number of files prepared, after every episode, or None.

  Raises:
    FileNotFoundError: if files are missing in `from_dir`.
    OSError: if files are damaged, or there is no way to them.
    ValueError: if there is a dataset in `data_dir` already.
  """
  directory = rlu.dataset_directory(data_dir, 'rlu_atari_checkpoints_ordered', game, run)
  if os.path.lexists(directory):
    raise ValueError(f'{directory}: already exists and is not overwritten. Delete it, or choose '
                     'another data_dir.')
  builder = _builder(game, data_dir, from_dir, run)
  num_prepared = 0
  generate = builder.generate_examples_one_file

  def generate_and_count(path):
    nonlocal num_prepared
    for example in generate(path):
      yield example
      if progress is not None:
        progress(num_prepared)
    num_prepared += 1
    if progress is not None:
      progress(num_prepared)

  builder.generate_examples_one_file = generate_and_count
  tfds.disable_progress_bar()
  try:
    builder.download_and_prepare()
  except tf.errors.OpError as error:
    reason = re.sub(r'^{{.*?}} *', '', error.message.splitlines()[0])  # The node of the graph.
    raise OSError(f'{builder.get_file_prefix()}: cannot be read ({reason}). Download the files '
                  'again, and name their directory in from_dir.') from error


def num_files(game, from_dir, *, run):
  """Returns the number of files that `prepare` reads."""
  return _builder(game, None, from_dir, run).num_shards()


def _builder(game, data_dir, from_dir, run):
  """Makes the official builder, which reads `from_dir`."""
  builder = tfds.builder(f'rlu_atari_checkpoints_ordered/{game}_run_{run}', data_dir=data_dir,
                         file_format='array_record')
  if from_dir:
    # The two attributes that TFDS's own tests set.
    builder._INPUT_FILE_PREFIX = from_dir
    builder._SHARDS = 0
    builder._SHARDS = _num_published(from_dir, game, run) - builder.num_shards()
  return builder


def _num_published(from_dir, game, run):
  """Reads the number of files from their names; checks that they are all there."""
  directory = epath.Path(from_dir) / game
  found = {}
  if directory.exists():
    for path in directory.iterdir():
      if match := re.fullmatch(rf'run_{run}-(\d{{5}})-of-(\d{{5}})', path.name):
        found[int(match[1])] = int(match[2])
  if len(set(found.values())) != 1:
    raise FileNotFoundError(f'{directory}: expected files run_{run}-00000-of-00050 .., of one '
                            f'number; found {len(found)} of numbers {sorted(set(found.values()))}. '
                            'Download them, or correct from_dir.')
  total = next(iter(found.values()))
  if missing := [f'run_{run}-{i:05d}-of-{total:05d}' for i in range(total) if i not in found]:
    raise FileNotFoundError(f'{directory}: {len(missing)} files are missing: '
                            f'{", ".join(missing[:5])}{", .." if len(missing) > 5 else ""}. '
                            'Download them.')
  return total
