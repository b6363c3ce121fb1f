"""Reads RLDS datasets of any layout: TFDS directories with array_record or TFRecord files.

Where the observation, the action and the reward of a step are, the environment file says. Actions
that the dataset names itself (a ClassLabel) are found by their names. Of actions of several parts,
dicts and vectors of numbers are read, see `stored_actions`; is_labelled and action_source may be of
all parts, of each, or of an entry and so of all elements of its vector.
"""

import functools
import re

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import action_fields, environment_file, png, rlds
from alpt_jax.data.importers import checks, images, stored_actions

_FLAGS = ('is_first', 'is_last')
_SAID = (rlds.LABELLED, rlds.SOURCE)  # Of actions.
_OR_PARTS = ', or declare actions.parts'
_MOST_LETTERS = 200  # Of a feature in a message.
_ORIENTATION = 0x0112  # Of EXIF; 1 is upright.


def total(directory):
  """Number of episodes, for the progress of `recordings`."""
  return sum(split.num_examples for split in _open(directory).info.splits.values())


def recordings(directory, environment, *, progress=None):
  """Reads all episodes of all splits.

  Args:
    directory: TFDS directory.
    environment: `environment_file.Environment`.
    progress: called with the number of episodes passed, or None.

  Yields:
    `checks.Recording`, or `Problem` where an episode, or the rest of a split, is damaged.

  Raises:
    FileNotFoundError, ValueError: if it is no such dataset, or not of the environment.
  """
  builder = _open(directory)
  feature = _check_features(directory, builder.info.features, environment)
  actions_of = _action_reader(
      environment.actions, directory, dict(builder.info.features['steps'].feature), environment)
  num_passed = 0
  for split in builder.info.splits:
    read = _read_by_tensorflow if builder.info.file_format.value == 'tfrecord' else _read
    for i, steps in enumerate(read(builder, split)):
      name = f'{directory}, episode {i} of split {split!r}'
      try:
        if isinstance(steps, Exception):
          raise ValueError(f'the file is damaged ({str(steps).splitlines()[0]}). Copy it again.')
        found = _recording(name, steps, feature, actions_of, environment)
      except ValueError as error:
        found = checks.problem(name, error)
      yield found
      num_passed += 1
      if progress is not None:
        progress(num_passed)


def _open(directory):
  return rlds.open_builder(directory, file_formats=('array_record', 'tfrecord'))


def _read(builder, split):
  """Yields the steps of the episodes of array_record files; an exception where one is damaged."""
  source = builder.as_data_source(split, decoders={'steps': tfds.decode.SkipDecoding()})
  for i in range(len(source)):
    try:
      steps = source[i]['steps']
    except (RuntimeError, rlds.DecodeError) as error:
      steps = error
    yield steps


def _read_by_tensorflow(builder, split):
  """As `_read`, of TFRecord files, which only TensorFlow reads; nothing follows what is damaged."""
  import tensorflow as tf  # Only here: array_record files need it not.

  episodes = builder.as_dataset(
      split=split, decoders={'steps': tfds.decode.SkipDecoding()},
      read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False))
  try:
    for episode in episodes.as_numpy_iterator():
      yield episode['steps']
  except tf.errors.OpError as error:
    yield ValueError(re.sub('^{{.*?}} *', '', error.message))  # The node of the graph.


def _check_features(directory, features, environment):
  """Checks the schema; returns the TFDS feature of the observation."""
  where = f'{directory}: features.json'
  if 'steps' not in features or not isinstance(features['steps'], tfds.features.Dataset):
    raise ValueError(f"{where} has no dataset 'steps' but {sorted(features)}; expected the RLDS "
                     'format. Convert the data to RLDS episodes.')
  step = features['steps'].feature
  action_fields.check_source(where, step)
  if environment.reward:
    _check_number(where, step, 'reward.key', environment.reward.key, np.number)
  if 'observation' not in step:
    raise ValueError(f"{where} has no step field 'observation' but {sorted(step)}; expected the "
                     'RLDS format. Convert the data to RLDS episodes.')
  feature, wanted = step['observation'], environment.observation
  try:
    feature = checks.picked(feature, wanted.key, _entries)
  except ValueError as error:
    raise ValueError(f'{where}: {error}') from error
  shape = feature.shape
  if isinstance(feature, tfds.features.Image) and len(shape) == len(wanted.shape):
    # It may leave sides open, to every image.
    shape = tuple(m if n is None else n for n, m in zip(shape, wanted.shape, strict=True))
  if not isinstance(shape, tuple) or not checks.is_shape(shape, wanted):
    found = list(shape) if isinstance(shape, tuple) else 'of several parts'
    raise ValueError(f'{where}: the observation has shape {found}; expected observation.shape '
                     f'{list(wanted.shape)} of the environment file. Correct it.')
  if isinstance(feature, tfds.features.Image) and feature.np_dtype != np.uint8:
    raise ValueError(f'{where}: the observation is an image of {feature.np_dtype}; expected uint8. '
                     'Convert it.')
  return feature


