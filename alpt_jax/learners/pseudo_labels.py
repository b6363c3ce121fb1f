"""Pseudo-labels: how the DT uses the IDM's action distribution on unlabelled transitions.

The IDM gives every legal action a probability, the softmax of its logits over a temperature. The
mode says what the DT trains on:

  hard         The most probable action, as if it were known: the paper's Table 1.
  soft         Its whole distribution is the target; the most probable action is the DT's input.
  sampled      An action drawn from it, at every update anew.
  weighted     The most probable action, counted by its probability.
  thresholded  The most probable action if its probability reaches a threshold. Else the action
               stays unknown, and the transition counts for the returns only.

The order of probabilities is that of the logits, so the temperature matters to all modes but hard.
Arrays in, arrays out; no gradient flows from the DT's loss into the IDM.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

MODES = ('hard', 'soft', 'sampled', 'weighted', 'thresholded')


class Settings(NamedTuple):
  """The config's group `pseudo_labels`.

  Attributes:
    mode: one of MODES.
    temperature: above 0; 1 for the probabilities of the IDM, more to make them more equal.
    threshold: in [0, 1]; the smallest probability of a label that counts, if `thresholded`.
  """
  mode: str = 'hard'
  temperature: float = 1.
  threshold: float = .5


HARD = Settings()


class Labels(NamedTuple):
  """Pseudo-labels of a batch's transitions.

  Attributes:
    ids: [B, T] int32; the actions. Of several parts [B, T, P] float32, and so are the next two.
    is_kept: [B, T] bool; False where the action stays unknown. None: all are kept.
    weights: [B, T] float32 in (0, 1]; how much they count. None: 1.
    probabilities: [B, T, A] float32; the target in place of the action. None: the action.
  """
  ids: Any
  is_kept: Any = None
  weights: Any = None
  probabilities: Any = None


def check(settings):
  """Refuses settings that mean nothing.

  Raises:
    ValueError: naming the field of the config.
  """
  if settings.mode not in MODES:
    raise ValueError(f'pseudo_labels.mode is {settings.mode!r}; expected one of '
                     f'{", ".join(MODES)}.')
  if not (settings.temperature > 0 and math.isfinite(settings.temperature)):  # Nor is NaN.
    raise ValueError(f'pseudo_labels.temperature is {settings.temperature}; expected a number '
                     'above 0.')
  if not 0 <= settings.threshold <= 1:
    raise ValueError(f'pseudo_labels.threshold is {settings.threshold}; expected it in [0, 1].')


def fill_in(batch, labels, head):
  """Fills in pseudo-labels; true labels are kept, with weight 1.

  Args:
    batch: a `types.Batch`.
    labels: `Labels` for it.
    head: of `action_heads`.

  Returns:
    A `types.Batch` whose `is_labelled` includes the labels that are kept.
  """
  known = batch.is_labelled
  filled = batch._replace(
      actions=jnp.where(known, batch.actions, labels.ids),
      is_labelled=jnp.ones_like(known) if labels.is_kept is None else known | labels.is_kept)
  if labels.weights is not None:
    filled = filled._replace(action_weights=jnp.where(known, 1., labels.weights))
  if labels.probabilities is not None:
    truth = head.one_hot(batch.actions, labels.probabilities.dtype)
    filled = filled._replace(action_probabilities=jnp.where(
        head.to_classes(known), truth, labels.probabilities))
  return filled


def like(batch, filled, head):
  """Gives a batch of true labels the fields that `fill_in` has added to another batch."""
  if filled.action_weights is not None:
    batch = batch._replace(action_weights=jnp.ones(batch.is_labelled.shape, jnp.float32))
  if filled.action_probabilities is not None:
    batch = batch._replace(action_probabilities=head.one_hot(
        batch.actions, filled.action_probabilities.dtype))
  return batch
