"""What differs between families of environments: specs, the place of the data, scores of agents.

Everything else, `train` first of all, is the same for mazes, Atari games and anybody's own data. A
config says which domain it is of in `config.experiment`.
"""

import dataclasses
import glob
import math
import os

import jax

from alpt_jax.data import copies, environment_file, episode_files, labels, rlds
from alpt_jax.domains.atari import action_sets, rlu
from alpt_jax.domains.maze import env, evaluate
from alpt_jax.learners import acting, alpt

_NUM_PATHS = 6  # Maze episodes of the last evaluation whose paths are kept, for the report.
_MAX_SHOWN_FRAMES = 300  # Of the Atari episode that is kept for the report.


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
    return _choose_labels(config, data)

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
        networks.dt, env.layout_of(config.target), observation=config.observation)

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

  @staticmethod
  def action_names(config, name=''):
    """Names of the actions of an environment, by id; '' for the target's."""
    del config, name
    return action_sets.ACTION_NAMES

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
    _check_acting(config.evaluation)

  @staticmethod
  def directories(config, name):
    """Where the data of an environment lies."""
    return [rlu.dataset_directory(config.data_dir, config.dataset, name, run)
            for run in config.runs]

  @staticmethod
  def read(config, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all their actions; see `rlds.labelled`."""
    data = Atari._open(config, name, with_idm_labels=with_idm_labels)
    reserve(config, data)
    return data

  @staticmethod
  def notes(config, name):
    """What whoever trains on an environment should know, a list of lines: nothing."""
    del config, name
    return []

  @staticmethod
  def digest(config, name):
    """Returns the digest of an environment's data."""
    return Atari._open(config, name).digest

  @staticmethod
  def _open(config, name, *, with_idm_labels=False):
    directories = Atari.directories(config, name)
    for run, directory in zip(config.runs, directories, strict=True):
      rlu.check_dataset(directory, name, run, allow_damaged=config.allow_damaged)
    return episode_files.EpisodeFiles(
        directories, Atari.spec(config, name), expected_name=name,
        with_idm_labels=with_idm_labels,
        check_actions=lambda actions, path, episode: rlu.check_actions(
            actions, name, path, episode))

  @staticmethod
  def check_data(episodes, hidden):
    """Refuses {environment: episodes} with an episode twice, or as `copies` of `hidden` ones."""
    episode_files.check_no_duplicates(episodes)
    copies.check(episodes, hidden)

  @staticmethod
  def choose_labels(config, data):
    """Which windows of a target keep their actions, see `labels.choose_windows`."""
    return _choose_labels(config, data)

  @staticmethod
  def make_evaluation(config, networks):
    """Makes the evaluation of the agent.

    Args:
      config: the run's.
      networks: `alpt.Networks` or `cql.Networks`.

    Returns:
      evaluate(params, is_last, video_path='', short_path='') -> {'sampled': scores}; `video_path`
      is where the best episode is written, `short_path` where every n-th frame of it is. The last
      evaluation writes the short one and has 'episode', which says what is in it. If the config
      has a `sharpened_temperature`, the last one plays as many games again, from the same seeds,
      with this temperature of the actions: 'sharpened', which takes as long as 'sampled'.
    """
    from alpt_jax import video

    # The emulator, which only evaluation needs.
    from alpt_jax.domains.atari import evaluate as evaluate_atari
    from alpt_jax.learners import cql
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
      if is_last and settings.sharpened_temperature:
        result['sharpened'], _ = agent.run(
            params, acting_mode='sharpened', seed=config.seed,
            temperature=settings.sharpened_temperature)
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


class Own:
  """Somebody's own data: what `experiments.collect import` has brought in.

  Environments are directories of `config.data_dir`. What each is stands in its environment.json.
  Nothing plays them, unless the config says that one is an Atari game.
  """

  @staticmethod
  def action_names(config, name=''):
    """Names of the actions of an environment, by id; '' for the target's."""
    return Own._environment(config, name or config.target).actions.space

  @staticmethod
  def spec(config, name):
    """The `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    return dataclasses.replace(Own._environment(config, name).spec(), name=name)

  @staticmethod
  def check(config):
    """Refuses a config that fits no data."""
    if not 0 <= config.held_out < 1:
      raise ValueError(f'held_out is {config.held_out}; expected a share of the labelled episodes '
                       'in [0, 1).')
    target = Own._environment(config, config.target)
    others = (*config.get('other_targets', ()), *config.sources)
    for name in (config.target, *others):
      if config.reward_weight and Own._environment(config, name).reward is None:
        raise ValueError(f'reward_weight is {config.reward_weight}, and {name} has no rewards that '
                         'could be predicted; expected 0.')
    for name in others:
      other = Own._environment(config, name)
      for field in ('kind', 'shape', 'low', 'high'):  # One pair of networks reads them all.
        values = [getattr(e.observation, field) for e in (target, other)]
        if values[0] != values[1]:
          raise ValueError(f'observation.{field} of {name} is {values[1]}, of {config.target} '
                           f'{values[0]}; expected observations of one kind. Import one of them '
                           'again.')
      if other.actions.space != target.actions.space:
        raise ValueError(
            f'actions.space of {name} is {list(other.actions.space)}, of {config.target} '
            f'{list(target.actions.space)}; expected one list of all actions, in one order, of '
            'which each environment says with actions.legal what it knows. Import one again.')
    game = config.evaluation.game
    if game:
      action_sets.check_game(game)
      expected = action_sets.spec(game)
      if (target.observation.kind, target.observation.shape, target.actions.space) != (
          'image', expected.observation_shape, action_sets.ACTION_NAMES):
        raise ValueError(f'evaluation.game is {game}; expected observations '
                         f'{expected.observation_shape} and the actions '
                         f'{action_sets.ACTION_NAMES}, and {config.target} has '
                         f'{target.observation.shape} and {target.actions.space}. Import it again, '
                         'or leave evaluation.game empty.')
      _check_acting(config.evaluation)

  @staticmethod
  def directories(config, name):
    """Where the data of an environment lies."""
    return [os.path.join(config.data_dir, name)]

  @staticmethod
  def read(config, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all actions known, see `rlds.labelled`."""
    spec = Own.spec(config, name)
    settings = dict(expected_name=Own._environment(config, name).name,
                    with_idm_labels=with_idm_labels)
    directory, = Own.directories(config, name)
    if spec.observation_kind != 'image':
      return rlds.read_episodes(directory, spec, **settings)
    data = episode_files.EpisodeFiles([directory], spec, **settings)
    reserve(config, data)
    return data

  @staticmethod
  def notes(config, name):
    """What whoever trains on an environment should know, a list of lines."""
    directory, = Own.directories(config, name)
    lines = Own._environment(config, name).notes(name)
    card = rlds.read_card(directory) or {}
    num_all, num_known = (card.get(key, 0) for key in ('num_transitions', 'num_labelled'))
    if config.method == 'dt' and num_known < num_all:
      lines.append(f'{name}: {num_known} of {num_all} transitions have an action; method dt learns '
                   'what to do from these only. experiments.label gives all of them one.')
    return lines

  @staticmethod
  def digest(config, name):
    """Returns the digest of an environment's data."""
    directory, = Own.directories(config, name)
    return rlds.dataset_digest(directory)

  @staticmethod
  def check_data(episodes, hidden):
    """As `Atari.check_data`."""
    if all(hasattr(data, 'episode_digests') for data in episodes.values()):
      episode_files.check_no_duplicates(episodes)
    copies.check(episodes, hidden)

  @staticmethod
  def choose_labels(config, data):
    """Which windows of a target keep their actions, see `labels.choose_known_windows`."""
    return labels.choose_known_windows(
        data, budget=config.num_labels, window=config.window, seed=config.label_seed,
        held_out=config.held_out)

  @staticmethod
  def make_evaluation(config, networks):
    """As `Atari.make_evaluation`, of `config.evaluation.game`; None if there is no game."""
    if not config.evaluation.game:
      return None
    played = config.copy_and_resolve_references()
    with played.unlocked():
      played.target = config.evaluation.game
      if Own._environment(config, config.target).reward is None:
        played.evaluation.rule = 'imitate'  # There is one return in the data: no other was learned.
    return Atari.make_evaluation(played, networks)

  @staticmethod
  def _environment(config, name):
    path = os.path.join(config.data_dir, name, environment_file.FILE)
    if not os.path.exists(path):
      found = sorted(os.path.basename(os.path.dirname(x)) for x in glob.glob(
          os.path.join(glob.escape(config.data_dir), '*', environment_file.FILE)))
      raise FileNotFoundError(f'{path}: no such file, so there is no environment {name!r}; '
                              f'data_dir has {found}. Correct the name, or import the data '
                              '(python -m experiments.collect import).')
    return environment_file.read(path)


_DOMAINS = {'maze': Maze, 'atari': Atari, 'own': Own}


def reserve(config, data):
  """Makes room in `episode_files.EpisodeFiles` for what the pools of all shards span."""
  sampling = config.sampling
  # A pool's windows fill whole episodes, but for the first and the last.
  spanned = sampling.pool_size * config.window + 2 * data.num_transitions.mean()
  # IDM and DT read sources each in their own order. A quarter more, as lengths differ: an episode
  # too few, and each is read again for every window.
  num_shards = -(-sampling.num_shards // jax.process_count())
  data.reserve(int(1.25 * 2 * num_shards * spanned))


def _choose_labels(config, data):
  return labels.choose_windows(data.num_transitions, budget=config.num_labels,
                               window=config.window, seed=config.label_seed)


def _check_acting(settings):
  """Refuses unknown ways to act."""
  # The primary score is never the sharpened one.
  for key, known in (('acting_mode', ('argmax', 'sampled')), ('rule', acting.RULES)):
    if settings[key] not in known:
      raise ValueError(f'evaluation.{key} is {settings[key]!r}; expected one of {known}.')
  temperature = settings.sharpened_temperature
  if not 0 <= temperature < math.inf:
    raise ValueError(f'evaluation.sharpened_temperature is {temperature}; expected a finite number '
                     'above 0, or 0 to play no sharpened games.')


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


def notes(config):
  """Returns what whoever trains a run should know of its data: a list of lines.

  Raises:
    FileNotFoundError, ValueError: if an environment is not described as it has to be.
  """
  domain = of(config)
  return [line for name in (*targets(config), *config.sources)
          for line in domain.notes(config, name)]


def digests(config, names):
  """Returns {environment: digest of its data} for some environments of a run.

  Raises:
    ValueError: if a target has the data of another environment, whose actions are all known.
  """
  domain = of(config)
  result = {name: domain.digest(config, name) for name in names}
  for target in set(targets(config)) & result.keys():
    for name, digest in result.items():
      if name != target and digest == result[target]:
        raise ValueError(f'{name} and the target {target} have the same data, digest {digest}; '
                         'expected others: hidden actions would be known from the copy. Take one '
                         'out of the config.')
  return result


def targets(config):
  """The action-limited environments of a run, the evaluated one first.

  Section 5.4 pretrains once for several targets (`config.other_targets`); finetuning has one.
  """
  others = config.get('other_targets', ()) if config.phase != 'finetune' else ()
  return (config.target, *others)
