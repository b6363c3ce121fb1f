"""Builds the report of the study of Doom: floors of scores, and labels of keys and mouse."""

from alpt_jax.domains.doom import metrics, score_floors
from alpt_jax.reports import experiment, findings, page
from alpt_jax.reports.page import html, join

_PREFIX, _FLOOR = 'labels/', '_floor'
_FIGURES = {'event_f1': 'F1 of onsets and releases', 'r2': 'R²'}


class Report(experiment.Report):
  """Scenarios with floors of scores, and the labels of each part of actions."""
  title = 'Do other scenarios help where few keys and turns are known?'
  introduction = 'Action-limited pretraining (ALPT; Venuto et al., 2023) on Doom, by recorded play.'
  places = 'target scenarios'
  environments = 'scenarios'
  metrics = metrics.METRICS
  baseline = 'dt1'
  contents = 'config, scenarios, runs and rows'

  def anchors(self, setting, metric):
    """Scores of agents that look at nothing, the best of constant ones, and of the script."""
    agents = self.results['scenarios'][setting.target]['agents']
    if metric != 'score' or not agents:
      return {}
    best = score_floors.best_constant(agents)
    return {name: agents[name]['score'] for name in (
        score_floors.RANDOM, best, score_floors.REPLAY, score_floors.SCRIPT)}

  def sections(self):
    """The paper makes no claims about Doom; parts have a table of their own."""
    found = super().sections() | {'labels': ('Labels of keys and mouse', self.labels)}
    del found['claims'], found['mistakes']
    return found

  def labels(self):
    """Shows what the IDMs that label for agents are worth, part by part."""
    columns = list(dict.fromkeys(
        key for row in self.results['rows'] for key in row
        if key.startswith(_PREFIX) and key.count('/') == 2 and not key.endswith(_FLOOR)))
    body = []
    for setting in self.settings(findings.SCORE):
      rows = {method: self._last(setting, method) for method in setting.methods}
      rows = {method: found for method, found in rows.items() if any(
          row.get(column) is not None for row in found for column in columns)}
      if rows:
        body.append(setting.title)
        body += [[self.label(method), *(_mean(found, column) for column in columns)]
                 for method, found in rows.items()]
        body.append(['floor', *(_mean(sum(rows.values(), []), column + _FLOOR)
                                for column in columns)])
    return join([
        html('<p>Hidden actions of the target as the IDM labelled them at the last evaluation, in '
             'single windows: F1 of the onsets and releases of each key, in the right step, and R² '
             'of the mouse; means over the runs that are done. The floor is what needs no IDM: the '
             'IDM’s own events, shuffled in time, and the true turn of the step before. “Labels '
             'right” in the table of scores is the share of steps in which every key is right, and '
             'the turn within the mean width of a bin.</p>'),
        page.table(['', *map(_title, columns)], body)])

  def _last(self, setting, method):
    rows = findings.rows_of(self.results, setting, method)
    return list(findings.final_rows(self.results, rows).values())


def _title(column):
  _, part, figure = column.split('/')
  return f'{part}: {_FIGURES.get(figure, figure)}'


def _mean(rows, column):
  values = [row[column] for row in rows if row.get(column) is not None]
  return page.share(sum(values) / len(values) if values else None)
