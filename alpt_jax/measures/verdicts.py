"""Judges registered hypotheses by intervals between methods; no verdict below five seeds.

A registered hypothesis names the sign of the effect and the smallest effect of interest. What
`judge` says of it follows from the interval between methods alone; what it cannot say, it gives the
size of the effect for that could have been told. Several primaries share one error of 5 %: Holm
(1979, "A simple sequentially rejective multiple test procedure").
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from alpt_jax.measures import intervals

FEWEST_SEEDS = 5
ALPHA, POWER = .05, .8
SIGNS = {'higher': 1, 'lower': -1}
VERDICTS = ('as expected', 'opposite', 'no effect', 'cannot tell', 'no verdict')


class Verdict(NamedTuple):
  """What a comparison says of a hypothesis.

  Attributes:
    word: one of VERDICTS.
    reason: a sentence without its full stop.
    detectable: effect that could have been told with a power of 80 %, a difference or a ratio above
      1; None where it is not known.
  """
  word: str
  reason: str
  detectable: float | None = None


def no_verdict(num_seeds):
  """Says why there is no verdict, e.g. 'no verdict: 3 of 5 seeds'; '' if there are seeds enough."""
  return '' if num_seeds >= FEWEST_SEEDS else f'no verdict: {num_seeds} of {FEWEST_SEEDS} seeds'


def holm(p_values):
  """Adjusts p-values so that all tests together err with the probability of one.

  Args:
    p_values: [M] in [0, 1]; NaN for a test that cannot be made, which counts as 1.

  Returns:
    [M] float64: reject where at most 5 %.

  Raises:
    ValueError: if one is not in [0, 1].
  """
  p_values = np.nan_to_num(np.asarray(p_values, np.float64), nan=1.)
  if np.any((p_values < 0) | (p_values > 1)):
    raise ValueError(f'p_values are {p_values.tolist()}; expected numbers in [0, 1].')
  order, m = np.argsort(p_values, kind='stable'), len(p_values)
  adjusted = np.empty(m)
  adjusted[order] = np.minimum(
      np.maximum.accumulate(p_values[order] * (m - np.arange(m))), 1) if m else []
  return adjusted


def detectable_difference(std, n, *, alpha=ALPHA):
  """Computes the mean difference that a two-sided paired t test finds with a power of 80 %.

  From the noncentral t distribution with n - 1 degrees of freedom; a rejection in the wrong
  direction, which is rarer than 1 in 10,000 at this power, is not counted.

  Args:
    std: standard deviation of the differences, at least 0.
    n: pairs, at least 2.
    alpha: of the test.

  Returns:
    A float, at least 0, in the unit of `std`.

  Raises:
    ValueError: if n < 2 or std < 0.
  """
  if n < 2 or not std >= 0:
    raise ValueError(f'n is {n} and std {std}; expected at least 2 pairs and a std of at least 0.')
  critical = stats.t.ppf(1 - alpha / 2, n - 1)

  def missing(noncentrality):
    return stats.nct.sf(critical, n - 1, noncentrality) - POWER

  high = critical  # Where the power is about one half; scipy's distribution is NaN far above.
  while missing(high) < 0:
    high *= 1.25
  return float(optimize.brentq(missing, 0, high) * std / math.sqrt(n))


def detectable(comparison, *, alpha=ALPHA):
  """Applies `detectable_difference` to a comparison; of ratios, a ratio; None if censored.

  Args:
    comparison: an `intervals.Comparison`.
    alpha: of the test; ALPHA / M if it is the first of M that Holm lets reject.
  """
  if comparison.std is None:
    return None
  found = detectable_difference(comparison.std, comparison.interval.n, alpha=alpha)
  if not comparison.is_ratio:
    return found
  return math.exp(found) if found < 700 else math.inf


def _check_smallest(comparison, smallest_effect):
  least = 1 if comparison.is_ratio else 0
  if not least < smallest_effect < math.inf:
    raise ValueError(f'smallest_effect is {smallest_effect}; expected a number above {least}'
                     + (', as it is a ratio.' if comparison.is_ratio else '.'))


def judge(comparison, *, sign, smallest_effect, p_value=None, level=intervals.LEVEL):
  """Judges a hypothesis by the interval between methods.

    no verdict    fewer pairs of seeds than FEWEST_SEEDS;
    no effect     the whole interval lies inside the smallest effect of interest, on either side
                  (also if it excludes zero: what it found is too small to matter); never from
                  censored pairs, whose ends hold one by one;
    as expected   p is at most 5 %, and the interval lies on the side of `sign`;
    opposite      the same on the other side;
    cannot tell   everything else; never "no effect".

  Args:
    comparison: an `intervals.Comparison`.
    sign: 'higher' or 'lower': where the method is expected from the baseline.
    smallest_effect: of interest; a difference above 0, or a ratio above 1 (1.25: 0.8 to 1.25).
    p_value: adjusted for all primaries; that of the comparison itself if None.
    level: of the interval that must lie inside the smallest effect, and of the test by which the
      detectable effect is told.

  Returns:
    A `Verdict`.

  Raises:
    ValueError: if `sign` or `smallest_effect` is not as said.
  """
  if sign not in SIGNS:
    raise ValueError(f'sign is {sign!r}; expected one of {sorted(SIGNS)}.')
  _check_smallest(comparison, smallest_effect)
  interval = comparison.interval
  reason = no_verdict(interval.n)
  could_tell = detectable(comparison, alpha=1 - level)
  if reason:
    return Verdict('no verdict', reason, could_tell)
  wide = comparison.at_level(level)
  low, high, zero, least = ((wide.low, wide.high, 1., 1 / smallest_effect) if comparison.is_ratio
                            else (wide.low, wide.high, 0., -smallest_effect))
  if comparison.std is not None and least < low and high < smallest_effect:
    return Verdict('no effect', f'the whole {100 * wide.level:g} % interval is inside the smallest '
                   f'effect of interest, {least:g} to {smallest_effect:g}', could_tell)
  p_value = comparison.p_value if p_value is None else p_value
  side = -1 if interval.high < zero else 1 if interval.low > zero else 0
  if p_value is not None and p_value <= ALPHA and side:
    return Verdict('as expected' if side == SIGNS[sign] else 'opposite',
                   f'p = {p_value:.2g}, interval {"above" if side > 0 else "below"} {zero:g}',
                   could_tell)
  reason = f'the interval holds {zero:g}' if not side else f'p = {p_value:.2g} after Holm'
  if could_tell is not None:
    what = f'a ratio of {could_tell:.3g}' if comparison.is_ratio else (
        f'a difference of {could_tell:.3g}')
    reason += f'; {what} could have been told with a power of {100 * POWER:g} %'
  return Verdict('cannot tell', reason, could_tell)


def judge_all(primaries, *, not_yet=()):
  """Judges all primary hypotheses of a study together.

  p-values are adjusted by Holm over all of them, those without a verdict too. "No effect" uses
  intervals of 1 - 5 % / M (Bonferroni), so that it does not come up by their number either; the
  detectable effect is that of a test at 5 % / M, which rejects whatever the others find.

  Args:
    primaries: list of (`intervals.Comparison`, sign, smallest_effect), see `judge`.
    not_yet: [M] str; why a primary cannot be judged yet, '' if it can; () if all can.

  Returns:
    A list of (`Verdict`, adjusted p-value).
  """
  not_yet = not_yet or [''] * len(primaries)
  p_values = [comparison.p_value if comparison.p_value is not None and not why
              and not no_verdict(comparison.interval.n) else math.nan
              for (comparison, _, _), why in zip(primaries, not_yet, strict=True)]
  judged = []
  for (comparison, sign, smallest), why, p in zip(primaries, not_yet, holm(p_values), strict=True):
    verdict = judge(comparison, sign=sign, smallest_effect=smallest, p_value=float(p),
                    level=1 - ALPHA / len(primaries))
    judged.append((Verdict('no verdict', why, verdict.detectable) if why else verdict, float(p)))
  return judged
