"""Episodes on disk: read by random access, with images still encoded, so any number fits.

An episode is one record of an array_record file. Reading it takes about as long as decoding a
hundred of its images, so it is read once for all the windows that are cut from it around the same
time (see `sampling`), and kept, encoded, until others need the room. Images are decoded when a
window is cut. Start-up and memory depend on the number of episodes and on the pools of the sampler,
not on the number of steps.

Lengths and checks need one pass over the data. It is made once; its result lies beside the data
(INDEX) and is used as long as the files have the same content: the same names and sizes, and the
time of their last change or, if that differs, their checksum. What happens to a file behind the
back of the file system is seen when it is read: array_record has checksums of its own.
"""

import collections
import errno
import hashlib
import io
import json
import os
import threading
from concurrent import futures
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax import progress as progress_
from alpt_jax.data import action_fields, copies, episodes, png, rlds, values
from alpt_jax.files import atomic_files

INDEX = 'episode_index.npz'
_INDEX_FORMAT = 6  # Of that file; another number makes it anew.
_MIN_ROOM = 20_000  # Transitions kept at least.
_INDEX_THREADS = 2
_INDEX_BATCH = 64
_NUM_COMPARED = 8  # Images of an episode that name it, beside its length; see `copies`.
_TERMINAL = 'is_terminal'  # A step field that only Q-learning needs.


class _Episode(NamedTuple):
  """One episode of L steps, its images encoded."""
  observations: np.ndarray  # [L] bytes.
  actions: np.ndarray  # [L] int32, or [L, P] float32.
  is_labelled: np.ndarray  # As actions, bool.
  rewards: np.ndarray  # [L] float32; see `_on_transitions`.
  returns_to_go: np.ndarray  # [L] float32.
  is_terminal: np.ndarray | None  # [L] bool; None if the data has no such field.


class _Index(NamedTuple):
  """What one pass over a dataset found; see INDEX."""
  split: np.ndarray  # [E] int32; index into the sorted names of the splits.
  place: np.ndarray  # [E] int32; of the record in its split.
  num_transitions: np.ndarray  # [E] int64.
  num_labelled: np.ndarray  # [E] int64; transitions whose action is known, of true ones.
  num_with_idm_labels: np.ndarray  # [E] int64; of true ones and those that an IDM has labelled.
  digest: np.ndarray  # [E] uint64; see `EpisodeFiles.episode_digests`.
  observation_digest: np.ndarray  # [E] uint64; see `EpisodeFiles.observation_digests`.


