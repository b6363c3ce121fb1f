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
    most_frequent: the action taken most often, the first of equals: an integer, or [P] numbers.
    share: of it, in [0, 1], over all steps.
    longest_run: steps in a row, in one episode, with one action.
  """
  most_frequent: int | np.ndarray
  share: float
  longest_run: int


def describe(episodes):
  """Describes the actions of episodes.

  Args:
    episodes: list of [L] int, or of [L, P] of actions of several parts, which are one action if all
      of their parts are equal; at least one is not empty.

  Returns:
    `Actions`.

  Raises:
    ValueError: if there is no action.
  """
  episodes = [e for e in map(np.asarray, episodes) if len(e)]
  if not episodes:
    raise ValueError('episodes hold no action; expected at least one.')
  actions, counts = np.unique(np.concatenate(episodes), axis=0, return_counts=True)
  most = actions[counts.argmax()]
  return Actions(most if most.ndim else int(most), float(counts.max() / counts.sum()),
                 max(map(_longest_run, episodes)))


def _longest_run(actions):
  is_other = (actions[1:] != actions[:-1]).any(axis=tuple(range(1, actions.ndim)))
  changes = np.flatnonzero(is_other) + 1
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
