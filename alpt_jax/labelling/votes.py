"""IDM inference over whole episodes: averages the predictions of all overlapping windows.

By eq. 4 a window of T + 1 observations says something of each of its T actions, so a transition
inside an episode is in T windows. The paper takes one of them; here all vote, and their
probabilities are averaged. With a stride of T, windows do not overlap, as in the paper.

Every window is computed once. The frames of the episodes pass by as one stream, of which the last T
and their tokens stay on the device: a frame is embedded once for all windows that do not begin with
it, and once more for the one that does, as nothing is known before it.
"""

import collections
from concurrent import futures
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from alpt_jax.learners import alpt, microbatches
from alpt_jax.measures import calibration
from alpt_jax.training import sharding

ROWS = 64  # Windows of one call on each device; not measured on accelerators.
_FRAMES = 64  # Embedded at a time where they shall fit the cache.
CALLS_READ_AHEAD = 4  # Whose frames are read while others are computed.
CALLS_AHEAD = 4  # That the devices have to do while this process does something else.


class Votes(NamedTuple):
  """What an IDM says of the L transitions of an episode.

  Attributes:
    episode: its number.
    probabilities: [L, A] float32; the mean of the windows. Rows sum to 1, of several parts each
      segment does; of what is not legal, exactly 0.
    num_votes: [L] int32; how many windows that were, at least 1.
  """
  episode: int
  probabilities: np.ndarray
  num_votes: np.ndarray


class Windows(NamedTuple):
  """The W windows of an episode that vote.

  Attributes:
    start: [W] int64, rising; first transition.
    is_counted: [W, T] bool; whether it votes on its t-th transition.
  """
  start: np.ndarray
  is_counted: np.ndarray


def windows_of(num_transitions, window, stride):
  """Says which windows of an episode vote.

  They begin every `stride` transitions. If they leave out the end, one more window ends there, and
  votes on what no other holds.

  Args:
    num_transitions: L, at least 1.
    window: T.
    stride: in [1, T].

  Returns:
    `Windows`.

  Raises:
    ValueError: if a transition would be left out.
  """
  if not 1 <= stride <= window:
    raise ValueError(f'stride is {stride}; expected 1 (all windows vote) to {window} (windows of '
                     f'{window} transitions do not overlap).')
  start = np.arange(0, max(num_transitions - window, 0) + 1, stride)
  end = start[-1] + window
  if end < num_transitions:
    start = np.append(start, num_transitions - window)
  transition = start[:, None] + np.arange(window)
  is_counted = transition < num_transitions
  if end < num_transitions:
    is_counted[-1] = transition[-1] >= end
  return Windows(start, is_counted)


class Stream(NamedTuple):
  """The end of a stream of frames.

  Attributes:
    frames: [T, ...]; the last T.
    tokens: [T, P, D]; those of the frames, each embedded with the one before it.
  """
  frames: jax.Array
  tokens: jax.Array


class VoteFn:
  """The compiled function behind `predict`."""

  def __init__(self, idm, spec, mesh, *, rows=None, microbatch=0):
    """Compiles at the first call.

    Args:
      idm: the `InverseDynamicsModel`.
      spec: the `types.EnvironmentSpec` of what is labelled.
      mesh: from `sharding.make_mesh`, of this process's devices, which share the windows.
      rows: windows of one call, a multiple of the devices; None for `ROWS` on each.
      microbatch: windows whose frames are embedded at a time, but at least `_FRAMES` frames; 0 for
        all. The windows themselves, `rows` small ones, are computed at once.
    """
    rows = ROWS * mesh.size if rows is None else rows
    if rows % mesh.size:
      raise ValueError(f'rows is {rows}; expected a multiple of the {mesh.size} devices.')
    self.rows, self.space = rows, spec.actions
    self._legal, self._idm, self._mesh = alpt.legal_actions([spec]), idm, mesh
    self._microbatch = microbatch
    self._run = jax.jit(self._vote)

  def _tokenize(self, params, frames, before, at_a_time):
    """Embeds frames [F, ...], at most `at_a_time` at once if that is not 0: [F, P, D]."""
    def embed(frames):
      now, before = frames
      return self._idm.apply({'params': params}, now[None], before[None], method='tokenize')[0]

    return microbatches.map_rows(
        embed, (frames, before), microbatches.count([len(frames)], size=at_a_time))

  def _vote(self, params, stream, frames, num_frames, first):
    window = len(stream.frames)
    at_a_time = max(self._microbatch * (window + 1), _FRAMES) if self._microbatch else 0
    frames = jnp.concatenate([stream.frames, frames])
    begin = frames[first]
    tokens = self._tokenize(params, jnp.concatenate([frames[window:], begin]),
                            jnp.concatenate([frames[window - 1:-1], begin]), at_a_time)
    new, begin = jnp.split(tokens, [len(frames) - window])
    tokens = jnp.concatenate([stream.tokens, new.astype(stream.tokens.dtype)])
    rest = tokens[first[:, None] + jnp.arange(1, window + 1)[None]]
    windows = jnp.concatenate([begin[:, None].astype(rest.dtype), rest], axis=1)
    windows = jax.lax.with_sharding_constraint(windows, sharding.rows(self._mesh))
    probabilities = alpt.probabilities(
        self._idm, params, windows, self._legal, is_tokenized=True)
    return probabilities, jax.tree.map(
        lambda x: jax.lax.dynamic_slice_in_dim(x, num_frames, window), Stream(frames, tokens))

  def start(self, params, frame, window):
    """Returns the `Stream` before the first frame, given any."""
    frames = jax.ShapeDtypeStruct((1, *frame.shape), frame.dtype)
    tokens = jax.eval_shape(
        lambda *arrays: self._tokenize(*arrays, at_a_time=0), params, frames, frames)
    return jax.device_put(
        Stream(*(np.zeros((window, *x.shape[1:]), x.dtype) for x in (frames, tokens))),
        sharding.replicated(self._mesh))

  def __call__(self, params, stream, frames, num_frames, first):
    """Computes windows of a stream of frames.

    Args:
      params: of the IDM.
      stream: the `Stream` before these frames; from `start`, or the call before.
      frames: [F, ...]; the next ones.
      num_frames: how many of those are real, the others fill up.
      first: [rows] int32; where windows begin, 0 is the first frame of `stream`.

    Returns:
      [rows, T, A] probabilities; the `Stream` for the next call.
    """
    return self._run(params, stream, frames, num_frames, first)


