"""Collects an experiment's Atari data into `data_dir`, several games side by side.

What `experiments.collect` runs for Atari configs. `collect.origin` says where data comes from:
  play     a behaviour plays the games; see alpt_jax/domains/atari/record.py.
  convert  datasets of RL Unplugged that TFDS has prepared are copied from `collect.from_dir`.
  prepare  TFDS prepares the files that RL Unplugged published, of `collect.from_dir` or, if that is
           '', downloaded.
"""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from concurrent.futures import process
from multiprocessing import resource_tracker

import cv2
import ml_collections
import tensorflow_datasets as tfds

from alpt_jax import progress as progress_
from alpt_jax.data import rlds
from alpt_jax.domains.atari import rlu
from alpt_jax.files import disk_space

_VERBS = {'play': 'recording', 'convert': 'converting', 'prepare': 'preparing'}
_POLL_SECONDS = .5
_BYTES_PER_STEP = 1500  # Of a game with much on its screen.


def main(config, games):
  """Brings in what is missing.

  Args:
    config: with `dataset`, `runs`, `data_dir`, `allow_damaged` and `collect`.
    games: names of the games.
  """
  _check_config(config)
  missing = []
  for game in games:
    for run in config.runs:
      directory = rlu.dataset_directory(config.data_dir, config.dataset, game, run)
      if os.path.isdir(directory) and os.listdir(directory):
        _check_found(directory, game, run, config)
        _print('found', directory, game, run)
      else:
        _check_source(game, run, config)
        missing.append((game, run))
  if missing:
    _check_disk(missing, config)
    _collect(missing, config)


def _check_disk(jobs, config):
  """Says what is going to be written, where it is known before: not of what is downloaded."""
  if config.collect.origin == 'play':
    num_bytes = len(jobs) * config.collect.num_steps * _BYTES_PER_STEP
  elif config.collect.origin == 'convert':
    sources = [rlu.dataset_directory(config.collect.from_dir, config.dataset, game, run)
               for game, run in jobs]
    num_bytes = sum(os.path.getsize(os.path.join(source, name)) for source in sources
                    for name in (os.listdir(source) if os.path.isdir(source) else ()))
  else:
    num_bytes = 0
  if not num_bytes:
    return
  verb = _VERBS[config.collect.origin]
  print(disk_space.check(config.data_dir, num_bytes, what=f'{verb} {len(jobs)} datasets'),
        flush=True)


def _check_config(config):
  origin = config.collect.origin
  if origin not in _VERBS:
    raise ValueError(f'collect.origin is {origin!r}; expected one of {sorted(_VERBS)}.')
  if origin == 'convert' and not config.collect.from_dir:
    raise ValueError('collect.from_dir is empty; expected the data_dir of the datasets to convert.')
  if origin == 'prepare' and config.dataset != 'rlu_atari_checkpoints_ordered':
    raise ValueError(f'collect.origin is prepare and dataset {config.dataset}: TFDS prepares only '
                     'rlu_atari_checkpoints_ordered without Apache Beam. Choose that one.')
  if origin == 'play':
    _settings(config)


def _settings(config):
  from alpt_jax.domains.atari import record  # The emulator, which converting does not need.

  return record.Settings(
      **{key: value for key, value in config.collect.items() if key not in ('origin', 'from_dir')})


def _check_source(game, run, config):
  """Refuses what is known to be damaged before it is copied."""
  if config.collect.origin != 'play':
    rlu.check_run(game, run, allow_damaged=config.allow_damaged)
  if config.collect.origin == 'convert':
    source = rlu.dataset_directory(config.collect.from_dir, config.dataset, game, run)
    rlu.check_dataset(source, game, run, allow_damaged=config.allow_damaged)


def _check_found(directory, game, run, config):
  """Refuses data of another game, with other settings, or with missing files."""
  remedy = f'Choose another data_dir, or delete {directory}.'
  try:
    rlu.check_dataset(directory, game, run, allow_damaged=config.allow_damaged)
    card = rlds.read_card(directory)
    if card is not None:
      rlds.dataset_digest(directory)  # Notices files that are cut short.
  except (ValueError, FileNotFoundError) as error:
    raise ValueError(f'{error} To collect it again, delete {directory} first.') from error
  if config.collect.origin != 'play':
    if card is not None:
      raise ValueError(f'{directory}: was recorded here (it has {rlds.CARD}), and collect.origin '
                       f'is {config.collect.origin}. {remedy}')
    rlds.open_builder(directory)  # In a format that training reads.
    return
  if card is None:
    raise ValueError(f'{directory}: has no {rlds.CARD}: it was not recorded here, and '
                     f'collect.origin is play. {remedy}')
  for key, value in vars(_settings(config).of_game(game)).items():
    found = card['metadata'].get(key)
    if found != value:
      raise ValueError(f'{directory}: was recorded with {key} {found}, the config has '
                       f'collect.{key} {value}. {remedy}')


