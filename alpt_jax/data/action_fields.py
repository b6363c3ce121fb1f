"""How actions lie in the steps of RLDS datasets, by kind of action space.

  Discrete  action: int64, an index; is_labelled: bool; action_source: one of SOURCES
  Parts     action: {part: int64 (categorical), bool (binary) or float32 (continuous)};
            is_labelled: bool of all parts, or {part: bool}; action_source: the same

So a step field is an array [L], or a dict of them: {part: [L]}. `each` and `flat` are for both.
Written are int64, bool and float32, and `is_labelled` by part; read are other numbers, too.
"""

import functools

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax import action_space

LABELLED = 'is_labelled'  # Says whether the action is known; all are without it.
SOURCE = 'action_source'  # One of SOURCES: what `labelled_dataset` writes.
SOURCES = ('none', 'true', 'idm')

_DTYPES = {'categorical': np.int64, 'binary': np.bool_, 'continuous': np.float32}
_READ = {'categorical': ('iu', 'integers, ids'), 'binary': ('biu', 'a bool'),
         'continuous': ('iuf', 'numbers')}  # Kinds of numpy that are let in, and their names.


def each(function, field):
  """Applies a function to a step field [L], or to those of all parts: {part: [L]}."""
  if isinstance(field, dict):
    return {part: function(values) for part, values in field.items()}
  return function(field)


def flat(fields):
  """Returns {'action/turn': .., 'reward': ..} of the fields of a step, as TFDS names them."""
  result = {}
  for name, field in fields.items():
    if isinstance(field, dict | tfds.features.FeaturesDict):
      result |= {f'{name}/{key}': value for key, value in field.items()}
    else:
      result[name] = field
  return result


def of_part(fields, part):
  """Returns the fields of a step for one part: what is not by part is of all of them."""
  return {name: field[part] if isinstance(field, dict) else field
          for name, field in fields.items()}


def any_known(is_known):
  """Says which steps have a known action, or part: [L] bool of [L] or {part: [L]}."""
  return np.any(list(is_known.values()), axis=0) if isinstance(is_known, dict) else is_known


def content(actions, is_known):
  """Returns bytes that differ where known actions do.

  Args:
    actions: [L] int, or {part: [L]}; anything where not known.
    is_known: the same shape of bool.
  """
  if not isinstance(actions, dict):
    return np.where(is_known, actions, 0).astype(np.int64).tobytes()
  return b''.join(
      part.encode() + np.where(is_known[part], actions[part], 0).astype(np.float32).tobytes()
      for part in sorted(actions))


@functools.singledispatch
def features(space):
  """Describes actions that are written to TFDS: {step field: feature}."""
  raise NotImplementedError(type(space))


@features.register
def _(space: action_space.Discrete):
  del space
  return {'action': tfds.features.Scalar(np.int64), LABELLED: tfds.features.Scalar(np.bool_)}


@features.register
def _(space: action_space.Parts):
  parts = [part for part in space.own if part]
  return {
      'action': tfds.features.FeaturesDict(
          {part.name: tfds.features.Scalar(_DTYPES[part.kind]) for part in parts}),
      LABELLED: tfds.features.FeaturesDict(
          {part.name: tfds.features.Scalar(np.bool_) for part in parts})}


@functools.singledispatch
def stored(space, actions, is_known=True):
  """Returns actions of the types that are written; 0 where not known.

  Args:
    space: `action_space.Discrete` or `Parts`.
    actions: [L], or {part: [L]}; numbers that `space.check` has found right.
    is_known: the same shape of bool, or True.
  """
  raise NotImplementedError(type(space))


@stored.register
def _(space: action_space.Discrete, actions, is_known=True):
  del space
  return np.where(is_known, actions, 0).astype(np.int64)


@stored.register
def _(space: action_space.Parts, actions, is_known=True):
  own = {part.name: part for part in space.own if part}
  return {part: np.where(is_known is True or is_known[part], values, 0).astype(
      _DTYPES[own[part].kind]) for part, values in actions.items()}


