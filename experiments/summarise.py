"""Makes the tables of READMEs from run files, so that every number in them can be traced to a run.

python -m experiments.summarise            # Writes what stands between the markers again.
python -m experiments.summarise --check    # Only says whether it is up to date; a test does so.

A README asks for the tables of a directory of run files, relative to itself:

  <!-- run files: maze_change/runs -->
  <!-- end of run files -->

or for another table of them, see _TABLES, e.g. whether a gate is reached (experiments/gates.py):

  <!-- gate labels: gates/labels/runs -->
  <!-- end of table -->

  <!-- ceilings all: ceilings -->
  <!-- end of table -->

Everything between the two lines is replaced. Two kinds of intervals, each table says which: within
a run, over its episodes; between methods, over training seeds.
"""

import collections
import math
import pathlib
import re
import sys

import numpy as np
from absl import flags

from alpt_jax import cli, domains
from alpt_jax.files import atomic_files
from alpt_jax.measures import confusions, intervals, label_savings
from experiments import gates, tuning
from experiments.studies import (
    camera_results,
    ceiling_table,
    claims_table,
    own_results,
    registration,
    run_files,
    runs,
)

_CHECK = flags.DEFINE_bool('check', False, 'Write nothing; fail if a README is not up to date.')

_BLOCK = re.compile(r'(<!-- run files: (\S+) -->\n).*?(<!-- end of run files -->)', re.S)
_NAME = r'(?:gate|own|tuning|ceilings|claims|camera) \S+'  # Of _TABLES.
_OTHER = re.compile(rf'(<!-- ({_NAME}): (\S+) -->\n).*?(<!-- end of table -->)', re.S)
_MARKERS = re.compile(rf'<!-- (?:run files:|end of run files|{_NAME}:|end of table)')
_COLUMNS = {  # Of curves: title, digits.
    'label_accuracy': ('labels right', 3), 'argmax/success_500': ('success within 500', 3),
    'argmax/spl': ('SPL', 3), 'sampled/score': ('score', 1),
    'sampled/human_normalised': ('human-normalised by published scores', 3)}
_NOT_OF_A_SETTING = ('run', 'method', 'target', 'sources', 'seed')
_OF_SEEDS = {'seed', 'label_seed', 'target', 'sources', 'init_from'}  # Settings; see `settings`.
_NONE_YET = 'There are no run files yet.'


def read(directory):
  """Reads the run files of a directory, sorted by name; [] if there is none."""
  return [run_files.read(path) for path in sorted(pathlib.Path(directory).glob('*.json'))]


def registration_of(files, directory=registration.DIRECTORY):
  """Finds the registration that run files carry.

  Args:
    files: contents of run files.
    directory: of registrations.

  Returns:
    A `registration.Registration`; None if the files carry none.

  Raises:
    ValueError: if they carry several, or one that is not there.
  """
  digests = {content.get('registration') for content in files} - {None}
  if not digests:
    return None
  if len(digests) > 1:
    raise ValueError(f'run files carry the registrations {sorted(digests)}; expected one.')
  for path in sorted(pathlib.Path(directory).glob('*.json')):
    found = registration.load(path)
    if found.digest in digests:
      return found
  raise ValueError(f'run files carry the registration {digests.pop()}, which is not in '
                   f'{directory}: it has changed, or is missing.')


def tables(files, registered):
  """Summarises run files as markdown.

  Args:
    files: contents of run files.
    registered: their `registration.Registration`, or None.

  Returns:
    Lines.
  """
  if not files:
    return [_NONE_YET]
  done = [content for content in files if content['status'] == 'done']
  lines = _head(files, done, registered)
  if registered:
    lines += ['', *_primaries(registered, files)]
  scored = [content for content in done if content['identity'].get('phase') != 'pretrain']
  lines += ['', *_between_methods(scored)]
  lines += _savings(scored)
  lines += _floors(done)
  lines += ['', *_runs(files)]
  notes = registration.notes(registered, files)
  return lines + ['', *(f'- {_cell(note)}' for note in notes)] if notes else lines


