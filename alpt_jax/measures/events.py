"""Measures when keys are pressed and released: F1 of events within a collar, and of whole steps.

A held key is right at nearly every step without any skill; its onset and its release are not. Each
predicted event is matched with at most one true event of the same key and kind, no further away
than the collar, so that neither a hesitant nor a trembling prediction scores twice.

Which steps count. An event is between two consecutive timesteps of one episode whose truth is known
for this key. The first step of an episode, and the first known one after a gap, have no event:
nothing says when a key that is down there was pressed. What is predicted there has none either, so
an edge is neither a miss nor a false alarm. No match crosses an edge.

Baselines are predictions, too, and scored as such: no key ever pressed, or the true value of the
step before (`Timeline.before`). The latter repeats each event one step late, so it is a floor at
collar 0 only: at collar 1 it scores 1. The luck level is of events shuffled in time (`shuffled`).
"""

import numpy as np

from alpt_jax.measures import predictions, resampling

KINDS = ('onset', 'release')
COLLARS = (0, 1, 2)  # Steps.
MATCHED, PREDICTED, TRUE = range(3)  # The last axis of counts.


def find(is_pressed, is_known, timeline):
  """Finds the onsets and releases of keys.

  Args:
    is_pressed: [M, K] bool, or numbers that are 0 or 1; K keys, anything where not known.
    is_known: [M, K] bool; whether the truth is known.
    timeline: `timeline.Timeline` of the M transitions.

  Returns:
    [M, K, 2] bool; whether the key was pressed, or released, since the step before.

  Raises:
    ValueError: if a shape is wrong, or a known value is neither 0 nor 1.
  """
  is_pressed, is_known = _checked(is_pressed, is_known, timeline, 'is_pressed')
  before, has_one = timeline.before(is_pressed, is_known)
  is_new = is_known & has_one & (is_pressed != before)
  return np.stack([is_new & is_pressed, is_new & ~is_pressed], axis=-1)


def _checked(is_pressed, is_known, timeline, name):
  """Returns [M, K] bool twice."""
  is_pressed = timeline.check(is_pressed, name, ndim=2)
  is_known = timeline.check(is_known, 'is_known', ndim=2).astype(bool)
  if is_known.shape != is_pressed.shape:
    raise ValueError(f'is_known has shape {is_known.shape}, {name} {is_pressed.shape}; expected '
                     'the same.')
  predictions.refuse(is_pressed, is_known & (is_pressed != 0) & (is_pressed != 1), name, '0 or 1')
  return is_known & (is_pressed == 1), is_known


def count(true, predicted, is_known, timeline, *, collar):
  """Counts true, predicted and matched events, by episode.

  Args:
    true: [M, K, 2] bool, from `find`.
    predicted: [M, K, 2] bool, from `find` with the same `is_known`.
    is_known: [M, K] bool.
    timeline: `timeline.Timeline` of the M transitions.
    collar: largest distance of a match in steps, at least 0.

  Returns:
    [E, K, 2, 3] float64; matched, predicted and true events of each episode, key and kind. Add up
    axes at will, e.g. `counts.sum(axis=(1, 2))` [E, 3] for all keys and kinds together, for
    `precision`, `recall`, `f1` and `resampling.interval(.., f1)`.

  Raises:
    ValueError: if `collar` is negative or shapes differ.
  """
  if collar < 0:
    raise ValueError(f'collar is {collar}; expected 0 or more steps.')
  if not true.shape == predicted.shape == (*np.shape(is_known), 2):
    raise ValueError(f'true has shape {true.shape}, predicted {predicted.shape}; expected '
                     f'{[*np.shape(is_known), 2]}, as `find` returns.')
  is_matched = np.zeros(true.shape, bool)
  places = _places(is_known, timeline, collar)
  for k, kind in np.ndindex(true.shape[1:]):
    rows, others = (timeline.order[x[timeline.order, k, kind]] for x in (true, predicted))
    found, _ = match(places[rows, k], places[others, k], collar)
    is_matched[rows[found], k, kind] = True
  return timeline.sums(np.stack([is_matched, predicted, true], axis=-1))


def _places(is_known, timeline, collar):
  """Numbers steps [M, K] in time; further than `collar` apart if an edge is between them."""
  is_known = np.asarray(is_known, bool)
  _, has_one = timeline.before(is_known, is_known)
  is_edge = ~(is_known & has_one)[timeline.order]
  places = np.empty(is_known.shape, np.int64)
  places[timeline.order] = np.arange(len(timeline))[:, None] + (collar + 1) * is_edge.cumsum(axis=0)
  return places


