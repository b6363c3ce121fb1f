"""Finds episodes whose list of actions is earlier or later than those of other episodes.

A probe of the others fits such an episode better at another shift. What differs is then shifted,
and the probe fitted again. Of short episodes none may be clear by itself; but those that fit better
at a shift in one half of their transitions do so in the other half, too, if episodes disagree.
Where halves of the episodes disagree, a probe of all of them tells nothing: so it is a probe of
each lag by itself that first says which belong together.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from alpt_jax.measures import cross_fitting, intervals

LARGEST_LAG = 3
LAGS = tuple(range(-LARGEST_LAG, LARGEST_LAG + 1))

_SMALLEST_SHARE = .25  # Of what others lose at another shift; less is no difference.
_BLOCK = 5  # Transitions of an episode that count as one: neighbours are alike.
_FEWEST_BLOCKS = 3
_LARGEST_P_VALUE = .05
_NUM_ROUNDS = 4
_SPLIT_P_VALUE = .01 / (2 * LARGEST_LAG)  # Of each other shift.


class Difference(NamedTuple):
  """By how much the list of an episode differs from the rest.

  Attributes:
    episode: int.
    late: transitions by which it is later than the others; 0 for as they; None: cannot tell.
    gain: of its best other shift, in squared error of a transition; below 0 where it fits worse.
    low, high: ends of its 95 % interval over blocks of transitions; None for too few.
    num_transitions: that were compared.
  """
  episode: int
  late: int | None
  gain: float
  low: float | None
  high: float | None
  num_transitions: int


def differences(lags, best, *, is_again=False):
  """Finds the episodes that differ from the rest.

  Args:
    lags: `alignment._Lags`.
    best: the lag that tells most.
    is_again: whether `best` is what most of them said to be better than another lag.

  Returns:
    A `Difference` for each episode, () if they agree on nothing within LAGS; and the episodes of a
    group that differs, and how late they are.
  """
  names, shifts = lags.data.episode_ids, _seeds(lags, best)
  plain, _, _ = _others(lags, best, np.zeros_like(shifts))
  for _ in range(_NUM_ROUNDS):
    others, gains, episode = _others(lags, best, shifts)
    last, shifts = shifts, np.array([other.shift if other.mean > 0 else 0 for other in others])
    if np.array_equal(last, shifts):
      break
  group, late = _group(names, episode, {
      shift: gain for shift, gain in gains.items() if best + shift in LAGS}, _typical(others))
  if 2 * len(group) > len(names):  # They are the rest.
    return ((), (), 0) if is_again else differences(lags, best - late, is_again=True)
  others = others if group else plain
  return (tuple(other.difference(int(name), _typical(others))
                for name, other in zip(names, others, strict=True)), group, late)


def _others(lags, best, shifts):
  """`_Other` of each episode, and what `_gains_of_shifts` returns."""
  gains, episode = _gains_of_shifts(lags, best, shifts)
  return [_best_other({shift: gain[episode == i] for shift, gain in gains.items()})
          for i in range(len(shifts))], gains, episode


def _seeds(lags, best):
  """How far each episode is from lag `best` by the probes of single lags: shifts [E]."""
  data = lags.data
  said = lags.probe.series(cross_fitting.moments(data.parts, LAGS, lags.rows, lags.targets))
  episode, num = data.episode[lags.rows], len(data.episode_ids)
  errors = np.stack([np.bincount(
      episode, cross_fitting.errors(lags.targets, said[lags.rows + lag, i]), num)
                     for i, lag in enumerate(LAGS)])
  own = np.array(LAGS)[errors.argmin(axis=0)]
  values, counts = np.unique(own, return_counts=True)
  common = values[np.argsort(counts)[-2:]]  # Two groups: others may be what players react to.
  return np.where(np.isin(own, common) & np.isin(own - best, LAGS), own - best, 0)


def _gains_of_shifts(lags, best, shifts):
  """How much less the squared error of each transition is at another shift: {shift: [M]}.

  Args:
    lags: `alignment._Lags`.
    best: lag around which the probe looks, of episodes that are not shifted.
    shifts: [E] int, of each episode while the probe is fitted.

  Returns:
    That, and the index [M] of the episode of each transition.
  """
  data = lags.data
  used = [lag for lag in (best - 1, best, best + 1) if lag in LAGS]
  moved = shifts[data.episode]
  rows = data.rows(max(0, LARGEST_LAG - used[0]), max(0, LARGEST_LAG + used[-1]))
  fitted = lags.rows[(data.num_before[lags.rows] >= -used[0] - moved[lags.rows]) &
                     (data.num_after[lags.rows] >= used[-1] + moved[lags.rows])]
  said = lags.probe.series(cross_fitting.moments(
      data.parts, used, fitted + moved[fitted], data.targets[fitted]))
  targets, fold = data.targets[rows], data.fold[rows]
  at = {shift: np.concatenate([said[rows + lag + shift, i] for i, lag in enumerate(used)], axis=1)
        for shift in LAGS}
  own = np.zeros_like(at[0])  # As each episode is shifted.
  for shift, x in at.items():
    own[moved[rows] == shift] = x[moved[rows] == shift]
  errors = {shift: np.zeros(len(rows)) for shift in LAGS}
  for k in np.unique(fold):
    is_out = fold == k
    probe = cross_fitting.fit(own[~is_out], targets[~is_out])
    for shift, x in at.items():
      errors[shift][is_out] = cross_fitting.errors(targets[is_out], probe(x[is_out]))
  return ({shift: errors[0] - error for shift, error in errors.items() if shift},
          data.episode[rows])


def _typical(others):
  """How much episodes lose at another shift."""
  return -np.median([other.mean for other in others if other.num] or [0.])


def _group(episode_ids, episode, gains, typical):
  """The episodes that together are clearly better at another shift, and how late they are.

  Which they are is chosen on every second block of transitions, and tested on the others.
  """
  best, blocks = None, {}
  for shift, gain in gains.items():
    parts = [gain[episode == i] for i in range(len(episode_ids))]
    blocks[shift] = [np.array([x.mean() for x in np.array_split(own, max(1, len(own) // _BLOCK))
                               if len(x)]) for own in parts]
    tested = np.concatenate([other for own in blocks[shift] for half, other in (
        (own[::2], own[1::2]), (own[1::2], own[::2])) if len(half) and half.mean() > 0] or [[]])
    if len(tested) >= _FEWEST_BLOCKS and np.ptp(tested):
      value = stats.ttest_1samp(tested, 0., alternative='greater').pvalue
      if value <= _SPLIT_P_VALUE and (best is None or value < best[0]):
        best = value, shift
  if not best:
    return (), 0
  means = {shift: [own.mean() if len(own) else -1. for own in of] for shift, of in blocks.items()}
  least = max(0., _SMALLEST_SHARE * typical)
  found = [int(name) for name, mean, *of in zip(episode_ids, means[best[1]], *means.values(),
                                                strict=True) if mean > least and mean >= max(of)]
  return tuple(found), -best[1]


class _Other(NamedTuple):
  """The best other shift of an episode: its mean gain over its own, and gains of blocks [B]."""
  shift: int
  mean: float
  blocks: np.ndarray
  num: int

  def difference(self, episode, typical):
    """`Difference` by the gain; `typical` is how much others lose at another shift."""
    late = low = high = None
    if len(self.blocks) >= _FEWEST_BLOCKS and np.ptp(self.blocks) > 0:
      test = stats.ttest_1samp(self.blocks, 0.)
      low, high = map(float, test.confidence_interval(intervals.LEVEL))
      is_clear = test.pvalue <= 2 * _LARGEST_P_VALUE  # Of the side that it is on.
      if is_clear and abs(self.mean) >= _SMALLEST_SHARE * typical:
        late = -self.shift if self.mean > 0 else 0
    return Difference(episode, late, self.mean, low, high, self.num)


def _best_other(gains):
  """`_Other` of an episode with gains {shift: [M]}, how much less each squared error is there."""
  shift = max(gains, key=lambda shift: (gains[shift].sum(), -abs(shift)))
  best = gains[shift]
  if not len(best):
    return _Other(shift, 0., best, 0)
  blocks = np.array_split(best, max(1, len(best) // _BLOCK))
  return _Other(shift, float(best.mean()), np.array([b.mean() for b in blocks]), len(best))
