"""Reads results.json of an experiment, and checks it against the schema.

The file holds what was run (command, preset, config, versions), the mazes with their anchors or the
games with their data, the runs, and a row of metrics per run and evaluation. A metric may be
missing (absent, null or NaN). A run of a game may have `floors` (see `reports/floors_schema.py`).
There may be `labellings` (see `labelling_schema`) and, of games, `episodes` to watch; of mazes,
`floors` of label accuracy. In a study of `budgets`, numbers of labels, runs differ by `num_labels`,
too; those of mazes with a `part` differ by both. Files of mazes from before there were parts have
agents only. What a domain adds is said by its `study`.
"""

import base64
import os

from alpt_jax import schema
from alpt_jax.domains import study as studies
from alpt_jax.reports import findings, floors_schema
from experiments.studies import labelling_schema

REMEDY = 'Delete the file and write it again with experiments.reproduce.'
STATUSES = ('done', 'failed', 'unfinished', 'running')  # The last of older files.


def _check_gif(gif, where):
  try:
    start = base64.b64decode(gif, validate=True)[:6]
  except ValueError:
    start = None
  schema.expect(where, gif, start in (b'GIF87a', b'GIF89a'), 'base64 of a GIF')


_IDENTITY = {'run': str, 'method': str, 'target': str, 'sources': [str], 'seed': float}
_BUDGETS = {'num_labels': float}
_PARTS = {'part': schema.one_of(findings.PARTS)} | _BUDGETS
_METHOD = {'label': str} | schema.optional(bool, 'is_action_limited', 'is_floor', 'is_control')
_EPISODE = (dict.fromkeys(('run', 'method', 'target'), str)
            | dict.fromkeys(('seed', 'score', 'num_steps', 'every'), float)
            | {'gif': schema.Also(str, _check_gif)})
_TABLE_FLOOR = (dict.fromkeys(('observation', 'target'), str)
                | dict.fromkeys(('seed', 'num_labels', 'table', 'num_entries'), float)
                | schema.optional(schema.NUMBER, 'table_low', 'table_high', 'majority',
                                  'num_hidden'))
_RUN = {'status': schema.one_of(STATUSES), 'seconds?': schema.NUMBER, 'num_steps?': schema.NUMBER,
        'versions?': ([str], None), 'floors?': (floors_schema.OF_RUN, None)}
_RESULTS = {
    'experiment': str, 'preset': str, 'command': str, 'created': str, 'config': dict,
    'config_digest': str, 'versions': dict, 'methods': {str: _METHOD}, 'runs': [dict],
    'rows': [dict], 'notes?': [str], 'budgets?': schema.filled([schema.POSITIVE]),
    'labellings?': [labelling_schema.LABELLING], 'episodes?': [_EPISODE],
    'floors?': [_TABLE_FLOOR]}


def check(results, name='results'):
  """Refuses results that lack a field or contradict themselves.

  Args:
    results: what `read` returns.
    name: what messages call it, e.g. the file's path.

  Raises:
    ValueError: naming the first bad field, what it holds and what was expected.
  """
  schema.check(results, _RESULTS, name)
  study = studies.named(results['experiment'], f'{name}.experiment')
  schema.check(results, study.RESULTS, name)
  places = results[study.ENVIRONMENTS]
  identity = _IDENTITY | study.IDENTITY
  if 'budgets' in results:
    identity |= _BUDGETS
    schema.check(results['methods'], {str: {'is_action_limited': bool}}, f'{name}.methods')
  if any('part' in run for run in results['runs']):
    identity |= _PARTS
  of_run = identity | _RUN | {'method': schema.one_of(results['methods']),
                              'target': schema.one_of(places), 'sources': [schema.one_of(places)]}
  one_of_a_kind = ('method', *(key for key in identity if key not in _IDENTITY), 'target', 'seed')
  runs, settings = {}, set()
  for i, run in enumerate(results['runs']):
    where = f'{name}.runs[{i}]'
    schema.check(run, of_run, where)
    setting = tuple(run[key] for key in one_of_a_kind)
    if run['run'] in runs or setting in settings:
      *most, last = one_of_a_kind
      schema.fail(where, f'repeats {run["run"]!r}', f'one run per {", ".join(most)} and {last}')
    runs[run['run']] = run
    settings.add(setting)
  _check_rows(results['rows'], runs, identity, one_of_a_kind, f'{name}.rows')


def _check_rows(rows, runs, identity, one_of_a_kind, name):
  """Refuses rows of other runs than their names say, and steps that are there twice."""
  seen = set()
  for i, row in enumerate(rows):
    where = f'{name}[{i}]'
    schema.check(row, identity | {'step': float} | {
        key: schema.NUMBER for key in row if '/' in key or key == 'label_accuracy'}, where)
    if row['run'] not in runs:
      schema.fail(f'{where}.run', f'is {row["run"]!r}', 'the name of one of the runs')
    run = runs[row['run']]
    for key in one_of_a_kind:
      schema.expect(f'{where}.{key}', row[key], row[key] == run[key],
                    f'{run[key]!r}, as its run says')
    if (row['run'], row['step']) in seen:
      schema.fail(where, f'repeats step {row["step"]} of {row["run"]!r}',
                  'one row per run and step')
    seen.add((row['run'], row['step']))


def read(path):
  """Reads and checks a results file.

  Args:
    path: of results.json.

  Returns:
    Its dict.

  Raises:
    FileNotFoundError: if there is no such file.
    ValueError: if it is not JSON, or `check` refuses it.
  """
  if not os.path.isfile(path):
    raise FileNotFoundError(f'{path}: no such file; expected the results.json that '
                            'experiments.reproduce writes.')
  results = schema.read(path, object, REMEDY)
  try:
    check(results, path)
  except ValueError as error:
    raise ValueError(f'{error}. {REMEDY}') from error
  return results
