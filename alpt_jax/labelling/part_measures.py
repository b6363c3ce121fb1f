"""Measures what is said of one part of actions, by its kind, beside what needs no IDM.

Each figure is a function of sums over episodes (`Figure`), so that it comes with an interval, and
so does the difference of two on the same transitions. Arrays in, dicts that JSON can hold out;
`part_audit` says what is in them.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from alpt_jax import action_parts
from alpt_jax.labelling import audit
from alpt_jax.measures import (
    accuracy,
    changes,
    confusions,
    continuous,
    events,
    floors,
    lag,
    resampling,
)
from alpt_jax.measures import predictions as predictions_

IDM, PERSISTENCE, LUCK, CEILING = 'idm', 'persistence', 'luck', 'ceiling'
FLOORS = (PERSISTENCE, 'majority', 'mean', 'zero', 'linear', 'past', LUCK)
MAIN = {'categorical': 'accuracy', 'binary': 'event_f1_0', 'continuous': 'r2'}
LEVELS = (.05, .25, .75, .95)  # Of quantiles, for the intervals of 90 % and 50 %.
_AT_CHANGES = ('accuracy', 'r2', 'mean_absolute_error', 'within')
_SMALLEST_SPREAD = .05  # Of labels, relative to that of the truth: less is constant.
_NUM_POINTS = 400  # Of a picture.
_AP_RESAMPLES = 200  # Ranks are summed up anew in each.


class Case(NamedTuple):
  """The truth of one part in M transitions.

  Attributes:
    part: from `action_parts`, as the run has it.
    own: the same as the environment declares it.
    true: [M] float; anything where not known.
    is_known: [M] bool.
    timeline: `timeline.Timeline`.
    half: [M] bool, the transitions that thresholds are fitted to; None for a single episode.
  """
  part: Any
  own: Any
  true: np.ndarray
  is_known: np.ndarray
  timeline: Any
  half: Any = None

  @property
  def period(self):
    """Length of the circle, None for a line; see `continuous.difference`."""
    return self.part.high - self.part.low if getattr(self.part, 'wraps', False) else None


class Said(NamedTuple):
  """What is said of a part in M transitions.

  Attributes:
    values: [M] float; ids, 0 or 1, or numbers.
    scores: [M] float; of a binary part, higher for more likely down. None if it has none.
    probabilities: [M, n] float of the part's classes; None if it has none.
    quantiles: [M, 4] float; of a continuous part, at LEVELS. None if it has none.
  """
  values: np.ndarray
  scores: Any = None
  probabilities: Any = None
  quantiles: Any = None


class Figure(NamedTuple):
  """A number as a function of sums [E, ...] over episodes: statistic([..., ...]) -> [...]."""
  sums: np.ndarray
  statistic: Any


def said_by(part, own, probabilities):
  """Makes a `Said` of probabilities [M, n] of a part's classes; numbers are in the range of own."""
  values = part.predicted(probabilities)
  if part.kind == 'continuous':
    values = np.clip(values, own.low, own.high)  # As labels are written.
  return Said(
      np.asarray(values, np.float64),
      probabilities[:, 1] if part.kind == 'binary' else None, probabilities,
      part.quantiles(probabilities, np.array(LEVELS)) if part.kind == 'continuous' else None)


@functools.singledispatch
def figures(part, case, said, is_counted):
  """Sums up what is said of the transitions that count.

  Args:
    part: of `case`.
    case: `Case`.
    said: `Said`.
    is_counted: [M] bool; some of those that are known.

  Returns:
    {name: `Figure`}, with sums over all episodes.
  """
  raise NotImplementedError(part)


@figures.register
def _(part: action_parts.Categorical, case, said, is_counted):
  counts = _confusion(case, said, is_counted, part.num_classes)
  return {'accuracy': Figure(counts, confusions.accuracy),
          'balanced_accuracy': Figure(counts, confusions.balanced_accuracy),
          'macro_f1': Figure(counts, confusions.macro_f1)} | _nll(case, said, is_counted)


@figures.register
def _(part: action_parts.Binary, case, said, is_counted):
  counts = _confusion(case, said, is_counted, 2)
  true, pressed, known = (np.where(is_counted, x, 0)[:, None]
                          for x in (case.true, said.values, is_counted))
  known = known.astype(bool)
  found = {'accuracy': Figure(counts, confusions.accuracy),
           'balanced_accuracy': Figure(counts, confusions.balanced_accuracy),
           'step_f1': Figure(events.count_pressed(true, pressed, known, case.timeline)[:, 0],
                             events.f1)}
  return found | _event_figures(case, true, pressed, known) | _nll(case, said, is_counted)


