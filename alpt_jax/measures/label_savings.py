"""Label savings: how many labels a baseline needs to be where a method is with few.

Interpolated on the logarithm of the number of labels, between budgets that were run. Beyond them
nothing is known: the number is censored, "at most" the smallest budget or "more than" the largest.
"""

import math
from typing import NamedTuple

import numpy as np

from alpt_jax.measures import intervals, verdicts

_RELATION_OF = {-1: 'at most', 0: 'about', 1: 'more than'}


class Labels(NamedTuple):
  """A number of labels.

  Attributes:
    number: of labels; a bound if `relation` says so.
    relation: 'about', 'at most' (the smallest budget is enough) or 'more than' (the largest is
      not).
  """
  number: float
  relation: str

  def text(self):
    """Formats the number for readers, e.g. 'more than 10,000'."""
    return ('' if self.relation == 'about' else self.relation + ' ') + f'{self.number:,.0f}'


class Savings(NamedTuple):
  """Labels of the baseline that are worth the method's, over training seeds.

  Attributes:
    num_labels: of the method.
    equivalent: `Labels` of the baseline; None without a seed.
    low: `Labels`, lower end of the interval; None for fewer than two seeds.
    high: upper end; None for fewer than two seeds.
    n: seeds that the method and every budget of the baseline have.
    reason: why there is no verdict, e.g. 'no verdict: 3 of 5 seeds'; '' from five seeds on.
  """
  num_labels: int
  equivalent: Labels | None
  low: Labels | None
  high: Labels | None
  n: int
  reason: str

  @property
  def is_saving(self):
    """Whether the whole interval is above the method's own labels; never below five seeds."""
    return (not self.reason and self.low is not None and self.low.relation != 'at most'
            and self.low.number > self.num_labels)


def equivalent(budgets, values, level):
  """Finds where curves first reach a level.

  Args:
    budgets: [P] ascending numbers of labels, at least 1.
    values: [..., P] float; of each curve at the budgets.
    level: [...] float.

  Returns:
    [...] float64, natural logarithms of numbers of labels; -inf where the smallest budget is
    there already, inf where none gets there.
  """
  logs, values = np.log(np.asarray(budgets, np.float64)), np.asarray(values, np.float64)
  level = np.asarray(level, np.float64)[..., None]
  is_there = values >= level
  i = is_there.argmax(axis=-1)[..., None]
  above = np.take_along_axis(values, i, axis=-1)
  below = np.take_along_axis(values, np.maximum(i - 1, 0), axis=-1)
  share = np.divide(level - below, above - below, out=np.zeros_like(above), where=above > below)
  found = logs[np.maximum(i - 1, 0)] + share * (logs[i] - logs[np.maximum(i - 1, 0)])
  found = np.where(i == 0, -np.inf, found)
  return np.where(is_there.any(axis=-1, keepdims=True), found, np.inf)[..., 0]


def _labels(log, budgets):
  side = 0 if math.isfinite(log) else int(math.copysign(1, log))
  number = {-1: budgets[0], 1: budgets[-1], 0: math.exp(log) if side == 0 else 0}[side]
  return Labels(float(number), _RELATION_OF[side])


def label_savings(values, num_labels, baseline_values, *, num_resamples=10_000):
  """Says how many labels of the baseline are as good as the method's.

  Means over the same seeds are compared. The interval is a percentile bootstrap that draws seeds
  again, the method's and the baseline's together; an end can be censored, as it is taken among
  draws and never between two of them. With few seeds it is too narrow, hence no verdict below five.

  Args:
    values: {seed: accuracy} of the method.
    num_labels: that the method has.
    baseline_values: {number of labels: {seed: accuracy}}, two budgets or more.
    num_resamples: how many draws.

  Returns:
    A `Savings`.

  Raises:
    ValueError: if there are fewer than two budgets or a value is missing.
  """
  budgets = sorted(baseline_values)
  if len(budgets) < 2 or budgets[0] < 1:
    raise ValueError(f'baseline_values have the numbers of labels {budgets}; expected two or more, '
                     'each at least 1.')
  seeds = sorted(set(values).intersection(*(baseline_values[b] for b in budgets)))
  n = len(seeds)
  reason = verdicts.no_verdict(n)
  if not n:
    return Savings(num_labels, None, None, None, 0, reason)
  ours = np.array([values[s] for s in seeds], np.float64)
  theirs = np.array([[baseline_values[b][s] for b in budgets] for s in seeds], np.float64)
  if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
    raise ValueError('values or baseline_values hold a number that is not finite; expected one for '
                     'every seed.')
  found = _labels(float(equivalent(budgets, theirs.mean(axis=0), ours.mean())), budgets)
  if n < 2:
    return Savings(num_labels, found, None, None, n, reason)
  draws = np.random.default_rng(0).integers(n, size=(num_resamples, n))
  logs = np.sort(equivalent(budgets, theirs[draws].mean(axis=1), ours[draws].mean(axis=1)))
  tail = (1 - intervals.LEVEL) / 2
  ends = np.quantile(np.arange(num_resamples), [tail, 1 - tail],
                     method='inverted_cdf').astype(int)
  low, high = (_labels(float(logs[i]), budgets) for i in ends)
  return Savings(num_labels, found, low, high, n, reason)
