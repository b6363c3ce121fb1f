"""Registered studies: hypotheses, grid, seeds and settings, fixed in a file before the first run.

experiments/registrations/<study>.json is committed by itself; its digest names its content, however
it is formatted, and every run file carries it. A study is started with
`--config.study.registration=<file>`, and `reproduce` refuses if that file is not committed, has
changed since, or disagrees with the config. Hypotheses are primary: one comparison each, judged
together (`verdicts.judge_all`) once all their registered runs are in: who looks while runs come in,
and may stop, finds too much. Seeds are what is counted: targets of a seed are averaged. Of mazes,
target i goes with seed i; of games, every target with every seed. Runs outside of the grid or the
seeds were added later; they are exploratory, shown with intervals and without a verdict. The file:

  {"study": "maze_change",                    # The file's name.
   "experiment": "maze",                      # Or "atari".
   "about": "Do sources make an IDM with tokens of change faster?",
   "hypotheses": [{
     "name": "faster", "claim": "A blocked source saves updates to labels of 95 %.",
     "method": "alpt_blocked", "baseline": "dt1_idm",  # Variants of the study.
     "where": {"observation": "xy", "num_labels": 250},  # Fields of a run's identity.
     "metric": "label_accuracy", "threshold": 0.95,    # Steps to it; without: the last value.
     "effect": "ratio",                       # Or "difference".
     "sign": "lower", "smallest_effect": 1.25}],
   "grid": {"method": ["alpt_blocked", "dt1_idm"], "observation": ["xy"], "num_labels": [250],
            "target": ["maze-20-blocks:10-seed10", "..."]},
   "seeds": [10, 11, 12, 13, 14],             # At least five: fewer give no verdict.
   "settings": {"num_steps": 1000},           # Of the experiment's config, flat.
   "tuning": {"targets": ["maze-20-blocks:10-seed0"], "seeds": [0, 1, 2]}}
"""

import collections
import itertools
import json
import math
import numbers
import pathlib
from typing import NamedTuple

from alpt_jax import fields, statistics, versions
from alpt_jax.measures import intervals, verdicts
from experiments import committed, runs

DIRECTORY = runs.ROOT / 'experiments' / 'registrations'
_FIELDS = {'study': str, 'experiment': str, 'about': str, 'hypotheses': list, 'grid': dict,
           'seeds': list, 'settings': dict, 'tuning': dict}
_HYPOTHESIS = {'name': str, 'claim': str, 'method': str, 'baseline': str, 'where': dict,
               'metric': str, 'effect': str, 'sign': str, 'smallest_effect': numbers.Real}
_EFFECTS = ('difference', 'ratio')


class Registration(NamedTuple):
  """A registered study.

  Attributes:
    path: of its file.
    digest: of its content.
    content: as the module says.
  """
  path: pathlib.Path
  digest: str
  content: dict


class Primary(NamedTuple):
  """A hypothesis, measured.

  Attributes:
    hypothesis: of the registration.
    comparison: `intervals.Comparison` over the registered seeds.
    verdict: `verdicts.Verdict`, judged together with the others.
    p_value: adjusted by Holm.
    remarks: what a reader must know of its runs, e.g. which of them failed.
  """
  hypothesis: dict
  comparison: intervals.Comparison
  verdict: verdicts.Verdict
  p_value: float
  remarks: tuple = ()


def load(path):
  """Reads and checks a registration.

  Args:
    path: of the file; a relative one begins at the root of the code.

  Returns:
    A `Registration`.

  Raises:
    ValueError: in one line, naming the file, the field, its value and what was expected.
  """
  path = runs.ROOT / path
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError as error:
    raise ValueError(f'study.registration: {path} does not exist; expected a registration as '
                     'experiments/registration.py describes it.') from error
  except ValueError as error:
    raise ValueError(f'{path}: not JSON ({error}).') from error
  try:
    _check(content, path)
  except ValueError as error:
    raise ValueError(f'{path}: {str(error).removesuffix(fields.REMEDY).strip()}') from error
  return Registration(path, runs.digest(content), content)


