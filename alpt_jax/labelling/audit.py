"""Audits an IDM's labels on held-out transitions: all its numbers, as one dict.

Arrays in, a dict out: what the IDM said of transitions whose actions are known, in one or several
environments, becomes the numbers of `measures` and the sentences of `audit_findings`. JSON holds
all of it; `audit_report` makes the page.

The dict, format 3; shares and probabilities are in [0, 1], and what is not known is None:

  format         3
  headlines      list of sentences: the accuracy in each environment that training did not know,
                 and the best floor
  warnings       list of {kind, environment, text}, see `audit_findings`; [] if there is none
  stride         transitions from one window to the next of those that voted. All numbers but
                 training_temperature are of the votes' averages
  temperature    what experiments.label with that --stride is to be given: T of `apply_temperature`
                 in `calibration`, to the logarithms of the averages. 1 to leave them; None if there
                 are no two episodes of targets that training did not know
  training_temperature  what training is to be given as pseudo_labels.temperature: that logits of
                 single windows are divided by. As `temperature` in all else
  temperature_fit, training_temperature_fit  None, or how that was found:
    fitted         the best temperature for a half of these episodes
    is_at_bound    whether a better one may lie outside of calibration.TEMPERATURE_BOUNDS
    num_episodes_fitted, num_episodes_judged   the two halves
    nll_before, nll_after   of the other half, at temperature 1 and at `fitted`, nats
    before, after           of the other half: calibration as below
  environments   list, in the order given:
    name, kind     kind is one of KINDS: what training knew
    num_transitions, num_episodes
    accuracy       {value, low, high, level}; low and high are None for a single episode
    gain           the same for accuracy minus that of the most frequent action
    balanced_accuracy
    labels         {most_frequent, share, is_constant}: the most frequent label, a name, and whether
                   its share is above `floors.CONSTANT_SHARE`
    floors         {floors, random_draws, ceiling} as `run_floors` describes, what labels score that
                   need no IDM, and what the best could; {causal}, see `run_floors.of_past`, if an
                   IDM was given that sees the past only; None in audits from before there were any
    baselines      {majority, majority_accuracy, no_op, no_op_accuracy, chance_accuracy}; majority
                   and no_op are names of actions, the latter two None where there is no such action
    top_k          list: entry k - 1 is the share whose true action is among the k most probable
    nll            negative log-likelihood, nats; nll_uniform is that of knowing nothing
    actions        names of the L legal actions
    confusion      [L][L] counts; a row for each true action, a column for each label
    calibration    {error, low, high, count, confidence, accuracy} with bins of equal mass;
                   error_by_chance is what calibrated labels stay below, in 95 of 100 cases;
                   mean_confidence; equal_width_error as in Guo et al. (2017)
    coverage       {threshold, coverage, accuracy, area}; of the lists, at most 200 points
    lag            {shifts, accuracy, num_transitions, best, gain, num_episodes, p_value,
                   is_shifted}
    examples       list of windows with pictures, as in results.json, with a `kind`: 'wrong',
                   'unsure' or 'drawn', as `run_labels` chooses them. All of their transitions
                   were audited; was_labelled is False even where training knew the action. []
                   where observations are no pictures
"""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from alpt_jax.data import episodes as episodes_
from alpt_jax.labelling import audit_findings
from alpt_jax.measures import accuracy, calibration, confusions, floors, lag
from alpt_jax.measures import predictions as predictions_

FORMAT = 3
KINDS = (
    'held out',  # Of these episodes, training knew no action.
    'hidden',  # Training knew other actions of these episodes.
    'never seen',  # Training had nothing of this environment.
    'trained on')  # Training knew these actions: says how well they are remembered, no more.
HELD_OUT, HIDDEN, NEVER_SEEN, TRAINED_ON = KINDS
_NUM_BINS = 15
_NUM_COVERAGE_POINTS = 200
_LARGEST_K = 5
_LEVEL = .95
_NO_OPS = ('NOOP', 'NO_OP', 'NO-OP')  # In the ALE, the first.
# Single precision cannot hold smaller ones: of a legal action, 0 is no certainty.
_SMALLEST_PROBABILITY = float(np.finfo(np.float32).smallest_subnormal)


