"""Scores a trained run: its agent in the environment, and its IDM's labels against the truth.

python -m experiments.evaluate --config=experiments/configs/maze.py:desk --config.workdir=runs/alpt

The config must be the run's; another one is refused. Training never opens the hidden actions; this
binary does. It prints the scores of the newest checkpoint and writes them to eval/final.json in the
run directory.
"""

import json
import os

import jax

from alpt_jax import alpt, checkpoints, evaluate, methods, train, whole_files
from alpt_jax.data import rlds
from alpt_jax.envs import maze
from experiments import cli


def main(config):
  """Evaluates `config.workdir`."""
  if config.compilation_cache_dir:
    jax.config.update('jax_compilation_cache_dir', config.compilation_cache_dir)
  phase = methods.phase_of(config.method, config.phase)
  layout = maze.layout_of(config.target)
  spec = maze.spec(layout, config.observation)
  networks = train.make_networks(config, spec)
  directory = os.path.join(config.workdir, 'checkpoints')
  step = checkpoints.latest_step(directory)
  if step is None:
    raise FileNotFoundError(f'{directory}: no checkpoint here. Train first, or correct '
                            '--config.workdir.')
  abstract = jax.eval_shape(lambda key: alpt.init_params(
      key, networks, window=config.window, with_idm=bool(phase.idm)), jax.random.key(0))
  params = checkpoints.restore_params(directory, abstract, step=step)
  # After the parameters, whose shapes say more plainly what another config would have changed.
  train.check_config(config, config.workdir, train.data_digests(config))
  agent = evaluate.MazeEvaluator(networks.dt, layout, observation=config.observation)
  result = {'step': step}
  for mode in ('argmax', 'sampled'):
    result[mode], _ = agent.run(params['dt'], acting_mode=mode)
  if phase.idm:
    truth = rlds.read_episodes(os.path.join(config.data_dir, config.target), spec,
                               expected_name=config.target)
    result['label_accuracy'] = evaluate.score_labels(config.workdir, truth)
  whole_files.write_json(os.path.join(config.workdir, 'eval', 'final.json'), result)
  print(json.dumps(result, indent=1))


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py')