def _check(content, path):
  fields.check(content, _FIELDS, 'registration')
  unknown = sorted(content.keys() - _FIELDS.keys())
  if unknown:
    raise ValueError(f'it has the fields {unknown}; expected {sorted(_FIELDS)} only.')
  if content['study'] != path.stem:
    raise ValueError(f'study is {content["study"]!r}; expected {path.stem!r}, as its file.')
  _check_grid(content)
  if not content['settings']:
    raise ValueError('settings is empty; expected the config values that matter.')
  names = [h.get('name') for h in content['hypotheses'] if isinstance(h, dict)]
  if not names or len(set(names)) < len(names):
    raise ValueError(f'hypotheses have the names {names}; expected at least one, each its own.')
  for i, hypothesis in enumerate(content['hypotheses']):
    _check_hypothesis(hypothesis, content, f'hypotheses[{i}]')


def _check_grid(content):
  for name, values in [*content['grid'].items(), ('seeds', content['seeds'])]:
    if not isinstance(values, list) or not values or len({*map(str, values)}) < len(values):
      raise ValueError(f'{name} is {values}; expected a list of different values.')
  for name, what in (('method', 'variants'), ('target', 'targets')):
    if name not in content['grid']:
      raise ValueError(f'grid.{name} is missing; expected the {what} of the study.')
  fewest = verdicts.FEWEST_SEEDS
  if len(content['seeds']) < fewest:
    raise ValueError(f'seeds has {len(content["seeds"])} entries; expected at least {fewest}, as '
                     'fewer give no verdict.')
  targets = content['grid']['target']
  _check_not_tuned('grid.target', targets, content['tuning'].get('targets', []))
  if _is_tied(content):  # A seed stands for its maze.
    _check_not_tuned('seeds', content['seeds'], content['tuning'].get('seeds', []))
  if _is_tied(content) and len(targets) != len(content['seeds']):
    raise ValueError(f'grid.target has {len(targets)} entries; expected one for each of the '
                     f'{len(content["seeds"])} seeds, as target i goes with seed i in mazes.')


def _check_not_tuned(name, values, tuned):
  """Refuses data that somebody has looked at."""
  both = [value for value in values if value in tuned]
  if both:
    raise ValueError(f'{name} has {", ".join(map(repr, both))}, which tuning.'
                     f'{name.rpartition(".")[2].removesuffix("s")}s has, too; expected data that '
                     'nobody has tuned on.')


def _is_tied(content):
  """Whether every seed has a target of its own."""
  return content['experiment'] == 'maze'


def _pairs(content, where=()):
  """The registered (target, seed), of the target in `where` if there is one."""
  targets, seeds = content['grid']['target'], content['seeds']
  pairs = (zip(targets, seeds, strict=True) if _is_tied(content)
           else itertools.product(targets, seeds))
  return [pair for pair in pairs if 'target' not in where or pair[0] == where['target']]


def _check_hypothesis(hypothesis, content, where):
  fields.check(hypothesis, _HYPOTHESIS, where)
  unknown = sorted(hypothesis.keys() - _HYPOTHESIS.keys() - {'threshold'})
  if unknown:
    raise ValueError(f'{where} has the fields {unknown}; expected {sorted(_HYPOTHESIS)} and '
                     'threshold.')
  grid = content['grid']
  for name in ('method', 'baseline'):
    if hypothesis[name] not in grid['method']:
      raise ValueError(f'{where}.{name} is {hypothesis[name]!r}; expected one of {grid["method"]}.')
  for name, value in hypothesis['where'].items():
    if value not in grid.get(name, []):
      raise ValueError(f'{where}.where.{name} is {value!r}; expected one of grid.{name}, '
                       f'{grid.get(name, [])}.')
  if hypothesis['effect'] not in _EFFECTS:
    raise ValueError(f'{where}.effect is {hypothesis["effect"]!r}; expected one of {_EFFECTS}.')
  if 'target' in hypothesis['where'] and _is_tied(content):
    raise ValueError(f'{where}.where.target is {hypothesis["where"]["target"]!r}; expected none, '
                     'as a maze goes with one seed.')
  is_ratio = hypothesis['effect'] == 'ratio'
  if 'threshold' in hypothesis and not is_ratio:
    raise ValueError(f'{where}.effect is {hypothesis["effect"]!r}; expected ratio, as steps to a '
                     'threshold are compared.')
  if 'threshold' in hypothesis and not _is_tied(content) and (
      len({target for target, _ in _pairs(content, hypothesis['where'])}) > 1):
    raise ValueError(f'{where}.where.target is missing; expected one of {grid["target"]}, as steps '
                     'to a threshold may be censored, and have no average over targets then.')
  if hypothesis['sign'] not in verdicts.SIGNS:
    raise ValueError(f'{where}.sign is {hypothesis["sign"]!r}; expected one of '
                     f'{sorted(verdicts.SIGNS)}.')
  if not is_ratio < hypothesis['smallest_effect'] < math.inf:
    raise ValueError(f'{where}.smallest_effect is {hypothesis["smallest_effect"]}; expected a '
                     f'number above {int(is_ratio)}.')


