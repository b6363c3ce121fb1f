"""Finds the numbers of an experiment in its results: settings, final metrics, what is missing.

A setting is what methods are compared in: runs of one part, 'labels' (the IDM alone, by the share
of hidden actions that it labels right) or 'score' (agents, by the domain's metrics), that agree in
some fields, e.g. target and number of labels. Failed runs are in no mean.
"""

import collections
import itertools
import math
from typing import NamedTuple

import numpy as np

from alpt_jax.measures import curves, intervals

PARTS = LABELS, SCORE = 'labels', 'score'  # The IDM alone, or agents.
ACCURACY = 'label_accuracy'
DRAWN = 'drawn by seed'
MODES = {'argmax': 'arg max actions', 'sampled': 'sampled actions'}
_PHASES = ('pretrain', 'joint', 'finetune')  # In order of time.
VERDICTS = {  # For readers; but see `verdict_text`. A report gives none: see `why_exploratory`.
    'exploratory': 'Exploratory: not registered, no verdict',
    'not measured': 'Not made',
}


def verdict_text(verdict, results):
  """Words a verdict; results of a registered study point to its hypotheses."""
  if verdict == 'exploratory' and results.get('registration'):
    return 'Exploratory: no verdict, see the registered hypotheses'
  return VERDICTS[verdict]


def why_exploratory(results):
  """Says why claims of the paper get intervals and no verdicts, in a sentence."""
  if results.get('registration'):
    return ('Verdicts are for the registered hypotheses of the study '
            f'“{results["registration"]["study"]}” only, by experiments.summarise: what stands '
            'here is exploratory and has intervals, but no verdicts.')
  return 'Not registered before it ran, so all of it is exploratory: intervals, no verdicts.'


def size_lines(results):
  """Says in a list of at most one sentence that the preset is for tests only."""
  return ['Preset tiny: the numbers say nothing about the method.'
          ] if results['preset'] == 'tiny' else []


class ClaimRow(NamedTuple):
  """A claim of the paper in a list of all.

  Attributes:
    section: of the paper, and what it says there.
    paper: the claim.
    measured: numbers.
    verdict: a key of VERDICTS.
  """
  section: str
  paper: str
  measured: str
  verdict: str


def label(results, method):
  """Returns a method's name for readers; its key if it was not run."""
  return results['methods'].get(method, {}).get('label', method)


