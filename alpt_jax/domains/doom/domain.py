"""Scenarios of Doom as a domain: specs, data and scores."""

from alpt_jax import domains, schema
from alpt_jax.data import copies, episode_files, time_scale
from alpt_jax.domains import base
from alpt_jax.domains.doom import metrics, scenarios, score_floors
from alpt_jax.learners import acting
from alpt_jax.reports import video


class Domain(base.Domain):
  """Scenarios of Doom, played with keys and mouse."""
  metrics = metrics.METRICS
  modules = ('measures', 'report', 'study')

  @property
  def frames_per_step(self):
    """Tics in one transition; the game has 35 a second."""
    return self.config.collect.frame_skip

  def spec(self, name):
    """Returns the `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    return self._environment(name).spec()

  def check(self):
    """Refuses a config that fits no data."""
    rule = self.config.evaluation.rule
    schema.expect('evaluation.rule', rule, rule in acting.RULES, f'one of {acting.RULES}')

  def read(self, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all their actions; see `rlds.labelled`."""
    directory, = self.directories(name)
    data = episode_files.EpisodeFiles([directory], self.spec(name), expected_name=name,
                                      with_idm_labels=with_idm_labels)
    base.reserve(self.config, data)
    return data

  def time_scale(self, name):
    """Returns the `time_scale.TimeScale` of a scenario."""
    rate = self._environment(name).steps_per_second
    return time_scale.TimeScale('image', rate, self.frames_per_step, True)

  def check_data(self, episodes, hidden):
    """Refuses {environment: episodes} with an episode twice, or as `copies` of `hidden` ones."""
    episode_files.check_no_duplicates(episodes)
    copies.check(episodes, hidden)

  def make_evaluation(self, learner):
    """Makes the evaluation of the agent, from the same games every time.

    Args:
      learner: the run's `learner.Learner`.

    Returns:
      evaluate(params, is_last, video_path='', short_path='') -> {acting mode: scores}; `video_path`
      is where the best episode of sampled actions is written, `short_path` goes unused.
    """
    from alpt_jax.domains.doom import evaluate  # The game, which only play needs.
    config, settings = self.config, self.config.evaluation
    spec, *_ = domains.specs(config)
    agent = evaluate.DoomEvaluator(
        learner.player(spec.actions.mask, rule=settings.rule), config.target,
        num_episodes=settings.num_episodes, frame_skip=self.frames_per_step)

    def run(params, is_last, video_path='', short_path=''):
      del short_path
      found = {mode: agent.run(params, acting_mode=mode, seed=config.seed,
                               record_episodes=int(bool(video_path)))
               for mode in self.acting_modes(is_last)}
      if video_path:
        video.write(video_path, found['sampled'][1][0]['observations'],
                    fps=self.time_scale(config.target).steps_per_second)
      return {mode: scores for mode, (scores, _) in found.items()}

    return run

  def acting_modes(self, is_last):
    """Returns the acting modes that an evaluation has scores of, the main one first."""
    del is_last
    return 'sampled', 'argmax'

  def protocol(self):
    """Returns whose scores they are."""
    return {'scenario': self.config.target, 'frame_skip': self.frames_per_step,
            'seed': self.config.seed}

  def collect(self, names):
    """Records what is missing of some scenarios."""
    from alpt_jax.domains.doom import collect  # The game.
    collect.main(self.config, names)

  def score_floors(self, name):
    """Returns the scores of agents that look at nothing; unknown if they were not measured."""
    directory, = self.directories(name)
    found = score_floors.known(directory, self.read(name), name, frame_skip=self.frames_per_step)
    if found is None:
      return {'unknown': f'not measured: python -m experiments.reproduce with {name} as target'}
    return score_floors.in_short(found)

  def _environment(self, name):
    return scenarios.environment(name, frame_skip=self.frames_per_step)
