"""Measures the calibration of an IDM's confidence, and corrects it by temperature scaling.

The confidence in a label is its probability.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize

from alpt_jax.measures import predictions

TEMPERATURE_BOUNDS = (.01, 100.)


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


def _calibration(known, bins, edges):
  """Sums up `bins` [M]; `edges` gives the [K] lower and upper edges of those [K] that are there."""
  there, index, count = np.unique(bins, return_inverse=True, return_counts=True)
  mean_confidence = np.bincount(index, weights=known.confidence) / count
  accuracy = np.bincount(index, weights=known.is_right) / count
  error = np.sum(count * np.abs(mean_confidence - accuracy)) / len(bins)
  return Calibration(float(error), *edges(there), count, mean_confidence, accuracy)


def _check_num_bins(num_bins):
  if num_bins < 1:
    raise ValueError(f'num_bins is {num_bins}; expected at least 1.')


def equal_width_calibration(known, *, num_bins=15):
  """Measures calibration with bins of equal width (Guo et al., 2017, equation 3).

  As there, a bin is (low, high] and 15 of them divide [0, 1]. The error is never below 0, so that
  it is above 0 even for perfect probabilities, the more the fewer transitions a bin has.

  Args:
    known: `predictions.Predictions`.
    num_bins: how many bins, at least 1.

  Returns:
    A `Calibration`; its edges are multiples of 1 / num_bins.
  """
  _check_num_bins(num_bins)
  edges = np.arange(num_bins + 1) / num_bins
  # A confidence is at least 1 / A, so none is below the first bin.
  bins = np.searchsorted(edges, known.confidence, side='left') - 1
  return _calibration(known, bins, lambda there: (edges[there], edges[there + 1]))


def equal_mass_calibration(known, *, num_bins=15):
  """Measures calibration with bins of equally many labels (Nguyen & O'Connor, 2015).

  A good IDM is almost certain of most labels: one bin of equal width holds nearly all of them,
  whereas these bins tell them apart. Equal confidences share a bin, the one in which the first of
  them falls, so that the order of transitions does not matter; where many are equal, bins differ in
  size and are fewer than num_bins.

  Args:
    known: `predictions.Predictions`.
    num_bins: how many bins at most, at least 1.

  Returns:
    A `Calibration`; its edges are the smallest and the largest confidence of the bin.
  """
  ranked, bins = _equal_mass_bins(known.confidence, num_bins)
  ranked_bins = np.sort(bins)  # Bins rise with confidence.
  return _calibration(known, bins, lambda there: (
      ranked[np.searchsorted(ranked_bins, there, side='left')],
      ranked[np.searchsorted(ranked_bins, there, side='right') - 1]))


def _equal_mass_bins(confidence, num_bins):
  """Returns the sorted confidences [M], and the bin [M] of each confidence."""
  _check_num_bins(num_bins)
  ranked = np.sort(confidence)
  return ranked, np.searchsorted(ranked, confidence, side='left') * num_bins // len(ranked)


def calibration_error_by_chance(known, *, num_bins=15, level=.95, num_draws=200, seed=0):
  """Estimates the `equal_mass_calibration` error that calibrated labels stay below.

  Truths are drawn that are as often right as the confidences say (consistency resampling, Broecker
  & Smith, 2007): an error above this is hardly that of too few transitions. Draws are independent,
  steps of one episode are not, so it is a little too low.

  Args:
    known: `predictions.Predictions`; their truth does not matter.
    num_bins: how many bins at most, at least 1.
    level: share of the draws that stay below, in (0, 1).
    num_draws: how many truths are drawn.
    seed: of them.

  Returns:
    A float in [0, 1].
  """
  confidence = known.confidence
  _, bins = _equal_mass_bins(confidence, num_bins)
  expected = np.bincount(bins, weights=confidence)
  generator = np.random.default_rng(seed)
  errors = [np.abs(np.bincount(bins, weights=generator.random(len(bins)) < confidence)
                   - expected).sum() / len(bins) for _ in range(num_draws)]
  return float(np.quantile(errors, level))


def coverage_curve(known):
  """Computes selective accuracy: that of labels above a confidence, by their share.

  The area is that under steps: between two thresholds there is nothing to choose, so the accuracy
  at the end of a step holds for all of it. Where all confidences differ it is 1 minus the area
  under the risk-coverage curve of Geifman et al. (2019, "Bias-reduced uncertainty estimation for
  deep neural classifiers").

  Args:
    known: `predictions.Predictions`.

  Returns:
    `Coverage`; its last point is the accuracy of all labels.
  """
  order = np.argsort(-known.confidence)
  confidence, num_right = known.confidence[order], np.cumsum(known.is_right[order])
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
  predictions.refuse(logits, np.isnan(logits) | (logits == np.inf), 'logits',
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
  in log T, within TEMPERATURE_BOUNDS. If all labels are right, colder is always better and T is
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
  actions = predictions.check_actions(actions, *logits.shape)
  true = logits[np.arange(len(actions)), actions]
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
    value = math.exp(optimize.brentq(lambda x: slope(math.exp(x)), math.log(cold), math.log(hot),
                                     xtol=1e-14))
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
