"""How far an IDM's labels can be trusted: measured on transitions whose true actions are known.

All functions take what the IDM said of M transitions that no training saw, `probabilities` [M, A],
and the truth, `actions` [M]. An IDM's label is its most probable action, the first of equals; the
confidence in it is its probability. Transitions of one episode are alike, so what has an interval
also takes `episodes` [M]: intervals are about other episodes, not about other steps of these.

Nothing here knows files, networks or environments: arrays in, numbers out.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax.measures import curves

PROBABILITY_FLOOR = 1e-12  # `negative_log_likelihood` takes none as lower: 27.6 nats at most.
TEMPERATURE_BOUNDS = (.01, 100.)
_NUM_HALVINGS = 50  # Of those bounds: to a relative error of 1e-14.
_SUM_TOLERANCE = 1e-4  # Of float32 probabilities to sum to 1.
_LARGEST_SHIFT = 3
_SMALLEST_GAIN = .02  # Of a lag; a real one gains far more, unless actions hardly ever change.
_FEWEST_EPISODES = 8  # To call a lag clear; signs of fewer agree too often.
_LARGEST_P_VALUE = .05 / (2 * _LARGEST_SHIFT)  # Bonferroni, over the shifts that are not 0.
_DRAWS_AT_ONCE = 2**22  # Of a bootstrap; 32 MB.


class Accuracy(NamedTuple):
  """The share of labels that are right.

  Attributes:
    value: in [0, 1], over transitions.
    interval: `curves.Interval` of it by resampling episodes; its n counts episodes.
    num_transitions: M.
  """
  value: float
  interval: curves.Interval
  num_transitions: int


class Gain(NamedTuple):
  """What labels are better than those that always say the most frequent action.

  Attributes:
    value: accuracy minus that of the most frequent action, in [-1, 1].
    interval: `curves.Interval` of it by resampling episodes; its n counts episodes.
  """
  value: float
  interval: curves.Interval


class Baselines(NamedTuple):
  """What labels score that look at nothing.

  Attributes:
    majority: the most frequent true action, the first of equals.
    majority_accuracy: of saying that always. It knows the truth that it is scored on, so it is a
      little too good.
    no_op_accuracy: of always saying that nothing was done; None if the environment has no such
      action.
    chance_accuracy: of guessing all actions alike, 1 / A.
  """
  majority: int
  majority_accuracy: float
  no_op_accuracy: float | None
  chance_accuracy: float


class Calibration(NamedTuple):
  """How far confidence and accuracy are apart, and where.

  Bins without a transition are absent. Bins are in rising order of confidence.

  Attributes:
    error: expected calibration error in [0, 1]: mean over transitions of |confidence - accuracy| of
      their bin.
    low: [K] float64; lower edges.
    high: [K] float64; upper edges.
    count: [K] int64 > 0; transitions.
    confidence: [K] float64; mean over the bin.
    accuracy: [K] float64; share of right labels in the bin.
  """
  error: float
  low: np.ndarray
  high: np.ndarray
  count: np.ndarray
  confidence: np.ndarray
  accuracy: np.ndarray


class Coverage(NamedTuple):
  """Accuracy of the labels that are left if the least confident ones are dropped.

  Attributes:
    threshold: [K] float64, falling; labels with at least this confidence are kept. These are the
      confidences that occur, so equal ones are kept or dropped together.
    coverage: [K] float64 in (0, 1], rising to 1; share of labels that are kept.
    accuracy: [K] float64; share of right labels among the kept.
    area: under `accuracy` over `coverage`, in [0, 1]. It is the accuracy if the confidence says
      nothing, and what it is above that, confidence is good for.
  """
  threshold: np.ndarray
  coverage: np.ndarray
  accuracy: np.ndarray
  area: float


class Temperature(NamedTuple):
  """A temperature T: the probabilities are softmax(logits / T).

  Attributes:
    value: T, in TEMPERATURE_BOUNDS; above 1 the IDM was too sure of itself.
    before: negative log-likelihood at T = 1, in nats.
    after: the same at `value`.
    is_at_bound: no T within the bounds is best, so `value` is only the better end of them.
  """
  value: float
  before: float
  after: float
  is_at_bound: bool


class Lag(NamedTuple):
  """Accuracy of labels against the truth of later and earlier transitions.

  Attributes:
    shifts: [S] int64, -3 .. 3; at shift s the label of t is compared with the action of t + s.
    accuracy: [S] float64; NaN where no transition has such a partner.
    num_transitions: [S] int64; how many have one in their episode.
    best: the shift with the largest gain, the nearest to 0 of equals; 0 if no other has any.
    gain: accuracy at `best` minus that at 0, over the labels that have both partners: those at the
      ends of episodes, which lack one, may be easier or harder.
    num_episodes: episodes with such labels.
    p_value: how likely a gain like this is by chance, in (0, 1]; None if `best` is 0.
    is_shifted: whether `best` is clearly better than 0, as `lag_test` says.
  """
  shifts: np.ndarray
  accuracy: np.ndarray
  num_transitions: np.ndarray
  best: int
  gain: float
  num_episodes: int
  p_value: float | None
  is_shifted: bool


def _check_probabilities(probabilities):
  """Returns [M, A] float64; refuses what is no distribution per transition."""
  probabilities = np.asarray(probabilities, np.float64)
  if probabilities.ndim != 2:
    raise ValueError(f'probabilities have shape {probabilities.shape}; expected '
                     '[transitions, actions].')
  if not probabilities.size:
    raise ValueError(f'probabilities have shape {probabilities.shape}; expected at least one '
                     'transition and one action.')
  # Not (>= 0), so that NaN is found, too; what is above 1 has a wrong sum.
  _refuse(probabilities, ~(probabilities >= 0), 'probabilities', 'a number in [0, 1]')
  sums = probabilities.sum(axis=1)
  is_wrong = ~(np.abs(sums - 1) <= _SUM_TOLERANCE)
  if is_wrong.any():
    i = int(is_wrong.argmax())
    raise ValueError(f'probabilities[{i}] sum to {sums[i]:.6g}; expected 1 within '
                     f'{_SUM_TOLERANCE}.')
  return probabilities


def _refuse(values, is_wrong, name, expected):
  """Raises a ValueError that names the first wrong entry."""
  if is_wrong.any():
    index = tuple(int(i) for i in np.argwhere(is_wrong)[0])
    raise ValueError(f'{name}{list(index)} is {values[index]}; expected {expected}.')


def _check_integers(values, num_transitions, name):
  """Returns [M] integers."""
  values = np.asarray(values)
  if values.shape != (num_transitions,):
    raise ValueError(f'{name} have shape {values.shape}; expected ({num_transitions},), one for '
                     'each transition that was predicted.')
  if not np.issubdtype(values.dtype, np.integer):
    raise ValueError(f'{name} are of type {values.dtype}; expected integers.')
  return values.astype(np.int64)


def _check_actions(actions, num_transitions, num_actions):
  actions = _check_integers(actions, num_transitions, 'actions')
  _refuse(actions, (actions < 0) | (actions >= num_actions), 'actions',
          f'an id in [0, {num_actions}), the actions that have a probability')
  return actions


def _check(probabilities, actions):
  probabilities = _check_probabilities(probabilities)
  return probabilities, _check_actions(actions, *probabilities.shape)


def _true_probabilities(probabilities, actions):
  return probabilities[np.arange(len(actions)), actions]


def _is_right(probabilities, actions):
  return probabilities.argmax(axis=1) == actions


def check_legal(probabilities, legal_actions):
  """Refuses probability outside the actions that the environment knows.

  An IDM masks those before its softmax, so they have probability 0 exactly. Anything else means a
  wrong mask, or labels of another environment.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    legal_actions: ids in [0, A), as in `types.EnvironmentSpec`.

  Raises:
    ValueError: naming the transition and the action of the first such probability; or if an
      argument is not as said above.
  """
  probabilities = _check_probabilities(probabilities)
  num_actions = probabilities.shape[1]
  if not len(legal_actions):
    raise ValueError(f'legal_actions are {legal_actions}; expected at least one.')
  legal = _check_integers(legal_actions, len(legal_actions), 'legal_actions')
  _refuse(legal, (legal < 0) | (legal >= num_actions), 'legal_actions',
          f'an id in [0, {num_actions}), the actions that have a probability')
  is_legal = np.zeros(num_actions, bool)
  is_legal[legal] = True
  _refuse(probabilities, (probabilities != 0) & ~is_legal, 'probabilities',
          f'0: the legal actions are {sorted(set(legal.tolist()))}')


def accuracy(probabilities, actions, episodes, *, level=.95, num_resamples=10_000, seed=0):
  """Share of right labels, with an interval by a cluster bootstrap over episodes.

  Whole episodes are drawn again, with all their transitions (Davison & Hinkley, 1997, section 3.8),
  and the percentiles of the share taken. With a handful of episodes such intervals are too narrow,
  and if all labels are right, or none, it has no width: read the number of episodes beside it.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.
    episodes: [M] int; equal for the transitions of an episode, two different ones at least.
    level: coverage asked for, in (0, 1).
    num_resamples: how many resamples.
    seed: of the resampling, so that a report can be made again.

  Returns:
    An `Accuracy`.

  Raises:
    ValueError: if there is one episode only, which says nothing about others; or naming the
      argument that is not as said above.
  """
  probabilities, actions = _check(probabilities, actions)
  is_right = _is_right(probabilities, actions)
  interval = _bootstrap_mean(is_right, episodes, level, num_resamples, seed)
  return Accuracy(float(is_right.mean()), interval, len(actions))


def gain_over_majority(probabilities, actions, episodes, *, level=.95, num_resamples=10_000,
                       seed=0):
  """How much more accurate labels are than always saying the most frequent action.

  Both are scored on the same transitions, so the interval of the difference is narrower than those
  of the two accuracies suggest.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth, which also says what is most frequent.
    episodes: as in `accuracy`, like the rest.
    level: coverage asked for, in (0, 1).
    num_resamples: how many resamples.
    seed: of the resampling.

  Returns:
    A `Gain`.

  Raises:
    ValueError: as `accuracy`.
  """
  probabilities, actions = _check(probabilities, actions)
  majority = np.bincount(actions).argmax()
  gains = _is_right(probabilities, actions).astype(np.int64) - (actions == majority)
  interval = _bootstrap_mean(gains, episodes, level, num_resamples, seed)
  return Gain(float(gains.mean()), interval)


def _bootstrap_mean(values, episodes, level, num_resamples, seed):
  """Interval of the mean of `values` [M], which belong to `episodes` [M]."""
  episodes = _check_integers(episodes, len(values), 'episodes')
  if not 0 < level < 1:
    raise ValueError(f'level is {level}; expected a number between 0 and 1, e.g. 0.95.')
  if num_resamples < 1:
    raise ValueError(f'num_resamples is {num_resamples}; expected at least 1.')
  ids, index = np.unique(episodes, return_inverse=True)
  if len(ids) < 2:
    raise ValueError(f'episodes are all {ids[0]}; expected two different ones or more: one says '
                     'nothing about others.')
  counts = np.bincount(index)
  sums = np.bincount(index, weights=values)
  num_episodes = len(counts)
  generator = np.random.default_rng(seed)
  means = []
  for rows in _parts(num_resamples, num_episodes):
    draws = generator.integers(num_episodes, size=(rows, num_episodes))
    means.append(sums[draws].sum(axis=1) / counts[draws].sum(axis=1))
  low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
  return curves.Interval(float(low), float(high), num_episodes)


def _parts(num_resamples, num_episodes):
  """Divides resamples into parts whose draws fit into memory."""
  rows = max(1, _DRAWS_AT_ONCE // num_episodes)
  return [min(rows, num_resamples - begin) for begin in range(0, num_resamples, rows)]


def confusion(probabilities, actions):
  """Counts labels by true action.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.

  Returns:
    [A, A] int64; a row for each true action, a column for each label.

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  probabilities, actions = _check(probabilities, actions)
  num_actions = probabilities.shape[1]
  cells = actions * num_actions + probabilities.argmax(axis=1)
  return np.bincount(cells, minlength=num_actions**2).reshape(num_actions, num_actions)


