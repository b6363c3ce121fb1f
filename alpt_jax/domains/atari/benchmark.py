"""Times evaluations of agents that play a game, for `experiments.benchmark`."""

import numpy as np

from alpt_jax.domains.atari import action_sets, evaluate, plain
from alpt_jax.learners import acting

# Of a config, for `experiments.loading`, which times how windows are read from disk; () where data
# is in memory.
LOADING = ('data_dir', 'dataset', 'runs', 'target', 'sources')
_EVALUATION_STEPS = 300  # Agent steps of an episode here.
_PLAIN_EVALUATION_STEPS = 100


class Evaluation:
  """Evaluations of an agent, as in training but shorter, and the plain way beside them."""

  def __init__(self, config, dt, params):
    """Runs once, which compiles.

    Args:
      config: of a run.
      dt: the `DecisionTransformer`.
      params: its parameters.
    """
    settings = config.evaluation
    self._agent = evaluate.AtariEvaluator(
        acting.Player(dt, action_sets.spec(config.target).actions.mask, settings.rule),
        config.target, num_episodes=settings.num_episodes,
        max_steps=min(settings.max_steps, _EVALUATION_STEPS), sticky=settings.sticky)
    self._plain = plain.PlainEvaluation(
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

  def summary(self, results, spread):
    """Sums up the results of the jobs for benchmark.json; `spread` describes numbers."""
    ours, plain = (np.array(results[name]) for name in ('evaluation', 'evaluation_plain'))
    total = sum(sum(s.values()) for s in self._seconds)
    return {
        'num_steps': self._agent.num_agent_steps, 'steps_per_second': spread(ours),
        'plain_steps_per_second': spread(plain),
        'speed_ratio': spread(ours / plain),
        'percent_waiting': {name: 100 * sum(s[name] for s in self._seconds) / total
                            for name in self._seconds[0]}}
