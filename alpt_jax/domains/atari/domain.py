"""Atari games as a domain: specs, data and scores."""

import functools
import os

from alpt_jax.data import copies, episode_files, time_scale
from alpt_jax.domains import base
from alpt_jax.domains.atari import action_sets, metrics, rlu
from alpt_jax.learners import acting
from alpt_jax.reports import video

_MAX_SHOWN_FRAMES = 300  # Of the episode that is kept for the report.


class Domain(base.Domain):
  """Atari games (paper sections 5.1 to 5.5): RL Unplugged data, the Arcade Learning Environment."""
  metrics = metrics.METRICS
  modules = ('benchmark', 'measures', 'report', 'study')
  frames_per_step = 4  # In one of which the agent acts.

  def spec(self, name):
    """Returns the `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    return action_sets.spec(name)

  def check(self):
    """Refuses a config that fits no data."""
    config = self.config
    if not config.runs or len(set(config.runs)) < len(config.runs):
      raise ValueError(f'runs is {config.runs}; expected the numbers of the data, each once, e.g. '
                       '(1,).')
    base.check_acting(config.evaluation)

  def directories(self, name):
    """Lists the directories that hold the data of an environment."""
    return [rlu.dataset_directory(self.config.data_dir, self.config.dataset, name, run)
            for run in self.config.runs]

  def read(self, name, *, with_idm_labels=False):
    """Returns the episodes of an environment, with all their actions; see `rlds.labelled`."""
    data = self._open(name, with_idm_labels=with_idm_labels)
    base.reserve(self.config, data)
    return data

  def time_scale(self, name):
    """Returns the `time_scale.TimeScale` of a game: an emulator has 60 frames a second."""
    del name
    return time_scale.TimeScale('image', float(video.FPS), self.frames_per_step, True)

  def digest(self, name):
    """Returns the digest of an environment's data."""
    return self._open(name).digest

  def _open(self, name, *, with_idm_labels=False):
    directories = self.directories(name)
    for run, directory in zip(self.config.runs, directories, strict=True):
      rlu.check_dataset(directory, name, run, allow_damaged=self.config.allow_damaged)
    return episode_files.EpisodeFiles(
        directories, self.spec(name), expected_name=name,
        with_idm_labels=with_idm_labels,
        check_actions=lambda actions, path, episode: rlu.check_actions(
            actions, name, path, episode))

  def check_data(self, episodes, hidden):
    """Refuses {environment: episodes} with an episode twice, or as `copies` of `hidden` ones."""
    episode_files.check_no_duplicates(episodes)
    copies.check(episodes, hidden)

  def make_evaluation(self, learner):
    """Makes the evaluation of the agent.

    Args:
      learner: the run's `learner.Learner`.

    Returns:
      evaluate(params, is_last, video_path='', short_path='') -> {'sampled': scores}; `video_path`
      is where the best episode is written, `short_path` where every n-th frame of it is. The last
      evaluation writes the short one and has 'episode', which says what is in it. If the config
      has a `sharpened_temperature`, the last one plays as many games again, from the same seeds,
      with this temperature of the actions: 'sharpened', which takes as long as 'sampled'.
    """
    config, settings = self.config, self.config.evaluation
    legal = action_sets.spec(config.target).actions.mask
    agent = self._evaluator(learner.player(legal, rule=settings.rule), settings.num_episodes)

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

  def make_delayed_play(self, dt, num_episodes):
    """Makes play in which an agent is shown images late."""
    config, settings = self.config, self.config.evaluation
    legal = action_sets.spec(config.target).actions.mask
    agent = functools.cache(lambda: self._evaluator(  # When it is first asked for.
        acting.Player(dt, legal, settings.rule), num_episodes))
    return lambda params, delay: agent().run(
        params, acting_mode=settings.acting_mode, seed=config.seed, delay=delay)[0]

  def _evaluator(self, player, num_episodes):
    from alpt_jax.domains.atari import evaluate  # The emulator, which only play needs.
    settings = self.config.evaluation
    return evaluate.AtariEvaluator(
        player, self.config.target, num_episodes=num_episodes, max_steps=settings.max_steps,
        sticky=settings.sticky)

  def acting_modes(self, is_last):
    """Returns the acting modes that an evaluation has scores of, the main one first."""
    settings = self.config.evaluation
    is_sharpened = is_last and settings.sharpened_temperature
    return (settings.acting_mode, *(('sharpened',) if is_sharpened else ()))

  def protocol(self):
    """Returns whose scores they are."""
    return {'game': self.config.target, 'seed': self.config.seed}

  def collect(self, names):
    """Records or converts what is missing of some games."""
    from alpt_jax.domains.atari import collect  # The emulator.
    collect.main(self.config, names)

  def ceiling(self, name):
    """Returns the ceiling of a game's recording; unknown if it was not measured."""
    from alpt_jax.domains.atari import recording_ceiling
    directory, *others = self.directories(name)
    if others:
      return {'unknown': f'the data of {name} is of {1 + len(others)} recordings'}
    found = recording_ceiling.known(directory, self.read(name))
    if found is None:
      return {'unknown': f'not measured: python -m experiments.ceiling, target {name}'}
    return {key: found[key] for key in ('expected', 'realised')}

  def score_floors(self, name):
    """Returns the scores of agents that look at nothing; unknown if they were not measured."""
    from alpt_jax.domains.atari import score_floors  # The emulator.
    directory, *others = self.directories(name)
    if others:
      return {'unknown': f'the data of {name} is of {1 + len(others)} recordings'}
    settings = self.config.evaluation
    found = score_floors.known(directory, self.read(name), name, max_steps=settings.max_steps,
                               sticky=settings.sticky)
    if found is None:
      return {'unknown': f'not measured: python -m experiments.score_floors, target {name}'}
    return score_floors.in_short(found)
