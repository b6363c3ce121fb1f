"""Initialises a finetuning from a pretraining, and refuses one that knew hidden actions.

A pretraining must have seen the target's actions through the labels of this finetuning only, and
its networks must be those of this run. Both are read from the run directory of the pretraining,
`config.init_from`.
"""

import json
import os

import numpy as np

from alpt_jax import configs, domains, methods
from alpt_jax.data import labels
from alpt_jax.training import checkpoints, program, run_config

_SEES_ALL = (methods.TRUE_ACTIONS, methods.KNOWN_ACTIONS)
_LIMITS = ('window', 'num_labels', 'label_seed', 'held_out', 'experiment', 'observation', 'dataset',
           'runs', 'source_actions')
# The same parameters can be trained with other dropout, and computed with in another type.
_FREE_OF_MODEL = ('dropout', 'dtype')


def check(config, workdir):
  """Refuses a pretraining that does not go with a run; before any data is read.

  Args:
    config: the run's; without `init_from` there is nothing to refuse.
    workdir: the run directory. A run that has checkpoints of its own reads none of `init_from`.

  Raises:
    FileNotFoundError, ValueError: naming the field that differs.
  """
  if not config.init_from:
    return
  method = methods.METHODS[config.method]
  if config.phase != 'finetune' or method.pretrain is None:
    which = ('starts from scratch' if method.pretrain is None else
             f'starts from a pretraining in phase finetune, not {config.phase}')
    raise ValueError(f'init_from is {config.init_from}; method {config.method!r} {which}. Leave it '
                     'empty.')
  path, before = _read(config.init_from)
  _check_method(config, path, before)
  _check_target(config, path, before)
  now = configs.flatten(json.loads(config.to_json()))
  for key in (*_LIMITS, *(k for k in now if k.startswith('model.')
                          and not k.endswith(_FREE_OF_MODEL))):
    if before.get(key) != now.get(key):
      raise ValueError(f'{path}: {key} is {before.get(key)}, this run has {now.get(key)}. The '
                       'labels, the networks and the actions of the sources of a finetuning are '
                       'those of its pretraining.')
  if checkpoints.latest_step(os.path.join(workdir, 'checkpoints')) is None:
    step = checkpoints.latest_step(os.path.join(config.init_from, 'checkpoints')) or 0
    if step < before['num_steps']:
      raise ValueError(f'{config.init_from}: its newest checkpoint is of step {step}, and its '
                       f'num_steps is {before["num_steps"]}: it is not finished. Train it to its '
                       'end first.')


def check_data(config, digests, data):
  """Refuses a pretraining on other data or with other labels of the target.

  A source that shows the target's episodes with other actions was refused when the pretraining
  began, unless that was done by earlier code; so sources are compared again if they are here, and
  else a line is printed.

  Args:
    config: the run's, that `check` has passed.
    digests: from `domains.digests`, of this run.
    data: `inputs.Data` of this run.

  Raises:
    FileNotFoundError, ValueError: naming what differs.
  """
  if not config.init_from:
    return
  path, before = _read(config.init_from)
  target, notes = config.target, []
  digest = before.get(f'data_digests.{target}')
  if digest != digests[target]:
    raise ValueError(f'{path}: data_digests.{target} is {digest}, the data of this run has '
                     f'{digests[target]}. The labels are those of other episodes: finetune on the '
                     'data of the pretraining, or pretrain again.')
  for name in before.get('sources') or ():
    if before.get(f'data_digests.{name}') == digest:
      raise ValueError(f'{path}: data_digests.{name} is {digest}, that of the target {target}: the '
                       'source is a copy of it, with all its actions. Pretrain without it.')
    notes += _check_copy(config, path, before, name, data.episodes[target])
  file = 'labels.json' if before['target'] == target else f'labels-{target}.json'
  path = os.path.join(config.init_from, file)
  if not os.path.exists(path):
    raise FileNotFoundError(f'{path}: no such file, so nothing says which actions the pretraining '
                            'knew. Restore it from a copy of the run.')
  known, choice = labels.read_choice(path), data.choices[target]
  if not np.array_equal(known.windows, choice.windows):
    num_more = len({*map(tuple, known.windows.tolist())} - {*map(tuple, choice.windows.tolist())})
    raise ValueError(f'{path}: {len(known.windows)} labelled windows, {num_more} of which this run '
                     f'does not have; it has {len(choice.windows)}. The pretraining knew hidden '
                     'actions: pretrain again.')
  for note in notes:  # Not before an error that somebody has to mend first.
    print(note, flush=True)


