"""Action heads: embedding, loss, prediction and sampling for each kind of actions.

A head says what the networks' action layers (`networks.action_layers`) read and mean: the tokens of
actions, and from the layer's output the loss, predictions, pseudo-labels and actions to take. `of`
picks the one of an action space; another kind of action is another class with the same members,
registered there. Arrays in, arrays out.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax

from alpt_jax import action_space
from alpt_jax.learners import pseudo_labels

_PERCENTILE = 50.  # Of the logits, above which `better_half` samples; Lee et al.'s release.


@dataclasses.dataclass(frozen=True)
class Categorical:
  """The head of discrete actions: outputs are logits over all A declared ones.

  Attributes:
    space: `action_space.Discrete`.
  """
  space: action_space.Discrete

  def tokens(self, actions, is_known):
    """Makes what the DT embeds: [B, T] int32 ids, where known; see `action_layers.embedding`."""
    return jnp.where(is_known, actions, self.space.num)

  def nll(self, logits, targets):
    """Computes negative log-likelihoods.

    Args:
      logits: [B, T, A] float.
      targets: [B, T] int32 ids, any where they do not count; or [B, T, A] float32, distributions.

    Returns:
      [B, T] float32, in nats.
    """
    logits = logits.astype(jnp.float32)
    if targets.ndim == logits.ndim:
      return optax.softmax_cross_entropy(logits, targets)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)

  def is_right(self, logits, actions):
    """Says whether the most probable action is the one that was taken: [B, T] float32, 0 or 1."""
    return (jnp.argmax(logits, axis=-1) == actions).astype(jnp.float32)

  def only_legal(self, logits, legal):
    """Leaves out actions that are not legal [..., A] bool: their logits become -inf."""
    return jnp.where(legal, logits, -jnp.inf)

  def predict(self, logits):
    """Predicts the most probable action: [..., A] logits -> [...] int32 ids."""
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)

  def probabilities(self, logits):
    """Computes probabilities: [..., A] logits -> [..., A] float32; exactly 0 if not legal."""
    return jax.nn.softmax(logits.astype(jnp.float32), axis=-1)

  def pseudo_labels(self, logits, settings, key):
    """Makes labels of what the IDM predicts.

    Args:
      logits: [B, T, A] of the IDM, -inf for actions that the environment does not know.
      settings: `pseudo_labels.Settings`, of another mode than hard, which needs no probabilities:
        see `alpt.predict`.
      key: PRNG key, of `sampled`.

    Returns:
      `pseudo_labels.Labels`; [B, T] float32, the probabilities of the most probable actions.
    """
    logits = jax.lax.stop_gradient(logits.astype(jnp.float32))
    best = self.predict(logits)
    # Not the quotient alone: of a small temperature it would be infinite.
    logits = (logits - jnp.max(logits, axis=-1, keepdims=True)) / settings.temperature
    probabilities = jax.nn.softmax(logits, axis=-1)
    confidence = jnp.max(probabilities, axis=-1)
    if settings.mode == 'soft':
      return pseudo_labels.Labels(best, probabilities=probabilities), confidence
    if settings.mode == 'sampled':
      ids = jax.random.categorical(key, logits).astype(jnp.int32)
      return pseudo_labels.Labels(ids), confidence
    if settings.mode == 'weighted':
      return pseudo_labels.Labels(best, weights=confidence), confidence
    assert settings.mode == 'thresholded', settings.mode
    return pseudo_labels.Labels(best, is_kept=confidence >= settings.threshold), confidence

  def choose(self, logits, legal, key, *, is_greedy, temperature=1., better_half=False):
    """Chooses a legal action to take.

    Args:
      logits: [B, A].
      legal: [A] bool.
      key: PRNG key.
      is_greedy: [] bool; the most probable legal action instead of a sample.
      temperature: [] float above 0; logits are divided by it before an action is sampled.
      better_half: sample from the legal ones among the actions whose logit is above the median of
        all, or take the best legal one if there are none.

    Returns:
      [B] int32.
    """
    threshold = jnp.percentile(logits, _PERCENTILE, axis=-1, keepdims=True)
    logits = self.only_legal(logits, legal[None])
    candidates = logits
    if better_half:
      # The release does nothing (action 0) where it samples an illegal action.
      is_best = logits >= jnp.max(logits, axis=-1, keepdims=True)
      candidates = jnp.where((logits > threshold) | is_best, logits, -jnp.inf)
    sampled = jax.random.categorical(key, candidates / temperature)
    return jnp.where(is_greedy, jnp.argmax(logits, axis=-1), sampled).astype(jnp.int32)


@functools.singledispatch
def of(space):
  """Picks the head of an action space."""
  raise NotImplementedError(space)


of.register(action_space.Discrete, Categorical)
