"""Assembles the batches of a run from episodes, prefetched in threads.

A run reads several streams: for each of the update's three parts, one per environment. Every stream
has its own sampler, so its batches do not depend on which other streams there are.
"""

import collections
import time
from concurrent import futures
from typing import Any, NamedTuple

import jax
import numpy as np

from alpt_jax import types
from alpt_jax.data import sampling

PARTS = types.Batches._fields


class Stream(NamedTuple):
  """The windows of one environment for one part of the update.

  Attributes:
    part: which batch the windows are for: 'idm', 'dt', 'limited' or 'q'.
    episodes: the data, hidden actions already removed; anything with `cut`, see `episodes`.
    segments: what windows are cut from.
    environment: index into the run's EnvironmentSpecs.
    rows: windows in the global batch of a step.
    data: one of the names in `methods`, for messages.
  """
  part: str
  episodes: Any
  segments: sampling.Segments
  environment: int
  rows: int
  data: str = ''


def gather(stream_episodes, windows, window, environment):
  """Reads windows out of the episodes.

  Args:
    stream_episodes: `episodes.Episodes`, or anything else with its `cut`.
    windows: sampling.Windows, b of them.
    window: T, transitions in a window.
    environment: index into the run's EnvironmentSpecs.

  Returns:
    types.Batch of numpy arrays with B = b. Past the end of an episode the last observation is
    repeated, and actions and rewards are 0.
  """
  cut = stream_episodes.cut(windows.episode, windows.start, window)
  return types.Batch(
      observations=cut.observations, actions=cut.actions, is_labelled=cut.is_labelled,
      is_valid=windows.is_valid, rewards=cut.rewards, returns_to_go=cut.returns_to_go,
      environment=np.full(len(windows.episode), environment, np.int32),
      is_terminal=cut.is_terminal)


