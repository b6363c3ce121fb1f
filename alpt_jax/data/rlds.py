"""Reads RLDS datasets (TFDS directories) and validates them.

A dataset is a TFDS directory in the RLDS layout, in array_record files: one record per episode,
read by random access and without TensorFlow. Whatever is wrong with it is said here, in one line,
before anything trains on it: a missing file, a reward that is not finite, data of another maze.
"""

import dataclasses
import glob
import hashlib
import os

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from alpt_jax import schema
from alpt_jax.data import action_fields, episodes, png, values

# Written beside the data by what records it; says what the data is and how it was made.
CARD = 'dataset_card.json'
_MANIFESTS = ('dataset_info.json', 'features.json')
_REMEDY = 'The file is damaged: record or copy the dataset again.'
STEP_FIELDS = ('action', 'reward', 'is_first', 'is_last')
LABELLED, SOURCE, SOURCES = action_fields.LABELLED, action_fields.SOURCE, action_fields.SOURCES
labelled = action_fields.labelled
# A step field of recordings made here, not of RL Unplugged's: whether the action was drawn
# uniformly, whatever was seen. For audits and floors (`records.random_draws`); not for training.
RANDOM = 'action_is_random'


def read_card(directory):
  """Reads the dataset card.

  Args:
    directory: a dataset directory.

  Returns:
    The card as a dict, or None if the dataset has none.

  Raises:
    ValueError: if the card is not a JSON object.
  """
  path = os.path.join(directory, CARD)
  if not os.path.exists(path):
    return None
  return schema.read(path, remedy=_REMEDY)


def read_episodes(directory, spec, *, expected_name=None, with_idm_labels=False):
  """Reads a dataset into memory and checks it.

  Args:
    directory: TFDS directory with RLDS features in array_record files.
    spec: types.EnvironmentSpec; which observation is read, and what is legal.
    expected_name: the name that the dataset card must bear, e.g. `spec.name`; None reads any data.
    with_idm_labels: whether an action that an IDM has labelled counts as a known one; see
      `labelled`.

  Returns:
    `episodes.Episodes`, every transition labelled whose action the data does not call unknown.
    Splits are in the order of their names.

  Raises:
    FileNotFoundError: if the directory or one of its files does not exist.
    ValueError: if the data is damaged, not RLDS, or not of the environment that `spec` describes.
  """
  builder = open_builder(directory)
  card = check_name(directory, expected_name)
  feature = check_features(directory, builder.info.features, spec)
  read = []
  for split in sorted(builder.info.splits):  # As everywhere: labels name episodes by number.
    read += _read_split(directory, builder, split, feature, spec, with_idm_labels)
  if not read:
    raise ValueError(f'{directory}: holds no episodes. Record the dataset again.')
  result = _concatenate(read)
  check_total(directory, card, int(result.num_transitions.sum()))
  return dataclasses.replace(result, rewards=clip(result.rewards, spec))


def check_name(directory, expected_name, *, is_card_needed=True):
  """Checks that data is of the environment that is wanted.

  Args:
    directory: a dataset directory.
    expected_name: the name that the dataset card must bear; None for any.
    is_card_needed: False to accept data without a card, as other tools write it.

  Returns:
    The card, or None.

  Raises:
    ValueError: if it is of another environment.
  """
  card = read_card(directory)
  if expected_name is None or (card is None and not is_card_needed):
    return card
  found = None if card is None else card.get('name')
  if found != expected_name:
    raise ValueError(
        f'{directory}: {CARD} says name {found!r}; expected {expected_name!r}: this is the data '
        'of another environment. Correct the path, or record the dataset again.')
  return card


def check_total(directory, card, num_transitions):
  """Raises ValueError if a dataset card, or None, says another number of transitions."""
  if card is not None and card.get('num_transitions', num_transitions) != num_transitions:
    raise ValueError(f"{directory}: {CARD} says {card['num_transitions']} transitions; the files "
                     f'hold {num_transitions}. Files were changed: copy or record the dataset '
                     'again.')


