"""Schema of a registration's file, and the runs that its grids hold; see `registration`."""

import collections
import itertools
import math

from alpt_jax import schema
from alpt_jax.domains import study as studies
from alpt_jax.measures import verdicts
from experiments.studies import registered_settings

ARMS = ('method', 'baseline')


_HYPOTHESIS = {
    'name': str, 'claim': str, 'method': str, 'baseline': str, 'where': dict, 'metric': str,
    'effect': schema.one_of(('difference', 'ratio')), 'sign': schema.one_of(verdicts.SIGNS),
    'smallest_effect': float, 'threshold?': float}
_REGISTRATION = {
    'study': str, 'experiment': str, 'about': str, 'hypotheses': schema.filled([_HYPOTHESIS]),
    'grids': schema.filled([{str: schema.filled(list)}]), 'settings': schema.filled(dict),
    'tuning': dict, 'run_settings?': (dict, None)}  # The last is `experiments.register`'s.


def check(content, path, *, is_complete=True):
  """Refuses what is no registration.

  Args:
    content: of a registration's file.
    path: of that file.
    is_complete: False for one that `experiments.register` has yet to complete.

  Raises:
    ValueError: in one line, naming the field, its value and what was expected.
  """
  schema.check(content, _REGISTRATION)
  schema.check_names(content, _REGISTRATION)
  for i, hypothesis in enumerate(content['hypotheses']):
    schema.check_names(hypothesis, _HYPOTHESIS, f'hypotheses[{i}]')
  if content['study'] != path.stem:
    raise ValueError(f'study is {content["study"]!r}; expected {path.stem!r}, as its file.')
  for i, grid in enumerate(content['grids']):
    _check_grid(grid, content, f'grids[{i}]')
  names = [hypothesis['name'] for hypothesis in content['hypotheses']]
  if len(set(names)) < len(names):
    raise ValueError(f'hypotheses have the names {names}; expected each its own.')
  for i, hypothesis in enumerate(content['hypotheses']):
    _check_hypothesis(hypothesis, content, f'hypotheses[{i}]')
    _check_cells(hypothesis, content, f'hypotheses[{i}]')
  if is_complete:
    registered_settings.check_form(content.get('run_settings'), path)


def _check_grid(grid, content, where):
  for name, values in grid.items():
    if len({*map(str, values)}) < len(values):
      raise ValueError(f'{where}.{name} is {values}; expected a list of different values.')
  for name, what in (('method', 'variants'), ('target', 'targets'), ('seed', 'seeds')):
    if name not in grid:
      raise ValueError(f'{where}.{name} is missing; expected the {what} of the study.')
  targets, seeds, tuning = grid['target'], grid['seed'], content['tuning']
  _check_not_tuned(f'{where}.target', targets, tuning.get('targets', []))
  if _is_tied(content):  # A seed stands for its maze.
    _check_not_tuned(f'{where}.seed', seeds, tuning.get('seeds', []))
  if _is_tied(content) and len(targets) != len(seeds):
    raise ValueError(f'{where}.target has {len(targets)} entries; expected one for each of the '
                     f'{len(seeds)} seeds, as target i goes with seed i in mazes.')


def _check_not_tuned(name, values, tuned):
  """Refuses targets or seeds that settings were tuned on."""
  both = [value for value in values if value in tuned]
  if both:
    raise ValueError(f'{name} has {", ".join(map(repr, both))}, which tuning.'
                     f'{name.rpartition(".")[2]}s has, too; expected data that '
                     'nobody has tuned on.')


def _is_tied(content):
  """Whether every seed has a target of its own."""
  return studies.named(content['experiment']).SEEDS_HAVE_TARGETS


def _pairs_of(grid, content):
  """The (target, seed) of a grid."""
  targets, seeds = grid['target'], grid['seed']
  return list(zip(targets, seeds, strict=True) if _is_tied(content)
              else itertools.product(targets, seeds))


def _grids_of(hypothesis, method, content):
  """The grids that hold runs of one arm of a hypothesis."""
  where = hypothesis['where'] | {'method': method}
  return [grid for grid in content['grids']
          if all(value in grid.get(name, []) for name, value in where.items())]


def pairs_of(hypothesis, content):
  """Lists the registered (target, seed) of a hypothesis, those that both arms have.

  Args:
    hypothesis: of the registration.
    content: of the registration.
  """
  target = hypothesis['where'].get('target')
  method, baseline = ([pair for grid in _grids_of(hypothesis, hypothesis[arm], content)
                       for pair in _pairs_of(grid, content)] for arm in ARMS)
  return [pair for pair in dict.fromkeys(method)
          if pair in baseline and target in (None, pair[0])]


def _check_hypothesis(hypothesis, content, where):
  for field, name, value in (*((arm, 'method', hypothesis[arm]) for arm in ARMS),
                             *((f'where.{name}', name, value)
                               for name, value in hypothesis['where'].items())):
    known = list(dict.fromkeys(x for grid in content['grids'] for x in grid.get(name, [])))
    if value not in known:
      raise ValueError(f'{where}.{field} is {value!r}; expected one of {known}, as in grids.')
  if 'target' in hypothesis['where'] and _is_tied(content):
    raise ValueError(f'{where}.where.target is {hypothesis["where"]["target"]!r}; expected none, '
                     'as a maze goes with one seed.')
  is_ratio = hypothesis['effect'] == 'ratio'
  if 'threshold' in hypothesis and not is_ratio:
    raise ValueError(f'{where}.effect is {hypothesis["effect"]!r}; expected ratio, as steps to a '
                     'threshold are compared.')
  if 'threshold' in hypothesis and not _is_tied(content) and (
      len(targets := {target for target, _ in pairs_of(hypothesis, content)}) > 1):
    raise ValueError(f'{where}.where.target is missing; expected one of {sorted(targets)}, as '
                     'steps to a threshold may be censored, and have no average over targets then.')
  if not is_ratio < hypothesis['smallest_effect'] < math.inf:
    raise ValueError(f'{where}.smallest_effect is {hypothesis["smallest_effect"]}; expected a '
                     f'number above {int(is_ratio)}.')


def _check_cells(hypothesis, content, where):
  """Refuses a hypothesis that has too few seeds, or more than one run a seed and target."""
  seeds, fewest = {seed for _, seed in pairs_of(hypothesis, content)}, verdicts.FEWEST_SEEDS
  if len(seeds) < fewest:
    raise ValueError(f'{where}: {hypothesis["method"]} and {hypothesis["baseline"]} have the seeds '
                     f'{sorted(seeds)} in common; expected at least {fewest}, as fewer give no '
                     'verdict.')
  for arm in ARMS:
    values_of = collections.defaultdict(set)
    for grid in _grids_of(hypothesis, hypothesis[arm], content):
      for name in grid.keys() - {'method', 'target', 'seed', *hypothesis['where']}:
        values_of[name].update(map(str, grid[name]))
    for name, values in sorted(values_of.items()):
      if len(values) > 1:
        raise ValueError(f'{where}.where.{name} is missing; expected one of {sorted(values)}, as a '
                         f'seed has one run of {hypothesis[arm]}.')


def is_in_grids(content, identity):
  """Returns whether a run is in one of the grids of a registration, by its identity."""
  return any((identity['target'], identity['seed']) in _pairs_of(grid, content)
             and all(identity.get(name) in values for name, values in grid.items())
             for grid in content['grids'])
