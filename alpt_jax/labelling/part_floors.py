"""Floors and the ceiling of labels of several parts: what is said of each that needs no IDM.

They are predictions, too, of the same transitions as the IDM's, and are measured alike; persistence
and shuffled events follow from the truth and are added by `part_measures`. The most frequent value,
the mean and the linear map are fitted to the labels that the IDM had.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax.labelling import part_measures
from alpt_jax.measures import continuous, floors, label_floors

_NO_LABELS = 'training had no labels of it that a floor could be fitted to'
_NO_CAUSAL = 'no run with model.idm_is_causal was given (--causal)'


class References(NamedTuple):
  """What else is said of the parts of M transitions.

  Attributes:
    said: {part: {name: `part_measures.Said`}}.
    unknown: {part: {name: why there is none}}.
    num_labels: {part: labels that floors were fitted to}.
  """
  said: dict
  unknown: dict
  num_labels: dict


def find(episodes, spec, choice, found, *, past=None, ceiling=None):
  """Says of audited transitions what floors and the ceiling say.

  Args:
    episodes: `episodes.Episodes` of the environment, with all known actions.
    spec: the `types.EnvironmentSpec` of it.
    choice: `labels.Choice`, what the IDM knew of it; None if it was no target.
    found: `part_audit.Predictions` of it.
    past: the same transitions, by an IDM that sees the past only; None for none.
    ceiling: what `Domain.part_ceiling` returns of the audited episodes, sorted.

  Returns:
    `References` of the parts that the environment has.
  """
  space = spec.actions
  linear, num_labels, constants = _fit(episodes, spec, choice, found)
  scores = _predict(episodes, found, linear)
  said, unknown = {}, {}
  for p, (part, own) in enumerate(zip(space.parts, space.own, strict=True)):
    if own is None:
      continue
    of_part, missing = {}, {}
    for name, value in constants[p].items():
      of_part[name] = part_measures.Said(np.full(len(found.actions), value))
    if p in scores:
      of_part['linear'] = _linear_said(part, own, scores[p])
    else:
      missing['linear'] = _why_not_linear(spec, choice, num_labels[part.name])
    if past is None:
      missing['past'] = _NO_CAUSAL
    else:
      of_part['past'] = part_measures.said_by(
          part, own, past.probabilities[:, space.segments[p]])
    if ceiling is None or 'unknown' in ceiling:
      missing[part_measures.CEILING] = (ceiling or {}).get('unknown', 'nobody has computed it')
    else:
      of_part[part_measures.CEILING] = _ceiling_said(part, own, ceiling, found)
    said[part.name], unknown[part.name] = of_part, missing
  return References(said, unknown, num_labels)


def _fit(episodes, spec, choice, found):
  """Fits to labels: {p: function of features}, {part: number}, and [P] of {name: value}."""
  space = spec.actions
  actions, is_known, features = _labelled(episodes, spec, choice)
  linear, num_labels, constants = {}, {}, []
  for p, part in enumerate(space.parts):
    values = actions[is_known[:, p], p]
    num_labels[part.name] = len(values)
    if len(values) >= 2 and features is not None:
      linear[p] = _fit_linear(part, features[is_known[:, p]], values)
    # Without labels, the truth that is audited tells them: a bit too good.
    values = values if len(values) else found.actions[found.is_known[:, p], p]
    constants.append(_constants(part, values) if len(values) else {})
  return linear, num_labels, constants


def _labelled(episodes, spec, choice):
  """Actions [N, P], whether they are known, and features [N, F] of labelled transitions."""
  num_parts = len(spec.actions.parts)
  if choice is None or not len(choice.windows):
    return np.zeros((0, num_parts)), np.zeros((0, num_parts), bool), None
  windows = np.asarray(choice.windows, np.int64)
  episode = np.repeat(windows[:, 0], choice.window)
  timestep = (windows[:, 1:] + np.arange(choice.window)).ravel()
  columns = [(rows, cut.actions[:, 0], cut.is_labelled[:, 0], _features(cut))
             for rows, cut in label_floors.transitions(episodes, episode, timestep)]
  rows, *columns = map(np.concatenate, zip(*columns, strict=True))
  back = np.argsort(rows)  # By window, so that the last fifth is of other windows.
  actions, is_known, features = (column[back] for column in columns)
  return actions, is_known, None if spec.observation_kind == 'grid' else features


def _features(cut):
  return floors.change_features(cut.observations[:, 0], cut.observations[:, 1])


def _fit_linear(part, features, values):
  """A function from features [M, F] to scores [M, n], or to numbers [M]."""
  if part.kind == 'continuous':
    return continuous.fit_linear(features, values, _period(part))
  fitted = floors.fit_linear(features, values.astype(np.int64), part.num_classes)
  return lambda others: floors.predict_values(fitted, others)


def _period(part):
  return part.high - part.low if part.wraps else None


def _constants(part, values):
  """What always saying the same says: {name: value}."""
  if part.kind != 'continuous':
    return {'majority': float(np.bincount(values.astype(np.int64)).argmax())}
  found = {'mean': continuous.mean_of(values, _period(part))}
  return found | ({'zero': 0.} if part.low <= 0 <= part.high else {})


def _predict(episodes, found, linear):
  """Scores of linear maps {p: [M, n] or [M]} of the audited transitions."""
  parts = {p: [] for p in linear}
  order = []
  for rows, cut in label_floors.transitions(episodes, found.episodes, found.timesteps):
    if not linear:
      break
    features = _features(cut)
    order.append(rows)
    for p, fn in linear.items():
      parts[p].append(fn(features))
  back = np.argsort(np.concatenate(order)) if order else None
  return {p: np.concatenate(scores)[back] for p, scores in parts.items()}


def _linear_said(part, own, scores):
  """What a linear map says, held to what the environment has as the IDM's labels are."""
  if part.kind == 'continuous':
    if part.wraps:
      scores = part.low + (scores - part.low) % _period(part)
    return part_measures.Said(np.clip(scores, own.low, own.high))
  legal = part.own_classes(own)
  values = np.where(legal, scores, -np.inf).argmax(axis=1).astype(float)
  return part_measures.Said(values, scores[:, 1] if part.kind == 'binary' else None)


def _why_not_linear(spec, choice, num_labels):
  if choice is None:
    return _NO_LABELS
  if spec.observation_kind == 'grid':
    return 'observations are grids, whose changes no linear map tells'
  return f'training knew it in {num_labels} steps; a linear map takes at least 2'


def _ceiling_said(part, own, ceiling, found):
  """What the best guesser says, from its numbers of whole episodes."""
  place = np.searchsorted(np.unique(found.episodes), found.episodes)
  values = np.stack([np.asarray(ceiling[e][part.name])[t]
                     for e, t in zip(place, found.timesteps, strict=True)])
  if part.kind == 'continuous':
    return part_measures.Said(values.astype(np.float64))
  if part.kind == 'binary':
    values = np.stack([1 - values, values], axis=1)
  return part_measures.said_by(part, own, values)

