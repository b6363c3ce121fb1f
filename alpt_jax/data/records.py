"""Raw tf.train.Example records of an RLDS dataset, for copying episodes and adding fields.

Elsewhere only the fields that training needs are read. Here an episode is a tf.train.Example, as it
lies in the file; written back, it keeps the fields that other tools have added.
"""

import os
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from google.protobuf.message import DecodeError
from tensorflow_datasets.core import example_serializer
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from alpt_jax.data import action_fields, png, rlds

_MOST_BYTES = (1 << 31) - 1
_CHUNK_BYTES = 16 << 20  # Of a run of episodes, on disk; a single one may be longer.


def random_draws(directory):
  """Reads which actions of a recording were drawn uniformly, whatever was seen.

  No policy can be guessed there, so an IDM that is right on these steps has read them off the
  observations. For audits and floors; training never sees it.

  Args:
    directory: dataset directory, as recorded by `atari.record` or `record`.

  Returns:
    List of [T] bool, one per episode in the order of the episodes' numbers: splits by their names.

  Raises:
    FileNotFoundError, ValueError: as `rlds.read_episodes`; also if the recording has no such marks.
  """
  builder = rlds.open_builder(directory)
  field = rlds.RANDOM
  if field not in builder.info.features['steps'].feature:
    raise ValueError(f'{directory}: has no step field {field!r}, which says which actions were '
                     'drawn at random: it was recorded by an earlier version, or elsewhere. Record '
                     'the dataset again to have it.')
  draws = []
  for name in sorted(builder.info.splits):
    for path in builder.info.splits[name].filepaths:
      try:
        records = array_record_module.ArrayRecordReader(os.fspath(path)).read_all()
      except RuntimeError as error:
        raise rlds.damaged(path, error) from error
      for place, record in enumerate(records):
        try:
          features = tf_example_pb2.Example.FromString(record).features.feature
        except DecodeError as error:
          raise rlds.damaged(f'{path}, record {place}', error) from error
        marks = np.array(features[f'steps/{field}'].int64_list.value, bool)
        num_steps = len(features['steps/is_first'].int64_list.value)
        if len(marks) != num_steps:
          raise ValueError(f'{path}, record {place}: {field} has {len(marks)} steps, is_first has '
                           f'{num_steps}. Copy or record the dataset again.')
        draws.append(marks[:-1])  # The last step has no action.
  return draws


def serialize(fields):
  """Makes the record of an episode, a tf.train.Example.

  A message of protobuf would hold the images another time. The bytes are those that protobuf makes
  (`ExampleSerializer`): files of the same recording are the same.

  Args:
    fields: {name: list of bytes, or array of numbers of any shape}.

  Returns:
    Bytes.

  Raises:
    ValueError: if they are more than protobuf reads, 2 GiB.
  """
  entries = []
  # As protobuf orders keys: a name that continues another one comes before it.
  for key, name in sorted((name.encode() + b'\xff', name) for name in fields):
    kind, values = _list_parts(fields[name])
    feature, key = _message(kind, values), key[:-1]
    entries += _message(1, [*_message(1, [key]), *_message(2, feature)])
  parts = _message(1, entries)
  size = sum(map(len, parts))
  if size > _MOST_BYTES:
    raise ValueError(f'an episode takes {size / 1e9:.3g} GB; expected at most '
                     f'{_MOST_BYTES / 1e9:.3g} GB. Cut it into several.')
  return b''.join(parts)


def _list_parts(values):
  """The number of a tf.train.Feature's field for values, and the parts of its message."""
  if isinstance(values, list):
    heads = {}  # Most images have one of a few lengths: a head each would take more memory.
    parts = []
    for value in values:
      head = heads.get(len(value)) or heads.setdefault(len(value), _head(1, len(value)))
      parts += (head, value)
    return 1, parts
  if values.dtype.kind == 'f':
    packed = values.astype('<f4').tobytes()
    return 2, _message(1, [packed]) if packed else []
  message = tf_feature_pb2.Int64List(value=values.astype(np.int64).ravel())
  return 3, [message.SerializeToString()]


def _message(field, parts):
  """Wraps the parts of a message, bytes, as a field of another."""
  return [_head(field, sum(map(len, parts))), *parts]


def _head(field, size):
  """The tag of a field of bytes and their number, as protobuf writes them."""
  head = bytearray([field << 3 | 2])
  while size > 127:
    head.append(size & 127 | 128)
    size >>= 7
  return bytes([*head, size])


class Chunk(NamedTuple):
  """A run of episodes of one file.

  Attributes:
    path: of the file.
    begin: record of the first episode in it.
    end: record after the last.
    first: number of the first episode in the dataset: splits are in the order of their names.
    split: name of the split.
  """
  path: str
  begin: int
  end: int
  first: int
  split: str