def _head(files, done, registered):
  num_failed = len(files) - len(done)
  commits = sorted({content['commit'] for content in done if content.get('commit')})
  hours = sum(content.get('seconds') or 0 for content in done) / 3600
  where = (f'Registered as `{registered.path.name}`, digest `{registered.digest}`.' if registered
           else 'Not registered: exploratory, no verdicts.')
  return [f'{len(done)} runs done, {num_failed} failed; {hours:.1f} hours of training'
          + (f', at {", ".join(commits)}' if commits else '') + f'. {where}']


def _table(header, rows):
  lines = ['| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
  return lines + ['| ' + ' | '.join(map(_cell, row)) + ' |' for row in rows]


def _cell(text):
  return re.sub(r'\s+', ' ', str(text)).replace('|', '\\|').replace('<', '&lt;')


def _primaries(registered, files):
  rows = []
  for primary in registration.primaries(registered, files):
    hypothesis, comparison = primary.hypothesis, primary.comparison
    rows.append([
        hypothesis['claim'], f'{hypothesis["method"]} against {hypothesis["baseline"]}',
        comparison.interval.text(), comparison.interval.n,
        '–' if math.isnan(primary.p_value) else f'{primary.p_value:.2g}',
        registration.in_words(primary)])
  return ['Primary hypotheses; p-values adjusted by Holm. ' + intervals.caption(intervals.SEEDS),
          '', *_table(['hypothesis', 'arms', 'estimate', 'seeds', 'p', 'verdict'], rows)]


def _setting(content):
  """What runs must have in common to be averaged over seeds, without the target."""
  identity = content['identity']
  return tuple((key, identity[key]) for key in identity if key not in _NOT_OF_A_SETTING
               and key != 'phase')


def settings(files):
  """Groups runs that differ in their seeds only, or in seeds and targets that go together.

  Args:
    files: contents of run files of runs that are done.

  Returns:
    {(setting, target, method): contents}; the target is 'one a seed' where each seed has its own.
  """
  by_setting = collections.defaultdict(list)
  for content in files:
    by_setting[_setting(content)].append(content)
  found = collections.defaultdict(list)
  for setting, contents in by_setting.items():
    targets_of_seed, seeds_of_target = (collections.defaultdict(set) for _ in range(2))
    for content in contents:
      identity = content['identity']
      targets_of_seed[identity['seed']].add(identity['target'])
      seeds_of_target[identity['target']].add(identity['seed'])
    is_tied = len(seeds_of_target) > 1 and max(
        map(len, (*targets_of_seed.values(), *seeds_of_target.values()))) == 1
    for content in contents:
      target = 'one a seed' if is_tied else content['identity']['target']
      found[setting, target, content['identity']['method']].append(content)
  for contents in found.values():
    _check_distinct(contents)
  return dict(found)


def _check_distinct(contents):
  """Refuses runs of one setting that share a seed, or differ in more than it decides."""
  first, seeds = contents[0], {}
  for content in contents:
    identity = content['identity']
    key = identity['seed'], identity['target']
    if key in seeds:
      raise ValueError(f'{seeds[key]} and {content["run"]} are both of seed {key[0]}; expected one '
                       'run file for a seed of a setting.')
    seeds[key] = content['run']
    keys = first['settings'].keys() | content['settings'].keys()
    changed = sorted(k for k in keys - _OF_SEEDS
                     if first['settings'].get(k) != content['settings'].get(k))
    if changed:
      raise ValueError(f'{first["run"]} and {content["run"]} differ in {", ".join(changed)}; '
                       'expected runs that differ in their seed, and what is drawn by it.')


def _last(contents, metric):
  values = [registration.measure(content, metric) for content in contents]
  return [value for value in values if value is not None]


def _between_methods(done):
  groups = settings(done)
  metrics = [metric for metric in _COLUMNS if any(_last(c, metric) for c in groups.values())]
  keys = list(dict.fromkeys(key for setting, _, _ in groups for key, _ in setting))
  rows = []
  for (setting, target, method), contents in sorted(groups.items(), key=str):
    row = [*(dict(setting).get(key, '') for key in keys), target, method]
    for metric in metrics:
      row.append(_estimate(intervals.mean(_last(contents, metric)), _COLUMNS[metric][1]))
    rows.append([*row, len(contents)])
  return ['Last evaluation of the runs that are done, mean and interval. '
          + intervals.caption(intervals.SEEDS), '',
          *_table([*(key.replace('_', ' ') for key in keys), 'target', 'method',
                   *(_COLUMNS[metric][0] for metric in metrics), 'runs'], rows)]


def _estimate(interval, digits):
  """E.g. '0.500 [0.400, 0.600]', '0.500' for one run, '–' for none."""
  if interval.value is None:
    return '–'
  return interval.text(digits) if interval.low is not None else f'{interval.value:.{digits}f}'


def _savings(done):
  """Labels of a method without sources that are worth those of one with: lines, or none."""
  found = collections.defaultdict(lambda: collections.defaultdict(dict))
  has_sources = {}
  for (setting, target, method), contents in settings(done).items():
    rest = tuple((key, value) for key, value in setting if key != 'num_labels')
    for content in contents:
      identity, value = content['identity'], registration.measure(content, 'label_accuracy')
      has_sources[method] = bool(identity['sources']) or has_sources.get(method, False)
      if value is not None:
        of_budget = found[rest, target].setdefault(method, {}).setdefault(
            identity['num_labels'], {})
        of_budget[identity['target'], identity['seed']] = value
  rows = []
  for (rest, target), methods in sorted(found.items(), key=str):
    for method, baseline in [(m, b) for m in sorted(methods) for b in sorted(methods)
                             if has_sources[m] and not has_sources[b] and len(methods[b]) > 1]:
      for num_labels, values in sorted(methods[method].items()):
        saved = label_savings.label_savings(values, num_labels, methods[baseline])
        if saved.equivalent:
          ends = '–' if saved.low is None else f'{saved.low.text()} to {saved.high.text()}'
          rows.append([', '.join(str(value) for _, value in rest), target, method, num_labels,
                       baseline, saved.equivalent.text(), ends, saved.n, saved.reason])
  if not rows:
    return []
  return ['', 'Labels of the method without sources that are worth those of the one with. '
          'Intervals: 95 %, between methods, by drawing training seeds again.', '',
          *_table(['', 'target', 'method', 'labels', 'against', 'worth', 'interval', 'seeds', ''],
                  rows)]


def _floors(done):
  """Labels between floors and ceiling, and agents beside those that look at nothing: lines."""
  done = [content for content in done if content.get('floors')]
  if not done:
    return []
  checkpoints = {content['identity']['target']: content['floors']['checkpoints']
                 for content in done if content['floors'].get('checkpoints')}
  results = {  # Of results.json, what tables of floors are made from.
      'methods': {content['identity']['method']: {
          'label': content['identity']['method'],
          'is_floor': content['settings'].get('model.idm_is_causal', False)} for content in done},
      'games': {content['identity']['target']: {'checkpoints': checkpoints.get(
          content['identity']['target'], [])} for content in done},
      'runs': [run_files.shown(content) | {'floors': content.get('floors')} for content in done],
      'rows': [row for content in done for row in run_files.rows(content)]}
  lines = []
  for table in domains.named(done[0]['settings']['experiment']).report(results).floor_tables():
    lines += ['', f'{table.title}. {table.caption}', '', *_table(table.header, table.rows)]
  return lines


def _runs(files):
  rows = [[content['run'], content['status'],
           _estimate(labels_of(content), 3), _estimate(games_of(content), 1),
           f'{content["seconds"]:.0f}' if content.get('seconds') else '–'] for content in files]
  return ['<details><summary>Every run</summary>', '', intervals.caption(intervals.EPISODES), '',
          *_table(['run', 'status', 'labels right', 'score', 'seconds'], rows), '', '</details>']


def labels_of(content):
  """Returns the label accuracy of a run's last evaluation, with its interval."""
  confusion = content.get('confusion')
  if not confusion:
    return intervals.mean([], over=intervals.EPISODES)
  counts = confusions.unpack(confusion['by_episode']['counts'])
  right, sizes = np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))
  return intervals.bootstrap_ratio(right, sizes)


