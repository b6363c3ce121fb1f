"""A simulated camera over points, with two keys, and the exact posterior of what was done.

The camera looks at N points in fixed directions, of which some are hidden at every step, and sees
the others' bearings with noise. How far it turns is the continuous part of an action. Two keys,
each held or not for some steps, raise two dials that are read with noise, one key a bit of the
other's.

All of it is Gaussian, or a Markov chain of four states, given which points are hidden (which tells
nothing of the rest). So what observations tell of actions can be computed: the ceiling of labels.
"""

from typing import NamedTuple

import numpy as np

KEYS = ('light', 'jump')
_DIALS = np.array([[1., -.4], [.6, 1.]])  # [dial, key]: what a key that is down adds.


class World(NamedTuple):
  """Numbers of a world; angles are in degrees.

  Attributes:
    num_points: N.
    points: standard deviation of the points' directions around 0.
    yaw: standard deviation of where the camera looks, around 0.
    turning: in (0, 1); how much of its turning away is left a step later, on average.
    noise: standard deviation of a bearing's noise.
    hidden: share of points that are hidden at a step.
    held: probability that a key stays as it is for another step.
    dial_noise: standard deviation of a dial's noise; a key's effect is 1.
  """
  num_points: int = 4
  points: float = 40.
  yaw: float = 40.
  turning: float = .8
  noise: float = 8.
  hidden: float = .35
  held: float = .75
  dial_noise: float = .45

  @property
  def largest_bearing(self):
    """Six standard deviations of a bearing: observations are bearings divided by it."""
    return 6 * float(np.sqrt(self.points**2 + self.yaw**2 + self.noise**2))

  @property
  def largest_turn(self):
    """Six standard deviations of how far the camera turns."""
    return 6 * self.yaw * float(np.sqrt(2 * (1 - self.turning)))


class Episode(NamedTuple):
  """What happened in L steps.

  Attributes:
    observations: [L + 1, 2 N + 2] float32 in [-1, 1]: the bearings, 0 of hidden points; 1 for each
      that is seen, 0 for hidden ones; the dials, which say what was done the step before. Both are
      divided by what they are at most.
    turns: [L] float32; degrees from one step to the next.
    keys: [L, 2] bool.
  """
  observations: np.ndarray
  turns: np.ndarray
  keys: np.ndarray


_LARGEST_DIAL = 6.


def simulate(world, length, rng):
  """Draws an `Episode` of `length` steps."""
  yaw = np.zeros(length + 1)
  yaw[0] = rng.normal(0, world.yaw)
  rest = world.yaw * np.sqrt(1 - world.turning**2)
  for t in range(length):
    yaw[t + 1] = world.turning * yaw[t] + rng.normal(0, rest)
  directions = rng.normal(0, world.points, world.num_points)
  bearings = directions - yaw[:, None] + rng.normal(
      0, world.noise, (length + 1, world.num_points))
  is_seen = rng.random(bearings.shape) >= world.hidden
  keys = np.zeros((length, 2), bool)
  keys[0] = rng.random(2) < .5
  for t in range(1, length):
    keys[t] = keys[t - 1] ^ (rng.random(2) >= world.held)
  dials = rng.normal(0, world.dial_noise, (length + 1, 2))
  dials[1:] += keys @ _DIALS.T
  observations = np.concatenate([
      np.where(is_seen, bearings / world.largest_bearing, 0), is_seen, dials / _LARGEST_DIAL],
                                axis=1)
  return Episode(np.clip(observations, -1, 1).astype(np.float32),
                 np.diff(yaw).astype(np.float32), keys)


class Posterior(NamedTuple):
  """What all observations of an episode tell of its actions.

  Attributes:
    turns: [L]; expectation.
    deviations: [L]; standard deviation of the turns around it.
    keys: [L, 2]; probability that a key was down.
  """
  turns: np.ndarray
  deviations: np.ndarray
  keys: np.ndarray


def posterior(world, observations):
  """Computes the exact `Posterior` of actions given [L + 1, 2 N + 2] observations."""
  return Posterior(*_turns(world, observations), _keys(world, observations))


def _turns(world, observations):
  """Expectation and standard deviation of turns: of a Gaussian, of yaw and directions."""
  n, num = world.num_points, len(observations)
  bearings = observations[:, :n].astype(float) * world.largest_bearing
  step, point = np.nonzero(observations[:, n:2 * n])
  lag = abs(np.arange(num)[:, None] - np.arange(num))
  prior = np.zeros((num + n, num + n))
  prior[:num, :num] = world.yaw**2 * world.turning**lag
  prior[num:, num:] = world.points**2 * np.eye(n)
  seen = np.zeros((len(step), num + n))
  seen[np.arange(len(step)), step] = -1
  seen[np.arange(len(step)), num + point] = 1
  gain = np.linalg.solve(seen @ prior @ seen.T + world.noise**2 * np.eye(len(step)), seen @ prior).T
  mean = gain @ bearings[step, point]
  covariance = prior - gain @ seen @ prior
  change = np.zeros((num - 1, num + n))
  change[np.arange(num - 1), np.arange(num - 1)] = -1
  change[np.arange(num - 1), np.arange(1, num)] = 1
  return change @ mean, np.sqrt(np.einsum('ij,jk,ik->i', change, covariance, change))


def _keys(world, observations):
  """Probabilities of keys: forwards and backwards over the four states of both."""
  dials = observations[1:, -2:].astype(float) * _LARGEST_DIAL
  states = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
  logs = -.5 * (((dials[:, None] - states @ _DIALS.T) / world.dial_noise)**2).sum(axis=-1)
  likelihoods = np.exp(logs - logs.max(axis=1, keepdims=True))
  num_changes = (states[:, None] != states).sum(axis=-1)
  moves = (1 - world.held)**num_changes * world.held**(2 - num_changes)
  forward, backward = np.zeros_like(likelihoods), np.ones_like(likelihoods)
  for t in range(len(dials)):
    now = likelihoods[t] * (forward[t - 1] @ moves if t else .25)
    forward[t] = now / now.sum()
  for t in range(len(dials) - 2, -1, -1):
    now = moves @ (likelihoods[t + 1] * backward[t + 1])
    backward[t] = now / now.sum()
  found = forward * backward
  return (found / found.sum(axis=1, keepdims=True)) @ states