def balanced_accuracy(probabilities, actions):
  """Mean, over the actions that occur, of the share of each that is labelled right.

  Rare actions weigh as much as frequent ones; always saying the same scores one over the number of
  actions that occur.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.

  Returns:
    A float in [0, 1].

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  counts = confusion(probabilities, actions)
  occurring = counts.sum(axis=1)
  return float(np.mean(np.diagonal(counts)[occurring > 0] / occurring[occurring > 0]))


def baselines(actions, num_actions, *, no_op=None):
  """Scores labels that look at nothing: whoever does no better has learned nothing.

  Args:
    actions: [M] int in [0, num_actions); the truth.
    num_actions: A.
    no_op: the action that does nothing, 0 in the ALE; None if there is none.

  Returns:
    `Baselines`.

  Raises:
    ValueError: naming the argument that is not as said above, or if there is no transition.
  """
  actions = _check_actions(actions, np.size(actions), num_actions)
  if not actions.size:
    raise ValueError('actions have no transition; expected at least one.')
  if no_op is not None and not 0 <= no_op < num_actions:
    raise ValueError(f'no_op is {no_op}; expected an id in [0, {num_actions}) or None.')
  shares = np.bincount(actions, minlength=num_actions) / len(actions)
  return Baselines(int(shares.argmax()), float(shares.max()),
                   None if no_op is None else float(shares[no_op]), 1 / num_actions)


def top_k_accuracy(probabilities, actions, k):
  """Share of transitions whose true action is among the k most probable ones.

  Of equally probable actions the first counts as more probable, as for the label, so that k = 1 is
  the accuracy.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.
    k: in [1, A].

  Returns:
    A float in [0, 1].

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  probabilities, actions = _check(probabilities, actions)
  num_actions = probabilities.shape[1]
  if not 1 <= k <= num_actions:
    raise ValueError(f'k is {k}; expected a number in [1, {num_actions}].')
  true = _true_probabilities(probabilities, actions)[:, None]
  is_earlier = np.arange(num_actions) < actions[:, None]
  is_before = (probabilities > true) | (probabilities == true) & is_earlier
  return float(np.mean(is_before.sum(axis=1) < k))


