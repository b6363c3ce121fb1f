"""Brings in the data of an experiment: TFDS directories with RLDS episodes.

python -m experiments.collect --config=experiments/configs/maze.py:desk
python -m experiments.collect --config=experiments/configs/atari.py:desk
python -m experiments.collect import --config.import_.kind=videos \
    --config.import_.from_dir=clips --config.import_.environment=breakout.json

Collects what the config names as targets and sources and is not there yet; see
alpt_jax/domains/maze/collect.py and alpt_jax/domains/atari/collect.py. The word `import` brings in
data of your own; see alpt_jax/domains/own/collect.py.
"""

from alpt_jax import cli
from alpt_jax.domains.maze import collect as collect_maze


def dataset_names(config):
  """Returns the names of all environments that a config mentions, sorted, without repetition."""
  if config.experiment == 'atari':
    return sorted({config.target, *config.get('other_targets', ()), *config.sources})
  names = {config.target, *config.sources, *config.study.targets}
  for part in (config.study, config.study.get('labels') or {}):
    for variant in part.get('variants', {}).values():
      names |= set(variant.sources)
  return sorted(names)


def main(config, names=None):
  """Collects what is missing of some environments; of those that the config mentions by default."""
  if 'import_' in config:
    raise ValueError('import_ is in the config, which is one of data of your own; expected the '
                     'word import before the flags (python -m experiments.collect import ...).')
  names = dataset_names(config) if names is None else names
  if config.experiment == 'atari':
    # The emulator, which mazes do not need.
    from alpt_jax.domains.atari import collect as collect_atari

    collect_atari.main(config, names)
  else:
    collect_maze.main(config, names)


def _import(config):
  """Brings in data of somebody's own."""
  from alpt_jax.domains.own import collect as import_own  # Readers that nobody else needs.

  import_own.main(config)


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py',
          verbs={'import': (_import, 'experiments/configs/own.py')})
