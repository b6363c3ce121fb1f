"""Measures label accuracy in mazes: updates to a level, floors and ceiling.

Two observations of a maze nearly give the action away: a table of their change, with five
entries, is right almost always. So no accuracy is a result by itself here. What can be asked is how
many updates an IDM needs to it with a source maze and without, which is what section 5.6 of the
paper claims. The level is LEVEL times the ceiling of the maze; floors stand beside it.
"""

import math
from typing import NamedTuple

import numpy as np

from alpt_jax.domains.maze import findings as findings_maze
from alpt_jax.measures import curves, intervals
from alpt_jax.reports import findings

ACCURACY = 'label_accuracy'
LEVEL = .9  # Of the ceiling.
FLOORS = {  # Exact, from the maze and its policy; see `maze.anchors.idm_ceilings`.
    'constant': 'majority', 'causal': 'the past alone', 'displacement': 'table of the change',
    'bayes': 'ceiling'}


def ratio_text(comparison):
  """Formats a ratio, e.g. 'at most 0.48 [0.00, 0.60]'; a dash if there is none."""
  return '–' if comparison is None or not comparison.interval.n else comparison.interval.text(2)


class Needed(NamedTuple):
  """Updates of a method to the level, and where it ends.

  Attributes:
    updates: {(target, seed): float, or `intervals.AtLeast` the last update}; of all runs.
    median: the upper one; inf where half of the runs or more never get there; NaN without runs.
    last_step: the largest.
    final: `intervals.Interval` of the accuracy of the last evaluation of the runs that are done.
    ratio: `intervals.Comparison` with the baseline, paired by target and seed; None for the
      baseline itself, and where it was not run.
    num_left_out: pairs without a ratio, as one is there at step 0.
  """
  updates: dict
  median: float
  last_step: int
  final: intervals.Interval
  ratio: intervals.Comparison | None
  num_left_out: int

  @property
  def num_reached(self):
    """Runs that get there."""
    return sum(not isinstance(x, intervals.AtLeast) for x in self.updates.values())

  @property
  def text(self):
    """The median for readers, e.g. '340', '> 1,000'."""
    return ('–' if math.isnan(self.median) else f'{self.median:,.0f}'
            if math.isfinite(self.median) else f'> {self.last_step:,}')


def primary_budget(results):
  """Returns the number of labels at which methods are compared; None in files without it."""
  return results['config'].get('num_labels')


def _num_labels(results, row):
  return row.get('num_labels', primary_budget(results))


def has_part(results):
  """Returns whether there are runs of IDMs alone; else the labels are those of the agents' IDMs."""
  return any(run.get('part') == 'labels' for run in results['runs'])


def rows_of(results, observation):
  """Returns rows with label accuracies in a mode, of IDMs alone where there are such runs."""
  part = has_part(results)
  return [row for row in results['rows']
          if row['observation'] == observation and (row.get('part') == 'labels') == part
          and math.isfinite(curves.value(row, ACCURACY))]


def budgets(results, observation):
  """Lists the numbers of labels with label accuracies, ascending; [None] if the file has none."""
  found = {_num_labels(results, row) for row in rows_of(results, observation)}
  return sorted(found, key=lambda num_labels: num_labels or 0)


def rows_by_method(results, observation, num_labels):
  """Returns {method: rows with label accuracies}, in the order of the results' methods."""
  rows = [row for row in rows_of(results, observation)
          if _num_labels(results, row) == num_labels]
  by_method = {method: [row for row in rows if row['method'] == method]
               for method in results['methods']}
  return {method: some for method, some in by_method.items() if some}


def level(results, target):
  """Returns the label accuracy to reach in a maze, LEVEL times its ceiling; NaN if unknown."""
  return LEVEL * curves.value(results['mazes'][target]['anchors']['idm'], 'bayes')


def wanted_text(results):
  """Formats the level, e.g. '0.898 (0.9 of the ceiling)'; of several mazes its range."""
  levels = [level(results, target) for target in findings_maze.targets(results)]
  levels = sorted({f'{x:.3f}' for x in levels if math.isfinite(x)})
  if not levels:
    return 'a level that is not known'
  return f'{" to ".join(dict.fromkeys((levels[0], levels[-1])))} ({LEVEL:g} of the ceiling)'


