"""Measures how well actions are predicted by the actions before them.

What the last action alone tells about the next one is the least that an agent has to beat before it
can be said to look, and what a copy of the past already explains of a label.
"""

import numpy as np


def opposite_moves(actions, directions):
  """Measures the share of moves that the next action undoes.

  Args:
    actions: [E] of [T] int in [0, A); the actions of each episode.
    directions: [A, D] int in {-1, 0, 1}; where each action moves along each axis.

  Returns:
    Float in [0, 1]: of the actions that move and have a successor, the share whose successor moves
    the other way along an axis. nan if nothing moves.
  """
  directions = np.asarray(directions)
  num_moves = num_undone = 0
  for episode in actions:
    moves = directions[np.asarray(episode, int)]
    num_moves += np.sum((moves[:-1] != 0).any(axis=1))
    num_undone += np.sum((moves[:-1] * moves[1:] < 0).any(axis=1))
  return float(num_undone / num_moves) if num_moves else float('nan')


def last_action_table(actions, num_actions):
  """Measures how well the last action alone tells the next one.

  A table P(a[t] | a[t - 1]) is counted on every other episode, from the first on, with one more of
  each pair than was seen, and scored on the others. First actions are left out.

  Args:
    actions: [E] of [T] int in [0, A); the actions of each episode.
    num_actions: A.

  Returns:
    {'accuracy': share of actions that are the table's most probable one,
     'log_loss': mean -ln P of the actions, in nats,
     'majority_accuracy', 'majority_log_loss': the same without the last action, from counts of the
     actions on the same episodes,
     'num_scored': actions that were scored}; None for all but the last if nothing can be fitted or
    scored: less than two episodes of two actions.
  """
  pairs = [np.stack([np.asarray(a, int)[:-1], np.asarray(a, int)[1:]]) for a in actions]
  pairs = [p for p in pairs if p.shape[1]]
  if len(pairs) < 2:
    return dict.fromkeys(
        ('accuracy', 'log_loss', 'majority_accuracy', 'majority_log_loss')) | {'num_scored': 0}
  fitted, scored = (np.concatenate(half, axis=1) for half in (pairs[::2], pairs[1::2]))
  table = np.ones((num_actions, num_actions))
  np.add.at(table, tuple(fitted), 1)
  counts = 1 + np.bincount(fitted[1], minlength=num_actions)
  table /= table.sum(axis=1, keepdims=True)
  shares = counts / counts.sum()
  last, following = scored
  return {
      'accuracy': float(np.mean(table.argmax(axis=1)[last] == following)),
      'log_loss': float(-np.mean(np.log(table[last, following]))),
      'majority_accuracy': float(np.mean(shares.argmax() == following)),
      'majority_log_loss': float(-np.mean(np.log(shares[following]))),
      'num_scored': len(following)}
