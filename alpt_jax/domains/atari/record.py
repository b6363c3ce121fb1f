"""Plays Atari games into datasets with the names, features and files of RL Unplugged.

What is played stands in for DQN replay where that cannot be downloaded: a behaviour whose share of
random actions falls from checkpoint to checkpoint, as a learning agent's play improves. It is NOT
DQN replay, and the dataset's card says so.

The datasets with a split per checkpoint are written here, straight into array_record files and
without TensorFlow. `rlu_atari`, which is one split, goes through envlogger.
An episode is the same bytes both ways.
"""

import contextlib
import dataclasses
import os
import zlib
from importlib import metadata

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import png, record_file, records, rlds
from alpt_jax.domains.atari import action_sets, policies, rlu
from alpt_jax.domains.atari import env as atari
from alpt_jax.files import atomic_files
from alpt_jax.measures import action_sequences

_NOTICE = ('This is NOT DQN replay, which RL Unplugged published under the same names, but the '
           'play of a {behaviour} behaviour with fewer random actions from checkpoint to '
           'checkpoint.')
_PACKAGES = ('ale-py', 'array-record', 'opencv-python-headless', 'tensorflow-datasets')


@dataclasses.dataclass(frozen=True)
class Settings:
  """How a game is played.

  Attributes:
    behaviour: 'scripted', 'lookahead' or 'random'; 'auto' is the script where there is one, else
      the look-ahead.
    num_steps: agent steps (4 frames each) to play in all checkpoints together; what the last
      episode takes to its end comes on top.
    num_checkpoints: 1 .. 100.
    first_epsilon: share of uniformly random actions of the first checkpoint, in (0, 1].
    last_epsilon: the same of the last; geometric in between, as an agent's play improves fast at
      first and slowly later on.
    max_episode_steps: agent steps after which an episode is cut, which is no terminal state.
    sticky: probability with which the emulator repeats the previous action.
    seed: of the game's and the behaviour's draws.
  """
  behaviour: str = 'auto'
  num_steps: int = 50_000
  num_checkpoints: int = 10
  first_epsilon: float = .5
  last_epsilon: float = .02
  max_episode_steps: int = atari.MAX_STEPS
  sticky: float = atari.STICKY
  seed: int = 0

  def __post_init__(self):
    if not 1 <= self.num_checkpoints <= 100:
      raise ValueError(f'num_checkpoints is {self.num_checkpoints}; expected 1 to 100.')
    if self.num_steps < self.num_checkpoints:
      raise ValueError(f'num_steps is {self.num_steps}; expected at least one for each of the '
                       f'{self.num_checkpoints} checkpoints.')
    for name in ('first_epsilon', 'last_epsilon'):
      if not 0 < getattr(self, name) <= 1:
        raise ValueError(f'{name} is {getattr(self, name)}; expected a share in (0, 1].')
    if self.seed < 0:
      raise ValueError(f'seed is {self.seed}; expected at least 0.')

  def of_game(self, game):
    """Returns the settings with the behaviour that 'auto' means for a game."""
    if self.behaviour != 'auto':
      return self
    is_scripted = game in policies.SCRIPTED
    return dataclasses.replace(self, behaviour='scripted' if is_scripted else 'lookahead')


