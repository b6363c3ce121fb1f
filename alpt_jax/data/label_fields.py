"""What an IDM's labels say of a step, as fields of RLDS datasets, by kind of action space.

  action                      the true one where it is known, which is never changed; else the most
                              probable one, as the dataset stores actions
  is_labelled                 whether there is one or the other: at all steps but the last
  action_source               'true' or 'idm'; 'none' where there is no action
  action_probabilities        [A] float32, in the order of the actions that the dataset stores; or
  action_top, action_top_probabilities   [K], the K most probable ones of them
  action_entropy              of the probabilities, in nats
  num_votes                   windows that the probabilities are the mean of

Of actions of several parts each field but `num_votes` is a dict, {part: ..}. Numbers have no
probabilities, but

  action_quantiles            {part: [5] float32}, those of `LEVELS`

and their entropy is that of the bins that they are predicted over; the label is their expectation.
A part of which the IDM says nothing, as the environments that it was trained on do not have it, is
what it was: where it is not known, its source is 'none'.
"""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax import action_space
from alpt_jax.data import action_fields

LEVELS = (.05, .25, .5, .75, .95)
_NONE, _TRUE, _IDM = range(3)  # Places in `action_fields.SOURCES`.
_ENTROPY, _VOTES, _QUANTILES = 'action_entropy', 'num_votes', 'action_quantiles'
_ALL, _TOP, _TOP_ALL = 'action_probabilities', 'action_top', 'action_top_probabilities'
OPTIONAL = (_ALL, _TOP, _TOP_ALL, _QUANTILES)  # Those that not every labelling has.


def _tensor(dtype, *shape):
  return tfds.features.Tensor(shape=shape, dtype=dtype)


def _source_feature():
  return tfds.features.ClassLabel(names=list(action_fields.SOURCES))


def _probability_features(num, top_k):
  """{field: feature} of probabilities of `num` actions."""
  if not top_k:
    return {_ALL: _tensor(np.float32, num)}
  return {_TOP: _tensor(np.int64, min(top_k, num)), _TOP_ALL: _tensor(np.float32, min(top_k, num))}


@functools.singledispatch
def features(space, layout, top_k):
  """Describes the fields to TFDS.

  Args:
    space: the action space of the dataset.
    layout: the same as the votes are laid out, see `within` of action spaces.
    top_k: K; 0 for all probabilities. Of a part with fewer values, all of them.

  Returns:
    {step field: feature}.
  """
  raise NotImplementedError(type(space))


@features.register
def _(space: action_space.Discrete, layout, top_k):
  del layout
  return _probability_features(space.num_stored, top_k) | {
      'action': tfds.features.Scalar(np.int64),
      action_fields.LABELLED: tfds.features.Scalar(np.bool_),
      action_fields.SOURCE: _source_feature(),
      _ENTROPY: tfds.features.Scalar(np.float32),
      _VOTES: tfds.features.Scalar(np.int64),
  }


@features.register
def _(space: action_space.Parts, layout, top_k):
  found = {field: dict(feature) for field, feature in action_fields.features(space).items()}
  found[action_fields.SOURCE] = {part.name: _source_feature() for part in space.own if part}
  for part in filter(None, layout.own):
    own = ({_QUANTILES: _tensor(np.float32, len(LEVELS))} if part.kind == 'continuous' else
           _probability_features(part.num_classes, top_k))
    for field, feature in (own | {_ENTROPY: tfds.features.Scalar(np.float32)}).items():
      found.setdefault(field, {})[part.name] = feature
  return {field: tfds.features.FeaturesDict(own) for field, own in found.items()} | {
      _VOTES: tfds.features.Scalar(np.int64)}


@functools.singledispatch
def check_top_k(space, top_k):
  """Raises ValueError if a dataset does not have so many probabilities."""
  if not 0 <= top_k <= space.num_stored:
    raise ValueError(
        f'top_k is {top_k}; expected 1 to {space.num_stored}, or 0 for all probabilities.')