class Predictions(NamedTuple):
  """What an IDM says of M transitions of one environment, and what was done in them.

  Attributes:
    name: of the environment.
    probabilities: [M, A] float; rows sum to 1, illegal actions have exactly 0.
    actions: [M] int in [0, A); the truth.
    episodes: [M] int; equal for the transitions of an episode.
    timesteps: [M] int; place of the transition in its episode.
    action_names: [A] names.
    legal_actions: ids in [0, A).
    no_op: id of the action that does nothing, or None.
    kind: one of KINDS.
    examples: windows with pictures, of which nothing is counted; see `examples`.
    floors: what `run_floors.of_audit` says of it, or None.
  """
  name: str
  probabilities: np.ndarray
  actions: np.ndarray
  episodes: np.ndarray
  timesteps: np.ndarray
  action_names: tuple[str, ...]
  legal_actions: tuple[int, ...]
  no_op: int | None
  kind: str = HELD_OUT
  examples: Sequence[dict[str, Any]] = ()
  floors: dict[str, Any] | None = None


def audit(predictions, single_windows=None, *, stride=1, num_resamples=10_000, seed=0):
  """Measures how far labels can be trusted.

  Args:
    predictions: list of `Predictions`, one for each environment.
    single_windows: the same from windows that do not overlap, which only the temperature of
      training is fitted to; None if `predictions` are that.
    stride: transitions from one window to the next in `predictions`; only said in the result.
    num_resamples: of intervals and of the lag test.
    seed: of resampling, and of the halves of episodes for the temperature.

  Returns:
    The dict that the module describes.

  Raises:
    ValueError: naming the environment and what is wrong with its predictions.
  """
  check_names(predictions)
  cases = _legal_parts(predictions)
  result = {'format': FORMAT, 'headlines': [], 'warnings': [], 'stride': stride,
            'environments': []}
  for case in cases:
    with _naming(case.name):
      result['environments'].append(_measure(case, num_resamples, seed))
  result |= temperatures(
      cases, cases if single_windows is None else _legal_parts(single_windows), seed)
  return result | {'headlines': audit_findings.headlines(result),
                   'warnings': audit_findings.warnings(result)}


def check_names(predictions):
  """Refuses no predictions, or those of one environment twice."""
  if not predictions:
    raise ValueError('predictions are empty; expected those of one environment at least.')
  names = [p.name for p in predictions]
  for name in names:
    if names.count(name) > 1:
      raise ValueError(f'predictions are of {name} {names.count(name)} times; expected each '
                       'environment once.')


def temperatures(cases, single_windows, seed):
  """Fits temperatures to votes and to single windows, lists of `Predictions` of legal actions.

  Returns:
    {'temperature_fit', 'temperature', 'training_temperature_fit', 'training_temperature'}.
  """
  result = {}
  for key, some in (('temperature', cases), ('training_temperature', single_windows)):
    fit = result[f'{key}_fit'] = _fit_temperature(some, seed)
    result[key] = _recommended(fit)
  return result


def _recommended(fit):
  """The temperature to use after a fit; None without one."""
  if fit is None:
    return None
  # What does not help the other half by both measures is not recommended, nor the end of a range.
  is_better = (fit['nll_after'] < fit['nll_before'] and
               fit['after']['error'] <= fit['before']['error'] and not fit['is_at_bound'])
  return fit['fitted'] if is_better else 1.


@contextlib.contextmanager
def _naming(environment):
  """Errors inside of it say which environment they are about."""
  try:
    yield
  except ValueError as error:
    raise ValueError(f'predictions of {environment}: {error}') from error


def _legal_parts(predictions):
  cases = []
  for p in predictions:
    with _naming(p.name):
      cases.append(_legal_part(p))
  return cases


def _legal_part(p):
  """Checks predictions, and drops the actions that their environment does not have."""
  if p.kind not in KINDS:
    raise ValueError(f'kind is {p.kind!r}; expected one of {KINDS}.')
  known = predictions_.Predictions(p.probabilities, p.actions)
  known.check_legal(p.legal_actions)
  probabilities, actions = np.asarray(p.probabilities), known.actions
  if len(p.action_names) != known.num_actions:
    raise ValueError(f'action_names are {len(p.action_names)}; expected {known.num_actions}, one '
                     'for each action that has a probability.')
  legal = sorted(set(p.legal_actions))
  is_foreign = ~np.isin(actions, legal)
  if is_foreign.any():
    i = int(is_foreign.argmax())
    raise ValueError(f'actions[{i}] is {actions[i]} ({p.action_names[actions[i]]}); expected one '
                     f'of the legal actions {legal}. This is the data of another environment.')
  return p._replace(
      probabilities=probabilities[:, legal], actions=np.searchsorted(legal, actions),
      action_names=tuple(p.action_names[a] for a in legal), legal_actions=tuple(range(len(legal))),
      no_op=legal.index(p.no_op) if p.no_op in legal else None)