def _entries(feature):
  return dict(feature.items()) if isinstance(feature, tfds.features.FeaturesDict) else None


@functools.singledispatch
def _action_reader(actions, directory, step, environment):
  """Checks the schema of the actions.

  Args:
    actions: of `environment`.
    directory: of the dataset, for messages.
    step: {step field: TFDS feature}.
    environment: `environment_file.Environment`.

  Returns:
    A function of the encoded steps of an episode: actions and is_labelled of a `checks.Recording`.
  """
  raise NotImplementedError(type(actions))


@_action_reader.register
def _(actions: environment_file.Actions, directory, step, environment):
  _check_number(f'{directory}: features.json', step, 'actions.key', actions.key, np.integer)
  ids = _ids(directory, actions.key, step[actions.key], stored_actions.stored_names(actions))
  said = [name for name in _SAID if name in step]
  for name in said:
    if step[name].shape != ():
      raise ValueError(f'{directory}: features.json: {name} is {_short(step[name])}; expected a '
                       'scalar: the action has one part. Convert the dataset.')

  def read(steps):
    fields = {name: np.asarray(steps[name]) for name in said}
    is_labelled = rlds.labelled(fields | {'action': steps[actions.key]})[:-1]
    stored = np.asarray(steps[actions.key])[:-1]
    if ids is None:
      return stored_actions.action_ids(stored, environment, is_labelled=is_labelled), is_labelled
    return _renamed(stored, ids, is_labelled, 'action'), is_labelled

  return read


@_action_reader.register
def _(actions: environment_file.ActionParts, directory, step, environment):
  del actions
  return _PartsReader(directory, step, environment)


class _PartsReader:
  """See `_action_reader`; of actions of several parts."""

  def __init__(self, directory, step, environment):
    where = f'{directory}: features.json'
    self._directory, self._environment = directory, environment
    self._key = environment.actions.key
    _check_field(where, step, 'actions.key', self._key)
    # {field: {name: TFDS feature}} of what is no dict.
    self._features = {name: stored_actions.places(step[name], _entries, self._key)
                      for name in (self._key, *_SAID) if name in step}
    found = self._keys(self._features[self._key])
    stored_actions.check_keys(f'{where}: {self._key}', found, environment.actions)
    self._ids = {}
    for part, key in self._parts():
      self._ids[key] = self._check(f'{where}: {self._key}', key, part, found[key])
      for name in self._features.keys() & {*_SAID}:
        said = stored_actions.of_key(self._keys(self._features[name]), key, self._key)
        if said is None or name == rlds.LABELLED and said.np_dtype != np.bool_:
          raise ValueError(f'{where}: {name} is {_short(step[name])}; expected a bool for '
                           f'{key}, or one for all parts. Convert the dataset.')

  def _parts(self):
    return zip(self._environment.actions.parts, self._environment.actions.keys, strict=True)

  def _keys(self, features):
    """{key: feature} of all elements; of what is no number or vector of numbers its name."""
    return {key: feature for name, feature in features.items() for key in (
        stored_actions.elements(name, feature.shape) if _is_tensor(feature) else [name])}

  def _check(self, where, key, part, feature):
    """Checks a part; returns the id of each index of a ClassLabel, see `_ids`."""
    if not _is_tensor(feature):
      raise ValueError(f'{where}: {key} is {_short(feature)}; expected a number or a vector of '
                       f'numbers, for actions.parts.{part.name}. Choose another key.')
    if part.kind == 'categorical' and isinstance(feature, tfds.features.ClassLabel):
      return _ids(self._directory, key, feature, stored_actions.part_names(part))
    num_values = getattr(feature, 'num_classes', None)
    stored_actions.check_values(where, key, part, feature.np_dtype, num_values)
    return None

  def __call__(self, steps):
    fields = {name: self._elements(steps[name], features)
              for name, features in self._features.items()}
    values, known = fields.pop(self._key), {}
    for part, key in self._parts():
      said = {name: stored_actions.of_key(found, key, self._key) for name, found in fields.items()}
      known[part.name] = rlds.labelled(said | {'action': values[key]})[:-1]
      values[key] = values[key][:-1]
      if self._ids[key] is not None:
        values[key] = _renamed(values[key], self._ids[key], known[part.name], key)
    return stored_actions.parts(values, self._environment, known)

  def _elements(self, field, features):
    """{key: [L]} of an encoded step field."""
    result = {}
    for name, values in stored_actions.places(field, checks.entries_of, self._key).items():
      feature = features[name]
      if not _is_tensor(feature):
        continue  # It is left out.
      values = np.asarray(values)
      if values.dtype == object and values.size:
        values = np.stack([feature.decode_example_np(value) for value in values])
      for key, index in stored_actions.elements(name, values.shape[1:]).items():
        result[key] = values[:, *index]
    return result


