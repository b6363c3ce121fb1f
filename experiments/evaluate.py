"""Scores a trained run: its agent in the environment, and its IDM's labels against the truth.

python -m experiments.evaluate --config=experiments/configs/maze.py:desk --config.workdir=runs/alpt
python -m experiments.evaluate --config=experiments/configs/atari.py:desk \\
    --config.workdir=runs/breakout --video=breakout.gif

The config must be the run's; another one is refused. Training never opens the hidden actions; this
binary does. It prints the scores of the newest checkpoint and writes them to eval/final.json in the
run directory; a run without anything that could be scored is refused. Of an IDM, experiments.audit
says more, and does so of data that nothing plays. On Atari, --video saves the best of the episodes
as GIF or MP4.
"""

import json
import os
import sys

from absl import flags

from alpt_jax import atomic_files, cli, domains, video
from alpt_jax.labelling import run_labels
from alpt_jax.learners import acting
from alpt_jax.training import (
    checkpoints,
    compilation_cache,
    inputs,
    program,
    run_config,
    run_directory,
    sharding,
)

_VIDEO = flags.DEFINE_string('video', '', 'Where to save an episode: a .gif or .mp4 file.')


def main(config):
  """Evaluates `config.workdir`."""
  compilation_cache.use(config.compilation_cache_dir)
  if _VIDEO.value:
    video.check_path(_VIDEO.value)  # Not after all games have been played.
    if not config.train_dt:
      raise ValueError('--video: the run has no agent (train_dt is False). Leave it out.')
  phase, specs = run_config.check_run(config)
  made = program.make_program(config, phase, specs, sharding.make_mesh(num_devices=1))
  directory = os.path.join(config.workdir, 'checkpoints')
  step = checkpoints.latest_step(directory)
  if step is None:
    raise FileNotFoundError(f'{directory}: no checkpoint here. Train first, or correct '
                            '--config.workdir.')
  params = checkpoints.restore_params(directory, program.network_params(made.state), step=step)
  domain = domains.of(config)
  # After the parameters, whose shapes say more plainly what another config would have changed.
  # Another protocol of evaluation is nothing to the run, nor is how another version would train it.
  run_directory.check_config(
      config, config.workdir, domains.digests(config, inputs.environments(config, phase)),
      ignored=('evaluation', 'computation'))
  result, play = {'step': step}, None
  if config.train_dt:
    play = domain.make_evaluation(config, made.networks)
    if play is None and _VIDEO.value:
      raise ValueError('--video: evaluation.game is empty, so there is nothing to play. Name a '
                       'game with --config.evaluation.game, or leave --video out.')
    scores = play(params[phase.agent], True, _VIDEO.value) if play else {}
    result |= {mode: scores[mode] for mode in acting.MODES if mode in scores}
  if phase.idm:
    truth = domain.read(config, config.target)
    accuracy = run_labels.score_labels(run_labels.files(config.workdir), truth)
    if accuracy:  # Else nobody knows the hidden actions.
      result['label_accuracy'] = accuracy
  if len(result) == 1:
    raise ValueError(f'{config.workdir}: nothing to score: {_why_nothing(config, phase)}')
  atomic_files.write_json(os.path.join(config.workdir, 'eval', 'final.json'), result)
  print(json.dumps(result, indent=1))
  if not play:
    sys.stderr.write(f'no agent was played; python -m experiments.audit --run={config.workdir} '
                     'says how far the labels can be trusted\n')


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