@functools.singledispatch
def check_features(space, where, step):
  """Checks the schema of the actions of a dataset.

  Args:
    space: `action_space.Discrete` or `Parts`.
    where: of the schema, for messages.
    step: {step field: TFDS feature}.

  Raises:
    ValueError: naming the field and the part.
  """
  raise NotImplementedError(type(space))


@check_features.register
def _(space: action_space.Discrete, where, step):
  del space
  if step['action'].shape != ():
    raise ValueError(f"{where}: action has shape {step['action'].shape}; expected a scalar.")
  _check_labelled(where, LABELLED, step.get(LABELLED))
  if not np.issubdtype(step['action'].np_dtype, np.integer):
    raise ValueError(f"{where}: action has dtype {step['action'].np_dtype}; expected integers: the "
                     'ids of discrete actions.')


@check_features.register
def _(space: action_space.Parts, where, step):
  own = {part.name: part for part in space.own if part}
  for name in ('action', LABELLED):
    field = step.get(name)
    if name == LABELLED and not isinstance(field, tfds.features.FeaturesDict):
      _check_labelled(where, LABELLED, field)
      continue
    found = sorted(field) if isinstance(field, tfds.features.FeaturesDict) else 'of one part'
    if found != sorted(own):
      raise ValueError(f'{where}: {name} is {found}; expected the parts {sorted(own)}. Correct the '
                       'environment file, or import the dataset again.')
  for name, part in own.items():
    feature, (kinds, expected) = step['action'][name], _READ[part.kind]
    if feature.shape != () or np.dtype(feature.np_dtype).kind not in kinds:
      raise ValueError(f'{where}: action {name} is {np.dtype(feature.np_dtype)} of shape '
                       f'{feature.shape}; expected {expected} of a {part.kind} part, a scalar. '
                       'Import the dataset again.')
    if isinstance(step.get(LABELLED), tfds.features.FeaturesDict):
      _check_labelled(where, f'{LABELLED} of {name}', step[LABELLED][name])


def _check_labelled(where, name, feature):
  if feature is not None and (feature.shape != () or feature.np_dtype != np.bool_):
    raise ValueError(f'{where}: {name} is {feature}; expected a bool, whether the action is known. '
                     'Convert or import the dataset again.')


def check_source(where, step):
  """Raises ValueError unless the step feature SOURCE, if there is one, is what is read."""
  for name, feature in flat({SOURCE: step[SOURCE]} if SOURCE in step else {}).items():
    if getattr(feature, 'names', None) != list(SOURCES):
      raise ValueError(f'{where}: {name} is {feature}; expected a ClassLabel of {SOURCES}, '
                       'who has labelled the action. Copy the dataset again, with all its files, '
                       'or call the field something else.')


def labelled(fields, *, with_idm_labels=False):
  """Says which actions of an episode are known.

  What an IDM has labelled is a guess: an IDM that trained on it, or was measured by it, would be
  compared with its predecessor.

  Args:
    fields: {name: L values, or {part: L values}}, the step fields.
    with_idm_labels: whether the labels of an IDM count, too.

  Returns:
    [L] bool; {part: [L] bool} of actions of several parts.
  """
  action = fields['action']
  said = {name: fields[name] for name in (LABELLED, SOURCE) if name in fields}
  if isinstance(action, dict):
    return {part: labelled(of_part(said, part) | {'action': values},
                           with_idm_labels=with_idm_labels) for part, values in action.items()}
  result = np.asarray(said.get(LABELLED, np.ones(len(action))), bool)
  if SOURCE in said and not with_idm_labels:
    result = result & (np.asarray(said[SOURCE]) == SOURCES.index('true'))
  return result


def labelled_transitions(fields, *, with_idm_labels=False):
  """As `labelled`, with False at the last step, which has no action."""
  return each(lambda known: np.append(known[:-1], False),
              labelled(fields, with_idm_labels=with_idm_labels))