def _is_tensor(feature):
  """Whether a feature has a shape that is known, of numbers or anything else."""
  return isinstance(feature.shape, tuple) and None not in feature.shape


def _ids(directory, key, feature, names):
  """Compares names of actions; returns the id of each action index, None where it is usual."""
  where = f'{directory}: {key}, a ClassLabel in features.json,'
  if not isinstance(feature, tfds.features.ClassLabel) or feature.num_classes is None:
    return None
  found = feature.names
  if found == [str(i) for i in range(len(found))]:  # TFDS calls them so where they have no names.
    stored_actions.check_num_actions(where, len(found), names)
    return None
  return stored_actions.named_actions(where, found, names)


def _renamed(stored, ids, is_labelled, what):
  """[T] int32; ids of action indices, by the names that the data has for them."""
  wrong = stored[is_labelled & ((stored < 0) | (stored >= len(ids)))]
  if wrong.size:
    raise ValueError(f'{what} is {wrong[0]}; expected one of the {len(ids)} that features.json '
                     'names. Correct the data.')
  return ids[np.where(is_labelled, stored, 0)]


def _check_field(where, step, name, key):
  """Checks that a step has a field that the environment file names."""
  if key not in step:
    raise ValueError(f'{where} has no step field {key!r}, as {name} of the environment file says, '
                     f'but {sorted(step)}. Correct the environment file.')


def _check_number(where, step, name, key, kind):
  """Checks that a step has a number of a kind under a key of the environment file."""
  _check_field(where, step, name, key)
  if step[key].shape != () or not np.issubdtype(step[key].np_dtype, kind):
    expected = 'an integer, a discrete action' if kind is np.integer else 'a number'
    raise ValueError(f'{where}: {key} is {_short(step[key])}; expected {expected}. Choose another '
                     f'{name}{_OR_PARTS if kind is np.integer else "; others are not supported"}.')


def _short(feature):
  """A feature in one line."""
  return ' '.join(str(feature).split())[:_MOST_LETTERS]


def _recording(name, steps, feature, actions_of, environment):
  """Makes a recording of the encoded steps of an episode."""
  fields = {key: np.asarray(values) for key, values in steps.items()
            if not isinstance(values, dict) and key != 'observation'}
  stored = stored_actions.places(
      steps[environment.actions.key], checks.entries_of, environment.actions.key)
  length = len(next(iter(stored.values())))
  if not length:
    return checks.Recording(name, [], *actions_of(steps), None)
  if length > 1 and all(key in fields for key in _FLAGS):
    rlds.check_flags('the episode', fields | stored)
  rewards = None
  if environment.reward:
    rewards = fields[environment.reward.key].astype(np.float32)
    rlds.check_last_reward('the episode', {'reward': rewards})
    rewards = rewards[:-1]
  encoded = checks.picked(steps['observation'], environment.observation.key)
  return checks.Recording(
      name, _observations(encoded, feature, environment.observation), *actions_of(steps), rewards,
      'is_terminal' in fields and bool(fields['is_terminal'][-1]))


def _observations(encoded, feature, wanted):
  """Decodes what has to be; images that are PNGs of the right shape stay as they are."""
  if not isinstance(feature, tfds.features.Image):
    values = [feature.decode_example_np(value) for value in encoded]
    if len({np.shape(value) for value in values}) > 1:
      raise ValueError('the observations have different shapes; expected observation.shape '
                       f'{list(wanted.shape)} of the environment file.')
    return checks.observations(np.array(values), wanted) if values else []
  observations = checks.Images()
  for t, value in enumerate(encoded):
    if png.shape(value) != wanted.shape or not png.is_plain(value):
      try:
        (value,) = checks.observations(_frame(value, feature)[None], wanted)
      except ValueError as error:
        raise ValueError(f'image of step {t}: {error}') from error
    observations.append(value)
  return observations


def _frame(encoded, feature):
  """Decodes an image: [h, w, c] uint8."""
  image = images.check(encoded)
  if image.getexif().get(_ORIENTATION, 1) != 1:
    raise ValueError('its EXIF says that it is turned, which readers of RLDS ignore; expected it '
                     'upright. Convert it.')
  if image.has_transparency_data:
    return images.decode(encoded)
  try:
    return feature.decode_example_np(encoded)
  except AttributeError as error:  # Of None, which OpenCV returns.
    raise ValueError('is not a whole image. Copy the data again.') from error