class _Call(NamedTuple):
  """One call of a `VoteFn`: its chunks of episodes, and its windows.

  Attributes:
    chunks: list of (episode, begin, end) of frames, in the order of the stream.
    first: list of the windows' places, as `VoteFn` wants them.
    targets: list of (episode, index of the window in it).
  """
  chunks: list
  first: list
  targets: list


class _Group(NamedTuple):
  """Episodes that are a stream of frames.

  Attributes:
    episodes: see `predict`.
    lengths: {episode: L} of those to vote on.
  """
  episodes: Any
  lengths: dict


def _plan(lengths, window, stride, rows):
  """Cuts the stream of all frames into calls.

  Args:
    lengths: {episode: L}, in the order of the stream.
    window: T.
    stride: see `windows_of`.
    rows: windows of a call at most.

  Yields:
    `_Call`s. Windows come with the frame that they end with.
  """
  max_frames = rows * stride
  call, num_frames = _Call([], [], []), 0
  for episode, length in lengths.items():
    starts = windows_of(length, window, stride).start
    done, begin, end_of_all = 0, 0, max(length, window) + 1
    while begin < end_of_all:
      end = min(end_of_all, begin + max_frames - num_frames)
      # Not more windows than there is room for; a call ends with the frame of the last of them.
      room = rows - len(call.first)
      ready = np.searchsorted(starts[done:done + room + 1] + window, end)
      if ready > room:
        end, ready = int(starts[done + room - 1]) + window + 1, room
      call.chunks.append((episode, begin, end))
      for i in range(done, done + ready):
        call.first.append(window + num_frames + int(starts[i]) - begin)
        call.targets.append((episode, i))
      num_frames += end - begin
      done, begin = done + ready, end
      if num_frames == max_frames or len(call.first) == rows:
        yield call
        call, num_frames = _Call([], [], []), 0
  if call.chunks:
    yield call


class _Sums:
  """Adds up the votes on one episode."""

  def __init__(self, length, space, window, stride):
    self._windows, self._space = windows_of(length, window, stride), space
    self._probabilities = np.zeros((length, space.num), np.float32)
    self._num_votes = np.zeros(length, np.int32)
    self._num_missing = len(self._windows.start)

  def add(self, indices, probabilities):
    """Adds windows [n], whose probabilities are [n, T, A]. Returns whether they were the last."""
    start, is_counted = (field[indices] for field in self._windows)
    for t in range(is_counted.shape[1]):  # No transition is twice at the same t.
      rows = np.flatnonzero(is_counted[:, t])
      self._probabilities[start[rows] + t] += probabilities[rows, t]
      self._num_votes[start[rows] + t] += 1
    self._num_missing -= len(indices)
    return not self._num_missing

  def result(self, episode, temperature):
    """Returns the `Votes`."""
    parts = [_normalised(self._probabilities[:, segment], temperature)
             for segment in self._space.segments]
    return Votes(episode, np.concatenate(parts, axis=1), self._num_votes)


def _normalised(sums, temperature):
  """Makes probabilities [L, n] of sums of them; none of a part that the environment lacks."""
  if not sums.any():
    return sums
  probabilities = sums / sums.sum(axis=1, keepdims=True)
  if temperature == 1:
    return probabilities
  with np.errstate(divide='ignore'):  # Of actions that are not legal, -inf.
    logits = np.log(probabilities)
  return calibration.apply_temperature(logits, temperature).astype(np.float32)


