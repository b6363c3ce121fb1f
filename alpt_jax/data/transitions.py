"""Single transitions between stacks of frames, as Q-learning reads them, of labelled windows.

Appendix C trains CQL "on a dataset of 10,000 labelled frames". These are the 10,000 transitions
whose actions `labels.py` keeps, the same that every other method of the run gets. They were drawn
as windows of k = 5, shorter than what Q-learning sees: the last four frames before the action, and
after it. But only actions are hidden, so the frames before a window are there: each of the 10,000
transitions is used, with its whole stack, and no action or reward is needed from outside of the
windows. (The original 1 % datasets are runs of consecutive frames; those would be others than the
labels of the methods that CQL is compared with.)

In the stack of an observation, frames from before the episode's start are zeros, as in Dopamine.
"""

import numpy as np

from alpt_jax.data import episodes

_WINDOWS_AT_A_TIME = 64


class LabelledTransitions:
  """The transitions of some labelled windows, in memory; a window of T = 1 holds one of them.

  Attributes:
    places: [M * window, 2] int64; episode and number of every transition.
  """

  def __init__(self, source, windows, window, *, stack):
    """Reads them.

    Args:
      source: `episode_files.EpisodeFiles` of images [H, W, C].
      windows: [M, 2] int; episode and first transition of the labelled windows.
      window: transitions in each.
      stack: frames of an observation.
    """
    windows = np.asarray(windows, np.int64).reshape(-1, 2)
    self._stack, self._window = stack, window
    self.places = np.stack([np.repeat(windows[:, 0], window),
                            (windows[:, 1:] + np.arange(window)).ravel()], axis=1)
    self._number = {tuple(place): i for i, place in enumerate(self.places.tolist())}
    # Some at a time: while it is cut, a window holds on to its whole episode.
    parts = [self._read(source, windows[i:i + _WINDOWS_AT_A_TIME])
             for i in range(0, len(windows), _WINDOWS_AT_A_TIME)]
    self._frames, *self._fields = map(np.concatenate, zip(*parts, strict=True))

  def _read(self, source, windows):
    """Frames [m, stack + window, H, W, C]; and [m * window] what belongs to each transition."""
    episode, start = windows.T
    begin = np.maximum(start - (self._stack - 1), 0)
    cut = source.cut(episode, begin, self._window + self._stack - 1)
    frames = np.zeros_like(cut.observations)
    missing = begin - (start - (self._stack - 1))  # Frames before the episode.
    for row, seen, num_missing in zip(frames, cut.observations, missing.tolist(), strict=True):
      row[num_missing:] = seen[:len(row) - num_missing]
    place = (start - begin)[:, None] + np.arange(self._window)
    fields = [np.take_along_axis(field, place, axis=1).ravel() for field in (
        cut.actions, cut.is_labelled, cut.rewards, cut.returns_to_go)]
    number = start[:, None] + np.arange(self._window)
    is_last = number == source.num_transitions[episode][:, None] - 1
    is_terminal = is_last & source.is_terminal(episode)[:, None]
    return frames, *fields, is_terminal.ravel()

  def cut(self, episode, start, window=1):
    """Implements `Episodes.cut` for single transitions that are held.

    Args:
      episode: [b] int.
      start: [b] int; which transition.
      window: T, 1.

    Returns:
      `Cut` with `is_terminal`; an observation [H, W, stack * C] is a stack of frames, the newest
      last.

    Raises:
      KeyError: for another transition, or another window.
    """
    if window != 1:
      raise KeyError(f'window is {window}; transitions are held one by one.')
    number = np.array([self._number[p] for p in zip(episode.tolist(), start.tolist(), strict=True)])
    row, first = np.divmod(number, self._window)
    frames = self._frames[row[:, None], first[:, None] + np.arange(self._stack + 1)]
    stacks = np.concatenate(
        [frames[:, i:i + 2] for i in range(self._stack)], axis=-1)  # [b, 2, H, W, stack * C].
    actions, is_labelled, rewards, returns_to_go, is_terminal = (
        field[number][:, None] for field in self._fields)
    return episodes.Cut(stacks, actions, is_labelled, rewards, returns_to_go, is_terminal)