def negative_log_likelihood(probabilities, actions):
  """Mean of -log p of the true action: a proper score, worse for each false certainty.

  Probabilities below PROBABILITY_FLOOR count as that, so that one impossible truth, e.g. an illegal
  action in the data, costs 27.6 nats and does not make the mean infinite.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.

  Returns:
    A float in nats (natural logarithm); log(A) if all actions are held equally probable.

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  true = _true_probabilities(*_check(probabilities, actions))
  return float(-np.mean(np.log(np.maximum(true, PROBABILITY_FLOOR))))


def _confidence(probabilities):
  return np.minimum(probabilities.max(axis=1), 1)  # Rounding can put it above 1.


def _calibration(confidence, is_right, bins, edges):
  """Sums up `bins` [M]; `edges` gives the [K] lower and upper edges of those [K] that are there."""
  there, index, count = np.unique(bins, return_inverse=True, return_counts=True)
  mean_confidence = np.bincount(index, weights=confidence) / count
  accuracy = np.bincount(index, weights=is_right) / count
  error = np.sum(count * np.abs(mean_confidence - accuracy)) / len(bins)
  return Calibration(float(error), *edges(there), count, mean_confidence, accuracy)


def _check_num_bins(num_bins):
  if num_bins < 1:
    raise ValueError(f'num_bins is {num_bins}; expected at least 1.')


def equal_width_calibration(probabilities, actions, *, num_bins=15):
  """Expected calibration error with bins of equal width (Guo et al., 2017, equation 3).

  As there, a bin is (low, high] and 15 of them divide [0, 1]. The error is never below 0, so that
  it is above 0 even for perfect probabilities, the more the fewer transitions a bin has.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.
    num_bins: how many bins, at least 1.

  Returns:
    A `Calibration`; its edges are multiples of 1 / num_bins.

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  probabilities, actions = _check(probabilities, actions)
  _check_num_bins(num_bins)
  edges = np.arange(num_bins + 1) / num_bins
  confidence = _confidence(probabilities)  # At least 1 / A, so none is below the first bin.
  bins = np.searchsorted(edges, confidence, side='left') - 1
  return _calibration(confidence, _is_right(probabilities, actions), bins,
                      lambda there: (edges[there], edges[there + 1]))