class EpisodeFiles(episodes.Episodes):
  """The episodes of one environment, in one or several TFDS directories.

  To be shared between threads.

  Attributes:
    num_transitions: [E] int64; at least 1.
    digest: of all episodes, 16 hex digits, as they were when the data was indexed.
  """

  def __init__(self, directories, spec, *, expected_name=None, check_actions=None,
               with_idm_labels=False):
    """Opens the data; indexes it, with progress, if it has no index yet.

    Args:
      directories: TFDS directories in the RLDS layout, array_record files.
      spec: `types.EnvironmentSpec` of image observations.
      expected_name: as `rlds.read_episodes`; data without a card is taken as it is.
      check_actions: check_actions(actions [T], path, episode) raises ValueError for stored actions
        that the environment does not have, if more can be said of them than `spec` does; unknown
        ones are 0.
      with_idm_labels: as `rlds.read_episodes`.

    Raises:
      FileNotFoundError, ValueError: as `rlds.read_episodes`.
    """
    self._spec, self._with_idm_labels = spec, with_idm_labels
    self._sources, indices, digests = [], [], []
    self._splits = []  # Of each source, for messages.
    for directory in directories:
      builder = rlds.open_builder(directory)
      card = rlds.check_name(directory, expected_name, is_card_needed=False)
      rlds.check_features(directory, builder.info.features, spec)
      splits = sorted(builder.info.splits)
      sources = [builder.as_data_source(s, decoders={'steps': tfds.decode.SkipDecoding()})
                 for s in splits]
      index, digest = _read_index(
          directory, builder, sources, splits, spec, check_actions)
      rlds.check_total(directory, card, int(index.num_transitions.sum()))
      indices.append(index._replace(split=index.split + len(self._sources)))
      self._sources += sources
      self._splits += [builder.info.splits[s] for s in splits]
      digests.append(digest)
    self._index = _Index(*map(np.concatenate, zip(*indices, strict=True)))
    self.num_transitions = self._index.num_transitions
    self.digest = hashlib.sha256('-'.join(digests).encode()).hexdigest()[:16]
    self._change = None
    self._room = _MIN_ROOM
    self._held = collections.OrderedDict()  # Episodes by number, the least recently used first.
    self._num_held = 0  # Transitions in them.
    self._lock = threading.Lock()

  @property
  def episode_digests(self):
    """See `Episodes`; of encoded images."""
    return self._index.digest

  @property
  def observation_digests(self):
    """[E] uint64; equal for episodes of one length with the same images at a few steps.

    Of decoded images, so that a copy may be encoded in another way; see `copies`.
    """
    return self._index.observation_digest

  @property
  def num_labelled(self):
    """See `Episodes`."""
    return (self._index.num_with_idm_labels if self._with_idm_labels else
            self._index.num_labelled)

  def with_actions(self, change):
    """Implements `Episodes.with_actions`; applies it whenever an episode is read."""
    result = EpisodeFiles.__new__(EpisodeFiles)
    result.__dict__.update(self.__dict__)
    before = self._change
    result._change = change if before is None else (
        lambda episode, *actions: change(episode, *before(episode, *actions)))
    result._held, result._num_held = collections.OrderedDict(), 0
    result._lock = threading.Lock()
    return result

  def reserve(self, num_transitions):
    """Says how much to keep.

    Args:
      num_transitions: of the episodes kept in memory, encoded (600 to 900 bytes each for Atari).
        Less than the sampler's pools span makes reading many times slower.
    """
    self._room = max(_MIN_ROOM, num_transitions)

  def cut(self, episode, start, window):
    """Implements `episodes.Episodes.cut`."""
    read = [self._episode(e) for e in episode.tolist()]
    last = self.num_transitions[episode]
    step = np.minimum(start[:, None] + np.arange(window + 1), last[:, None])
    images = np.zeros((len(read), window + 1, *self._spec.observation_shape), np.uint8)
    for row, held, steps in zip(images, read, step.tolist(), strict=True):
      for t, s in enumerate(steps):
        if t and s == steps[t - 1]:
          row[t] = row[t - 1]  # Padding repeats the last image.
        else:
          self._decode_into(row[t], held, s)
    fields = [np.stack([field[s] for field, s in zip(values, step[:, :-1], strict=True)])
              for values in list(zip(*read, strict=True))[1:-1]] if read else []
    return episodes.Cut(images, *fields)

  def frames(self, episode, begin, end):
    """Implements `episodes.Episodes.frames`."""
    held, last = self._episode(episode), int(self.num_transitions[episode])
    images = np.zeros((end - begin, *self._spec.observation_shape), np.uint8)
    for i, step in enumerate(range(begin, end)):
      if step > last and i:
        images[i] = images[i - 1]
      else:
        self._decode_into(images[i], held, min(step, last))
    return images

  def actions_of(self, episode):
    """Implements `episodes.Episodes.actions_of`; decodes no image."""
    read = self._episode(int(episode))
    return read.actions[:-1], read.is_labelled[:-1]

  def is_terminal(self, episode):
    """Says whether episodes [b] ended, [b] bool; others were cut, e.g. at a limit of steps.

    Raises:
      ValueError: if the data does not say.
    """
    flags = [self._episode(e).is_terminal for e in episode.tolist()]
    if any(flag is None for flag in flags):
      raise ValueError(f'the data of {self._spec.name} has no step field {_TERMINAL!r}; expected '
                       'it, to tell episodes that ended from those that were cut. Convert or '
                       'record the dataset again.')
    return np.array([flag[-1] for flag in flags], bool)

  def _decode_into(self, image, held, step):
    try:
      png.decode_into(image, held.observations[step])
    except ValueError as error:
      raise ValueError(f'step {step} of an episode of {self._spec.name}: {error} Copy or record '
                       'the dataset again.') from error

  def _episode(self, number):
    with self._lock:
      if number in self._held:
        self._held.move_to_end(number)
        return self._held[number]
    split, place = self._index.split[number], int(self._index.place[number])
    fields = _read_record(self._sources[split], place, self._splits[split])
    is_known = action_fields.labelled_transitions(
        fields, with_idm_labels=self._with_idm_labels)
    actions = self._spec.actions.to_ids(fields['action'], is_known)
    is_labelled = self._spec.actions.known(is_known, len(actions))
    rewards = _on_transitions(rlds.clip(fields['reward'], self._spec))
    if self._change is not None:
      actions, is_labelled = self._change(number, actions, is_labelled)
    episode = _Episode(fields['observation'], actions, is_labelled, rewards,
                       episodes.sums_to_end(rewards), fields.get(_TERMINAL))
    with self._lock:
      if number not in self._held:
        self._held[number] = episode
        self._num_held += len(actions)
      while self._num_held > self._room and len(self._held) > 1:
        _, dropped = self._held.popitem(last=False)
        self._num_held -= len(dropped.actions)
    return episode


