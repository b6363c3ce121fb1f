"""Mazes as a domain: specs, data and scores."""

import numpy as np

from alpt_jax.data import copies, rlds
from alpt_jax.domains import base
from alpt_jax.domains.maze import anchors, env, metrics

_NUM_PATHS = 6  # Episodes of the last evaluation whose paths are kept, for the report.


class Domain(base.Domain):
  """20 x 20 mazes (paper section 5.6): every start once, by arg max."""
  metrics = metrics.METRICS
  modules = ('benchmark', 'report', 'study')

  def spec(self, name):
    """Returns the `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    return env.spec(env.layout_of(name), self.config.observation)

  def check(self):
    """Refuses a config that fits no data."""
    target, *sources = (self.spec(name) for name in (self.config.target, *self.config.sources))
    for source in sources:  # One pair of networks reads them all.
      if (source.observation_shape, source.observation_high) != (
          target.observation_shape, target.observation_high):
        raise ValueError(f'sources has {source.name}, target is {target.name}; expected mazes of '
                         'one size. Change one of them, or sources to ().')

  def check_data(self, episodes, hidden):
    """Refuses {environment: episodes} that hold those of `hidden`, names among them, twice."""
    # Positions of the agent alone may be the same in another maze.
    copies.check(episodes, hidden,
                 by_episode=all(data.observations.ndim > 2 for data in episodes.values()))

  def make_evaluation(self, learner):
    """Makes the evaluation of the agent; the last one has 'paths' of a few episodes."""
    from alpt_jax.domains.maze import evaluate  # Compiles acting, which only evaluation needs.
    player = learner.player(self.spec(self.config.target).actions.mask, rule='paper')
    agent = evaluate.MazeEvaluator(
        player, env.layout_of(self.config.target), observation=self.config.observation)

    def run(params, is_last, video_path='', short_path=''):
      del short_path
      if video_path:
        raise ValueError('there are no videos of mazes; paths are drawn in the report. Leave out '
                         '--video.')
      result = {}
      for mode in ('argmax', 'sampled') if is_last else ('argmax',):
        result[mode], paths = agent.run(
            params, acting_mode=mode, num_paths=_NUM_PATHS if is_last else 0)
        if paths:
          result.setdefault('paths', {})[mode] = paths
      return result

    return run

  def ceiling(self, name):
    """Returns the ceiling of recorded transitions, given maze, policy and both cells of each."""
    from alpt_jax.measures import floors  # SciPy, which training does without.
    directory, = self.directories(name)
    epsilon = ((rlds.read_card(directory) or {}).get('metadata') or {}).get('epsilon')
    if epsilon is None:
      return {'unknown': f'no {rlds.CARD} in {directory} says by which policy it was recorded'}
    data = self.read(name)
    episode = np.repeat(np.arange(data.num_episodes), data.num_transitions)
    parts = []
    for number, length in enumerate(data.num_transitions):  # All at once take half a gigabyte.
      cut = data.cut(np.full(length, number), np.arange(length), 1)
      parts.append((*(env.positions_of(cut.observations[:, i]) for i in range(2)),
                    cut.is_labelled[:, 0], cut.actions[:, 0]))
    before, after, is_known, actions = map(np.concatenate, zip(*parts, strict=True))
    guesses, chances = anchors.best_guesses(env.layout_of(name), epsilon, before, after)
    is_right = guesses == actions
    return {'expected': floors.mean(chances, episode)._asdict(),
            'realised': floors.mean(is_right[is_known], episode[is_known])._asdict()}

  def environments(self):
    """Returns the names of all mazes that the config and its study mention, sorted."""
    study = self.config.study
    names = {*super().environments(), *study.targets}
    for part in (study, study.get('labels') or {}):
      for variant in part.get('variants', {}).values():
        names |= set(variant.sources)
    return sorted(names)

  def collect(self, names):
    """Records what is missing of some mazes."""
    from alpt_jax.domains.maze import collect
    collect.main(self.config, names)
