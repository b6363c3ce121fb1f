"""Writes a dataset again with an IDM's labels in it.

Every record is copied as it is, whatever is in it, with the step fields of `label_fields` put in or
replaced; those of an earlier labelling go. The IDM is asked about known actions, too: who reads the
dataset can compare.

The dataset grows file by file in `<directory>.unfinished`, in an order that depends on the source
only. A process that is killed loses the file it was at, or a few small ones. Several processes
share the files out; the one that finds all of them there puts them under their name. What was
labelled is the same, whichever process did it and however often it was stopped, on as many devices
of the same kind.
"""

import collections
import json
import os
import shutil
import socket
import time
from concurrent import futures
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import action_fields, environment_file, label_fields, record_file, rlds
from alpt_jax.files import atomic_files

_INFO = 'dataset_info.json'
_PLAN = 'plan.json'
_CONTENT = 'content'
_SIDECARS = 'files'


class Settings(NamedTuple):
  """What is written.

  Attributes:
    top_k: K; 0 to write all probabilities.
    episodes_per_file: at most.
  """
  top_k: int = 0
  episodes_per_file: int = 50


def _clear(features, names):
  """Takes step fields out of an example, be they of an action or of its parts."""
  for key in list(features):
    steps, *name = key.split('/')
    if steps == 'steps' and name[0] in names:
      del features[key]


def _set_feature(feature, values):
  """Sets a step field of an example to numbers, as TFDS would, which takes 18 us a step."""
  if np.issubdtype(values.dtype, np.floating):
    feature.float_list.value.extend(values.ravel().tolist())
  else:
    feature.int64_list.value.extend(values.ravel().astype(np.int64).tolist())


def write(source, directory, predict, settings, *, provenance, layout=None, notes=None, known=None,
          share=(0, 1), progress=None, inputs=None):
  """Labels a dataset, or resumes doing so.

  Args:
    source: `records.Dataset`.
    directory: of the new dataset; must not exist, or be empty, or be what this would write.
    predict: predict(groups) -> iterator of `votes.Votes`, see `votes.predict_groups`.
    settings: `Settings`.
    provenance: JSON-able dict that says what makes the labels. A dataset that was begun with
      another one is not resumed.
    layout: the action space of the votes: that of the source, laid out as that of a run, see
      `within` of action spaces; None for as it is.
    notes: JSON-able dict of what else the card shall say, of the process that began.
    known: known(number, fields) -> [L] bool, or {part: [L] bool}: which actions of an episode are
      true ones; None for those that the data says, see `rlds.labelled`.
    share: (i, n); this process makes files i, i + n, .. .
    progress: called with the numbers of episodes done and of all that this process does; first
      with those that were done before.
    inputs: {what they are: path} of what else is read.

  Returns:
    The dataset card if the dataset is whole now; None if files of other processes are missing.

  Raises:
    ValueError: if `directory` holds something else, was begun with another provenance, or the
      source is damaged.
  """
  work = _Work(source, directory, settings, provenance, layout or source.spec.actions)
  card = work.finished_card()
  if card is not None:
    return card
  atomic_files.check_new(directory, {'the dataset to label': source.directory} | (inputs or {}))
  try:
    _label(work, source, predict, known, share, notes, progress or (lambda *_: None))
  except OSError as error:
    # Another process that labels the same has finished, and what this one was at is gone.
    card = work.finished_card()
    if card is None:
      named = work.named(error, is_alone=share[1] == 1)
      if named is error:
        raise
      raise named from error
    return card
  return work.finish()


def _label(work, source, predict, known, share, notes, progress):
  """Writes the files of a share that are not there; see `write`."""
  work.begin(notes or {})
  chunks = list(enumerate(work.chunks))[share[0]::share[1]]
  todo = [(i, chunk) for i, chunk in chunks if not work.is_done(i)]
  num_episodes = _num_episodes(chunks)
  num_done = num_episodes - _num_episodes(todo)
  progress(num_done, num_episodes)
  with futures.ThreadPoolExecutor(1) as reader, futures.ThreadPoolExecutor(1) as writer:
    held, labelled, writing = collections.deque(), [], None
    numbers = iter(todo)
    for votes in predict(_read_ahead(reader, source, todo, held)):
      if not labelled:
        i, chunk = next(numbers)
      labelled.append(work.label(held[0], votes, known, chunk))
      num_done += 1
      progress(num_done, num_episodes)
      if len(labelled) == chunk.end - chunk.begin:
        if writing is not None:  # Not more than one file waits to be written.
          writing.result()
        writing, labelled = writer.submit(work.write, i, labelled), []
        held.popleft()
    if writing is not None:
      writing.result()
    assert not labelled and next(numbers, None) is None  # Every episode was voted on.


def _read_ahead(reader, source, todo, held):
  """Yields groups of episodes for `predict`, one chunk each; appends them to `held`."""
  reading = collections.deque(reader.submit(source.read, chunk) for _, chunk in todo[:1])
  for j in range(1, len(todo) + 1):
    held.append(reading.popleft().result())
    reading += [reader.submit(source.read, chunk) for _, chunk in todo[j:j + 1]]
    yield held[-1], range(len(held[-1].fields))