def check_config(registration, config):
  """Refuses a config that is not the registered one.

  Args:
    registration: a `Registration`.
    config: of the experiment.

  Raises:
    ValueError: in one line, naming the settings that differ.
  """
  content = registration.content
  if content['experiment'] != config.experiment:
    raise ValueError(f'{registration.path}: experiment is {content["experiment"]!r}, the config’s '
                     f'{config.experiment!r}.')
  if not config.study.get('results_dir'):
    raise ValueError('study.results_dir is empty; a registered study needs it, e.g. '
                     f'experiments/results/{content["study"]}, where its run files are committed.')
  now = fields.flatten(json.loads(config.to_json()))
  changes = [f'{key}: {value} -> {now.get(key)}'
             for key, value in sorted(fields.flatten(content['settings']).items())
             if key not in now or now[key] != value]
  if changes:
    raise ValueError(f'{registration.path}: the config is not the registered one '
                     f'({", ".join(changes)}). Run it as registered, or register another study.')


def start(config, planned):
  """Checks all that must hold before a study may start, or go on.

  Args:
    config: of the experiment.
    planned: list of `runs.Run`.

  Returns:
    Its `Registration`; None if `study.registration` is empty.

  Raises:
    ValueError: in one line.
  """
  path = config.study.get('registration', '')
  if not path:
    return None
  registration = load(path)
  check_config(registration, config)
  committed_at = committed.check(registration, config.study.results_dir)
  for run in planned:
    started = versions.started(pathlib.Path(config.workdir, run.name))
    if started is not None and started < committed_at:
      raise ValueError(f'{run.name}: was begun before its registration was committed; expected '
                       'after. Choose another --config.workdir.')
  return registration


def is_registered(registration, run_file):
  """Whether a run file carries this registration, and is in its grid and of one of its seeds."""
  content, identity = registration.content, run_file['identity']
  return (run_file.get('registration') == registration.digest
          and (identity['target'], identity['seed']) in _pairs(content)
          and all(identity.get(name) in values for name, values in content['grid'].items()))


def primaries(registration, files):
  """Measures and judges the hypotheses of a registration.

  Args:
    registration: a `Registration`.
    files: contents of run files.

  Returns:
    A list of `Primary`, one for each hypothesis, also of those without a run.
  """
  hypotheses = registration.content['hypotheses']
  files = [content for content in files if content['identity'].get('phase') != 'pretrain'
           and is_registered(registration, content)]
  measured = [_measured(hypothesis, registration.content, files) for hypothesis in hypotheses]
  judged = verdicts.judge_all(
      [(found.comparison, h['sign'], h['smallest_effect'])
       for h, found in zip(hypotheses, measured, strict=True)],
      not_yet=[found.not_yet for found in measured])
  return [Primary(hypothesis, found.comparison, verdict, p_value, found.remarks)
          for hypothesis, found, (verdict, p_value)
          in zip(hypotheses, measured, judged, strict=True)]


def in_words(primary):
  """The verdict on a hypothesis, e.g. 'no verdict: 6 of 10 registered runs are in'."""
  word, reason, _ = primary.verdict
  return '; '.join([f'{word}: {reason.removeprefix(f"{word}: ")}', *primary.remarks])


class _Measured(NamedTuple):
  comparison: intervals.Comparison
  not_yet: str  # Why it cannot be judged yet; '' if it can.
  remarks: tuple


