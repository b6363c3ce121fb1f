"""Scores desktop input as D2E does, so that numbers can be set beside published ones.

D2E (Choi et al., 2025, "D2E: Scaling Vision-Action Pretraining on Desktop Data for Transfer to
Embodied AI"; the rules are those of evaluate.py in github.com/worv-ai/D2E, which names appendix F.2
of the paper) compares timestamped events of two recordings in bins of 50 ms:

  keys     how often each event, e.g. press_87, is in a bin: equal or not, over the pairs of a bin
           and an event that either recording has;
  buttons  the same of left, right and middle, down and up;
  mouse    movements summed per bin and axis: Pearson's correlation over the bins in which either
           has a movement, and the ratio of mean sizes over all bins, inverted if it is below 1.

What it does not score. Bins in which both are silent count for nothing, so neither does silence
that is right. Times and order within a bin are free, while an event that is 1 ms across the edge of
a bin costs two pairs. Nor does it see how long a key is held, which key was taken for which, on
which side the scale is wrong, the wheel, other buttons, or the position of the pointer. Repeated
presses of a key that is held count, if a recording has them. Movements in messages that also carry
a button are left out there; `moves` should be without them.

Times are in seconds after the first frame of each recording, which aligns the two.
"""

import collections
import functools
from typing import NamedTuple

import numpy as np

from alpt_jax.measures import continuous, resampling

BIN_SECONDS = .05
BUTTONS = tuple(f'{button}_{way}' for button in ('left', 'right', 'middle')
                for way in ('down', 'up'))
X, Y = range(2)
_NS = 1e9  # Nanoseconds a second: whole numbers, so that the edges of bins are exact.

# Positions of sums; the rest are those of X, then those of Y.
_NUM_BINS, _EQUAL_KEYS, _NUM_KEYS, _EQUAL_BUTTONS, _NUM_BUTTONS, _NUM_MOVING = range(6)
_TRUE, _SAID, _TRUE_2, _SAID_2, _PRODUCT, _TRUE_SIZE, _SAID_SIZE = range(7)
_NUM_SUMS = 6 + 2 * 7


class Recording(NamedTuple):
  """Input events of a recording, each in any order.

  Attributes:
    keys: list of (seconds, name), e.g. (1.25, 'press_87') and (1.5, 'release_87').
    buttons: list of (seconds, name in BUTTONS).
    moves: [N, 3] float; seconds, and by how much the mouse moved to the right and down.
  """
  keys: list
  buttons: list
  moves: np.ndarray


def from_steps(is_pressed, names, moves, *, step_seconds, buttons=()):
  """Makes a `Recording` of an episode whose actions are given step by step.

  A key that is down at a step and was not at the step before is pressed at the beginning of the
  step. What is down at the first step has no press, since nothing says when it was.

  Args:
    is_pressed: [T, K] 0 or 1, all known.
    names: [K] of the keys, e.g. as in `press_<name>`.
    moves: [T, 2] float; movements of each step. Steps that do not move have no event.
    step_seconds: length of a step.
    buttons: {name: 'left', 'right' or 'middle'}; which of the keys are buttons of the mouse.

  Returns:
    A `Recording`; step t is at t * step_seconds.

  Raises:
    ValueError: if shapes differ.
  """
  is_pressed, moves = np.asarray(is_pressed).astype(bool), np.asarray(moves, np.float64)
  if is_pressed.shape != (len(moves), len(names)) or moves.shape != (len(moves), 2):
    raise ValueError(f'is_pressed has shape {is_pressed.shape} and moves {moves.shape} of '
                     f'{len(names)} names; expected [T, {len(names)}] and [T, 2].')
  buttons, keys, clicks = dict(buttons), [], []
  for t, k in np.argwhere(is_pressed[1:] != is_pressed[:-1]).tolist():
    name, is_down, seconds = names[k], is_pressed[t + 1, k], (t + 1) * step_seconds
    if name in buttons:
      clicks.append((seconds, f'{buttons[name]}_{"down" if is_down else "up"}'))
    else:
      keys.append((seconds, f'{"press" if is_down else "release"}_{name}'))
  rows = np.flatnonzero(moves.any(axis=1))
  return Recording(keys, clicks, np.column_stack([rows * step_seconds, moves[rows]]))


