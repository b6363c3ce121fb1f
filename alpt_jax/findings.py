"""What the findings of all experiments share: names, final evaluations, and what is missing."""

import collections
import math

from alpt_jax import statistics


def label(results, method):
  """A method's name for readers; its key if it was not run."""
  return results['methods'].get(method, {}).get('label', method)


def final_rows(results, rows):
  """The last row of every run that is done.

  Args:
    results: checked results.
    rows: some of its rows.

  Returns:
    {run: row}.
  """
  done = {run['run'] for run in results['runs'] if run['status'] == 'done'}
  return {row['run']: row for row in sorted(rows, key=lambda row: row['step'])
          if row['run'] in done}


def rows_by_run(rows):
  """{run: its rows}."""
  by_run = collections.defaultdict(list)
  for row in rows:
    by_run[row['run']].append(row)
  return by_run


def unfinished(run, rows):
  """Says in a list of at most one sentence that a run failed, is not finished, or ended early.

  Args:
    run: of the results.
    rows: of the run.
  """
  steps = max((row['step'] for row in rows), default=None)
  where = 'without an evaluation' if steps is None else f'last evaluation at step {steps:,}'
  if run['status'] != 'done':
    return [f'{run["run"]}: {run["status"]}, {where}.']
  if steps is None or (run.get('num_steps') is not None and steps < run['num_steps']):
    return [f'{run["run"]}: done, but {where}.']
  return []


def gaps(run, rows, metric, name):
  """Says in a list of at most one sentence at which of the rows of a run a metric is missing."""
  steps = sorted(row['step'] for row in rows if math.isnan(statistics.value(row, metric)))
  return [f'{run["run"]}: no {name} at step {", ".join(map(str, steps))}.'] if steps else []
