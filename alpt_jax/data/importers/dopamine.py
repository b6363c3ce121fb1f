"""Reads replay buffers of Dopamine, as DQN replay was published: one .gz of numpy each field.

Files are read a piece at a time: an array of images is several gigabytes. An episode is what lies
between two terminals. Of its last action a buffer does not hold the outcome: the last observation
is repeated, so that the reward that it earned is not lost; the action does not count as known, for
the repeated observation says nothing about it. The blank steps that
Dopamine puts before every episode (one less than its stack of frames) are taken away. Where a
buffer begins, ends, or its oldest step follows on its newest, episodes are cut: their first part
may be missing, and their returns end where they are cut. Where a buffer has counted fewer steps
than it has room for (add_count), only those are play: what lies behind them was never written, or
is of an older buffer. Every file is read to its end all the same, where its checksum is.
"""

import contextlib
import gzip
import math
import os
import re
import tokenize
import zlib

import numpy as np

from alpt_jax.data import png
from alpt_jax.data.importers import checks, images, stored_actions

_FIELDS = ('observation', 'action', 'reward', 'terminal')
_KINDS = {'observation': ('uint8', 'u'), 'action': ('integers', 'iu'), 'reward': ('numbers', 'iuf'),
          'terminal': ('0 or 1', 'biu')}  # What each holds, and the kinds of numpy that are that.
_LARGEST_RATIO = 200  # Of what a .gz unpacks to; smaller arrays may be packed more tightly.
_SMALL_BYTES = 1 << 30
_FILE = r'\$store\$_observation_ckpt\.(\d+)\.gz'
_CHUNK = 512  # Steps.
_BLOCK = 1 << 20  # Bytes.
_MAX_PADDING = 3  # Dopamine stacks 4 frames.
_ERRORS = (OSError, EOFError, zlib.error, ValueError)
_HEADER_ERRORS = (*_ERRORS, SyntaxError, tokenize.TokenError)  # Numpy evaluates a literal.


def total(directory):
  """Number of steps, for the progress of `recordings`."""
  return sum(_length(_path(directory, 'observation', number)) for number in _numbers(directory))


def recordings(directory, environment, *, progress=None):
  """Reads all buffers in the order of their numbers.

  Args:
    directory: holds files `$store$_observation_ckpt.0.gz` .. and the same of action, reward and
      terminal.
    environment: `environment_file.Environment` of images.
    progress: called with the number of steps passed, or None.

  Yields:
    `checks.Recording`, or `Problem` where the rest of a buffer is damaged.

  Raises:
    FileNotFoundError: if there are none.
    Spoilt: if a file of images was changed, of which episodes have come already.
  """
  images.check_kind(environment, 'a replay buffer of images')
  stored_actions.check_one(environment, 'a replay buffer')
  num_passed = 0

  def passed(num_steps):
    if progress is not None:
      progress(num_passed + num_steps)

  for number in _numbers(directory):
    path = _path(directory, 'observation', number)
    try:
      yield from _buffer(directory, number, environment, passed)
    except Spoilt:
      raise  # Episodes of it may be written by now.
    except ValueError as error:
      yield checks.Problem(path, str(error))
    num_passed += _length(path)
    passed(0)


def _path(directory, field, number):
  return os.path.join(directory, f'$store$_{field}_ckpt.{number}.gz')


def _numbers(directory):
  matches = images.listed(directory, re.compile(_FILE).fullmatch,
                          'files $store$_observation_ckpt.0.gz ..')
  return [int(re.fullmatch(_FILE, name)[1]) for name in matches]


def _length(path):
  """Number of steps that the header says; 0 if it cannot be read."""
  try:
    with gzip.open(path) as f:
      return (*_header(f)[0], 0)[0]
  except _HEADER_ERRORS:
    return 0


