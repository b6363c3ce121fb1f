"""Audits an IDM's labels of actions of several parts on held-out transitions, as one dict.

As `audit` of one action a step. Each part is judged on the steps where its
truth is known. Arrays in, a dict out; `part_findings` words it, `part_audit_report` shows it.

The dict, format 4; what is not known is None, or {'unknown': why} where that is said. A number is
{value, low, high, n}: its 95 % interval over n episodes, with a `reason` where an interval or the
value is missing. Who says something is 'idm' or one of floors and ceiling: 'persistence', the true
value of the step before; 'majority' of binary and categorical parts, or 'mean' and 'zero' of
continuous ones, always the same value; 'linear', a linear map of the change of the observation;
'past', an IDM that sees the past only (--causal); 'luck', the IDM's events moved to random steps;
'ceiling', what the best guesser says, where the domain knows it.

  format, headlines, warnings, stride, temperature, training_temperature and their fits
                 as in `audit`: a temperature is one for all parts, fitted to their classes
  environments   list, in the order given:
    name, kind, num_transitions, num_episodes   as in `audit`
    parts        list of those that it has:
      name, kind   'categorical', 'binary' or 'continuous'
      unknown      where its truth is known in no step, or training did not know it: why; nothing
                   follows then
      num_labels   that floors were fitted to; 0: the constant ones are those of the audited truth
      references   {who: why there is none}
      num_transitions, num_episodes   with known truth
      figures      {figure: number} of the IDM, over these
      compared     {num_transitions, num_episodes, figures: {who: {figure: number}}} over those of
                   them whose truth of the step before is known, too: the same for all
      at_changes   the same where the two differ
      main         {figure, values: {who: number}, margins: {who: number}}: the figure of headlines;
                   margins are the IDM's minus that of each other, paired
      over_persistence   {figure, idm, persistence, margin}
      lag          as in `audit`, or unknown; of a continuous part of increments, where `accuracy`
                   is a correlation
      labels       {most_frequent, share, true_share, is_constant}; of a continuous part {spread,
                   is_constant}: standard deviation of labels by that of the truth
    categorical and binary parts:
      names, confusion, calibration, nll_uniform   as in `audit`; nll is a figure
      figures      accuracy, balanced_accuracy, macro_f1 or step_f1 (of down), nll
    binary parts:
      figures      onset_f1_0 .. onset_f1_2, release_f1_0 .., event_f1_0 ..: F1 of events matched
                   within so many steps; persistence is late by one, so it is a floor at 0 only
      prevalence   share of steps in which it is down
      average_precision   {who: number}
      thresholds   {num_transitions, num_episodes, num_episodes_fitted, fitted: {who: threshold,
                   None if never down}, figures: {who: {figure: number}}} with thresholds fitted to
                   one half of the episodes, scored on the other; or unknown
    continuous parts:
      unit, low, high, tolerance, smallest_move   in units
      figures      r2, pearson, mean_absolute_error, bias, scale_ratio, within (tolerance),
                   moving_f1, coverage_50, coverage_90
      picture      {true, predicted: some points, lines: {who: [a, b]}}: of the truth x, a + b x is
                   said on average
    keys         of two binary parts or more: {num_transitions, labels, thresholds: {who: number}},
                 share of steps with all keys right, thresholds as above; else None
    d2e          {keys, axes, bin_seconds, step_seconds (None: a step counts as a bin),
                 num_transitions, figures: {who: {figure: number}}}, see `part_desktop`; or unknown
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from alpt_jax.labelling import audit as audit_
from alpt_jax.labelling import part_desktop, part_findings, part_measures
from alpt_jax.measures import events, timeline
from alpt_jax.measures import predictions as predictions_

FORMAT = 4
_NOT_PREDICTED = 'training had no such part, so it has no labels'
_MOST_OF_A_FIT = 2**18  # Rows of classes that a temperature is fitted to.


class Predictions(NamedTuple):
  """What an IDM says of M transitions of one environment, and what was done in them.

  Attributes:
    name: of the environment.
    space: `action_space.Parts` of the run, as the environment has it.
    probabilities: [M, A] float; those of each part sum to 1, illegal classes have exactly 0.
    actions: [M, P] float; the truth.
    is_known: [M, P] bool; any in each row.
    episodes: [M] int; equal for the transitions of an episode.
    timesteps: [M] int; place of the transition in its episode.
    kind: one of `audit.KINDS`.
    references: `part_floors.References`, or None.
    step_seconds: length of a step; None if nobody knows.
    left_out: parts from `action_parts` that the environment has and the run does not know.
  """
  name: str
  space: Any
  probabilities: np.ndarray
  actions: np.ndarray
  is_known: np.ndarray
  episodes: np.ndarray
  timesteps: np.ndarray
  kind: str = audit_.HELD_OUT
  references: Any = None
  step_seconds: float | None = None
  left_out: tuple = ()


def gather(spec, episodes, numbers, predict_fn, *, kind, **settings):
  """Predicts the actions of episodes and looks up the truth: `Predictions`; see `audit.collect`."""
  return Predictions(spec.name, spec.actions, kind=kind, **audit_.collect(
      spec.name, episodes, numbers, predict_fn, spec.actions.num, **settings))


def audit(predictions: Sequence[Predictions], single_windows=None, *, stride=1, num_resamples=1000,
          seed=0):
  """Measures how far labels can be trusted.

  Args:
    predictions: list of `Predictions`, one for each environment.
    single_windows: as in `audit.audit`.
    stride: as in `audit.audit`.
    num_resamples: of intervals and of lag tests.
    seed: of resampling, and of halves of episodes.

  Returns:
    The dict that the module describes.

  Raises:
    ValueError: naming the environment, the part and what is wrong with its predictions.
  """
  audit_.check_names(predictions)
  cases = [_cases(found, seed) for found in predictions]
  result = {'format': FORMAT, 'headlines': [], 'warnings': [], 'stride': stride,
            'environments': [_measure(found, of_parts, num_resamples, seed)
                             for found, of_parts in zip(predictions, cases, strict=True)]}
  votes = _of_classes(predictions)
  result |= audit_.temperatures(
      votes, votes if single_windows is None else _of_classes(single_windows), seed)
  return result | {'headlines': part_findings.headlines(result),
                   'warnings': part_findings.warnings(result)}


def _cases(found, seed):
  """{part: `part_measures.Case`} of an environment; ValueError if its predictions are wrong."""
  _check(found)
  place = timeline.Timeline(found.episodes, found.timesteps)
  half = place.draw_half(seed) if len(place.episodes) > 1 else None
  return {part.name: part_measures.Case(
      part, own, np.asarray(found.actions[:, p], np.float64), found.is_known[:, p], place, half)
          for p, (part, own) in enumerate(zip(found.space.parts, found.space.own, strict=True))
          if own is not None}


def _check(found):
  """Refuses predictions that do not fit their space."""
  space, where = found.space, f'predictions of {found.name}'
  shape = (len(found.episodes), len(space.parts))
  for name, expected in (('probabilities', (shape[0], space.num)), ('actions', shape),
                         ('is_known', shape)):
    if np.shape(getattr(found, name)) != expected:
      raise ValueError(f'{where}: {name} have shape {np.shape(getattr(found, name))}; expected '
                       f'{expected}.')
  if found.kind not in audit_.KINDS:
    raise ValueError(f'{where}: kind is {found.kind!r}; expected one of {audit_.KINDS}.')
  for p, (part, own) in enumerate(zip(space.parts, space.own, strict=True)):
    said, known = found.probabilities[:, space.segments[p]], found.is_known[:, p]
    if own is None:
      if np.any(said) or known.any():
        raise ValueError(f'{where}: part {part.name} has a probability or a truth; {found.name} '
                         'lacks it.')
      continue
    legal = np.flatnonzero(space.mask[space.segments[p]])
    try:
      predictions_.Predictions(said, np.zeros(len(said), np.int64)).check_legal(legal)
    except ValueError as error:
      raise ValueError(f'{where}: part {part.name}: {error}') from error
    values = found.actions[known, p]
    is_wrong, expected = (  # Ids of an environment may be others than those of the run.
        (~np.isin(values, legal), f'one of {legal.tolist()}') if part.kind == 'categorical' else
        own.problem(values))
    if is_wrong.any():
      raise ValueError(f'{where}: part {part.name} is {values[is_wrong.argmax()]:g}; expected '
                       f'{expected}. This is the data of another environment.')


def _of_classes(predictions):
  """`audit.Predictions` of the classes of every part, for temperatures."""
  found = []
  size = sum(int(x.is_known.sum()) for x in predictions)
  every = -(-size // _MOST_OF_A_FIT)
  for x in predictions:
    for p, (part, own) in enumerate(zip(x.space.parts, x.space.own, strict=True)):
      rows = np.flatnonzero(x.is_known[:, p])[::every]
      if own is None or not len(rows):
        continue
      legal = np.flatnonzero(x.space.mask[x.space.segments[p]])
      found.append(audit_.Predictions(
          x.name, x.probabilities[rows][:, x.space.segments[p]][:, legal],
          np.searchsorted(legal, part.classes(x.actions[rows, p])), x.episodes[rows],
          x.timesteps[rows], tuple(part.class_names[i] for i in legal),
          tuple(range(len(legal))), None, x.kind))
  return found


def _measure(found, cases, num_resamples, seed):
  """An entry of `environments`."""
  settings = dict(num_resamples=num_resamples, seed=seed)
  references, said, parts = found.references, {}, []
  segments = dict(zip(found.space.part_names, found.space.segments, strict=True))
  for name, case in cases.items():
    said[name] = {part_measures.IDM: part_measures.said_by(
        case.part, case.own, found.probabilities[:, segments[name]])}
    said[name] |= references.said[name] if references else {}
    entry = {'name': name, 'kind': case.part.kind,
             'num_labels': references.num_labels[name] if references else 0,
             'references': references.unknown[name] if references else {}}
    parts.append(entry | (
        part_measures.measure(case, said[name], **settings) if case.is_known.any() else
        {'unknown': f'of {len(found.episodes)} audited transitions, its truth is known in none'}))
  parts += [{'name': part.name, 'kind': part.kind, 'unknown': _NOT_PREDICTED}
            for part in found.left_out]
  used = {name: case for name, case in cases.items() if case.is_known.any()}
  return {'name': found.name, 'kind': found.kind, 'num_transitions': len(found.episodes),
          'num_episodes': len(np.unique(found.episodes)), 'parts': parts,
          'keys': _keys(used, said, **settings),
          'd2e': part_desktop.measure(found.name, used, said, found.step_seconds, **settings)}


def _keys(cases, said, *, num_resamples, seed):
  """The entry `keys`."""
  keys = {name: case for name, case in cases.items() if case.part.kind == 'binary'}
  if len(keys) < 2:
    return None
  place = next(iter(keys.values())).timeline
  half = next(iter(keys.values())).half
  before = {name: place.before(np.where(case.is_known, case.true, 0), case.is_known)
            for name, case in keys.items()}
  is_counted = np.stack([case.is_known & before[name][1] for name, case in keys.items()], axis=1)
  said = {name: said[name] | {part_measures.PERSISTENCE: part_measures.Said(before[name][0])}
          for name in keys}
  true = np.stack([case.true for case in keys.values()], axis=1)
  who = [x for x in said[next(iter(keys))] if all(x in of_key for of_key in said.values())]

  def judged(values, is_used):
    is_used = is_counted & is_used[:, None]
    if not is_used.all(axis=1).any():
      return {'unknown': 'no step has all keys known'}
    found = {}
    for x in who:
      pressed = np.stack([values[name][x].values for name in keys], axis=1)
      counts = events.count_joint(np.where(is_used, true, 0), np.where(is_used, pressed, 0),
                                  is_used, place)
      estimate = part_measures.Estimator(counts[:, 1] > 0, num_resamples, seed)
      found[x] = estimate(part_measures.Figure(counts, events.share))
    return found

  found = {'num_transitions': int(is_counted.all(axis=1).sum()),
           'labels': judged(said, np.ones(len(place), bool)),
           'thresholds': {'unknown': 'one episode: nothing is left to score thresholds on'}}
  if half is not None:
    pressed = {name: part_measures.pressed_above(
        case, said[name], is_counted[:, i] & half)[0]
               for i, (name, case) in enumerate(keys.items())}
    found['thresholds'] = judged(pressed, ~half)
  return found