def predict(vote_fn, params, episodes, numbers, **settings):
  """Lets the IDM vote on all transitions of some episodes; `predict_groups` of one group."""
  return predict_groups(vote_fn, params, [(episodes, numbers)], **settings)


def predict_groups(vote_fn, params, groups, *, window, stride=1, temperature=1., pool=None):
  """Lets the IDM vote on all transitions of some episodes, group after group.

  Memory does not grow with the number of episodes, nor that of groups: frames are read, and groups
  asked for, a few calls ahead. The votes on a group depend on that group only, to the last bit, and
  not on what is read first; but its episodes share calls, so that other `numbers` may change an
  episode's probabilities by rounding.

  Args:
    vote_fn: a `VoteFn`, or the like.
    params: of the IDM, on all devices of its mesh.
    groups: iterable of (episodes, numbers). `episodes`: `episodes.Episodes`, or anything else with
      its `frames` and `num_transitions`. `numbers`: [n] int; which of them, each at most once.
    window: T.
    stride: transitions from one window to the next; 1 for all windows, T for those that do not
      overlap.
    temperature: of the mean of the votes, see `calibration.apply_temperature`; as experiments.audit
      finds it for this stride.
    pool: `futures.Executor` that reads ahead; None for one thread.

  Yields:
    `Votes`, in the order of the groups and their `numbers`.

  Raises:
    ValueError: if `stride` is not in [1, T], or an episode is named twice. What cannot be read is
      raised after the votes on what came before it.
  """
  with futures.ThreadPoolExecutor(1) as own_pool:
    calls = _read_ahead(pool or own_pool, _plan_groups(groups, window, stride, vote_fn.rows),
                        max_frames=vote_fn.rows * stride)
    group, sums = None, {}
    for own_group, call, probabilities in _compute(vote_fn, params, calls, window):
      if own_group is not group:
        group, sums = own_group, {}
      probabilities = np.asarray(probabilities)
      for episode, rows, indices in _by_episode(call.targets):
        if episode not in sums:
          sums[episode] = _Sums(group.lengths[episode], vote_fn.space, window, stride)
        if sums[episode].add(indices, probabilities[rows]):
          yield sums.pop(episode).result(episode, temperature)


def _plan_groups(groups, window, stride, rows):
  """Yields `_Group`s with their `_Call`s."""
  for episodes, numbers in groups:
    numbers = [int(n) for n in numbers]
    lengths = {n: int(episodes.num_transitions[n]) for n in numbers}
    if len(lengths) < len(numbers):
      raise ValueError(f'numbers are {numbers}; expected every episode once.')
    group = _Group(episodes, lengths)
    for call in _plan(lengths, window, stride, rows):
      yield group, call


def _by_episode(targets):
  """Yields episode, slice of rows, and indices of the windows, of runs of [(episode, index)]."""
  begin = 0
  for i in range(1, len(targets) + 1):
    if i == len(targets) or targets[i][0] != targets[begin][0]:
      yield targets[begin][0], slice(begin, i), np.array([t[1] for t in targets[begin:i]])
      begin = i


def _read_ahead(pool, plan, *, max_frames):
  """Yields group, call, frames [max_frames, ...], and how many are real."""
  def read(episodes, call):
    filled, num_frames = None, 0
    for chunk in call.chunks:
      frames = episodes.frames(*chunk)
      if filled is None:
        filled = np.zeros((max_frames, *frames.shape[1:]), frames.dtype)
      filled[num_frames:num_frames + len(frames)] = frames
      num_frames += len(frames)
    return filled, num_frames

  pending, plan = collections.deque(), _UntilError(plan)
  for group, call in plan:
    pending.append((group, call, pool.submit(read, group.episodes, call)))
    if len(pending) > CALLS_READ_AHEAD:
      *first, future = pending.popleft()
      yield *first, *future.result()
  while pending:
    *first, future = pending.popleft()
    yield *first, *future.result()
  plan.check()


class _UntilError:
  """Iterates as far as can be read; what came before is then dealt with first."""

  def __init__(self, items):
    self._items, self._error = items, None

  def __iter__(self):
    try:
      yield from self._items
    except (OSError, ValueError) as error:
      self._error = error

  def check(self):
    """Raises what ended it, if it was an error."""
    if self._error is not None:
      raise self._error


def _compute(vote_fn, params, calls, window):
  """Yields groups and calls with their probabilities, some calls behind the devices."""
  current, waiting, calls = None, collections.deque(), _UntilError(calls)
  for group, call, frames, num_frames in calls:
    if group is not current:
      current, stream = group, vote_fn.start(params, frames[0], window)
    first = np.zeros(vote_fn.rows, np.int32)
    first[:len(call.first)] = call.first
    probabilities, stream = vote_fn(params, stream, frames, num_frames, first)
    waiting.append((group, call, probabilities))
    if len(waiting) > CALLS_AHEAD:
      yield waiting.popleft()
  yield from waiting
  calls.check()