def clip(rewards, spec):
  """Clips rewards [L] float as a `types.EnvironmentSpec` says: [L] float32."""
  return np.clip(rewards, -spec.reward_clip, spec.reward_clip).astype(np.float32)


def dataset_digest(directory):
  """Names the content of a dataset, for results and for the check at resume.

  Args:
    directory: a dataset directory.

  Returns:
    16 hex digits: SHA-256 over the record files, in the order of their names, and the features.
    Copying or renaming the directory does not change it.

  Raises:
    FileNotFoundError, ValueError: as `read_episodes`, if the dataset does not open.
  """
  builder = open_builder(directory)
  paths = [os.path.join(directory, 'features.json')]
  paths += sorted(os.fspath(p) for split in builder.info.splits.values() for p in split.filepaths)
  digest = hashlib.sha256()
  for path in paths:
    with open(path, 'rb') as f:
      digest.update(hashlib.file_digest(f, 'sha256').digest())
  return digest.hexdigest()[:16]


def open_builder(directory, *, file_formats=('array_record',)):
  """Opens the TFDS builder once all files that its manifest names are there, and only they.

  Args:
    directory: a dataset directory.
    file_formats: those that are accepted; of others than array_record, files are not looked at.

  Returns:
    The builder.

  Raises:
    FileNotFoundError, ValueError: as `read_episodes`.
  """
  if '://' in str(directory):
    raise ValueError(f'{directory}: array_record files are read from a file system only. Copy the '
                     'data into a local data_dir with python -m experiments.collect '
                     '--config.collect.origin=convert --config.collect.from_dir=<its data_dir>, or '
                     'mount the bucket.')
  if not os.path.isdir(directory):
    raise FileNotFoundError(f'{directory}: no such dataset directory. Record the dataset first '
                            '(python -m experiments.collect), or '
                            'correct the path.')
  names = sorted(os.listdir(directory))
  if not names:
    raise ValueError(f'{directory}: the directory is empty. Record the dataset first.')
  for name in _MANIFESTS:
    if name not in names:
      raise ValueError(f'{directory}: has no {name}: not a TFDS dataset, or one that is half '
                       f'written. {_remedy(directory)}')
    schema.read(os.path.join(directory, name), remedy=_REMEDY)
  try:
    builder = tfds.builder_from_directory(directory)
  except (json_format.ParseError, KeyError, ValueError) as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(f'{directory}: {" or ".join(_MANIFESTS)} is not a description of a TFDS '
                     f'dataset ({reason}). Record or copy the dataset again.') from error
  file_format = builder.info.file_format
  if file_format is None or file_format.value not in file_formats:
    raise ValueError(
        f'{directory}: fileFormat is {file_format and file_format.value}; expected array_record, '
        'which reads by random access. Convert it into another data_dir with python -m '
        'experiments.collect --config.collect.origin=convert '
        '--config.collect.from_dir=<the data_dir of this one>.')
  for split in builder.info.splits.values() if file_format.value == 'array_record' else ():
    _check_shards(directory, names, split)
  return builder


def _remedy(directory):
  """Says where below a directory a dataset lies: TFDS names directories by config and version."""
  below = sorted(os.path.dirname(path) for depth in ('*', '*/*', '*/*/*')
                 for path in glob.glob(os.path.join(glob.escape(directory), depth, _MANIFESTS[0])))
  if not below:
    return 'Record or copy the dataset again.'
  more = f' ({len(below)} are there)' if len(below) > 1 else ''
  return f'A dataset lies below it: take {below[-1]}{more}.'


