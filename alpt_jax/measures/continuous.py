"""Measures predictions of a continuous part: R², correlation, errors in units, scale, intervals.

All but `coverage` follow from sums over transitions, which `sums` keeps by episode: give them to
`resampling.interval` with one of the functions below for a number with its interval, or add them up
over episodes for the number alone. What the data does not define is NaN: R² and the correlation of
a constant, the scale of a truth that is 0 throughout.

Parts that wrap around, e.g. a heading of period 360 degrees, are compared by the shorter way: 350
and 10 differ by 20. R² and correlation are taken on the circle cut open opposite to the circular
mean of the truth, with each prediction on the nearer side of its truth.

A number says nothing without baselines, which are predictions, too, and scored as such on the same
transitions: 0, the mean of the labels (`mean_of`), the true value of the step before
(`timeline.Timeline.before`), and a linear map of the change of the observation (`fit_linear`). For
the transitions at which the action changes, give `is_known & changes.is_changed(..)`.
"""

import numpy as np

from alpt_jax.measures import floors, resampling

# Positions of sums.
(_NUM, _TRUE, _SAID, _TRUE_2, _SAID_2, _PRODUCT, _ERROR, _ERROR_2, _ERROR_SIZE, _TRUE_SIZE,
 _SAID_SIZE, _WITHIN, _BOTH_MOVE, _SAID_MOVES, _TRUE_MOVES) = range(15)
_SMALLEST_VARIANCE = 1e-12  # Of the mean square: less is rounding, and the values are constant.


def difference(values, others, period=None):
  """Subtracts values, on a circle by the shorter way round.

  Args:
    values: [...] float.
    others: [...] float.
    period: length of the circle in the same units; None for a line.

  Returns:
    [...] float64 values - others; within half a period of 0 on a circle.
  """
  found = np.asarray(values, np.float64) - np.asarray(others, np.float64)
  return found if period is None else (found + period / 2) % period - period / 2


def mean_of(values, period=None):
  """Averages values, e.g. the labels that an IDM had: the prediction of knowing nothing else.

  Args:
    values: [N] float; N at least 1.
    period: as in `difference`; then the direction of the mean of unit vectors, in [0, period],
      the ends of which are one.

  Returns:
    A float in the units of the values.

  Raises:
    ValueError: if there is no value.
  """
  values = np.asarray(values, np.float64)
  if not values.size:
    raise ValueError('there are no values; expected at least one to average.')
  if period is None:
    return float(values.mean())
  angles = values * (2 * np.pi / period)
  return float(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())
               / (2 * np.pi) * period % period)


def sums(true, predicted, is_known, timeline, *, tolerance, threshold=0., period=None):
  """Adds up, by episode, what the other functions compute their numbers from.

  Args:
    true: [M] float in units of the data; anything where not known.
    predicted: [M] float in the same units.
    is_known: [M] bool; which transitions count: those of known truth, or fewer.
    timeline: `timeline.Timeline` of the M transitions.
    tolerance: largest error that is right for `within`, in units.
    threshold: a value moves, for `moving_f1`, if its size is larger, in units. The expected value
      over bins is seldom 0 exactly: half of the smallest bin is a sensible choice.
    period: as in `difference`; None if the part does not wrap around.

  Returns:
    [E, 15] float64. The first column is the number of transitions.

  Raises:
    ValueError: if a shape is wrong, a counted value is not finite, or a setting is out of range.
  """
  _check_setting('tolerance', tolerance, tolerance >= 0)
  _check_setting('threshold', threshold, threshold >= 0)
  _check_setting('period', period, period is None or period > 0)
  is_known = timeline.check(is_known, 'is_known').astype(bool)
  true, said = (_finite(x, is_known, timeline, name)
                for x, name in ((true, 'true'), (predicted, 'predicted')))
  error = difference(said, true, period)
  true_size, said_size = (np.abs(difference(x, 0, period)) for x in (true, said))
  is_true_moving, is_said_moving = true_size > threshold, said_size > threshold
  if is_known.any():  # About a value of each: exact for constants, and no digits are lost.
    centre = _central(true[is_known], period)
    true, said = (difference(x, centre, period) for x in (true, said))
    if period is not None:
      said = said + period * np.round((true - said) / period)
    said = said - _central(said[is_known])
  columns = np.stack([
      np.ones(len(true)), true, said, true**2, said**2, true * said, error, error**2,
      np.abs(error), true_size, said_size, np.abs(error) <= tolerance,
      is_true_moving & is_said_moving, is_said_moving, is_true_moving], axis=1)
  return timeline.sums(np.where(is_known[:, None], columns, 0))


def _check_setting(name, value, is_right):
  """Refuses a setting, in units of the part, that is not in its range."""
  if not is_right:
    raise ValueError(f'{name} is {value}; expected '
                     + ('a positive number.' if name == 'period' else 'a number, at least 0.'))


def _finite(values, is_known, timeline, name):
  values = np.where(is_known, timeline.check(values, name), 0).astype(np.float64)
  if not np.all(np.isfinite(values)):
    i = int(np.argmin(np.isfinite(values)))
    raise ValueError(f'{name}[{i}] is {values[i]}; expected a finite number where it is known.')
  return values


def _central(values, period=None):
  """The value that is nearest to the mean."""
  return values[np.argmin(np.abs(difference(values, mean_of(values, period), period)))]


def _spread(num, total, squares):
  """Sum of squares about the mean; 0 for constants."""
  found = squares - resampling.ratio(total**2, num)
  return np.where(found > _SMALLEST_VARIANCE * squares, found, 0)


