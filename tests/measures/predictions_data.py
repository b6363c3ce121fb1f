"""Predictions to measure: worked by hand, and drawn."""

import numpy as np

# Five transitions of two episodes, three actions. Labels: 0, 1, 0, 2, 0 (the last of two equals).
PROBABILITIES = np.array([[.7, .2, .1],
                          [.1, .6, .3],
                          [.5, .3, .2],
                          [.0, .1, .9],
                          [.4, .4, .2]])
ACTIONS = np.array([0, 1, 1, 2, 1])
EPISODES = np.array([4, 4, 4, 7, 7])
IS_RIGHT = np.array([True, True, False, True, False])


def random_logits(num, num_actions=4, seed=0, spread=2.):
  return spread * np.random.default_rng(seed).normal(size=(num, num_actions))


def softmax(logits):
  weights = np.exp(logits - logits.max(axis=1, keepdims=True))
  return weights / weights.sum(axis=1, keepdims=True)


def draw_actions(probabilities, seed=1):
  """True actions that follow the probabilities, which are calibrated then."""
  numbers = np.random.default_rng(seed).random((len(probabilities), 1))
  return np.minimum((numbers > probabilities.cumsum(axis=1)).sum(axis=1),
                    probabilities.shape[1] - 1)


def random_case(num=200, seed=0):
  probabilities = softmax(random_logits(num, seed=seed))
  return probabilities, draw_actions(probabilities, seed + 1)


def slow_label(row):
  """The first of the most probable actions."""
  return max(range(len(row)), key=lambda a: (row[a], -a))
