"""Samples the windows of a step's batch: a pure function of (seed, step).

There is no iterator state. A run that resumes at step s asks for the batch of step s, and gets the
one that an unbroken run would have had, whatever was asked before.

The windows are dealt to V virtual shards, whose number does not depend on the machine. Each owns
fixed segments (episodes, or the labelled windows of a dataset) and goes through them epoch after
epoch: it visits the segments in a new order, cuts each into windows at a new offset, so that every
transition is seen at every place in a window, and mixes the windows inside pools. A transition
counts exactly once in an epoch of its shard. The batch of a step is the next rows of shard 0, then
of shard 1, and so on. A host serves a contiguous run of the shards, so the hosts' parts in their
order are the batch that one host alone would have made, and no episode is read by two hosts.

The random streams are those of numpy's Philox generator; another numpy version may change them.
"""

import bisect
import functools
from typing import NamedTuple

import numpy as np

# Epochs are made in blocks of about that many windows: the labelled windows of a shard can be so
# few that a batch needs several epochs.
_WINDOWS_PER_BLOCK = 4096
# And the epochs of large data in several: memory must not grow with the data.
_MAX_WINDOWS_PER_BLOCK = 1 << 16
# What a random stream is for.
_DEAL, _OFFSETS, _ORDER = range(3)


class Segments(NamedTuple):
  """Runs of transitions that windows are cut from.

  Attributes:
    episode: [S] int64.
    start: [S] int64; first transition of the segment in its episode.
    num_transitions: [S] int64; at least 1.
  """
  episode: np.ndarray
  start: np.ndarray
  num_transitions: np.ndarray


class Windows(NamedTuple):
  """Windows of T transitions.

  Attributes:
    episode: [b] int64.
    start: [b] int64; first transition of the window in its episode.
    is_valid: [b, T] bool; the transition counts in this window. False past the end of a segment
      shorter than T, and where the window overlaps a neighbour in which the transition counts.
  """
  episode: np.ndarray
  start: np.ndarray
  is_valid: np.ndarray


def whole_episodes(num_transitions):
  """Makes every episode a segment.

  Args:
    num_transitions: [E] int; lengths of the episodes.

  Returns:
    `Segments`, E of them.
  """
  num_transitions = np.asarray(num_transitions, np.int64)
  return Segments(np.arange(len(num_transitions)), np.zeros_like(num_transitions), num_transitions)


def labelled_windows(windows, window):
  """Makes every labelled window a segment.

  Args:
    windows: [M, 2] int; episode and first transition, as `labels.choose_windows` returns.
    window: transitions in a window.

  Returns:
    `Segments`, M of them.
  """
  episode, start = np.asarray(windows, np.int64).reshape(-1, 2).T
  return Segments(episode, start, np.full(len(episode), window, np.int64))


def windows_per_epoch(segments, window):
  """Counts the windows of an epoch, in which every transition counts once.

  A segment of L > T transitions, cut at a random offset, makes 1 + (L - 1) / T windows on average,
  of which the first and the last may be partial; a shorter one is one window.

  Args:
    segments: `Segments`.
    window: T, transitions in a window.

  Returns:
    float; the expected number.
  """
  length = segments.num_transitions
  return float(np.sum(np.where(length > window, 1 + (length - 1) / window, 1.)))


class WindowSampler:
  """Gives the windows of any step.

  Results are remembered to be quick, not to be right: the answers do not depend on the order of the
  questions. Not to be shared between threads.
  """

  def __init__(self, segments, *, window, rows, num_shards, pool_size, seed):
    """Deals the segments to the shards.

    Args:
      segments: `Segments` to cut windows from.
      window: T, transitions in a window.
      rows: windows in the global batch of a step; a multiple of `num_shards`.
      num_shards: V, at most the number of segments. More shards allow more hosts.
      pool_size: windows that are mixed with each other, at least 1 (1: no mixing beyond the order
        of the segments).
      seed: int >= 0.

    Raises:
      ValueError: if rows or segments cannot be dealt to the shards, or a number is out of range.
    """
    for name, value in (('window', window), ('rows', rows), ('num_shards', num_shards),
                        ('pool_size', pool_size)):
      if value < 1:
        raise ValueError(f'{name} is {value}; expected at least 1.')
    if rows % num_shards:
      raise ValueError(f'rows is {rows}; expected a multiple of num_shards {num_shards}. Try '
                       f'{-(-rows // num_shards) * num_shards} rows.')
    num_segments = len(segments.episode)
    if num_shards > num_segments:
      raise ValueError(f'num_shards is {num_shards}; there are only {num_segments} segments to '
                       f'deal to them. Use at most {num_segments} shards.')
    if np.min(segments.num_transitions) < 1:
      raise ValueError('num_transitions of segment '
                       f'{int(np.argmin(segments.num_transitions))} is '
                       f'{np.min(segments.num_transitions)}; expected at least 1. Remove it.')
    self._window = window
    self._num_shards = num_shards
    self._rows_per_shard = rows // num_shards
    dealt = _generator(seed, _DEAL).permutation(num_segments)
    self._shards = [
        _Shard(Segments(*(field[dealt[v::num_shards]] for field in segments)), window, pool_size,
               seed, v) for v in range(num_shards)]

  def windows(self, step, host=0, num_hosts=1):
    """Looks up a host's part of the batch of a step.

    Args:
      step: int >= 0.
      host: which part, in [0, num_hosts).
      num_hosts: divides `num_shards`.

    Returns:
      `Windows`, rows / num_hosts of them, shard by shard. The parts of hosts 0, 1, .. in this order
      are `windows(step)`.

    Raises:
      ValueError: if the hosts cannot share the shards evenly, or `step` is negative.
    """
    if step < 0:
      raise ValueError(f'step is {step}; expected at least 0.')
    if num_hosts < 1 or self._num_shards % num_hosts:
      raise ValueError(f'num_hosts is {num_hosts}; expected a divisor of num_shards '
                       f'{self._num_shards}. Use a multiple of {num_hosts} for num_shards.')
    if not 0 <= host < num_hosts:
      raise ValueError(f'host is {host}; expected it in [0, {num_hosts}).')
    per_host = self._num_shards // num_hosts
    first = step * self._rows_per_shard
    rows = np.concatenate([
        shard.rows(first, self._rows_per_shard)
        for shard in self._shards[host * per_host:(host + 1) * per_host]], axis=1)
    episode, start, valid_from, valid_to = rows
    t = np.arange(self._window)
    return Windows(episode, start, (t >= valid_from[:, None]) & (t < valid_to[:, None]))