def _num_episodes(chunks):
  return sum(chunk.end - chunk.begin for _, chunk in chunks)


class _Work:
  """A dataset on its way: `<directory>.unfinished`, and then `directory`."""

  def __init__(self, source, directory, settings, provenance, layout):
    # Of `.`, of a link or with a slash at its end, the place beside it has no name.
    self._source, self._directory, self._settings = source, os.path.realpath(directory), settings
    self._staging = f'{self._directory}.unfinished'
    self.chunks = source.chunks(settings.episodes_per_file)
    self._names = _file_names(source.builder.name, self.chunks)
    self._space, self._layout = source.spec.actions, layout
    self._features = _replaced(
        source, label_fields.features(self._space, layout, settings.top_k))
    self._plan = json.loads(json.dumps({  # As it is read back.
        'provenance': provenance, 'files': len(self.chunks),
        'settings': label_fields.about(self._space, layout) | settings._asdict()}))
    # What the card says of it.
    self._said = self._plan['provenance'] | {k: self._plan[k] for k in ('settings', 'files')}
    self._notes = None

  def finished_card(self):
    """Returns the card of the dataset if it is there, of this plan; else None."""
    if not os.path.exists(os.path.join(self._directory, _INFO)):
      return None
    card = rlds.read_card(self._directory) or {}
    labels = card.get('labels', {})
    if {key: labels.get(key) for key in self._said} != self._said:
      return None
    paths = [os.path.join(self._directory, name) for name in self._names]
    sizes = [os.path.getsize(path) if os.path.exists(path) else None for path in paths]
    if labels['file_bytes'] != sizes:
      raise ValueError(f'{self._directory}: files are missing or damaged. Delete it, and label '
                       'again.')
    if not os.path.exists(os.path.join(self._staging, _CONTENT)):  # Killed before it cleaned up.
      shutil.rmtree(self._staging, ignore_errors=True)
    return card

  def begin(self, notes):
    """Makes the unfinished directory, or checks that it is of the same plan."""
    path = os.path.join(self._staging, _PLAN)
    if os.path.exists(path):
      try:
        with open(path) as f:
          found = json.load(f)
        self._notes = found.pop('notes')
      except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f'{path}: not a plan ({error!r}). Delete {self._staging}, and label '
                         'again.') from error
      if found != self._plan:
        raise ValueError(f'{self._staging}: was begun with {_difference(found, self._plan)}. '
                         'Delete it to label again, or choose another directory.')
    else:
      started = time.strftime('%Y-%m-%dT%H:%M:%S+00:00', time.gmtime())
      self._notes = notes | {'started': started}
      atomic_files.write_json(path, self._plan | {'notes': self._notes})
    for name in (_CONTENT, _SIDECARS):
      os.makedirs(os.path.join(self._staging, name), exist_ok=True)

  def named(self, error, *, is_alone):
    """Makes an OSError say what stays if it is about a file of the unfinished directory.

    Another one is returned as it is.
    """
    if not str(error.filename).startswith(self._staging):
      return error
    num_done = sum(map(self.is_done, range(len(self.chunks))))
    if not num_done:
      if is_alone:  # Others may be at their first file.
        shutil.rmtree(self._staging, ignore_errors=True)
      return OSError(error.errno, error.strerror, self._directory)
    return OSError(f'{self._directory}: {error.strerror}. {num_done} of {len(self.chunks)} files '
                   f'stay in {self._staging}; the same command goes on from there.')

  def _path(self, i):
    return os.path.join(self._staging, _CONTENT, self._names[i])

  def _about(self, i):
    """What is known of a file that is whole; None if it is not there."""
    try:
      with open(os.path.join(self._staging, _SIDECARS, f'{i:05d}.json')) as f:
        about = json.load(f)
      about['counts']  # Which an earlier version did not write.
      return about if os.path.getsize(self._path(i)) == about['content'][0] else None
    except (FileNotFoundError, ValueError, KeyError):
      return None

  def is_done(self, i):
    """Returns whether a file is there, and holds what was written."""
    about = self._about(i)
    if about is None:
      return False
    with open(self._path(i), 'rb') as f:
      return list(atomic_files.crc32(f)) == about['content']

  def label(self, episodes, votes, known, chunk):
    """Makes the record of an episode of a chunk; returns it and its `label_fields.count`."""
    example, fields = episodes.take(votes.episode)
    is_known = (known(chunk.first + votes.episode, fields) if known else
                action_fields.each(lambda values: values[:-1], rlds.labelled(fields)))
    steps = label_fields.steps(self._space, self._layout, fields, is_known, votes,
                               top_k=self._settings.top_k)
    _clear(example.features.feature, {*steps, *label_fields.OPTIONAL})
    for name, values in action_fields.flat(steps).items():
      _set_feature(example.features.feature[f'steps/{name}'], values)
    return example.SerializeToString(deterministic=True), label_fields.count(steps)

  def write(self, i, labelled):
    """Writes a file, whole or not at all, and then what is known of it."""
    path, unfinished = self._path(i), self._private(f'{i:05d}')
    # Level 1 takes 1.7 us for a step of Breakout instead of 4, and files are 2 % larger.
    try:
      with record_file.RecordFile(unfinished, 'group_size:1,zstd:1') as file:
        for record, _ in labelled:
          file.write(record)
      with open(unfinished, 'rb') as f:
        content = atomic_files.crc32(f)
      os.replace(unfinished, path)
    except OSError:
      if os.path.exists(unfinished):  # It would fill a full disk.
        os.remove(unfinished)
      raise
    atomic_files.flush(os.path.dirname(path))
    atomic_files.write_json(os.path.join(self._staging, _SIDECARS, f'{i:05d}.json'), {
        'content': content, 'episodes': len(labelled), 'bytes': sum(len(x[0]) for x in labelled),
        'counts': label_fields.total(counts for _, counts in labelled)})

  def _private(self, name):
    """A path in the unfinished directory that is this process's own."""
    return os.path.join(self._staging, f'{name}.{socket.gethostname()}-{os.getpid()}')

  def finish(self):
    """Puts the dataset under its name if all files are there; see `write`."""
    about = [self._about(i) for i in range(len(self.chunks))]
    if None in about:
      return self.finished_card()  # Another process may just have moved them.
    try:
      self._assemble(about)
    except OSError:
      # Another process has found all files there at the same time, and was first.
      card = self.finished_card()
      if card is None:
        raise
      return card
    shutil.rmtree(self._staging, ignore_errors=True)
    return rlds.read_card(self._directory)

  def _assemble(self, about):
    """Writes what is not episodes, the manifest last, and puts all under its name.

    Into a directory of its own first: nothing must make `content` again once it has been moved.
    """
    content, own = os.path.join(self._staging, _CONTENT), self._private('manifest')
    os.makedirs(own, exist_ok=True)
    atomic_files.write_json(os.path.join(own, rlds.CARD), self._card(about), indent=2)
    path = os.path.join(self._source.directory, environment_file.FILE)
    if os.path.exists(path):
      shutil.copyfile(path, os.path.join(own, environment_file.FILE))
    self._features.save_config(own)
    self._write_info(own, about)
    for name in sorted(os.listdir(own), key=lambda name: name == _INFO):
      os.replace(os.path.join(own, name), os.path.join(content, name))
    os.rename(content, self._directory)  # Takes the place of an empty one, if there is one.

  def _card(self, about):
    card = dict(rlds.read_card(self._source.directory) or {})
    card.setdefault('name', os.path.basename(os.path.abspath(self._directory)))
    counts = label_fields.total(a['counts'] for a in about)
    return card | {
        'num_episodes': sum(a['episodes'] for a in about),
        'num_transitions': counts['transitions'], 'num_labelled': counts['labelled'],
        'labels': self._said | self._notes | label_fields.said(counts) | {
            'file_bytes': [a['content'][0] for a in about]}}

  def _write_info(self, content, about):
    """The manifest of the source with other files."""
    with open(os.path.join(self._source.directory, _INFO)) as f:
      info = json.load(f)
    info['fileFormat'] = 'array_record'
    info['splits'] = [
        {'filepathTemplate': '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}', 'name': name,
         'numBytes': str(sum(a['bytes'] for a in files)),
         'shardLengths': [str(a['episodes']) for a in files]}
        for name, files in _by_split(self.chunks, about).items()]
    atomic_files.write_json(os.path.join(content, _INFO), info, indent=2)


def _file_names(name, chunks):
  """Names of the files, one for each chunk."""
  names = []
  for split, group in _by_split(chunks, chunks).items():
    names += [f'{name}-{split}.array_record-{i:05d}-of-{len(group):05d}' for i in range(len(group))]
  return names


def _by_split(chunks, values):
  """{split: list of the values of its chunks}, in the order of the chunks."""
  result = {}
  for chunk, value in zip(chunks, values, strict=True):
    result.setdefault(chunk.split, []).append(value)
  return result


def _replaced(source, features):
  """The features of the source, with those of steps put in."""
  episode = dict(source.builder.info.features)
  kept = {name: x for name, x in source.step_features.items() if name not in label_fields.OPTIONAL}
  return tfds.features.FeaturesDict(
      episode | {'steps': tfds.features.Dataset(kept | features)})


def _difference(found, wanted):
  """Names the first thing in which two nested dicts differ: 'window 5; this is window 4'."""
  for key in sorted(found.keys() | wanted.keys()):
    a, b = found.get(key), wanted.get(key)
    if a != b:
      if isinstance(a, dict) and isinstance(b, dict):
        return _difference(a, b)
      return f'{key} {a!r}; now it is {b!r}'
  return ''
