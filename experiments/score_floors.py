"""Measures the scores of agents that look at nothing, in the game of a config.

python -m experiments.score_floors --config=experiments/configs/atari.py:desk,target=Breakout

Plays the target at random, with each action alone, with a Markov chain of the recording's actions
and with its rate of repeating the last one, by the evaluator and the protocol of `evaluation`
(max_steps, sticky), and writes score_floors.json beside the data (or to --output). A second call
reads it.
"""

from absl import flags

from alpt_jax import cli, domains
from alpt_jax import progress as progress_
from alpt_jax.data import episode_files
from alpt_jax.domains.atari import domain as atari
from alpt_jax.files import paths

_NUM_EPISODES = flags.DEFINE_integer('num_episodes', 400, 'Games of each agent.', lower_bound=1)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the games.', lower_bound=0)
_OUTPUT = paths.define('output', '', 'Directory to write to; by default, that of the data.')


def main(config):
  """Measures the floors of `config.target`, of the first of `config.runs`."""
  # JAX and the emulator: a typo is reported before.
  from alpt_jax.domains.atari import score_floors

  domain = domains.of(config)
  if not isinstance(domain, atari.Domain):
    raise ValueError(f'experiment is {config.experiment!r}; expected atari, whose games are '
                     'played.')
  directory, *_ = domain.directories(config.target)
  episodes = episode_files.EpisodeFiles(
      [directory], domain.spec(config.target), expected_name=config.target)
  with progress_.Progress(score_floors.num_agents(config.target),
                          label=f'blind play of {config.target}', unit='agents') as progress:
    found = score_floors.measure(
        directory, episodes, config.target, num_episodes=_NUM_EPISODES.value, seed=_SEED.value,
        max_steps=config.evaluation.max_steps, sticky=config.evaluation.sticky,
        output=_OUTPUT.value, progress=progress.update)
  for name, result in found['agents'].items():
    error = result['standard_error']
    print(f'{name}: {result["score"]:.4g}'
          + ('' if error is None else f' +- {error:.2g} (standard error)')
          + f', {result["num_episodes"]} games, {result["num_cut"]} cut')
  print(f'Wrote {score_floors.path_of(directory, _OUTPUT.value)}.')


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/atari.py')
