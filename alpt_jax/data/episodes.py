"""Episodes: the protocol of recorded episodes that windows are cut from, and those in memory.

`Episodes` is what all code may ask of them, wherever they lie: in memory (`InMemory`, e.g. of a
maze), or on disk, images still encoded (`episode_files.EpisodeFiles`). `HeldWindows` keeps a few
windows of either in memory: the labelled ones, which are asked for again and again.

Actions of several parts (`action_space.Parts`) have a dimension of P parts more than is written
here, and are float32: [L, P], [b, T, P]. So has `is_labelled`: each part of each step is known or
not by itself. Where steps are counted or chosen, one is labelled of which any part is known, see
`is_known`; what is not known of it, no loss sees.
"""

import dataclasses
import functools
from typing import NamedTuple, Protocol

import jax
import numpy as np

from alpt_jax.data import copies

_WINDOWS_AT_A_TIME = 64


class Cut(NamedTuple):
  """The contents of b windows of T transitions.

  Attributes:
    observations: [b, T + 1, ...] uint8 or float32. Past the end of an episode, the last observation
      is repeated.
    actions: [b, T] int32, or [b, T, P] float32; 0 where not labelled and past the end.
    is_labelled: as actions, bool; the transition exists and its action, or part, is known.
    rewards: [b, T] float32; 0 past the end.
    returns_to_go: [b, T] float32; undiscounted sum of rewards from t, inclusive, to the end of the
      episode.
    is_terminal: [b, T] bool; the episode ended with this transition. None but for `transitions`.
  """
  observations: np.ndarray
  actions: np.ndarray
  is_labelled: np.ndarray
  rewards: np.ndarray
  returns_to_go: np.ndarray
  is_terminal: np.ndarray | None = None


def sums_to_end(rewards):
  """Sums the rewards [L] of one episode from each step, inclusive, to its end: [L] float32."""
  return np.cumsum(rewards[::-1].astype(np.float64))[::-1].astype(np.float32)


def is_known(is_labelled):
  """Says which steps are labelled: [L] bool, or [L, P] of several parts -> [L] bool; any part."""
  return is_labelled.any(axis=tuple(range(1, is_labelled.ndim)))


class Episodes(Protocol):
  """E recorded episodes.

  Attributes:
    num_transitions: [E] int64; at least 1.
    num_labelled: [E] int64; how many labelled steps each episode of the data has, see `is_known`,
      whatever `with_actions` and `hidden` do.
    observation_digests: [E] uint64; equal for episodes with the same observations, see `copies`.
    episode_digests: [E] uint64; equal for episodes with the same observations, actions and rewards;
      0 for those that may be equal by chance.
  """
  num_transitions: np.ndarray
  num_labelled: np.ndarray
  observation_digests: np.ndarray
  episode_digests: np.ndarray

  @property
  def num_episodes(self):
    """Number of episodes E."""
    return len(self.num_transitions)

  def cut(self, episode, start, window):
    """Reads windows.

    Args:
      episode: [b] int; which episode.
      start: [b] int; first transition of the window in its episode.
      window: T.

    Returns:
      `Cut`.
    """

  def frames(self, episode, begin, end):
    """Reads observations begin .. end - 1 of an episode, the last one again past its end."""

  def actions_of(self, episode):
    """Reads the actions of the L transitions of one episode.

    Args:
      episode: int; which one.

    Returns:
      [L] int32, or [L, P] float32, 0 where not labelled; the same shape of bool, whether it is
      known.
    """

  def with_actions(self, change):
    """Returns the same episodes with other actions, or fewer that are known.

    Args:
      change: change(episode, actions [L + 1], is_labelled [L + 1]) -> actions, is_labelled of all
        steps of an episode, as earlier changes left them. On disk it is called whenever an episode
        is read.
    """

  def hidden(self, windows, window):
    """Returns the same episodes without the actions outside of some windows.

    Args:
      windows: [M, 2] int; episode and first transition of the windows whose actions stay known
        where they are.
      window: transitions in each.
    """
    starts = {}
    for episode, start in np.asarray(windows, np.int64).reshape(-1, 2).tolist():
      starts.setdefault(episode, []).append(start)

    def hide(episode, actions, is_labelled):
      is_kept = np.zeros(len(actions), bool)
      for start in starts.get(episode, ()):
        is_kept[start:start + window] = True
      is_kept = is_kept.reshape(-1, *[1] * (actions.ndim - 1))  # All parts of a step, or none.
      actions, is_labelled = actions.copy(), is_labelled & is_kept
      actions[~is_labelled] = 0
      return actions, is_labelled

    return self.with_actions(hide)


