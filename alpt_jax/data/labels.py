"""Chooses the target's transitions that keep their actions, and removes all other actions.

The paper's D*+ is a handful of labelled transitions inside the target's data: 10k on Atari, 250 in
the maze. We draw them as whole windows of k transitions, since a shorter run of labels cannot train
the inverse dynamics model. Episodes are read with all their actions, and `hide_actions` removes the
hidden ones before anything trains.
"""

import itertools
from typing import NamedTuple

import numpy as np

from alpt_jax import schema
from alpt_jax.data import episodes as episodes_
from alpt_jax.files import atomic_files


class Choice(NamedTuple):
  """The labelled windows of a dataset and what they were drawn with.

  Attributes:
    windows: [M, 2] int64; episode and first transition of every labelled window.
    budget: number of labelled transitions, M * window.
    window: transitions in a window.
    seed: seed of the draw.
  """
  windows: np.ndarray
  budget: int
  window: int
  seed: int


def _check_windows(found, where):
  """Refuses what are no pairs of whole numbers; `schema` takes long for many."""
  is_good = ({*map(type, found)} == {list} and {*map(len, found)} == {2} and
             {*map(type, itertools.chain.from_iterable(found))} == {int})
  if not is_good:
    schema.check(found, [schema.Rule([int], lambda x: len(x) == 2, '[episode, start]')], where)


_CHOICE = {
    'windows': schema.Also(schema.filled(list), _check_windows),
    'budget': int, 'window': int, 'seed': int}


