"""Run files: all results of a finished run, as one small file that is committed.

`<results>/runs/<run>.json` has all that summaries are made from: who the run is, its settings and
their digest, the digests of its data, seeds, versions, curves, every game's return, the confusion
of its labels by episode, and the floors that it is compared with. A run whose file is there is not
run again, on whatever machine a study is resumed; only what starts from its checkpoint needs its
directory. A run that failed has a file, too, and keeps its failures when it succeeds later.

There is one rule for numbers: curves are rounded to 6 digits, counts are integers.
"""

import json
import math
import pathlib
import re
import time

from alpt_jax import configs, domains, methods, schema
from alpt_jax.files import atomic_files, versions
from alpt_jax.measures import confusions
from alpt_jax.reports import floors_schema
from alpt_jax.training import inputs
from experiments.studies import floors, runs

FORMAT = 1
_DIGITS = 6  # Significant ones of a curve.
_IDENTITY = {'run': str, 'method': str, 'target': str, 'sources': list, 'seed': float,
             'num_labels': float}
_FILE = {'format': schema.one_of([FORMAT]), 'run': str, 'status': schema.one_of(('done', 'failed')),
         'config_digest': str, 'settings': dict, 'identity': _IDENTITY, 'failures': list,
         'seconds?': schema.NUMBER}


def _check_curves(curves, where):
  """Refuses curves that lack steps or differ in length."""
  schema.check(curves, {'step': [schema.FINITE]}, where)
  num_steps = len(curves['step'])
  for name, values in curves.items():
    if values is not None and len(values) != num_steps:
      schema.fail(f'{where}.{name}', f'has {len(values)} values', f'{num_steps}, one a step')


def _check_sums(confusion, where):
  counts = confusions.unpack(confusion['by_episode']['counts'])
  if counts.sum(axis=0).tolist() != confusion['confusion']:
    schema.fail(where, 'is another sum', 'that of its counts by episode')


_DONE = {
    'data_digests': dict, 'versions': list, 'num_steps': float,
    'curves': schema.Also({str: ([(schema.FINITE, None)], None)}, _check_curves),
    'confusion?': (schema.Also({'confusion': list, 'by_episode': {'counts': dict}}, _check_sums),
                   None),
    'games?': ({str: {'returns': [schema.NUMBER]}}, None),
    'floors?': (floors_schema.OF_RUN, None)}


def directory(config):
  """Returns the directory of run files: in `study.results_dir`, or in its `workdir`."""
  place = config.study.get('results_dir', '')
  return pathlib.Path(place, 'runs') if place else pathlib.Path(config.workdir, 'run_files')


def path_of(config, run):
  """Returns the path of the run file of a `study.Run`."""
  return directory(config) / f'{run.name}.json'


def read(path):
  """Reads and checks a run file.

  Raises:
    ValueError: in one line, naming the file and the field.
  """
  path = pathlib.Path(path)
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
    schema.check(content, _FILE)
    if content['run'] != path.stem:
      raise ValueError(f'it is of run {content["run"]!r}; expected that of the file’s name')
    if runs.digest(content['settings']) != content['config_digest']:
      raise ValueError(f'its config_digest is {content["config_digest"]}, that of its settings '
                       f'{runs.digest(content["settings"])}')
    if content['status'] == 'done':
      schema.check(content, _DONE)
  except ValueError as error:  # Of JSON and UTF-8, too.
    raise ValueError(f'{path}: not a run file: {error}. Restore it from git, or delete it and '
                     'train the run again.') from error
  return content


def check(content, config, run, digest):
  """Refuses the file of a run with other settings, other data or another registration.

  Args:
    content: from `read`.
    config: of the experiment.
    run: the `study.Run` that it should be of.
    digest: of the study's registration, None if it has none.

  Raises:
    ValueError: in one line, naming the file and what differs.
  """
  path, now = path_of(config, run), runs.settings(config, run)
  if content['config_digest'] != runs.digest(now):
    changes = configs.changes(content['settings'], now)
    raise ValueError(f'{path}: the run has another config ({changes}). Choose another '
                     '--config.study.results_dir.')
  if content['status'] == 'done' and content.get('registration') != digest:
    raise ValueError(f'{path}: the run is of registration {content.get("registration")}, the study '
                     f'of {digest}. Choose another --config.study.results_dir.')


def _is_of(content, config, run):
  return content['config_digest'] == runs.digest(runs.settings(config, run))


def _check_data(content, config, run):
  """Refuses a file of data that is not the one here."""
  own = runs.run_config(config, run)
  here = domains.digests(own, inputs.environments(own, methods.phase_of(own.method, own.phase)))
  for name, digest in here.items():
    if content['data_digests'].get(name) != digest:
      raise ValueError(f'{path_of(config, run)}: the run is of other data ({name}: '
                       f'{content["data_digests"].get(name)}, here {digest}). Record the data as '
                       'it was, or choose another --config.study.results_dir.')


def read_all(config, planned, digest, missing=()):
  """Reads the files of some runs.

  Args:
    config: of the experiment.
    planned: list of `study.Run`.
    digest: of the study's registration, or None.
    missing: names of environments whose data is not here, and cannot be compared.

  Returns:
    {run: its file} of those that are there.

  Raises:
    ValueError: as `read` and `check`, or for other data.
  """
  found = {}
  for run in planned:
    if not path_of(config, run).exists():
      continue
    content = read(path_of(config, run))
    if not config.study.get('results_dir') and not _is_of(content, config, run):
      continue  # Of an earlier run in this workdir: it is written again.
    found[run] = content
    check(found[run], config, run, digest)
    if found[run]['status'] == 'done' and not set(missing) & set(runs.environments([run])):
      _check_data(found[run], config, run)
  return found


