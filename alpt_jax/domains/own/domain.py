"""Own data as a domain: what environment.json says of it."""

import dataclasses
import glob
import os

from alpt_jax.data import copies, environment_file, episode_files, labels, rlds
from alpt_jax.domains import base
from alpt_jax.domains.atari import action_sets
from alpt_jax.domains.atari import domain as atari


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
      base.check_acting(config.evaluation)

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
    base.reserve(config, data)
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
    episode_files.check_no_duplicates(episodes)
    copies.check(episodes, hidden)

  @staticmethod
  def choose_labels(config, data):
    """Which windows of a target keep their actions, see `labels.choose_known_windows`."""
    return labels.choose_known_windows(
        data, budget=config.num_labels, window=config.window, seed=config.label_seed,
        held_out=config.held_out)

  @staticmethod
  def make_evaluation(config, learner):
    """As `Atari.make_evaluation`, of `config.evaluation.game`; None if there is no game."""
    if not config.evaluation.game:
      return None
    played = config.copy_and_resolve_references()
    with played.unlocked():
      played.target = config.evaluation.game
      if Own._environment(config, config.target).reward is None:
        played.evaluation.rule = 'imitate'  # There is one return in the data: no other was learned.
    return atari.Atari.make_evaluation(played, learner)

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