def _header(file):
  """Reads the shape and dtype of a numpy file."""
  version = np.lib.format.read_magic(file)
  read = (np.lib.format.read_array_header_1_0 if version == (1, 0) else
          np.lib.format.read_array_header_2_0)
  shape, is_fortran, dtype = read(file)
  if is_fortran or dtype.hasobject:  # Objects would be pickles.
    raise ValueError(f'an array {dtype} {list(shape)}; expected numbers, one row a step')
  if min(shape, default=0) < 0:  # Of a negative size everything would be read.
    raise ValueError(f'an array {list(shape)}; expected sizes of at least 0')
  return shape, dtype


class Spoilt(ValueError):
  """Says that a file, or its checksum, was changed: what was read from it may be wrong."""


class _Array:
  """An array in a .gz file, read from the front."""

  def __init__(self, path):
    self.path = path
    try:
      self._file = gzip.open(path)
      self.shape, self.dtype = _header(self._file)
    except FileNotFoundError as error:
      raise ValueError(f'{path} is missing; expected one file of each of {_FIELDS}. Copy it.'
                       ) from error
    except _HEADER_ERRORS as error:
      reason = ' '.join(str(error).split())
      raise ValueError(f'{path} is not a whole .gz of a numpy array ({reason}). Copy it again.'
                       ) from error
    self._num_left = self.dtype.itemsize * math.prod(self.shape)
    if self._num_left > max(_SMALL_BYTES, _LARGEST_RATIO * os.path.getsize(path)):
      raise ValueError(f'{path} unpacks to {self._num_left / 1e9:.3g} GB by its header, more than '
                       f'{_LARGEST_RATIO} times its size; expected less. Copy it again.')

  def close(self):
    """Closes the file."""
    self._file.close()

  def read(self, num_rows):
    """Returns the next rows, fewer at the end."""
    data = self._bytes(num_rows * self.dtype.itemsize * math.prod(self.shape[1:]))
    return np.frombuffer(data, self.dtype).reshape(num_rows, *self.shape[1:])

  def whole(self):
    """Returns the array, once the checksum at its end is known to be right."""
    data = self._bytes(self._num_left)
    self.finish()
    return np.frombuffer(data, self.dtype).reshape(self.shape)

  def finish(self):
    """Reads what is left, and compares the checksum at its end.

    Raises:
      Spoilt: if it is wrong.
      ValueError: if the file breaks off or goes on.
    """
    while self._num_left:
      self._bytes(min(self._num_left, _BLOCK))
    if self._read(1):
      raise ValueError(f'{self.path} goes on behind what its header says, {list(self.shape)}. Copy '
                       'it again.')

  def _bytes(self, size):
    data = self._read(size)
    if len(data) < size:
      raise ValueError(f'{self.path} breaks off: its header says {list(self.shape)}. Copy it again.'
                       )
    self._num_left -= size
    return data

  def _read(self, size):
    try:
      return self._file.read(size)
    except (gzip.BadGzipFile, zlib.error) as error:
      raise Spoilt(f'{self.path} is damaged ({error}): any of its steps may be another. Copy it '
                   'again, or remove the files of its number.') from error
    except _ERRORS as error:
      raise ValueError(f'{self.path} breaks off or is damaged ({error}). Copy it again.') from error


def _buffer(directory, number, environment, passed):
  """Yields the episodes of one buffer."""
  with contextlib.ExitStack() as stack:
    paths = {field: _path(directory, field, number) for field in _FIELDS}
    arrays = {field: stack.enter_context(contextlib.closing(_Array(path)))
              for field, path in paths.items()}
    _check_arrays(arrays, environment.observation.shape)
    length, seam = _play(directory, number, arrays['action'].shape[0])
    try:
      fields = [arrays[name].whole() for name in _FIELDS[1:]]
    except Spoilt as error:  # Nothing has come of it.
      raise ValueError(str(error)) from error
    pending, num_episodes = _Pending(environment), 0
    name = paths['observation'] + ', episode {}'
    for begin in range(0, length, _CHUNK):
      observations = arrays['observation'].read(min(_CHUNK, length - begin))
      for t, observation in enumerate(observations, begin):
        if t == seam and pending.actions:
          yield pending.recording(name.format(num_episodes), is_terminal=False)
          pending, num_episodes = _Pending(environment), num_episodes + 1
        action, reward, terminal = (values[t] for values in fields)
        pending.add(observation, action, reward, terminal)
        if terminal:
          yield pending.recording(name.format(num_episodes), is_terminal=True)
          pending, num_episodes = _Pending(environment), num_episodes + 1
      passed(begin + len(observations))
    arrays['observation'].finish()
    if pending.actions:
      yield pending.recording(name.format(num_episodes), is_terminal=False)