def record_game(game, data_dir, settings, *, dataset='rlu_atari_checkpoints_ordered', run=1,
                progress=None):
  """Plays a game and writes the dataset `{data_dir}/{dataset}/{game}_run_{run}/{version}`.

  Checkpoint c of C ends with the first whole episode after (c + 1) / C of all steps; each has at
  least one episode. The dataset appears under its name only when it is complete.

  Args:
    game: e.g. 'Breakout'.
    data_dir: root of the datasets, as TFDS's data_dir.
    settings: `Settings`.
    dataset: a key of `rlu.VERSIONS`; 'rlu_atari' holds all checkpoints in split 'train'.
    run: 1 .. 5. Runs differ in all random draws, as agents trained with other seeds.
    progress: called with the number of steps played, at most `settings.num_steps`, or None.

  Returns:
    The dataset card, a dict. `mean_return` is of rewards clipped to [-1, 1], scores are not.

  Raises:
    ValueError: if an argument is unknown or out of range, or there is a dataset already.
  """
  directory = rlu.dataset_directory(data_dir, dataset, game, run)
  settings = settings.of_game(game)
  notice = _NOTICE.format(behaviour=settings.behaviour)
  num_steps, num_checkpoints = settings.num_steps, settings.num_checkpoints
  epsilons = np.geomspace(settings.first_epsilon, settings.last_epsilon, num_checkpoints).tolist()
  checkpoints, all_episodes = [], []
  num_played = 0
  with (atomic_files.new_directory(directory) as staging,
        _open_writer(dataset, game, run, staging, notice) as writer):
    for checkpoint, (env_seed, policy_seed) in enumerate(
        checkpoint_seeds(game, run, seed=settings.seed, num_checkpoints=num_checkpoints)):
      env = atari.make(game, env_seed, sticky=settings.sticky,
                       max_steps=settings.max_episode_steps)
      policy = policies.make(settings.behaviour, game, env, epsilon=epsilons[checkpoint],
                             seed=policy_seed)
      episodes = []
      while not episodes or num_played * num_checkpoints < num_steps * (checkpoint + 1):
        played = []
        for transition in writer.play(env, policy, checkpoint, len(episodes)):
          played.append(transition)
          num_played += 1
          if progress is not None and num_played <= num_steps:
            progress(num_played)
        episodes.append(atari.Played(*map(np.array, zip(*played, strict=True))))
      checkpoints.append({'epsilon': epsilons[checkpoint], **_statistics(episodes)})
      all_episodes += episodes
    writer.finish()
    card = _card(game, notice, {'dataset': dataset, 'run': run} | dataclasses.asdict(settings),
                 checkpoints, _action_statistics(game, all_episodes))
    atomic_files.write_json(os.path.join(staging, 'content', rlds.CARD), card, indent=2)
  return card


def checkpoint_seeds(game, run, *, seed, num_checkpoints):
  """Returns a list of (seed of the emulator, seed of the behaviour), one for each checkpoint.

  A game's draws do not depend on which other games are recorded, or how long a checkpoint took.
  """
  seeds = np.random.SeedSequence([seed, run, zlib.crc32(game.encode())])
  return [tuple(int(s) for s in child.generate_state(2) >> 1)
          for child in seeds.spawn(num_checkpoints)]


def _open_writer(dataset, game, run, staging, notice):
  if dataset == 'rlu_atari':
    try:
      # TensorFlow: seconds that others need not wait.
      from alpt_jax.domains.atari import record_envlogger
    except ModuleNotFoundError as error:
      raise ValueError(
          f'dataset is rlu_atari, which is recorded through envlogger ({error}; its last version '
          'with a TFDS writer is for Python 3.11: pip install ".[envlogger]"). Expected '
          'rlu_atari_checkpoints_ordered or rlu_atari_checkpoints, which need it not.') from error
    return record_envlogger.Writer(staging, notice)
  return _Writer(dataset, game, run, staging, notice)


class _Writer(contextlib.AbstractContextManager):
  """Writes one array_record file per checkpoint, and the manifests of the official builder."""

  def __init__(self, dataset, game, run, staging, notice):
    self._directory = os.path.join(staging, 'content')
    self._dataset = dataset
    builder = tfds.builder(f'{dataset}/{game}_run_{run}', data_dir=staging)
    self._info = tfds.core.DatasetInfo(
        builder=builder, description=notice, homepage=builder.info.homepage,
        citation=builder.info.citation, disable_shuffling=True,
        features=rlu.recorded_features(builder.info.features))
    self._serializer = records.ExampleSerializer(self._info.features.get_serialized_info())
    self._file = None
    self._lengths = []  # Episodes of each checkpoint.
    self._sizes = []  # Bytes of each checkpoint.

  def __exit__(self, *unused):
    if self._file is not None:
      self._file.close()
      self._file = None

  def play(self, env, policy, checkpoint, episode):
    """Plays and writes an episode, the next of this checkpoint or the first of the next one.

    Args:
      env: `atari.Atari`.
      policy: `policies.Policy`.
      checkpoint: number of the checkpoint, from 0.
      episode: number of the episode in the checkpoint, from 0.

    Yields:
      `Played`, of every transition.
    """
    observations, actions, rewards, is_random = [], [], [], []
    for timestep, action in atari.play(env, policy):
      observations.append(png.encode(timestep.observation))
      if action is not None:
        actions.append(action)
        rewards.append(timestep.reward)
        is_random.append(policy.is_random)
        yield atari.Played(action, timestep.reward, policy.is_random)
    steps = _rlds_steps(observations, actions, rewards, is_random,
                        is_terminal=timestep.discount == 0)
    record = self._serializer.serialize_example({
        'steps': steps, 'checkpoint_id': checkpoint, 'episode_id': episode,
        'episode_return': steps['reward'].sum()})
    if checkpoint == len(self._lengths):
      self._open_file(rlu.split_name(self._dataset, checkpoint))
    self._file.write(record)
    self._lengths[-1] += 1
    self._sizes[-1] += len(record)

  def finish(self):
    """Writes the manifests."""
    self.__exit__()
    self._info.set_file_format('array_record', override=True)
    template = tfds.core.ShardedFileTemplate(
        data_dir=self._directory, dataset_name=self._dataset, filetype_suffix='array_record')
    self._info.set_splits(tfds.core.SplitDict([
        tfds.core.SplitInfo(name=rlu.split_name(self._dataset, i), shard_lengths=[length],
                            num_bytes=size, filename_template=template)
        for i, (length, size) in enumerate(zip(self._lengths, self._sizes, strict=True))]))
    self._info.write_to_directory(self._directory)

  def _open_file(self, split):
    self.__exit__()
    name = f'{self._dataset}-{split}.array_record-00000-of-00001'
    self._file = record_file.RecordFile(os.path.join(self._directory, name))
    self._lengths.append(0)
    self._sizes.append(0)


