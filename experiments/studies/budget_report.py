"""The report of a study of budgets: how many labels are enough, and which ones to ask for next.

One page for mazes and for Atari games. Its numbers come from `findings_budget`, its pictures from
`figures`; here they become sentences and tables.
"""

import math

import numpy as np

from alpt_jax import domains
from alpt_jax.measures import curves as statistics
from alpt_jax.reports import figures, findings, label_section
from alpt_jax.reports import page as report_page
from experiments.studies import budget as findings_budget

_e = report_page.escape

_NAMES = {  # Metric: title, unit.
    findings_budget.ACCURACY: ('label accuracy', 'share of hidden actions'),
    'argmax/success_500': ('return', 'share of starts solved in 500 steps'),
    'sampled/score': ('score', 'points of a game'),
    'argmax/score': ('score', 'points of a game'),
}


def _number(metric, mean, std=math.nan):
  return report_page.number(mean, 1 if metric.endswith('/score') else 3, std)


def _labels(number):
  return f'{report_page.count(number)} label{"" if number == 1 else "s"}'


def _enough_sentence(results, group, method, metric):
  """Says which number of labels is enough for a method."""
  found = findings_budget.line_of(results, group, method, metric)
  name, what = findings.label(results, method), _NAMES[metric][0]
  largest = int(found.budgets[-1])
  end = f'{_number(metric, found.mean[-1], found.std[-1])}, n = {found.n[-1]}'
  if len(found.budgets) < 2:
    return f'{name}, {what}: {end}, with {_labels(largest)} only.'
  floor = (findings_budget.floor_of(results, group) if metric == findings_budget.ACCURACY
           else -math.inf)
  budget, reason = findings_budget.enough(found, floor)
  if budget is None:
    return f'{name}, {what}: {end}, with {_labels(largest)}; which number is enough: {reason}.'
  if budget == largest:
    return (f'{name}, {what}: no smaller number that was tried comes within the spread of '
            f'{_labels(largest)} ({end}): more might still help.')
  return (f'{name}, {what}: from {_labels(budget)} on within the spread of {_labels(largest)} '
          f'({end}).')


def _worth_sentence(results, worth):
  """Says how many labels the sources of a method are worth."""
  method, baseline = (findings.label(results, m) for m in (worth.method, worth.baseline))
  start = (f'{method} with {_labels(worth.num_labels)} '
           f'({_number(findings_budget.ACCURACY, worth.level)} right)')
  if worth.savings is None:
    return f'{start}: {worth.reason}, so not compared.'
  savings = worth.savings
  said = f'{start} is as accurate as {baseline} with {_known(savings.equivalent)}'
  if savings.low is not None:
    said += f' (95 % interval over n = {savings.n}: {_range(savings)})'
  if savings.reason:
    return f'{said}; {savings.reason}.'
  if not savings.is_saving:
    return f'{said}: that the sources save labels cannot be told.'
  factor = savings.low.number / worth.num_labels
  return (f'{said}: the sources are worth {savings.low.number - worth.num_labels:,.0f} labels or '
          f'more, a factor of {factor:.1f}.')


def _range(savings):
  """The ends of an interval in words; an end that is the other's bound is said once."""
  low, high = savings.low.text(), savings.high.text()
  return low if low == high else f'{low} to {high}'


def _known(labels):
  """E.g. 'about 2,812 labels', 'more than 5,000 labels'."""
  return ('about ' if labels.relation == 'about' else '') + labels.text() + ' labels'


def sentences(results, group):
  """What a group says: a list of sentences, plain text."""
  found = [_enough_sentence(results, group, method, metric) for metric in group.metrics
           for method in findings_budget.lines(results, group, metric)]
  return found + [_worth_sentence(results, worth)
                  for worth in findings_budget.worths(results, group)]


def _found(results):
  parts = [
      '<p>Numbers are of the last evaluation of the runs that are done: mean ± population standard '
      'deviation over n runs. A number of labels is <i>enough</i> if from there on every mean is '
      'at least that of the largest number that was tried, minus the standard deviation of that '
      'one, and that one is above the most frequent action by more than its deviation. What '
      'sources are <i>worth</i>: the labels that the method without them needs to be as accurate, '
      'interpolated in the logarithm of the number; never beyond the numbers that were tried. '
      'Intervals: 95 %, between methods, by drawing training seeds again. Fewer than five seeds '
      f'say nothing. {_e(findings.why_exploratory(results))}</p>']
  for group in findings_budget.groups(results):
    found = sentences(results, group) or ['No run is done.']
    parts += [f'<h3>{_e(group.title)}</h3>', report_page.bullets(map(_e, found))]
  return '\n'.join(parts)


def _styles(results):
  return figures.styles({m: findings.label(results, m) for m in results['methods']
                         if findings_budget.is_limited(results, m)})


def _panel(results, group, metric):
  """A metric against the number of labels, as a `figures.Panel`."""
  found, styles = findings_budget.lines(results, group, metric), _styles(results)
  curves = tuple((styles[m], statistics.Curve(line.budgets, line.mean, line.std, line.n))
                 for m, line in found.items())
  levels = findings_budget.baselines(results, group, metric)
  title, unit = _NAMES[metric]
  return figures.Panel(f'{group.title}: {title}', unit, curves, levels,
                       _limits(found.values(), levels), 'labelled transitions of the target', True)


def _limits(found, levels):
  """A y range for lines with their spread, and for the levels beside them."""
  ends = [x for line in found for sign in (-1, 1)
          for x in line.mean + sign * np.nan_to_num(line.std)]
  ends = [x for x in (*ends, *levels.values()) if math.isfinite(x)] or [0., 1.]
  margin = .06 * (max(ends) - min(ends)) or .5
  return min(ends) - margin, max(ends) + margin