@figures.register
def _(part: action_parts.Continuous, case, said, is_counted):
  sums = continuous.sums(
      case.true, said.values, is_counted, case.timeline, tolerance=part.tolerance,
      threshold=smallest_move(part), period=case.period)
  found = {name: Figure(sums, getattr(continuous, name)) for name in (
      'r2', 'pearson', 'mean_absolute_error', 'bias', 'scale_ratio', 'within', 'moving_f1')}
  if said.quantiles is not None:
    for name, low, high in (('coverage_50', 1, 2), ('coverage_90', 0, 3)):
      found[name] = Figure(continuous.count_covered(
          case.true, said.quantiles[:, low], said.quantiles[:, high], is_counted, case.timeline,
          period=case.period), events.share)
  return found


def smallest_move(part):
  """Returns what a value has to exceed to move, in units: half of the narrowest bin."""
  return float(np.diff(part.edges).min() / 2)


def _confusion(case, said, is_counted, num):
  """[E, n, n] counts."""
  true, values = (np.where(is_counted, x, 0).astype(np.int64) for x in (case.true, said.values))
  cells = (case.timeline.index * num + true) * num + values
  size = len(case.timeline.episodes)
  return np.bincount(cells[is_counted], minlength=size * num**2).reshape(size, num, num)


def _nll(case, said, is_counted):
  """{'nll': `Figure`} in nats, of what has probabilities."""
  if said.probabilities is None:
    return {}
  true = np.where(is_counted, case.true, 0).astype(np.int64)
  found = np.maximum(said.probabilities[np.arange(len(true)), true], accuracy.PROBABILITY_FLOOR)
  columns = np.stack([-np.log(found), np.ones(len(true))], axis=1)
  return {'nll': Figure(case.timeline.sums(np.where(is_counted[:, None], columns, 0)),
                        events.share)}


def _event_figures(case, true, pressed, known, is_shuffled=False):
  """F1 of events at each collar, of arrays [M, 1]; of shuffled ones the luck level."""
  true, said = (events.find(x, known, case.timeline) for x in (true, pressed))
  count = events.luck if is_shuffled else events.count
  found = {}
  for collar in events.COLLARS:
    counts = count(true, said, known, case.timeline, collar=collar)[:, 0]
    for i, kind in enumerate(events.KINDS):
      found[f'{kind}_f1_{collar}'] = Figure(counts[:, i], events.f1)
    found[f'event_f1_{collar}'] = Figure(counts.sum(axis=1), events.f1)
  return found


def luck(case, said, is_counted):
  """Event figures of what is said, shuffled in time: {name: `Figure`}."""
  true, pressed = (np.where(is_counted, x, 0)[:, None] for x in (case.true, said.values))
  return _event_figures(case, true, pressed, is_counted[:, None], is_shuffled=True)


class Estimator(NamedTuple):
  """Turns `Figure`s into numbers with intervals over the episodes that count.

  Attributes:
    is_in: [E] bool; the episodes of which something is counted.
    num_resamples, seed: see `resampling.interval`.
  """
  is_in: np.ndarray
  num_resamples: int
  seed: int

  def __call__(self, figure):
    """{value, low, high, n} of a `Figure`, and `reason` where an interval is missing."""
    return as_dict(resampling.interval(figure.sums[self.is_in], figure.statistic,
                                       num_resamples=self.num_resamples, seed=self.seed))

  def difference(self, figure, other):
    """The same of the first minus the second."""
    shapes = [x.sums.shape[1:] for x in (figure, other)]
    parts = [x.sums.reshape(len(x.sums), -1) for x in (figure, other)]
    middle = parts[0].shape[1]

    def statistic(total):
      first, second = total[..., :middle], total[..., middle:]
      return (figure.statistic(first.reshape(*total.shape[:-1], *shapes[0]))
              - other.statistic(second.reshape(*total.shape[:-1], *shapes[1])))

    return self(Figure(np.concatenate(parts, axis=1), statistic))


def as_dict(interval):
  """{value, low, high, n} of an `intervals.Interval`, and `reason` where one is missing."""
  found = {key: getattr(interval, key) for key in ('value', 'low', 'high', 'n')}
  return found | ({'reason': interval.reason} if interval.reason else {})