class Dataset:
  """An RLDS dataset in a TFDS directory, array_record files.

  Attributes:
    directory: where it lies.
    spec: the `types.EnvironmentSpec` that it was opened with.
    builder: of TFDS.
    step_features: {name: TFDS feature} of a step.
  """

  def __init__(self, directory, spec, *, expected_name=None):
    """Opens it.

    Args:
      directory: of the dataset.
      spec: `types.EnvironmentSpec`.
      expected_name: as `rlds.read_episodes`; data without a card is taken as it is.

    Raises:
      FileNotFoundError, ValueError: as `rlds.read_episodes`.
    """
    self.directory, self.spec = directory, spec
    self.builder = rlds.open_builder(directory)
    rlds.check_name(directory, expected_name, is_card_needed=False)
    features = self.builder.info.features
    self._feature = rlds.check_features(directory, features, spec)
    self.step_features = dict(features['steps'].feature)

  def chunks(self, num_episodes):
    """Cuts the dataset into runs of at most `num_episodes`, fewer of long ones.

    Returns:
      A list of `Chunk`, in the order of the episodes' numbers.
    """
    result, first = [], 0
    for name in sorted(self.builder.info.splits):
      split = self.builder.info.splits[name]
      for path, length in zip(split.filepaths, split.shard_lengths, strict=True):
        most = max(1, _CHUNK_BYTES * length // max(os.path.getsize(path), 1))
        num_at_a_time = min(num_episodes, most)
        for begin in range(0, length, num_at_a_time):
          end = min(begin + num_at_a_time, length)
          result.append(Chunk(os.fspath(path), begin, end, first + begin, name))
        first += length
    return result

  def read(self, chunk):
    """Reads and checks the episodes of a `Chunk`.

    Returns:
      `Episodes`.

    Raises:
      ValueError: naming the file and the record, if one is damaged or not of the environment.
    """
    try:
      reader = array_record_module.ArrayRecordReader(chunk.path)
      records = reader.read(chunk.begin, chunk.end)
    except RuntimeError as error:
      raise rlds.damaged(chunk.path, error) from error
    fields = []
    for place, record in enumerate(records, chunk.begin):
      where = f'{chunk.path}, record {place}'
      try:
        steps = self._parse(record)
      except (DecodeError, ValueError, KeyError) as error:
        raise rlds.damaged(where, error) from error
      fields.append(self._check(steps, where))
    return Episodes(self.spec, self._feature, list(records), fields)

  def _parse(self, record):
    """The fields that are needed: {name: L + 1 values}; TFDS's parser takes 25 us a step."""
    features = tf_example_pb2.Example.FromString(record).features.feature
    key = self.spec.observation_key
    observation = f'steps/observation/{key}' if key else 'steps/observation'

    def values_at(place):
      if place not in features:
        raise KeyError(place)
      kind = features[place].WhichOneof('kind')
      values = getattr(features[place], kind).value if kind else ()
      return list(values) if kind == 'bytes_list' else np.array(values)

    fields = {'observation': values_at(observation)}
    for name in {*rlds.STEP_FIELDS, rlds.LABELLED, rlds.SOURCE} & self.step_features.keys():
      feature = self.step_features[name]
      fields[name] = ({part: values_at(f'steps/{name}/{part}') for part in feature}
                      if isinstance(feature, tfds.features.FeaturesDict) else
                      values_at(f'steps/{name}'))
    if not isinstance(fields['observation'], list):
      fields['observation'] = fields['observation'].reshape(-1, *self._feature.shape)
    return fields

  def _check(self, fields, where):
    """Checks the steps of an episode; returns them."""
    rlds.check_flags(where, fields)
    actions, is_known = (action_fields.each(lambda values: values[:-1], field) for field in (
        fields['action'], rlds.labelled(fields, with_idm_labels=True)))
    problem = self.spec.actions.check(actions, is_known, name=self.spec.name)
    if problem:
      raise ValueError(f'{where}: {problem}. This is the data of another environment, or damaged. '
                       'Correct the path, or import the dataset again.')
    if self.spec.observation_kind == 'image':
      rlds.check_images(where, fields['observation'], self.spec)
    return fields


class Episodes:
  """Some episodes; their frames can be voted on, see `votes`.

  Attributes:
    records: list of bytes.
    fields: list of {name: L + 1 values, or {part: L + 1 values}}; 'observation' is encoded.
    num_transitions: [E] int64.
  """

  def __init__(self, spec, feature, records, fields):
    self._spec, self._feature = spec, feature
    self.records, self.fields = records, fields
    self.num_transitions = np.array([len(f['is_first']) - 1 for f in fields], np.int64)

  def take(self, episode):
    """Returns an episode and forgets it.

    Args:
      episode: its number among these.

    Returns:
      `tf_example_pb2.Example`; {name: L + 1 values}.
    """
    record, fields = self.records[episode], self.fields[episode]
    self.records[episode] = self.fields[episode] = None
    return tf_example_pb2.Example.FromString(record), fields

  def frames(self, episode, begin, end):
    """Implements `data.episodes.Episodes.frames`."""
    observations, last = self.fields[episode]['observation'], int(self.num_transitions[episode])
    encoded = observations[min(begin, last):end]
    frames = np.empty(
        (end - begin, *self._spec.observation_shape), self._spec.observation_dtype)
    if self._spec.observation_kind == 'image':
      png.decode_all(frames[:len(encoded)], encoded)
    else:
      for frame, value in zip(frames, encoded, strict=False):  # The rest repeats the last.
        frame[...] = self._feature.decode_example_np(value)
    frames[len(encoded):] = frames[len(encoded) - 1]
    return frames


class ExampleSerializer(example_serializer.ExampleSerializer):
  """TFDS's serializer of tf.train.Example, with the fields in a fixed order.

  TFDS's own orders the fields by a hash that is another in every process: the files of the same
  recording would differ, and so would their digests.
  """

  def serialize_example(self, example):
    return self.get_tf_example(example).SerializeToString(deterministic=True)
