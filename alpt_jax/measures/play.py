"""Describes actions of play, and makes blind agents that imitate them.

A blind agent chooses by the action before and by nothing else: probabilities [A + 1, A], whose row
a is what follows action a, and whose last row begins an episode. Its score is a floor: an agent
that scores no more has not been shown to look.
"""

from typing import NamedTuple

import numpy as np


class Actions(NamedTuple):
  """How varied the actions of some episodes are.

  Attributes:
    most_frequent: the action taken most often, the first of equals.
    share: of it, in [0, 1], over all steps.
    longest_run: steps in a row, in one episode, with one action.
  """
  most_frequent: int
  share: float
  longest_run: int


def describe(episodes):
  """Describes the actions of episodes.

  Args:
    episodes: list of [L] int, of which at least one is not empty.

  Returns:
    `Actions`.

  Raises:
    ValueError: if there is no action.
  """
  actions = np.concatenate([np.asarray(e, np.int64) for e in episodes]) if len(episodes) else []
  if not len(actions):
    raise ValueError('episodes hold no action; expected at least one.')
  counts = np.bincount(actions)
  return Actions(int(counts.argmax()), float(counts.max() / len(actions)),
                 max(map(_longest_run, episodes)))


def _longest_run(actions):
  if not len(actions):
    return 0
  changes = np.flatnonzero(np.diff(actions)) + 1
  return int(np.diff([0, *changes, len(actions)]).max())


def uniform(legal):
  """Makes the blind agent that plays at random.

  Args:
    legal: [A] bool.

  Returns:
    [A + 1, A] float64.
  """
  legal = np.asarray(legal, bool)
  return np.tile(legal / legal.sum(), (len(legal) + 1, 1))


def always(action, num_actions):
  """Makes the blind agent that takes one action only: [A + 1, A] float64."""
  return np.tile(np.eye(num_actions)[action], (num_actions + 1, 1))


def markov_chain(episodes, num_actions):
  """Makes the blind agent whose actions follow each other as in a recording.

  Args:
    episodes: list of [L] int in [0, num_actions), the recorded actions; at least one is not empty.
    num_actions: A.

  Returns:
    [A + 1, A] float64. An action that nothing follows is followed by the recording's frequencies.
  """
  counts = np.zeros((num_actions + 1, num_actions))
  for actions in episodes:
    before = np.concatenate([[num_actions], actions[:-1]]) if len(actions) else actions
    np.add.at(counts, (np.asarray(before, int), np.asarray(actions, int)), 1)
  totals = counts.sum(axis=1, keepdims=True)
  return np.where(totals > 0, counts / np.maximum(totals, 1), counts.sum(axis=0) / counts.sum())


def repeat_last(episodes, num_actions):
  """Makes the blind agent that repeats its last action as often as a recording does.

  It knows one number of the recording beside how frequent each action is: the share of steps that
  repeat the one before. (To repeat always would be to take one action only.)

  Args:
    episodes: list of [L] int in [0, num_actions); the recorded actions, at least two in a row.
    num_actions: A.

  Returns:
    [A + 1, A] float64. An episode begins with the recording's frequencies; what is drawn instead of
    a repetition is another action.

  Raises:
    ValueError: if no action follows another.
  """
  repeats = np.concatenate([np.equal(e[1:], e[:-1]) for e in map(np.asarray, episodes)])
  if not len(repeats):
    raise ValueError('no action follows another; expected episodes of two steps and more.')
  frequency = np.bincount(np.concatenate(episodes), minlength=num_actions) * 1.
  frequency /= frequency.sum()
  others = np.where(np.eye(num_actions), 0., frequency)
  totals = others.sum(axis=1, keepdims=True)
  # Where there is one action only, there is no other to draw.
  others = np.where(totals > 0, others / np.where(totals > 0, totals, 1.), np.eye(num_actions))
  rate = repeats.mean()
  return np.vstack([rate * np.eye(num_actions) + (1 - rate) * others, frequency])
