"""Builds the report of an experiment: what every domain gets from its results.

What was run, labels and scores of every setting as curves and as a final table beside what needs no
learning, the paper's claims, what the IDM mixes up, problems, downloads. A domain gives names, its
metrics and anchors, and adds sections of its own.
"""

import math
import types

import numpy as np

from alpt_jax import schema
from alpt_jax.measures import intervals
from alpt_jax.reports import figures, findings, label_section, page
from alpt_jax.reports.page import html, join, muted

LABELS, SCORE = findings.PARTS
_STATES = ('done', 'unfinished', 'running', 'failed')
_BANDS = (
    'Lines are means, bands one population standard deviation over the runs; where there is one '
    'run only, over its episodes. Where some runs have ended the line is thin; where a number is '
    'missing it has a gap. Dashed: what needs no learning; an arrow says that it is outside of the '
    'picture. ')


_ACCURACY = types.SimpleNamespace(  # As the `metrics` of a domain are.
    title='labels right', unit='share of hidden actions', digits=3, kind=schema.SHARE)


class Report:
  """The report of checked results; domains override what differs.

  Attributes:
    title: of the page.
    introduction: of the page, text or HTML.
    places: what the targets are called.
    environments: the field of the results that holds them.
    fields: that runs of a setting have in common, the last one 'num_labels'; what else differs,
      e.g. seeds, is averaged over.
    metrics: {name: about} of agents, the main one first; about has a title and a unit for readers,
      digits below 1,000, and the kind of the values. Shares are drawn, too.
    baseline: key of the method that the scores of others are compared with; '' for none.
    contents: of results.json, for readers.
  """
  title = 'What agents learned from few labels'
  introduction = 'Action-limited pretraining (ALPT; Venuto et al., 2023).'
  places = 'targets'
  environments = 'environments'
  fields = ('target', 'num_labels')
  metrics = {}
  baseline = ''
  contents = 'config, environments, runs and rows'

  def __init__(self, results, metrics=None):
    self.results, self.metrics = results, metrics or self.metrics
    self.styles = figures.styles({m: self.label(m) for m in results['methods']})

  def anchors(self, setting, metric):
    """Returns {name: level} of what needs no learning, of a metric or the label accuracy."""
    del setting, metric
    return {}

  def claim_rows(self):
    """Lists the paper's claims that the results are about, as `findings.ClaimRow`s."""
    return []

  def tables(self):
    """Returns {file name: (rows for CSV, what they are)} of the page's downloads."""
    return {'final.csv': (self.final_metrics(), 'the final metrics')}

  def sections(self):
    """Returns {id: (title, function that makes the content)}, in the order of the page."""
    return {
        'claims': ('The paper’s claims', self.claims), 'run': ('What was run', self.what_was_run),
        'labels': ('Labels of hidden actions', self.labels), 'scores': ('Scores', self.scores),
        'mistakes': ('What the IDM mixes up', self.mistakes),
        'problems': ('Failed and missing runs', self.list_problems),
        'data': ('Data', self.downloads)}

  def floor_tables(self):
    """Returns tables of floors and ceilings that were measured of runs."""
    return []

  def more_lines(self):
    """Returns lines of the summary between final metrics and claims."""
    return []

  def label(self, method):
    """Returns a method's name for readers."""
    return findings.label(self.results, method)

  @property
  def main(self):
    """Name of the main metric."""
    return next(iter(self.metrics), SCORE)

  def settings(self, part):
    """Lists the `findings.Setting`s of a part."""
    return findings.settings(self.results, part, self.fields, self.main)

  def _columns(self, setting, mode=None):
    """{name: column} of a setting's metrics, the label accuracy included."""
    columns = {findings.ACCURACY: findings.ACCURACY}
    if setting.part == SCORE:
      prefix = setting.metric[:-len(self.main)] if mode is None else f'{mode}/'
      columns |= {name: prefix + name for name in self.metrics}
    return columns

  def final_metrics(self):
    """Lists `findings.final` of all settings; a bound comes once, not beside each."""
    found = {}
    for setting in (*self.settings(LABELS), *self.settings(SCORE)):
      for method in (*setting.methods, *setting.bounds):
        entry = findings.final(self.results, setting, method, self._columns(setting))
        found.setdefault((method, setting.part, *(entry[field] for field in self.fields)), entry)
    return list(found.values())

  def problems(self):
    """Lists runs that failed, are missing, lack numbers or differ in versions: sentences."""
    name = self.metrics[self.main].title if self.metrics else self.main
    return findings.run_problems(
        self.results, [*self.settings(LABELS), *self.settings(SCORE)], name)

  def metric(self, setting, name=None):
    """Describes a metric by its name, or the one that a setting is about."""
    if findings.ACCURACY == (name or setting.metric):
      return _ACCURACY
    return self.metrics[name or self.main]

  def panel(self, setting, name=None):
    """Makes a `figures.Panel` of learning curves: the setting's metric, or another of agents.

    Anchors far above the curves do not flatten them.
    """
    metric, name = self.metric(setting, name), name or (
        findings.ACCURACY if setting.part == LABELS else self.main)
    key = self._columns(setting)[name]
    drawn = {m: findings.curve(self.results, setting, m, key)[0]
             for m in (*setting.methods, *setting.bounds)}
    drawn = [(self.styles[m], curve) for m, curve in drawn.items() if curve.n.any()]
    anchors = {what: round(x, metric.digits if abs(x) < 1000 else 0)
               for what, x in self.anchors(setting, name).items() if math.isfinite(x)}
    return figures.Panel(f'{setting.title}: {metric.title}', metric.unit, tuple(drawn), anchors,
                         limits([curve for _, curve in drawn], anchors, metric))

  def panels(self):
    """Makes `figures.Panel`s: a row per target, label accuracies before scores."""
    rows, columns = {}, {}
    for setting in (*self.settings(LABELS), *self.settings(SCORE)):
      row = tuple(x for field, x in setting.about.items() if field != 'num_labels')
      rows.setdefault(row, {})[setting.part, setting.num_labels] = self.panel(setting)
      columns[setting.part, setting.num_labels] = None
    return [[row.get(column) for column in columns] for row in rows.values()]

  def _names(self, part):
    """Names of the metrics of a part with curves; with no IDM alone, of labels for agents, too."""
    names = [name for name, metric in self.metrics.items() if part == SCORE and (
        name == self.main or metric.kind is schema.SHARE)]
    has_labels = part == LABELS or not self.settings(LABELS) and any(
        row.get(findings.ACCURACY) is not None for row in self.results['rows'])
    return names + [findings.ACCURACY] * has_labels

  def curves(self, part):
    """Draws learning curves of all settings of a part, HTML."""
    found = self.settings(part)
    present = {m for s in found for m in (*s.methods, *s.bounds)}
    names = self._names(part)
    pictures = [(figures.curves_svg(self.panel(setting, name), f'{setting.name}-{name}'),
                 self._caption(setting)) for setting in found for name in names]
    return join([page.legend(style for m, style in self.styles.items() if m in present),
                 page.grid(pictures)])

  def _caption(self, setting):
    """How many runs are behind a panel, which ones are left out, what the bands are."""
    counts, failed, over_episodes = [], [], []
    for method in (*setting.methods, *setting.bounds):
      runs, name = setting.runs[method], self.label(method)
      if method in setting.bounds:
        name += f' (with {setting.bounds[method]:,} labels)'
      counts.append(f'{name} {_states(runs)}')
      failed += [run['run'] for run in runs if run['status'] == 'failed']
      if findings.curve(self.results, setting, method)[1]:
        over_episodes.append(name)
    return ' '.join(filter(None, (
        f'Runs: {"; ".join(counts)}.',
        failed and f'Left out, as failed: {page.listed(failed)}.',
        over_episodes and 'One run only, so the band is the deviation over its episodes: '
                          f'{page.listed(over_episodes)}.')))

  def what_was_run(self):
    """Shows command, preset, methods and config."""
    return page.what_was_run(self.results, self.places)

  def labels(self):
    """Shows IDMs alone: curves and final accuracies."""
    if not self.settings(LABELS):
      return html('<p>Not part of this experiment.</p>')
    return join([
        html('<p>The IDM alone: the share of the target’s hidden actions that its labels get '
             'right, while it trains on the target’s labels; those with sources may have been '
             'pretrained before step 0. {}</p>', _BANDS), self.curves(LABELS),
        self.final_table(LABELS)])

  def scores(self):
    """Shows agents: curves and final metrics."""
    if not self.settings(SCORE):
      return html('<p>Not part of this experiment.</p>')
    mode = findings.MODES.get(self.settings(SCORE)[0].metric.split('/')[0], 'actions')
    return join([html('<p>Evaluations on the target while training, {}. {}</p>', mode, _BANDS),
                 self.curves(SCORE), self.final_table(SCORE)])

  def final_table(self, part):
    """Shows the last evaluations of a part, with what needs no learning."""
    names = list(self.metrics) if part == SCORE else []
    versus = self.baseline if part == SCORE and self.baseline in self.results['methods'] else ''
    header = ['', 'sources', *(self.metrics[name].title for name in names),
              *([f'{self.metrics[self.main].title} less {self.label(versus)}'] if versus else []),
              'labels right', 'after steps', 'runs']
    body, found = [], self.settings(part)
    for setting in found:
      modes = [mode for mode in findings.MODES if part == SCORE and any(
          row.get(f'{mode}/{self.main}') is not None for m in setting.methods
          for row in findings.rows_of(self.results, setting, m))] or [None]
      for mode in modes:
        body.append(self._group_title(setting, mode if len(modes) > 1 else None))
        columns = self._columns(setting, mode)
        body += [self._row(setting, m, columns, versus)
                 for m in (*setting.methods, *setting.bounds)]
      absent = {m for s in found for m in s.methods} - {*setting.methods, *setting.bounds}
      body += [[self.label(m), '', muted('not run'), *[''] * (len(header) - 3)]
               for m in self.results['methods'] if m in absent]
      body += self._anchor_rows(setting, names, header)
    return join([
        html('<h3>In the end</h3><p>The last evaluation of the runs that are done: mean ± '
             'population standard deviation over them. “(k of n)” marks numbers that some runs '
             'lack. Labels right: of the IDM alone, or of the one that labels for the agent. {}'
             '</p>', f'{intervals.caption(intervals.SEEDS)} Differences are paired by target and '
             'seed. All of it is exploratory: no verdicts.' if versus else ''),
        page.table(header, body)])

  def _group_title(self, setting, mode):
    total = self.results.get(self.environments, {}).get(setting.target, {}).get('num_transitions')
    share = total and setting.num_labels and muted(
        f'({100 * setting.num_labels / total:.2g} % of {total:,.0f} transitions)')
    return join([setting.title + (f', {findings.MODES[mode]}' if mode else ''), share], ' ')

  def _row(self, setting, method, columns, versus):
    entry = findings.final(self.results, setting, method, columns)
    cells = [_cell(entry, name, self.metrics[name].digits) for name in self.metrics
             if name in columns]
    if versus:
      ends = [self._by_place(setting, m, columns[self.main]) for m in (method, versus)]
      difference = intervals.difference(*ends).interval
      cells.append('' if method == versus else '–' if not difference.n else
                   difference.text(self.metrics[self.main].digits))
    name = self.label(method)
    if method in setting.bounds:
      name = join([name, muted(f'({entry["num_labels"]:,} labels)')], ' ')
    accuracy = '' if columns.get(self.main, '').startswith('sampled/') and (
        setting.metric.startswith('argmax/')) else _cell(entry, findings.ACCURACY, 3)
    return [name, _sources(entry['sources']), *cells, accuracy, self._steps(setting, entry),
            _runs(entry)]

  def _by_place(self, setting, method, column):
    """{(target, seed): last value} of what is known."""
    last = findings.final_rows(self.results, findings.rows_of(self.results, setting, method))
    return {(row['target'], row['seed']): row[column] for row in last.values()
            if row.get(column) is not None and math.isfinite(row[column])}

  def _steps(self, setting, entry):
    """Steps of the last evaluation, and of the pretraining before them."""
    before = {run.get('num_steps') for run in self.results['runs']
              if run.get('phase') == 'pretrain' and (findings.part_of(run), run['method'])
              == (setting.part, entry['method'])} - {None}
    return join([page.count(entry['step']), before and muted(
        f'after {page.count(max(before))} of pretraining')], ' ')

  def _anchor_rows(self, setting, names, header):
    """Rows of a final table of what needs no learning."""
    levels = {name: self.anchors(setting, name) for name in (*names, findings.ACCURACY)}
    anchors = dict.fromkeys(what for level in levels.values() for what, x in level.items()
                            if math.isfinite(x))
    places = {name: 2 + i for i, name in enumerate(names)} | {findings.ACCURACY: len(header) - 3}
    rows = []
    for what in anchors:
      rows.append([what, *[''] * (len(header) - 1)])
      for name, place in places.items():
        level = levels[name].get(what, math.nan)
        if math.isfinite(level):
          rows[-1][place] = page.number(level, self.metric(setting, name).digits)
    return rows

  def claims(self):
    """Shows the paper's claims, beside what was measured."""
    return join([
        html('<p>{} {} Last evaluations are compared seed by seed. Between methods that do not '
             'differ, one interval in twenty does not hold 0: several comparisons are no test of '
             'several claims.</p>', intervals.caption(intervals.SEEDS),
             findings.why_exploratory(self.results)),
        claims_table([(self.results, row) for row in self.claim_rows()])])

  def mistakes(self):
    """Shows confusions of some runs' IDMs; accuracies of all are in the final tables."""
    return label_section.section(self.results.get('labellings', []))

  def list_problems(self):
    """Lists problems, and all runs."""
    names = ('run', 'method', 'part', *(f for f in self.fields if f not in ('part', 'target')),
             'target', 'seed', 'phase', 'status', 'num_steps', 'seconds')
    names = [name for name in names if any(name in run for run in self.results['runs'])]
    rows = [[f'{x:,.0f}' if isinstance(x, int | float) else '–' if x is None else x
             for x in (self.label(run['method']) if name == 'method' else run.get(name)
                       for name in names)] for run in self.results['runs']]
    problems = self.problems()
    return join([page.bullets(problems) if problems else html('<p>None: every run is done.</p>'),
                 page.fold('All runs', page.table(
                     [name.replace('_', ' ') for name in names], rows))])

  def downloads(self):
    """Links the files of numbers."""
    return page.downloads(self.results, self.tables(), self.contents)

  def page(self):
    """Builds the page, HTML."""
    found = self.problems()
    num_missing = findings.num_missing(self.results, found)
    return page.page(
        self.results, self.title, self.introduction, num_missing,
        {key: (title, content()) for key, (title, content) in self.sections().items()},
        num_remarks=len(found) - num_missing)

  def summary_lines(self):
    """Sums up runs, final metrics and claims as lines of text."""
    lines = [f'{self.runs_line()} Final metrics:']
    for part in findings.PARTS:
      lines += [self._line(setting) for setting in self.settings(part)]
    rows = self.claim_rows()
    measured = [row for row in rows if row.verdict != 'not measured']
    lines += self.more_lines() + [
        f'{row.paper}: {findings.verdict_text(row.verdict, self.results).lower()}: {row.measured}.'
        for row in measured]
    num_others = len(rows) - len(measured)
    if num_others:
      lines.append('1 other claim of the paper is not measured.' if num_others == 1 else
                   f'{num_others} other claims of the paper are not measured.')
    return lines

  def runs_line(self):
    """Says how many runs are done."""
    runs = self.results['runs']
    return ' '.join([f'{self.results["experiment"]}, preset {self.results["preset"]}: '
                     f'{sum(run["status"] == "done" for run in runs)} of {len(runs)} runs done.',
                     *findings.size_lines(self.results)])

  def _line(self, setting):
    """E.g. 'Breakout, 500 labels: score: DT1 2.0, ALPT 9.0, (random 1.7)'."""
    names = self._names(setting.part)
    columns, words = self._columns(setting), []
    for method in (*setting.methods, *setting.bounds):
      entry = findings.final(self.results, setting, method, columns)
      means = ' / '.join(page.number(entry[f'{name}/mean'], self.metric(setting, name).digits)
                         for name in names)
      words.append(f'{self.label(method)} {means if entry["done"] else "(none done)"}')
    levels = {name: self.anchors(setting, name) for name in names}
    for what in dict.fromkeys(what for level in levels.values() for what in level):
      means = ' / '.join(page.number(levels[name].get(what), self.metric(setting, name).digits)
                         for name in names)
      words += [f'({what} {means})'] if means.strip('– /') else []
    titles = ' / '.join(self.metric(setting, name).title for name in names)
    return f'{setting.title}: {titles}: {", ".join(words)}'