def games_of(content):
  """Returns the mean return of a run's last games, with its interval."""
  games = content.get('games') or {}
  returns = next(iter(games.values()))['returns'] if games else []
  return intervals.bootstrap_mean(returns, np.arange(len(returns)))


def update(text, directory, registrations=registration.DIRECTORY):
  """Makes what stands between the markers of a README again.

  Args:
    text: of the README.
    directory: that holds it.
    registrations: directory of registrations.

  Returns:
    The new text.

  Raises:
    ValueError: if a marker has no partner, or for bad run files.
  """
  def replace(match):
    files = read(pathlib.Path(directory, match[2]))
    lines = tables(files, registration_of(files, registrations))
    return match[1] + '\n' + '\n'.join(lines) + '\n\n' + match[3]

  def make(match):
    if match[2] not in _TABLES:
      raise ValueError(f'{match[1].strip()}: {match[2]!r} is no table; expected one of '
                       f'{", ".join(_TABLES)}.')
    header, rows = _TABLES[match[2]](pathlib.Path(directory, match[3]))
    lines = _table(header, rows) if rows else [_NONE_YET]
    return match[1] + '\n' + '\n'.join(lines) + '\n\n' + match[4]

  new, num_blocks = _BLOCK.subn(replace, text)
  new, num_others = _OTHER.subn(make, new)
  if len(_MARKERS.findall(text)) != 2 * (num_blocks + num_others):
    raise ValueError('a marker of run files has no partner; expected <!-- run files: ... --> and '
                     '<!-- end of run files -->, or <!-- gate ...: ... --> and <!-- end of table '
                     '-->, in turns, each on a line of its own.')
  return new


