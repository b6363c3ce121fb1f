"""Measures what maze agents achieved: final metrics, steps to a level, exact reference values.

How well IDMs label is in `maze.findings_labels`. Nothing here is judged: intervals are shown, and
steps to a level of success are exploratory.
"""

import itertools
import math

import numpy as np

from alpt_jax.domains.maze import metrics
from alpt_jax.measures import curves
from alpt_jax.reports import findings

RETURN = 'argmax/success_500'  # The reward is 1 at the goal and ends the episode: the return.


def baseline(results):
  """Returns the method that the others' steps are compared with; a study may name another."""
  return results['config'].get('study', {}).get('baseline', 'dt1_idm')


def observations(results):
  """Lists the observation modes that were run, in order."""
  return list(dict.fromkeys(run['observation'] for run in results['runs']))


def rows_of(results, method, observation):
  """Returns evaluations of the agents of one method in one observation mode."""
  return [row for row in results['rows'] if findings.part_of(row) == findings.SCORE
          and row['method'] == method and row['observation'] == observation]


def targets(results):
  """Returns {name: maze} of the target mazes."""
  return {name: maze for name, maze in results['mazes'].items() if maze['role'] == 'target'}


def measured_methods(results, observation):
  """Lists the methods with agents in an observation mode, in the results' order."""
  return [method for method in results['methods'] if rows_of(results, method, observation)]


def final_metrics(results):
  """Averages final metrics of finished runs: mean and population std over targets and seeds.

  Args:
    results: checked results.

  Returns:
    A list of dicts: observation, acting, method, runs (done), and per metric mean, std and n, where
    n < runs if numbers are missing.
  """
  table = []
  for observation, acting in itertools.product(observations(results), findings.MODES):
    for method in measured_methods(results, observation):
      last = findings.final_rows(results, rows_of(results, method, observation))
      entry = dict(observation=observation, acting=acting, method=method, runs=len(last))
      for name, key in [(m, f'{acting}/{m}') for m in metrics.METRICS] + [('label_accuracy',) * 2]:
        found = findings.spread(name, [curves.value(row, key) for row in last.values()])
        entry |= {f'{name}/{part}': found[f'{name}/{part}'] for part in ('mean', 'std', 'n')}
      table.append(entry)
  return table


def steps_to_levels(results):
  """Steps to each level per method, with the ratio to the `baseline`.

  Args:
    results: checked results.

  Returns:
    A list of dicts: observation, metric, threshold, method, runs, reached, median_steps (the upper
    median; inf where half of the runs or more never get there), last_step (of the runs), and
    `ratio`, a `curves.PairedRatio` or None for the baseline and where there is no baseline.
  """
  table = []
  for observation, metric, threshold in itertools.product(
      observations(results), (RETURN, 'argmax/success_50'), results['thresholds']):
    baseline_rows = rows_of(results, baseline(results), observation)
    for method in measured_methods(results, observation):
      rows = rows_of(results, method, observation)
      runs = curves.curves_by_run(rows, metric)
      steps = [curves.steps_to_threshold(*run, threshold) for run in runs.values()]
      table.append(dict(
          observation=observation, metric=metric, threshold=threshold, method=method,
          runs=len(runs), reached=sum(s is not None for s in steps),
          median_steps=float(np.quantile([math.inf if s is None else s for s in steps], .5,
                                         method='higher')),
          last_step=int(max(run[0][-1] for run in runs.values())),
          ratio=curves.paired_ratio(rows, baseline_rows, metric, threshold)
          if baseline_rows and method != baseline(results) else None))
  return table


def anchor(results, group, name, metric=None):
  """Averages an anchor over the target mazes; NaN if any of them lacks it."""
  entries = [maze['anchors'][group].get(name) for maze in targets(results).values()]
  if metric is not None:
    entries = [entry and entry.get(metric) for entry in entries]
  values = [curves.value({'': entry}, '') for entry in entries]
  return float(np.mean(values)) if values else math.nan


def anchor_names(results, group):
  """Names of the target mazes' anchors in `group` ('policies' or 'idm')."""
  names = (name for maze in targets(results).values() for name in maze['anchors'][group])
  return list(dict.fromkeys(names))
