"""The losses of the paper: eq. 4 for the IDM, eq. 3 for the DT. Logits in, scalars out."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax


def masked_mean(x, mask, count=None):
  """Averages `x` where `mask` (bool, same shape) is True; 0 if it is True nowhere.

  A `mask` of floats of at least 0 holds weights, and the mean is weighted. With `count`, the sum is
  divided by that instead: of a microbatch, its part of the batch's mean, when `count` is how often
  the batch's mask is True, or the sum of its weights.
  """
  count = jnp.sum(mask) if count is None else count
  if mask.dtype != bool:
    return jnp.sum(jnp.where(mask > 0, mask * x, 0.)) / jnp.where(count > 0, count, 1.)
  return jnp.sum(jnp.where(mask, x, 0.)) / jnp.maximum(count, 1)


def cross_entropy(logits, targets, mask, count=None):
  """Averages the negative log-likelihood, in nats, over the entries that count.

  Args:
    logits: [B, T, N] float.
    targets: [B, T] int32 in [0, N), any legal value where `mask` is False.
    mask: [B, T] bool, or float; see `masked_mean`.
    count: see `masked_mean`.

  Returns:
    [] float32.
  """
  nll_BT = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), targets)
  return masked_mean(nll_BT, mask, count)


class Counts(NamedTuple):
  """How many entries of a batch count, when its loss is computed in microbatches.

  Attributes:
    valid: [] int32; transitions that exist.
    actions: [] int32; those of them whose action is a target, or their parts that are. Where
      actions have weights, the sum of theirs, float32.
    acted: [] int32 or float32; as `actions`, of transitions: of the part that counts
      most.
  """
  valid: Any
  actions: Any
  acted: Any


def idm_loss(head, logits, actions, is_labelled, is_valid, counts=None):
  """Computes eq. 4, averaged over the labelled transitions of a batch.

  Args:
    head: of `action_heads`.
    logits: [B, T, A] of the IDM; what the head says of an action.
    actions: [B, T] int32, or [B, T, P] float32 of several parts.
    is_labelled: [B, T] bool, or [B, T, P].
    is_valid: [B, T] bool.
    counts: `Counts` of the batch that this is a microbatch of; None for a batch. What is returned
      adds up over the microbatches.

  Returns:
    [] float32, and a dict of scalars with `loss` and `accuracy`.
  """
  mask = action_mask(is_labelled, is_valid)
  count = None if counts is None else counts.actions
  loss = masked_mean(head.nll(logits, actions), mask, count)
  return loss, {'loss': loss,
                'accuracy': masked_mean(head.is_right(logits, actions), mask, count)}


def action_mask(has_action, is_valid, action_weights=None):
  """Returns the action weights of `dt_loss`, bool, or float32 if there are weights.

  Args:
    has_action: [B, T] bool, or [B, T, P] of several parts.
    is_valid: [B, T] bool.
    action_weights: as `has_action`, float32, or None.

  Returns:
    As `has_action`.
  """
  mask = has_action & (is_valid if has_action.ndim == is_valid.ndim else is_valid[..., None])
  return mask if action_weights is None else jnp.where(mask, action_weights, 0.)


def acted_mask(mask):
  """Returns what `action_mask` says of transitions: [B, T], the most that a part counts."""
  if mask.ndim == 2:
    return mask
  return mask.max(axis=-1)


def dt_loss(head, logits, *, returns, actions, rewards, has_action, is_valid, reward_weight,
            return_weight=1., action_weight=1., counts=None, action_weights=None,
            action_probabilities=None):
  """Computes eq. 3: losses of returns, actions and (multi-game DT, not in eq. 3) rewards.

  Args:
    head: of `action_heads`.
    logits: `decision_transformer.DTLogits`.
    returns: [B, T] int32 return bins.
    actions: [B, T] int32, or [B, T, P] float32 of several parts.
    rewards: [B, T] int32 reward ids; unused if `logits.rewards` is None.
    has_action: [B, T] bool, or [B, T, P]; the action, or the part of it, is a target: true, or
      labelled by the IDM. Steps without count for the returns only.
    is_valid: [B, T] bool.
    reward_weight: weight of the reward term; 0 is eq. 3 as written.
    return_weight: weight of the return term; 1 is eq. 3.
    action_weight: weight of the action term; 1 is eq. 3.
    counts: see `idm_loss`.
    action_weights: as `has_action`, float32, at least 0, or None; how much the actions count that
      do. The loss is divided by their sum, not by their number: an IDM that is less sure of all its
      labels alike would otherwise only make actions count less against returns.
    action_probabilities: [B, T, A] float32, or None; targets in place of `actions`.

  Returns:
    [] float32, and a dict of scalars: `loss`, each term without its weight, and `action_accuracy`.
  """
  mask = action_mask(has_action, is_valid, action_weights)
  counts = counts or Counts(None, None, None)
  return_loss = cross_entropy(logits.returns, returns, is_valid, counts.valid)
  targets = actions if action_probabilities is None else action_probabilities
  action_loss = masked_mean(head.nll(logits.actions, targets), mask, counts.actions)
  metrics = {'return_loss': return_loss, 'action_loss': action_loss,
             'action_accuracy': masked_mean(
                 head.is_right(logits.actions, actions), mask, counts.actions)}
  loss = return_weight * return_loss + action_weight * action_loss
  if logits.rewards is not None:
    # Rewards are predicted from the step's action token, which says nothing where it is not known.
    metrics['reward_loss'] = cross_entropy(
        logits.rewards, rewards, acted_mask(mask), counts.acted)
    loss += reward_weight * metrics['reward_loss']
  return loss, metrics | {'loss': loss}
