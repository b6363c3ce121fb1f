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
import numpy as np
import optax

from alpt_jax import action_space
from alpt_jax.learners import pseudo_labels
from alpt_jax.networks import action_layers

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

  def one_hot(self, actions, dtype):
    """Makes the distributions of known actions: [B, T] int32 -> [B, T, A] of `dtype`."""
    return jax.nn.one_hot(actions, self.space.num, dtype=dtype)

  def to_classes(self, is_known):
    """Says of the A classes what is said of actions: [B, T] bool -> [B, T, 1], which broadcasts."""
    return is_known[..., None]

  def exists(self, legal):
    """Says which parts of actions an environment has: None, for all; see `Parts.exists`."""
    del legal

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

  def confidence(self, logits):
    """Says how probable the most probable action is: [..., A] -> [...] float32."""
    return jnp.max(self.probabilities(logits), axis=-1)

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


@dataclasses.dataclass(frozen=True)
class Parts:
  """The head of actions of several parts: outputs are logits of the A classes of all of them.

  Each part has a distribution of its own, the softmax of its segment of the logits. Shapes are
  those of `Categorical` with another dimension for the P parts, and actions are float32.

  Attributes:
    space: `action_space.Parts`.
  """
  space: action_space.Parts

  def _by_part(self, function, classes):
    """function(part, [..., n]) -> [...] of every part: [..., A] -> [..., P]."""
    return jnp.stack([function(part, classes[..., segment]) for part, segment in zip(
        self.space.parts, self.space.segments, strict=True)], axis=-1)

  def _classes(self, actions):
    """[..., P] float -> [..., P] int32; classes of each part, counted from its first."""
    found = [part.bins_of(actions[..., p], jnp) if part.kind == 'continuous' else actions[..., p]
             for p, part in enumerate(self.space.parts)]
    return jnp.stack([x.astype(jnp.int32) for x in found], axis=-1)

  def tokens(self, actions, is_known):
    """Makes what the DT embeds: [B, T, P] int32 classes; see `action_layers.PartsEmbedding`."""
    return jnp.where(is_known, self._classes(actions), self._unknown(actions.shape))

  def _unknown(self, shape):
    """Classes [..., P] that stand for parts that are not known."""
    return jnp.broadcast_to(np.array([part.num_classes for part in self.space.parts]), shape)

  def one_hot(self, actions, dtype):
    """Makes the distributions of known actions: [B, T, P] float32 -> [B, T, A] of `dtype`."""
    return action_layers.one_hot_of_tokens(self.space, self._classes(actions)).astype(dtype)

  def to_classes(self, is_known):
    """Says of the A classes what is said of their parts: [..., P] -> [..., A]."""
    sizes = np.array([part.num_classes for part in self.space.parts])
    return jnp.repeat(is_known, sizes, axis=-1, total_repeat_length=self.space.num)

  def exists(self, legal):
    """Says which parts an environment has, some class of which is legal: [..., A] -> [..., P]."""
    return self._by_part(lambda part, legal: legal.any(axis=-1), legal)

  def _log_softmax(self, logits):
    """[..., A] float32, of each part; -inf of classes that are not legal, and no NaN."""
    logits = logits.astype(jnp.float32)
    found = []
    for segment in self.space.segments:
      own = logits[..., segment]
      largest = jax.lax.stop_gradient(jnp.max(own, axis=-1, keepdims=True))
      own = own - jnp.where(jnp.isfinite(largest), largest, 0.)
      total = jnp.sum(jnp.exp(own), axis=-1, keepdims=True)
      found.append(own - jnp.log(jnp.where(total > 0, total, 1.)))
    return jnp.concatenate(found, axis=-1)

  def nll(self, logits, targets):
    """Computes negative log-likelihoods: of targets [B, T, P] or [B, T, A], [B, T, P] in nats."""
    logs = self._log_softmax(logits)
    if targets.shape[-1] != logits.shape[-1] or targets.shape[-1] == len(self.space.parts):
      targets = self.one_hot(targets, jnp.float32)
    found = jnp.where(targets > 0, -targets * logs, 0.)
    return self._by_part(lambda part, x: x.sum(axis=-1), found)

  def is_right(self, logits, actions):
    """Says whether the most probable class is that of what was done: [B, T, P] float32."""
    best = self._by_part(lambda part, x: jnp.argmax(x, axis=-1), logits)
    return (best == self._classes(actions)).astype(jnp.float32)

  def only_legal(self, logits, legal):
    """See `Categorical.only_legal`."""
    return jnp.where(legal, logits, -jnp.inf)

  def probabilities(self, logits):
    """Computes probabilities: [..., A] -> [..., A] float32; 0 of parts without a legal class."""
    return jnp.exp(self._log_softmax(logits))

  def confidence(self, logits):
    """Says how probable the most probable classes are: [..., A] -> [..., P] float32."""
    return self._by_part(lambda part, x: jnp.max(x, axis=-1), self.probabilities(logits))

  def predict(self, logits):
    """Predicts what was done: [..., A] -> [..., P] float32.

    See `action_space.Parts.predicted`.
    """
    return self.space.predicted(self.probabilities(logits), jnp)

  def values(self, classes):
    """Returns what classes stand for: [..., P] int32 -> [..., P] float32."""
    return self.space.values(classes, jnp)

  def pseudo_labels(self, logits, settings, key):
    """Makes labels of what the IDM predicts; see `Categorical.pseudo_labels`.

    Weights and thresholds are of the probability of a part's most probable class: parts of many
    classes, as numbers, count for less than keys do.

    Parts that an environment lacks, whose logits are all -inf, have no label in any mode.
    """
    logits = jax.lax.stop_gradient(logits.astype(jnp.float32))
    exists = self.exists(jnp.isfinite(logits))
    logs = self._log_softmax(logits)
    # Not the quotient alone: of a small temperature it would be infinite.
    largest = self.to_classes(self._by_part(lambda part, x: jnp.max(x, axis=-1), logs))
    logits = (logs - jnp.where(jnp.isfinite(largest), largest, 0.)) / settings.temperature
    probabilities = self.probabilities(logits)
    confidence = self._by_part(lambda part, x: jnp.max(x, axis=-1), probabilities)
    best = self.space.predicted(probabilities, jnp)
    if settings.mode == 'soft':
      return pseudo_labels.Labels(best, is_kept=exists, probabilities=probabilities), confidence
    if settings.mode == 'sampled':
      ids = self.values(self._sample(logits, key))
      return pseudo_labels.Labels(ids, is_kept=exists), confidence
    if settings.mode == 'weighted':
      return pseudo_labels.Labels(best, is_kept=exists, weights=confidence), confidence
    assert settings.mode == 'thresholded', settings.mode
    return (pseudo_labels.Labels(best, is_kept=exists & (confidence >= settings.threshold)),
            confidence)

  def _sample(self, logits, key):
    """Draws a class of each part by itself: [..., A] -> [..., P] int32."""
    keys = iter(jax.random.split(key, len(self.space.parts)))
    return self._by_part(
        lambda part, x: jax.random.categorical(next(keys), x), logits).astype(jnp.int32)

  def choose(self, logits, legal, key, *, is_greedy, temperature=1., better_half=False,
             dependences=None):
    """Chooses legal classes to act with, part after part; see `Categorical.choose` and `values`.

    Args:
      logits, legal, key, is_greedy, temperature, better_half: see there.
      dependences: [A, A] float32; what a class that was chosen adds to the logits of later parts.
        None: each part is chosen by itself.

    Returns:
      [B, P] int32. Of a part that the environment lacks, the one that stands for what is not known.
    """
    exists, chosen = self.exists(legal), []
    keys = jax.random.split(key, len(self.space.parts))
    for p, (part, segment) in enumerate(zip(self.space.parts, self.space.segments, strict=True)):
      own = logits[..., segment]
      threshold = jnp.percentile(own, _PERCENTILE, axis=-1, keepdims=True)
      own = self.only_legal(own, legal[None, segment])
      candidates = own
      if better_half and part.num_classes > 2:  # Of two, only the better would be left.
        is_best = own >= jnp.max(own, axis=-1, keepdims=True)
        candidates = jnp.where((own > threshold) | is_best, own, -jnp.inf)
      sampled = jax.random.categorical(keys[p], candidates / temperature)
      found = jnp.where(is_greedy, jnp.argmax(own, axis=-1), sampled)
      chosen.append(jnp.where(exists[p], found, part.num_classes).astype(jnp.int32))
      if dependences is not None:
        taken = jax.nn.one_hot(chosen[p], part.num_classes, dtype=logits.dtype)
        logits = logits + taken @ dependences[segment]
    return jnp.stack(chosen, axis=-1)


@functools.singledispatch
def of(space):
  """Picks the head of an action space."""
  raise NotImplementedError(space)


of.register(action_space.Discrete, Categorical)
of.register(action_space.Parts, Parts)
