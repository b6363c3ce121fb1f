"""Measures a reference of label accuracy by enumeration, in the Atari data of a config.

python -m experiments.ceiling --config=experiments/configs/atari.py:desk,target=Breakout

Plays the target's recording again, and tries all actions at some of its steps in the emulator. The
reference is the accuracy of the best guess from o[t + 1], o[t + 2] and how often each action is
played. An IDM that sees its whole window may know more of the policy, and pass it. Writes
ceiling.json beside the data; a second call reads it. With --output, e.g.
experiments/results/ceilings/Breakout.json, it is written there, and what lies beside the data is
copied. About a minute and a half on one core for 600 steps of 100,000 (Breakout); longer in games
with more actions.
"""

from absl import flags

from alpt_jax import cli, domains
from alpt_jax import progress as progress_
from alpt_jax.data import episode_files
from alpt_jax.domains.atari import domain as atari
from alpt_jax.domains.atari import recording_ceiling
from alpt_jax.files import paths

_NUM_STEPS = flags.DEFINE_integer('num_steps', recording_ceiling.NUM_STEPS, 'Transitions to try.',
                                  lower_bound=1)
_SEED = flags.DEFINE_integer('seed', 0, 'Of their draw.', lower_bound=0)
_OUTPUT = paths.define('output', '', 'Directory, or .json file, to write to; by default, '
                       'ceiling.json beside the data.')


def main(config):
  """Measures the ceiling of each recording of `config.target`."""
  domain = domains.of(config)
  if not isinstance(domain, atari.Domain):
    raise ValueError(f'experiment is {config.experiment!r}; expected atari: without an emulator '
                     'the ceiling of label accuracy is unknown.')
  directories = domain.directories(config.target)
  if _OUTPUT.value and len(directories) > 1:
    raise ValueError(f'--output is one place and runs is {config.runs}; expected one run.')
  for directory in directories:
    episodes = episode_files.EpisodeFiles(
        [directory], domain.spec(config.target), expected_name=config.target)
    with progress_.Progress(int(episodes.num_transitions.sum()),
                            label=f'ceiling of {config.target}') as progress:
      found = recording_ceiling.measure(
          directory, episodes, num_steps=_NUM_STEPS.value, seed=_SEED.value, output=_OUTPUT.value,
          progress=progress.update)
    expected, realised = found['expected'], found['realised']
    print(f'{config.target}: {expected["value"]:.3f} of labels right by enumeration are expected '
          f'({expected["low"]:.3f} to {expected["high"]:.3f}; {expected["num_transitions"]} steps '
          f'of {expected["num_episodes"]} episodes), {realised["value"]:.3f} were.')
    for row in found['actions']:
      if row['expected'] is not None:
        print(f'  {row["name"]}: {row["expected"]:.3f} expected, '
              f'{row["num_transitions"]} steps')
    print(f'Wrote {recording_ceiling.path_of(directory, _OUTPUT.value)}.')


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/atari.py')
