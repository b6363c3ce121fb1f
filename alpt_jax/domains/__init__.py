"""Looks up the domain of a config: the family of environments it is about.

Everything else, `train` first of all, is the same for mazes, Atari games and data of your own. A
config says which domain it is of in `config.experiment`: a name of the table, or that of an
importable module with a class `Domain`, see `base.Domain`.
"""

import dataclasses
import importlib

from alpt_jax import action_space, schema
from alpt_jax.domains import base
from alpt_jax.learners import alpt

# {experiment: module}; imported when it is asked for, so that mazes need nothing of games.
_DOMAINS = {'maze': 'alpt_jax.domains.maze.domain', 'atari': 'alpt_jax.domains.atari.domain',
            'own': 'alpt_jax.domains.own.domain', 'camera': 'alpt_jax.domains.camera.domain',
            'doom': 'alpt_jax.domains.doom.domain'}
EXPECTED = (f'one of {sorted(_DOMAINS)}, or the name of an importable module with a class Domain '
            'derived from alpt_jax.domains.base.Domain')


def of(config):
  """Makes the domain of a config.

  Args:
    config: of a run or a study.

  Returns:
    A `base.Domain`, bound to the config.

  Raises:
    ValueError: if `config.experiment` names none.
  """
  return named(config.experiment)(config)


def named(experiment, field='experiment'):
  """Looks up a domain, for what is the same of all its configs.

  Args:
    experiment: as in a config, or in results.json.
    field: what holds the name, for messages.

  Returns:
    A subclass of `base.Domain`.

  Raises:
    ValueError: if there is none of that name.
  """
  is_name = isinstance(experiment, str) and all(map(str.isidentifier, experiment.split('.')))
  schema.expect(field, experiment, is_name, EXPECTED)
  try:
    module = importlib.import_module(_DOMAINS.get(experiment, experiment))
  except (ImportError, SyntaxError) as error:
    if experiment in _DOMAINS:
      raise
    raise ValueError(f'{field} is {experiment!r}, which cannot be imported ({error}); expected '
                     f'{EXPECTED}.') from error
  found = getattr(module, 'Domain', None)
  schema.expect(field, experiment, isinstance(found, type) and issubclass(found, base.Domain),
                EXPECTED)
  return found


def specs(config):
  """Returns the `types.EnvironmentSpec`s of a run: the target, other targets, sources.

  `types.Batch.environment` indexes them.

  Raises:
    ValueError: for a name that is no environment, or environments that do not go together.
  """
  domain = of(config)
  domain.check()
  result = [domain.spec(name) for name in (*targets(config), *config.sources)]
  spaces = action_space.union([spec.actions for spec in result], [spec.name for spec in result])
  result = [dataclasses.replace(spec, actions=space)
            for spec, space in zip(result, spaces, strict=True)]
  alpt.legal_actions(result)  # One action space.
  return result


def read(config, name, specs, *, with_idm_labels=False):
  """Reads the episodes of an environment of a run, with all known actions.

  Args:
    config: of the run.
    name: of the environment.
    specs: from `specs`; actions of several parts are laid out as there.
    with_idm_labels: see `base.Domain.read`.

  Returns:
    `episodes.Episodes`.
  """
  found = of(config).read(name, with_idm_labels=with_idm_labels)
  return laid_out(config, found, name, specs)


def laid_out(config, episodes, name, specs):
  """Lays out the actions of an environment of a run as the run has them.

  Args:
    config: of the run.
    episodes: from `base.Domain.read`.
    name: of the environment.
    specs: from `specs`.

  Returns:
    `episodes.Episodes`.
  """
  own, space = of(config).spec(name).actions, next(s.actions for s in specs if s.name == name)
  if own == space:
    return episodes
  return episodes.with_actions(lambda _, actions, is_known: own.laid_out(actions, is_known, space))


def notes(config):
  """Returns lines on its data that a run prints at its start: a list of str.

  Raises:
    FileNotFoundError, ValueError: if an environment is not described as it has to be.
  """
  domain = of(config)
  return [line for name in (*targets(config), *config.sources)
          for line in domain.notes(name)]


def digests(config, names):
  """Returns {environment: digest of its data} for some environments of a run.

  Raises:
    ValueError: if a target has the data of another environment, whose actions are all known.
  """
  domain = of(config)
  result = {name: domain.digest(name) for name in names}
  for target in set(targets(config)) & result.keys():
    for name, digest in result.items():
      if name != target and digest == result[target]:
        raise ValueError(f'{name} and the target {target} have the same data, digest {digest}; '
                         'expected others: hidden actions would be known from the copy. Take one '
                         'out of the config.')
  return result


def targets(config):
  """Returns the action-limited environments of a run, the evaluated one first.

  Section 5.4 pretrains once for several targets (`config.other_targets`); finetuning has one.
  """
  others = config.get('other_targets', ()) if config.phase != 'finetune' else ()
  return (config.target, *others)
