"""Validates the config of a run before any data is read, and reads that of an earlier one."""

import dataclasses
import json
import math
import operator

from alpt_jax import configs, domains, methods
from alpt_jax.data import source_actions
from alpt_jax.learners import learner, optimizers, pseudo_labels
from alpt_jax.training import computation

_AT_LEAST_1 = ('window', 'num_steps', 'eval_every_steps', 'checkpoint_every_steps',
               'log_every_steps', 'model.num_layers', 'model.num_heads', 'model.d_model',
               'sampling.num_shards', 'sampling.pool_size', 'sampling.num_threads',
               'sharding.fsdp', 'sharding.accumulate',
               'distributed.init_timeout_seconds', 'distributed.heartbeat_timeout_seconds',
               'distributed.hang_timeout_seconds')
_AT_LEAST_0 = ('seed', 'label_seed', 'num_label_windows', 'model.vector_bins', 'model.patch_size',
               'sharding.microbatch')
_NUMBERS = ('optimizer.idm_learning_rate', 'optimizer.dt_learning_rate', 'optimizer.warmup_steps',
            'optimizer.weight_decay', 'optimizer.max_grad_norm', 'optimizer.tokenizer_scale',
            'reward_weight', 'return_weight', 'action_weight')  # Finite, at least 0.


def frames_per_step(config):
  """Returns the frames of the environment in one transition of a run's data."""
  return domains.of(config).frames_per_step


def check_run(config):
  """Refuses a config that no data could make right.

  Args:
    config: the run's.

  Returns:
    Its `methods.Phase`; its `types.EnvironmentSpec`s, see `domains.specs`, with the legal actions
    of `source_actions`.

  Raises:
    ValueError: naming the field.
  """
  for keys, least in ((_AT_LEAST_1, 1), (_AT_LEAST_0, 0)):
    for key in keys:
      value = operator.attrgetter(key)(config)
      if value < least:
        raise ValueError(f'{key} is {value}; expected at least {least}.')
  for key in _NUMBERS:
    value = operator.attrgetter(key)(config)
    if not (value >= 0 and math.isfinite(value)):  # Nor is NaN.
      raise ValueError(f'{key} is {value}; expected a number of at least 0.')
  if not config.reward_weight + config.return_weight + config.action_weight:
    raise ValueError('reward_weight, return_weight and action_weight are 0; expected one of them '
                     'above 0, or the DT learns nothing. To train the IDM alone, use '
                     '--config.train_dt=False.')
  _check_schedule(config)
  for key in ('idm_dropout', 'dt_dropout'):
    if not 0 <= config.model[key] < 1:
      raise ValueError(f'model.{key} is {config.model[key]}; expected it in [0, 1).')
  _check_num_labels(config)
  if not 0 <= config.sampling.labelled_share < 1:
    raise ValueError(f'sampling.labelled_share is {config.sampling.labelled_share}; expected it in '
                     '[0, 1), 0 for equal shares.')
  if not isinstance(config.model.idm_is_causal, bool):
    raise ValueError(f'model.idm_is_causal is {config.model.idm_is_causal!r}; expected True or '
                     'False.')
  pseudo_labels.check(pseudo_labels.Settings(**config.pseudo_labels))
  phase = methods.phase_of(config.method, config.phase)
  mode = config.pseudo_labels.mode
  if mode != 'hard' and not phase.is_labelled_by_idm:
    raise ValueError(f'pseudo_labels.mode is {mode!r}, and no IDM labels in phase {config.phase!r} '
                     f"of method {config.method!r}; expected 'hard', or a method like 'alpt'.")
  if config.model.idm_is_causal and not phase.idm:
    raise ValueError(f'model.idm_is_causal is True, and method {config.method!r} trains no IDM in '
                     f"phase {config.phase!r}; expected False, or a method like 'dt1_idm'.")
  if not config.train_dt:
    if not phase.idm:
      raise ValueError(f'train_dt is False, and method {config.method!r} trains no IDM in phase '
                       f'{config.phase!r}: nothing is left to train.')
    phase = dataclasses.replace(phase, agent=())
  names = (*domains.targets(config), *config.sources)
  for target in domains.targets(config):
    if target in config.sources:
      raise ValueError(f'sources contain the target {target}: sources are fully labelled, no '
                       'action would be hidden. Take it out of --config.sources.')
  for name in names:
    if names.count(name) > 1:
      raise ValueError(f'{name} is named {names.count(name)} times among target and sources; '
                       'expected every environment once.')
  _check_source_actions(config)
  if config.phase == 'finetune' and methods.METHODS[config.method].pretrain and (
      not config.init_from):
    raise ValueError(f'init_from is empty; method {config.method!r} finetunes what it has '
                     'pretrained. Give --config.init_from=<run directory of the pretraining>.')
  specs = source_actions.of_specs(
      config.source_actions, domains.specs(config), len(domains.targets(config)))
  learner.make(config, phase, specs).check()
  return phase, specs


def load(path, *, remedy):
  """Reads the config.json of a run.

  Args:
    path: of the file.
    remedy: what to do about one that is damaged; a sentence.

  Returns:
    Nested dicts.

  Raises:
    ValueError: if it is damaged, or of a version that is not read any more.
  """
  try:
    with open(path, 'rb') as f:
      content = json.load(f)
    configs.flatten(content)
    version = int(content.get('computation', 1))
  except (ValueError, AttributeError, TypeError) as error:
    raise ValueError(f'{path}: not the config of a run ({error!r}); the file is damaged. '
                     f'{remedy}') from error
  if version < computation.OLDEST:
    raise ValueError(f'{path}: the run is of an earlier version of this code (computation '
                     f'{version}; {computation.OLDEST} and later ones are read). Read it with the '
                     'code that trained it, or train it again.')
  return content


def _check_num_labels(config):
  """Refuses a number of labels that whole windows do not make."""
  num_labels, window = config.num_labels, config.window
  is_all = num_labels == 0 and domains.of(config).zero_labels_are_all
  if not is_all and (num_labels < window or num_labels % window):
    raise ValueError(f'num_labels is {num_labels}; expected a multiple of the window of {window} '
                     'transitions, at least one window. Try '
                     f'{max(num_labels // window, 1) * window}.')


def _check_source_actions(config):
  """Refuses unknown changes of sources, and changes of none."""
  source_actions.check(config.source_actions)
  is_used = config.sources and methods.METHODS[config.method].uses_sources
  if config.source_actions != 'true' and not is_used:
    raise ValueError(f'source_actions is {config.source_actions!r}, and method {config.method!r} '
                     f"with sources {tuple(config.sources)} reads none; expected 'true', or a "
                     "method like 'alpt' with sources.")


def _check_schedule(config):
  """Refuses unknown optimizers, and rates that have no end."""
  settings = config.optimizer
  for key, known in (('name', optimizers.NAMES), ('schedule', optimizers.SCHEDULES)):
    if settings[key] not in known:
      raise ValueError(f'optimizer.{key} is {settings[key]!r}; expected one of {known}.')
  if not 0 <= settings.final_fraction <= 1:
    raise ValueError(f'optimizer.final_fraction is {settings.final_fraction}; expected it in '
                     '[0, 1].')
  if settings.schedule == 'cosine' and config.num_steps <= settings.warmup_steps:
    raise ValueError(f'num_steps is {config.num_steps}; expected more than optimizer.warmup_steps '
                     f"{settings.warmup_steps} for schedule 'cosine'.")