def _measured(hypothesis, content, files):
  """Compares the arms of a hypothesis by the seeds of which all registered runs have a number."""
  pairs = _pairs(content, hypothesis['where'])
  threshold = hypothesis.get('threshold')
  values, remarks, num_in = {}, [], 0
  for arm in ('method', 'baseline'):
    found = _runs_of(hypothesis, hypothesis[arm], files)
    numbers_, num_in = {}, num_in + len(found)
    for pair, run in found.items():
      if run['status'] == 'failed':
        remarks.append(f'{run["run"]} failed')
        continue
      value = measure(run, hypothesis['metric'], threshold)
      if value is None:
        remarks.append(f'{run["run"]} has no {hypothesis["metric"]}' if threshold is None or not
                       run['curves'].get(hypothesis['metric']) else
                       f'{run["run"]} has {threshold:g} at step 0, to which there is no ratio')
      else:
        numbers_[pair] = value
    values[arm] = _by_seed(numbers_, pairs, hypothesis)
  compare = intervals.ratio if hypothesis['effect'] == 'ratio' else intervals.difference
  comparison = compare(values['method'], values['baseline'])
  if comparison.unpaired:
    remarks.append('not counted, as one arm is not whole: seeds '
                   + ', '.join(map(str, comparison.unpaired)))
  not_yet = ('' if num_in == 2 * len(pairs)
             else f'{num_in} of {2 * len(pairs)} registered runs are in')
  return _Measured(comparison, not_yet, tuple(remarks))


def _runs_of(hypothesis, method, files):
  """{(target, seed): run file} of one arm."""
  where, found = hypothesis['where'] | {'method': method}, {}
  for content in files:
    identity = content['identity']
    if all(identity.get(key) == value for key, value in where.items()):
      pair = identity['target'], identity['seed']
      if pair in found:
        raise ValueError(f'hypothesis {hypothesis["name"]!r}: more than one run of {where} has '
                         f'target {pair[0]} and seed {pair[1]}; expected one.')
      found[pair] = content
  return found


def _by_seed(values, pairs, hypothesis):
  """Averages over the targets of each seed, geometrically for a ratio; seeds that have them all."""
  targets, found = collections.defaultdict(list), {}
  for target, seed in pairs:
    targets[seed].append(target)
  for seed, names in targets.items():
    of_seed = [values.get((name, seed)) for name in names]
    if None in of_seed:
      continue
    if len(of_seed) == 1:
      found[seed], = of_seed
    elif hypothesis['effect'] == 'difference':
      found[seed] = math.fsum(of_seed) / len(of_seed)
    elif min(of_seed) > 0:
      found[seed] = math.exp(math.fsum(map(math.log, of_seed)) / len(of_seed))
    else:
      raise ValueError(f'hypothesis {hypothesis["name"]!r}: seed {seed} has the values {of_seed}; '
                       'expected positive numbers, as their logarithms are taken.')
  return found


def measure(content, metric, threshold=None):
  """What a run file says of a metric.

  Args:
    content: of a run file.
    metric: a curve.
    threshold: a level of it, or None.

  Returns:
    Its last value; with a threshold the steps to it, `intervals.AtLeast` if it is never reached;
    None if there is no number, or the level is reached before the first update: no ratio has 0.
  """
  steps, values = content['curves']['step'], content['curves'].get(metric)
  if not values:
    return None
  if threshold is None:
    return values[-1]
  values = [math.nan if value is None else value for value in values]
  reached = statistics.steps_to_threshold(steps, values, threshold)
  return intervals.AtLeast(float(steps[-1])) if reached is None else reached or None


def lines(registration, files):
  """Says in a line for each hypothesis what was measured and what that means."""
  return [f'{primary.hypothesis["claim"].rstrip(".")}: {primary.comparison.interval.text()}, '
          f'n = {primary.comparison.interval.n}: {in_words(primary)}.'
          for primary in primaries(registration, files)]


def notes(registration, files):
  """Says what a reader must know of the runs: those that were added later, and those that failed.

  Args:
    registration: a `Registration`, or None.
    files: contents of run files.

  Returns:
    A list of sentences.
  """
  found = []
  added, others = [], []
  for content in files:
    if registration and not is_registered(registration, content):
      is_other = content.get('registration') != registration.digest
      (others if is_other else added).append(content['run'])
  for what, names in (('Added after', added), ('Not run under', others)):
    if names:
      found.append(f'{what} the registration, exploratory ({len(names)} runs): '
                   f'{", ".join(names)}.')
  for content in files:
    for failure in content['failures']:
      later = ', done later' if content['status'] == 'done' else ''
      error, code = failure['error'].rstrip('.'), failure['exit_code']
      what = error if code is None else f'failed with exit code {code}' + (error and f': {error}')
      found.append(f'{content["run"]}: {what}{later}.')
  return found
