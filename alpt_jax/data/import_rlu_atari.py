"""Brings published RL Unplugged Atari data into array_record files, which training reads.

TFDS publishes and prepares TFRecord files, which are read from the front only. MEASURED
"""

import os
import re

import tensorflow_datasets as tfds
from etils import epath

from alpt_jax.data import record, rlu_atari


def convert(game, data_dir, from_dir, *, dataset='rlu_atari_checkpoints_ordered', run=1,
            progress=None):
  """Copies a prepared dataset from TFRecord to array_record files, under the same name.

  Args:
    game: e.g. 'Breakout'.
    data_dir: root of the copies, on a local disk.
    from_dir: root of the datasets to copy, as TFDS's data_dir; local or gs://.
    dataset: a key of `rlu_atari.VERSIONS`.
    run: one of `rlu_atari.RUNS`.
    progress: called with the number of episodes copied, or None.

  Raises:
    FileNotFoundError: if there is no such dataset in `from_dir`.
    ValueError: if it is damaged, or there is one in `data_dir` already.
  """
  record.convert_to_array_record(
      rlu_atari.dataset_directory(from_dir, dataset, game, run),
      rlu_atari.dataset_directory(data_dir, dataset, game, run), progress=progress)


def num_episodes(game, from_dir, *, dataset, run):
  """Returns the number of episodes that `convert` copies."""
  source = rlu_atari.dataset_directory(from_dir, dataset, game, run)
  return sum(split.num_examples
             for split in tfds.builder_from_directory(source).info.splits.values())


def prepare(game, data_dir, from_dir, *, run=1, progress=None):
  """Runs TFDS's own preparation of `rlu_atari_checkpoints_ordered` into array_record files.

  Args:
    game: e.g. 'Breakout'.
    data_dir: root of the prepared datasets.
    from_dir: directory with the published files `{game}/run_{run}-00000-of-00050` ..; '' for the
      place where TFDS downloads them from.
    run: one of `rlu_atari.RUNS`.
    progress: called with the number of files prepared, or None.

  Raises:
    FileNotFoundError: if files are missing in `from_dir`.
    ValueError: if there is a dataset in `data_dir` already.
  """
  directory = rlu_atari.dataset_directory(data_dir, 'rlu_atari_checkpoints_ordered', game, run)
  if os.path.lexists(directory):
    raise ValueError(f'{directory}: already exists and is not overwritten. Delete it, or choose '
                     'another data_dir.')
  builder = _builder(game, data_dir, from_dir, run)
  num_prepared = 0
  generate = builder.generate_examples_one_file

  def generate_and_count(path):
    nonlocal num_prepared
    yield from generate(path)
    num_prepared += 1
    if progress is not None:
      progress(num_prepared)

  builder.generate_examples_one_file = generate_and_count
  tfds.disable_progress_bar()
  builder.download_and_prepare()


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
