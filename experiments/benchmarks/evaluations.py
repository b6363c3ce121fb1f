"""Times evaluations of agents, of each domain in its own way, for `benchmark`."""

import time

import numpy as np

from alpt_jax.domains.maze import env, evaluate
from experiments.benchmarks import machine

_EVALUATION_STEPS = 300  # Agent steps of an Atari episode here.
_PLAIN_EVALUATION_STEPS = 100


class MazeEvaluation:
  """Whole evaluations of an agent, as in training: by arg max, from every start."""

  def __init__(self, config, dt, params):
    """Runs once, which compiles.

    Args:
      config: of a run.
      dt: the `DecisionTransformer`.
      params: its parameters.
    """
    layout = env.layout_of(config.target)
    self._agent = evaluate.MazeEvaluator(dt, layout, observation=config.observation)
    self._params = params
    _, paths = self._agent.run(
        params, acting_mode='argmax', num_paths=len(env.starts(layout)))
    # Every run is the same. Rows that are computed after their episode has ended do not count.
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

  def summary(self, results):
    """What benchmark.json says, given the results of the jobs."""
    seconds = np.array(results['evaluation'])
    return {'num_steps': self.num_steps, 'seconds': machine.spread(seconds),
            'steps_per_second': machine.spread(self.num_steps / seconds)}


class AtariEvaluation:
  """Evaluations of an agent, as in training but shorter, and the plain way beside them."""

  def __init__(self, config, dt, params):
    """Runs once, which compiles.

    Args:
      config: of a run.
      dt: the `DecisionTransformer`.
      params: its parameters.
    """
    from alpt_jax.domains.atari import evaluate as evaluate_atari
    from experiments.benchmarks import plain_atari

    settings = config.evaluation
    self._agent = evaluate_atari.AtariEvaluator(
        dt, config.target, num_episodes=settings.num_episodes,
        max_steps=min(settings.max_steps, _EVALUATION_STEPS), sticky=settings.sticky,
        rule=settings.rule)
    self._plain = plain_atari.PlainEvaluation(
        dt, config.target, sticky=settings.sticky, rule=settings.rule)
    self._params, self._mode, self._seconds = params, settings.acting_mode, []
    self._run()
    self._run_plainly()
    self._seconds.clear()

  @property
  def jobs(self):
    """{name: job}, for `take_turns`."""
    return {'evaluation': self._run, 'evaluation_plain': self._run_plainly}

  def _run(self):
    """Returns agent steps per second, without the resets."""
    self._agent.run(self._params, acting_mode=self._mode)
    self._seconds.append(dict(self._agent.seconds))
    return self._agent.num_agent_steps / sum(
        s for name, s in self._agent.seconds.items() if name != 'reset')

  def _run_plainly(self):
    _, actions = self._plain.run(
        self._params, acting_mode=self._mode, max_steps=_PLAIN_EVALUATION_STEPS)
    return len(actions) / self._plain.seconds

  def summary(self, results):
    """What benchmark.json says, given the results of the jobs."""
    ours, plain = (np.array(results[name]) for name in ('evaluation', 'evaluation_plain'))
    total = sum(sum(s.values()) for s in self._seconds)
    return {
        'num_steps': self._agent.num_agent_steps, 'steps_per_second': machine.spread(ours),
        'plain_steps_per_second': machine.spread(plain),
        'speed_ratio': machine.spread(ours / plain),
        'percent_waiting': {name: 100 * sum(s[name] for s in self._seconds) / total
                            for name in self._seconds[0]}}