def equal_mass_calibration(probabilities, actions, *, num_bins=15):
  """Expected calibration error with bins of equally many transitions (Nguyen & O'Connor, 2015).

  A good IDM is almost certain of most labels: one bin of equal width holds nearly all of them,
  whereas these bins tell them apart. Equal confidences share a bin, the one in which the first of
  them falls, so that the order of transitions does not matter; where many are equal, bins differ in
  size and are fewer than num_bins.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.
    num_bins: how many bins at most, at least 1.

  Returns:
    A `Calibration`; its edges are the smallest and the largest confidence of the bin.

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  probabilities, actions = _check(probabilities, actions)
  confidence = _confidence(probabilities)
  ranked, bins = _equal_mass_bins(confidence, num_bins)
  ranked_bins = np.sort(bins)  # Bins rise with confidence.
  return _calibration(confidence, _is_right(probabilities, actions), bins, lambda there: (
      ranked[np.searchsorted(ranked_bins, there, side='left')],
      ranked[np.searchsorted(ranked_bins, there, side='right') - 1]))


def _equal_mass_bins(confidence, num_bins):
  """Returns the sorted confidences [M], and the bin [M] of each confidence."""
  _check_num_bins(num_bins)
  ranked = np.sort(confidence)
  return ranked, np.searchsorted(ranked, confidence, side='left') * num_bins // len(ranked)


def calibration_error_by_chance(probabilities, *, num_bins=15, level=.95, num_draws=200, seed=0):
  """The `equal_mass_calibration` error that calibrated labels of these confidences stay below.

  Truths are drawn that are as often right as the confidences say (consistency resampling, Broecker
  & Smith, 2007): an error above this is hardly that of too few transitions. Draws are independent,
  steps of one episode are not, so it is a little too low.

  Args:
    probabilities: [M, A] float; each row sums to 1.
    num_bins: how many bins at most, at least 1.
    level: share of the draws that stay below, in (0, 1).
    num_draws: how many truths are drawn.
    seed: of them.

  Returns:
    A float in [0, 1].

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  confidence = _confidence(_check_probabilities(probabilities))
  _, bins = _equal_mass_bins(confidence, num_bins)
  expected = np.bincount(bins, weights=confidence)
  generator = np.random.default_rng(seed)
  errors = [np.abs(np.bincount(bins, weights=generator.random(len(bins)) < confidence)
                   - expected).sum() / len(bins) for _ in range(num_draws)]
  return float(np.quantile(errors, level))


