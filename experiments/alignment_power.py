"""Counts how often a late list of actions is found, and a right one is taken for late.

python -m experiments.alignment_power --config=experiments/configs/atari.py:desk \
    --environments=Breakout,Pong --output=experiments/results/alignment

Draws data sets of 10 to 40 clips from recordings whose actions are right, by seeds, and asks
`measures.alignment` about each of them, and about the same with a late list:
  right   as recorded
  late    every list is late by 1 or by 2
  tenth   of 20 clips or more, a tenth have lists that are late by 1 or 2
Writes a line for each data set (<experiment>_datasets.csv) and the sums (<experiment>.csv).
"""

import csv
import io
import pathlib

from absl import flags

from alpt_jax import cli, domains
from alpt_jax import progress as progress_
from alpt_jax.files import atomic_files, paths
from experiments.studies import alignment_datasets

_ENVIRONMENTS = flags.DEFINE_list('environments', [], 'Names; by default, all of the config.')
_NUM_DATASETS = flags.DEFINE_integer('num_datasets', 100, 'Of each environment.', lower_bound=1)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the first; the others follow.', lower_bound=0)
_OUTPUT = paths.define('output', 'runs/alignment', 'Directory to write to.')


def main(config):
  """Judges all data sets; writes and prints the sums."""
  domain = domains.of(config)
  names = _ENVIRONMENTS.value or domain.environments()
  rows = []
  with progress_.Progress(len(names) * _NUM_DATASETS.value, label='judging') as progress:
    for name in names:
      data, num_actions = domain.read(name), domain.spec(name).num_actions
      for seed in range(_SEED.value, _SEED.value + _NUM_DATASETS.value):
        rows += alignment_datasets.dataset(name, data, num_actions, seed)
        progress.update(len(rows) // len(alignment_datasets.CASES))
      _write(config.experiment, rows)
  for row in alignment_datasets.summed(rows):
    print(', '.join(f'{key} {value}' for key, value in row.items()))


def _write(experiment, rows):
  for suffix, fields, content in (
      ('_datasets', alignment_datasets.FIELDS, rows),
      ('', alignment_datasets.SUMS, alignment_datasets.summed(rows))):
    path = pathlib.Path(_OUTPUT.value, f'{experiment}{suffix}.csv')
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator='\n')
    writer.writeheader()
    writer.writerows(content)
    atomic_files.write(path, text.getvalue().encode())


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/atari.py')