def match(true, predicted, collar):
  """Matches events one to one, as many as possible.

  The earliest true event takes the earliest prediction within its reach. No matching has more
  pairs: where one gives that prediction to a later event, the two can swap theirs, since all
  collars are of equal width.

  Args:
    true: [N] times, ascending.
    predicted: [M] times, ascending.
    collar: largest difference of a match.

  Returns:
    Two lists: indices of the matched true events, ascending, and of their predictions.
  """
  true, predicted = np.asarray(true).tolist(), np.asarray(predicted).tolist()
  pairs, i, j = ([], []), 0, 0
  while i < len(true) and j < len(predicted):
    if abs(true[i] - predicted[j]) <= collar:
      pairs[0].append(i)
      pairs[1].append(j)
      i, j = i + 1, j + 1
    elif true[i] < predicted[j]:
      i += 1
    else:
      j += 1
  return pairs


def shuffled(events, is_known, timeline, *, seed=0):
  """Moves predicted events to random steps of their episode: what the same number scores by luck.

  Args:
    events: [M, K, 2] bool, from `find`.
    is_known: [M, K] bool.
    timeline: `timeline.Timeline` of the M transitions.
    seed: of the draws.

  Returns:
    [M, K, 2] bool; as many of each episode, key and kind, at steps where `find` can find events.
    The two kinds are drawn independently, so they need not take turns.
  """
  generator, result = np.random.default_rng(seed), np.zeros(events.shape, bool)
  numbers = timeline.sums(events)
  _, has_one = timeline.before(is_known, is_known)
  is_place = np.asarray(is_known, bool) & has_one
  for k, kind in np.ndindex(events.shape[1:]):
    rows = np.flatnonzero(is_place[:, k])
    order = rows[np.argsort(timeline.index[rows] + generator.random(len(rows)))]
    of_sorted = timeline.index[order]
    rank = np.arange(len(order)) - np.searchsorted(of_sorted, of_sorted)
    result[order, k, kind] = rank < numbers[of_sorted, k, kind]
  return result


def luck(true, predicted, is_known, timeline, *, collar, num_shuffles=10, seed=0):
  """Counts events as `count` does, with the predicted ones `shuffled`, summed over shuffles.

  Args:
    true: as in `count`, like the rest.
    predicted: [M, K, 2] bool.
    is_known: [M, K] bool.
    timeline: `timeline.Timeline`.
    collar: in steps.
    num_shuffles: at least 1.
    seed: of the first shuffle; the others follow it.

  Returns:
    [E, K, 2, 3] float64.
  """
  if num_shuffles < 1:
    raise ValueError(f'num_shuffles is {num_shuffles}; expected at least 1.')
  return sum(count(true, shuffled(predicted, is_known, timeline, seed=(seed, i)), is_known,
                   timeline, collar=collar) for i in range(num_shuffles))


def precision(counts):
  """Divides matched by predicted events: [..., 3] counts to [...], NaN if none is predicted."""
  return resampling.ratio(counts[..., MATCHED], counts[..., PREDICTED])


def recall(counts):
  """Divides matched by true events: [..., 3] counts to [...], NaN if there is none."""
  return resampling.ratio(counts[..., MATCHED], counts[..., TRUE])


def f1(counts):
  """Computes the harmonic mean of precision and recall.

  Args:
    counts: [..., 3]; matched, predicted and true events, or steps.

  Returns:
    [...] in [0, 1]; NaN if there is neither a true nor a predicted one.
  """
  return resampling.ratio(2 * counts[..., MATCHED], counts[..., PREDICTED] + counts[..., TRUE])


def count_pressed(true, predicted, is_known, timeline):
  """Counts steps at which keys are pressed, for `precision`, `recall` and `f1` of steps.

  Args:
    true: [M, K] 0 or 1.
    predicted: [M, K] 0 or 1.
    is_known: [M, K] bool; whether the truth is known.
    timeline: `timeline.Timeline`.

  Returns:
    [E, K, 3] float64; known steps where it is both, where predicted, and where truly pressed.
  """
  true, is_known = _checked(true, is_known, timeline, 'true')
  predicted, _ = _checked(predicted, is_known, timeline, 'predicted')
  return timeline.sums(np.stack([true & predicted, predicted, true], axis=-1))


def count_joint(true, predicted, is_known, timeline):
  """Counts the steps at which all keys are right, among those at which all are known.

  Args:
    true: [M, K] 0 or 1.
    predicted: [M, K] 0 or 1.
    is_known: [M, K] bool; whether the truth is known.
    timeline: `timeline.Timeline`.

  Returns:
    [E, 2] float64: steps with all keys right, steps with all keys known; for `share`.
  """
  true, is_known = _checked(true, is_known, timeline, 'true')
  predicted, _ = _checked(predicted, is_known, timeline, 'predicted')
  is_counted = is_known.all(axis=1)
  return timeline.sums(np.stack([is_counted & (true == predicted).all(axis=1), is_counted], axis=1))


