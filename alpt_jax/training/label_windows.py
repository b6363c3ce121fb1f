"""Labels windows of a dataset with a trained IDM."""

import functools
from typing import NamedTuple

import jax
import numpy as np

from alpt_jax.learners import alpt, microbatches
from alpt_jax.training import sharding

_ROWS = 256  # Windows of one call at most; the last one is filled up, so that one program serves.


class Labels(NamedTuple):
  """What an IDM says of W windows.

  Attributes:
    episode: [W] int64.
    start: [W] int64; first transition of the window in its episode.
    is_counted: [W, T] bool; False past the end of the episode, and where the transition has its
      label from another window.
    actions: [W, T] int8; the labels.
    was_labelled: [W, T] bool; the IDM was trained with the true action.
    confidence: [W, T] float16; the probability that the IDM gives its label.
  """
  episode: np.ndarray
  start: np.ndarray
  is_counted: np.ndarray
  actions: np.ndarray
  was_labelled: np.ndarray
  confidence: np.ndarray


def make_label_fn(idm, spec, mesh, *, microbatch=0):
  """Compiles what `predict_actions` calls.

  Args:
    idm: the `InverseDynamicsModel`.
    spec: the `types.EnvironmentSpec` of what is labelled.
    mesh: from `sharding.make_mesh`, of this process's devices; they share the windows of a call
      where their number divides them.
    microbatch: windows that a device computes at a time, at most; 0 for all.

  Returns:
    label_fn(params, observations [B, T + 1, ...]) -> [B, T] int32 labels, [B, T] float32
    probabilities of them; `params` on all devices of the mesh.
  """
  legal = alpt.legal_actions([spec])

  @functools.partial(jax.jit, static_argnames='num_devices')
  def predict(params, observations, num_devices):
    return microbatches.map_rows(
        lambda rows: alpt.predict_with_confidence(idm, params, rows, legal), observations,
        microbatches.count([len(observations)], size=microbatch, num_devices=num_devices),
        num_devices)

  def label_fn(params, observations):
    if len(observations) % mesh.size or mesh.size == 1:
      return predict(params, observations, 1)
    return predict(params, jax.device_put(observations, sharding.rows(mesh)), mesh.size)

  return label_fn


def predict_actions(label_fn, params, episodes, *, window, num_windows=0):
  """Labels transitions of a dataset, each at most once, from the windows that tile its episode.

  Args:
    label_fn: from `make_label_fn`, or the like.
    params: of the IDM.
    episodes: `episodes.Episodes`, or anything else with its `cut` and `num_transitions`.
    window: T.
    num_windows: how many of the windows, drawn once and for all; 0 for all of them.

  Returns:
    `Labels`, ordered by episode and start.
  """
  tiles = tile(episodes.num_transitions, window)
  if num_windows and num_windows < len(tiles[0]):
    chosen = np.random.default_rng(0).choice(len(tiles[0]), num_windows, replace=False)
    tiles = [field[np.sort(chosen)] for field in tiles]
  episode, start, is_counted = tiles
  num_rows = min(_ROWS, len(episode))
  actions = None
  for begin in range(0, len(episode), num_rows):
    rows = np.arange(begin, begin + num_rows) % len(episode)
    cut = episodes.cut(episode[rows], start[rows], window)
    found = [np.asarray(x) for x in label_fn(params, cut.observations)]
    if actions is None:
      shape, kind = (*is_counted.shape, *found[0].shape[2:]), found[0].dtype.kind
      actions = np.zeros(shape, np.int8 if kind == 'i' else np.float32)
      confidence, was_labelled = np.zeros(shape, np.float16), np.zeros(shape, bool)
    actions[rows], confidence[rows] = found
    was_labelled[rows] = cut.is_labelled
  return Labels(episode, start, is_counted, actions, was_labelled, confidence)


def tile(num_transitions, window):
  """Cuts episodes into windows that cover every transition.

  Args:
    num_transitions: [E] int.
    window: T.

  Returns:
    A list of episode [W], start [W], and is_counted [W, T], which says in which of two overlapping
    windows a transition counts.
  """
  counts = -(-num_transitions // window)
  episode = np.repeat(np.arange(len(num_transitions)), counts)
  place = (np.arange(len(episode)) - (np.cumsum(counts) - counts)[episode]) * window
  start = np.minimum(place, np.maximum(num_transitions[episode] - window, 0))
  transition = start[:, None] + np.arange(window)
  is_counted = (transition >= place[:, None]) & (transition < num_transitions[episode][:, None])
  return [episode, start, is_counted]
