"""Reads results.json of an experiment and checks it, so that nothing behind it meets a bad field.

The file holds what was run (command, preset, config, versions), the mazes with their anchors or the
games with their data, the runs, and a row of metrics per run and evaluation. A metric may be
missing (absent, null or NaN). A run of a game may have `floors` (see `reports/floors_schema.py`).
There may be `labellings` (see `reports/labellings.py`) and, of games, `episodes` to watch; of
mazes, `floors` of label accuracy. In a study of `budgets`, numbers of labels, runs differ by
`num_labels`, too; those of mazes with a `part` differ by both. Files of mazes from before there
were parts have agents only.
"""

import base64
import json
import numbers
import os

from alpt_jax import domains
from alpt_jax.reports import fields, findings, floors_schema, labellings

_TOP = {'experiment': str, 'preset': str, 'command': str, 'created': str, 'config': dict,
        'config_digest': str, 'versions': dict, 'methods': dict, 'runs': list, 'rows': list}
_IDENTITY = {'run': str, 'method': str, 'target': str, 'sources': list, 'seed': numbers.Real}
STATUSES = ('done', 'failed', 'unfinished', 'running')  # The last of older files.


def _check_episode(episode, where):
  fields.check(episode, {'run': str, 'method': str, 'target': str, 'gif': str}, where)
  names = ('seed', 'score', 'num_steps', 'every')
  fields.check(episode, dict.fromkeys(names, numbers.Real), where)
  try:
    start = base64.b64decode(episode['gif'], validate=True)[:6]
  except ValueError:
    fields.fail(f'{where}.gif', fields.shown(episode['gif']), 'base64 of a GIF')
  if start not in (b'GIF87a', b'GIF89a'):
    fields.fail(f'{where}.gif', f'begins with {start!r}', 'base64 of a GIF')


def _check_floor(floor, where):
  fields.check(floor, {'observation': str, 'target': str, 'seed': numbers.Real,
                       'num_labels': numbers.Real, 'table': numbers.Real,
                       'num_entries': numbers.Real}, where)
  fields.check_numbers({key: floor.get(key) for key in ('table_low', 'table_high', 'majority',
                                                        'num_hidden')}, where)


def _check_rollout(rollout, mazes, where):
  fields.check(rollout, {'target': str, 'acting': str, 'episodes': list}, where)
  if rollout['target'] not in mazes:
    fields.fail(f'{where}.target', f'is {rollout["target"]!r}', f'one of {sorted(mazes)}')
  for i, episode in enumerate(rollout['episodes']):
    fields.check(episode, {'start': list, 'path': list, 'reached': bool},
                 f'{where}.episodes[{i}]')
    if not all(map(fields.is_cell, [episode['start'], *episode['path']])):
      fields.fail(f'{where}.episodes[{i}]', 'has a start or path of other things',
                  '[row, column] cells')


def _check_budgets(budgets, where):
  if not isinstance(budgets, list) or not budgets:
    fields.fail(where, fields.shown(budgets), 'a list of numbers of labels')
  for i, budget in enumerate(budgets):
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1:
      fields.fail(f'{where}[{i}]', fields.shown(budget), 'a number of labels, at least 1')


def _check_choices(record, choices, where):
  for field, known in choices.items():
    if record[field] not in known:
      fields.fail(f'{where}.{field}', f'is {record[field]!r}', f'one of {sorted(known)}')


def _study_of(results, name):
  try:
    found = domains.named(results['experiment']).study()
  except ValueError:
    fields.fail(f'{name}.experiment', f'is {results["experiment"]!r}', domains.EXPECTED)
  if found is None:
    fields.fail(f'{name}.experiment', f'is {results["experiment"]!r}', 'a domain that has studies')
  return found