def sums(true, predicted, *, start=0., end, bin_seconds=BIN_SECONDS):
  """Compares two recordings bin by bin, and adds up what the numbers are computed from.

  Args:
    true: `Recording`.
    predicted: `Recording` on the same clock.
    start: beginning of the first bin in seconds: the later beginning of the two recordings.
    end: end of the last bin, which may be a shorter one: the earlier end. Events outside of
      [start, end) do not count.
    bin_seconds: length of a bin.

  Returns:
    [20] float64, which may be added to those of other recordings, see `results`, or resampled:
    `resampling.interval(np.stack([sums(..), ..]), key_accuracy)`.

  Raises:
    ValueError: if the recordings do not overlap, or an event is not as said above.
  """
  if not (bin_seconds > 0 and start < end):
    raise ValueError(f'bins of {bin_seconds} s are in [{start}, {end}); expected a positive length '
                     'and an end after the start.')
  found = np.zeros(_NUM_SUMS)
  place = functools.partial(_bins, start=start, end=end, bin_seconds=bin_seconds)
  num_bins = -(-(round(end * _NS) - round(start * _NS)) // round(bin_seconds * _NS))
  found[_NUM_BINS] = num_bins
  for name in {name for recording in (true, predicted) for _, name in recording.buttons}:
    if name not in BUTTONS:
      raise ValueError(f'an event of a button is {name!r}; expected one of {", ".join(BUTTONS)}.')
  found[_EQUAL_KEYS:_NUM_KEYS + 1] = _compared(true.keys, predicted.keys, place)
  found[_EQUAL_BUTTONS:_NUM_BUTTONS + 1] = _compared(true.buttons, predicted.buttons, place)
  (t, is_moving), (p, is_said) = (_moved(x.moves, num_bins, place) for x in (true, predicted))
  is_either = is_moving | is_said
  found[_NUM_MOVING] = is_either.sum()
  # A bin without movements adds 0 to all of these, but for `_NUM_MOVING`.
  found[6:] = np.stack([t, p, t**2, p**2, t * p, np.abs(t), np.abs(p)]).sum(axis=1).T.ravel()
  return found


def _bins(times, *, start, end, bin_seconds):
  """Bins [N] of times [N]; -1 outside of [start, end)."""
  times, start, end, width = (np.round(np.asarray(x, np.float64) * _NS)
                              for x in (times, start, end, bin_seconds))
  if not np.all(np.isfinite(times)):
    raise ValueError('the time of an event is not finite; expected seconds.')
  return np.where((times >= start) & (times < end), (times - start) // width, -1).astype(np.int64)


def _compared(true, predicted, place):
  """How many pairs of a bin and an event are equally often in both lists; pairs in either."""
  counts = []
  for listed in (true, predicted):
    bins = place([time for time, _ in listed])
    counts.append(collections.Counter(
        (b, name) for b, (_, name) in zip(bins.tolist(), listed, strict=True) if b >= 0))
  pairs = counts[0].keys() | counts[1].keys()
  return sum(counts[0][pair] == counts[1][pair] for pair in pairs), len(pairs)


def _moved(moves, num_bins, place):
  """Movements [num_bins, 2] of each bin, and whether it has any event [num_bins]."""
  moves = np.asarray(moves, np.float64).reshape(-1, 3)
  if not np.all(np.isfinite(moves)):
    raise ValueError('a movement is not finite; expected seconds and two numbers.')
  bins = place(moves[:, 0])
  bins, moves = bins[bins >= 0], moves[bins >= 0, 1:]
  total = [np.bincount(bins, weights=x, minlength=num_bins) for x in moves.T]
  return np.stack(total, axis=1), np.bincount(bins, minlength=num_bins) > 0


def key_accuracy(total):
  """Divides equal by all pairs of a bin and a key's event: [..., 20] sums to [...]; NaN of none."""
  return resampling.ratio(total[..., _EQUAL_KEYS], total[..., _NUM_KEYS])


def button_accuracy(total):
  """Computes the same as `key_accuracy` of the mouse's buttons: [..., 20] sums to [...]."""
  return resampling.ratio(total[..., _EQUAL_BUTTONS], total[..., _NUM_BUTTONS])


def pearson(total, axis):
  """Correlates the movements of bins in which either recording moves.

  Args:
    total: [..., 20] sums.
    axis: X or Y.

  Returns:
    [...]; NaN of fewer than two bins, or if either moves alike in all of them.
  """
  found = _of_axis(total, axis)
  return continuous.correlation(
      total[..., _NUM_MOVING],
      *(found[..., i] for i in (_TRUE, _SAID, _TRUE_2, _SAID_2, _PRODUCT)))


def scale_ratio(total, axis):
  """Computes the ratio of mean sizes of movements over all bins, or its inverse: at least 1.

  Args:
    total: [..., 20] sums.
    axis: X or Y.

  Returns:
    [...]; NaN if either never moves. (Where only the truth never moves, D2E's is infinite.)
  """
  found = _of_axis(total, axis)
  ratio = resampling.ratio(found[..., _TRUE_SIZE], found[..., _SAID_SIZE])
  return np.maximum(ratio, resampling.ratio(found[..., _SAID_SIZE], found[..., _TRUE_SIZE]))


def _of_axis(total, axis):
  return total[..., 6 + 7 * axis:6 + 7 * (axis + 1)]


def results(total):
  """Puts the numbers under the names that D2E gives them.

  Args:
    total: [20] sums of one recording, as D2E scores them, or of several together.

  Returns:
    {'mouse_move', 'mouse_button', 'keyboard', 'summary': {name: number, None if not defined}}.
  """
  def number(value):
    return None if np.isnan(value) else float(value)

  return {
      'summary': {'num_bins': int(total[_NUM_BINS])},
      'mouse_move': {
          **{f'pearson_{name}': number(pearson(total, axis)) for axis, name in enumerate('xy')},
          **{f'scale_ratio_{name}': number(scale_ratio(total, axis))
             for axis, name in enumerate('xy')},
          'sample_count': int(total[_NUM_MOVING])},
      'mouse_button': {'button_accuracy': number(button_accuracy(total)),
                       'sample_count': int(total[_NUM_BUTTONS])},
      'keyboard': {'key_accuracy': number(key_accuracy(total)),
                   'sample_count': int(total[_NUM_KEYS])}}
