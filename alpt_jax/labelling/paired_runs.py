"""Pairs runs whose IDMs learned from other sources, and refuses pairs that differ in more.

Within a pair, nothing may differ but sources, method and phase: not labels, data, window, network,
optimizer, seed, nor updates and windows in all, those of a pretraining counted. A pretraining that
has no counterpart in the other run may have settings of its own: `unmatched` lists them. Between
pairs, nothing but the seeds, the target, and which sources they are. What only the DT, an
evaluation or the place of files depends on may always differ: the IDM does not.
"""

import json
from typing import NamedTuple

import numpy as np

from alpt_jax import configs as configs_
from alpt_jax import methods
from alpt_jax.labelling import trained_idm, trained_run

_MAX_DIFFERENCES = 5  # That a message names.
_FREE = (  # Keys, or groups of them, on which the labels of the IDM do not depend.
    'workdir', 'data_dir', 'compilation_cache_dir', 'wandb_project', 'preset', 'study', 'collect',
    'import_', 'distributed', 'sharding', 'evaluation', 'cql', 'allow_changed_config',
    'allow_damaged', 'allow_other_speed', 'checkpoint_every_steps', 'log_every_steps',
    'eval_every_steps', 'num_label_windows', 'sampling.num_threads', 'train_dt', 'batch_size',
    'pseudo_labels', 'reward_weight', 'return_weight', 'action_weight', 'model.dt_tokenizer',
    'model.dt_dropout', 'model.return_tokens', 'optimizer.dt_learning_rate')
# What the comparison is about, and what is compared over all phases instead.
_OF_THE_ARM = ('sources', 'method', 'phase', 'init_from', 'num_steps', 'idm_batch_size')
_OF_THE_PAIR = ('seed', 'label_seed', 'target')


class Member(NamedTuple):
  """One run of a pair.

  Attributes:
    trained: `trained_idm.TrainedIdm`.
    configs: its config, and those of its pretraining, newest first.
    digests: {environment: digest of its data} of what any of them read.
  """
  trained: trained_idm.TrainedIdm
  configs: tuple
  digests: dict

  @property
  def sources(self):
    """Names of the environments whose actions the IDM was given beside the target's, sorted."""
    return tuple(sorted({name for config in self.configs if methods.SOURCES in _phase(config).idm
                         for name in config.sources}))

  @property
  def num_updates(self):
    """Updates of the IDM in all phases."""
    return sum(self._steps())

  @property
  def num_windows(self):
    """Windows that the IDM was trained on in all phases, repetitions counted."""
    return sum(steps * config.idm_batch_size
               for steps, config in zip(self._steps(), self.configs, strict=True))

  def _steps(self):
    # A pretraining has made all its updates before anything starts from it.
    return [config.num_steps * bool(_phase(config).idm) if i else self.trained.step
            for i, config in enumerate(self.configs)]

  @property
  def arm(self):
    """What the runs of an arm have in common: {name: value}."""
    return {'method': self.configs[0].method, 'phases': [x.phase for x in self.configs],
            'number of sources': len(self.sources)} | self.totals

  @property
  def totals(self):
    """What both runs of a pair have as much of: {name: value}."""
    return {'updates of the IDM, num_steps of all phases,': self.num_updates,
            'windows of the IDM, num_steps x idm_batch_size of all phases,': self.num_windows}


class Pair(NamedTuple):
  """Two runs with one seed: `run` is compared with `baseline`, both `Member`s."""
  run: Member
  baseline: Member


def restore(directory, *, data_dir=''):
  """Restores a `Member`; see `trained_idm.restore`."""
  trained = trained_idm.restore(directory, data_dir=data_dir)
  configs, digests = [trained.config], dict(trained.digests)
  while configs[-1].init_from:
    config, read = trained_run.read_config(configs[-1].init_from, data_dir=data_dir)
    configs.append(config)
    digests = read | digests
  return Member(trained, tuple(configs), digests)