def _check_copy(config, path, before, source, episodes):
  """Refuses a source of a pretraining that shows the target's episodes, if its data is here.

  Returns:
    A list of notes: one if it is not here.
  """
  domain = domains.of(config)
  lost = [name for name in domain.directories(source) if not os.path.isdir(name)]
  if lost or domain.digest(source) != before.get(f'data_digests.{source}'):
    reason = f'there is no {lost[0]}' if lost else 'its data has changed since'
    return [f'{path}: whether the source {source} holds copies of episodes of {config.target} was '
            f'not checked again: {reason}.']
  try:
    domain.check_data({config.target: episodes, source: domain.read(source)},
                      [config.target])
  except ValueError as error:
    raise ValueError(f'{path}: sources has {source}: {error} Pretrain again.') from error
  return []


def initialise(directory, state):
  """Takes the parameters of a pretraining; optimizers and step start anew (decision 9).

  Args:
    directory: the run directory of the pretraining.
    state: `types.TrainState` of the finetuning.

  Returns:
    The state with these parameters.
  """
  _, params = checkpoints.restore_params(
      os.path.join(directory, 'checkpoints'), program.network_params(state))
  return state.replace(**{name: getattr(state, name).replace(params=tree)
                          for name, tree in params.items()})


def _read(directory):
  """Path and flattened content of the config.json of a pretraining."""
  path = os.path.join(directory, 'config.json')
  if not os.path.exists(path):
    raise FileNotFoundError(f'{path}: no such file. Give the run directory of a pretraining as '
                            '--config.init_from.')
  remedy = 'Pretrain again, or choose another --config.init_from.'
  before = configs.flatten(run_config.load(path, remedy=remedy))
  missing = [key for key in ('target', 'method', 'phase', 'num_steps', 'model.d_model')
             if key not in before]
  if missing:
    raise ValueError(f'{path}: not the config of a run, it has no {missing[0]}; the file is '
                     f'damaged. {remedy}')
  return path, before


def _check_method(config, path, before):
  """Refuses a pretraining that sees hidden actions, or is not what the method pretrains."""
  name, phase = before['method'], before['phase']
  method = methods.METHODS.get(name)
  if method is None:
    raise ValueError(f'{path}: method is {name!r}; expected one of {sorted(methods.METHODS)}.')
  if any(p and p.unlabelled in _SEES_ALL for p in (method.joint, method.finetune, method.pretrain)):
    raise ValueError(f'{path}: method is {name!r}, which sees every action of the target; '
                     f'{config.method!r} may not. Start from a pretraining of {config.method!r}.')
  if phase != 'pretrain':
    raise ValueError(f'{path}: phase is {phase!r}; expected the run of a pretraining, phase '
                     "'pretrain'.")
  if method.pretrain != methods.METHODS[config.method].pretrain:
    raise ValueError(f'{path}: method is {name!r}, whose pretraining is not that of '
                     f'{config.method!r}: it learns from other data. Start from a pretraining of '
                     f'{config.method!r}.')
  if before.get('init_from'):
    raise ValueError(f'{path}: init_from is {before["init_from"]}, so it was not pretrained from '
                     'scratch, and what it started from may have seen hidden actions. Pretrain '
                     'again.')


def _check_target(config, path, before):
  """Refuses a pretraining that had this run's target as a source, or not as a target."""
  targets = (before['target'], *(before.get('other_targets') or ()))
  if config.target in (before.get('sources') or ()):
    raise ValueError(f'{path}: sources contain {config.target}, the target of this run: the '
                     'pretraining has seen all its actions. Pretrain without that source.')
  if config.target not in targets:
    raise ValueError(
        f'{path}: target is {" and ".join(targets)}, this run has {config.target}, whose actions '
        'the pretraining may have seen. Pretrain with that target, or name it in other_targets.')