def correlation(num, first, second, first_2, second_2, product):
  """Correlates two variables by their sums.

  Args:
    num: [...] number of pairs.
    first: [...] sum of one variable.
    second: [...] sum of the other.
    first_2: [...] sum of squares of the one.
    second_2: [...] sum of squares of the other.
    product: [...] sum of products.

  Returns:
    [...] in [-1, 1]; NaN if either is constant.
  """
  spread = np.sqrt(_spread(num, first, first_2) * _spread(num, second, second_2))
  found = resampling.ratio(product - resampling.ratio(first * second, num), spread)
  return np.clip(found, -1, 1)  # Rounding can put it outside.


def r2(total):
  """Computes the share of the variance of the truth that predictions explain.

  Args:
    total: [..., 15] `sums`, of one or several episodes together.

  Returns:
    [...] at most 1; 0 for the mean of the scored data, negative for worse. NaN if the truth is
    constant.
  """
  return 1 - resampling.ratio(total[..., _ERROR_2], _spread(
      total[..., _NUM], total[..., _TRUE], total[..., _TRUE_2]))


def pearson(total):
  """Correlates truth and predictions: [..., 15] to [...] in [-1, 1]; NaN if either is constant."""
  return correlation(*(total[..., i] for i in (_NUM, _TRUE, _SAID, _TRUE_2, _SAID_2, _PRODUCT)))


def mean_absolute_error(total):
  """Averages the size of errors: [..., 15] to [...] in units."""
  return resampling.ratio(total[..., _ERROR_SIZE], total[..., _NUM])


def bias(total):
  """Averages errors, predicted minus true: [..., 15] to [...] in units; positive if too large."""
  return resampling.ratio(total[..., _ERROR], total[..., _NUM])


def scale_ratio(total):
  """Divides the mean size of predictions by that of the truth.

  Args:
    total: [..., 15] `sums`.

  Returns:
    [...] at least 0: below 1 if predictions are too small, above if they are too large. NaN if the
    truth is 0 throughout.
  """
  return resampling.ratio(total[..., _SAID_SIZE], total[..., _TRUE_SIZE])


def scale_factor(total):
  """Computes `scale_ratio` or its inverse, whichever is at least 1, as D2E reports it.

  It does not say which of the two is larger.

  Args:
    total: [..., 15] `sums`.

  Returns:
    [...] at least 1. NaN if either is 0 throughout.
  """
  ratio = scale_ratio(total)
  return np.maximum(ratio, resampling.ratio(np.ones(np.shape(ratio)), ratio))


def within(total):
  """Computes the share of errors within the tolerance: [..., 15] to [...] in [0, 1]."""
  return resampling.ratio(total[..., _WITHIN], total[..., _NUM])


def moving_f1(total):
  """Computes the F1 of moving against not moving: [..., 15] to [...]; NaN if nothing moves."""
  return resampling.ratio(2 * total[..., _BOTH_MOVE],
                          total[..., _SAID_MOVES] + total[..., _TRUE_MOVES])


def count_covered(true, low, high, is_known, timeline, *, period=None):
  """Counts truths within predicted intervals, for `events.share`.

  Args:
    true: [M] float in units.
    low: [M] float; lower ends, e.g. the 5 % quantiles, or 25 %.
    high: [M] float; upper ends, e.g. the 95 % quantiles, or 75 %, which are within.
    is_known: [M] bool; which transitions count.
    timeline: `timeline.Timeline`.
    period: as in `difference`; then an interval is the way upwards from `low` to `high`, through
      the point where the ends meet if `high` is the smaller number.

  Returns:
    [E, 2] float64: transitions whose truth is covered, transitions. Their share should be .9 of 5 %
    to 95 %, and .5 of 25 % to 75 %; less if predictions are too sure.

  Raises:
    ValueError: if a shape is wrong, a counted value is not finite, or an interval ends before it
      begins.
  """
  _check_setting('period', period, period is None or period > 0)
  is_known = timeline.check(is_known, 'is_known').astype(bool)
  true, low, high = (_finite(x, is_known, timeline, name) for x, name in (
      (true, 'true'), (low, 'low'), (high, 'high')))
  if period is None:
    if np.any(low > high):
      i = int(np.argmax(low > high))
      raise ValueError(f'low[{i}] is {low[i]} and high[{i}] {high[i]}; expected no smaller one.')
    is_in = (low <= true) & (true <= high)
  else:
    width = np.where(high - low >= period, period, (high - low) % period)
    is_in = (true - low) % period <= width
  return timeline.sums(np.stack([is_known & is_in, is_known], axis=1))


def fit_linear(features, values, period=None):
  """Fits a linear map of features to the labels that an IDM had: the floor of R² and of errors.

  Args:
    features: [N, F] float of labelled transitions, e.g. `floors.change_features`; N at least 2.
    values: [N] float; their labels.
    period: as in `difference`; then sine and cosine are fitted, and the angle is predicted.

  Returns:
    A function from features [M, F] of others to predictions [M] in units.

  Raises:
    ValueError: for fewer than two transitions.
  """
  values = np.asarray(values, np.float64)[:, None]
  if period is None:
    line = floors.fit_linear_values(features, values)
    return lambda others: floors.predict_values(line, others)[:, 0]
  angles = values * (2 * np.pi / period)
  plane = floors.fit_linear_values(features, np.concatenate([np.sin(angles), np.cos(angles)], 1))

  def predict(others):
    sine, cosine = floors.predict_values(plane, others).T
    return np.arctan2(sine, cosine) / (2 * np.pi) * period % period

  return predict
