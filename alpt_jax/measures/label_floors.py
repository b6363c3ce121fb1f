"""Fits the floors of label accuracy to a run's labels, and judges them where its IDM is judged.

`measures.floors` on recorded episodes: the majority, a table of the change (vectors, grids) and a
linear map of it (vectors, images).
"""

from typing import Any, NamedTuple

import numpy as np

from alpt_jax.measures import floors

_AT_ONCE = 500  # Transitions whose observations are in memory.


class Fitted(NamedTuple):
  """Floors that know some labels.

  Attributes:
    kind: of the observations, see `types.OBSERVATION_KINDS`.
    num_labels: they were fitted to.
    frequent: `floors.Frequent` of these labels.
    table: `floors.Table`, or None for images.
    linear: `floors.LinearMap`, or None for grids.
  """
  kind: str
  num_labels: int
  frequent: floors.Frequent
  table: Any
  linear: Any


def fit(episodes, spec, windows, window):
  """Fits floors to the transitions of labelled windows.

  Args:
    episodes: `episodes.Episodes`, with these actions.
    spec: the `types.EnvironmentSpec` of them.
    windows: [M, 2] int; episode and first transition of each window.
    window: transitions in each.

  Returns:
    `Fitted`.

  Raises:
    ValueError: if the action of one of them is unknown, or there are fewer than two.
  """
  kind = spec.observation_kind
  windows = np.asarray(windows, np.int64).reshape(-1, 2)
  episode = np.repeat(windows[:, 0], window)
  timestep = (windows[:, 1:] + np.arange(window)).ravel()
  actions, is_known, keys, features = _read(episodes, kind, episode, timestep)
  if not is_known.all():
    raise ValueError(f'{np.sum(~is_known)} of {len(actions)} labelled transitions of {spec.name} '
                     'have no known action; expected all.')
  return Fitted(
      kind, len(actions), floors.most_frequent(actions, spec.num_actions),
      None if keys is None else floors.fit_table(keys, actions),
      None if features is None else floors.fit_linear(features, actions, spec.num_actions))


def judge(fitted, episodes, episode, timestep, *, is_right=None, seed=0):
  """Judges floors on other transitions, all of those that an IDM is judged on.

  Args:
    fitted: `Fitted`.
    episodes: as in `fit`; all actions of these transitions are known.
    episode: [M] int; of each transition.
    timestep: [M] int.
    is_right: [M] bool; whether an IDM labels each right; None for no IDM.
    seed: of the bootstrap.

  Returns:
    A dict that JSON can hold: `num_labels`; `majority`, `table` and `linear`, each a
    `floors.Mean` as a dict or None where it does not apply; `best`, the name of the highest; with
    `is_right`, `margin`, by which the IDM is above the best, a `floors.Mean` paired by transition.
  """
  episode = np.asarray(episode)
  is_hit = {name: np.zeros(len(episode), bool) for name, floor in (
      ('majority', fitted.frequent), ('table', fitted.table), ('linear', fitted.linear))
            if floor is not None}
  for rows, actions, _, keys, features in _parts(episodes, fitted.kind, episode, timestep):
    said = {'majority': fitted.frequent.action}
    if fitted.table is not None:
      said['table'] = floors.predict_table(fitted.table, keys)
    if fitted.linear is not None:
      said['linear'] = floors.predict_linear(fitted.linear, features)
    for name, x in said.items():
      is_hit[name][rows] = x == actions
  found = {name: floors.mean(x, episode, seed=seed)._asdict() for name, x in is_hit.items()}
  best = max(found, key=lambda name: found[name]['value'])
  margin = {} if is_right is None else {'margin': floors.mean(
      np.asarray(is_right, float) - is_hit[best], episode, seed=seed)._asdict()}
  return {'num_labels': fitted.num_labels, 'majority': None, 'table': None, 'linear': None,
          'best': best} | found | margin


def _read(episodes, kind, episode, timestep):
  """Actions, whether they are known, keys and features of changes; the latter None by `kind`."""
  rows, *columns = zip(*_parts(episodes, kind, episode, timestep), strict=True)
  back = np.argsort(np.concatenate(rows))
  return [None if column[0] is None else np.concatenate(column)[back] for column in columns]


def _parts(episodes, kind, episode, timestep):
  """Yields numbers of some transitions, and what `_read` returns of these."""
  for rows, cut in transitions(episodes, episode, timestep):
    before, after = cut.observations[:, 0], cut.observations[:, 1]
    yield (rows, cut.actions[:, 0], cut.is_labelled[:, 0],
           None if kind == 'image' else np.array(floors.change_keys(before, after, kind), object),
           None if kind == 'grid' else floors.change_features(before, after))


def transitions(episodes, episode, timestep):
  """Yields rows of some transitions, [M] int each, and `episodes.Cut`s of these, of one each."""
  episode, timestep = np.asarray(episode), np.asarray(timestep)
  order = np.lexsort((timestep, episode))  # So that each episode is read once.
  for rows in np.split(order, range(_AT_ONCE, len(order), _AT_ONCE)):
    yield rows, episodes.cut(episode[rows], timestep[rows], 1)