class Pipeline:
  """Iterator over the `types.Batches` of step `start_step`, `start_step + 1`, and so on.

  Each host makes its share of the global batch. The rows of a part are ordered by virtual shard and
  then by stream, so the hosts' shares in their order are the batch of a single host.
  """

  def __init__(self, streams, *, window, seed, num_shards, pool_size, start_step, host=0,
               num_hosts=1, prefetch=2, num_threads=1):
    """Starts a thread that makes batches ahead.

    Args:
      streams: list of `Stream`, at most one for each part and environment.
      window: T, transitions in a window.
      seed: int >= 0.
      num_shards: virtual shards; divides the rows of every stream. It and `pool_size` are part of
        what decides the batches, the number of hosts is not.
      pool_size: windows of a shard that are mixed with each other.
      start_step: step of the first batch.
      host: index of this host.
      num_hosts: number of hosts; divides `num_shards`.
      prefetch: batches made ahead, at least 1.
      num_threads: that read streams side by side; pays where images are decoded.

    Raises:
      ValueError: if a number does not fit the data; the message names the stream.
    """
    names = [(s.part, s.environment) for s in streams]
    for stream, name in zip(streams, names, strict=True):
      if stream.part not in PARTS:
        raise ValueError(f'part is {stream.part!r}; expected one of {PARTS}.')
      if names.count(name) > 1:
        raise ValueError(f'There are {names.count(name)} streams for part {stream.part!r} of '
                         f'environment {stream.environment}; expected one. Join their data.')
    if not streams:
      raise ValueError('There are no streams; expected at least one. Check the method and data.')
    if prefetch < 1:
      raise ValueError(f'prefetch is {prefetch}; expected at least 1.')
    self._streams = list(streams)
    self._sampling = dict(window=window, num_shards=num_shards, pool_size=pool_size)
    self._seed = seed
    self._host = host
    self._num_hosts = num_hosts
    self._samplers = self._make_samplers()
    self._windows(self._samplers, start_step)  # Raises errors here, not in the thread.
    self._next_step = start_step
    self._wait_seconds = 0.
    self._worker = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix='batches')
    self._readers = futures.ThreadPoolExecutor(num_threads, thread_name_prefix='windows')
    self._pending = collections.deque()
    for _ in range(prefetch):
      self._submit()

  @property
  def wait_seconds(self):
    """Seconds that `__next__` has waited for batches so far."""
    return self._wait_seconds

  def __iter__(self):
    return self

  def __next__(self):
    if not self._pending:
      raise StopIteration
    begin = time.perf_counter()
    try:
      batches = self._pending[0].result()
    finally:
      self._wait_seconds += time.perf_counter() - begin
    # Only now: a batch that failed stays in front, so that asking again fails again.
    self._pending.popleft()
    self._submit()
    return batches

  def close(self):
    """Stops the thread. The iterator is at its end."""
    self._pending.clear()
    self._worker.shutdown(wait=True, cancel_futures=True)
    self._readers.shutdown(wait=True, cancel_futures=True)

  def describe(self, step):
    """Names the windows of this host's share of a batch, e.g. of one whose loss is not finite.

    Args:
      step: int >= 0.

    Returns:
      {part: [{'environment', 'episode', 'start'} of row 0, of row 1, ..]}, for parts with streams.
    """
    result = {}
    # Samplers of its own: the thread uses the others.
    for part, group in self._windows(self._make_samplers(), step).items():
      fields = _interleave([
          np.stack([np.full_like(w.episode, s.environment), w.episode, w.start], axis=1)
          for s, w in group], self._num_local_shards)
      result[part] = [dict(zip(('environment', 'episode', 'start'), row, strict=True))
                      for row in fields.tolist()]
    return result

  @property
  def _num_local_shards(self):
    return self._sampling['num_shards'] // self._num_hosts

  def _make_samplers(self):
    samplers = []
    for stream in self._streams:
      # The order of the streams and the presence of others do not matter to a stream.
      seed = np.random.SeedSequence(
          self._seed, spawn_key=(PARTS.index(stream.part), stream.environment))
      try:
        samplers.append(sampling.WindowSampler(
            stream.segments, rows=stream.rows, seed=int(seed.generate_state(1, np.uint64)[0]),
            **self._sampling))
      except ValueError as error:
        raise ValueError(f'Stream {stream.part!r} of environment {stream.environment}: '
                         f'{error}') from error
    return samplers

  def _windows(self, samplers, step):
    """{part: [(stream, its windows)]} of this host at a step."""
    result = {}
    for stream, sampler in zip(self._streams, samplers, strict=True):
      windows = sampler.windows(step, self._host, self._num_hosts)
      result.setdefault(stream.part, []).append((stream, windows))
    return result

  def _submit(self):
    self._pending.append(self._worker.submit(self._make, self._next_step))
    self._next_step += 1

  def _make(self, step):
    parts = dict.fromkeys(PARTS)
    reading = {
        part: [self._readers.submit(gather, s.episodes, w, self._sampling['window'], s.environment)
               for s, w in group]
        for part, group in self._windows(self._samplers, step).items()}
    for part, group in reading.items():
      batches = [future.result() for future in group]
      parts[part] = jax.tree.map(
          lambda *fields: _interleave(fields, self._num_local_shards), *batches)
    return types.Batches(**parts)


def _interleave(arrays, num_shards):
  """Joins the rows of several streams, shard by shard.

  Args:
    arrays: list of [b_i, ...], each with equally many rows of every shard, shard by shard.
    num_shards: shards in each array.

  Returns:
    [sum of b_i, ...]: shard 0's rows of every array, then shard 1's.
  """
  if len(arrays) == 1:
    return arrays[0]
  by_shard = [a.reshape(num_shards, len(a) // num_shards, *a.shape[1:]) for a in arrays]
  joined = np.concatenate(by_shard, axis=1)
  return joined.reshape(-1, *joined.shape[2:])
