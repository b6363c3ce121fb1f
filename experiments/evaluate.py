"""Scores a trained run: its agent in the environment, and its IDM's labels against the truth.

python -m experiments.evaluate --run=runs/alpt
python -m experiments.evaluate --run=runs/breakout --video=breakout.gif
python -m experiments.evaluate --config=experiments/configs/atari.py:desk \\
    --config.workdir=runs/breakout --config.evaluation.num_episodes=100

With --run, the config is the run's own. A config that is given must be the run's but for the group
`evaluation`; another one is refused. Training removes the hidden actions; this binary compares with
them. It prints the scores of the newest checkpoint and writes them to eval/final.json in the run
directory; a run without anything that could be scored is refused. Of an IDM, experiments.audit says
more, and does so of data that nothing plays. On Atari, --video saves the best of the episodes as
GIF or MP4.
"""

import json
import os
import sys

from alpt_jax import cli, domains
from alpt_jax.files import atomic_files, paths
from alpt_jax.labelling import part_scores, run_labels, trained_run
from alpt_jax.learners import acting
from alpt_jax.reports import video
from alpt_jax.training import compilation_cache, inputs, run_config, run_directory

_RUN = paths.define('run', '', 'The run directory; its config needs not be given.')
_DATA_DIR = paths.define('data_dir', '', 'With --run: where its data is, if it has moved '
                         'since.')
_VIDEO = paths.define('video', '', 'Where to save an episode: a .gif or .mp4 file.')


def main(config):
  """Evaluates `--run`, or `config.workdir`."""
  config = _config_of_run() if _RUN.value or _DATA_DIR.value else config
  compilation_cache.use(config.compilation_cache_dir)
  if _VIDEO.value:
    video.check_path(_VIDEO.value)  # Not after all games have been played.
    if not config.train_dt:
      raise ValueError('--video: the run has no agent (train_dt is False). Leave it out.')
  phase, specs = run_config.check_run(config)
  run = trained_run.restore(config.workdir, config, phase, specs)
  domain = domains.of(config)
  # After the parameters, whose shapes say more plainly what another config would have changed.
  # Another protocol of evaluation is nothing to the run, nor is how another version would train it.
  run_directory.check_config(
      config, config.workdir, domains.digests(config, inputs.environments(config, phase)),
      ignored=('evaluation', 'computation'))
  result, play, remarks = {'step': run.step}, None, []
  if config.train_dt:
    play = domain.make_evaluation(run.learner)
    if play is None and _VIDEO.value:
      raise ValueError('--video: evaluation.game is empty, so there is nothing to play. Name a '
                       'game with --config.evaluation.game, or leave --video out.')
    scores = play(run.params[run.learner.agent], True, _VIDEO.value) if play else {}
    result |= {mode: scores[mode] for mode in acting.MODES if mode in scores}
  if phase.idm:
    truth = domains.read(config, config.target, specs)
    paths = run_labels.files(config.workdir)
    space = specs[0].actions
    accuracy = run_labels.score_labels(paths, truth, space.is_right)
    if accuracy:  # Else nobody knows the hidden actions.
      result['label_accuracy'] = accuracy
      result |= part_scores.score(space, paths[-1], truth)
      newest = next(path for path in paths if run_labels.step_of(path) == max(accuracy))
      remarks.append(_of_labels(*run_labels.count_hidden(newest, truth), config.window))
  if len(result) == 1:
    raise ValueError(f'{config.workdir}: nothing to score: {_why_nothing(config, phase)}')
  atomic_files.write_json(os.path.join(config.workdir, 'eval', 'final.json'), result)
  print(json.dumps(result, indent=1))
  if not play:
    remarks.append(f'no agent was played; python -m experiments.audit --run={config.workdir} says '
                   'how far the labels can be trusted, where all windows vote')
  sys.stderr.write(''.join(f'{remark}\n' for remark in remarks))


def _of_labels(num_transitions, num_windows, window):
  """Says what `label_accuracy` is of."""
  return (f'label_accuracy: the share that is right, after each number of updates; at the last, of '
          f'{num_transitions:,} transitions whose action training did not know, in '
          f'{num_windows:,} single windows of {window}, as labelled during training')


def _config_of_run():
  """The config of `--run`."""
  if not _RUN.value:
    raise ValueError(f'--data_dir is {_DATA_DIR.value} and --run is empty; expected both, or '
                     '--config.data_dir beside --config.')
  if cli.is_config_given():
    raise ValueError(f'--run is {_RUN.value} and --config is given, too; expected one of them: '
                     '--run reads the config of the run.')
  config, _ = trained_run.read_config(_RUN.value, data_dir=_DATA_DIR.value)
  config.workdir = _RUN.value  # It may have moved.
  return config


def _why_nothing(config, phase):
  """Says why a run has neither scores nor label accuracies, and what to do."""
  agent = ('evaluation.game is empty, so nothing plays its agent' if config.train_dt else
           'it has no agent (train_dt is False)')
  if not phase.idm:
    return (f'{agent}, and method {config.method!r} trains no IDM. If the data is of an Atari '
            'game, name it with --config.evaluation.game.')
  return (f'{agent}, and its IDM labelled no transition whose hidden action is known. Its labels '
          'are compared with recorded actions that training did not use by python -m '
          f'experiments.audit --run={config.workdir}.')


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py')