def check(results, name='results'):
  """Refuses results that lack a field or contradict themselves.

  Args:
    results: what `read` returns.
    name: what messages call it, e.g. the file's path.

  Raises:
    ValueError: naming the first bad field, what it holds and what was expected.
  """
  fields.check(results, _TOP, name)
  study = _study_of(results, name)
  experiment = study.SCHEMA
  fields.check(results, experiment.top | {study.ENVIRONMENTS: dict}, name)
  places = results[study.ENVIRONMENTS]
  identity = _IDENTITY | experiment.identity
  if 'budgets' in results:
    _check_budgets(results['budgets'], f'{name}.budgets')
    identity |= {'num_labels': numbers.Real}
  choices = {'method': results['methods'], 'target': places} | experiment.choices
  if any('part' in run for run in results['runs']):
    identity |= {'part': str, 'num_labels': numbers.Real}
    choices |= {'part': findings.PARTS}
  one_of_a_kind = ('method', *(key for key in identity if key not in _IDENTITY), 'target', 'seed')
  notes = results.get('notes', [])
  if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
    fields.fail(f'{name}.notes', fields.shown(notes), 'a list of strings')
  for i, threshold in enumerate(results.get('thresholds', [])):
    if not isinstance(threshold, numbers.Real):
      fields.fail(f'{name}.thresholds[{i}]', f'is {threshold!r}', 'a number')
  for method, record in results['methods'].items():
    fields.check(record, {'label': str} | (
        {'is_action_limited': bool} if 'budgets' in results else {}), f'{name}.methods.{method}')
    for key in {'is_floor', 'is_control'} & record.keys():
      fields.check(record, {key: bool}, f'{name}.methods.{method}')
  for place, record in places.items():
    experiment.check_place(record, f'{name}.{study.ENVIRONMENTS}.{place}')
  for part, check_one in (('labellings', labellings.check), ('episodes', _check_episode),
                          ('floors', _check_floor)):
    shown = results.get(part, [])
    if not isinstance(shown, list):
      fields.fail(f'{name}.{part}', fields.shown(shown), 'a list')
    for i, record in enumerate(shown):
      check_one(record, f'{name}.{part}[{i}]')
  runs, settings = {}, set()
  for i, run in enumerate(results['runs']):
    where = f'{name}.runs[{i}]'
    fields.check(run, identity | {'status': str}, where)
    _check_choices(run, choices | {'status': STATUSES}, where)
    for j, source in enumerate(run['sources']):
      if source not in places:
        fields.fail(f'{where}.sources[{j}]', f'is {source!r}', f'one of {sorted(places)}')
    fields.check_numbers({key: run.get(key) for key in ('seconds', 'num_steps')}, where)
    versions = run.get('versions') or []
    if not isinstance(versions, list) or not all(isinstance(v, str) for v in versions):
      fields.fail(f'{where}.versions', fields.shown(versions), 'a list of strings')
    floors_schema.check(run.get('floors'), f'{where}.floors')
    if run.get('rollout') is not None:
      _check_rollout(run['rollout'], places, f'{where}.rollout')
    setting = tuple(run[key] for key in one_of_a_kind)
    if run['run'] in runs or setting in settings:
      *most, last = one_of_a_kind
      fields.fail(where, f'repeats {run["run"]!r}', f'one run per {", ".join(most)} and {last}')
    runs[run['run']] = run
    settings.add(setting)
  seen = set()
  for i, row in enumerate(results['rows']):
    where = f'{name}.rows[{i}]'
    fields.check(row, identity | {'step': numbers.Real}, where)
    fields.check_numbers(
        {key: x for key, x in row.items() if '/' in key or key == 'label_accuracy'}, where)
    if row['run'] not in runs:
      fields.fail(f'{where}.run', f'is {row["run"]!r}', 'the name of one of the runs')
    for key in one_of_a_kind:
      if row[key] != runs[row['run']][key]:
        fields.fail(f'{where}.{key}', f'is {row[key]!r}',
                    f'{runs[row["run"]][key]!r}, as its run says')
    if (row['run'], row['step']) in seen:
      fields.fail(where, f'repeats step {row["step"]} of {row["run"]!r}',
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
  with open(path, encoding='utf-8') as file:
    try:
      results = json.load(file)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
      raise ValueError(f'{path} is not whole JSON ({error}); was its writing cut off? '
                       f'{fields.REMEDY}') from error
  check(results, path)
  return results
