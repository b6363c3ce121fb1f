"""How many labels are enough, and how many a source is worth: from runs with ever more labels.

A line is one method: a metric of its last evaluations against the number of labels. Two questions
are asked of lines, by rules of ours: which number of labels is enough (`enough`),
and how many labels without sources are as good as few with them (`label_savings`). Neither says
anything of fewer than five training seeds. The rest finds the lines in the results of either
experiment.
"""

import math
from typing import NamedTuple

import numpy as np

from alpt_jax import domains
from alpt_jax.measures import curves, label_savings, verdicts
from alpt_jax.reports import findings

ACCURACY = 'label_accuracy'


class Line(NamedTuple):
  """A metric of one method against the number of labels.

  Attributes:
    budgets: [P] int64, ascending; numbers of labels with at least one run.
    mean: [P] float64; over runs.
    std: [P] float64; population standard deviation; NaN for one run.
    n: [P] int64; runs.
  """
  budgets: np.ndarray
  mean: np.ndarray
  std: np.ndarray
  n: np.ndarray


class Enough(NamedTuple):
  """Which number of labels is as good as the largest.

  Attributes:
    num_labels: the number; None if that is not said.
    reason: why not; '' if it is.
  """
  num_labels: int | None
  reason: str = ''


class Group(NamedTuple):
  """Runs that are compared with each other.

  Attributes:
    title: what they have in common, for readers.
    key: the same as a word.
    methods: in the order of the results.
    runs: names of their runs, pretrainings left out.
    metrics: (label accuracy, return): the columns of the rows, or only the first.
    places: names of the targets.
  """
  title: str
  key: str
  methods: tuple[str, ...]
  runs: frozenset[str]
  metrics: tuple[str, ...]
  places: tuple[str, ...]


def line(values):
  """Makes a `Line` of {number of labels: values of runs}; what is not finite is not counted."""
  finite = {budget: x[np.isfinite(x)] for budget, x in (
      (budget, np.asarray(values[budget], np.float64)) for budget in sorted(values))}
  finite = {budget: x for budget, x in finite.items() if x.size}
  return Line(np.array(list(finite), np.int64), np.array([x.mean() for x in finite.values()]),
              np.array([x.std() if x.size > 1 else math.nan for x in finite.values()]),
              np.array([x.size for x in finite.values()], np.int64))


def enough(found, floor=-math.inf):
  """The smallest number of labels that is as good as the largest, up to the spread.

  From there on every mean is at least that of the largest number minus its standard deviation. One
  lucky number below others that are worse does not count. Nothing is enough if not even the largest
  number does better than no labels at all.

  Args:
    found: a `Line` with at least one number of labels.
    floor: what no labels at all achieve.

  Returns:
    An `Enough`; without a number if one of them has fewer than five seeds, or the largest is not
    above the floor by more than its standard deviation.
  """
  reason = verdicts.no_verdict(int(found.n.min()))
  if reason:
    return Enough(None, reason)
  if found.mean[-1] - found.std[-1] <= floor:
    return Enough(None, 'the largest number is not above what needs no labels by more than the '
                  'spread')
  is_enough = found.mean >= found.mean[-1] - found.std[-1]
  return Enough(int(found.budgets[len(is_enough) - np.argmin([*is_enough[::-1], False])]))


def _report(results):
  return domains.named(results['experiment']).report()


def groups(results):
  """The `Group`s of checked results: observation modes of mazes; parts and games of Atari."""
  return [_group(results, *group) for group in _report(results).groups(results)]


def _group(results, key, title, metric, runs):
  present = {run['method'] for run in runs}
  return Group(title, key, tuple(m for m in results['methods'] if m in present),
               frozenset(run['run'] for run in runs), (ACCURACY, *filter(None, [metric])),
               tuple(dict.fromkeys(run['target'] for run in runs)))


def is_limited(results, method):
  """Whether it matters to a method how many labels there are; else it is a bound."""
  return results['methods'][method]['is_action_limited']


def has_sources(results, group, method):
  """Whether the runs of a method in a group have sources."""
  return any(run['sources'] for run in results['runs']
             if run['run'] in group.runs and run['method'] == method)


def _values(results, group, method, metric):
  """{number of labels: {(target, seed): last value}} of the runs of a method that are done."""
  rows = [row for row in results['rows']
          if row['run'] in group.runs and row['method'] == method]
  values = {}
  for row in findings.final_rows(results, rows).values():
    of_budget = values.setdefault(row['num_labels'], {})
    of_budget[row['target'], row['seed']] = curves.value(row, metric)
  return values