def taken(found, planned, is_trained):
  """Lists the runs that need no training, as their files are complete.

  Args:
    found: from `read_all`.
    planned: list of `study.Run`.
    is_trained: function of a run; whether its directory holds it, trained to its end.

  Returns:
    A list of runs with a file; without those from whose checkpoint another one has yet to start.
  """
  done = {run for run in planned if found.get(run, {}).get('status') == 'done'}
  needed = {run.after for run in planned if run.after and run not in done and not is_trained(run)}
  return [run for run in planned if run in done - needed or run in done and is_trained(run)]


class Writer:
  """Writes the run files of an experiment."""

  def __init__(self, config, digest):
    """Notes where they go.

    Args:
      config: of the experiment.
      digest: of the study's registration, or None.
    """
    self._config, self._digest = config, digest
    self._truths = {}

  def done(self, run):
    """Writes the file of a run that is trained to its end, unless it is there or is damaged."""
    path, before = path_of(self._config, run), self._before(run)
    is_done = (runs.is_trained(self._config, run)
               and runs.status(self._config, run, ()) == 'done')
    if before.get('status') == 'done' or not is_done:
      return
    own = runs.run_config(self._config, run)
    truths = self._truths.setdefault(own.get('observation'), runs.Truths(own))
    scores = runs.label_scores(self._config, run, truths)
    if scores['problems'] or runs.damaged(self._config, run):
      return  # `reproduce` names it.
    phase, trained_by = methods.phase_of(own.method, own.phase), versions.of_run(own.workdir)
    labelling = scores['labelling']
    _write(path, self._head(run, 'done', before) | {
        'data_digests': domains.digests(own, inputs.environments(own, phase)),
        'seeds': {'seed': own.seed, 'label_seed': own.label_seed},
        'commit': _commit(trained_by), 'versions': trained_by,
        'seconds': round(runs.seconds(self._config, run), 1) or None,
        'num_steps': runs.num_steps(self._config, run),
        'curves': _curves(runs.rows(self._config, run, scores),
                          runs.identity(self._config, run)),
        'table_floor': runs.table_floor(self._config, run, truths),
        'games': _games(self._config, run), 'floors': floors.of_run(self._config, run),
        'confusion': labelling and {
            key: labelling[key] for key in ('step', 'num_hidden', 'actions', 'confusion')
        } | {'by_episode': scores['by_episode']}})

  def failed(self, run, code, last_line):
    """Writes down that a run has failed, or could not be started.

    Args:
      run: a `study.Run`.
      code: exit code; None if it was not started.
      last_line: of its log, or why it was not started.
    """
    before = self._before(run)
    if before.get('status') == 'done':
      return
    head = self._head(run, 'failed', before)
    head['failures'] = [*head['failures'], {
        'exit_code': code, 'error': last_line[:500], 'time': round(time.time()),
        'versions': versions.as_text(versions.current())}]
    _write(path_of(self._config, run), head)

  def _before(self, run):
    path = path_of(self._config, run)
    content = read(path) if path.exists() else {}
    return content if content and _is_of(content, self._config, run) else {}

  def _head(self, run, status, before):
    settings = runs.settings(self._config, run)
    return {'format': FORMAT, 'run': run.name, 'status': status, 'registration': self._digest,
            'config_digest': runs.digest(settings),
            'identity': runs.identity(self._config, run),
            'settings': settings, 'failures': before.get('failures', [])}


def _commit(trained_by):
  """The commit of the last session that trained; None if it was not written down."""
  found = re.search(r'alpt_jax (\S+?)(,|$)', trained_by[-1]) if trained_by else None
  return found and found[1]


def _curves(rows, identity):
  """{column: values} of the rows of a run, without those of `identity`; None for no number."""
  names = [name for name in rows[0] if name not in identity] if rows else ['step']
  curves = {name: [_rounded(row[name]) for row in rows] for name in names}
  return {name: values if name == 'step' or any(value is not None for value in values) else None
          for name, values in curves.items()}


def _rounded(number):
  if number is None or not math.isfinite(number):
    return None
  return number if isinstance(number, int) else float(f'{number:.{_DIGITS}g}')


def _games(config, run):
  """Every game of the last evaluation: {mode: returns and lengths}; None where none is kept."""
  last = runs.evaluations(config, run).get(runs.num_steps(config, run), {})
  found = {mode: {'returns': [_rounded(x) for x in scores['scores']],
                  'lengths': scores.get('lengths'), 'num_cut': scores.get('num_cut')}
           for mode, scores in last.items() if isinstance(scores, dict) and 'scores' in scores}
  return found or None


def _write(path, content):
  """Writes a field a line: short, and easy to compare."""
  lines = ',\n '.join(f'{json.dumps(key)}: {json.dumps(value)}' for key, value in content.items())
  atomic_files.write(path, f'{{{lines}}}\n'.encode())


def rows(content):
  """Returns the rows of a run for results.json, one for each evaluation."""
  curves = content['curves']
  return [content['identity'] | {name: values and values[i] for name, values in curves.items()}
          for i in range(len(curves['step']))]


def shown(content):
  """Returns the entry of a run in the `runs` of results.json."""
  return content['identity'] | {
      'status': 'done', 'seconds': content.get('seconds'), 'num_steps': content['num_steps'],
      'damaged': [], 'versions': content['versions'], 'floors': content.get('floors')}
