"""Plays scenarios of Doom into datasets: scripts with fewer random actions from checkpoint to
checkpoint, as the play of a learning agent improves."""

import contextlib
import dataclasses
import zlib
from importlib import metadata
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import rlds, writer
from alpt_jax.domains.doom import env as doom
from alpt_jax.domains.doom import policies, scenarios

_PACKAGES = ('array-record', 'numpy', 'opencv-python-headless', 'tensorflow-datasets', 'vizdoom')
_RANDOM_NOTICE = 'Whether the action was drawn uniformly, all parts at once, whatever was seen.'


@dataclasses.dataclass(frozen=True)
class Settings:
  """How a scenario is played.

  Attributes:
    num_steps: to play in all checkpoints together; what the last episode takes to its end comes on
      top.
    num_checkpoints: at least 1.
    first_epsilon: share of uniformly random actions of the first checkpoint, in (0, 1].
    last_epsilon: the same of the last; geometric in between, as an agent's play improves fast at
      first and slowly later on.
    frame_skip: tics a step, of which the game has 35 a second.
    seed: of the game's and the script's draws.
  """
  num_steps: int = 50_000
  num_checkpoints: int = 10
  first_epsilon: float = .5
  last_epsilon: float = .02
  frame_skip: int = scenarios.FRAME_SKIP
  seed: int = 0

  def __post_init__(self):
    if not 1 <= self.num_checkpoints <= self.num_steps:
      raise ValueError(f'num_checkpoints is {self.num_checkpoints} and num_steps {self.num_steps}; '
                       'expected at least one checkpoint, and a step for each.')
    for name in ('first_epsilon', 'last_epsilon'):
      if not 0 < getattr(self, name) <= 1:
        raise ValueError(f'{name} is {getattr(self, name)}; expected a share in (0, 1].')
    if self.seed < 0:
      raise ValueError(f'seed is {self.seed}; expected at least 0.')

  @property
  def epsilons(self):
    """Share of random actions of each checkpoint: a list of float."""
    return np.geomspace(self.first_epsilon, self.last_epsilon, self.num_checkpoints).tolist()


class Episode(NamedTuple):
  """An episode of L steps.

  Attributes:
    observations: [L + 1, H, W, 3] uint8.
    actions: [L, P] float32, see `scenarios`.
    rewards: [L] float32, as the game gives them.
    is_random: [L] bool; the action was drawn uniformly, all parts at once, whatever was seen.
    is_terminal: whether the scenario ended, or else the episode was cut.
    checkpoint: from 0.
  """
  observations: np.ndarray
  actions: np.ndarray
  rewards: np.ndarray
  is_random: np.ndarray
  is_terminal: bool
  checkpoint: int


def record(scenario, directory, settings, *, progress=None):
  """Plays a scenario and writes the dataset; it appears under its name only when it is complete.

  Recorded rewards are those of the game times `Scenario.reward_scale`; scores on the card are not.

  Args:
    scenario: one of `scenarios.SCENARIOS`; names the dataset, too.
    directory: where to; must not exist, or be empty.
    settings: `Settings`.
    progress: called with the number of steps played, at most `settings.num_steps`, or None.

  Returns:
    The dataset card, a dict.

  Raises:
    ValueError: if an argument is unknown or out of range, or `directory` already holds something.
  """
  checkpoints = [{'epsilon': epsilon, 'num_episodes': 0, 'num_transitions': 0, 'mean_score': 0.}
                 for epsilon in settings.epsilons]
  num_played = 0

  def steps():
    nonlocal num_played
    for episode in episodes(scenario, settings):
      own = checkpoints[episode.checkpoint]
      own['num_episodes'] += 1
      own['num_transitions'] += len(episode.actions)
      own['mean_score'] += (float(episode.rewards.sum()) - own['mean_score']) / own['num_episodes']
      num_played += len(episode.actions)
      yield _rlds_steps(scenario, episode)
      if progress is not None:
        progress(min(num_played, settings.num_steps))

  return writer.write(
      directory, name=scenario, episodes=steps(),
      environment=scenarios.environment(scenario, frame_skip=settings.frame_skip),
      extra_features={rlds.RANDOM: tfds.features.Scalar(
          np.bool_, doc=tfds.features.Documentation(desc=_RANDOM_NOTICE))},
      card=lambda: {
          'metadata': dataclasses.asdict(settings) | {
              'behaviour': 'a script mixed with ever fewer uniform actions',
              'reward_scale': scenarios.of(scenario).reward_scale,
              'versions': {package: metadata.version(package) for package in _PACKAGES}},
          'own_features': {f'steps/{rlds.RANDOM}': _RANDOM_NOTICE},
          'checkpoints': checkpoints})


def _rlds_steps(scenario, episode):
  """Returns {step field: L + 1 values} of an episode, see `writer.steps`."""
  parts, scale = scenarios.of(scenario).parts, scenarios.of(scenario).reward_scale
  actions = {part: values if part == scenarios.TURN else values.astype(bool)
             for part, values in zip(parts, episode.actions.T, strict=True)}
  return writer.steps(
      list(episode.observations), actions, rewards=scale * episode.rewards,
      is_terminal=episode.is_terminal) | {rlds.RANDOM: np.append(episode.is_random, False)}


def episodes(scenario, settings):
  """Plays a scenario.

  Checkpoint c of C ends with the first whole episode after (c + 1) / C of all steps; each has at
  least one episode.

  Args:
    scenario: one of `scenarios.SCENARIOS`.
    settings: `Settings`.

  Yields:
    `Episode`; the same ones for the same arguments.

  Raises:
    ValueError: if the scenario is unknown or `frame_skip` out of range.
  """
  num_played = 0
  pairs = seeds(scenario, settings)
  for checkpoint, (epsilon, (env_seed, seed)) in enumerate(
      zip(settings.epsilons, pairs, strict=True)):
    with contextlib.closing(doom.make(scenario, env_seed, frame_skip=settings.frame_skip,
                                      has_view=True)) as env:
      policy = policies.make(env, epsilon=epsilon, seed=seed)
      is_first = True
      while is_first or num_played * settings.num_checkpoints < settings.num_steps * (
          checkpoint + 1):
        episode = play(env, policy, checkpoint)
        yield episode
        num_played += len(episode.actions)
        is_first = False


def play(env, policy, checkpoint=0, seed=None):
  """Plays one episode.

  Args:
    env: `env.Doom`.
    policy: function of the timestep that returns an action, e.g. `policies.Policy`.
    checkpoint: number of the checkpoint, from 0.
    seed: of the episode, see `env.Doom.reset`.

  Returns:
    `Episode`; nothing is random if the policy does not say so.
  """
  timestep = env.reset(seed)
  observations, steps = [timestep.observation], []
  while not timestep.last():
    action = policy(timestep)
    timestep = env.step(action)
    observations.append(timestep.observation)
    steps.append((action, timestep.reward, getattr(policy, 'is_random', False)))
  actions, rewards, is_random = zip(*steps, strict=True)
  return Episode(np.stack(observations), np.stack(actions), np.array(rewards, np.float32),
                 np.array(is_random), timestep.discount == 0, checkpoint)


def seeds(scenario, settings):
  """Returns a list of (seed of the game, seed of the script), one for each checkpoint.

  A scenario's draws do not depend on which others are recorded, or how long a checkpoint took.
  """
  sequence = np.random.SeedSequence([settings.seed, zlib.crc32(scenario.encode())])
  return [tuple(int(s) for s in child.generate_state(2) >> 1)
          for child in sequence.spawn(settings.num_checkpoints)]
