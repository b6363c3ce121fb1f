"""The part of the maze report on labels: updates to a label accuracy, floors, ceiling, claims."""

import math

from alpt_jax.domains.maze import claims as claims_maze
from alpt_jax.domains.maze import findings as findings_maze
from alpt_jax.domains.maze import findings_labels
from alpt_jax.measures import curves, intervals
from alpt_jax.reports import figures, findings, page

_e = page.escape


def ratio_text(comparison):
  """E.g. 'at most 0.48 [0.00, 0.60]'; a dash if there is none."""
  if comparison is None or not comparison.interval.n:
    return '–'
  return comparison.interval.text(2)


def updates_text(needed):
  """The median of updates to the level, e.g. '340', '> 1,000'."""
  if math.isnan(needed.median):
    return '–'
  return (page.count(needed.median) if math.isfinite(needed.median)
          else f'> {page.count(needed.last_step)}')


def budget_title(num_labels):
  """E.g. '250 labels'; of files that do not say how many there were, 'labels'."""
  return 'labels' if num_labels is None else f'{num_labels:,} labels'


def badge(results, verdict):
  """A verdict as HTML."""
  return f'<span class="badge">{_e(findings.verdict_text(verdict, results))}</span>'


def wanted_text(results):
  """The level, e.g. '0.898 (0.9 of the ceiling)'; of several mazes its range."""
  levels = [findings_labels.level(results, target)
            for target in findings_maze.targets(results)]
  levels = [f'{x:.3f}' for x in levels if math.isfinite(x)]
  if not levels:
    return 'a level that is not known'
  shown = levels[0] if min(levels) == max(levels) else f'{min(levels)} to {max(levels)}'
  return f'{shown} ({findings_labels.LEVEL:g} of the ceiling)'


def claim_card(results, finding):
  """Claim and measured ratio as HTML."""
  parts = [f'<p>{badge(results, finding.verdict)}</p><p>The paper: {_e(finding.text)}.']
  if finding.comparison is None:
    parts.append('Not measured: one of the two methods was not run.')
  else:
    parts.append(f'Here it needs <b>{_e(ratio_text(finding.comparison))} times</b> the updates of '
                 f'{_e(findings.label(results, finding.claim.baseline))} until its labels are '
                 f'right in {_e(wanted_text(results))}, '
                 f'n = {finding.comparison.interval.n}.')
  return ' '.join(parts) + '</p>'


def panel(results, observation, styles):
  """Label accuracy against updates at the primary number of labels, as a `figures.Panel`.

  Args:
    results: checked results.
    observation: the mode.
    styles: {method: `figures.Style`}.
  """
  num_labels = findings_labels.primary_budget(results)
  rows = findings_labels.rows_by_method(results, observation, num_labels)
  drawn = tuple((styles[method], curves.curve(some, findings_labels.ACCURACY))
                for method, some in rows.items())
  anchors = findings_labels.exact(results)
  fitted, _ = findings_labels.fitted_table(results, observation, num_labels)
  if fitted.value is not None:  # Instead of the exact one, which knows the most frequent action.
    del anchors['table of the change']
    anchors['table, same labels'] = fitted.value
  anchors[f'{findings_labels.LEVEL:g} of the ceiling'] = (
      findings_labels.LEVEL * anchors['ceiling'])
  return figures.Panel(f'Labels that are right ({observation})', 'share of hidden actions', drawn,
                       anchors, (.18, 1.03), 'updates')


def _row(results, method, needed):
  ratio = needed.ratio
  cells = [_e(findings.label(results, method)), updates_text(needed),
           f'{needed.num_reached} of {len(needed.updates)}']
  if ratio is None:
    cells += ['1' if method == findings_maze.baseline(results) else '–', '']
  else:
    left_out = f', {needed.num_left_out} left out' if needed.num_left_out else ''
    cells += [_e(ratio_text(ratio)),
              f'{ratio.interval.n}, {ratio.num_censored} censored{left_out}']
  return [*cells, _e(needed.final.text(3)), str(needed.final.n)]


def _interval_row(title, found):
  return [_e(title), '', '', '', '', _e(found.text(3)), str(found.n)]


