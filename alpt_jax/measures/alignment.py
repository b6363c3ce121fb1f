"""Tells whether listed actions sit at their own transitions, from the pictures alone.

A list that is late by a constant lag fools whatever is trained on it: an inverse dynamics model
that sees past frames learns the lag, and labels that are held out have it, too. But pictures do not
change before the action that changes them. If the change of the picture at an earlier transition
tells the listed action, the list is late; unless the player reacted to that change.

So lags are looked at from the earliest on, and each only for what it tells of the action beyond the
past: the actions listed before, and the changes at all earlier lags. What it tells is the share of
the variance of the targets that a linear probe explains on episodes that it was not fitted to.
Where several lags tell something, an earlier one may be what the player reacted to: it counts only
if what moves is what moves at the later one. Effects last and look alike; what is reacted to looks
otherwise.

An episode that differs from the rest is found by the rest, see `list_shifts`.

Targets are numbers: of a discrete action, an indicator of each (`indicators`). Of a continuous part
they have to be its increments, as its values hardly change from one transition to the next.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax.measures import cross_fitting, intervals, list_shifts

LARGEST_LAG, LAGS = list_shifts.LARGEST_LAG, list_shifts.LAGS
REACH = 2 * LARGEST_LAG + 1  # Transitions before and after a listed one that are of use.
FEWEST_EPISODES = 8
FEWEST_TRANSITIONS = 200
ALIGNED, LATE, EARLY, NOT_LATE, CANNOT_TELL, DISAGREE = (
    'aligned', 'late', 'early', 'not late', 'cannot tell', 'files disagree')
LEAST_GAIN = .02  # Share of the variance that the change at a lag has to tell, for a verdict.

_NUM_FOLDS = cross_fitting.NUM_FOLDS
_BEYOND = LARGEST_LAG + 1  # The lag before the first: its change belongs to the past.
_LISTED_BEFORE = (1, 2)  # Transitions whose listed actions belong to the past.
_PENALTIES = (.1, 1.)  # Of the probe of pictures, relative to the features' mean square.
_SMALLEST_GAIN = .01  # Share of the variance.
_SMALLEST_SHARE = .25  # Of the largest gain; less is no effect.
_LITTLE = .08  # Of the largest gain: an effect only if it looks like a larger one.
# Cosines; of effects it was .5 to 1, of what hand-made players react to up to .3.
_ALIKE, _VERY_ALIKE = .45, .7
_CLEAR, _VERY_CLEAR = .05, .4  # Of cosines, see `_Lags.likeness`.
_NUM_RESAMPLES = 2000
_NOTHING_TOLD = 'no change of the picture tells the listed actions beyond what the past tells'
_REACTED = ('the change that tells most of them looks like what the player reacts to, not like '
            'what the actions do')
_UNCLEAR = ('several changes of the picture tell them, and whether the first is what the player '
            'reacts to is not clear')
_LEAST_LOW = 1 / 3  # Of a gain, the least low end for a verdict: less is of some episodes only.
_LARGEST_MINORITY = 1 / 3  # Of the episodes; more may as well be right.
_TOO_LITTLE_TOLD = ('what the change of the picture tells of them beyond the past is too little, '
                    'or of some episodes only')


class Stretch(NamedTuple):
  """Transitions of an episode in a row.

  Attributes:
    episode: int; which one.
    changes, movement: [T, F] and [T, P] float32; of the picture in each transition, see
      `picture_changes.features`.
    targets: [T, D] float; what is listed at each; anything where nothing is.
    is_known: [T] bool; whether something is listed.
  """
  episode: int
  changes: np.ndarray
  movement: np.ndarray
  targets: np.ndarray
  is_known: np.ndarray


class Gain(NamedTuple):
  """What the change of the picture at a lag tells of the listed action beyond the past.

  Attributes:
    lag: transitions from the listed action to the change; negative: the change came first.
    value: share of the variance of the targets, at most 1; below 0 where the probe misleads.
    low, high: ends of the 95 % interval over episodes.
  """
  lag: int
  value: float
  low: float
  high: float


class Alignment(NamedTuple):
  """What was found of a list of actions.

  Attributes:
    gains: a `Gain` for each of LAGS, of the episodes that do not differ; () where too little is
      known, see `reason`.
    effects: the lags at which the picture shows what the action did, ascending; () if none does.
    past: share of the variance of the targets that the past tells.
    differences: a `list_shifts.Difference` for each episode.
    num_episodes, num_transitions: the gains are of.
    reason: why nothing can be told, of no or hardly any gain; '' if something can.
    group: episodes that fit better `group_late` transitions later than the rest, where that is
      clear of them together, ascending; it need not be of each of them by itself.
    group_late: int; 0 for no group.
  """
  gains: tuple[Gain, ...] = ()
  effects: tuple[int, ...] = ()
  past: float | None = None
  differences: tuple[list_shifts.Difference, ...] = ()
  num_episodes: int = 0
  num_transitions: int = 0
  reason: str = ''
  group: tuple[int, ...] = ()
  group_late: int = 0


class Verdict(NamedTuple):
  """What it means.

  Attributes:
    kind: ALIGNED; LATE or EARLY, by `steps`; NOT_LATE: an early list cannot be excluded, as
      pictures may show an action that much later; CANNOT_TELL; or DISAGREE: some lists are `steps`
      later or earlier than others, and which are right cannot be told.
    steps: transitions, at least 0.
  """
  kind: str
  steps: int = 0


def verdict(alignment, latency=None):
  """Judges a list.

  Args:
    alignment: `Alignment`.
    latency: transitions from an action to the first change that it makes, if somebody knows: 0 if
      that is the change of its own transition; None if nobody does. An early list cannot be told
      from a late picture without it.

  Returns:
    `Verdict` of the episodes that do not differ from the rest.
  """
  if len(alignment.group) > _LARGEST_MINORITY * len(alignment.differences):
    return Verdict(DISAGREE, abs(alignment.group_late))
  if not alignment.effects:
    return Verdict(CANNOT_TELL)
  late = (latency or 0) - alignment.effects[0]
  if late == 0:
    return Verdict(ALIGNED)
  if late > 0:
    return Verdict(LATE, late)
  return Verdict(NOT_LATE if latency is None else EARLY, -late)


def indicators(actions, num_actions):
  """Makes targets [T, A] float of discrete actions [T] int in [0, num_actions)."""
  return np.eye(num_actions)[actions]


def measure(stretches, *, seed=0):
  """Measures how a list of actions is aligned with the pictures.

  Args:
    stretches: list of `Stretch`, at least one, with one D, F and P. Transitions with fewer than
      four neighbours on either side in their stretch only help to know what was listed before.
    seed: of the parts that episodes are divided into for cross-fitting, and of intervals.

  Returns:
    `Alignment`. Its gains are of the episodes that do not differ from the rest.

  Raises:
    ValueError: if there is no stretch, or they differ in D, F or P.
  """
  shapes = {(s.changes.shape[1], s.movement.shape[1], s.targets.shape[1]) for s in stretches}
  if len(shapes) != 1:
    raise ValueError(f'stretches have changes, movements and targets of sizes {sorted(shapes)}; '
                     'expected at least one stretch, and one size each.')
  stretches = [s for s in stretches if s.is_known[_BEYOND:-_BEYOND].any()]
  if reason := _too_little(stretches):
    return Alignment(reason=reason)
  lags = _Lags(_Data(stretches, seed))
  found = _alignment(lags, seed)
  best = LAGS[np.argmax([gain.value for gain in found.gains])]
  differences, group, late = list_shifts.differences(lags, best)
  split = {'group': group, 'group_late': late}
  if len(group) > _LARGEST_MINORITY * len(differences):  # Of two groups; no third one is told.
    differences = tuple(d._replace(late=d.late if d.late in (0, late) else None)
                        for d in differences)
    return found._replace(differences=differences, **split)
  differing = {*group, *(d.episode for d in differences if d.late)}
  if differing and (group or found.effects):
    rest = [s for s in stretches if s.episode not in differing]
    if not _too_little(rest):
      found = _alignment(_Lags(_Data(rest, seed)), seed)
  return found._replace(differences=differences if found.effects or group else (), **split)


def _too_little(stretches):
  """Why nothing can be told of some stretches, each of use; '' if something can."""
  num_episodes = len({s.episode for s in stretches})
  if num_episodes < FEWEST_EPISODES:
    return (f'{num_episodes} episodes have listed actions with {_BEYOND} transitions on either '
            f'side; expected at least {FEWEST_EPISODES}')
  num = sum(int(s.is_known[_BEYOND:-_BEYOND].sum()) for s in stretches)
  if num < FEWEST_TRANSITIONS:
    return (f'{num} transitions have a listed action and {_BEYOND} transitions on either side; '
            f'expected at least {FEWEST_TRANSITIONS}')
  known = np.concatenate([s.targets[_BEYOND:-_BEYOND][s.is_known[_BEYOND:-_BEYOND]]
                          for s in stretches])
  return '' if np.any(known != known[0]) else 'all listed actions are the same'


class _Data:
  """All N transitions of some stretches, fold by fold; D targets that are not constant."""

  def __init__(self, stretches, seed):
    self.episode_ids = np.unique([s.episode for s in stretches])
    folds = np.random.default_rng(seed).permutation(len(self.episode_ids)) % _NUM_FOLDS
    fold_of = dict(zip(self.episode_ids.tolist(), folds.tolist(), strict=True))
    stretches = sorted(stretches, key=lambda s: fold_of[s.episode])
    lengths = [len(s.changes) for s in stretches]
    self.is_known = np.concatenate([s.is_known for s in stretches])
    targets = np.concatenate([s.targets for s in stretches]).astype(np.float64)
    targets = targets[:, np.ptp(targets[self.is_known], axis=0) > 0]
    self.targets = np.where(self.is_known[:, None], targets, 0.)
    self.features = cross_fitting.scaled(np.concatenate(
        [np.hstack([s.changes, s.movement]) for s in stretches]))
    self.num_movement = stretches[0].movement.shape[1]
    self.num_before = np.concatenate([np.arange(n) for n in lengths])
    self.num_after = np.concatenate([np.arange(n)[::-1] for n in lengths])
    self.episode = np.repeat(np.searchsorted(self.episode_ids, [s.episode for s in stretches]),
                             lengths)
    self.fold = folds[self.episode]
    self.parts = np.split(self.features, np.searchsorted(self.fold, range(1, _NUM_FOLDS)))

  def rows(self, num_before, num_after):
    """Transitions [M] whose action is listed, with that many others before and after them."""
    return np.flatnonzero(self.is_known & (self.num_before >= num_before) &
                          (self.num_after >= num_after))


class _Lags:
  """What the changes at all lags say of the targets of M transitions, beyond the past.

  Attributes:
    rows: [M] int; the transitions.
    targets: [M, D].
    past: list: entry i holds what is known before the change at LAGS[i], arrays of M rows.
    said: list: entry i is what that says, [M, D]; the last one with all lags.
    gains: [S, M, D] float; how much less the squared error is with each lag.
    spread: [M] float; the squared error of the mean.
  """

  def __init__(self, data):
    self.data, self.rows = data, data.rows(_BEYOND, _BEYOND)
    self.targets, self.fold = data.targets[self.rows], data.fold[self.rows]
    self.probe, at_lags = self._best_probe()
    centred = np.where(data.is_known[:, None], data.targets - self.targets.mean(axis=0), 0.)
    past = [*(centred[self.rows - n] for n in _LISTED_BEFORE), at_lags.pop(0)]
    self.past = [past]
    for said in at_lags:
      self.past.append([*self.past[-1], said])
    self.said = [cross_fitting.cross_fit(parts, self.targets, self.fold) for parts in self.past]
    self.gains = -np.diff([(self.targets - said)**2 for said in self.said], axis=0)
    self.spread = cross_fitting.errors(self.targets, self.targets.mean(axis=0))

  def _best_probe(self):
    """The probe whose best lag errs least; what it says at the lag before all and at each."""
    best = None
    low, high = self.targets.min(axis=0), self.targets.max(axis=0)
    lags = (-_BEYOND, *LAGS)
    fits = cross_fitting.moments(self.data.parts, lags, self.rows, self.targets)
    squares = cross_fitting.squares(self.data.parts)
    for penalty in _PENALTIES:
      probe = cross_fitting.Probe(self.data.parts, squares, penalty)
      series = np.clip(probe.series(fits), low, high)
      said = [series[self.rows + lag, i] for i, lag in enumerate(lags)]
      error = min(cross_fitting.errors(self.targets, x).sum() for x in said)
      if best is None or error < best[0]:
        best = error, probe, said
    return best[1:]

  def share(self, gains, seed):
    """`intervals.Interval` of gains [M], as a share of the variance."""
    sums, sizes = (np.bincount(self.data.episode[self.rows], weights=x)
                   for x in (gains, self.spread))
    return intervals.bootstrap_ratio(sums, sizes, num_resamples=_NUM_RESAMPLES, seed=seed)

  def likeness(self, early, late, clear):
    """How alike the movements are by which two lags tell the targets beyond the past.

    Args:
      early, late: indices of LAGS.
      clear: the share of a sum of squares that may not be noise; without any noise, it is 0.8.

    Returns:
      The cosine of the covariances of the movement with what is to be told, from products of
      different folds, so that noise does not make it smaller; None where they are not clear.
    """
    parts = []
    for i in (early, late):
      moved = self.data.features[self.rows + LAGS[i], -self.data.num_movement:]
      left = self.targets - self.said[i]
      parts.append(np.stack([moved[self.fold == k].T @ left[self.fold == k]
                             for k in range(_NUM_FOLDS)]))
    a, b = parts
    product, *squares = (np.sum(x.sum(axis=0) * y.sum(axis=0)) - np.sum(x * y)
                         for x, y in ((a, b), (a, a), (b, b)))
    is_clear = all(square > clear * np.sum(x.sum(axis=0)**2)
                   for square, x in zip(squares, parts, strict=True))
    return product / np.sqrt(squares[0] * squares[1]) if is_clear else None


def _alignment(lags, seed):
  """`Alignment` of all episodes of `_Lags`, without differences."""
  shares = [lags.share(x.sum(axis=1), seed) for x in lags.gains]
  effects, reason = _effects(lags, shares)
  return Alignment(
      tuple(Gain(lag, x.value, x.low, x.high) for lag, x in zip(LAGS, shares, strict=True)),
      tuple(LAGS[i] for i in effects),
      1 - cross_fitting.errors(lags.targets, lags.said[0]).sum() / lags.spread.sum(), (),
      len(np.unique(lags.data.episode[lags.rows])), len(lags.rows), reason)


def _effects(lags, shares):
  """Indices of LAGS at which the picture shows what the action did, and why there is none or ''.

  Args:
    lags: `_Lags`.
    shares: `intervals.Interval` of the gain at each lag.
  """
  largest = max(share.value for share in shares)
  told = [i for i, share in enumerate(shares)
          if share.low > 0 and share.value >= max(_SMALLEST_GAIN, _LITTLE * largest)]
  strong = [i for i in told if shares[i].value >= _SMALLEST_SHARE * largest]
  effects = []
  for i in told[::-1]:
    likenesses = [lags.likeness(i, j, _CLEAR) for j in effects]
    if i in strong and None in likenesses:
      return [], _UNCLEAR
    if i in strong:  # Weak evidence counts where it is clear.
      likenesses += [x for j in told if j > i and j not in strong and j not in effects
                     and (x := lags.likeness(i, j, _VERY_CLEAR)) is not None]
      is_effect = all(x >= _ALIKE for x in likenesses)
    else:
      is_effect = bool(effects) and all(x is not None and x >= _VERY_ALIKE for x in likenesses)
    if is_effect:
      effects = [i, *effects]
  if effects and not (shares[effects[0]].value >= LEAST_GAIN and
                      shares[effects[0]].low >= _LEAST_LOW * shares[effects[0]].value):
    return [], _TOO_LITTLE_TOLD
  return effects, '' if effects else _NOTHING_TOLD if not told else _REACTED