@check_top_k.register
def _(space: action_space.Parts, top_k):
  num = max((part.num_classes for part in space.own if part and part.kind != 'continuous'),
            default=0)
  if not num and top_k:
    raise ValueError(f'top_k is {top_k}, and all parts are numbers, of which quantiles are '
                     'written; expected 0.')
  if not 0 <= top_k <= num:
    raise ValueError(f'top_k is {top_k}; expected 1 to {num}, the most values that a part has, or '
                     '0 for all probabilities.')


@functools.singledispatch
def about(space, layout):
  """Returns what decides the fields besides votes and settings: a dict that JSON can hold."""
  del layout
  return {'num_actions': space.num, 'stored_actions': space.stored}


@about.register
def _(space: action_space.Parts, layout):
  predicted = {part.name: dataclasses.asdict(part)
               for part, own in zip(layout.parts, layout.own, strict=True) if own}
  return {'parts': {part.name: dataclasses.asdict(part) for part in space.own if part},
          'predicted': predicted}


@functools.singledispatch
def steps(space, layout, fields, is_known, votes, *, top_k=0):
  """Makes the fields of an episode.

  Args:
    space, layout: see `features`.
    fields: {step field: L + 1 values} of the dataset; its actions are used.
    is_known: [L] bool, or {part: [L] bool}; which of them are true ones.
    votes: `votes.Votes` of the L transitions, over the classes of `layout`.
    top_k: see `features`.

  Returns:
    {step field: L + 1 values, or {part: L + 1 values}}, see the module's docstring.
  """
  raise NotImplementedError(type(space))


@steps.register
def _(space: action_space.Discrete, layout, fields, is_known, votes, *, top_k=0):
  del space
  probabilities = layout.to_stored(votes.probabilities)
  best = np.argsort(-probabilities, axis=1, kind='stable')
  stored = fields['action'][:-1]
  return {
      'action': np.append(np.where(is_known, stored, best[:, 0]), 0).astype(np.int64),
      action_fields.LABELLED: np.append(np.ones(len(is_known), bool), False),
      action_fields.SOURCE: np.append(np.where(is_known, _TRUE, _IDM), _NONE),
      _ENTROPY: _with_last(entropy(probabilities)),
      _VOTES: _with_last(votes.num_votes.astype(np.int64)),
  } | _probability_fields(probabilities, best, top_k)


@steps.register
def _(space: action_space.Parts, layout, fields, is_known, votes, *, top_k=0):
  said = values(layout, votes.probabilities)
  actions, labelled, sources = {}, {}, {}
  for name, stored in fields['action'].items():
    source = np.where(is_known[name], _TRUE, _IDM if name in said else _NONE)
    actions[name] = np.where(is_known[name], stored[:-1], said.get(name, 0))
    labelled[name] = np.append(source != _NONE, False)
    sources[name] = np.append(source, _NONE)
  result = {
      'action': action_fields.each(_with_last, action_fields.stored(space, actions)),
      action_fields.LABELLED: labelled, action_fields.SOURCE: sources,
      _VOTES: _with_last(votes.num_votes.astype(np.int64)), _ENTROPY: {}}
  if found := quantiles(layout, votes.probabilities, LEVELS):
    result[_QUANTILES] = action_fields.each(_with_last, found)
  for part, own, segment in zip(layout.parts, layout.own, layout.segments, strict=True):
    if own:
      probabilities = votes.probabilities[:, segment]
      result[_ENTROPY][own.name] = _with_last(entropy(probabilities))
      for field, found in _of_part(part, own, probabilities, top_k).items():
        result.setdefault(field, {})[own.name] = found
  return result


def _of_part(part, own, probabilities, top_k):
  """`_probability_fields` of a part, [L, n] of the run's, in the order of the dataset's values."""
  if own.kind == 'continuous':
    return {}
  classes = part.from_own(np.arange(own.num_classes), own).astype(int)
  probabilities = probabilities[:, classes]
  return _probability_fields(
      probabilities, np.argsort(-probabilities, axis=1, kind='stable'), top_k)