def coverage_curve(probabilities, actions):
  """How accurate labels are if only those of some confidence are kept.

  The area is that under steps: between two thresholds there is nothing to choose, so the accuracy
  at the end of a step holds for all of it. Where all confidences differ it is 1 minus the area
  under the risk-coverage curve of Geifman et al. (2019, "Bias-reduced uncertainty estimation for
  deep neural classifiers").

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.

  Returns:
    `Coverage`; its last point is the accuracy of all labels.

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  probabilities, actions = _check(probabilities, actions)
  confidence = _confidence(probabilities)
  order = np.argsort(-confidence)
  confidence, num_right = confidence[order], np.cumsum(_is_right(probabilities, actions)[order])
  last = np.append(np.flatnonzero(np.diff(confidence)), len(order) - 1)  # Of equal ones.
  num_kept = last + 1
  accuracy = num_right[last] / num_kept
  area = np.sum(accuracy * np.diff(num_kept, prepend=0)) / len(order)
  return Coverage(confidence[last], num_kept / len(order), accuracy, float(area))


def _check_logits(logits):
  """Returns [M, A] float64, shifted so that the largest of each row is 0."""
  logits = np.asarray(logits, np.float64)
  if logits.ndim != 2 or not logits.size:
    raise ValueError(f'logits have shape {logits.shape}; expected [transitions, actions], at least '
                     'one of each.')
  _refuse(logits, np.isnan(logits) | (logits == np.inf), 'logits',
          'a finite number, or -inf for an illegal action')
  largest = logits.max(axis=1, keepdims=True)
  if np.isneginf(largest).any():
    raise ValueError(f'logits[{int(np.isneginf(largest[:, 0]).argmax())}] are all -inf; expected '
                     'at least one finite number.')
  return logits - largest


def _softmax(shifted):
  weights = np.exp(shifted)
  return weights / weights.sum(axis=1, keepdims=True)


def fit_temperature(logits, actions):
  """Finds the temperature under which held-out actions are most likely.

  One number for all actions: labels stay the same, only the confidence in them changes (Guo et al.,
  2017, section 4.2). Judge the result on other episodes than those it was fitted on.

  In b = 1 / T the negative log-likelihood is convex, so its slope has at most one zero. It is found
  by halving TEMPERATURE_BOUNDS in log T. If all labels are right, colder is always better and T is
  the lower bound; if the logits are worse than none, it is the upper bound. If they say nothing
  (each row is the same number throughout), T is 1.

  Args:
    logits: [M, A] float, before the softmax; -inf for illegal actions.
    actions: [M] int in [0, A); the truth, with finite logits.

  Returns:
    A `Temperature`.

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  logits = _check_logits(logits)
  actions = _check_actions(actions, *logits.shape)
  true = _true_probabilities(logits, actions)
  if np.isneginf(true).any():
    i = int(np.isneginf(true).argmax())
    raise ValueError(f'actions[{i}] is {actions[i]}, whose logit is -inf; expected a legal action.')
  finite = np.where(np.isneginf(logits), 0, logits)  # Their probability is 0, and 0 * -inf is NaN.

  def loss(temperature):
    return np.mean(np.log(np.exp(logits / temperature).sum(axis=1)) - true / temperature)

  def slope(temperature):  # Of the loss, in b.
    return np.mean((_softmax(logits / temperature) * finite).sum(axis=1) - true)

  cold, hot = TEMPERATURE_BOUNDS
  is_at_bound = True
  if not finite.any():
    value, is_at_bound = 1., False
  elif slope(cold) <= 0:
    value = cold
  elif slope(hot) >= 0:
    value = hot
  else:
    for _ in range(_NUM_HALVINGS):
      value = np.sqrt(cold * hot)
      cold, hot = (cold, value) if slope(value) < 0 else (value, hot)
    is_at_bound = False
  return Temperature(float(value), float(loss(1.)), float(loss(value)), is_at_bound)