def _check_shards(directory, names, split):
  """Checks that the files of a split are there and hold as many records as the manifest says."""
  expected = [os.path.basename(os.fspath(path)) for path in split.filepaths]
  prefix = expected[0].split('.')[0] + '.' if expected else ''
  extra = [n for n in names if prefix and n.startswith(prefix) and n not in expected]
  if extra:
    raise ValueError(f'{directory}: {extra[0]} is not among the {len(expected)} files that '
                     'dataset_info.json names. Remove it, or copy the dataset again.')
  for name, length in zip(expected, split.shard_lengths, strict=True):
    path = os.path.join(directory, name)
    if not os.path.isfile(path):
      raise FileNotFoundError(
          f'{path}: the file is missing; dataset_info.json names {len(expected)} files in split '
          f'{split.name!r}. Copy or record the dataset again.')
    try:
      reader = array_record_module.ArrayRecordReader(path)
      found = reader.num_records()  # 0, without an exception, if cut between two blocks.
    except RuntimeError as error:
      raise damaged(path, error) from error
    if found != length:
      raise ValueError(f'{path}: holds {found} episodes; dataset_info.json says {length}. The file '
                       'is cut short: copy or record the dataset again.')


def damaged(path, error):
  """Makes the ValueError for a file that cannot be read."""
  reason = (str(error).splitlines() or [type(error).__name__])[0]
  return ValueError(f'{path}: the file is damaged ({reason}). Copy or record the dataset again.')


def check_features(directory, features, spec):
  """Checks the schema; returns the TFDS feature of the observation that `spec` names."""
  where = f'{directory}: features.json'
  if 'steps' not in features or not isinstance(features['steps'], tfds.features.Dataset):
    raise ValueError(f"{where} has no dataset 'steps' but {sorted(features)}: not in the RLDS "
                     'format. Convert the data to RLDS episodes.')
  step = features['steps'].feature
  for field in (*STEP_FIELDS, 'observation'):
    if field not in step:
      raise ValueError(f'{where} has no step field {field!r} but {sorted(step)}: not in the RLDS '
                       'format. Convert the data to RLDS episodes.')
    if field not in ('observation', 'action') and step[field].shape != ():
      raise ValueError(f'{where}: {field} has shape {step[field].shape}; expected a scalar.')
  action_fields.check_features(spec.actions, where, dict(step.items()))
  action_fields.check_source(where, step)
  observation = step['observation']
  is_dict = isinstance(observation, tfds.features.FeaturesDict)
  if is_dict != bool(spec.observation_key) or (is_dict and spec.observation_key not in observation):
    found = sorted(observation) if is_dict else 'a single array'
    raise ValueError(f'{where}: the observation is {found}; expected the key '
                     f'{spec.observation_key!r} of {spec.name}. Choose another observation, or '
                     'record the dataset again.')
  feature = observation[spec.observation_key] if is_dict else observation
  if feature.shape != tuple(spec.observation_shape):
    raise ValueError(f'{where}: observation {spec.observation_key!r} has shape {feature.shape}; '
                     f'{spec.name} has {tuple(spec.observation_shape)}. This is the data of '
                     'another environment: correct the path.')
  if spec.observation_kind == 'vector':
    is_known = np.issubdtype(feature.np_dtype, np.number)
    expected = 'numbers'
  else:
    is_known, expected = feature.np_dtype == np.uint8, 'uint8'
  if not is_known:
    raise ValueError(f'{where}: observation {spec.observation_key!r} has dtype '
                     f'{np.dtype(feature.np_dtype)}; a {spec.observation_kind} observation holds '
                     f'{expected}. Record the dataset again.')
  return feature


