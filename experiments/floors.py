"""Puts the labels of a run between floors and ceiling, and says whether its agent looks.

python -m experiments.floors --run=runs/breakout
python -m experiments.floors --run=runs/breakout --causal=runs/breakout_causal

Compares the newest labels of the run's IDM, on hidden actions, with what needs no IDM: the most
frequent action, a table or a linear map of the change between two observations, fitted to the same
labels, and, with --causal, the IDM of a run with --config.model.idm_is_causal=True. The ceiling is
read where experiments.ceiling has measured it. The agent is called blind if exchanging its images
for others of the same episode costs its loss next to nothing, or leaves its score as it is: an
agent of an Atari game plays --games games once more, which takes as long as an evaluation. With
--labeller_transitions, the agent of a run without an IDM labels hidden transitions, from the past
and the recorded return-to-go: a floor for IDMs with the same labels. Writes floors.json in the run
directory.
"""

import os

from absl import flags

from alpt_jax import cli
from alpt_jax.files import atomic_files, paths
from alpt_jax.labelling import run_floors

_RUN = paths.define('run', '', 'The run directory.')
_CAUSAL = paths.define('causal', '', 'A run whose IDM sees the past only.')
_DATA_DIR = paths.define('data_dir', '', 'Where the data is, if it has moved since.')
_HELD_OUT_DIR = paths.define(
    'held_out_dir', '', 'A data_dir with another recording of the target, to measure the agent on; '
    'an agent that was given all actions needs it.')
_VOTED = flags.DEFINE_integer(
    'voted_transitions', 0, 'Hidden transitions to label with all windows voting, as '
    'experiments.label does; 0 for none.', lower_bound=0)
_LABELLER = flags.DEFINE_integer(
    'labeller_transitions', 0, 'Hidden transitions that the agent of a run without an IDM labels; '
    '0 for none. With as many --voted_transitions, an IDM is judged on the same.', lower_bound=0)
_GAMES = flags.DEFINE_integer(
    'games', 64, 'Games that the agent plays with exchanged images; 0: none, and its score says '
    'nothing of whether it looks.', lower_bound=0)
_SEED = flags.DEFINE_integer('seed', 0, 'Of draws and intervals.', lower_bound=0)


def main():
  """Measures `--run`."""
  if not _RUN.value:
    raise ValueError('--run is empty; expected a run directory, e.g. --run=runs/alpt.')
  found = run_floors.measure(_RUN.value, data_dir=_DATA_DIR.value, causal=_CAUSAL.value,
                             held_out_dir=_HELD_OUT_DIR.value,
                             voted_transitions=_VOTED.value,
                             labeller_transitions=_LABELLER.value, games=_GAMES.value,
                             seed=_SEED.value)
  path = os.path.join(_RUN.value, 'floors.json')
  atomic_files.write_json(path, found)
  print('\n'.join([*run_floors.sentences(found), f'Wrote {path}.']))


if __name__ == '__main__':
  cli.run_without_config(main)
