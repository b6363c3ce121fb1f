"""Floors of label accuracy: the scores of labels that need no inverse dynamics model.

An accuracy says nothing without them. The majority needs no observation; a table or a linear map of
the change between two observations needs no learned representation. Both are fitted to the labels
that the IDM had, and judged on the transitions that the IDM is judged on.

Arrays in, numbers out. `episodes` [M] groups transitions: intervals are over episodes.
"""

from typing import NamedTuple

import numpy as np

from alpt_jax.measures import intervals

CONSTANT_SHARE = .95  # Labels with a more frequent action than that are called constant.
_NUM_CELLS = 21  # A side of a down-sampled image; of 84 x 84 pixels, cells of 4 x 4.
_PENALTIES = tuple(10. ** k for k in range(-4, 4))  # Of the ridge, relative to the mean variance.
_NUM_PARTS = 5  # The penalty is chosen by one of them.


class Mean(NamedTuple):
  """A mean over transitions; of what is right, a share.

  Attributes:
    value: the mean.
    low, high: ends of the 95 % interval over episodes; None for a single episode.
    num_transitions, num_episodes: it is of.
  """
  value: float
  low: float | None
  high: float | None
  num_transitions: int
  num_episodes: int


class Frequent(NamedTuple):
  """The most frequent action, the first of equals, and its share in [0, 1]."""
  action: int
  share: float


class Table(NamedTuple):
  """The most frequent action of each change.

  Attributes:
    entries: {change: action}, see `change_keys`.
    default: the action of changes that are not in it, the most frequent one.
  """
  entries: dict[bytes, int]
  default: int


class LinearMap(NamedTuple):
  """A linear map of F features to the scores of A actions, or to the values of continuous parts.

  Attributes:
    weights: [F, A] float64.
    bias: [A] float64.
    penalty: of the ridge regression that found it, relative to the mean variance of the features.
  """
  weights: np.ndarray
  bias: np.ndarray
  penalty: float


def mean(values, episodes, *, seed=0):
  """Averages over transitions, with an interval over episodes.

  Args:
    values: [M] bool or float; M at least 1.
    episodes: [M] int; equal for the transitions of an episode.
    seed: of the bootstrap, which draws whole episodes (percentiles).

  Returns:
    `Mean`.

  Raises:
    ValueError: if there is no transition, or the arrays differ in length.
  """
  values, episodes = np.asarray(values, float), np.asarray(episodes)
  if not len(values) or values.shape != episodes.shape or values.ndim != 1:
    raise ValueError(f'values has shape {values.shape} and episodes {episodes.shape}; expected '
                     '[M] each, of at least one transition.')
  found = intervals.bootstrap_mean(values, episodes, seed=seed)
  return Mean(found.value, found.low, found.high, len(values), found.n)


def most_frequent(actions, num_actions):
  """Finds the most frequent action.

  Args:
    actions: [M] int in [0, num_actions); M at least 1.
    num_actions: A.

  Returns:
    `Frequent`.

  Raises:
    ValueError: if there is none, or one is out of range.
  """
  actions = np.asarray(actions)
  if not actions.size or actions.min() < 0 or actions.max() >= num_actions:
    raise ValueError(f'actions are {actions.size} in [{actions.min(initial=0)}, '
                     f'{actions.max(initial=0)}]; expected at least one, in [0, {num_actions}).')
  counts = np.bincount(actions, minlength=num_actions)
  return Frequent(int(counts.argmax()), float(counts.max() / actions.size))


def is_constant(frequent):
  """Says whether labels with this `Frequent` are constant: nothing else is worth computing."""
  return frequent.share > CONSTANT_SHARE


def change_keys(before, after, kind):
  """Names the change from one observation to the next, wherever it happens.

  Of a vector, it is the difference, to 6 decimals. Of a grid, it is the changed cells: plane, row
  and column relative to the first of them, and whether something came or went. So the step of an
  agent is one change in all cells of a maze.

  Args:
    before: [M, ...] o[t]; [M, K] of kind 'vector', [M, H, W, C] of kind 'grid'.
    after: the same of o[t + 1].
    kind: 'vector' or 'grid'.

  Returns:
    List of M bytes, equal for equal changes.

  Raises:
    ValueError: for another kind.
  """
  before, after = np.asarray(before), np.asarray(after)
  if kind == 'vector':
    change = np.round(after.astype(np.float64) - before, 6) + 0.  # -0 is 0.
    return [row.tobytes() for row in change.reshape(len(change), -1)]
  if kind != 'grid':
    raise ValueError(f'kind is {kind!r}; expected vector or grid: images seldom change twice in '
                     'one way. Use `fit_linear` for them.')
  keys = []
  for change in np.moveaxis(after.astype(np.int64) - before, -1, 1):  # [C, H, W].
    cells = np.argwhere(change)
    sign = change[tuple(cells.T)]
    if len(cells):
      cells = cells - [0, *cells[0, 1:]]
    keys.append(np.column_stack([cells, sign]).tobytes())
  return keys


def fit_table(keys, actions):
  """Makes the table of labelled transitions.

  Args:
    keys: N changes, see `change_keys`.
    actions: [N] int; the label of each.

  Returns:
    `Table`. Of actions that are equally frequent, the smallest.
  """
  actions = np.asarray(actions)
  places = {}
  for i, key in enumerate(keys):
    places.setdefault(key, []).append(i)
  return Table({key: int(np.bincount(actions[rows]).argmax()) for key, rows in places.items()},
               int(np.bincount(actions).argmax()))