@dataclasses.dataclass(frozen=True, eq=False)
class InMemory(Episodes):
  """All steps of a dataset, one episode after the other.

  Step t of episode e is at index `first_step[e] + t`, t = 0 .. num_transitions[e]. The last of them
  holds only its observation: its action and reward are 0 and it is not labelled.

  Attributes:
    observations: [N, ...] uint8 (grid, image) or float32 (vector).
    actions: [N] int32, or [N, P] float32; 0 where not labelled.
    rewards: [N] float32; `rewards[t]` is what `actions[t]` earned.
    is_labelled: as actions, bool; the step is a transition whose action, or part, is known.
    first_step: [E] int64; where each episode begins.
    num_transitions: [E] int64; at least 1.
  """
  observations: np.ndarray
  actions: np.ndarray
  rewards: np.ndarray
  is_labelled: np.ndarray
  first_step: np.ndarray
  num_transitions: np.ndarray

  @functools.cached_property
  def num_labelled(self):
    """See `Episodes`."""
    return np.add.reduceat(is_known(self.is_labelled).astype(np.int64), self.first_step)

  @functools.cached_property
  def observation_digests(self):
    """See `Episodes`."""
    return np.array([copies.digest(self.observations[first:first + length], length)
                     for first, length in zip(self.first_step.tolist(),
                                              (self.num_transitions + 1).tolist(), strict=True)],
                    np.uint64)

  @property
  def episode_digests(self):
    """See `Episodes`: in a small grid or room, different play may look the same."""
    return np.zeros(self.num_episodes, np.uint64)

  @functools.cached_property
  def returns_to_go(self):
    """[N] float32; undiscounted sum of rewards from a step, inclusive, to its episode's end."""
    result = np.zeros(len(self.rewards), np.float32)
    # One episode at a time, so that a return does not depend on the episodes around it.
    for first, length in zip(self.first_step, self.num_transitions + 1, strict=True):
      result[first:first + length] = sums_to_end(self.rewards[first:first + length])
    return result

  def with_actions(self, change):
    """Implements `Episodes.with_actions`."""
    changed = []
    for episode, (first, length) in enumerate(zip(
        self.first_step.tolist(), (self.num_transitions + 1).tolist(), strict=True)):
      steps = slice(first, first + length)
      changed.append(change(episode, self.actions[steps], self.is_labelled[steps]))
    actions, is_labelled = map(np.concatenate, zip(*changed, strict=True))
    result = dataclasses.replace(
        self, actions=actions.astype(self.actions.dtype), is_labelled=is_labelled.astype(bool))
    vars(result)['num_labelled'] = self.num_labelled  # The class is frozen for others.
    return result

  def actions_of(self, episode):
    """Implements `Episodes.actions_of`."""
    first = self.first_step[episode]
    steps = slice(first, first + self.num_transitions[episode])
    return self.actions[steps], self.is_labelled[steps]

  def cut(self, episode, start, window):
    """Implements `Episodes.cut`."""
    first_step = self.first_step[episode]
    last_step = first_step + self.num_transitions[episode]
    step = (first_step + start)[:, None] + np.arange(window + 1)
    # The last step has an observation, but no action and no reward: all that padding needs.
    step = np.minimum(step, last_step[:, None])
    transition = step[:, :-1]
    return Cut(self.observations[step], self.actions[transition], self.is_labelled[transition],
               self.rewards[transition], self.returns_to_go[transition])

  def frames(self, episode, begin, end):
    """Implements `Episodes.frames`."""
    step = np.minimum(np.arange(begin, end), self.num_transitions[episode])
    return self.observations[self.first_step[episode] + step]


class HeldWindows:
  """Some windows of some episodes, in memory; cuts those and no others."""

  def __init__(self, episodes, windows, window):
    """Reads them.

    Args:
      episodes: `Episodes`.
      windows: [M, 2] int; episode and first transition of each.
      window: T.
    """
    self._place = {tuple(place): i for i, place in enumerate(np.asarray(windows).tolist())}
    self._window = window
    episode, start = np.asarray(windows, np.int64).reshape(-1, 2).T
    # Some at a time: while it is cut, a window holds on to its whole episode.
    parts = [episodes.cut(*(x[i:i + _WINDOWS_AT_A_TIME] for x in (episode, start)), window)
             for i in range(0, len(episode), _WINDOWS_AT_A_TIME)]
    self._data = jax.tree.map(lambda *fields: np.concatenate(fields), *parts)

  def cut(self, episode, start, window):
    """Implements `Episodes.cut` for the windows that are held.

    Raises:
      KeyError: for another window.
    """
    if window != self._window:
      raise KeyError(f'window is {window}; {self._window} are held.')
    rows = [self._place[place] for place in zip(episode.tolist(), start.tolist(), strict=True)]
    return jax.tree.map(lambda field: field[rows], self._data)
