"""Atari games as a domain: specs, data and scores."""

import os

from alpt_jax import video
from alpt_jax.data import copies, episode_files
from alpt_jax.domains import base, play
from alpt_jax.domains.atari import action_sets, rlu

_MAX_SHOWN_FRAMES = 300  # Of the episode that is kept for the report.


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
    base.check_acting(config.evaluation)

  @staticmethod
  def directories(config, name):
    """Where the data of an environment lies."""
    return [rlu.dataset_directory(config.data_dir, config.dataset, name, run)
            for run in config.runs]

  @staticmethod
  def read(config, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all their actions; see `rlds.labelled`."""
    data = Atari._open(config, name, with_idm_labels=with_idm_labels)
    base.reserve(config, data)
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
    return base.choose_labels(config, data)

  @staticmethod
  def make_evaluation(config, learner):
    """Makes the evaluation of the agent.

    Args:
      config: the run's.
      learner: the run's `learner.Learner`.

    Returns:
      evaluate(params, is_last, video_path='', short_path='') -> {'sampled': scores}; `video_path`
      is where the best episode is written, `short_path` where every n-th frame of it is. The last
      evaluation writes the short one and has 'episode', which says what is in it. If the config
      has a `sharpened_temperature`, the last one plays as many games again, from the same seeds,
      with this temperature of the actions: 'sharpened', which takes as long as 'sampled'.
    """
    from alpt_jax.domains.atari import evaluate  # The emulator, which only evaluation needs.
    settings = config.evaluation
    legal = play.legal_of(action_sets.spec(config.target))
    agent = evaluate.AtariEvaluator(
        learner.player(legal, rule=settings.rule), config.target,
        num_episodes=settings.num_episodes, max_steps=settings.max_steps, sticky=settings.sticky)

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
