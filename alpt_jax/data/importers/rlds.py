"""Reads RLDS datasets of any layout: TFDS directories with array_record or TFRecord files.

Where the observation, the action and the reward of a step are, the environment file says. Actions
that the dataset names itself (a ClassLabel) are found by their names.
"""

import re

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import action_fields, png, rlds
from alpt_jax.data.importers import checks, images

_FLAGS = ('is_first', 'is_last')
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
  ids = _check_names(directory, builder.info.features, environment)
  num_passed = 0
  for split in builder.info.splits:
    read = _read_by_tensorflow if builder.info.file_format.value == 'tfrecord' else _read
    for i, steps in enumerate(read(builder, split)):
      name = f'{directory}, episode {i} of split {split!r}'
      try:
        if isinstance(steps, Exception):
          raise ValueError(f'the file is damaged ({str(steps).splitlines()[0]}). Copy it again.')
        found = _recording(name, steps, feature, ids, environment)
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
  _check_number(where, step, 'actions.key', environment.actions.key, np.integer)
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


def _check_names(directory, features, environment):
  """Compares the names of actions; returns the id of each action index, None where it is usual."""
  action = features['steps'].feature[environment.actions.key]
  if not isinstance(action, tfds.features.ClassLabel) or action.num_classes is None:
    return None
  where = f'{directory}: {environment.actions.key}, a ClassLabel in features.json,'
  names = action.names
  if names == [str(i) for i in range(len(names))]:  # TFDS calls them so where they have no names.
    checks.check_num_actions(where, len(names), environment)
    return None
  return checks.named_actions(where, names, environment)


def _check_number(where, step, name, key, kind):
  """Checks that a step has a number of a kind under a key of the environment file."""
  if key not in step:
    raise ValueError(f'{where} has no step field {key!r}, as {name} of the environment file says, '
                     f'but {sorted(step)}. Correct the environment file.')
  if step[key].shape != () or not np.issubdtype(step[key].np_dtype, kind):
    expected = 'an integer, a discrete action' if kind is np.integer else 'a number'
    found = ' '.join(str(step[key]).split())[:_MOST_LETTERS]
    raise ValueError(f'{where}: {key} is {found}; expected {expected}. Choose another {name}; '
                     'others are not supported.')


def _recording(name, steps, feature, ids, environment):
  """Makes a recording of the encoded steps of an episode."""
  fields = {key: np.asarray(values) for key, values in steps.items() if key != 'observation'}
  fields['action'] = fields[environment.actions.key]
  length = len(fields['action'])
  if not length:
    return checks.Recording(name, [], np.zeros(0, int), np.zeros(0, bool), None)
  if length > 1 and all(key in fields for key in _FLAGS):
    rlds.check_flags('the episode', fields)
  is_labelled = rlds.labelled(fields)[:-1]
  rewards = None
  if environment.reward:
    rewards = fields[environment.reward.key].astype(np.float32)
    rlds.check_last_reward('the episode', {'reward': rewards})
    rewards = rewards[:-1]
  encoded = checks.picked(steps['observation'], environment.observation.key)
  return checks.Recording(
      name, _observations(encoded, feature, environment.observation),
      _action_ids(fields['action'][:-1], ids, is_labelled, environment), is_labelled, rewards,
      'is_terminal' in fields and bool(fields['is_terminal'][-1]))


def _action_ids(stored, ids, is_labelled, environment):
  """[T] int32; ids of action indices, by the names that the data has for them, if it has some."""
  if ids is None:
    return checks.action_ids(stored, environment, is_labelled=is_labelled)
  wrong = stored[is_labelled & ((stored < 0) | (stored >= len(ids)))]
  if wrong.size:
    raise ValueError(f'action is {wrong[0]}; expected one of the {len(ids)} that features.json '
                     'names. Correct the data.')
  return ids[np.where(is_labelled, stored, 0)]


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
