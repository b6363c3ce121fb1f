"""Labels a dataset with a run's IDM: writes it again, with an action for every transition.

python -m experiments.label --run=runs/own --output=runs/own/data/Labelled
python -m experiments.label --run=runs/breakout --known=run --stride=5 --output=labelled/Breakout

Known actions are never changed; action_source says which those are. What else is written stands in
alpt_jax/data/label_fields.py. Every window that holds a transition votes on it; --stride=5, the
window of the IDM, takes one of them, as the paper does.

After an interruption, the same command resumes. --share=0/4 .. 3/4 divide the work among
four machines that write to one file system; the last to end puts the dataset under its name.

Exit codes: 0 done, or this share is; 75 stopped by SIGTERM or SIGINT (run it again to resume), or
143 or 130 before there was anything to save; 1 a mistake in flags or data, too little memory, or a
full disk (what is labelled stays, and the same command resumes).
"""

import re

from absl import flags

from alpt_jax import cli
from alpt_jax.files import paths
from alpt_jax.labelling import label_dataset, trained_idm
from alpt_jax.training import compilation_cache, stopping

_RUN = paths.define('run', '', 'The run directory of the IDM.')
_OUTPUT = paths.define('output', '', 'Directory of the labelled dataset; must not exist.')
_DATASET = paths.define('dataset', '', 'Directory of the dataset to label; by default, that '
                        "of the run's target.")
_ENVIRONMENT = flags.DEFINE_string('environment', '', 'Name of its environment, where the dataset '
                                   "has no environment.json; by default, the run's target.")
_STRIDE = flags.DEFINE_integer('stride', 1, 'Transitions from one window of the IDM to the next; '
                               '1: all windows vote; the window: they do not overlap.')
_TEMPERATURE = flags.DEFINE_float('temperature', 1., 'Of the probabilities; above 1 they become '
                                  'more equal. experiments.audit finds one for a stride.')
_TOP_K = flags.DEFINE_integer('top_k', 0, 'How many probabilities are written; 0: all.')
_KNOWN = flags.DEFINE_enum('known', None, label_dataset.KNOWN, 'Which actions are true ones: those '
                           'that the data calls known, or those that training was given.')
_EPISODES_PER_FILE = flags.DEFINE_integer('episodes_per_file', 50, 'At most; a process that is '
                                          'killed loses the file it was at.')
_SHARE = flags.DEFINE_string('share', '0/1', 'Which share of the work: 0/4, 1/4, 2/4 or 3/4 of '
                             'four.')
_ALLOW_OTHER_SPEED = flags.DEFINE_bool(
    'allow_other_speed', False, 'Label data of other steps_per_second or another frame_skip than '
    "the IDM was trained on; the labels' card says so.")
_DATA_DIR = paths.define('data_dir', '', "Where the run's data is, if it has moved since.")


def main():
  """Labels the dataset that the flags name, or resumes doing so."""
  for name, flag, example in (('run', _RUN, 'a run directory, e.g. --run=runs/own'),
                              ('output', _OUTPUT, 'a directory, e.g. --output=labelled/Play')):
    if not flag.value:
      raise ValueError(f'--{name} is empty; expected {example}.')
  share = re.fullmatch(r'(\d+)/([1-9]\d*)', _SHARE.value)
  if not share:
    raise ValueError(f'--share is {_SHARE.value!r}; expected e.g. 0/4, the first of four.')
  trained = trained_idm.restore(_RUN.value, data_dir=_DATA_DIR.value)
  compilation_cache.use(trained.config.compilation_cache_dir)
  with stopping.StopSignal() as stop:
    try:
      with stop.raising():
        card = label_dataset.label_run(
            trained, _OUTPUT.value, dataset=_DATASET.value, environment=_ENVIRONMENT.value,
            stride=_STRIDE.value, temperature=_TEMPERATURE.value, top_k=_TOP_K.value,
            known=_KNOWN.value or '', episodes_per_file=_EPISODES_PER_FILE.value,
            allow_other_speed=_ALLOW_OTHER_SPEED.value,
            share=tuple(map(int, share.groups())))
    except stopping.Stopped:
      print(f'{_OUTPUT.value}: stopped; the same command resumes.')
      return stopping.PREEMPTED
  if card is None:
    print(f'{_OUTPUT.value}: share {_SHARE.value} is done; others are not yet.')
    return stopping.DONE
  found = card['labels']
  if 'parts' in found:
    print('\n'.join(label_dataset.lines_of_parts(
        found['parts'], card['num_transitions'])))
  values = 'values' if 'parts' in found else 'actions'
  print(f"{_OUTPUT.value}: {card['num_episodes']} episodes; {found['num_true']} true {values}, "
        f"{found['num_idm']} labelled by the IDM of step {found['step']}.")
  return stopping.DONE


if __name__ == '__main__':
  cli.run_without_config(main)