def measure(case, said, *, num_resamples, seed):
  """Measures one part of one environment.

  Args:
    case: `Case`; known in one transition at least.
    said: {name: `Said`}: of IDM, and of floors and the ceiling as far as there are any;
      persistence is added.
    num_resamples: of intervals and of the lag test.
    seed: of resampling.

  Returns:
    An entry of `parts`, see `part_audit`, without what cannot be known.
  """
  before, has_one = case.timeline.before(np.where(case.is_known, case.true, 0), case.is_known)
  said = said | {PERSISTENCE: Said(before)}
  is_counted = case.is_known & has_one
  is_changed = changes.is_changed(case.true, case.is_known, case.timeline, period=case.period)
  estimator = functools.partial(_estimator, case, num_resamples=num_resamples, seed=seed)
  compared = _block(case, said, is_counted, estimator(is_counted))
  at_changes = {
      name: {key: estimator(is_changed)(figure) for key, figure in figures(
          case.part, case, x, is_changed).items() if key in _AT_CHANGES}
      for name, x in said.items()} if is_changed.any() else {}
  estimate = estimator(case.is_known)
  entry = {
      'name': case.part.name, 'kind': case.part.kind, **_counts(case, case.is_known),
      'figures': {key: estimate(x) for key, x in figures(
          case.part, case, said[IDM], case.is_known).items()},
      'compared': _counts(case, is_counted) | {'figures': compared.values},
      'at_changes': _counts(case, is_changed) | {'figures': at_changes},
      'lag': _lag(case, said[IDM], num_resamples, seed)}
  more, judged = _details(case.part, case, said, is_counted, estimator)
  judged = judged or compared
  main = MAIN[case.part.kind]
  of_steps = 'accuracy' if case.part.kind == 'binary' else main
  return entry | more | {
      'main': {'figure': main,
               'values': {name: x[main] for name, x in judged.values.items() if main in x},
               'margins': judged.margins(main)},
      'over_persistence': {'figure': of_steps} | {
          name: compared.values[name][of_steps] for name in (IDM, PERSISTENCE)} | {
              'margin': compared.margins(of_steps)[PERSISTENCE]}}


def _estimator(case, is_counted, *, num_resamples, seed):
  return Estimator(case.timeline.sums(is_counted) > 0, num_resamples, seed)


def _counts(case, is_counted):
  return {'num_transitions': int(is_counted.sum()),
          'num_episodes': int(np.sum(case.timeline.sums(is_counted) > 0))}


class _Block(NamedTuple):
  """Figures of several on the same transitions: {name: {figure: ..}}, as numbers and as sums."""
  values: dict
  sums: dict
  estimate: Estimator

  def margins(self, key):
    """By how much the IDM is above each of the others in a figure: {name: {value, low, high}}."""
    ours = self.sums[IDM][key]
    return {name: self.estimate.difference(ours, x[key])
            for name, x in self.sums.items() if name != IDM and key in x}


def _block(case, said, is_counted, estimate):
  sums = {name: figures(case.part, case, x, is_counted) for name, x in said.items()}
  if case.part.kind == 'binary':
    sums[LUCK] = luck(case, said[IDM], is_counted)
  values = {name: {key: estimate(figure) for key, figure in found.items()}
            for name, found in sums.items()}
  return _Block(values, sums, estimate)


def _lag(case, said, num_resamples, seed):
  """The entry `lag`, or {'unknown': why}."""
  settings = dict(num_resamples=num_resamples, seed=seed)
  if case.part.kind == 'continuous':
    try:
      found = lag.lag_test_increments(case.true, said.values, case.is_known, case.timeline,
                                      period=case.period, **settings)
    except ValueError as error:
      return {'unknown': str(error).partition(';')[0]}
  else:
    found = lag.lag_test(known_of(case, said), **settings)
  return audit.plain(found._asdict())


def known_of(case, said):
  """`predictions.Predictions` of the known transitions of a part, over the classes it may have."""
  legal = np.flatnonzero(case.part.own_classes(case.own))
  timeline, known = case.timeline, case.is_known
  steps = np.empty(len(timeline), np.int64)  # Timesteps, with a gap wherever there is one.
  steps[timeline.order] = np.arange(len(timeline)) + len(timeline) * np.cumsum(
      timeline.previous[timeline.order] < 0)
  return predictions_.Predictions(
      said.probabilities[known][:, legal],
      np.searchsorted(legal, case.part.classes(case.true[known])), timeline.index[known],
      steps[known])


@functools.singledispatch
def _details(part, case, said, is_counted, estimator):
  """What only parts of this kind have: a dict, and a `_Block` for the main figure or None."""
  raise NotImplementedError(part)


@_details.register
def _(part: action_parts.Categorical, case, said, is_counted, estimator):
  del is_counted, estimator
  legal = np.flatnonzero(part.own_classes(case.own))
  names = [part.names[i] for i in legal]
  counts = _confusion(case, said[IDM], case.is_known, part.num_classes).sum(axis=0)
  counts = counts[np.ix_(legal, legal)]
  known = known_of(case, said[IDM])
  return {'names': names, 'confusion': counts.tolist(), 'nll_uniform': float(np.log(len(names))),
          'labels': _frequency(counts, names), 'calibration': audit.calibration_of(known, 0)}, None


