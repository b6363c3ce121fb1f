"""What differs between families of environments: specs, the place of the data, scores of agents.

Everything else, `train` first of all, is the same for mazes and for Atari games. A config says
which domain it is of in `config.experiment`.
"""

import os

import jax

from alpt_jax import acting, alpt, evaluate
from alpt_jax.data import episode_files, rlds, rlu_atari
from alpt_jax.envs import action_sets, maze

_NUM_PATHS = 6  # Maze episodes of the last evaluation whose paths are kept, for the report.
_MAX_SHOWN_FRAMES = 300  # Of the Atari episode that is kept for the report.


class Maze:
  """20 x 20 mazes (paper section 5.6): every start once, by arg max."""

  ACTION_NAMES = maze.ACTION_NAMES

  @staticmethod
  def spec(config, name):
    """The `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    return maze.spec(maze.layout_of(name), config.observation)

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
  def read(config, name):
    """Returns the episodes of an environment, with all their actions."""
    directory, = Maze.directories(config, name)
    return rlds.read_episodes(directory, Maze.spec(config, name), expected_name=name)

  @staticmethod
  def digest(config, name):
    """Returns the digest of an environment's data."""
    directory, = Maze.directories(config, name)
    return rlds.dataset_digest(directory)

  @staticmethod
  def check_data(episodes):
    """Refuses {environment: episodes} that do not go together: nothing to refuse."""
    del episodes

  @staticmethod
  def make_evaluation(config, networks):
    """Makes the evaluation of the agent.

    Args:
      config: the run's.
      networks: `alpt.Networks`.

    Returns:
      evaluate(params, is_last, video_path='', short_path='') -> {'argmax': scores, ...}; the last
      one has 'paths' of a few episodes.
    """
    agent = evaluate.MazeEvaluator(
        networks.dt, maze.layout_of(config.target), observation=config.observation)

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


class Atari:
  """Atari games (paper sections 5.1 to 5.5): RL Unplugged data, the Arcade Learning Environment."""

  ACTION_NAMES = action_sets.ACTION_NAMES

  @staticmethod
  def spec(config, name):
    """The `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    del config  # All games look the same to the networks.
    return action_sets.spec(name)

  @staticmethod
  def check(config):
    """Refuses a config that fits no data."""
    if not config.runs or len(set(config.runs)) < len(config.runs):
      raise ValueError(f'runs is {config.runs}; expected the numbers of the data, each once, e.g. '
                       '(1,).')
    settings = config.evaluation
    for key, known in (('acting_mode', acting.MODES), ('rule', acting.RULES)):
      if settings[key] not in known:
        raise ValueError(f'evaluation.{key} is {settings[key]!r}; expected one of {known}.')

  @staticmethod
  def directories(config, name):
    """Where the data of an environment lies."""
    return [rlu_atari.dataset_directory(config.data_dir, config.dataset, name, run)
            for run in config.runs]

  @staticmethod
  def read(config, name):
    """Returns the episodes of an environment, with all their actions."""
    data = Atari._open(config, name)
    Atari.reserve(config, data)
    return data

  @staticmethod
  def reserve(config, data):
    """Makes room for the episodes that the pools of all shards span."""
    sampling = config.sampling
    # A pool's windows fill whole episodes, but for the first and the last.
    spanned = sampling.pool_size * config.window + 2 * data.num_transitions.mean()
    # IDM and DT read sources each in their own order. A quarter more, as lengths differ: an episode
    # too few, and each is read again for every window.
    num_shards = -(-sampling.num_shards // jax.process_count())
    data.reserve(int(1.25 * 2 * num_shards * spanned))

  @staticmethod
  def digest(config, name):
    """Returns the digest of an environment's data."""
    return Atari._open(config, name).digest

  @staticmethod
  def _open(config, name):
    directories = Atari.directories(config, name)
    for run, directory in zip(config.runs, directories, strict=True):
      rlu_atari.check_dataset(directory, name, run, allow_damaged=config.allow_damaged)
    return episode_files.EpisodeFiles(
        directories, Atari.spec(config, name), expected_name=name,
        check_actions=lambda actions, path, episode: rlu_atari.check_actions(
            actions, name, path, episode))

  @staticmethod
  def check_data(episodes):
    """Refuses {environment: episodes} in which an episode occurs twice."""
    episode_files.check_no_duplicates(episodes)

  @staticmethod
  def make_evaluation(config, networks):
    """Makes the evaluation of the agent.

    Args:
      config: the run's.
      networks: `alpt.Networks` or `cql.Networks`.

    Returns:
      evaluate(params, is_last, video_path='', short_path='') -> {'sampled': scores}; `video_path`
      is where the best episode is written, `short_path` where every n-th frame of it is. The last
      evaluation writes the short one and has 'episode', which says what is in it.
    """
    from alpt_jax import cql, evaluate_atari, video  # The emulator, which only evaluation needs.
    settings = config.evaluation
    protocol = dict(num_episodes=settings.num_episodes, max_steps=settings.max_steps,
                    sticky=settings.sticky)
    if isinstance(networks, cql.Networks):
      agent = evaluate_atari.AtariEvaluator(
          networks.q, config.target, rule='epsilon-greedy', epsilon=config.cql.epsilon, **protocol)
    else:
      agent = evaluate_atari.AtariEvaluator(
          networks.dt, config.target, rule=settings.rule, **protocol)

    def run(params, is_last, video_path='', short_path=''):
      is_kept = bool(is_last and short_path)
      scores, episodes = agent.run(params, acting_mode=settings.acting_mode, seed=config.seed,
                                   record_episodes=1 if video_path or is_kept else 0)
      result = {settings.acting_mode: scores}
      if video_path:
        video.write(video_path, episodes[0]['observations'])
      if is_kept:
        best, = episodes
        every = -(-len(best['observations']) // _MAX_SHOWN_FRAMES)
        video.write(short_path, best['observations'][::every])
        result['episode'] = {'file': os.path.basename(short_path), 'score': best['score'],
                             'num_steps': len(best['actions']), 'every': every}
      return result

    return run


_DOMAINS = {'maze': Maze, 'atari': Atari}


def of(config):
  """Looks up the domain of a config; ValueError for an unknown one."""
  if config.experiment not in _DOMAINS:
    raise ValueError(f'experiment is {config.experiment!r}; expected one of {sorted(_DOMAINS)}.')
  return _DOMAINS[config.experiment]


def specs(config):
  """The `types.EnvironmentSpec`s of a run: the target, other targets, sources.

  `types.Batch.environment` indexes them.

  Raises:
    ValueError: for a name that is no environment, or environments that do not go together.
  """
  domain = of(config)
  domain.check(config)
  result = [domain.spec(config, name) for name in (*targets(config), *config.sources)]
  alpt.legal_actions(result)  # One action space.
  return result


def digests(config, names):
  """Returns {environment: digest of its data} for some environments of a run."""
  domain = of(config)
  return {name: domain.digest(config, name) for name in names}


def targets(config):
  """The action-limited environments of a run, the evaluated one first.

  Section 5.4 pretrains once for several targets (`config.other_targets`); finetuning has one.
  """
  others = config.get('other_targets', ()) if config.phase != 'finetune' else ()
  return (config.target, *others)