def needed(results, rows, baseline_rows=None):
  """Measures the updates of a method to the level of its mazes.

  Updates are interpolated linearly between evaluations. A run that never gets there is censored at
  its last evaluation.

  Args:
    results: checked results.
    rows: of the method.
    baseline_rows: of what it is compared with; None for no comparison.

  Returns:
    A `Needed`.
  """
  updates = _updates(results, rows)
  counts = [math.inf if isinstance(x, intervals.AtLeast) else x for x in updates.values()]
  last = findings.final_rows(results, rows).values()
  ratio, num_left_out = None, 0
  if baseline_rows:
    sides = [updates, _updates(results, baseline_rows)]
    at_start = {pair for side in sides for pair, x in side.items()
                if 0 in (x, getattr(x, 'value', x))}
    num_left_out = len(at_start & sides[0].keys() & sides[1].keys())
    ratio = intervals.ratio(*({pair: x for pair, x in side.items() if pair not in at_start}
                              for side in sides))
  return Needed(
      updates, float(np.quantile(counts, .5, method='higher')) if counts else math.nan,
      max((row['step'] for row in rows), default=0),
      intervals.mean([row[ACCURACY] for row in last]), ratio, num_left_out)


def _updates(results, rows):
  found = {}
  for (target, seed), (steps, values) in curves.curves_by_run(rows, ACCURACY).items():
    wanted = level(results, target)
    if math.isfinite(wanted):
      reached = curves.steps_to_threshold(steps, values, wanted)
      found[target, seed] = intervals.AtLeast(float(steps[-1])) if reached is None else reached
  return found


def table(results):
  """Measures all methods with an IDM.

  Args:
    results: checked results.

  Returns:
    {(observation, number of labels): {method: `Needed`}}; ratios are to the study's baseline.
  """
  found = {}
  for observation in findings_maze.observations(results):
    for num_labels in budgets(results, observation):
      by_method = rows_by_method(results, observation, num_labels)
      base = findings_maze.baseline(results)
      found[observation, num_labels] = {
          method: needed(results, rows, by_method.get(base) if method != base else None)
          for method, rows in by_method.items()}
  return found


def fitted_table(results, observation, num_labels):
  """Returns the table of the change, fitted to the labels of the runs.

  Args:
    results: checked results.
    observation: the mode.
    num_labels: how many labels.

  Returns:
    An `intervals.Interval` of its accuracy over targets and seeds; its number of entries, the
    largest, 0 if there is none.
  """
  floors = [floor for floor in results.get('floors', ())
            if (floor['observation'], floor['num_labels']) == (observation, num_labels)]
  return (intervals.mean([floor['table'] for floor in floors]),
          max((floor['num_entries'] for floor in floors), default=0))


def csv_rows(results):
  """Returns the `table` without nesting: a dict per observation, number of labels and method."""
  rows = []
  for (observation, num_labels), methods in table(results).items():
    for method, found in methods.items():
      ratio = found.ratio.interval if found.ratio else None
      rows.append(dict(
          observation=observation, num_labels=num_labels, method=method,
          median_updates=found.median, last_step=found.last_step, runs=len(found.updates),
          reached=found.num_reached, accuracy=found.final.value, accuracy_low=found.final.low,
          accuracy_high=found.final.high, ratio=ratio and ratio.value,
          ratio_low=ratio and ratio.low, ratio_high=ratio and ratio.high,
          ratio_relation=ratio and ratio.relation, pairs=ratio and ratio.n))
  return rows


def exact(results):
  """Returns {name: level} of floors and ceiling, means over the targets; NaN if unknown."""
  return {title: findings_maze.anchor(results, 'idm', name) for name, title in FLOORS.items()}


def no_idm_needed(results):
  """Words what a table without an IDM scores in these mazes; '' if that is not known."""
  for observation in findings_maze.observations(results):
    found, num_entries = fitted_table(results, observation, primary_budget(results))
    if found.value is not None:
      return (f'Nobody needs an IDM in these mazes: a table of {num_entries} entries fitted to the '
              f'same labels is right in {100 * found.value:.1f} %.')
  found = exact(results)['table of the change']
  return '' if math.isnan(found) else (
      'Nobody needs an IDM in these mazes: a table of the five changes of an observation is right '
      f'in {100 * found:.1f} %.')
