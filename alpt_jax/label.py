"""Labels a dataset with a trained IDM."""

import numpy as np

_ROWS = 256  # Windows of one call; the last one is filled up, so that one program serves all.


def predict_actions(label_fn, params, episodes, *, window):
  """Labels every transition of a dataset once, from the windows that tile its episode.

  Args:
    label_fn: label_fn(params, observations [B, T + 1, ...]) -> [B, T] int32.
    params: of the IDM.
    episodes: `rlds.Episodes`.
    window: T.

  Returns:
    [N] int32 in the order of the episodes' steps; -1 at last steps, which have no action.
  """
  episode, start, is_new = _tile(episodes.num_transitions, window)
  labels = np.full(len(episodes.actions), -1, np.int32)
  for begin in range(0, len(episode), _ROWS):
    rows = np.arange(begin, begin + _ROWS) % len(episode)
    first = episodes.first_step[episode[rows]]
    last = first + episodes.num_transitions[episode[rows]]
    steps = np.minimum((first + start[rows])[:, None] + np.arange(window + 1), last[:, None])
    predicted = np.asarray(label_fn(params, episodes.observations[steps]))
    labels[steps[:, :-1][is_new[rows]]] = predicted[is_new[rows]]
  return labels


def _tile(num_transitions, window):
  """Windows that cover every transition: episode [W], start [W], and is_new [W, T], which says in
  which of two overlapping windows a transition counts."""
  counts = -(-num_transitions // window)
  episode = np.repeat(np.arange(len(num_transitions)), counts)
  tile = (np.arange(len(episode)) - (np.cumsum(counts) - counts)[episode]) * window
  start = np.minimum(tile, np.maximum(num_transitions[episode] - window, 0))
  transition = start[:, None] + np.arange(window)
  is_new = (transition >= tile[:, None]) & (transition < num_transitions[episode][:, None])
  return episode, start, is_new
