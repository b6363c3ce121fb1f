"""Mazes as a domain: specs, data and scores."""

import os

from alpt_jax.data import copies, rlds
from alpt_jax.domains import base
from alpt_jax.domains.maze import env

_NUM_PATHS = 6  # Episodes of the last evaluation whose paths are kept, for the report.


class Maze:
  """20 x 20 mazes (paper section 5.6): every start once, by arg max."""

  @staticmethod
  def action_names(config, name=''):
    """Names of the actions of an environment, by id; '' for the target's."""
    del config, name
    return env.ACTION_NAMES

  @staticmethod
  def spec(config, name):
    """The `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    return env.spec(env.layout_of(name), config.observation)

  @staticmethod
  def check(config):
    """Refuses a config that fits no data."""
    target, *sources = (Maze.spec(config, name) for name in (config.target, *config.sources))
    for source in sources:  # One pair of networks reads them all.
      if (source.observation_shape, source.observation_high) != (
          target.observation_shape, target.observation_high):
        raise ValueError(f'sources has {source.name}, target is {target.name}; expected mazes of '
                         'one size. Change one of them, or sources to ().')

  @staticmethod
  def directories(config, name):
    """Where the data of an environment lies."""
    return [os.path.join(config.data_dir, name)]

  @staticmethod
  def read(config, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all their actions; see `rlds.labelled`."""
    directory, = Maze.directories(config, name)
    return rlds.read_episodes(directory, Maze.spec(config, name), expected_name=name,
                              with_idm_labels=with_idm_labels)

  @staticmethod
  def notes(config, name):
    """What whoever trains on an environment should know, a list of lines: nothing."""
    del config, name
    return []

  @staticmethod
  def digest(config, name):
    """Returns the digest of an environment's data."""
    directory, = Maze.directories(config, name)
    return rlds.dataset_digest(directory)

  @staticmethod
  def check_data(episodes, hidden):
    """Refuses {environment: episodes} that hold those of `hidden`, names among them, twice."""
    # Positions of the agent alone may be the same in another maze.
    copies.check(episodes, hidden,
                 by_episode=all(data.observations.ndim > 2 for data in episodes.values()))

  @staticmethod
  def choose_labels(config, data):
    """Which windows of a target keep their actions, see `labels.choose_windows`."""
    return base.choose_labels(config, data)

  @staticmethod
  def make_evaluation(config, learner):
    """Makes the evaluation of the agent.

    Args:
      config: the run's.
      learner: the run's `learner.Learner`, of a DT.

    Returns:
      evaluate(params, is_last, video_path='', short_path='') -> {'argmax': scores, ...}; the last
      one has 'paths' of a few episodes.
    """
    from alpt_jax.domains.maze import evaluate  # Compiles acting, which only evaluation needs.
    agent = evaluate.MazeEvaluator(
        learner.networks.dt, env.layout_of(config.target), observation=config.observation)

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