@_details.register
def _(part: action_parts.Binary, case, said, is_counted, estimator):
  counts = _confusion(case, said[IDM], case.is_known, 2).sum(axis=0)
  precisions = {}
  for name, x in said.items():
    if x.scores is not None and is_counted.any():
      precisions[name] = as_dict(events.average_precision_interval(
          x.scores[is_counted], case.true[is_counted] == 1, case.timeline.index[is_counted],
          num_resamples=min(_AP_RESAMPLES, estimator(is_counted).num_resamples)))
  block, thresholds = fitted(case, said, is_counted, estimator)
  return {'names': list(part.class_names), 'confusion': counts.tolist(),
          'labels': _frequency(counts, part.class_names), 'nll_uniform': float(np.log(2)),
          'calibration': audit.calibration_of(known_of(case, said[IDM]), 0),
          'prevalence': float(counts[1].sum() / counts.sum()),
          'average_precision': precisions, 'thresholds': thresholds}, block


def fitted(case, said, is_counted, estimator):
  """Judges a key with thresholds of other episodes: `_Block` or None, and entry `thresholds`."""
  if case.half is None:
    return None, {'unknown': 'one episode: nothing is left to score thresholds on'}
  first, other = is_counted & case.half, is_counted & ~case.half
  if not (first.any() and other.any()):
    return None, {'unknown': 'its truth is known in one half of the episodes only'}
  pressed, found = pressed_above(case, said, first)
  block = _block(case, pressed, other, estimator(other))
  for of_one in block.values.values():  # Of probabilities, whatever the threshold is.
    of_one.pop('nll', None)
  return block, {
      **_counts(case, other), 'num_episodes_fitted': _counts(case, first)['num_episodes'],
      'fitted': {name: x if np.isfinite(x) else None for name, x in found.items()},
      'figures': block.values}


def pressed_above(case, said, is_fitted):
  """Applies thresholds that are fitted to some transitions: {name: `Said`}, {name: threshold}.

  What has no scores is left as it is. A threshold is infinite if the key was never down.
  """
  thresholds = {name: events.fit_threshold(x.scores[is_fitted], case.true[is_fitted] == 1)
                for name, x in said.items() if x.scores is not None}
  return {name: x._replace(values=(x.scores >= thresholds[name]).astype(float))
          if name in thresholds else x for name, x in said.items()}, thresholds


def _frequency(counts, names):
  """The entry `labels` of [n, n] counts."""
  share, true = (counts.sum(axis=axis) / max(counts.sum(), 1) for axis in (0, 1))
  i = int(share.argmax())
  is_constant = (floors.is_constant(floors.Frequent(i, share[i])) and share[i] > true[i] and
                 not floors.is_constant(floors.Frequent(i, true[i]))) or share[i] == 1 > true[i]
  return {'most_frequent': names[i], 'share': float(share[i]), 'true_share': float(true[i]),
          'is_constant': bool(is_constant)}


@_details.register
def _(part: action_parts.Continuous, case, said, is_counted, estimator):
  del estimator
  true = case.true[case.is_known]
  centre = continuous.mean_of(true, case.period)
  spreads = [continuous.difference(x, centre, case.period).std()
             for x in (true, said[IDM].values[case.is_known])]
  spread = float(spreads[1] / spreads[0]) if spreads[0] else None
  return {'unit': part.unit, 'low': case.own.low, 'high': case.own.high,
          'tolerance': part.tolerance, 'smallest_move': smallest_move(part),
          'labels': {'spread': spread,
                     'is_constant': spread is not None and spread < _SMALLEST_SPREAD},
          'picture': _picture(case, said, is_counted)}, None


def _picture(case, said, is_counted):
  """Some points, and for each a line: what is said on average, by the truth."""
  rows = np.flatnonzero(is_counted)
  if not len(rows):
    return {'true': [], 'predicted': [], 'lines': {}}
  true = np.asarray(case.true, np.float64)[rows]
  lines = {}
  for name, x in said.items():
    near = true + continuous.difference(x.values[rows], true, case.period)
    if np.ptp(true) > 0:
      lines[name] = np.polyfit(true, near, 1)[::-1].tolist()
    if name == IDM:
      shown = near
  some = np.random.default_rng(0).permutation(len(rows))[:_NUM_POINTS]
  return {'true': _short(true[some]), 'predicted': _short(shown[some]), 'lines': lines}


def _short(values):
  return [float(f'{x:.5g}') for x in values]