def final_rows(results, rows):
  """Returns the last row of every run that is done.

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
  """Groups rows: {run: its rows}."""
  by_run = collections.defaultdict(list)
  for row in rows:
    by_run[row['run']].append(row)
  return by_run


def unfinished(run, rows):
  """Says in a list of sentences that a run failed, is not finished, or lacks something.

  Args:
    run: of the results.
    rows: of the run.
  """
  found = [f'{run["run"]}: damaged or missing, and not counted: {text}'
           + ('' if text.endswith('.') else '.') for text in run.get('damaged') or ()]
  steps = max((row['step'] for row in rows), default=None)
  where = 'without an evaluation' if steps is None else f'last evaluation at step {steps:,}'
  if run['status'] != 'done':
    return [*found, f'{run["run"]}: {run["status"]}, {where}.']
  if steps is None or (run.get('num_steps') is not None and steps < run['num_steps']):
    return [*found, f'{run["run"]}: done, but {where}.']
  return found


class Setting(NamedTuple):
  """What methods are compared in.

  Attributes:
    part: of PARTS.
    about: {field: value} that its runs have in common; `num_labels` among them.
    methods: those that were run, in the order of the results' methods.
    bounds: {method: num_labels} of methods that were run on the same with a number of labels of
      their own; they are shown beside the others and compared with none.
    metric: the column that the part is about.
    runs: {method or bound: its runs, of its last phase: of ALPT's two, the finetuning}.
  """
  part: str
  about: dict
  methods: tuple[str, ...]
  bounds: dict[str, int]
  metric: str
  runs: dict[str, list]

  @property
  def target(self):
    """The environment; None if runs on several are compared."""
    return self.about.get('target')

  @property
  def num_labels(self):
    """Transitions of the target whose action is known; None in files that do not say it."""
    return self.about.get('num_labels')

  @property
  def title(self):
    """E.g. 'Breakout, 500 labels'."""
    return title_of(self.about)

  @property
  def name(self):
    """E.g. 'labels-Breakout-500'."""
    return '-'.join(map(str, (self.part, *self.about.values())))


def title_of(about):
  """Formats {field: value} of a setting, e.g. 'Observation “grid”, 500 labels'."""
  words = {'part': '', 'target': '{}', 'num_labels': '{:,} labels'}
  return ', '.join(filter(None, (
      words.get(field, f'{field.capitalize()} “{{}}”').format(x)
      for field, x in about.items() if x is not None)))


def column(results, name):
  """Returns the column of a metric of agents: of the first way of acting that was run."""
  found = (key for key in (*(f'{mode}/{name}' for mode in MODES), name)
           if any(row.get(key) is not None for row in results['rows']))
  return next(found, f'argmax/{name}')


def part_of(run):
  """Returns the part of a run, or of a row; files without parts have agents only."""
  return run.get('part', SCORE)


def settings(results, part, fields, main):
  """Finds the settings of a part.

  Args:
    results: checked results.
    part: of PARTS.
    fields: that runs of a setting have in common, the last one 'num_labels'.
    main: name of the metric of agents.

  Returns:
    A list of `Setting`, in the order of the runs.
  """
  ran = {}  # Values of the fields: {method: runs}.
  for run in results['runs']:
    if part_of(run) == part:
      here = ran.setdefault(tuple(run.get(field) for field in fields), {})
      here.setdefault(run['method'], []).append(run)
  metric, found = ACCURACY if part == LABELS else column(results, main), []
  for key, here in ran.items():
    elsewhere = {k: there for k, there in ran.items() if k[:-1] == key[:-1] and k != key}
    if _is_bound(here, elsewhere.values()):
      continue
    bounds = {min(there): k[-1] for k, there in elsewhere.items()
              if _is_bound(there, [here, *(x for other, x in elsewhere.items() if other != k)])}
    methods = tuple(m for m in results['methods'] if m in here)
    runs = {m: here[m] for m in methods} | {
        m: ran[*key[:-1], num_labels][m] for m, num_labels in bounds.items()}
    found.append(Setting(part, dict(zip(fields, key, strict=True)), methods, bounds, metric,
                         {m: _last_phase(of_method) for m, of_method in runs.items()}))
  return found


def _is_bound(here, elsewhere):
  """Whether methods with this number of labels are one alone, where others can be compared."""
  return (len(here) == 1 and any(len(there) > 1 for there in elsewhere)
          and not any(here.keys() & there for there in elsewhere))


def _last_phase(runs):
  phases = [_PHASES.index(run.get('phase', _PHASES[-1])) for run in runs]
  return [run for run, phase in zip(runs, phases, strict=True) if phase == max(phases)]


def rows_of(results, setting, method):
  """Evaluations of a method in a setting, without those of failed runs.

  Not every evaluation is a scored one. Where no run of the setting has a number, none was to be.
  """
  shown = {run['run'] for runs in setting.runs.values() for run in runs}
  steps = {row['step'] for row in results['rows']
           if row['run'] in shown and row.get(setting.metric) is not None}
  runs = {run['run'] for run in setting.runs[method] if run['status'] != 'failed'}
  return [row for row in results['rows'] if row['run'] in runs and row['step'] in steps]


def curve(results, setting, method, metric=None):
  """Computes a method's learning curve in a setting, of `metric` or the setting's.

  Returns:
    A `curves.Curve`, and whether its std is over the episodes of the only run instead of over
    runs (of scores only).
  """
  rows, metric = rows_of(results, setting, method), metric or setting.metric
  result = curves.curve(rows, metric)
  if setting.part == SCORE and result.n.any() and result.n.max() == 1:
    of_episodes = curves.curve(rows, f'{metric}_std')
    if of_episodes.n.any():
      return result._replace(std=of_episodes.mean), True
  return result, False


def sources_of(setting, method):
  """Names of a method's sources in a setting; of as many DRAWN if its seeds have others."""
  names = [tuple(run['sources']) for run in setting.runs[method]] or [()]
  return names[0] if len(set(names)) == 1 else (DRAWN,) * len(names[0])


def spread(name, values):
  """Returns {name/mean, /std (population), /n, /low, /high (95 %)} of finite values."""
  values = np.array([x for x in values if math.isfinite(x)])
  interval = intervals.mean(values)
  return {f'{name}/mean': values.mean() if values.size else math.nan,
          f'{name}/std': values.std() if values.size > 1 else math.nan,
          f'{name}/n': values.size, f'{name}/low': interval.low, f'{name}/high': interval.high}


def final(results, setting, method, columns):
  """Sums up the last evaluation of the runs of a method that are done.

  Args:
    results: checked results.
    setting: a `Setting`.
    method: one of its methods or bounds.
    columns: {name: column}.

  Returns:
    A dict: part, the setting's fields, method, sources, step, planned, done, failed (numbers of
    runs), and per name what `spread` says. For one run, `<name>/episodes_std` and `<name>/episodes`
    are over its episodes, where the rows have `<column>_std`.
  """
  runs = setting.runs[method]
  last = final_rows(results, rows_of(results, setting, method)).values()
  entry = {'part': setting.part} | setting.about | dict(
      num_labels=setting.bounds.get(method, setting.num_labels), method=method,
      sources=sources_of(setting, method),
      step=max((row['step'] for row in last), default=None), planned=len(runs),
      done=len(last), failed=sum(run['status'] == 'failed' for run in runs))
  for name, key in columns.items():
    entry |= spread(name, [curves.value(row, key) for row in last])
  for name, key in columns.items():
    if len(last) == 1 and (row := next(iter(last))).get(f'{key}_std') is not None:
      entry |= {f'{name}/episodes_std': curves.value(row, f'{key}_std'),
                f'{name}/episodes': row.get(f'{key.rpartition("/")[0]}/num_episodes')}
  return entry


def run_problems(results, found, name):
  """Lists runs that failed, are not finished, are missing or lack numbers.

  A run is missing if others of its setting ran with its target and seed, but it did not.

  Args:
    results: checked results.
    found: their `Setting`s.
    name: of the metric of agents, for readers.

  Returns:
    A list of sentences.
  """
  problems, rows = remarks(results), rows_by_run(results['rows'])
  for run in results['runs']:
    # Pretraining need not be scored.
    if run.get('phase') != 'pretrain' or run['status'] != 'done' or run.get('damaged'):
      problems += unfinished(run, rows[run['run']])
  for setting in found:
    runs = {m: setting.runs[m] for m in setting.methods}
    places = dict.fromkeys(sorted((run['target'], run['seed'])
                                  for run in itertools.chain(*runs.values())))
    for method, of_method in runs.items():
      scored = rows_by_run(rows_of(results, setting, method))
      for run in of_method:
        problems += gaps(run, scored[run['run']], setting.metric,
                         'label accuracy' if setting.part == LABELS else name)
      last = final_rows(results, itertools.chain(*scored.values()))
      missing = [run for run, row in last.items() if math.isnan(curves.value(row, ACCURACY))]
      if setting.part == SCORE and len(missing) < len(last):  # All: it has no labels.
        problems += [f'{run}: no label accuracy in the end.' for run in missing]
      present = {(run['target'], run['seed']) for run in of_method}
      problems += [
          f'{label(results, method)}, {setting.title}, '
          + (f'{target}, ' if setting.target is None else '') + f'seed {seed}: missing.'
          for target, seed in places if (target, seed) not in present]
  return problems


def mixed_versions(results):
  """Says in a list of at most one sentence that runs were trained with different versions."""
  groups = {}
  for run in results['runs']:
    for versions in run.get('versions') or ('not written down',):
      groups.setdefault(versions, []).append(run['run'])
  if len(groups) < 2:
    return []
  return ['Runs were trained with different versions: ' + '; '.join(
      f'{versions} ({len(names)} runs, e.g. {names[0]})' for versions, names in groups.items())
      + '.']


def remarks(results):
  """Lists what a reader must know of the runs, beside what is missing: sentences.

  That they were trained with different versions, and the `notes` of the results: runs that were
  added after a study was registered, and failures.
  """
  return mixed_versions(results) + results.get('notes', [])


def num_missing(results, problems):
  """Counts the problems that are missing runs or numbers."""
  return len(problems) - len(remarks(results))


def gaps(run, rows, metric, name):
  """Says in a list of at most one sentence at which of the rows of a run a metric is missing."""
  steps = sorted(row['step'] for row in rows if math.isnan(curves.value(row, metric)))
  return [f'{run["run"]}: no {name} at step {", ".join(map(str, steps))}.'] if steps else []