def limits(curves, anchors, metric=_ACCURACY):
  """Chooses the y range for `curves.Curve`s and what stands beside them.

  Anchors above the curves by more than their range are left outside.

  Args:
    curves: with their spread.
    anchors: {name: level}.
    metric: as of a domain; the range of shares stays in [0, 1], up to a margin.

  Returns:
    (low, high).
  """
  ends = [x for curve in curves for sign in (-1, 1)
          for x in curve.mean + sign * np.nan_to_num(curve.std) if math.isfinite(x)]
  levels = [x for x in anchors.values() if math.isfinite(x)]
  low, high = (min([*ends, *levels]), max(ends or levels)) if ends or levels else (0., 1.)
  high = max([high, *(x for x in levels if x <= high + (high - low))])
  if metric.kind is schema.SHARE:
    low, high = max(low, 0.), min(high, 1.)
  margin = .06 * (high - low) or .5
  return low - margin, high + margin


def claims_table(rows):
  """Makes a table of claims of the paper, beside what was measured.

  Args:
    rows: pairs of the results, or None, and a `findings.ClaimRow`; what is no pair is a title.
  """
  body = []
  for row in rows:
    if not isinstance(row, tuple):
      body.append(row)
      continue
    results, (section, paper, measured, verdict) = row
    parts = ([html('<code>{}</code>', measured)] if measured.startswith('python ') else
             measured.split('; '))
    body.append([html('<div class="wrap">{}<br>{}</div>', page.sentence(paper), muted(section)),
                 page.badge(findings.verdict_text(verdict, results or {})),
                 html('<div class="wrap">{}</div>', join(parts, '<br>'))])
  return page.table(['the paper', 'verdict', 'measured'], body)