def _metrics(results, group):
  """The metrics of a group that any method has."""
  return [metric for metric in group.metrics if findings_budget.lines(results, group, metric)]


def _curves(results):
  parts = ['<p>Lines are means over runs, bands one population standard deviation; thin where '
           'fewer runs are done. Dashed: what labels make no difference to. Most frequent action: '
           'what always saying it gets right.</p>', report_page.legend(_styles(results).values())]
  for group in findings_budget.groups(results):
    svgs = [figures.curves_svg(_panel(results, group, metric), f'budget-{group.key}-{metric}')
            for metric in _metrics(results, group)]
    parts += [f'<h3>{_e(group.title)}</h3>', '<div class="grid">',
              *(f'<figure>{svg}</figure>' for svg in svgs), '</div>', _table(results, group)]
  return '\n'.join(parts)


def _table(results, group):
  """A row per method and number of labels, HTML."""
  metrics = _metrics(results, group)
  entries = {}
  for entry in findings_budget.table(results):
    if entry['group'] == group.key:
      entries.setdefault((entry['method'], entry['num_labels']), {})[entry['metric']] = entry
  body, last = [], None
  for (method, num_labels), cells in entries.items():
    is_limited = findings_budget.is_limited(results, method)
    if method != last:
      body.append(_e(findings.label(results, method)))
      last = method
    body.append([f'{num_labels:,}' if is_limited else 'all',
                 *(_cell(metric, cells.get(metric)) for metric in metrics)])
  for metric in metrics:
    levels = findings_budget.baselines(results, group, metric)
    bounds = {findings.label(results, m) for m in group.methods}
    body += [[_e(name), *(_number(m, level) if m == metric else '' for m in metrics)]
             for name, level in levels.items() if name not in bounds and math.isfinite(level)]
  return report_page.table(['labels', *(_NAMES[metric][0] for metric in metrics)], body)


def _cell(metric, entry):
  if entry is None:
    return '–'
  return (_number(metric, entry['mean'], entry['std'])
          + f' <span class="muted">n = {entry["n"]}</span>')


def _clips(results):
  shown = [labelling for labelling in results.get('labellings', []) if 'clips' in labelling]
  if not shown:
    return '<p>None were picked.</p>'
  parts = [
      '<p>Windows of the target that would help the IDM most if a person labelled them: it is '
      'unsure of them, and they look different from what has labels and from each other. They are '
      'picked one by one, each with the largest product of the uncertainty (one minus the mean '
      'confidence) and the distance to the nearest window that has labels or was picked before; '
      'windows look like their mean observation and its mean change. The true actions are shown '
      'because here they are known; the choice does not see them. That these windows help more '
      'than others was not tested.</p>']
  for labelling in shown:
    title = (f'{labelling["label"]}, {labelling["target"]}, {labelling["num_labels"]:,} labels, '
             f'seed {labelling["seed"]}')
    parts += [f'<details><summary><b>{_e(title)}</b></summary>', label_section.clips(labelling),
              '</details>']
  return '\n'.join(parts)


def _problems(results):
  problems = findings_budget.run_problems(results)
  rows = [[_e(run['run']), _e(run['status']), report_page.count(run.get('num_steps')),
           report_page.count(run.get('seconds'))] for run in results['runs']]
  return '\n'.join([
      report_page.bullets(map(_e, problems)) if problems else '<p>None: every run is done.</p>',
      '<details><summary>All runs</summary>',
      report_page.table(['run', 'status', 'steps', 'seconds'], rows), '</details>'])


def _downloads(results):
  return report_page.downloads(results, {
      'budget.csv': (findings_budget.table(results), 'the lines of the figure'),
      'clips.csv': (findings_budget.clips(results), 'the clips worth labelling'),
  }, 'config, runs and rows')


SECTIONS = {  # Id: title, content.
    'found': ('What was found', _found),
    'budget': ('How many labels', _curves),
    'clips': ('Clips worth labelling', _clips),
    'run': ('What was run', lambda results: report_page.what_was_run(
        results, domains.named(results['experiment']).report().PLACES)),
    'mistakes': ('What the IDM mixes up', lambda results: label_section.section(
        results.get('labellings', []))),
    'problems': ('Failed and missing runs', _problems),
    'data': ('Data', _downloads),
}


def page(results):
  """Returns the page, HTML."""
  return report_page.page(
      results, 'How many labels are enough?',
      'Action-limited pretraining (ALPT; Venuto et al., 2023) with ever more labelled transitions '
      'of the target. The paper has one number of labels for mazes and one for Atari.',
      len(findings_budget.run_problems(results)), SECTIONS)


def problems(results):
  """Runs that failed, are missing, lack numbers or differ in versions: a list of sentences."""
  return findings_budget.run_problems(results)


def panels(results):
  """Returns label accuracy and return as `figures.Panel`s, a row per group."""
  rows = [[_panel(results, group, metric) for metric in _metrics(results, group)]
          for group in findings_budget.groups(results)]
  width = max(map(len, rows), default=0)
  return [row + [None] * (width - len(row)) for row in rows if row]


def summary_lines(results):
  """Returns the sentences of all groups, after a line on the runs."""
  done = sum(run['status'] == 'done' for run in results['runs'])
  lines = [f'{results["experiment"]}, preset {results["preset"]}: {done} of '
           f'{len(results["runs"])} runs done.']
  for group in findings_budget.groups(results):
    lines += [f'{group.title}:', *(f'  {text}' for text in sentences(results, group))]
  return lines