def choose_windows(num_transitions, *, budget, window, seed):
  """Draws disjoint windows uniformly over the whole dataset.

  Windows go to episodes one at a time, with a probability proportional to the places that are left
  there (so the first one is uniform over all windows of the dataset); inside an episode, every
  placement of its windows is equally likely. Unlike drawing and rejecting, it never gets stuck: any
  budget that fits is met exactly.

  Args:
    num_transitions: [E] int; length of every episode.
    budget: number of labels; a positive multiple of `window`.
    window: transitions in a window, at least 1.
    seed: int >= 0. The result depends on the arguments only.

  Returns:
    [M, 2] int64, sorted: episode and first transition of M = budget / window windows.

  Raises:
    ValueError: if the budget is no positive multiple of `window`, or more than the data can give.
  """
  num_transitions = np.asarray(num_transitions, np.int64)
  if budget <= 0 or budget % window:
    raise ValueError(f'budget is {budget} labels; expected a positive multiple of the window of '
                     f'{window} transitions. Try {max(budget // window, 1) * window}.')
  capacity = int(np.sum(num_transitions // window))
  if budget > capacity * window:
    raise ValueError(f'budget is {budget} labels; {len(num_transitions)} episodes hold {capacity} '
                     f'disjoint windows of {window} transitions, {capacity * window} labels. Lower '
                     'the budget, or record more episodes.')
  rng = np.random.default_rng(seed)
  counts = np.zeros(len(num_transitions), np.int64)
  for _ in range(budget // window):
    places_left = np.maximum(num_transitions - window * (counts + 1) + 1, 0)
    cumulative = np.cumsum(places_left)
    counts[np.searchsorted(cumulative, rng.integers(cumulative[-1]), side='right')] += 1
  chosen = []
  for episode in np.flatnonzero(counts):
    count = counts[episode]
    # Shrinking each window to one slot turns disjoint windows into distinct slots, and back.
    num_slots = num_transitions[episode] - count * (window - 1)
    slots = np.sort(rng.choice(num_slots, size=count, replace=False))
    starts = slots + np.arange(count) * (window - 1)
    chosen += [(episode, start) for start in starts]
  return np.array(chosen, np.int64)


def choose_known_windows(episodes, *, budget, window, seed, held_out):
  """Chooses among the actions that the data has, where it does not have all.

  Every run of labelled steps (`episodes.is_known`) is cut into windows, as many as fit. Some
  episodes with such windows are held out, for who wants to know what labels are worth; of the
  others, all windows are taken, or some at random.

  Args:
    episodes: `episodes.Episodes`.
    budget: number of labels, a multiple of `window`; 0 for all.
    window: transitions in a window, at least 1.
    seed: int >= 0. The result depends on the data and the arguments only.
    held_out: share of the episodes with labels that are held out, in [0, 1); rounded, but at least
      one if it is above 0.

  Returns:
    [M, 2] int64, sorted: episode and first transition of each window.

  Raises:
    ValueError: if there is no such window, or no episode left to hold out or to train on; or if
      there are fewer labels than `budget`.
  """
  windows = _known_windows(episodes, window)
  if not len(windows):
    raise ValueError(f'no {window} transitions in a row have a known action; expected at least one '
                     'such window. Label some of the data by hand, or import its actions.')
  labelled = np.unique(windows[:, 0])
  rng = np.random.default_rng(seed)
  if held_out:
    if len(labelled) < 2:
      raise ValueError(f'held_out is {held_out}, and {len(labelled)} episode has labels; expected '
                       'two, one of which to hold out. Cut it in two and import it again, or set '
                       '--config.held_out=0: then nothing says how good the labels are.')
    num_held_out = min(max(round(held_out * len(labelled)), 1), len(labelled) - 1)
    chosen = rng.choice(labelled, num_held_out, replace=False)
    windows = windows[~np.isin(windows[:, 0], chosen)]
  if budget % window or not 0 <= budget <= len(windows) * window:
    raise ValueError(f'it is {budget}; expected a multiple of the window of {window} transitions '
                     f'of at most {len(windows) * window}, the known actions that are not held '
                     'out, or 0 for all of them.')
  if budget:
    windows = windows[np.sort(rng.choice(len(windows), budget // window, replace=False))]
  return windows


def _known_windows(episodes, window):
  """[M, 2] int64; the windows that runs of known actions hold, side by side."""
  result = []
  for episode in np.flatnonzero(episodes.num_labelled >= window).tolist():
    is_known = episodes_.is_known(episodes.actions_of(episode)[1])
    edges = np.diff(np.concatenate([[0], is_known, [0]]).astype(np.int8))
    for begin, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
      result += [(episode, start) for start in range(begin, end - window + 1, window)]
  return np.array(result, np.int64).reshape(-1, 2)


def hide_actions(episodes, windows, window):
  """Removes the action of every transition outside the labelled windows.

  Args:
    episodes: `episodes.Episodes`.
    windows: [M, 2] int; episode and first transition of the windows that stay labelled.
    window: transitions in a window.

  Returns:
    `episodes.Episodes`; actions are 0 where not labelled.

  Raises:
    ValueError: if a window reaches past the end of its episode: it was chosen for other data.
  """
  episode, start = np.asarray(windows, np.int64).reshape(-1, 2).T
  is_known = (episode >= 0) & (episode < episodes.num_episodes)
  length = episodes.num_transitions[np.where(is_known, episode, 0)]
  is_wrong = ~is_known | (start < 0) | (start + window > length)
  if is_wrong.any():
    i = int(np.argmax(is_wrong))
    raise ValueError(f'labelled window {i} is transitions {start[i]} .. {start[i] + window - 1} of '
                     f'episode {episode[i]}, which the data does not have. The windows were chosen '
                     'for another dataset: choose them again.')
  return episodes.hidden(windows, window)


def check_all_known(method, spec, episodes):
  """Refuses data of a target in which the true action of a transition is not known; ValueError.

  Args:
    method: of the config.
    spec: `types.EnvironmentSpec` of the target; of several parts, all that it has must be known.
    episodes: `episodes.Episodes`.
  """
  num_all, num_known = int(episodes.num_transitions.sum()), int(episodes.num_labelled.sum())
  if spec.actions.shape:
    num_known = sum(int(episodes.actions_of(e)[1][:, spec.actions.has].all(axis=1).sum())
                    for e in range(episodes.num_episodes))
  if num_known < num_all:
    raise ValueError(f'method is {method!r}, which trains on every true action, and {spec.name} '
                     f'has {num_known} true ones of {num_all}; expected all. To train on what it '
                     'has, labels of an IDM, too, use --config.method=dt.')


def write_choice(path, choice):
  """Writes a `Choice` as JSON, all of it or nothing."""
  atomic_files.write_json(
      path, choice._asdict() | {'windows': np.asarray(choice.windows).tolist()})


def read_choice(path):
  """Reads what `write_choice` wrote.

  Args:
    path: the JSON file.

  Returns:
    The `Choice`.

  Raises:
    FileNotFoundError: if there is no such file.
    ValueError: if the file is damaged or does not hold as many windows as its budget says.
  """
  content = schema.read(path, schema.Also(_CHOICE, _check_budget),
                        'The file is damaged: choose the labels again.')
  windows = np.array(content['windows'], np.int64)
  return Choice(windows, *(content[name] for name in ('budget', 'window', 'seed')))


def _check_budget(content, where):
  num_windows, window = len(content['windows']), content['window']
  if num_windows * window != content['budget']:
    schema.fail(f'{where}windows', f'holds {num_windows} of {window} transitions',
                f'budget, {content["budget"]}, of them')