def _measure(case, num_resamples, seed):
  """An entry of `environments`."""
  names, num_actions = case.action_names, len(case.action_names)
  known = predictions_.Predictions(case.probabilities, case.actions, case.episodes, case.timesteps)
  found_lag = lag.lag_test(known, num_resamples=num_resamples, seed=seed)
  confusion = accuracy.confusion(known)
  baselines = confusions.baselines(confusion, case.no_op)
  settings = dict(level=_LEVEL, num_resamples=num_resamples, seed=seed)
  return {
      'name': case.name, 'kind': case.kind, 'num_transitions': len(known),
      'num_episodes': len(np.unique(case.episodes)),
      'accuracy': _with_interval(accuracy.accuracy(known, **settings)),
      'gain': _with_interval(accuracy.gain_over_majority(known, **settings)),
      'labels': about_labels(known.labels, names), 'floors': case.floors,
      'balanced_accuracy': accuracy.balanced_accuracy(known),
      'baselines': baselines._asdict() | {
          'majority': names[baselines.majority],
          'no_op': None if case.no_op is None else names[case.no_op]},
      'top_k': [accuracy.top_k_accuracy(known, k)
                for k in range(1, min(_LARGEST_K, num_actions) + 1)],
      'nll': accuracy.negative_log_likelihood(known),
      'nll_uniform': float(np.log(num_actions)),
      'actions': list(names), 'confusion': confusion.tolist(),
      'calibration': calibration_of(known, seed),
      'coverage': _coverage(known),
      'lag': plain(found_lag._asdict()), 'examples': list(case.examples)}


def about_labels(labels, names):
  """Makes the entry `labels` of labels [M]; `names` of their A actions."""
  frequent = floors.most_frequent(labels, len(names))
  return {'most_frequent': names[frequent.action], 'share': frequent.share,
          'is_constant': floors.is_constant(frequent)}


def _with_interval(estimate):
  """{value, low, high, level} of an `intervals.Interval`."""
  return {key: getattr(estimate, key) for key in ('value', 'low', 'high', 'level')}


def calibration_of(known, seed):
  """Makes the entry `calibration` of `predictions.Predictions`."""
  found = calibration.equal_mass_calibration(known, num_bins=_NUM_BINS)
  return plain(found._asdict()) | {
      'error_by_chance': calibration.calibration_error_by_chance(
          known, num_bins=_NUM_BINS, seed=seed),
      'mean_confidence': float(np.average(found.confidence, weights=found.count)),
      'equal_width_error': calibration.equal_width_calibration(known, num_bins=_NUM_BINS).error}


def _coverage(known):
  """The curve, at points that are about equally far apart."""
  curve = calibration.coverage_curve(known)
  wanted = np.arange(1, _NUM_COVERAGE_POINTS + 1) / _NUM_COVERAGE_POINTS
  kept = np.unique(np.searchsorted(curve.coverage, wanted))  # The last coverage is 1.
  return plain({'threshold': curve.threshold[kept], 'coverage': curve.coverage[kept],
                'accuracy': curve.accuracy[kept], 'area': curve.area})


def plain(fields):
  """Arrays as lists; NaN, which JSON does not know, as None."""
  return {key: [None if x != x else x for x in value.tolist()]
          if isinstance(value, np.ndarray) else value for key, value in fields.items()}