def _probability_fields(probabilities, best, top_k):
  """{field: [L + 1, ..]} of probabilities [L, A]; `best`: the order of them."""
  if not top_k:
    return {_ALL: _with_last(probabilities)}
  top = best[:, :top_k]
  return {_TOP: _with_last(top),
          _TOP_ALL: _with_last(np.take_along_axis(probabilities, top, axis=1))}


@functools.singledispatch
def values(layout, probabilities):
  """Reads predictions as actions: the most probable ones, or of numbers their expectation.

  Args:
    layout: see `features`.
    probabilities: [L, A] float32.

  Returns:
    [L] int ids; of several parts {part: [L]} of those that the environment has, as its data stores
    them: int64 ids of its names, bool, or float32 in [low, high].
  """
  del layout
  return probabilities.argmax(axis=1)


@values.register
def _(layout: action_space.Parts, probabilities):
  found = layout.to_stored(layout.predicted(probabilities))
  return action_fields.stored(layout, {
      own.name: _in_range(own, found[own.name]) for own in layout.own if own})


def _in_range(own, values):
  """Values in the range of a part: the outermost of the run's bins may hold more than it has."""
  if own.kind != 'continuous':
    return values
  return np.clip(values, np.float32(own.low), np.float32(own.high))


def quantiles(layout, probabilities, levels):
  """Reads quantiles of numbers off predictions.

  Args:
    layout: an `action_space.Parts`, see `features`.
    probabilities: [L, A] float32.
    levels: [q] in [0, 1], rising.

  Returns:
    {part: [L, q] float32 in [low, high]} of those parts that are numbers. They rise, but around a
    circle where they pass its end: they enclose the expectation.
  """
  return {own.name: _in_range(own, part.quantiles(probabilities[:, segment], levels))
          for part, own, segment in zip(layout.parts, layout.own, layout.segments, strict=True)
          if own and own.kind == 'continuous'}


def entropy(probabilities):
  """Computes the entropy of probabilities [L, n] in nats: [L] float32."""
  logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
  return -np.sum(probabilities * logs, axis=1).astype(np.float32)


def _with_last(values):
  """[L, ...] -> [L + 1, ...] with zeros for the last step."""
  return np.concatenate([values, np.zeros_like(values[:1])])


def count(steps):
  """Counts labels by what they are of, from what `steps` returns.

  Returns:
    {'transitions': L, 'labelled': those that have an action, or one of its parts, 'sources': {name
    of the source field: how many actions are of each of SOURCES}}.
  """
  known = action_fields.any_known(steps[action_fields.LABELLED])
  sources = action_fields.flat({action_fields.SOURCE: steps[action_fields.SOURCE]})
  return {'transitions': len(known) - 1, 'labelled': int(known.sum()), 'sources': {
      name: np.bincount(of[:-1], minlength=len(action_fields.SOURCES)).tolist()
      for name, of in sources.items()}}


def total(counts):
  """Adds up what `count` returns."""
  counts = list(counts)
  return {name: sum(own[name] for own in counts) for name in ('transitions', 'labelled')} | {
      'sources': {name: np.sum([own['sources'][name] for own in counts], axis=0).tolist()
                  for name in (counts[0]['sources'] if counts else ())}}


def said(counts):
  """Returns what a dataset card says of `total`: num_true and num_idm, of each part as well."""
  found = {name: {'num_true': of[_TRUE], 'num_idm': of[_IDM]}
           for name, of in counts['sources'].items()}
  whole = {key: sum(of[key] for of in found.values()) for key in ('num_true', 'num_idm')}
  parts = {name.partition('/')[2]: of for name, of in found.items() if '/' in name}
  return whole | ({'parts': parts} if parts else {})