def line_of(results, group, method, metric):
  """The `Line` of a method in a group, over the last evaluations of the runs that are done."""
  return line({budget: list(of_budget.values())
               for budget, of_budget in _values(results, group, method, metric).items()})


def lines(results, group, metric):
  """{method: its `Line`} of the methods to which labels matter and that have the metric."""
  found = {method: line_of(results, group, method, metric) for method in group.methods
           if is_limited(results, method)}
  return {method: one for method, one in found.items() if one.budgets.size}


def majority(results, group):
  """The label accuracy of always saying the most frequent action, mean over the targets."""
  return _report(results).majority(results, group.places)


def baselines(results, group, metric):
  """{name: level} of what labels make no difference to; NaN where it is not known."""
  levels = {'most frequent action': majority(results, group)} if metric == ACCURACY else {}
  levels |= _report(results).levels(results, group.places, metric)
  for method in group.methods:
    if not is_limited(results, method):
      bound = line_of(results, group, method, metric)
      if bound.budgets.size:
        levels[findings.label(results, method)] = float(bound.mean[0])
  return levels


class Worth(NamedTuple):
  """What the sources of a method save.

  Attributes:
    method: with sources.
    baseline: without.
    num_labels: of the method.
    level: its mean label accuracy with them.
    savings: `label_savings.Savings`; None if it was not compared.
    reason: why it was not compared.
  """
  method: str
  baseline: str
  num_labels: int
  level: float
  savings: label_savings.Savings | None
  reason: str = ''


def worths(results, group):
  """Compares every method with sources to every one without, at all numbers of labels.

  Args:
    results: checked results.
    group: one of `groups`.

  Returns:
    A list of `Worth`, by label accuracy.
  """
  found = lines(results, group, ACCURACY)
  floor = floor_of(results, group)
  return [_worth(results, group, method, baseline, int(budget), float(level), floor)
          for method in found if has_sources(results, group, method)
          for baseline in found if not has_sources(results, group, baseline)
          for budget, level in zip(found[method].budgets, found[method].mean, strict=True)]


def floor_of(results, group):
  """What no labels at all achieve: `majority`, -inf if it is not known."""
  floor = majority(results, group)
  return floor if math.isfinite(floor) else -math.inf


def _worth(results, group, method, baseline, budget, level, floor):
  def refused(reason):
    return Worth(method, baseline, budget, level, None, reason)

  if not level > floor:
    return refused('not above what needs no labels')
  finite = {name: {n: {seed: x for seed, x in of_budget.items() if math.isfinite(x)}
                   for n, of_budget in _values(results, group, name, ACCURACY).items()}
            for name in (method, baseline)}
  if len(finite[baseline]) < 2:
    return refused(f'{findings.label(results, baseline)} was run with one number of labels only')
  savings = label_savings.label_savings(finite[method][budget], budget, finite[baseline])
  if savings.equivalent is None:
    return refused('no seed has all runs')
  return Worth(method, baseline, budget, level, savings)


def table(results):
  """Every point of every line as a dict, for tables and CSV."""
  return [dict(group=group.key, metric=metric, method=method, num_labels=int(budget),
               mean=float(mean), std=float(std), n=int(n))
          for group in groups(results) for metric in group.metrics
          for method in group.methods
          for budget, mean, std, n in zip(*line_of(results, group, method, metric), strict=True)]


def clips(results):
  """The clips worth labelling, as dicts that JSON can hold, without pictures."""
  return [{key: labelling[key] for key in ('run', 'target', 'num_labels')}
          | {'rank': i + 1, 'episode': clip['episode'], 'start': clip['start'],
             'num_transitions': len(clip['true']), 'uncertainty': clip['uncertainty']}
          for labelling in results.get('labellings', [])
          for i, clip in enumerate(labelling.get('clips', []))]


def run_problems(results):
  """Runs that failed, are not finished or lack numbers: a list of sentences."""
  problems, rows = findings.remarks(results), findings.rows_by_run(results['rows'])
  for run in results['runs']:
    if run.get('phase') != 'pretrain' or run['status'] != 'done' or run.get('damaged'):
      problems += findings.unfinished(run, rows[run['run']])
  for group in groups(results):
    for metric in group.metrics:
      for method in group.methods:
        last = findings.final_rows(results, [
            row for row in results['rows']
            if row['run'] in group.runs and row['method'] == method])
        missing = [name for name, row in last.items() if math.isnan(curves.value(row, metric))]
        if missing and len(missing) < len(last):  # All: it is none of the method's numbers.
          problems += [f'{name}: no {metric} in the end.' for name in missing]
  return problems
