"""Data of somebody's own, made up: a dot that an action moves, filmed."""

import numpy as np

from alpt_jax.data import environment_file, writer
from experiments.configs import own

SIZE = 28  # Two patches of 14.
ACTIONS = ('stay', 'left', 'right', 'up')


def environment(name='Play', legal=None, reward=None, space=ACTIONS, shape=(SIZE, SIZE, 1)):
  """The `environment_file.Environment` of a dot; without rewards by default."""
  return environment_file.Environment(
      name=name, observation=environment_file.Observation(kind='image', shape=shape),
      actions=environment_file.Actions(space=space, legal=legal),
      reward=environment_file.Reward() if reward else None, returns=(0, 5) if reward else None)


def make_episode(rng, length, num_actions=4, known=1.):
  """Frames, actions, and which of them are known: a run of a share of the episode's steps."""
  actions = rng.integers(0, num_actions, length)
  x, y = SIZE // 2 + np.cumsum([[0, 0], *(([0, 0], [-3, 0], [3, 0], [0, 3])[a] for a in actions)],
                               axis=0).T % SIZE
  frames = np.full((length + 1, SIZE, SIZE, 1), 30, np.uint8)
  frames[np.arange(length + 1), y % SIZE, x % SIZE] = 255
  return frames, actions, np.arange(length) < round(known * length)


def write(directory, lengths, *, seed=0, known=1., described=None, garbage=0):
  """Writes a dataset; `known` is a share for all episodes, or one for each.

  Returns:
    The true actions of every episode, also of those that are written as unknown.
  """
  described = described or environment()
  rng, episodes, truth = np.random.default_rng(seed), [], []
  shares = np.broadcast_to(known, len(lengths))
  for length, share in zip(lengths, shares, strict=True):
    frames, actions, is_known = make_episode(
        rng, length, num_actions=len(described.actions.legal), known=share)
    episode = writer.steps(
        list(frames), actions, is_labelled=is_known,
        rewards=(actions == 1).astype(float) if described.reward else None)
    episode['action'][:-1][~is_known] = garbage  # What is unknown may be anything.
    episodes.append(episode)
    truth.append(actions)
  writer.write(directory, name=described.name, environment=described,
               episodes=iter(episodes), card={})
  return truth


def config(data_dir, workdir, argument='tiny', **changes):
  """The tiny preset; `changes` are fields of the top level."""
  result = own.get_config(argument)
  result.data_dir, result.workdir = str(data_dir), str(workdir)
  result.model.patch_size = 14
  result.update(changes)
  return result
