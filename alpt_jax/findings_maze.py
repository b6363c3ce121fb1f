"""What the maze experiment measured: final metrics, steps to a level, the paper's claims.

Everything here is computed from checked results by rules of ours (the claims below and
`statistics.verdict`): a run that contradicts the paper says so as loudly as one that agrees. That
undecided levels make a claim hold "in part" at most was added after results were seen, see
experiments/results/maze/README.md.
"""

import dataclasses
import itertools
import math

import numpy as np

from alpt_jax import findings, statistics

RETURN = 'argmax/success_500'  # The reward is 1 at the goal and ends the episode: the return.
ACTING = {'argmax': 'arg max actions', 'sampled': 'sampled actions'}
METRICS = {  # Metric: column title, digits.
    'success_500': ('success within 500 (= return)', 3),
    'success_50': ('success within 50', 3),
    'spl': ('SPL', 3),
    'mean_steps': ('mean steps', 1),
}


@dataclasses.dataclass(frozen=True)
class Claim:
  """What section 5.6 says of two methods.

  Attributes:
    method: key of the faster method.
    baseline: key of the slower one.
    text: the claim, with the methods' labels to be filled in.
    at_most: the ratio of steps up to which a measurement agrees with the claim.
  """
  method: str
  baseline: str
  text: str
  at_most: float


CLAIMS = (
    Claim('alpt_blocked', 'dt1_idm',
          '{method} solves the target “twice as fast” as training on the target only ({baseline})',
          2 / 3),  # 1.5 times as fast or more: nearer to "twice" than to no gain.
    Claim('alpt_blocked_tunnel', 'alpt_blocked',
          'adding a tunneled source maze ({method}) leads to “even faster convergence” than '
          '{baseline}', 1.),
)


@dataclasses.dataclass(frozen=True)
class Finding:
  """A claim measured in one observation mode.

  Attributes:
    claim: the claim.
    observation: the mode.
    text: the claim with labels.
    levels: (threshold, `statistics.PairedRatio`, verdict) per threshold.
    verdict: over all levels.
  """
  claim: Claim
  observation: str
  text: str
  levels: tuple
  verdict: str


def baseline(results):
  """Key of the method that the others' steps are compared with; the study may name another."""
  return results['config'].get('study', {}).get('baseline', 'dt1_idm')


def observations(results):
  """Observation modes that were run, in order."""
  return list(dict.fromkeys(run['observation'] for run in results['runs']))


def rows_of(results, method, observation):
  """Evaluations of one method in one observation mode."""
  return [row for row in results['rows']
          if row['method'] == method and row['observation'] == observation]


def targets(results):
  """{name: maze} of the target mazes."""
  return {name: maze for name, maze in results['mazes'].items() if maze['role'] == 'target'}


def measured_methods(results, observation):
  """Methods with rows in an observation mode, in the order of the results' methods."""
  present = {row['method'] for row in results['rows'] if row['observation'] == observation}
  return [method for method in results['methods'] if method in present]


def claims(results):
  """Measures the paper's claims.

  Args:
    results: checked results.

  Returns:
    A list of `Finding`, per observation mode and claim; without levels where a method was not run.
  """
  found = []
  for observation, claim in itertools.product(observations(results), CLAIMS):
    rows = rows_of(results, claim.method, observation)
    baseline_rows = rows_of(results, claim.baseline, observation)
    levels = []
    if rows and baseline_rows:
      for threshold in results['thresholds']:
        ratio = statistics.paired_ratio(rows, baseline_rows, RETURN, threshold)
        levels.append((threshold, ratio, statistics.verdict(ratio, claim.at_most)))
    text = claim.text.format(method=findings.label(results, claim.method),
                             baseline=findings.label(results, claim.baseline))
    found.append(Finding(claim, observation, text, tuple(levels),
                         statistics.overall_verdict([verdict for _, _, verdict in levels])))
  return found


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
        values = [statistics.value(row, key) for row in last.values()]
        values = np.array([v for v in values if math.isfinite(v)])
        entry |= {f'{metric}/mean': values.mean() if values.size else math.nan,
                  f'{metric}/std': values.std() if values.size > 1 else math.nan,
                  f'{metric}/n': values.size}
      table.append(entry)
  return table


def steps_to_levels(results):
  """Steps to each level per method, with the ratio to the `baseline`.

  Args:
    results: checked results.

  Returns:
    A list of dicts: observation, metric, threshold, method, runs, reached, median_steps (the upper
    median; inf where half of the runs or more never get there), last_step (of the runs), and
    `ratio`, a `statistics.PairedRatio` or None for the baseline and where there is no baseline.
  """
  table = []
  for observation, metric, threshold in itertools.product(
      observations(results), (RETURN, 'argmax/success_50'), results['thresholds']):
    baseline_rows = rows_of(results, baseline(results), observation)
    for method in measured_methods(results, observation):
      rows = rows_of(results, method, observation)
      runs = statistics.curves_by_run(rows, metric)
      steps = [statistics.steps_to_threshold(*run, threshold) for run in runs.values()]
      table.append(dict(
          observation=observation, metric=metric, threshold=threshold, method=method,
          runs=len(runs), reached=sum(s is not None for s in steps),
          median_steps=float(np.quantile([math.inf if s is None else s for s in steps], .5,
                                         method='higher')),
          last_step=int(max(run[0][-1] for run in runs.values())),
          ratio=statistics.paired_ratio(rows, baseline_rows, metric, threshold)
          if baseline_rows and method != baseline(results) else None))
  return table


def anchor(results, group, name, metric=None):
  """Mean of an anchor over the target mazes; NaN if any of them lacks it."""
  entries = [maze['anchors'][group].get(name) for maze in targets(results).values()]
  if metric is not None:
    entries = [entry and entry.get(metric) for entry in entries]
  values = [statistics.value({'': entry}, '') for entry in entries]
  return float(np.mean(values)) if values else math.nan


def anchor_names(results, group):
  """Names of the target mazes' anchors in `group` ('policies' or 'idm')."""
  names = (name for maze in targets(results).values() for name in maze['anchors'][group])
  return list(dict.fromkeys(names))


def run_problems(results):
  """Runs that failed, are not finished, are missing or lack numbers.

  A run is missing if its method and observation mode ran, and its target and seed ran, but not
  together.

  Args:
    results: checked results.

  Returns:
    A list of sentences.
  """
  runs, problems = results['runs'], findings.remarks(results)
  rows = findings.rows_by_run(results['rows'])
  for run in runs:
    problems += findings.unfinished(run, rows[run['run']])
    problems += findings.gaps(run, rows[run['run']], RETURN, 'return')
  present = {(r['method'], r['observation'], r['target'], r['seed']) for r in runs}
  modes = dict.fromkeys((r['method'], r['observation']) for r in runs)
  places = dict.fromkeys((r['target'], r['seed']) for r in runs)
  for (method, observation), (target, seed) in itertools.product(modes, places):
    if (method, observation, target, seed) not in present:
      problems.append(f'{findings.label(results, method)}, {observation}, {target}, seed {seed}: '
                      'missing.')
  return problems
