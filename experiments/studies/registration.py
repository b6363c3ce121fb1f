"""Registered studies: hypotheses, grids, seeds and settings, fixed in a file before the first run.

experiments/registrations/<study>.json is committed by itself; its digest names its content, however
it is formatted, and every run file carries it. `experiments.register` completes the file with the
settings of all registered runs. A study is started with `--config.study.registration=<file>`, and
`reproduce` refuses if that file is not committed, has changed since, or disagrees with the config.

Hypotheses are primary: one comparison each, judged together (`verdicts.judge_all`) once all their
registered runs are in: who looks while runs come in, and may stop, finds too much. Seeds are what
is counted: targets of a seed are averaged. Of mazes, target i of a grid goes with its seed i; of
games, every target with every seed. A hypothesis uses the targets and seeds that both its arms
have. Runs outside of the grids were added later; they are exploratory, shown with intervals and
without a verdict.

A failed run leaves its seed without a pair, and a verdict needs five pairs: with exactly five seeds
there is none until the run is repeated and succeeds, as `reproduce` tries when it is called again.
A failure that comes back, e.g. a loss that is not finite, is a result, and no other seed replaces
it. Where that is to be expected, register more seeds. The file:

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
   "grids": [{                                # Registered is what is in any; fields of identities.
     "method": ["alpt_blocked", "dt1_idm"], "observation": ["xy"], "num_labels": [250],
     "target": ["maze-20-blocks:10-seed10", "..."],
     "seed": [10, 11, 12, 13, 14]}],          # At least five a hypothesis: fewer give no verdict.
   "settings": {"num_steps": 1000},           # Of the experiment's config, flat: what matters most.
   "tuning": {"targets": ["maze-20-blocks:10-seed0"], "seeds": [0, 1, 2]},
   "run_settings": {...}}                     # See experiments/studies/registered_settings.py.
"""

import collections
import json
import math
import pathlib
from typing import NamedTuple

from alpt_jax import configs, schema
from alpt_jax.files import versions
from alpt_jax.measures import curves, intervals, verdicts
from experiments.studies import committed, registered_settings, registration_schema, runs

DIRECTORY = runs.ROOT / 'experiments' / 'registrations'


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


def load(path, *, is_complete=True):
  """Reads and checks a registration.

  Args:
    path: of the file; a relative one begins at the root of the code.
    is_complete: False for one that `experiments.register` has yet to complete.

  Returns:
    A `Registration`.

  Raises:
    ValueError: in one line, naming the file, the field, its value and what was expected.
  """
  path = runs.ROOT / path
  try:
    content = schema.read(path, object)
  except FileNotFoundError as error:
    raise ValueError(f'{path}: no such file; expected a registration, as described in '
                     'experiments/studies/registration.py. Correct the path.') from error
  try:
    registration_schema.check(content, path, is_complete=is_complete)
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error
  return Registration(path, runs.digest(content), content)


def check_settings(registration, config):
  """Refuses a config that is not the registered one, by the registration's `settings`.

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
  settings, now = (configs.flatten(x) for x in (content['settings'], json.loads(config.to_json())))
  changes = configs.changes(settings, {key: now[key] for key in settings.keys() & now.keys()})
  if changes:
    raise ValueError(f'{registration.path}: settings: the config is not the registered one '
                     f'({changes}). Use the registered config, or register another '
                     'study.')


def start(config, planned, identity_of):
  """Checks all that must hold before a study may start or resume.

  Args:
    config: of the experiment.
    planned: list of `study.Run`.
    identity_of: function of a run; what its run file will have as `identity`.

  Returns:
    Its `Registration`; None if `study.registration` is empty.

  Raises:
    ValueError: in one line.
  """
  path = config.study.get('registration', '')
  if not path:
    return None
  registration = load(path)
  if not config.study.get('results_dir'):
    raise ValueError('study.results_dir is empty; a registered study needs it, e.g. '
                     f'experiments/results/{registration.content["study"]}, where its run files '
                     'are committed.')
  check_settings(registration, config)
  registered_settings.check(
      registration, config, planned,
      lambda run: registration_schema.is_in_grids(registration.content, identity_of(run)))
  committed_at = committed.check(registration, config.study.results_dir)
  for run in planned:
    started = versions.started(pathlib.Path(config.workdir, run.name))
    if started is not None and started < committed_at:
      raise ValueError(f'{run.name}: was begun before its registration was committed; expected '
                       'after. Choose another --config.workdir.')
  return registration


def is_registered(registration, run_file):
  """Returns whether a run file carries this registration, and its run is in a grid of it."""
  return (run_file.get('registration') == registration.digest
          and registration_schema.is_in_grids(registration.content, run_file['identity']))


def primaries(registration, files):
  """Measures and judges the hypotheses of a registration.

  Args:
    registration: a `Registration`.
    files: contents of run files.

  Returns:
    A list of `Primary`, one for each hypothesis, also of those without a run.

  Raises:
    ValueError: if a registered run has other settings than the registered ones.
  """
  hypotheses = registration.content['hypotheses']
  files = [content for content in files if content['identity'].get('phase') != 'pretrain'
           and is_registered(registration, content)]
  registered_settings.check_files(registration, files)
  measured = [_measured(hypothesis, registration.content, files) for hypothesis in hypotheses]
  judged = verdicts.judge_all(
      [(found.comparison, h['sign'], h['smallest_effect'])
       for h, found in zip(hypotheses, measured, strict=True)],
      not_yet=[found.not_yet for found in measured])
  return [Primary(hypothesis, found.comparison, verdict, p_value, found.remarks)
          for hypothesis, found, (verdict, p_value)
          in zip(hypotheses, measured, judged, strict=True)]


def in_words(primary):
  """Words the verdict on a hypothesis, e.g. 'no verdict: 6 of 10 registered runs are in'."""
  word, reason, _ = primary.verdict
  return '; '.join([f'{word}: {reason.removeprefix(f"{word}: ")}', *primary.remarks])


class _Measured(NamedTuple):
  comparison: intervals.Comparison
  not_yet: str  # Why it cannot be judged yet; '' if it can.
  remarks: tuple


def _measured(hypothesis, content, files):
  """Compares the arms of a hypothesis by the seeds of which all registered runs have a number."""
  pairs = registration_schema.pairs_of(hypothesis, content)
  threshold = hypothesis.get('threshold')
  values, remarks, num_in = {}, [], 0
  for arm in registration_schema.ARMS:
    found = {pair: run for pair, run in _runs_of(hypothesis, hypothesis[arm], files).items()
             if pair in pairs}
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
  """Reads a metric of a run file.

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
  reached = curves.steps_to_threshold(steps, values, threshold)
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