def _on_transitions(rewards):
  """Adds the reward of the last step to that of the last transition.

  In RLDS the last step holds only its observation, and so do our recordings and imports: its reward
  is 0. RL Unplugged holds DQN replay's steps as they were logged, each with "reward after a_t"
  (github.com/google-deepmind/deepmind-research, rl_unplugged/atari.py): the last one has the action
  that ended the game and its reward, but no observation after it. That action is no transition
  here; its reward is part of every return: a lost game of Pong is worth -21, not -20.

  Args:
    rewards: [L] float32, clipped, of all steps.

  Returns:
    [L] float32; the last one is 0, the sum is the same.
  """
  result = rewards.copy()
  result[-2:] = rewards[-2:].sum(), 0.
  return result


def check_no_duplicates(datasets):
  """Refuses data in which an episode occurs twice: labels would leak from one to the other.

  Args:
    datasets: {name: `episodes.Episodes`}.

  Raises:
    ValueError: naming the datasets and episodes.
  """
  digests = np.concatenate([data.episode_digests for data in datasets.values()])
  owner = np.repeat(np.arange(len(datasets)), [data.num_episodes for data in datasets.values()])
  number = np.concatenate([np.arange(data.num_episodes) for data in datasets.values()])
  order = np.argsort(digests, kind='stable')
  same = np.flatnonzero((digests[order][1:] == digests[order][:-1]) & (digests[order][1:] != 0))
  if same.size:
    first, second = order[same[0]], order[same[0] + 1]
    names = list(datasets)
    raise ValueError(
        f'episode {number[second]} of {names[owner[second]]} is the same as episode '
        f'{number[first]} of {names[owner[first]]} ({same.size} such pairs); expected every '
        'episode once: hidden actions would be known from the copy. Remove one of the datasets '
        'from the config, or record it with another seed.')


def _where(split, place):
  """Path of the file that holds a record of a split, and the record's number there."""
  shard, first = 0, 0
  while place >= first + split.shard_lengths[shard]:
    first += split.shard_lengths[shard]
    shard += 1
  return os.fspath(split.filepaths[shard]), place - first


def _read_record(source, place, split):
  try:
    steps = source[place]['steps']
  except (RuntimeError, rlds.DecodeError) as error:
    path, record = _where(split, place)
    raise rlds.damaged(f'{path}, record {record}', error) from error
  names = (*rlds.STEP_FIELDS, 'observation',
           *({_TERMINAL, rlds.LABELLED, rlds.SOURCE} & steps.keys()))
  return {name: action_fields.each(np.asarray, steps[name]) for name in names}


def _check_episode(fields, spec, check_actions, path, episode):
  """Checks one episode; of its images the headers.

  The action of the last step is not looked at: nothing shows what it did. Its reward counts, see
  `_on_transitions`.
  """
  where = f'{path}, record {episode}'
  rlds.check_flags(where, fields)
  is_labelled, actions = (action_fields.each(lambda values: values[:-1], field) for field in (
      rlds.labelled(fields, with_idm_labels=True), fields['action']))
  if check_actions is not None:
    check_actions(np.where(is_labelled, actions, 0), path, episode)
  problem = (spec.actions.check(actions, is_labelled, name=spec.name)
             or values.reward_problem(fields['reward']))
  if problem:
    raise ValueError(f'{where}: {problem}. This is the data of another environment, or damaged. '
                     'Correct the path, or convert the dataset.')
  rlds.check_images(where, fields['observation'], spec)


def _observation_digest(encoded, spec, path, episode):
  """What `copies.digest` makes of a few images of an episode, and of its length."""
  steps = np.unique(np.linspace(0, len(encoded) - 1, _NUM_COMPARED).astype(int))
  images = np.empty((len(steps), *spec.observation_shape), np.uint8)
  for image, step in zip(images, steps, strict=True):
    try:
      png.decode_into(image, encoded[step])
    except ValueError as error:
      raise ValueError(f'{path}, record {episode}: step {step}: {error} Copy or record the dataset '
                       'again.') from error
  return copies.digest(images, len(encoded))