def _states(runs):
  """E.g. '2 of 3 done, 1 failed'."""
  numbers = {state: sum(run['status'] == state for run in runs) for state in _STATES}
  rest = [f'{numbers[state]} {state}' for state in _STATES[1:] if numbers[state]]
  return ', '.join([f'{numbers["done"]} of {len(runs)} done' if rest else f'{len(runs)}', *rest])


def _cell(entry, name, digits):
  """Mean and spread over runs; of one run over its episodes, where they are known."""
  n, mean, std = (entry[f'{name}/{key}'] for key in ('n', 'mean', 'std'))
  if math.isfinite(entry.get(f'{name}/episodes_std', math.nan)):
    return join([page.number(mean, digits, entry[f'{name}/episodes_std']),
                 muted(f'one run; over {page.count(entry[f"{name}/episodes"])} episodes')], '<br>')
  some = muted(f'({n} of {entry["done"]})') if 0 < n < entry['done'] else ''
  return join([page.number(mean, digits, std), some], ' ')


def _runs(entry):
  text = str(entry['done'])
  if entry['planned'] > entry['done']:
    text += f' of {entry["planned"]}'
  return join([text, entry['failed'] and muted(f'{entry["failed"]} failed')], '<br>')


def _sources(names):
  return 'none' if not names else names[0] if len(names) == 1 else f'{len(names)} sources'