def _fit_temperature(cases, seed):
  """A fit of a temperature: from a half of the episodes of each target, judged on the others."""
  halves = ([], [])
  halved = (set(), set())  # Episodes; several cases may be of one environment.
  width = max(case.probabilities.shape[1] for case in cases)
  for case in cases:
    ids = np.random.default_rng(seed).permutation(np.unique(case.episodes))
    if case.kind not in (HELD_OUT, HIDDEN) or len(ids) < 2:
      continue
    logits = np.log(np.maximum(case.probabilities, _SMALLEST_PROBABILITY, dtype=np.float64))
    missing = ((0, 0), (0, width - logits.shape[1]))  # Environments differ in legal actions.
    logits = np.pad(logits, missing, constant_values=-np.inf)
    middle = (len(ids) + 1) // 2
    for half, part in enumerate((ids[:middle], ids[middle:])):
      is_in = np.isin(case.episodes, part)
      halves[half].append((logits[is_in], case.actions[is_in]))
      halved[half].update((case.name, i) for i in part.tolist())
  if not halves[0]:
    return None
  (logits, actions), other = (map(np.concatenate, zip(*half, strict=True)) for half in halves)
  fit = calibration.fit_temperature(logits, actions)
  logits, actions = other
  before, after = (predictions_.Predictions(calibration.apply_temperature(logits, t), actions)
                   for t in (1., fit.value))
  return {
      'fitted': fit.value, 'is_at_bound': fit.is_at_bound,
      'num_episodes_fitted': len(halved[0]), 'num_episodes_judged': len(halved[1]),
      'nll_before': accuracy.negative_log_likelihood(before),
      'nll_after': accuracy.negative_log_likelihood(after),
      'before': calibration_of(before, seed), 'after': calibration_of(after, seed)}


def gather(name, episodes, numbers, predict_fn, *, action_names, legal_actions, kind,
           is_used_fn=None, progress_fn=None):
  """Predicts the actions of episodes and looks up the truth.

  Args:
    name: of the environment.
    episodes: `episodes.Episodes`, with all known actions.
    numbers: which episodes, in order.
    predict_fn: as in `collect`.
    action_names: [A] names.
    legal_actions: ids in [0, A).
    kind: one of KINDS.
    is_used_fn: as in `collect`.
    progress_fn: as in `collect`.

  Returns:
    `Predictions` of the transitions whose action is known.

  Raises:
    ValueError: as `collect`.
  """
  found = collect(name, episodes, numbers, predict_fn, len(action_names), is_used_fn=is_used_fn,
                  progress_fn=progress_fn)
  del found['is_known']
  return Predictions(
      name, **found, action_names=tuple(action_names), legal_actions=tuple(legal_actions),
      no_op=next((i for i, x in enumerate(action_names) if x.upper() in _NO_OPS), None),
      kind=kind)


def collect(name, episodes, numbers, predict_fn, num_classes, *, is_used_fn=None,
            progress_fn=None):
  """Predicts the actions of episodes, of any kind, and looks up the truth.

  Args:
    name: of the environment.
    episodes: `episodes.Episodes`, with all known actions.
    numbers: which episodes, in order.
    predict_fn: predict_fn(episodes, numbers) -> iterator of what has `episode`, one of the numbers
      in their order, and `probabilities` [L, A] of all its L transitions, as
      `TrainedIdm.predict_episodes`.
    num_classes: A.
    is_used_fn: is_used_fn(episode) -> [L] bool, which transitions to audit; None for all.
    progress_fn: progress_fn(number of episodes done, number of transitions); called after each.

  Returns:
    {'probabilities' [M, A], 'actions', 'is_known' as `actions_of` has them, 'timesteps' [M],
    'episodes' [M]} of the transitions of which any part is known.

  Raises:
    ValueError: if predictions are not of these episodes, or no action is known.
  """
  parts = {key: [] for key in ('probabilities', 'actions', 'is_known', 'episodes', 'timesteps')}
  num_transitions = 0
  for i, (number, said) in enumerate(
      zip(numbers, predict_fn(episodes, numbers), strict=True), 1):
    actions, is_known = episodes.actions_of(number)
    expected = (len(actions), num_classes)
    if (said.episode, said.probabilities.shape) != (number, expected):
      raise ValueError(f'predictions of {name} are of episode {said.episode} and have shape '
                       f'{said.probabilities.shape}; expected episode {number} and {expected}.')
    is_used = episodes_.is_known(is_known)
    if is_used_fn is not None:
      is_used = is_used & is_used_fn(number)
    timesteps = np.flatnonzero(is_used)
    for field, values in (('probabilities', said.probabilities[is_used]),
                          ('actions', actions[is_used]), ('is_known', is_known[is_used]),
                          ('timesteps', timesteps), ('episodes', np.full(len(timesteps), number))):
      parts[field].append(values)
    num_transitions += len(timesteps)
    if progress_fn is not None:
      progress_fn(i, num_transitions)
  if not num_transitions:
    raise ValueError(f'{name}: no action is known of the {len(numbers)} episodes that were drawn; '
                     'expected recorded actions to compare labels with.')
  return {field: np.concatenate(values) for field, values in parts.items()}
