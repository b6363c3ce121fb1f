"""Scores the labels of actions of several parts that a run wrote, labels/step_*.npz, part by part.

`run_labels` has the share of steps that are right in all parts; here each part has the figure of
its kind, beside what needs no IDM. `part_audit` says more, of all windows voting.
"""

import functools
import math

import numpy as np

from alpt_jax import action_space
from alpt_jax.labelling import part_measures, run_labels
from alpt_jax.measures import timeline

_MAIN = {'categorical': 'accuracy', 'binary': 'event_f1_0', 'continuous': 'r2'}
_NAMES = {'event_f1_0': 'event_f1'}  # Of events in the right step.


@functools.singledispatch
def score(space, path, truth):
  """Scores one label file.

  Args:
    space: of the run, as the target has it.
    path: one of `run_labels.files`.
    truth: `episodes.Episodes` of the target in the run's layout, with all actions.

  Returns:
    {column: number or None}, with `labels/<part>/<figure>` of the hidden actions of each part: the
    F1 of onsets and releases in the right step (event_f1) of a key, accuracy of a categorical
    part, R^2 (r2) of a number; `labels/<part>/<figure>_floor`, of what needs no IDM: events
    shuffled in time, or the true number or category of the step before; and `labels/<figure>`, the
    mean of the parts that have one. None where the truth has no event, or does not vary. {} for
    one action at every step.

  Raises:
    ValueError: if the file is refused, see `run_labels.refused`.
  """
  del space, path, truth
  return {}


@score.register
def _(space: action_space.Parts, path, truth):
  episode, timestep, said, true, is_hidden = run_labels.hidden_labels(path, truth)
  places, found, means = timeline.Timeline(episode, timestep), {}, {}
  for p, (part, own) in enumerate(zip(space.parts, space.own, strict=True)):
    if own is None:
      continue
    case = part_measures.Case(part, own, true[:, p].astype(float), is_hidden[:, p], places)
    main = _MAIN[part.kind]
    name = _NAMES.get(main, main)
    value, floor = _values(case, part_measures.Said(said[:, p].astype(float)), main)
    found |= {f'labels/{part.name}/{name}': value, f'labels/{part.name}/{name}_floor': floor}
    means.setdefault(f'labels/{name}', []).append(value)
  return found | {name: _mean(values) for name, values in means.items()}


def _values(case, said, main):
  """The figure `main` of what is said of a part, and of its floor."""
  if not case.is_known.any():
    return None, None
  figures = functools.partial(part_measures.figures, case.part, case)
  is_counted = case.is_known
  if case.part.kind == 'binary':
    floor = part_measures.luck(case, said, is_counted)
  else:  # Both where there is a step before.
    before, has_one = case.timeline.before(case.true, case.is_known)
    is_counted = case.is_known & has_one
    if not is_counted.any():
      return None, None
    floor = figures(part_measures.Said(before), is_counted)
  return tuple(_total(x[main]) for x in (figures(said, is_counted), floor))


def _total(figure):
  value = float(figure.statistic(figure.sums.sum(axis=0)))
  return value if math.isfinite(value) else None


def _mean(values):
  known = [value for value in values if value is not None]
  return float(np.mean(known)) if known else None