def _read_split(directory, builder, split, feature, spec, with_idm_labels):
  """Reads the episodes of one split in the order of the files."""
  # Observations stay encoded until the one that is used is picked: TFDS's own numpy decoding of a
  # whole episode loses zero bytes at the end of zlib-encoded tensors.
  source = builder.as_data_source(split, decoders={'steps': tfds.decode.SkipDecoding()})
  info = builder.info.splits[split]
  last = np.cumsum(info.shard_lengths)
  read = []
  for i in range(len(source)):
    path = os.fspath(info.filepaths[int(np.searchsorted(last, i, side='right'))])
    try:
      steps = source[i]['steps']
    except (RuntimeError, DecodeError) as error:
      raise damaged(path, error) from error
    names = (*STEP_FIELDS, *({LABELLED, SOURCE} & steps.keys()))
    fields = {name: action_fields.each(np.asarray, steps[name]) for name in names}
    encoded = steps['observation']
    encoded = np.asarray(encoded[spec.observation_key] if spec.observation_key else encoded)
    shapes = {name: array.shape for name, array in action_fields.flat(fields).items()}
    if len({encoded.shape[:1], *shapes.values()}) > 1 or not encoded.ndim:
      raise ValueError(f'{path}: in episode {i}, the shapes of {shapes} and of the observations '
                       f'{encoded.shape} do not fit each other: features.json is of another '
                       'dataset. Copy or record the dataset again.')
    where = f'{directory}: episode {i} of split {split!r}'
    check_flags(where, fields)
    check_last_reward(where, fields)
    is_known = action_fields.labelled_transitions(fields, with_idm_labels=with_idm_labels)
    observations = np.stack([feature.decode_example_np(o) for o in encoded])
    observations = observations.astype(spec.observation_dtype)
    problem = (spec.actions.check(fields['action'], is_known, name=spec.name)
               or values.reward_problem(fields['reward'])
               or values.observation_problem(observations, spec))
    if problem:
      raise ValueError(f'{where}: {problem}. This is the data of another environment, or damaged. '
                       'Correct the path, or record the dataset again.')
    read.append((observations, spec.actions.to_ids(fields['action'], is_known),
                 fields['reward'].astype(np.float32), spec.actions.known(is_known, len(encoded))))
  return read


def check_flags(where, fields):
  """Checks that an episode is one: fields of equal length, flags at first and last step only."""
  lengths = {name: len(values) for name, values in action_fields.flat(fields).items()}
  if len(set(lengths.values())) > 1:
    raise ValueError(f'{where}: steps have different lengths, {lengths}. Copy or record the '
                     'dataset again.')
  length = len(fields['is_first'])
  if length < 2:
    raise ValueError(f'{where} has {length} steps; expected at least 2, which make one transition. '
                     'Remove the episode from the dataset.')
  expected = np.arange(length)
  for name, expected_t in (('is_first', 0), ('is_last', length - 1)):
    wrong = np.flatnonzero(fields[name] != (expected == expected_t))
    if wrong.size:
      raise ValueError(f'{where}: {name} is {bool(fields[name][wrong[0]])} at step {wrong[0]} of '
                       f'{length}; expected True at step {expected_t} only. Episodes were joined '
                       'or cut: record or convert the dataset again.')


def check_images(where, images, spec):
  """Checks the headers of an episode's encoded images; ValueError names the first bad one."""
  wanted = tuple(spec.observation_shape)
  headers = {encoded[:png.NUM_HEADER_BYTES] for encoded in images}  # Mostly one for all.
  wrong = {header for header in headers if png.shape(header) != wanted}
  for t, encoded in enumerate(images if wrong else ()):
    if encoded[:png.NUM_HEADER_BYTES] in wrong:
      raise ValueError(f'{where}: observation at step {t} is {png.shape(encoded) or "no PNG"}; '
                       f'{spec.name} has {wanted} images, 8 bit. Convert the dataset.')


def check_last_reward(where, fields):
  """Checks that rewards sit where RLDS puts them: none in the last step."""
  if fields['reward'][-1] != 0:
    raise ValueError(f"{where}: reward is {fields['reward'][-1]} at the last step, which has no "
                     'action; in RLDS a step holds the reward that its own action earned. Move the '
                     'rewards one step back.')


def _concatenate(read):
  lengths = np.array([len(observations) for observations, *_ in read], np.int64)
  first_step = np.cumsum(lengths) - lengths
  return episodes.InMemory(*map(np.concatenate, zip(*read, strict=True)), first_step, lengths - 1)