def _rlds_steps(observations, actions, rewards, is_random, *, is_terminal):
  """Aligns an episode as `tfds.rl_unplugged` does; the last step has only its observation.

  Args:
    observations: T + 1 PNGs.
    actions: T ints.
    rewards: T floats.
    is_random: T bools.
    is_terminal: whether the game was over, or else the episode cut.

  Returns:
    The fields of the T + 1 steps.
  """
  length = len(observations)
  is_end = np.arange(length) == length - 1
  discounts = np.ones(length, np.float32)
  if is_terminal:
    discounts[-2:] = 0  # The transition that ends the game, and the step that has none.
  return {
      'observation': observations,
      'action': np.array([*actions, 0], np.int64),
      'reward': rlu.clip([*rewards, 0.]),
      'discount': discounts,
      'is_first': np.arange(length) == 0,
      'is_last': is_end,
      'is_terminal': is_end & is_terminal,
      rlds.RANDOM: np.array([*is_random, False]),
  }


def _statistics(episodes):
  """Describes the scores of episodes, each a `Played` of arrays."""
  episodes = [played.reward for played in episodes]
  scores = [rewards.sum() for rewards in episodes]
  return {
      'num_episodes': len(episodes),
      'num_transitions': sum(len(rewards) for rewards in episodes),
      'mean_length': float(np.mean([len(rewards) for rewards in episodes])),
      'mean_return': float(np.mean([rlu.clip(rewards).sum(dtype=float) for rewards in episodes])),
      'mean_score': float(np.mean(scores)),
      'std_score': float(np.std(scores)),
  }


def _action_statistics(game, episodes):
  """Says what is known of the actions of all episodes without looking at the game."""
  minimal = action_sets.MINIMAL_ACTIONS[game]
  actions = [played.action for played in episodes]
  shares = np.bincount(np.concatenate(actions), minlength=len(minimal)) / sum(map(len, actions))
  opposite = action_sequences.opposite_moves(
      actions, [action_sets.DIRECTIONS[i] for i in minimal])
  return {
      'random_share': float(np.mean(np.concatenate([p.is_random for p in episodes]))),
      'most_frequent_action': action_sets.ACTION_NAMES[minimal[shares.argmax()]],
      'most_frequent_share': float(shares.max()),
      'opposite_moves': None if np.isnan(opposite) else opposite,  # JSON has no nan.
      'last_action_table': action_sequences.last_action_table(actions, len(minimal)),
  }


def _card(game, notice, settings, checkpoints, actions):
  num_episodes = sum(c['num_episodes'] for c in checkpoints)
  num_transitions = sum(c['num_transitions'] for c in checkpoints)
  return {
      'name': game,
      'notice': notice,
      'metadata': settings | {'versions': {name: metadata.version(name) for name in _PACKAGES}},
      'num_episodes': num_episodes,
      'num_transitions': num_transitions,
      'mean_length': num_transitions / num_episodes,
      'mean_return': sum(c['mean_return'] * c['num_episodes'] for c in checkpoints) / num_episodes,
      'actions': actions,
      'own_features': {f'steps/{rlds.RANDOM}': rlu.RANDOM_NOTICE},
      'checkpoints': checkpoints,
  }