def share(sums):
  """Divides the first of [..., 2] sums by the second: [...], NaN if that is 0."""
  return resampling.ratio(sums[..., 0], sums[..., 1])


def _ranked(scores):
  """Rows by falling score [M], and the last position of each run of equal scores."""
  order = np.argsort(-scores, kind='stable')
  return order, np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)


def average_precision(scores, is_pressed):
  """Averages the precision over the recall, as the threshold falls.

  The sum over thresholds of (recall gained) x (precision there); equal scores pass together. Scores
  at random reach the prevalence, i.e. the share of pressed steps, which belongs beside it.

  Args:
    scores: [M] float; higher for more likely pressed. M at least 1.
    is_pressed: [M] bool, all known.

  Returns:
    A float in [0, 1]; NaN if no step is pressed.
  """
  scores, is_pressed = np.asarray(scores, np.float64), np.asarray(is_pressed, bool)
  order, ends = _ranked(scores)
  return float(_area(np.ones(len(scores)), is_pressed[order], ends))


def _area(weights, is_pressed, ends):
  """Average precision [...] of steps by falling score, with weights [..., M]."""
  hits = np.cumsum(weights * is_pressed, axis=-1)[..., ends]
  gained = np.diff(hits, axis=-1, prepend=0)
  precisions = np.divide(hits, np.cumsum(weights, axis=-1)[..., ends], out=np.zeros(hits.shape),
                         where=hits > 0)
  return resampling.ratio((gained * precisions).sum(axis=-1), hits[..., -1])


def average_precision_interval(scores, is_pressed, episodes, *, num_resamples=1000, seed=0):
  """Computes the average precision of one key, with an interval over episodes.

  It is no function of sums over episodes, since precision is over the ranks of all: each resample
  weighs every step by how often its episode is drawn.

  Args:
    scores: [M] float.
    is_pressed: [M] bool, all known.
    episodes: [M] int; equal for the steps of an episode.
    num_resamples: how many draws.
    seed: of the draws.

  Returns:
    An `intervals.Interval` over EPISODES, see `resampling.interval`.

  Raises:
    ValueError: if the arrays differ in length, or there is no step.
  """
  scores, is_pressed = np.asarray(scores, np.float64), np.asarray(is_pressed, bool)
  if not len(scores) or not scores.shape == is_pressed.shape == np.shape(episodes):
    raise ValueError(f'scores have shape {scores.shape}, is_pressed {is_pressed.shape}, episodes '
                     f'{np.shape(episodes)}; expected [M] each, of at least one step.')
  order, ends = _ranked(scores)
  ids, index = np.unique(np.asarray(episodes)[order], return_inverse=True)
  return resampling.of_weights(
      lambda weights: _area(weights[..., index], is_pressed[order], ends), len(ids),
      size=4 * len(scores), num_resamples=num_resamples, seed=seed)


def fit_threshold(scores, is_pressed):
  """Finds the threshold that maximises the F1 of steps.

  Of steps, not of events: it follows from one sort, and is not moved by what happens at a few
  steps. Fit it on other episodes than those that are scored (`Timeline.draw_half`).

  Args:
    scores: [M] float; higher for more likely pressed.
    is_pressed: [M] bool, all known.

  Returns:
    The threshold as a float: a key is pressed where score >= threshold; the highest of equally
    good ones. Infinity, i.e. never pressed, if no step is pressed: nothing says how high it is.
  """
  scores, is_pressed = np.asarray(scores, np.float64), np.asarray(is_pressed, bool)
  if not is_pressed.any():
    return float('inf')
  order, ends = _ranked(scores)
  hits = np.cumsum(is_pressed[order])[ends]
  scored = f1(np.stack([hits, ends + 1, np.full(len(ends), is_pressed.sum())], axis=-1))
  return float(scores[order][ends[int(scored.argmax())]])


def fit_thresholds(scores, is_pressed, is_known):
  """Fits a threshold for each key: `fit_threshold` on the steps where it is known.

  Args:
    scores: [M, K] float, e.g. the predicted probability that a key is down.
    is_pressed: [M, K] 0 or 1.
    is_known: [M, K] bool.

  Returns:
    [K] float64.
  """
  return np.array([fit_threshold(s[known], pressed[known]) for s, pressed, known in zip(
      np.transpose(scores), np.transpose(is_pressed), np.transpose(is_known).astype(bool),
      strict=True)])
