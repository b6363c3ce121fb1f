"""What IDMs say of actions of several parts: perfect ones, and ones that say anything."""

import numpy as np

from alpt_jax import action_parts, action_space
from alpt_jax.labelling import part_audit
from tests import random_spaces

DESK = action_space.Parts((
    action_parts.Binary('jump'), action_parts.Binary('run'),
    action_parts.Continuous('turn', -9., 9., unit='degrees', mode='delta', num_bins=9),
    action_parts.Categorical('weapon', ('fist', 'bow', 'axe'), legal=('fist', 'axe'))))


def perfect(space, rng, *, num_episodes=12, length=40, known=.9, held=.6, name='Desk'):
  """Makes `part_audit.Predictions` that are right in every class; values are held for a while."""
  size = num_episodes * length
  actions = np.zeros((size, len(space.parts)), np.float32)
  is_known = np.zeros(actions.shape, bool)
  probabilities = np.zeros((size, space.num), np.float32)
  for p, (part, own) in enumerate(zip(space.parts, space.own, strict=True)):
    if own is None:
      continue
    drawn = random_spaces.values(rng, own, size)
    for t in range(1, size):
      if t % length and rng.random() < held:
        drawn[t] = drawn[t - 1]
    actions[:, p], is_known[:, p] = part.from_own(drawn, own), rng.random(size) < known
    probabilities[np.arange(size), space.segments[p].start + part.classes(actions[:, p])] = 1
  actions[~is_known] = 0
  is_used = is_known.any(axis=1)
  return part_audit.Predictions(
      name, space, probabilities[is_used], actions[is_used], is_known[is_used],
      np.repeat(np.arange(num_episodes), length)[is_used],
      np.tile(np.arange(length), num_episodes)[is_used])


def shuffled(found, rng):
  """Says the same at other transitions: looks at nothing."""
  return found._replace(probabilities=rng.permutation(found.probabilities))