def _check_arrays(arrays, shape):
  for name, array in arrays.items():
    expected, kinds = _KINDS[name]
    is_right = array.dtype.kind in kinds and (array.dtype.itemsize == 1 or name != 'observation')
    if not is_right or (len(array.shape) != 1 if name != 'observation' else not array.shape):
      raise ValueError(f'{array.path} holds {array.dtype} {list(array.shape)}; expected {expected}'
                       f'{"" if name == "observation" else ", one a step"}. Convert it.')
  lengths = {name: array.shape[0] for name, array in arrays.items()}
  if len(set(lengths.values())) > 1:
    raise ValueError(f'has {lengths} steps; expected the same number in all files. Copy them '
                     'again.')
  if not min(lengths.values()):
    raise ValueError('has no steps; expected at least 1. Copy it again, or remove the files of its '
                     'number.')
  found = arrays['observation'].shape[1:]
  if found not in (shape, shape[:2] if shape[2] == 1 else shape):
    raise ValueError(f'has observations {list(found)}; expected observation.shape {list(shape)} of '
                     'the environment file. Correct it.')


def _play(directory, number, length):
  """How many of the first rows are play, and which is the oldest: 0 if it never came round."""
  path = os.path.join(directory, f'add_count_ckpt.{number}.gz')
  if not os.path.exists(path):  # Not every copy has it.
    return length, 0
  try:
    with contextlib.closing(_Array(path)) as array:
      num_added = int(array.whole())
  except (*_ERRORS, TypeError, OverflowError) as error:
    raise ValueError(f'{path} is not a whole .gz of a number ({error}). Copy it again.') from error
  if num_added < 1:
    raise ValueError(f'{path} counts {num_added} steps; expected at least 1. Copy it again, or '
                     'remove the files of its number.')
  return min(length, num_added), num_added % length if num_added > length else 0


class _Pending:
  """An episode that is being read."""

  def __init__(self, environment):
    self._environment = environment
    self._observations, self.actions, self._rewards = checks.Images(), [], []
    self._num_padding, self._problem = 0, None

  def add(self, observation, action, reward, terminal):
    """Takes a step."""
    is_padding = not (self._observations or observation.any() or action or reward or terminal)
    if is_padding and self._num_padding < _MAX_PADDING:
      self._num_padding += 1
      return
    self.actions.append(action)
    if self._problem is None:
      self._keep(png.encode(observation.reshape(self._environment.observation.shape)))
    self._rewards.append(reward)

  def _keep(self, encoded):
    try:
      self._observations.append(encoded)
    except checks.TooLarge as error:
      self._observations.clear()
      self._problem = error

  def recording(self, name, *, is_terminal):
    """Returns all steps as a `Recording`, or a `Problem`."""
    if is_terminal and not self._problem:
      self._keep(self._observations[-1])
    if self._problem:
      return checks.problem(name, self._problem)
    num_transitions = len(self._observations) - 1
    try:
      actions = stored_actions.action_ids(
          np.array(self.actions[:num_transitions]), self._environment)
    except ValueError as error:
      return checks.Problem(name, str(error))
    rewards = np.array(self._rewards[:num_transitions], np.float32)
    is_labelled = np.ones(num_transitions, bool)
    is_labelled[-1:] = not is_terminal
    return checks.Recording(
        name, self._observations, actions, is_labelled,
        rewards if self._environment.reward else None, is_terminal)
