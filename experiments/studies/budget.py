"""Measures how many labels are enough, and how many a source is worth, over label budgets.

A line is one method: a metric of its last evaluations against the number of labels. Two questions
are asked of lines, by rules of ours: which number of labels is enough (`enough`),
and how many labels without sources are as good as few with them (`label_savings`). Neither says
anything of fewer than five training seeds. The report of such a study stands here, too.
"""

import math
from typing import NamedTuple

import numpy as np

from alpt_jax.measures import curves, label_savings, verdicts
from alpt_jax.reports import experiment, figures, findings, label_section, page
from alpt_jax.reports.page import html, join

ACCURACY = findings.ACCURACY


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
  """Runs that are compared with each other, with all numbers of labels.

  Attributes:
    setting: a `findings.Setting` without a number of labels.
    title: what they have in common, for readers.
    key: the same as a word.
    runs: names of their runs, pretrainings left out.
    metrics: {name: column}, the label accuracy first.
  """
  setting: findings.Setting
  title: str
  key: str
  runs: frozenset[str]
  metrics: dict[str, str]


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


def line(values):
  """Makes a `Line` of {number of labels: values of runs}; what is not finite is not counted."""
  finite = {budget: x[np.isfinite(x)] for budget, x in (
      (budget, np.asarray(values[budget], np.float64)) for budget in sorted(values))}
  finite = {budget: x for budget, x in finite.items() if x.size}
  return Line(np.array(list(finite), np.int64), np.array([x.mean() for x in finite.values()]),
              np.array([x.std() if x.size > 1 else math.nan for x in finite.values()]),
              np.array([x.size for x in finite.values()], np.int64))