def apply_temperature(logits, temperature):
  """Turns logits into probabilities at a temperature.

  Args:
    logits: [M, A] float; -inf for illegal actions.
    temperature: above 0; 1 for the probabilities as they were.

  Returns:
    [M, A] float64; exactly 0 for illegal actions.

  Raises:
    ValueError: naming the argument that is not as said above.
  """
  if not 0 < temperature < np.inf:
    raise ValueError(f'temperature is {temperature}; expected a finite number above 0.')
  return _softmax(_check_logits(logits) / temperature)


def lag_test(probabilities, actions, episodes, timesteps, *, num_resamples=10_000, seed=0):
  """Finds labels that sit at the wrong transition: off by one, or wrong in frame skip.

  Labels are compared with the actions up to 3 transitions earlier and later in the same episode. If
  shift 1 is best, the label of t is the action of t + 1: labels come one transition too early.
  Accuracy that is about equal at several shifts is no lag, but may be one that changes along the
  episode; and all shifts are alike where actions seldom change.

  The thresholds are our choice: `best` is clearly better than 0 if, over the labels that have both
  partners,
    it gains 0.02 or more of the accuracy,
    eight or more episodes have such labels, and
    its p-value is at most 0.05 / 6, so that six shifts together mislead once in twenty, at most.
  The p-value is from random signs of what each episode gains (Fisher, 1935, "The Design of
  Experiments", section 21): if the shift were no better than 0, each could as well have lost it. Of
  labels made at random, 1 to 4 % were called shifted (8 to 50 episodes of 40, 600 draws of each).

  Args:
    probabilities: [M, A] float; each row sums to 1.
    actions: [M] int in [0, A); the truth.
    episodes: [M] int; equal for the transitions of an episode.
    timesteps: [M] int; place of the transition in its episode. Rows may be in any order, and there
      may be gaps, across which nothing is compared.
    num_resamples: how many draws of signs; no lag is clear from fewer than 119.
    seed: of them, so that a report can be made again.

  Returns:
    A `Lag`.

  Raises:
    ValueError: naming the argument that is not as said above, or two rows that are the same
      transition.
  """
  probabilities, actions = _check(probabilities, actions)
  labels = probabilities.argmax(axis=1)
  episodes = _check_integers(episodes, len(actions), 'episodes')
  timesteps = _check_integers(timesteps, len(actions), 'timesteps')
  if num_resamples < 1:
    raise ValueError(f'num_resamples is {num_resamples}; expected at least 1.')
  shifts = np.arange(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1)
  partners = [_partners(episodes, timesteps, shift) for shift in shifts]
  is_right = [labels[rows] == actions[others] for rows, others in partners]
  is_right_at_0 = labels == actions
  gains = {int(shift): float(np.mean(right) - np.mean(is_right_at_0[rows]))
           for shift, right, (rows, _) in zip(shifts, is_right, partners, strict=True) if len(rows)}
  best = max(gains, key=lambda shift: (gains[shift], -abs(shift)))
  right, (rows, _) = is_right[best + _LARGEST_SHIFT], partners[best + _LARGEST_SHIFT]
  ids, index = np.unique(episodes[rows], return_inverse=True)
  p_value = None
  if best:
    sums = np.bincount(index, weights=right.astype(np.int64) - is_right_at_0[rows])
    p_value = _random_signs_p_value(sums, num_resamples, seed)
  return Lag(shifts, np.array([right.mean() if len(right) else np.nan for right in is_right]),
             np.array([len(right) for right in is_right]), best, gains[best], len(ids), p_value,
             bool(best and gains[best] >= _SMALLEST_GAIN and len(ids) >= _FEWEST_EPISODES
                  and p_value <= _LARGEST_P_VALUE))


def _random_signs_p_value(values, num_resamples, seed):
  """Share of draws of signs under which the sum of `values` [E] is as large; never 0."""
  generator = np.random.default_rng(seed)
  num_as_large = 1  # The signs as they are.
  for rows in _parts(num_resamples, len(values)):
    signs = 2 * generator.integers(2, size=(rows, len(values))) - 1
    num_as_large += int(np.sum(signs @ values >= values.sum()))
  return num_as_large / (num_resamples + 1)


def _partners(episodes, timesteps, shift):
  """Returns rows [P] and, for each, the row of the same episode that is `shift` later."""
  _, index = np.unique(episodes, return_inverse=True)
  place = timesteps - timesteps.min()
  keys = index * (place.max() + 1 + abs(shift)) + place
  order = np.argsort(keys)
  ranked = keys[order]
  is_twice = np.diff(ranked) == 0
  if is_twice.any():
    row = order[is_twice.argmax()]
    raise ValueError(f'episodes and timesteps have transition {timesteps[row]} of episode '
                     f'{episodes[row]} twice; expected each once.')
  found = np.minimum(np.searchsorted(ranked, keys + shift), len(keys) - 1)
  rows = np.flatnonzero(ranked[found] == keys + shift)
  return rows, order[found[rows]]