def pair(runs, baselines):
  """Pairs runs by their training seed.

  Args:
    runs: list of `Member`, at least one, each with another seed.
    baselines: list of as many, with the same seeds.

  Returns:
    List of `Pair`, by seed.

  Raises:
    FileNotFoundError, ValueError: naming what is missing, or what differs and must not.
  """
  by_seed = _by_seed(runs), _by_seed(baselines)
  for seed in sorted(by_seed[0].keys() ^ by_seed[1].keys()):
    member = by_seed[0].get(seed) or by_seed[1].get(seed)
    raise ValueError(f'{member.trained.directory}: seed is {seed}, and no run that it is to be '
                     'compared with has this seed; expected pairs of runs. Train the other one, '
                     'or leave this one out.')
  pairs = [Pair(by_seed[0][seed], by_seed[1][seed]) for seed in sorted(by_seed[0])]
  for one in pairs:
    _check_pair(one)
  for other in pairs[1:]:
    for before, member in zip(pairs[0], other, strict=True):
      _refuse(before, member, _between_pairs(before, member), 'seeds, target and which sources')
  return pairs


def unmatched(member, other):
  """Lists settings of a pretraining that the other run of a pair, without one, has not.

  Args:
    member: the `Member` whose pretraining it is.
    other: the one that it is compared with.

  Returns:
    List of str, each 'key is value, then value of the run that starts from it'. Empty where both
    runs have as many phases, as then these are compared with each other.
  """
  then = _settings(member.configs[0])
  return [line for config in member.configs[len(other.configs):]
          for line in _differences(_settings(config), then, then='then')]


def _by_seed(members):
  found = {}
  for member in members:
    seed = member.trained.config.seed
    if seed in found:
      raise ValueError(f'{member.trained.directory}: seed is {seed}, that of '
                       f'{found[seed].trained.directory}, too; expected one run of each seed.')
    found[seed] = member
  return found


def _check_pair(one):
  run, baseline = one
  _refuse(run, baseline, _within_pair(run, baseline), 'sources, method and phase')
  if (run.sources, run.arm) == (baseline.sources, baseline.arm):
    raise ValueError(f'{run.trained.directory}: differs in neither sources, method nor phase from '
                     f'{baseline.trained.directory}; expected a run with another source, or with '
                     'none.')
  windows = [np.asarray(trained_run.known(
      member.trained.directory, member.trained.config.target,
      data_dir=member.trained.config.data_dir).choice.windows) for member in one]
  if not np.array_equal(*windows):
    raise ValueError(f'{run.trained.directory}: labels.json has other labelled windows than that '
                     f'of {baseline.trained.directory}; expected the same labels.')


def _refuse(first, second, differences, allowed):
  """Raises a ValueError if there are differences, a list of texts."""
  if not differences:
    return
  more = len(differences) - _MAX_DIFFERENCES
  raise ValueError(
      f'{first.trained.directory}: cannot be compared with {second.trained.directory}, from which '
      f'it differs in more than {allowed}: {"; ".join(differences[:_MAX_DIFFERENCES])}'
      f'{f"; and {more} more" if more > 0 else ""}. Train one of them again.')


def _within_pair(run, baseline):
  differences = []
  for i, (config, other) in enumerate(zip(run.configs, baseline.configs, strict=False)):
    differences += _differences(_settings(config), _settings(other), 'pretraining: ' * bool(i))
  differences += _differences(run.totals, baseline.totals)
  shared = run.digests.keys() & baseline.digests.keys()
  return differences + _differences(*({f'data_digests.{name}': x.digests[name] for name in shared}
                                      for x in (run, baseline)))


def _between_pairs(before, member):
  settings = [{key: value for key, value in _settings(x.configs[0]).items()
               if key not in _OF_THE_PAIR} | x.arm for x in (before, member)]
  return _differences(*settings)


def _settings(config):
  """{flat key: value} of what decides the labels of an IDM, beside sources, method and phase."""
  return {key: value for key, value in configs_.flatten(json.loads(config.to_json())).items()
          if not {key, key.split('.')[0]} & {*_FREE, *_OF_THE_ARM}}


def _differences(first, second, where='', then='there'):
  return [f'{where}{key} is {first.get(key)}, {then} {second.get(key)}'
          for key in sorted(first.keys() | second.keys()) if first.get(key) != second.get(key)]


def _phase(config):
  return methods.phase_of(config.method, config.phase)
