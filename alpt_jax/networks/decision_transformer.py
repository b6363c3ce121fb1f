"""The decision transformer (DT): returns, actions and rewards, each from what comes before it.

The same transformer as the inverse dynamics model's, with tokens, mask and parameters of its own.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from alpt_jax import types
from alpt_jax.networks import action_layers, discretize, masks, tokens, transformer


class DTLogits(NamedTuple):
  """Holds the DT's predictions for every step of a window.

  Each is read out at another token of the step: the last one of the observation, the return and the
  action. All see the observations up to the step's and the actions and rewards before it.
  `masks.block_causal` decides which return tokens they see beside these.

  Attributes:
    returns: [B, T, R]; sees no return ('current'), the first step's, if that is before ('first'),
      or all earlier ones ('all').
    actions: [B, T, A]; sees the step's own return ('current'), the first step's ('first'), or all
      up to the step's own ('all').
    rewards: [B, T, 3]; sees the step's action too. Of returns none ('current': not the step's own
      either), the first step's ('first'), or all up to the step's own ('all'). None if the DT has
      no reward head (`predict_rewards`).
  """
  returns: jax.Array
  actions: jax.Array
  rewards: jax.Array | None


class DecisionTransformer(nn.Module):
  """P_theta of eq. 3: returns, then actions (and, if asked, rewards), step by step.

  Attributes:
    spec: declares the observation, the action space and the range of returns.
    num_steps: T, steps in the window.
    num_layers, num_heads, d_model, dropout: of the transformer.
    patch_size: side of an observation patch; 0 for one token per observation.
    vector_bins: bins of vector observations; see `tokens.VectorTokenizer`.
    change_tokens: embed changes of observations, too; see `tokens.PatchTokenizer`.
    tokenizer_kind: one of `tokens.TOKENIZERS`.
    dtype: of the computation, float32 or bfloat16; parameters and logits are float32.
    return_tokens: which return tokens are attended; see `masks.block_causal`.
    predict_rewards: also predict the sign of the reward, as the multi-game DT does on Atari.
    parts_in_order: of actions of several parts, predict each part given those before it: a class
      that was taken adds a learned number to the logits of each class of later parts. False: each
      by itself.
  """
  spec: types.EnvironmentSpec
  num_steps: int
  num_layers: int
  num_heads: int
  d_model: int
  dropout: float = 0.
  patch_size: int = 0
  vector_bins: int = 0
  change_tokens: bool = False
  tokenizer_kind: str = 'patch'
  dtype: jnp.dtype = jnp.float32
  return_tokens: str = 'current'
  predict_rewards: bool = False
  parts_in_order: bool = False

  def setup(self):
    spec, d = self.spec, self.d_model
    self.num_returns = discretize.num_return_bins(spec.return_low, spec.return_high)
    self.tokenizer = tokens.tokenizer_of(self)
    embed = lambda n: nn.Embed(n, d, embedding_init=tokens.EMBEDDING_INIT)  # noqa: E731
    self.return_embedding = embed(self.num_returns)
    self.action_embedding = action_layers.embedding(spec.actions, d)
    self.reward_embedding = embed(discretize.NUM_REWARD_TOKENS)
    p = tokens.num_observation_tokens(
        spec, patch_size=self.patch_size, kind=self.tokenizer_kind)
    self.mask_SS = masks.block_causal(self.num_steps, p, return_tokens=self.return_tokens)
    self.is_used_S = np.diag(self.mask_SS)  # See `masks.block_causal`: others start from zero.
    self.num_observation_tokens = p
    self.position = tokens.Position(len(self.mask_SS))
    self.transformer = transformer.Transformer(
        self.num_layers, self.num_heads, self.dropout, self.dtype)
    self.return_head = nn.Dense(self.num_returns)
    self.action_head = action_layers.output(spec.actions)
    if self.parts_in_order:
      self.dependence = self.param('dependence', nn.initializers.zeros, (spec.actions.num,) * 2)
    if self.predict_rewards:
      self.reward_head = nn.Dense(discretize.NUM_REWARD_TOKENS)

  def _sequence(self, tokens_BTPD, returns, actions, rewards):
    """Returns the tokens [B, S, D] of a window, with positions."""
    chex.assert_axis_dimension(tokens_BTPD, 1, self.num_steps)
    x_BSD = self.position(tokens.interleave(
        tokens_BTPD, self.return_embedding(returns),
        self.action_embedding(actions), self.reward_embedding(rewards)))
    return jnp.where(self.is_used_S[None, :, None], x_BSD, 0)

  def __call__(self, observations, returns, actions, rewards, *, deterministic=True, rows=None):
    """Predicts every step of a window from what comes before it.

    Args:
      observations: [B, T, ...] as the spec declares.
      returns: [B, T] int32 return bins.
      actions: [B, T] int32 in [0, A]; A where the action is not known. Of several parts
        [B, T, P], see `action_layers.PartsEmbedding`.
      rewards: [B, T] int32 reward ids (`discretize.encode_reward`).
      deterministic: False to apply dropout (needs a 'dropout' rng).
      rows: [B] int32 numbers of the windows, for dropout; see `transformer.drop`.

    Returns:
      `DTLogits`.
    """
    x_BSD = self._sequence(self.tokenizer(observations), returns, actions, rewards)
    p = self.num_observation_tokens
    first_slots = np.arange(self.num_steps) * (p + 3)
    read = [first_slots + p - 1, first_slots + p]  # Last observation token; return token.
    if self.predict_rewards:
      read.append(first_slots + p + 1)  # Action token.
    read = np.concatenate(read)
    # Nothing attends what follows the last read-out; but with it or not, tiles are filled up.
    num_used = len(self.mask_SS) if self.dtype == jnp.bfloat16 else read.max() + 1
    out_BSD, _ = self.transformer(
        x_BSD[:, :num_used], self.mask_SS[:num_used, :num_used], deterministic=deterministic,
        rows=rows, read=read)
    outs = jnp.split(out_BSD, len(read) // self.num_steps, axis=1)
    action_logits = self.action_head(outs[1])
    if self.parts_in_order:
      taken = action_layers.one_hot_of_tokens(self.spec.actions, actions)
      action_logits += taken @ self.dependences()
    return DTLogits(self.return_head(outs[0]), action_logits,
                    self.reward_head(outs[2]) if self.predict_rewards else None)

  def dependences(self):
    """Returns what a class that was taken adds to the logits of others: [A, A] float32, or None."""
    if not self.parts_in_order:
      return None
    return self.dependence * action_layers.earlier_parts(self.spec.actions)

  def tokenize(self, observations, before):
    """Embeds images, each by itself, for `predict_return`.

    Args:
      observations: [B, T, ...], for any T.
      before: the image before each, of the same shape; any for the first of an episode.

    Returns:
      [B, T, ...], what the tokenizer's `parts` gives.
    """
    return self.tokenizer.parts(observations, before)

  def predict_return(self, observations, returns, actions, rewards, step, *, is_tokenized=False):
    """Predicts the return distribution at one step of a window, the first half of acting.

    Args:
      observations: [B, T, ...]; only those up to `step` matter.
      returns: [B, T] int32; only those before `step` can matter.
      actions: [B, T] int32; likewise.
      rewards: [B, T] int32; likewise.
      step: [] int32 in [0, T).
      is_tokenized: `observations` are what `tokenize` made of them: what moves through the window
        need not be embedded at every step anew.

    Returns:
      [B, R] logits, and the transformer's caches for `predict_action`.
    """
    tokens_BTPD = (self.tokenizer.join(observations) if is_tokenized else
                   self.tokenizer(observations))
    x_BSD = self._sequence(tokens_BTPD, returns, actions, rewards)
    p = self.num_observation_tokens
    read = jnp.atleast_1d(step * (p + 3) + p - 1)
    out_B1D, caches = self.transformer(x_BSD, self.mask_SS, read=read, chunk=p + 3)
    return self.return_head(out_B1D[:, 0]), caches

  def predict_action(self, returns, caches, step):
    """Predicts the action distribution given the step's return, the second half of acting.

    Only the return token is computed; everything before it is in the caches.

    Args:
      returns: [B] int32 return bins chosen for this step.
      caches: what `predict_return` gave.
      step: [] int32, as given there.

    Returns:
      [B, A] logits; with `parts_in_order`, `dependences` add to them as parts are chosen.
    """
    place = step * (self.num_observation_tokens + 3) + self.num_observation_tokens
    x_B1D = self.position(self.return_embedding(returns)[:, None], place)
    x_B1D = jnp.where(jnp.asarray(self.is_used_S)[place], x_B1D, 0)
    out_B1D, _ = self.transformer(
        x_B1D, jnp.asarray(self.mask_SS)[place][None], caches=caches, position=place)
    return self.action_head(out_B1D[:, 0])
