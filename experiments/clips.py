"""Selects clips of a dataset to label next: a run's IDM is unsure of them, and they differ.

python -m experiments.clips --run=runs/own/idm
python -m experiments.clips --run=runs/breakout --known=run --num_clips=50 --output=next

Prints the clips, the most useful first, by the file that was imported and the seconds in it, and
writes them to clips/clips.json in the run directory. For imports of videos and images it writes
clips/actions.csv, too: a list of actions for experiments.collect import, with the steps of the
clips and room for what was done there. What else is written stands in
alpt_jax/labelling/clips_run.py. That labels of these clips help more than those of others has not
been tested.
"""

import os
import sys

from absl import flags

from alpt_jax import cli
from alpt_jax.files import atomic_files, paths
from alpt_jax.labelling import clips_run, label_dataset, trained_idm
from alpt_jax.training import compilation_cache

_RUN = paths.define('run', '', 'The run directory of the IDM.')
_NUM_CLIPS = flags.DEFINE_integer('num_clips', 20, 'How many, at most.')
_LENGTH = flags.DEFINE_integer('length', 0, 'Steps of a clip; 0 for the window of the IDM.')
_OUTPUT = paths.define('output', '', 'Directory to write to; must not exist; by default, '
                       'clips in the run directory.')
_DATASET = paths.define('dataset', '', 'Directory of the dataset; by default, that of the '
                        "run's target.")
_ENVIRONMENT = flags.DEFINE_string('environment', '', 'Name of its environment, where the dataset '
                                   "has no environment.json; by default, the run's target.")
_KNOWN = flags.DEFINE_enum('known', None, label_dataset.KNOWN, 'Which actions have labels: those '
                           'that the data calls known, or those that training was given.')
_ALLOW_OTHER_SPEED = flags.DEFINE_bool(
    'allow_other_speed', False, 'Look at data of other steps_per_second or another frame_skip than '
    'the IDM was trained on; clips.json says so.')
_DATA_DIR = paths.define('data_dir', '', "Where the run's data is, if it has moved since.")


def main():
  """Picks clips."""
  if not _RUN.value:
    raise ValueError('--run is empty; expected a run directory, e.g. --run=runs/own/idm.')
  output = _OUTPUT.value or os.path.join(_RUN.value, 'clips')
  atomic_files.check_new(output, {'the run': _RUN.value})  # Before anything is read.
  trained = trained_idm.restore(_RUN.value, data_dir=_DATA_DIR.value)
  compilation_cache.use(trained.config.compilation_cache_dir)
  found = clips_run.clips_run(
      trained, dataset=_DATASET.value, environment=_ENVIRONMENT.value,
      known=_KNOWN.value or '', num_clips=_NUM_CLIPS.value, length=_LENGTH.value,
      allow_other_speed=_ALLOW_OTHER_SPEED.value)
  written = clips_run.write(found, output)
  trained_idm.warn_if_unfinished(trained)
  sys.stderr.write(''.join(f'{line}\n' for line in trained_idm.time_lines(found['times'])))
  print('\n'.join(clips_run.table(found)))
  print(f'Wrote {" and ".join(written)}.')
  if clips_run.has_files(found):
    print('Fill in actions there, add them to the list of actions beside what was imported, and '
          'import that again, into another directory.')


if __name__ == '__main__':
  cli.run_without_config(main)
