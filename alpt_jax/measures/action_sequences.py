"""Measures how well a recording's actions are known without its observations.

What the last action alone tells about the next one is the least that an agent has to beat before it
can be said to look, and what a copy of the past already explains of a label.
"""

import numpy as np


def opposite_moves(actions, directions):
  """Share of moves that the next action undoes.

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
