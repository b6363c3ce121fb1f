"""The losses of the paper: eq. 4 for the IDM, eq. 3 for the DT. Logits in, scalars out."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax


def masked_mean(x, mask, count=None):
  """Mean of `x` where `mask` (bool, same shape) is True; 0 if it is True nowhere.

  With `count`, the sum is divided by that instead: of a piece of a batch, this piece's part of the
  whole batch's mean, when `count` is how often the whole batch's mask is True.
  """
  count = jnp.sum(mask) if count is None else count
  return jnp.sum(jnp.where(mask, x, 0.)) / jnp.maximum(count, 1)


def cross_entropy(logits, targets, mask, count=None):
  """Mean negative log likelihood in nats over the entries that count.

  Args:
    logits: [B, T, A] float.
    targets: [B, T] int32 in [0, A); any legal value where `mask` is False.
    mask: [B, T] bool.
    count: see `masked_mean`.

  Returns:
    [] float32.
  """
  nll_BT = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), targets)
  return masked_mean(nll_BT, mask, count)


def accuracy(logits, targets, mask, count=None):
  """Share of the entries that count whose arg max is the target; shapes as `cross_entropy`."""
  return masked_mean((jnp.argmax(logits, axis=-1) == targets).astype(jnp.float32), mask, count)


class Counts(NamedTuple):
  """How many entries of a whole batch count, when the loss is computed piece by piece.

  Attributes:
    valid: [] int32; transitions that exist.
    actions: [] int32; those of them whose action is a target.
  """
  valid: Any
  actions: Any


def idm_loss(logits, actions, is_labelled, is_valid, counts=None):
  """Eq. 4, averaged over the labelled transitions of a batch.

  Args:
    logits: [B, T, A] of the IDM.
    actions: [B, T] int32.
    is_labelled: [B, T] bool.
    is_valid: [B, T] bool.
    counts: `Counts` of the batch that this is a piece of; None if it is whole. What is returned
      adds up over the pieces.

  Returns:
    [] float32, and a dict of scalars with `loss` and `accuracy`.
  """
  mask = is_labelled & is_valid
  count = None if counts is None else counts.actions
  loss = cross_entropy(logits, actions, mask, count)
  return loss, {'loss': loss, 'accuracy': accuracy(logits, actions, mask, count)}


def dt_loss(logits, *, returns, actions, rewards, has_action, is_valid, reward_weight,
            counts=None):
  """Eq. 3: returns and actions, plus (multi-game DT, not in eq. 3) rewards with a weight.

  Args:
    logits: `networks.models.DTLogits`.
    returns: [B, T] int32 return bins.
    actions: [B, T] int32.
    rewards: [B, T] int32 reward ids; unused if `logits.rewards` is None.
    has_action: [B, T] bool; the action is a target: true, or labelled by the IDM. Steps without
      count for the returns only.
    is_valid: [B, T] bool.
    reward_weight: weight of the reward term; 0 is eq. 3 as written.
    counts: see `idm_loss`.

  Returns:
    [] float32, and a dict of scalars: `loss`, each term, and `action_accuracy`.
  """
  action_mask = has_action & is_valid
  counts = counts or Counts(None, None)
  return_loss = cross_entropy(logits.returns, returns, is_valid, counts.valid)
  action_loss = cross_entropy(logits.actions, actions, action_mask, counts.actions)
  metrics = {'return_loss': return_loss, 'action_loss': action_loss,
             'action_accuracy': accuracy(logits.actions, actions, action_mask, counts.actions)}
  loss = return_loss + action_loss
  if logits.rewards is not None:
    # Rewards are predicted from the step's action token, which says nothing where it is not known.
    metrics['reward_loss'] = cross_entropy(
        logits.rewards, rewards, action_mask, counts.actions)
    loss += reward_weight * metrics['reward_loss']
  return loss, metrics | {'loss': loss}
