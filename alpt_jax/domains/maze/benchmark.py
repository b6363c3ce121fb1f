"""Times evaluations of agents in mazes, for `experiments.benchmark`."""

import time

import numpy as np

from alpt_jax.domains.maze import env, evaluate
from alpt_jax.learners import acting

LOADING = ()  # All data is in memory.


class Evaluation:
  """Whole evaluations of an agent, as in training: by arg max, from every start."""

  def __init__(self, config, dt, params):
    """Runs once, which compiles.

    Args:
      config: of a run.
      dt: the `DecisionTransformer`.
      params: its parameters.
    """
    layout = env.layout_of(config.target)
    legal = env.spec(layout, config.observation).actions.mask
    self._agent = evaluate.MazeEvaluator(
        acting.Player(dt, legal, 'paper'), layout, observation=config.observation)
    self._params = params
    _, paths = self._agent.run(
        params, acting_mode='argmax', num_paths=len(env.starts(layout)))
    # Evaluations are deterministic, so steps are counted once; those after an episode has ended,
    # which the batch computes as well, are left out.
    self.num_steps = sum(len(episode['path']) - 1 for episode in paths)

  def run(self):
    """Returns the seconds of an evaluation."""
    begin = time.perf_counter()
    self._agent.run(self._params, acting_mode='argmax')
    return time.perf_counter() - begin

  @property
  def jobs(self):
    """{name: job}, for `take_turns`."""
    return {'evaluation': self.run}

  def summary(self, results, spread):
    """Sums up the results of the jobs for benchmark.json; `spread` describes numbers."""
    seconds = np.array(results['evaluation'])
    return {'num_steps': self.num_steps, 'seconds': spread(seconds),
            'steps_per_second': spread(self.num_steps / seconds)}