def predict_table(table, keys):
  """Looks up [M] int actions of M changes in a `Table`."""
  return np.array([table.entries.get(key, table.default) for key in keys], np.int64)


def change_features(before, after):
  """Describes changes of images or vectors for a linear map.

  Args:
    before: [M, H, W, C] uint8 or [M, K]; o[t].
    after: the same of o[t + 1].

  Returns:
    [M, F] float32. Of vectors, the difference. Of images, means over cells of the change and of its
    size: a cell is the smallest square of pixels of which 21 cover a side; of channels, the mean.
  """
  before, after = (np.asarray(x, np.float32) for x in (before, after))
  change = after - before
  if change.ndim == 2:
    return change
  change = change.mean(axis=-1)
  cell = -(-max(change.shape[1:]) // _NUM_CELLS)
  return np.concatenate([cell_means(x, cell) for x in (change, np.abs(change))], axis=1)


def cell_means(x, cell):
  """Averages over square cells of `cell` pixels a side.

  Args:
    x: [M, H, W] float; zeros beyond its edges.
    cell: at least 1.

  Returns:
    [M, F] float, the cells row by row.
  """
  height, width = (-n % cell for n in x.shape[1:])
  x = np.pad(x, ((0, 0), (0, height), (0, width)))
  num, h, w = x.shape
  return x.reshape(num, h // cell, cell, w // cell, cell).mean(axis=(2, 4)).reshape(num, -1)


def fit_linear(features, actions, num_actions):
  """Fits a linear map to labelled transitions by ridge regression on indicators of the actions.

  The penalty is chosen on the last fifth of the transitions, which therefore should be of other
  windows than the first; the map is then fitted to all.

  Args:
    features: [N, F] float; N at least 2.
    actions: [N] int in [0, num_actions).
    num_actions: A.

  Returns:
    `LinearMap`.

  Raises:
    ValueError: for fewer than two transitions.
  """
  actions = np.asarray(actions)
  _check_num(actions)
  return _fit(features, np.eye(num_actions)[actions],
              lambda scores, rows: np.sum(scores.argmax(axis=1) != actions[rows]))


def fit_linear_values(features, values):
  """Fits a linear map to values of continuous parts by ridge regression; else as `fit_linear`.

  Args:
    features: [N, F] float; N at least 2.
    values: [N, D] float.

  Returns:
    `LinearMap` to D values, for `predict_values`.

  Raises:
    ValueError: for fewer than two transitions.
  """
  values = np.asarray(values, np.float64)
  _check_num(values)
  return _fit(features, values, lambda said, rows: np.sum((said - values[rows])**2))


def _check_num(labels):
  if len(labels) < 2:
    raise ValueError(f'{len(labels)} transitions are labelled; expected at least 2 to fit a map.')


def _fit(features, targets, loss_fn):
  """Fits targets [N, D]; the penalty is that of least loss_fn(outputs, rows) on the last fifth."""
  features = np.asarray(features, np.float64)
  num_fitted = max(len(targets) - max(len(targets) // _NUM_PARTS, 1), 1)
  first, last = slice(None, num_fitted), slice(num_fitted, None)
  maps = _ridges(features[first], targets[first], _PENALTIES)
  losses = [loss_fn(predict_values(m, features[last]), last) for m in maps]
  # Of equals, the largest penalty.
  best = min(range(len(maps)), key=lambda i: (losses[i], -i))
  return _ridges(features, targets, _PENALTIES[best:best + 1])[0]


def _ridges(features, targets, penalties):
  """A `LinearMap` for each penalty, from one decomposition."""
  mean, base = features.mean(axis=0), targets.mean(axis=0)
  centred = features - mean
  values, vectors = np.linalg.eigh(centred.T @ centred / len(features))
  values = np.maximum(values, 0.)
  moments = vectors.T @ (centred.T @ (targets - base) / len(features))
  scale = values.mean() or 1.  # Without any change, all weights are 0.
  maps = []
  for penalty in penalties:
    weights = vectors @ (moments / (values + penalty * scale)[:, None])
    maps.append(LinearMap(weights, base - mean @ weights, penalty))
  return maps


def predict_linear(linear_map, features):
  """Labels M transitions with features [M, F]: [M] int, the largest score."""
  return predict_values(linear_map, features).argmax(axis=1)


def predict_values(linear_map, features):
  """Applies a `LinearMap` to features [M, F]: [M, D] float."""
  return np.asarray(features, np.float64) @ linear_map.weights + linear_map.bias


def on_random_draws(is_right, episodes, is_random, *, name, seed=0):
  """Measures accuracy where the action was drawn at random, so no policy can be guessed.

  Args:
    is_right: [M] bool.
    episodes: [M] int.
    is_random: [M] bool; None if the data does not say.
    name: of the data, for messages.
    seed: of the bootstrap.

  Returns:
    `Mean`.

  Raises:
    ValueError: if the data does not say which actions were drawn, or none was.
  """
  if is_random is None:
    raise ValueError(f'{name}: has no step field action_is_random, so nothing says which actions '
                     'were drawn at random. Recordings of experiments.collect say so. Of other '
                     'data, an IDM that sees the past only (--config.model.idm_is_causal=True), '
                     'trained on the same labels and audited, too, tells how many labels the '
                     'habits of the player give away.')
  is_random = np.asarray(is_random, bool)
  if not is_random.any():
    raise ValueError(f'{name}: no action of these transitions was drawn at random; expected at '
                     'least one.')
  return mean(np.asarray(is_right)[is_random], np.asarray(episodes)[is_random], seed=seed)
