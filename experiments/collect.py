"""Collects the data of an experiment: TFDS directories with RLDS episodes.

python -m experiments.collect --config=experiments/configs/maze.py:desk
python -m experiments.collect --config=experiments/configs/atari.py:desk
python -m experiments.collect import --config.import_.kind=videos \
    --config.import_.from_dir=clips --config.import_.environment=breakout.json

Collects what the config names as targets and sources and is not there yet; see
alpt_jax/domains/maze/collect.py and alpt_jax/domains/atari/collect.py. The word `import` brings in
data of your own; see alpt_jax/domains/own/collect.py.
"""

from alpt_jax import cli, domains


def main(config, names=None):
  """Collects what is missing of some environments; of those that the config mentions by default."""
  domain = domains.of(config)
  domain.collect(domain.environments() if names is None else names)


def _import(config):
  """Brings in data from elsewhere."""
  domains.of(config).import_data()


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py',
          verbs={'import': (_import, 'experiments/configs/own.py')})
