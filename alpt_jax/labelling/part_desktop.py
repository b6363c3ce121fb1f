"""Scores labels of keys and a mouse as D2E does, see `measures.d2e`, beside its baselines.

Keys are the binary parts, all of them: nothing says which are buttons of a mouse. Its motion are
the continuous parts that are a delta, x and then y, or x alone.
"""

import functools

import numpy as np

from alpt_jax.labelling import part_measures
from alpt_jax.measures import continuous, d2e

_STILL = 'still'  # Presses nothing and does not move.


def measure(name, cases, said, step_seconds, *, num_resamples, seed):
  """Scores an environment.

  Args:
    name: of it.
    cases: {part: `part_measures.Case`} of the parts that it has.
    said: {part: {name: `part_measures.Said`}}.
    step_seconds: length of a step; None if nobody knows.
    num_resamples, seed: see `resampling.interval`.

  Returns:
    The entry `d2e`, see `part_audit`; {'unknown': why} where D2E has no score.
  """
  keys = [key for key, case in cases.items() if case.part.kind == 'binary']
  axes = [key for key, case in cases.items()
          if case.part.kind == 'continuous' and case.part.mode == 'delta']
  if not keys or not 1 <= len(axes) <= 2:
    return {'unknown': f'{name} has {len(keys)} binary parts and {len(axes)} that are a delta; D2E '
                       'scores keys and the motion of a mouse, one or two deltas'}
  timeline = cases[keys[0]].timeline
  used = {key: cases[key] for key in (*keys, *axes)}
  known = np.all([case.is_known for case in used.values()], axis=0)
  _, has_one = timeline.before(known, known)
  runs = _runs(timeline, known & has_one)
  if not runs:
    return {'unknown': 'no two steps in a row have keys and motion that are known'}
  seconds = step_seconds or d2e.BIN_SECONDS
  record = functools.partial(_record, used, keys, axes, seconds)
  true = {key: case.true for key, case in used.items()}
  of_true = [record(true, rows) for rows in runs]
  estimate = part_measures.Estimator(
      np.isin(np.arange(len(timeline.episodes)), [timeline.index[rows[0]] for rows in runs]),
      num_resamples, seed)
  figures = {}
  for who, values in _values(used, said, timeline).items():
    sums = np.zeros((len(timeline.episodes), *d2e.sums(of_true[0], of_true[0], end=seconds).shape))
    for rows, recording in zip(runs, of_true, strict=True):
      sums[timeline.index[rows[0]]] += d2e.sums(
          recording, record(values, rows), end=len(rows) * seconds)
    figures[who] = {
        key: estimate(part_measures.Figure(sums, statistic)) for key, statistic in (
            ('key_accuracy', d2e.key_accuracy),
            *((f'pearson_{x}', functools.partial(d2e.pearson, axis=i))
              for i, x in enumerate('xy'[:len(axes)])),
            *((f'scale_ratio_{x}', functools.partial(d2e.scale_ratio, axis=i))
              for i, x in enumerate('xy'[:len(axes)])))}
  return {'keys': keys, 'axes': dict(zip('xy', axes, strict=False)),
          'bin_seconds': d2e.BIN_SECONDS, 'step_seconds': step_seconds,
          'num_transitions': sum(map(len, runs)), 'figures': figures}


def _runs(timeline, is_used):
  """Rows of steps that follow each other in time, in their order: a list of [T] int."""
  order = timeline.order[is_used[timeline.order]]
  begins = np.flatnonzero(timeline.previous[order] != np.append(-1, order[:-1]))
  return [rows for rows in np.split(order, begins) if len(rows)]


def _values(cases, said, timeline):
  """{who: {part: [M]}} of all that say something of every part."""
  found = {_STILL: {key: np.zeros(len(timeline)) for key in cases},
           part_measures.PERSISTENCE: {
               key: timeline.before(np.where(case.is_known, case.true, 0), case.is_known)[0]
               for key, case in cases.items()}}
  found |= {name: {key: said[key][name].values for key in cases}
            for name in set.intersection(*(set(said[key]) for key in cases))}
  return {name: found[name] for name in (
      part_measures.IDM, _STILL, *part_measures.FLOORS, part_measures.CEILING) if name in found}


def _record(cases, keys, axes, seconds, values, rows):
  """`d2e.Recording` of some steps."""
  moves = np.zeros((len(rows), 2))
  for i, key in enumerate(axes):
    moves[:, i] = continuous.difference(values[key][rows], 0, cases[key].period)
  pressed = np.stack([values[key][rows] for key in keys], axis=1)
  return d2e.from_steps(pressed, keys, moves, step_seconds=seconds)