def _collect(jobs, config):
  """Runs a process per game and run, as many at a time as there are cores."""
  context = multiprocessing.get_context('spawn')  # A fork of a process with threads may hang.
  counts, is_stopping = context.RawArray('q', len(jobs)), context.RawValue('b', 0)
  totals = [_total(game, run, config) for game, run in jobs]
  num_workers = min(len(jobs), len(os.sched_getaffinity(0)))
  with (progress_.Progress(sum(totals), label=_VERBS[config.collect.origin]) as progress,
        concurrent.futures.ProcessPoolExecutor(
            num_workers, context, _start_worker, (counts, is_stopping)) as pool):
    try:
      with _held_back(signal.SIGINT):  # Inherited: we tell the workers when to stop.
        futures = {pool.submit(_work, i, game, run, config.to_dict()): i
                   for i, (game, run) in enumerate(jobs)}
      _wait(futures, jobs, counts, totals, progress)
    except BaseException:
      is_stopping.value = 1
      pool.shutdown(cancel_futures=True)
      raise
  for game, run in jobs:
    directory = rlu.dataset_directory(config.data_dir, config.dataset, game, run)
    _print('collected', directory, game, run)


def _wait(futures, jobs, counts, totals, progress):
  """Waits for all jobs, showing how far they are; raises the first error."""
  pending, shown = set(futures), 0
  while pending:
    done, pending = concurrent.futures.wait(pending, timeout=_POLL_SECONDS)
    for future in done:
      game, run = jobs[futures[future]]
      try:
        future.result()
      except process.BrokenProcessPool as error:
        raise OSError(f'{game}, run {run}: the process was killed, perhaps for want of memory. Run '
                      'the command again.') from error
      except (ValueError, OSError) as error:
        raise ValueError(f'{game}, run {run}: {error}') from error
    if sum(counts) > shown:  # Before that, there is no speed to estimate the rest from.
      shown = sum(counts)
      running = [f'{jobs[i][0]} {100 * counts[i] // totals[i]}%'
                 for i in sorted(futures[f] for f in pending) if counts[i]]
      progress.update(shown, finished=f'{len(jobs) - len(pending)}/{len(jobs)}',
                      running=', '.join(running) or 'none')


@contextlib.contextmanager
def _held_back(number):
  """Holds a signal back until the end of the block, and for ever in processes started in it."""
  resource_tracker.ensure_running()  # Whose start would let it through.
  previous = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _total(game, run, config):
  """Returns how far a job's count will go."""
  if config.collect.origin == 'play':
    return config.collect.num_steps
  from alpt_jax.domains.atari import convert  # TensorFlow.

  if config.collect.origin == 'convert':
    return convert.num_episodes(game, config.collect.from_dir, dataset=config.dataset,
                                run=run)
  return convert.num_files(game, config.collect.from_dir, run=run)


def _start_worker(counts, is_stopping):
  global _report  # Shared memory reaches a worker through its initializer only.
  cv2.setNumThreads(1)  # A core is a game's.
  threading.Thread(target=_end_with_parent, daemon=True).start()

  def report(index, count):
    counts[index] = count
    if is_stopping.value:
      raise KeyboardInterrupt  # What is half written goes.

  _report = report


def _end_with_parent():
  multiprocessing.parent_process().join()
  os._exit(1)


def _work(index, game, run, config):
  """Brings in one dataset, in a process of its own."""
  config = ml_collections.ConfigDict(config)
  progress = functools.partial(_report, index)
  if config.collect.origin == 'play':
    from alpt_jax.domains.atari import record

    record.record_game(game, config.data_dir, _settings(config), dataset=config.dataset,
                       run=run, progress=progress)
    return
  from alpt_jax.domains.atari import convert

  from_dir = config.collect.from_dir
  if config.collect.origin == 'convert':
    convert.convert(game, config.data_dir, from_dir, dataset=config.dataset, run=run,
                    progress=progress)
  else:
    convert.prepare(game, config.data_dir, from_dir, run=run, progress=progress)


def _print(verb, directory, game, run):
  card = rlds.read_card(directory)
  if card is None:
    info = tfds.builder_from_directory(directory).info
    num_episodes = sum(split.num_examples for split in info.splits.values())
    print(f'{verb} {game} run {run}: {num_episodes} episodes in {len(info.splits)} splits',
          flush=True)
    return
  first, last = card['checkpoints'][0], card['checkpoints'][-1]
  print(f"{verb} {game} run {run}: {card['num_episodes']} episodes, {card['num_transitions']} "
        f"transitions, {card['metadata']['behaviour']}, mean score {first['mean_score']:.4g} in "
        f"checkpoint 0, {last['mean_score']:.4g} in checkpoint {len(card['checkpoints']) - 1}",
        flush=True)