def _generator(seed, *purpose):
  """A random stream of its own for every purpose, e.g. (_ORDER, shard, block)."""
  return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=purpose)))


class _Shard:
  """The endless sequence of windows of one shard, by random access."""

  def __init__(self, segments, window, pool_size, seed, shard):
    self._segments = segments
    self._window = window
    self._pool_size = pool_size
    self._seed = seed
    self._shard = shard
    per_epoch = int(np.sum(segments.num_transitions // window + 1))
    self._epochs_per_block = max(1, _WINDOWS_PER_BLOCK // per_epoch)
    self._blocks_per_epoch = -(-per_epoch // _MAX_WINDOWS_PER_BLOCK)
    self._blocks_per_epoch = min(self._blocks_per_epoch, len(segments.num_transitions))
    self._first_row = [0]  # Of each block so far, and of the next: lengths vary with the offsets.
    self._block = functools.lru_cache(maxsize=2)(self._cut_block)
    self._visits = functools.lru_cache(maxsize=2)(self._order_visits)

  def rows(self, first, count):
    """Rows `first` .. `first + count - 1`: [4, count] episode, start, valid from, valid to."""
    while self._first_row[-1] < first + count:
      _, _, counts = self._visits(len(self._first_row) - 1)
      self._first_row.append(self._first_row[-1] + int(counts.sum()))
    parts = []
    block = bisect.bisect_right(self._first_row, first) - 1
    while count:
      begin = first - self._first_row[block]
      part = self._block(block)[:, begin:begin + count]
      parts.append(part)
      first, count, block = first + part.shape[1], count - part.shape[1], block + 1
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

  def _offsets(self, number):
    """[epochs, S] where the first full window of each visit starts, in [0, T)."""
    num_transitions = self._segments.num_transitions
    shape = (self._epochs_per_block, len(num_transitions))
    # A segment of at most T transitions is one window; an offset would only cut it in two.
    is_long = num_transitions > self._window
    if not is_long.any():
      return np.zeros(shape, np.int64)
    rng = _generator(self._seed, _OFFSETS, self._shard, number)
    return np.where(is_long, rng.integers(self._window, size=shape), 0)

  def _num_windows(self, offsets, num_transitions):
    """Windows of each visit: the full ones, and the partial ones at both ends."""
    return (offsets > 0) - (offsets - num_transitions) // self._window

  def _order_visits(self, block):
    """Segments of a block in the order of their visits, offsets, counts of windows: [epochs, .].

    A block is several epochs, or a part of one.
    """
    number, part = divmod(block, self._blocks_per_epoch)
    rng = _generator(self._seed, _ORDER, self._shard, number)
    offsets = self._offsets(number)
    order = np.argsort(rng.random(offsets.shape), axis=1)
    order = np.array_split(order, self._blocks_per_epoch, axis=1)[part]
    offsets = np.take_along_axis(offsets, order, axis=1)
    return order, offsets, self._num_windows(offsets, self._segments.num_transitions[order])

  def _cut_block(self, block):
    """All windows of a block in the order in which they are given out: [4, W]."""
    order, offsets, counts = self._visits(block)
    num_epochs, num_segments = order.shape
    segment, offsets, counts = (a.ravel() for a in (order, offsets, counts))  # Epoch by epoch.
    visit = np.repeat(np.arange(len(counts)), counts)  # One entry a window from here on.
    place = np.arange(len(visit)) - (np.cumsum(counts) - counts)[visit]
    segment, offset = segment[visit], offsets[visit]
    length = self._segments.num_transitions[segment]
    # Where the window would start if it did not have to stay inside the segment.
    tile = (place - (offset > 0)) * self._window + offset
    start = np.clip(tile, 0, np.maximum(length - self._window, 0))
    rows = np.stack([self._segments.episode[segment], self._segments.start[segment] + start,
                     np.maximum(tile, 0) - start,
                     np.minimum(tile + self._window, length) - start])
    # Mixes inside pools of consecutive windows, which do not reach into the next epoch.
    epoch = visit // num_segments
    pool = (np.arange(len(visit)) - np.searchsorted(epoch, np.arange(num_epochs))[epoch])
    number, part = divmod(block, self._blocks_per_epoch)
    purpose = (number, part) if self._blocks_per_epoch > 1 else (number,)
    rng = _generator(self._seed, _ORDER, self._shard, *purpose)
    rng.random(order.shape)  # Those draws made the order.
    return rows[:, np.lexsort((rng.random(len(visit)), pool // self._pool_size, epoch))]