def section(results, styles):
  """Curves and tables of label accuracy as HTML.

  Args:
    results: checked results.
    styles: {method: `figures.Style`}.
  """
  baseline = findings.label(results, findings_maze.baseline(results))
  sentence = findings_labels.no_idm_needed(results)
  what = ('IDMs trained alone' if findings_labels.has_part(results)
          else 'the IDMs of the agents')
  parts = [
      f'<p><b>{_e(sentence)}</b> So label accuracy is no result by itself; what is asked is how '
      'many updates an IDM needs to it with a source maze and without.</p>' if sentence else '',
      f'<p>Of {what}: updates until {_e(wanted_text(results))} of the hidden actions are labelled '
      'right, interpolated linearly between evaluations; a run that does not get there is censored '
      'at its last one (“&gt;”). Updates are medians, accuracies means of the last evaluations. '
      f'Ratios are to {_e(baseline)}, paired by target and seed: geometric means, or with censored '
      f'runs bounds of the median. {_e(intervals.caption(intervals.SEEDS))} The majority, the past '
      'alone, the table of the change and the ceiling are exact, from the maze and the policy of '
      'the data; the table is also fitted to the labels that the IDMs had. In the curves, bands '
      'are one population standard deviation.</p>']
  table = findings_labels.table(results)
  for observation in findings_maze.observations(results):
    body = []
    for (mode, num_labels), methods in table.items():
      if mode != observation:
        continue
      body.append(_e(budget_title(num_labels)))
      body += [_row(results, method, needed) for method, needed in methods.items()]
      fitted, num_entries = findings_labels.fitted_table(results, observation, num_labels)
      if fitted.value is not None:
        body.append(_interval_row(
            f'table of the change, {num_entries} entries, fitted to the same labels', fitted))
    body.append('floors and ceiling that need no labels (n targets)')
    body += [[_e(name), '', '', '', '', page.number(found, 3),
              str(len(findings_maze.targets(results)))]
             for name, found in findings_labels.exact(results).items()]
    drawn = panel(results, observation, styles)
    parts += [
        f'<h3>Observation “{_e(observation)}”</h3>',
        page.legend([style for style, _ in drawn.curves]) if drawn.curves else '',
        '<div class="grid"><figure>'
        + figures.curves_svg(drawn, f'{observation}-labels') + '</figure></div>',
        page.table(
            ['', 'updates to the level', 'runs that reach it', f'ratio to {baseline}', 'pairs',
             'label accuracy in the end', 'n'], body, f'Observation “{observation}”')]
  return '\n'.join(parts)


def claims(results):
  """The paper's claims as HTML."""
  body = [[f'<div class="wrap">{_e(page.sentence(finding.text))}</div>',
           _e(finding.observation),
           f'<div class="wrap">{badge(results, finding.verdict)}</div>',
           f'{_e(ratio_text(finding.comparison))}'
           + (f', n = {finding.comparison.interval.n}' if finding.comparison else '')]
          for finding in claims_maze.claims(results)]
  num_seeds = len({run['seed'] for run in results['runs']})
  return ('<p>What section 5.6 of the paper says of speed; it has three seeds, these results have '
          f'{num_seeds}. Measured by the ratio of updates until labels are right in '
          f'{_e(wanted_text(results))}. {_e(findings.why_exploratory(results))}</p>'
          + page.table(['claim', 'observation', 'verdict', 'ratio of updates'], body))


def csv_rows(results):
  """The table of updates to the level, a dict per observation, number of labels and method."""
  rows = []
  for (observation, num_labels), methods in findings_labels.table(results).items():
    for method, needed in methods.items():
      ratio = needed.ratio.interval if needed.ratio else None
      rows.append(dict(
          observation=observation, num_labels=num_labels, method=method,
          median_updates=needed.median, last_step=needed.last_step, runs=len(needed.updates),
          reached=needed.num_reached, accuracy=needed.final.value, accuracy_low=needed.final.low,
          accuracy_high=needed.final.high, ratio=ratio and ratio.value,
          ratio_low=ratio and ratio.low, ratio_high=ratio and ratio.high,
          ratio_relation=ratio and ratio.relation, pairs=ratio and ratio.n))
  return rows
