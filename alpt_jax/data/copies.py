"""Refuses exact copies of a target's episodes among other data, whatever actions they hold.

`EpisodeFiles.digest` and those of datasets hold actions. A copy of the target that stores them with
other ids, or lacks some, has another digest, and its actions would still give hidden ones away. So
episodes are compared by their observations: `observation_digests`, where 0 stands for an episode in
which nothing changes, and which cannot be compared.

This finds copies made by mistake, not by intent: only episodes with as many steps and the same
observations, of which those on disk compare a few (`episode_files`). A copy that is one step
shorter, is split or joined, or in which one compared pixel differs passes.
"""

import hashlib

import numpy as np

# Shorter episodes of two environments may look the same by chance, e.g. of positions in a room.
FEWEST_TRANSITIONS = 10


def digest(observations, length):
  """Names what is seen in an episode.

  Args:
    observations: [n, ...]; all of the episode's, or some at places that its length decides.
    length: steps of the episode.

  Returns:
    An int of 64 bits; 0 if all observations are the same.
  """
  if (observations == observations[:1]).all():
    return 0
  content = np.ascontiguousarray(observations)
  named = hashlib.blake2b(content.data.cast('B'), digest_size=8, key=length.to_bytes(8, 'big'))
  return int.from_bytes(named.digest(), 'big')


def check(data, targets, *, by_episode=True):
  """Refuses data that holds exact copies of a target's episodes; see the module for what passes.

  Args:
    data: {name: episodes}, with `observation_digests` [E] uint64 and `num_transitions` [E].
    targets: names in `data` whose actions are to stay hidden.
    by_episode: whether one episode, of at least FEWEST_TRANSITIONS, is a copy; else only all of a
      target's episodes together are, as where episodes of two environments may look the same.

  Raises:
    ValueError: naming both, and the number of episodes.
  """
  for target in targets:
    own = data[target]
    says_something = own.observation_digests != 0
    for name, other in data.items():
      if name == target:
        continue
      is_copy = says_something & np.isin(own.observation_digests, other.observation_digests)
      is_whole = is_copy.any() and is_copy[says_something].all()
      is_long = own.num_transitions >= FEWEST_TRANSITIONS
      if is_whole or by_episode and (is_copy & is_long).any():
        raise ValueError(
            f'{name} holds {is_copy.sum()} of the {len(is_copy)} episodes of the target {target}, '
            f'e.g. episode {is_copy.argmax()}, with the same observations; expected none: hidden '
            f'actions would be known from the copy. Take {name} out of the config.')
