"""Cameras as a domain: simulated when they are read, with the exact posterior as their ceiling."""

import functools
import hashlib
import re

import numpy as np

from alpt_jax import action_parts, action_space, types
from alpt_jax.data import episodes
from alpt_jax.domains import base
from alpt_jax.domains.camera import world

LENGTH = 40  # Steps of an episode.
# A tripod has one key less, sees worse, and turns otherwise.
WORLDS = {'camera': world.World(), 'tripod': world.World(noise=10., turning=.7, held=.8)}
_KEYS = {'camera': world.KEYS, 'tripod': world.KEYS[:1]}


class Domain(base.Domain):
  """Cameras, named after their world and the seed of their data, e.g. camera-seed0."""

  def spec(self, name):
    """Returns the `types.EnvironmentSpec` of an environment; ValueError if the name is none."""
    kind, _ = _parsed(name)
    largest = max(w.largest_turn for w in WORLDS.values())
    turn = action_parts.Continuous('turn', -largest, largest, unit='degrees', mode='delta')
    return types.EnvironmentSpec(
        name=name, observation_key='', observation_kind='vector',
        observation_shape=(2 * WORLDS[kind].num_points + 2,), observation_low=-1.,
        observation_high=1., return_low=0, return_high=1, actions=action_space.Parts(
            (turn, *map(action_parts.Binary, _KEYS[kind]))))

  def read(self, name, *, with_idm_labels=False):
    """Simulates the episodes of an environment."""
    del with_idm_labels  # There are none.
    drawn, num = simulated(name, self.config.collect.num_episodes), LENGTH + 1
    keys = len(_KEYS[_parsed(name)[0]])
    actions = np.zeros((len(drawn), num, 1 + keys), np.float32)
    for own, episode in zip(actions, drawn, strict=True):
      own[:-1, 0], own[:-1, 1:] = episode.turns, episode.keys[:, :keys]
    is_labelled = np.ones(actions.shape, bool)
    is_labelled[:, -1] = False
    return episodes.InMemory(
        np.concatenate([episode.observations for episode in drawn]),
        actions.reshape(-1, 1 + keys), np.zeros(len(drawn) * num, np.float32),
        is_labelled.reshape(-1, 1 + keys), np.arange(len(drawn)) * num,
        np.full(len(drawn), LENGTH))

  def digest(self, name):
    """Returns the digest of what decides an environment's data."""
    text = f'{name} {LENGTH} {self.config.collect.num_episodes} {WORLDS[_parsed(name)[0]]}'
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  def posterior(self, name):
    """Computes the `world.Posterior` of every episode of an environment, a list."""
    own = WORLDS[_parsed(name)[0]]
    return [world.posterior(own, episode.observations)
            for episode in simulated(name, self.config.collect.num_episodes)]

  def part_ceiling(self, name, numbers):
    """Returns what the exact posterior says of some episodes; see `base.Domain.part_ceiling`."""
    kind, _ = _parsed(name)
    drawn, found = simulated(name, self.config.collect.num_episodes), []
    for number in numbers:
      said = world.posterior(WORLDS[kind], drawn[number].observations)
      found.append({'turn': said.turns, **dict(zip(_KEYS[kind], said.keys.T, strict=False))})
    return found


@functools.lru_cache(4)
def simulated(name, num_episodes):
  """Draws the episodes of an environment: a list of `world.Episode`."""
  kind, seed = _parsed(name)
  rng = np.random.default_rng([seed, sorted(WORLDS).index(kind)])
  return [world.simulate(WORLDS[kind], LENGTH, rng) for _ in range(num_episodes)]


def _parsed(name):
  """World and seed of a name."""
  found = re.fullmatch(rf'({"|".join(WORLDS)})-seed(\d+)', name)
  if not found:
    raise ValueError(f'environment is {name!r}; expected {" or ".join(WORLDS)}, -seed and a '
                     'number, e.g. camera-seed0.')
  return found[1], int(found[2])
