"""Makes the report that the results of every domain get: curves, final numbers, labels, runs."""

import math

import numpy as np

from alpt_jax.measures import curves
from alpt_jax.reports import figures, findings, label_section
from alpt_jax.reports import page as report_page

ACCURACY = 'label_accuracy'
_MODES = ('argmax', 'sampled')
_e = report_page.escape


class Report:
  """The report of a domain without a module of its own; such a module has what is public here.

  Args:
    metrics: {name: object with title, unit and digits} of the scores of agents, which are the
      columns 'argmax/<name>' and 'sampled/<name>' of the results; the first is the main one.

  Attributes:
    PLACES: what targets are called.
  """
  PLACES = 'target environments'

  def __init__(self, metrics):
    self._metrics = metrics

  def _columns(self, results):
    """{column: (title, unit, digits)} of what was measured."""
    known = {ACCURACY: ('label accuracy', 'share of hidden actions', 3)} | {
        f'{mode}/{name}': (f'{metric.title}, {mode} actions', metric.unit, metric.digits)
        for name, metric in self._metrics.items() for mode in _MODES}
    return {column: about for column, about in known.items()
            if any(math.isfinite(curves.value(row, column)) for row in results['rows'])}

  def page(self, results):
    """Returns the page, HTML."""
    found = self.problems(results)
    num_missing = findings.num_missing(results, found)
    sections = {
        'curves': ('Learning curves', self._curves), 'final': ('In the end', self._final),
        'mistakes': ('What the IDM mixes up', lambda r: label_section.section(
            r.get('labellings', []))),
        'run': ('What was run', lambda r: report_page.what_was_run(r, self.PLACES)),
        'problems': ('Failed and missing runs', self._problems),
        'data': ('Data', lambda r: report_page.downloads(
            r, {'final.csv': (self.final_metrics(r), 'the final metrics')},
            'config, environments, runs and rows'))}
    return report_page.page(
        results, f'Learning from few labels: {results["experiment"]}',
        'Action-limited pretraining (ALPT; Venuto et al., 2023) on data of its own.', num_missing,
        sections, num_remarks=len(found) - num_missing)

  def problems(self, results):
    """Returns runs that failed, are not finished or lack numbers: a list of sentences."""
    rows = findings.rows_by_run(results['rows'])
    return findings.remarks(results) + [
        text for run in results['runs'] for text in findings.unfinished(run, rows[run['run']])]

  def claim_rows(self, results):
    """Returns claims of the paper as a list of `findings.ClaimRow`: none."""
    del results
    return []

  def floor_tables(self, results):
    """Returns tables of floors and ceilings: none."""
    del results
    return []

  def groups(self, results):
    """Returns (key, title, main metric or None, runs) of the runs that are compared: by target."""
    main = next((column for column in self._columns(results) if column != ACCURACY), None)
    return [(target, target, main, [run for run in results['runs'] if run['target'] == target])
            for target in _targets(results)]

  def majority(self, results, places):
    """Returns the label accuracy of always saying the most frequent action: not known."""
    del results, places
    return math.nan

  def levels(self, results, places, metric):
    """Returns {name: level} of a metric that needs no labels: none is known."""
    del results, places, metric
    return {}

  def panels(self, results):
    """Returns the learning curves as `figures.Panel`s, a row per target."""
    styles = figures.styles({m: findings.label(results, m) for m in results['methods']})
    return [[self._panel(results, styles, target, column, *about[:2])
             for column, about in self._columns(results).items()] for target in _targets(results)]

  def _panel(self, results, styles, target, column, title, unit):
    drawn = {method: curves.curve(_rows(results, target, method), column)
             for method in results['methods']}
    drawn = {method: curve for method, curve in drawn.items() if curve.n.any()}
    ends = [x for curve in drawn.values() for x in (
        *(curve.mean - np.nan_to_num(curve.std)), *(curve.mean + np.nan_to_num(curve.std)))
        if math.isfinite(x)] or [0., 1.]
    margin = .06 * (max(ends) - min(ends)) or 1.
    return figures.Panel(f'{target}: {title}', unit, tuple(
        (styles[method], curve) for method, curve in drawn.items()), {},
                         (min(ends) - margin, max(ends) + margin))

  def _curves(self, results):
    styles = figures.styles({m: findings.label(results, m) for m in results['methods']})
    drawn = [figures.curves_svg(panel, f'curves-{i}-{j}')
             for i, row in enumerate(self.panels(results)) for j, panel in enumerate(row)]
    return '\n'.join([
        '<p>Means over seeds; bands are one population standard deviation.</p>',
        report_page.legend(list(styles.values())), '<div class="grid">',
        *(f'<figure>{svg}</figure>' for svg in drawn), '</div>'])

  def final_metrics(self, results):
    """Measures the last evaluation of the runs that are done.

    Args:
      results: checked results.

    Returns:
      A list of dicts, one per target and method: target, method, runs (done), and per column mean,
      population std and n.
    """
    table = []
    for target in _targets(results):
      for method in results['methods']:
        last = findings.final_rows(results, _rows(results, target, method)).values()
        entry = dict(target=target, method=method, runs=len(last))
        for column in self._columns(results):
          values = np.array([curves.value(row, column) for row in last])
          values = values[np.isfinite(values)]
          entry |= {f'{column}/mean': values.mean() if values.size else math.nan,
                    f'{column}/std': values.std() if values.size > 1 else math.nan,
                    f'{column}/n': values.size}
        table.append(entry)
    return table

  def _final(self, results):
    columns, body = self._columns(results), []
    table = self.final_metrics(results)
    for target in _targets(results):
      body += [_e(target), *([_e(findings.label(results, entry['method']))] + [
          report_page.number(entry[f'{column}/mean'], digits, entry[f'{column}/std'])
          for column, (_, _, digits) in columns.items()] + [str(entry['runs'])]
          for entry in table if entry['target'] == target)]
    return '<p>Mean ± population standard deviation over n runs.</p>' + report_page.table(
        ['', *(title for title, _, _ in columns.values()), 'n'], body)

  def _problems(self, results):
    problems = self.problems(results)
    rows = [[_e(run['run']), _e(run['status']), report_page.count(run.get('num_steps')),
             report_page.count(run.get('seconds'))] for run in results['runs']]
    return (report_page.bullets(map(_e, problems)) if problems else
            '<p>None: every run is done.</p>') + report_page.table(
                ['run', 'status', 'steps', 'seconds'], rows)

  def summary_lines(self, results):
    """Returns a line on the runs, and a line per target and method with its final metrics."""
    done = sum(run['status'] == 'done' for run in results['runs'])
    columns = self._columns(results)
    return [f'{results["experiment"]}, preset {results["preset"]}: {done} of '
            f'{len(results["runs"])} runs done.'] + [
        f'{entry["target"]}, {findings.label(results, entry["method"])}: ' + (', '.join(
            f'{title} {report_page.number(entry[f"{column}/mean"], digits)}'
            for column, (title, _, digits) in columns.items()) or 'nothing measured')
        for entry in self.final_metrics(results)]


def _targets(results):
  return list(dict.fromkeys(run['target'] for run in results['runs']))


def _rows(results, target, method):
  return [row for row in results['rows'] if (row['target'], row['method']) == (target, method)]
