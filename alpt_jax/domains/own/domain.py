"""Own data as a domain, described by environment.json."""

import dataclasses
import glob
import os

from alpt_jax.data import copies, environment_file, episode_files, labels, rlds, time_scale
from alpt_jax.data.importers import actions
from alpt_jax.domains import base
from alpt_jax.domains.atari import action_sets
from alpt_jax.domains.atari import domain as atari


class Domain(base.Domain):
  """Data of your own, as `experiments.collect import` has written it.

  Environments are directories of `config.data_dir`. What each is stands in its environment.json.
  Nothing plays them, unless the config says that one is an Atari game.
  """
  zero_labels_are_all = True

  def spec(self, name):
    """Returns the `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    return dataclasses.replace(self._environment(name).spec(), name=name)

  def check(self):
    """Refuses a config that fits no data."""
    config = self.config
    if not 0 <= config.held_out < 1:
      raise ValueError(f'held_out is {config.held_out}; expected a share of the labelled episodes '
                       'in [0, 1).')
    target = self._environment(config.target)
    others = (*config.get('other_targets', ()), *config.sources)
    for name in (config.target, *others):
      if config.reward_weight and self._environment(name).reward is None:
        raise ValueError(f'reward_weight is {config.reward_weight}, and {name} has no rewards that '
                         'could be predicted; expected 0.')
    for name in others:
      other = self._environment(name)
      for field in ('kind', 'shape', 'low', 'high'):  # One pair of networks reads them all.
        values = [getattr(e.observation, field) for e in (target, other)]
        if values[0] != values[1]:
          raise ValueError(f'observation.{field} of {name} is {values[1]}, of {config.target} '
                           f'{values[0]}; expected observations of one kind. Import one of them '
                           'again.')
      spaces = [e.spec().actions for e in (target, other)]
      # What parts have to have in common, `domains.specs` checks.
      if not any(space.shape for space in spaces) and spaces[0].names != spaces[1].names:
        raise ValueError(
            f'actions.space of {name} is {list(spaces[1].names)}, of {config.target} '
            f'{list(spaces[0].names)}; expected one list of all actions, in one order, of '
            'which each environment says with actions.legal what it knows. Import one again.')
    game = config.evaluation.game
    if game:
      action_sets.check_game(game)
      expected = action_sets.spec(game)
      names = target.spec().actions.names
      if (target.observation.kind, target.observation.shape, names) != (
          'image', expected.observation_shape, action_sets.ACTION_NAMES):
        raise ValueError(f'evaluation.game is {game}; expected observations '
                         f'{expected.observation_shape} and the actions '
                         f'{action_sets.ACTION_NAMES}, and {config.target} has '
                         f'{target.observation.shape} and {names}. Import it again, '
                         'or leave evaluation.game empty.')
      base.check_acting(config.evaluation)

  def read(self, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all actions known, see `rlds.labelled`."""
    spec = self.spec(name)
    settings = dict(expected_name=self._environment(name).name,
                    with_idm_labels=with_idm_labels)
    directory, = self.directories(name)
    if spec.observation_kind != 'image':
      return rlds.read_episodes(directory, spec, **settings)
    data = episode_files.EpisodeFiles([directory], spec, **settings)
    base.reserve(self.config, data)
    return data

  def time_scale(self, name):
    """Returns the `time_scale.TimeScale` of an environment's data."""
    directory, = self.directories(name)
    return time_scale.of_dataset(directory, self._environment(name))

  def notes(self, name):
    """Lists what a user who trains on an environment should know."""
    directory, = self.directories(name)
    lines = self._environment(name).notes(name)
    card = rlds.read_card(directory) or {}
    num_all, num_known = (card.get(key, 0) for key in ('num_transitions', 'num_labelled'))
    if self.config.method == 'dt' and num_known < num_all:
      lines.append(f'{name}: {num_known} of {num_all} transitions have an action; method dt learns '
                   'what to do from these only. experiments.label gives all of them one.')
    return lines

  def check_data(self, episodes, hidden):
    """Checks the data as the Atari domain does."""
    episode_files.check_no_duplicates(episodes)
    copies.check(episodes, hidden)

  def choose_labels(self, data):
    """Chooses windows of a target that keep their actions, see `labels.choose_known_windows`."""
    config = self.config
    return labels.choose_known_windows(
        data, budget=config.num_labels, window=config.window, seed=config.label_seed,
        held_out=config.held_out)

  def make_evaluation(self, learner):
    """Makes the evaluation of `config.evaluation.game`; None if there is no game."""
    config = self.config
    if not config.evaluation.game:
      return None
    played = config.copy_and_resolve_references()
    with played.unlocked():
      played.target = config.evaluation.game
      if self._environment(config.target).reward is None:
        played.evaluation.rule = 'imitate'  # There is one return in the data: no other was learned.
    return atari.Domain(played).make_evaluation(learner)

  def collect(self, names):
    """Refuses: data of one's own is imported."""
    raise ValueError('import_ is in the config, which is one of data of your own; expected the '
                     'word import before the flags (python -m experiments.collect import ...).')

  def import_data(self):
    """Imports data, see `own.collect`."""
    from alpt_jax.domains.own import collect  # Only imports need its readers.
    collect.main(self.config)

  def ceiling(self, name):
    """Returns how far two people agree, which bounds it, where both have labelled some steps."""
    directory, = self.directories(name)
    metadata = (rlds.read_card(directory) or {}).get('metadata') or {}
    unknown = super().ceiling(name)
    if 'agreement' in metadata:
      return unknown | {'agreement': metadata['agreement']}
    if metadata.get('kind') in ('videos', 'images'):
      unknown['unknown'] += (f'; a second person’s list of some of the actions '
                             f'({actions.SECOND_FILES[0]}), imported with the clips, would bound '
                             'it')
    return unknown

  def _environment(self, name):
    path = os.path.join(self.config.data_dir, name, environment_file.FILE)
    if not os.path.exists(path):
      found = sorted(os.path.basename(os.path.dirname(x)) for x in glob.glob(
          os.path.join(glob.escape(self.config.data_dir), '*', environment_file.FILE)))
      raise FileNotFoundError(f'{path}: no such file, so there is no environment {name!r}; '
                              f'data_dir has {found}. Correct the name, or import the data '
                              '(python -m experiments.collect import).')
    return environment_file.read(path)
