"""What maze agents achieved: final metrics, comparison with a baseline, steps to a level.

How well IDMs label is in `maze.findings_labels`. Nothing here is judged: intervals are shown, and
steps to a level of success are exploratory.
"""

import itertools
import math

import numpy as np

from alpt_jax.domains.maze import metrics
from alpt_jax.measures import curves, intervals
from alpt_jax.reports import findings

RETURN = 'argmax/success_500'  # The reward is 1 at the goal and ends the episode: the return.
ACTING = {'argmax': 'arg max actions', 'sampled': 'sampled actions'}
METRICS = {name: (metric.title, metric.digits) for name, metric in metrics.METRICS.items()}


def baseline(results):
  """Key of the method that the others' steps are compared with; the study may name another."""
  return results['config'].get('study', {}).get('baseline', 'dt1_idm')


def observations(results):
  """Observation modes that were run, in order."""
  return list(dict.fromkeys(run['observation'] for run in results['runs']))


def is_agent(run):
  """Whether a run, or a row of one, is of an agent, not of an IDM alone."""
  return run.get('part', 'score') == 'score'


def rows_of(results, method, observation):
  """Evaluations of the agents of one method in one observation mode."""
  return [row for row in results['rows'] if is_agent(row)
          and row['method'] == method and row['observation'] == observation]


def targets(results):
  """{name: maze} of the target mazes."""
  return {name: maze for name, maze in results['mazes'].items() if maze['role'] == 'target'}


def measured_methods(results, observation):
  """Methods with rows of agents in an observation mode, in the order of the results' methods."""
  present = {row['method'] for row in results['rows']
             if is_agent(row) and row['observation'] == observation}
  return [method for method in results['methods'] if method in present]


def final_metrics(results):
  """Final metrics of the runs that are done: mean and population std over targets and seeds.

  Args:
    results: checked results.

  Returns:
    A list of dicts: observation, acting, method, runs (done), and per metric mean, std and n, where
    n < runs if numbers are missing.
  """
  table = []
  for observation, acting in itertools.product(observations(results), ACTING):
    for method in measured_methods(results, observation):
      last = findings.final_rows(results, rows_of(results, method, observation))
      entry = dict(observation=observation, acting=acting, method=method, runs=len(last))
      for metric, key in [(m, f'{acting}/{m}') for m in METRICS] + [('label_accuracy',) * 2]:
        values = [curves.value(row, key) for row in last.values()]
        values = np.array([v for v in values if math.isfinite(v)])
        entry |= {f'{metric}/mean': values.mean() if values.size else math.nan,
                  f'{metric}/std': values.std() if values.size > 1 else math.nan,
                  f'{metric}/n': values.size}
      table.append(entry)
  return table


def against(results, observation, metric, baseline='dt1'):
  """Compares the last evaluations of agents with those of a baseline, paired by target and seed.

  Args:
    results: checked results.
    observation: the mode.
    metric: of METRICS, with arg max actions.
    baseline: key of the method.

  Returns:
    {method: (`intervals.Interval` of its mean, `intervals.Comparison` with the baseline or None for
    the baseline itself)}, of the runs that are done and have the number.
  """
  ends = {}
  for method in measured_methods(results, observation):
    last = findings.final_rows(results, rows_of(results, method, observation)).values()
    values = {(row['target'], row['seed']): curves.value(row, f'argmax/{metric}')
              for row in last}
    ends[method] = {pair: x for pair, x in values.items() if math.isfinite(x)}
  return {method: (intervals.mean(list(end.values())),
                   intervals.difference(end, ends.get(baseline, {}))
                   if method != baseline else None) for method, end in ends.items()}


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
  """Mean of an anchor over the target mazes; NaN if any of them lacks it."""
  entries = [maze['anchors'][group].get(name) for maze in targets(results).values()]
  if metric is not None:
    entries = [entry and entry.get(metric) for entry in entries]
  values = [curves.value({'': entry}, '') for entry in entries]
  return float(np.mean(values)) if values else math.nan


def anchor_names(results, group):
  """Names of the target mazes' anchors in `group` ('policies' or 'idm')."""
  names = (name for maze in targets(results).values() for name in maze['anchors'][group])
  return list(dict.fromkeys(names))


def run_problems(results):
  """Runs that failed, are not finished, are missing or lack numbers.

  A run is missing if its method ran in its part, observation mode and with its number of labels,
  and its target and seed ran, but not together.

  Args:
    results: checked results.

  Returns:
    A list of sentences.
  """
  runs, problems = results['runs'], findings.remarks(results)
  rows = findings.rows_by_run(results['rows'])
  for run in runs:
    problems += findings.unfinished(run, rows[run['run']])
    if is_agent(run):
      problems += findings.gaps(run, rows[run['run']], RETURN, 'return')
    else:
      problems += findings.gaps(run, rows[run['run']], 'label_accuracy', 'label accuracy')

  def mode(run):
    part = '' if is_agent(run) else f'IDM alone, {run["num_labels"]} labels, '
    return run['method'], run['observation'], part

  present = {(mode(run), run['target'], run['seed']) for run in runs}
  places = dict.fromkeys((run['target'], run['seed']) for run in runs)
  for key, (target, seed) in itertools.product(dict.fromkeys(map(mode, runs)), places):
    if (key, target, seed) not in present:
      method, observation, part = key
      problems.append(f'{findings.label(results, method)}, {observation}, {part}{target}, seed '
                      f'{seed}: missing.')
  return problems


def groups(results):
  """Returns (key, title, metric of agents, runs) of the runs that are compared: by observation."""
  return [(mode, f'Observation “{mode}”', RETURN,
           [run for run in results['runs'] if run['observation'] == mode])
          for mode in observations(results)]


def majority(results, places):
  """Returns the label accuracy of always saying the most frequent action, mean over targets."""
  del places
  return anchor(results, 'idm', 'constant')


def levels(results, places, metric):
  """Returns {name: level} of a metric that needs no labels; NaN where it is not known."""
  del places
  if metric == 'label_accuracy':
    return {'can be known': anchor(results, 'idm', 'bayes')}
  return {'random': anchor(results, 'policies', 'random', 'success_500')}
