"""Detects a temporal lag between labels and the listed actions.

A lag that all lists share is not seen: an inverse dynamics model learns it. For that there is
`alignment`, which asks the pictures.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax.measures import continuous

_LARGEST_SHIFT = 3
_SMALLEST_GAIN = .02  # Of a lag; a real one gains far more, unless actions hardly ever change.
_FEWEST_EPISODES = 8  # To call a lag clear; signs of fewer agree too often.
_SMALLEST_RANGE = 1e-9  # Of increments, relative to their size; less is rounding.
_DRAWS_AT_ONCE = 2**22  # Of signs; 32 MB.
_LARGEST_P_VALUE = .05 / (2 * _LARGEST_SHIFT)  # Bonferroni, over the shifts that are not 0.


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


def lag_test(known, *, num_resamples=10_000, seed=0):
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
    known: `predictions.Predictions` with episodes and timesteps. There may be gaps, across which
      nothing is compared.
    num_resamples: how many draws of signs; no lag is clear from fewer than 119.
    seed: of them, so that a report can be made again.

  Returns:
    A `Lag`.

  Raises:
    ValueError: if two rows are the same transition, or `num_resamples` is out of range.
  """
  return _find(known.episodes, known.timesteps,
               lambda rows, others: known.labels[rows] == known.actions[others],
               num_resamples, seed)


def lag_test_increments(true, predicted, is_known, timeline, *, period=None, num_resamples=10_000,
                        seed=0):
  """Finds predictions of a continuous part that sit at the wrong transition; see `lag_test`.

  Values change little from one transition to the next, so that all shifts are alike: their
  increments are compared. The `accuracy` of a shift is the correlation of predicted increments with
  true ones so much later, and the thresholds are those of `lag_test`.

  Args:
    true: [M] float; anything where not known.
    predicted: [M] float.
    is_known: [M] bool.
    timeline: `timeline.Timeline` of the M transitions.
    period: length of the circle if values wrap around; None if they do not.
    num_resamples: as in `lag_test`.
    seed: as in `lag_test`.

  Returns:
    A `Lag`.

  Raises:
    ValueError: if increments are constant, or no two transitions follow each other.
  """
  increments = []
  for values in (true, predicted):
    before, has_one = timeline.before(np.where(is_known, values, 0), is_known)
    is_used = np.asarray(is_known, bool) & has_one
    increments.append(continuous.difference(values, before, period)[is_used])
  scaled = []
  for name, values in zip(('true', 'predicted'), increments, strict=True):
    if not values.size or np.ptp(values) <= _SMALLEST_RANGE * np.abs(values).max():
      raise ValueError(f'{len(values)} increments of {name} values are '
                       f'{f"all {values[0]:g}" if len(values) else "known"}; expected several.')
    scaled.append((values - values.mean()) / values.std())
  places = np.empty(len(timeline), np.int64)  # Timesteps, but for a constant of each run.
  places[timeline.order] = np.arange(len(timeline)) + 2 * _LARGEST_SHIFT * np.cumsum(
      timeline.previous[timeline.order] < 0)
  return _find(timeline.index[is_used], places[is_used],
               lambda rows, others: scaled[1][rows] * scaled[0][others], num_resamples, seed)


def _find(episodes, timesteps, score, num_resamples, seed):
  """`Lag` by score(rows, others) [P], how right what is said of a transition is of another."""
  if num_resamples < 1:
    raise ValueError(f'num_resamples is {num_resamples}; expected at least 1.')
  shifts = np.arange(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1)
  partners = [_partners(episodes, timesteps, shift) for shift in shifts]
  scores = [score(rows, others) for rows, others in partners]
  gains = {int(shift): float(np.mean(scored) - np.mean(score(rows, rows)))
           for shift, scored, (rows, _) in zip(shifts, scores, partners, strict=True) if len(rows)}
  best = max(gains, key=lambda shift: (gains[shift], -abs(shift)))
  scored, (rows, _) = scores[best + _LARGEST_SHIFT], partners[best + _LARGEST_SHIFT]
  ids, index = np.unique(episodes[rows], return_inverse=True)
  p_value = None
  if best:
    sums = np.bincount(index, weights=scored.astype(float) - score(rows, rows))
    p_value = _random_signs_p_value(sums, num_resamples, seed)
  return Lag(shifts, np.array([scored.mean() if len(scored) else np.nan for scored in scores]),
             np.array([len(scored) for scored in scores]), best, gains[best], len(ids), p_value,
             bool(best and gains[best] >= _SMALLEST_GAIN and len(ids) >= _FEWEST_EPISODES
                  and p_value <= _LARGEST_P_VALUE))


def _random_signs_p_value(values, num_resamples, seed):
  """Share of draws of signs under which the sum of `values` [E] is as large; never 0."""
  generator = np.random.default_rng(seed)
  num_as_large = 1  # The signs as they are.
  most = max(1, _DRAWS_AT_ONCE // len(values))
  for begin in range(0, num_resamples, most):
    rows = min(most, num_resamples - begin)
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
