"""What the findings of all experiments share: names, final evaluations, and what is missing."""

import collections
import math
from typing import NamedTuple

from alpt_jax.measures import curves

PARTS = ('labels', 'score')  # The IDM alone, or agents.
VERDICTS = {  # For readers; but see `verdict_text`. A report gives none: see `why_exploratory`.
    'exploratory': 'Exploratory: not registered, no verdict',
    'not measured': 'Not made',
}


def verdict_text(verdict, results):
  """A verdict in words; results of a registered study point to its hypotheses."""
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
  """A method's name for readers; its key if it was not run."""
  return results['methods'].get(method, {}).get('label', method)


def final_rows(results, rows):
  """The last row of every run that is done.

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
  """{run: its rows}."""
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
  """What a reader must know of the runs, beside what is missing: a list of sentences.

  That they were trained with different versions, and the `notes` of the results: runs that were
  added after a study was registered, and failures.
  """
  return mixed_versions(results) + results.get('notes', [])


def num_missing(results, problems):
  """How many of the problems of results are runs or numbers that are missing."""
  return len(problems) - len(remarks(results))


def gaps(run, rows, metric, name):
  """Says in a list of at most one sentence at which of the rows of a run a metric is missing."""
  steps = sorted(row['step'] for row in rows if math.isnan(curves.value(row, metric)))
  return [f'{run["run"]}: no {name} at step {", ".join(map(str, steps))}.'] if steps else []