def enough(found, floor=-math.inf):
  """Finds the smallest number of labels as good as the largest, up to the spread.

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


def clips(results):
  """Selects the clips worth labelling, as dicts that JSON can hold, without pictures."""
  return [{key: labelling[key] for key in ('run', 'target', 'num_labels')}
          | {'rank': i + 1, 'episode': clip['episode'], 'start': clip['start'],
             'num_transitions': len(clip['true']), 'uncertainty': clip['uncertainty']}
          for labelling in results.get('labellings', [])
          for i, clip in enumerate(labelling.get('clips', []))]


def _interval(low, high):
  """Both ends in words; '–' if there are none."""
  if low is None:
    return '–'
  first, last = low.text(), high.text()
  return f'{first} to {last}' if first != last else f'both ends {first} (the draws agree)'


class Report(experiment.Report):
  """The report of a study of budgets; `domain` is the `experiment.Report` of the same results."""
  title = 'How many labels are enough?'
  introduction = (
      'Action-limited pretraining (ALPT; Venuto et al., 2023) with ever more labelled transitions '
      'of the target. The paper has one number of labels for mazes and one for Atari.')
  contents = 'config, runs and rows'

  def __init__(self, domain):
    super().__init__(domain.results, domain.metrics)
    self.domain, self.places, self.fields = domain, domain.places, domain.fields
    self.styles = figures.styles({m: self.label(m) for m in self.results['methods']
                                  if self.is_limited(m)})

  def is_limited(self, method):
    """Returns whether the number of labels matters to a method; else it is a bound."""
    return self.results['methods'][method]['is_action_limited']

  def groups(self):
    """Lists the `Group`s: runs of a part that differ in methods, labels and seeds only."""
    found = {}
    for run in self.results['runs']:
      if run.get('phase') != 'pretrain':
        found.setdefault((findings.part_of(run), *(run[f] for f in self.fields[:-1])),
                         []).append(run)
    return [self._group(part, dict(zip(self.fields, values, strict=False)), runs)
            for (part, *values), runs in found.items()]

  def _group(self, part, about, runs):
    present = {run['method'] for run in runs}
    methods = tuple(m for m in self.results['methods'] if m in present)
    column = findings.column(self.results, self.main)
    kind = {findings.LABELS: 'IDM alone', findings.SCORE: 'agents'}[part]
    has_parts = 'part' in runs[0]
    return Group(
        findings.Setting(part, about, methods, {}, column, dict.fromkeys(methods, ())),
        ', '.join([findings.title_of(about), *[kind] * has_parts]),
        '-'.join([*[part] * has_parts, *map(str, about.values())]),
        frozenset(run['run'] for run in runs),
        {ACCURACY: ACCURACY} | ({self.main: column} if part == findings.SCORE else {}))

  def _values(self, group, method, name):
    """{number of labels: {(target, seed): last value}} of the runs of a method that are done."""
    rows = [row for row in self.results['rows']
            if row['run'] in group.runs and row['method'] == method]
    values = {}
    for row in findings.final_rows(self.results, rows).values():
      values.setdefault(row['num_labels'], {})[row['target'], row['seed']] = curves.value(
          row, group.metrics[name])
    return values

  def line(self, group, method, name):
    """Returns the `Line` of a method in a group, over the last evaluations of finished runs."""
    return line({budget: list(of_budget.values())
                 for budget, of_budget in self._values(group, method, name).items()})

  def lines(self, group, name):
    """Returns {method: its `Line`} of the methods that labels matter to."""
    found = {method: self.line(group, method, name) for method in group.setting.methods
             if self.is_limited(method)}
    return {method: one for method, one in found.items() if one.budgets.size}

  def anchors(self, setting, metric):
    """Returns what needs no learning, as in the domain's own report."""
    return self.domain.anchors(setting, metric)

  def floor(self, group):
    """Returns the label accuracy of the most frequent action; -inf if it is not known."""
    found = self.anchors(group.setting, ACCURACY).get('majority', math.nan)
    return found if math.isfinite(found) else -math.inf

  def baselines(self, group, name):
    """Returns {name: level} of what labels make no difference to; NaN if unknown."""
    levels = dict(self.anchors(group.setting, name))
    for method in group.setting.methods:
      bound = self.line(group, method, name)
      if not self.is_limited(method) and bound.budgets.size:
        levels[self.label(method)] = float(bound.mean[0])
    return levels

  def worths(self, group):
    """Compares every method with sources to every one without, at all numbers of labels.

    Args:
      group: one of `groups`.

    Returns:
      A list of `Worth`, by label accuracy.
    """
    found = self.lines(group, ACCURACY)
    with_sources = {run['method'] for run in self.results['runs']
                    if run['run'] in group.runs and run['sources']}
    return [self._worth(group, method, baseline, int(budget), float(level))
            for method in found if method in with_sources
            for baseline in found if baseline not in with_sources
            for budget, level in zip(found[method].budgets, found[method].mean, strict=True)]

  def _worth(self, group, method, baseline, budget, level):
    def refused(reason):
      return Worth(method, baseline, budget, level, None, reason)

    if not level > self.floor(group):
      return refused('not above what needs no labels')
    finite = {name: {n: {seed: x for seed, x in of_budget.items() if math.isfinite(x)}
                     for n, of_budget in self._values(group, name, ACCURACY).items()}
              for name in (method, baseline)}
    if len(finite[baseline]) < 2:
      return refused(f'{self.label(baseline)} was run with one number of labels only')
    savings = label_savings.label_savings(finite[method][budget], budget, finite[baseline])
    if savings.equivalent is None:
      return refused('no seed has all runs')
    return Worth(method, baseline, budget, level, savings)

  def table(self):
    """Lists every point of every line as a dict, for tables and CSV."""
    return [dict(group=group.key, metric=column, method=method, num_labels=int(budget),
                 mean=float(mean), std=float(std), n=int(n))
            for group in self.groups() for name, column in group.metrics.items()
            for method in group.setting.methods
            for budget, mean, std, n in zip(*self.line(group, method, name), strict=True)]

  def _title(self, name):
    return self.metric(None, name).title

  def _number(self, name, mean, std=math.nan):
    return page.number(mean, self.metric(None, name).digits, std)

  def tables(self):
    """Lines and clips."""
    return {'budget.csv': (self.table(), 'the lines of the figure'),
            'clips.csv': (clips(self.results), 'the clips worth labelling')}

  def sections(self):
    """Returns the sections: what is enough, lines, clips."""
    more = super().sections() | {
        'found': ('What was found', self.found), 'budget': ('How many labels', self.budgets),
        'clips': ('Clips worth labelling', self.clips)}
    return {key: more[key] for key in ('found', 'budget', 'clips', 'run', 'mistakes', 'problems',
                                       'data')}

  def answers(self, group):
    """Makes two tables of text, (header, rows): what is enough, what sources are worth."""
    enough_rows = [self._enough_row(group, method, name, found) for name in group.metrics
                   for method, found in self.lines(group, name).items()]
    worth_rows = [self._worth_row(worth) for worth in self.worths(group)]
    return [(header, rows) for header, rows in (
        (('', 'labels', 'in the end', 'n', 'enough?'), enough_rows),
        (('', 'right', 'as accurate as', '95 % interval', 'n', 'worth of sources'), worth_rows))
            if rows]

  def _enough_row(self, group, method, name, found):
    largest = int(found.budgets[-1])
    budget, reason = enough(found, self.floor(group) if name == ACCURACY else -math.inf)
    unknown = ('one number only' if len(found.budgets) < 2 else reason if budget is None else
               'more might still help' if budget == largest else '')
    return [f'{self.label(method)}, {self._title(name)}', f'{largest:,}',
            self._number(name, found.mean[-1], found.std[-1]), str(found.n[-1]),
            f'unknown ({unknown})' if unknown else f'from {budget:,} labels on']

  def _worth_row(self, worth):
    name = f'{self.label(worth.method)} with {worth.num_labels:,} labels'
    right, savings = self._number(ACCURACY, worth.level), worth.savings
    if savings is None:
      return [name, right, '–', '–', '–', f'unknown ({worth.reason})']
    low, equivalent = savings.low, savings.equivalent
    unknown = savings.reason or ('' if savings.is_saving else
                                 'without them, as few labels may be as good')
    about = 'about ' if equivalent.relation == 'about' else ''
    return [name, right, f'{self.label(worth.baseline)} with {about}{equivalent.text()} labels',
            _interval(low, savings.high), str(savings.n),
            f'unknown ({unknown})' if unknown else
            f'{low.number - worth.num_labels:,.0f} labels or more, a factor of '
            f'{low.number / worth.num_labels:.1f}']

  def found(self):
    """Shows what is enough and what sources are worth, in all groups."""
    parts = [html(
        '<p>Numbers are of the last evaluation of the runs that are done: mean ± population '
        'standard deviation over n runs. A number of labels is <i>enough</i> if from there on '
        'every mean is at least that of the largest number that was tried, minus the standard '
        'deviation of that one, and that one is above the most frequent action by more than its '
        'deviation. What sources are <i>worth</i>: the labels that the method without them needs '
        'to be as accurate, interpolated in the logarithm of the number; never beyond the numbers '
        'that were tried. Intervals: 95 %, between methods, by drawing training seeds again. Fewer '
        'than five seeds say nothing. {}</p>', findings.why_exploratory(self.results))]
    for group in self.groups():
      parts += [html('<h3>{}</h3>', group.title),
                *(page.table(header, rows) for header, rows in self.answers(group))]
    return join([*parts, not any(map(self.answers, self.groups())) and 'No run is done.'])

  def _measured(self, group):
    """The metrics of a group that any method has."""
    return [name for name in group.metrics if self.lines(group, name)]

  def _panel(self, group, name):
    """A metric against the number of labels, as a `figures.Panel`."""
    metric, levels = self.metric(None, name), self.baselines(group, name)
    found = [(self.styles[m], curves.Curve(*one)) for m, one in self.lines(group, name).items()]
    return figures.Panel(
        f'{group.title}: {metric.title}', metric.unit, tuple(found), levels,
        experiment.limits([curve for _, curve in found], levels, metric),
        'labelled transitions of the target', True)

  def panels(self):
    """Makes `figures.Panel`s of label accuracy and score, a row per group."""
    rows = [[self._panel(group, name) for name in self._measured(group)] for group in self.groups()]
    width = max(map(len, rows), default=0)
    return [row + [None] * (width - len(row)) for row in rows if row]

  def budgets(self):
    """Shows the lines, and their numbers."""
    parts = [html('<p>Lines are means over runs, bands one population standard deviation; thin '
                  'where fewer runs are done. Dashed: what labels make no difference to.</p>'),
             page.legend(self.styles.values())]
    for group in self.groups():
      parts += [html('<h3>{}</h3>', group.title), page.grid(
          figures.curves_svg(self._panel(group, name), f'budget-{group.key}-{name}')
          for name in self._measured(group))]
    return join([*parts, *(self.final_table(part) for part in findings.PARTS
                           if self.settings(part))])

  def clips(self):
    """Windows that are worth labelling."""
    shown = [labelling for labelling in self.results.get('labellings', []) if 'clips' in labelling]
    if not shown:
      return html('<p>None were picked.</p>')
    return join([html(
        '<p>Windows of the target that would help the IDM most if a person labelled them: it is '
        'unsure of them, and they look different from what has labels and from each other. They '
        'are picked one by one, each with the largest product of the uncertainty (one minus the '
        'mean confidence) and the distance to the nearest window that has labels or was picked '
        'before; windows look like their mean observation and its mean change. The true actions '
        'are shown because here they are known; the choice does not see them. That these windows '
        'help more than others was not tested.</p>'), *(page.fold(html(
            '<b>{}, {}, {:,} labels, seed {}</b>', labelling['label'], labelling['target'],
            labelling['num_labels'], labelling['seed']), label_section.clips(labelling))
                                                        for labelling in shown)])

  def summary_lines(self):
    """Sums up what is enough and what sources are worth, after a line on the runs."""
    lines = [self.runs_line()]
    for group in self.groups():
      lines.append(f'{group.title}:')
      for header, rows in self.answers(group):
        lines += page.lines(header, rows)
    return lines
