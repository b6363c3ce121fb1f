"""Domain: the interface of a family of environments, with defaults."""

import importlib
import math
import os

import jax

from alpt_jax.data import copies, labels, rlds
from alpt_jax.learners import acting


class Domain:
  """A family of environments, bound to the config of a run.

  A subclass named `Domain` in a module makes a domain of it: `config.experiment` names the module.
  Only `spec` has to be given.

  Attributes:
    config: of a run or a study.
    metrics: {name: `metric.Metric`} of the scores of an evaluation; the first is the main one.
    modules: which of the modules 'benchmark', 'measures', 'report' and 'study' are in its folder.
    frames_per_step: frames of the environment in one transition.
    zero_labels_are_all: whether `config.num_labels` 0 stands for all labels that the data has.
    config_file: path of the config file that a study of it is made from; '' for the one in
      experiments/configs that has the name of the experiment.
  """
  metrics = {}
  modules = ()
  frames_per_step = 1
  zero_labels_are_all = False
  config_file = ''

  def __init__(self, config):
    self.config = config

  def spec(self, name):
    """Returns the `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    raise NotImplementedError

  def check(self):
    """Refuses a config that fits no data."""

  def environments(self):
    """Returns the names of all environments that the config mentions, sorted."""
    return sorted({self.config.target, *self.config.get('other_targets', ()),
                   *self.config.sources})

  def directories(self, name):
    """Returns the directories of the data of an environment."""
    return [os.path.join(self.config.data_dir, name)]

  def read(self, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all known actions; see `rlds.labelled`."""
    directory, = self.directories(name)
    return rlds.read_episodes(directory, self.spec(name), expected_name=name,
                              with_idm_labels=with_idm_labels)

  def digest(self, name):
    """Returns the digest of an environment's data."""
    directory, = self.directories(name)
    return rlds.dataset_digest(directory)

  def notes(self, name):
    """Returns lines that a run on an environment's data prints at its start: a list of str."""
    del name
    return []

  def time_scale(self, name):
    """Returns the `time_scale.TimeScale` of an environment's data; None if time means nothing."""
    del name

  def check_data(self, episodes, hidden):
    """Refuses {environment: episodes} that hold those of `hidden`, names among them, twice."""
    copies.check(episodes, hidden)

  def choose_labels(self, data):
    """Returns which windows of a target keep their actions, see `labels.choose_windows`."""
    config = self.config
    return labels.choose_windows(data.num_transitions, budget=config.num_labels,
                                 window=config.window, seed=config.label_seed)

  def collect(self, names):
    """Records or converts what is missing of some environments."""
    del names
    raise ValueError(f'experiment is {self.config.experiment!r}, which records no data; expected '
                     'a domain that does, or data that is there.')

  def import_data(self):
    """Brings in data from elsewhere, see `experiments.collect import`."""
    raise ValueError(f'experiment is {self.config.experiment!r}, which imports no data; expected '
                     'own, see experiments/configs/own.py.')

  def make_evaluation(self, learner):
    """Makes the evaluation of the agent.

    Args:
      learner: the run's `learner.Learner`.

    Returns:
      evaluate(params, is_last, video_path='', short_path='') -> {acting mode: scores, ...}; None
      where nothing plays agents. `video_path` is where to write an episode, `short_path` where to
      write a short film of it, '' for nowhere.
    """
    del learner

  def make_delayed_play(self, dt, num_episodes):
    """Makes play in which an agent is shown images late, by the protocol of the run's evaluation.

    Args:
      dt: the `DecisionTransformer`.
      num_episodes: to play; 0 if nothing will be played.

    Returns:
      play(params, delay) -> scores; see `play.Evaluator.run`; None where nothing plays so.
    """
    del dt, num_episodes

  def acting_modes(self, is_last):
    """Returns the acting modes that an evaluation has scores of, the main one first."""
    del is_last
    return ('argmax',)

  def protocol(self):
    """Returns {field: value} that the scores of this config's evaluations hold."""
    return {}

  def ceiling(self, name):
    """Returns the ceiling of label accuracy of an environment's data, if it was measured.

    Returns:
      {'expected', 'realised'}: means as dicts; or {'unknown': why}, and, where two people have
      labelled the same steps, {'agreement'}, a mean: labels cannot be judged better than that.

    Raises:
      ValueError: if there is a ceiling of other data.
    """
    return {'unknown': f'{name} has no emulator in which all actions could be tried'}

  def part_ceiling(self, name, numbers):
    """Returns what the best guesser says of actions of several parts, if it is known.

    Args:
      name: of an environment.
      numbers: of the episodes.

    Returns:
      For each of them {part: [L]}: the expectation of a number, the probability that a key is down;
      or [L, n], the probabilities of a categorical part's values. Or {'unknown': why}.
    """
    del numbers
    return {'unknown': f'nothing says what the observations of {name} tell of its actions at most'}

  def score_floors(self, name):
    """Returns the scores of agents that look at nothing, if they were measured.

    Returns:
      {'protocol', 'agents'}, see `atari.score_floors.in_short`; or {'unknown': why}; None where
      there are no such scores.

    Raises:
      ValueError: if there are some of other data or of another protocol than the config's.
    """
    del name

  @classmethod
  def module(cls, name):
    """Imports a module of the domain's folder, when it is needed.

    Args:
      name: 'study', which plans studies of many runs, see `domains.study`; 'report', with a class
        `Report`; 'measures', which measures floors and ceilings of recordings, see
        `atari.measures`; 'benchmark', which makes the evaluations to time, see `maze.benchmark`.

    Returns:
      The module; None if it is not among `modules`.
    """
    if name in cls.modules:
      return importlib.import_module(f'.{name}', cls.__module__.rpartition('.')[0])
    return None

  @classmethod
  def report(cls, results):
    """Makes the `reports.experiment.Report` of results."""
    from alpt_jax.reports import experiment  # Matplotlib.
    own = cls.module('report')
    return own.Report(results) if own else experiment.Report(results, cls.metrics)


def reserve(config, data):
  """Makes room in `episode_files.EpisodeFiles` for what the pools of all shards span."""
  sampling = config.sampling
  # A pool's windows fill whole episodes, but for the first and the last.
  spanned = sampling.pool_size * config.window + 2 * data.num_transitions.mean()
  # IDM and DT read sources each in their own order. A quarter more, as lengths differ: an episode
  # too few, and each is read again for every window.
  num_shards = -(-sampling.num_shards // jax.process_count())
  data.reserve(int(1.25 * 2 * num_shards * spanned))


def check_acting(settings):
  """Refuses unknown ways to act."""
  # The primary score is never the sharpened one.
  for key, known in (('acting_mode', ('argmax', 'sampled')), ('rule', acting.RULES)):
    if settings[key] not in known:
      raise ValueError(f'evaluation.{key} is {settings[key]!r}; expected one of {known}.')
  temperature = settings.sharpened_temperature
  if not 0 <= temperature < math.inf:
    raise ValueError(f'evaluation.sharpened_temperature is {temperature}; expected a finite number '
                     'above 0, or 0 to play no sharpened games.')