def changed(text, new):
  """Lists the tables of a README that differ from those of another.

  Args:
    text: of the README.
    new: what `update` makes of it.

  Returns:
    The markers before these tables, in order, e.g. '<!-- run files: labels/runs -->'.
  """
  found = {}
  for pattern in (_BLOCK, _OTHER):
    for before, after in zip(pattern.finditer(text), pattern.finditer(new), strict=True):
      if before[0] != after[0]:
        found[before.start()] = before[1].strip()
  return [found[place] for place in sorted(found)]


def _gate(name):
  def table(directory):
    return gates.HEADER, [[row.asks, row.found, 'yes' if row.is_reached else '**no**']
                          for row in gates.GATES[name](read(directory))]
  return table


def _own(directory):
  films = sorted(path.parent for path in directory.glob('*/seeds'))
  return own_results.HEADER, own_results.table(films)


def _ceilings(directory):
  return ceiling_table.HEADER, ceiling_table.rows(directory)


# Name: table(directory) -> header, rows.
_TABLES = {f'gate {name}': _gate(name) for name in gates.GATES} | {
    'own study': _own, 'ceilings all': _ceilings,
    'camera study': camera_results.table,
    'claims all': lambda directory: (claims_table.HEADER, claims_table.rows(directory)),
    'tuning trials': lambda directory: tuning.table(tuning.trials(read(directory)))}


def readmes():
  """Lists README.md and those of experiments/, as paths."""
  return [path for path in (runs.ROOT / 'README.md', *sorted(
      (runs.ROOT / 'experiments').rglob('README.md'))) if path.exists()]


def main(argv):
  """Returns 1 if a README is not up to date, or cannot be made."""
  if len(argv) > 1:
    print(f'error: {argv[1]}: unexpected argument', file=sys.stderr)
    return 1
  is_stale = False
  for path in readmes():
    text = path.read_text(encoding='utf-8')
    try:
      new = update(text, path.parent)
    except ValueError as error:
      print(f'error: {path}: {error}', file=sys.stderr)
      return 1
    if new != text and not _CHECK.value:
      atomic_files.write(path, new.encode())
    for marker in changed(text, new):
      is_stale = True
      print(f'{path}: {marker}: ' + ('not up to date; run python -m experiments.summarise'
                                     if _CHECK.value else 'written'))
  return int(_CHECK.value and is_stale)


if __name__ == '__main__':
  cli.run_with_arguments(main)