def _read_index(directory, builder, sources, splits, spec, check_actions):
  """Returns the `_Index` of a dataset and its digest."""
  paths = sorted(os.fspath(p) for s in builder.info.splits.values() for p in s.filepaths)
  about = {'format': _INDEX_FORMAT, 'splits': splits, 'environment': spec.name}
  path = os.path.join(directory, INDEX)
  if os.path.exists(path):
    try:
      with np.load(path, allow_pickle=False) as saved:
        found = json.loads(str(saved['about']))
        is_same_kind = {key: found.get(key) for key in about} == about
        index = _Index(*(saved[name] for name in _Index._fields)) if is_same_kind else None
    except (ValueError, KeyError, OSError, EOFError) as error:
      raise ValueError(f'{path}: damaged ({error}). Delete this file; it is made again.') from error
    if is_same_kind:
      files = _describe_files(paths, found['files'])
      if _contents(files) == _contents(found['files']):
        if files != found['files']:  # Copied: compared once.
          _write_index(path, found | {'files': files}, index)
        return index, found['digest']
  files = _describe_files(paths, {})
  index = _make_index(directory, builder, sources, splits, spec, check_actions)
  digest = hashlib.sha256(index.digest.tobytes()).hexdigest()[:16]
  _write_index(path, about | {'files': files, 'digest': digest}, index)
  return index, digest


def _describe_files(paths, known):
  """{name: size, time of change in ns and CRC-32}; without reading what is still as `known`."""
  files = {}
  for path in paths:
    name, stat = os.path.basename(path), os.stat(path)
    same_time = {'size': stat.st_size, 'changed_ns': stat.st_mtime_ns}
    files[name] = known.get(name, {})
    if {key: files[name].get(key) for key in same_time} != same_time:
      with open(path, 'rb') as f:
        files[name] = same_time | {'crc32': atomic_files.crc32(f)[1]}
  return files


def _contents(files):
  return {name: (file['size'], file['crc32']) for name, file in files.items()}


def _write_index(path, about, index):
  buffer = io.BytesIO()
  np.savez_compressed(buffer, about=json.dumps(about), **index._asdict())
  try:
    atomic_files.write(path, buffer.getvalue())
  except OSError as error:
    if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
      raise
    # A read-only directory: no index is kept, and the next process reads again.


def _make_index(directory, builder, sources, splits, spec, check_actions):
  """Reads and checks every episode."""
  work = [(i, place) for i, source in enumerate(sources) for place in range(len(source))]
  if not work:
    raise ValueError(f'{directory}: holds no episodes. Record the dataset again.')

  def read(item):
    split, place = item
    info = builder.info.splits[splits[split]]
    fields = _read_record(sources[split], place, info)
    _check_episode(fields, spec, check_actions, *_where(info, place))
    digest = hashlib.sha256(b''.join(fields['observation']))
    is_known = rlds.labelled(fields, with_idm_labels=True)
    digest.update(action_fields.content(fields['action'], is_known))
    digest.update(fields['reward'].astype(np.float32).tobytes())
    is_labelled = spec.actions.known(is_known, len(fields['reward']))[:-1]
    if not is_labelled.all():
      digest.update(is_labelled.tobytes())
    num_labelled, num_with_idm_labels = (int(action_fields.any_known(known)[:-1].sum())
                                         for known in (rlds.labelled(fields), is_known))
    return (split, place, len(is_labelled), num_labelled, num_with_idm_labels,
            int.from_bytes(digest.digest()[:8], 'big'),
            _observation_digest(fields['observation'], spec, *_where(info, place)))

  rows = []
  with progress_.Progress(len(work), label=f'indexing {spec.name}') as progress:
    with futures.ThreadPoolExecutor(_INDEX_THREADS) as pool:
      for begin in range(0, len(work), _INDEX_BATCH):
        rows += pool.map(read, work[begin:begin + _INDEX_BATCH])
        progress.update(len(rows))
  dtypes = (np.int32, np.int32, np.int64, np.int64, np.int64, np.uint64, np.uint64)
  return _Index(*(np.array(column, dtype)
                  for column, dtype in zip(zip(*rows, strict=True), dtypes, strict=True)))
