"""What differs between families of environments: specs, the place of the data, scores of agents.

Everything else, `train` first of all, is the same for mazes, Atari games and anybody's own data. A
config says which domain it is of in `config.experiment`.
"""

from alpt_jax.domains.atari.domain import Atari
from alpt_jax.domains.maze.domain import Maze
from alpt_jax.domains.own.domain import Own
from alpt_jax.learners import alpt

_DOMAINS = {'maze': Maze, 'atari': Atari, 'own': Own}


def of(config):
  """Looks up the domain of a config; ValueError for an unknown one."""
  if config.experiment not in _DOMAINS:
    raise ValueError(f'experiment is {config.experiment!r}; expected one of {sorted(_DOMAINS)}.')
  return _DOMAINS[config.experiment]


def specs(config):
  """The `types.EnvironmentSpec`s of a run: the target, other targets, sources.

  `types.Batch.environment` indexes them.

  Raises:
    ValueError: for a name that is no environment, or environments that do not go together.
  """
  domain = of(config)
  domain.check(config)
  result = [domain.spec(config, name) for name in (*targets(config), *config.sources)]
  alpt.legal_actions(result)  # One action space.
  return result


def notes(config):
  """Returns what whoever trains a run should know of its data: a list of lines.

  Raises:
    FileNotFoundError, ValueError: if an environment is not described as it has to be.
  """
  domain = of(config)
  return [line for name in (*targets(config), *config.sources)
          for line in domain.notes(config, name)]


def digests(config, names):
  """Returns {environment: digest of its data} for some environments of a run.

  Raises:
    ValueError: if a target has the data of another environment, whose actions are all known.
  """
  domain = of(config)
  result = {name: domain.digest(config, name) for name in names}
  for target in set(targets(config)) & result.keys():
    for name, digest in result.items():
      if name != target and digest == result[target]:
        raise ValueError(f'{name} and the target {target} have the same data, digest {digest}; '
                         'expected others: hidden actions would be known from the copy. Take one '
                         'out of the config.')
  return result


def targets(config):
  """The action-limited environments of a run, the evaluated one first.

  Section 5.4 pretrains once for several targets (`config.other_targets`); finetuning has one.
  """
  others = config.get('other_targets', ()) if config.phase != 'finetune' else ()
  return (config.target, *others)
