"""The transformer that the IDM and the DT share: (tokens, mask) -> tokens.

A GPT-2 style pre-norm stack with the multi-game DT's initialisation (Lee et al., 2022): what it
becomes is decided by the mask it is called with. Two ways to do less work for the same function:
`read` computes the last layer only at the tokens whose outputs are wanted, and a `Cache` lets one
token be replaced without computing the others again (acting needs this: the sampled return is a
token).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn


class Cache(NamedTuple):
  """Keys and values of one layer, each [B, N, S, K]."""
  keys: jax.Array
  values: jax.Array


class Dense(nn.Dense):
  """`nn.Dense` of tokens [..., D], computed as one matrix product.

  Flattened first, the gradient of the kernel is one plain product as well, which XLA on the CPU
  computes faster.
  """

  def __call__(self, inputs):
    out = super().__call__(inputs.reshape(-1, inputs.shape[-1]))
    return out.reshape(*inputs.shape[:-1], self.features)


class Attention(nn.Module):
  """Multi-head attention of some tokens (queries) over all tokens.

  Projections are separate parameters, not one fused matrix: LAMB scales its step per tensor.
  """
  num_heads: int
  kernel_init: nn.initializers.Initializer

  @nn.compact
  def __call__(self, queries_BQD, tokens_BSD, mask_QS, cache=None, position=None):
    """Attends.

    Args:
      queries_BQD: [B, Q, D]; the tokens that ask.
      tokens_BSD: [B, S, D]; the tokens that are asked, or with a cache [B, 1, D], the token that
        takes its place in the cache.
      mask_QS: bool [Q, S].
      cache: keys and values of all tokens, or None to compute them from `tokens_BSD`.
      position: [] int32; with a cache, the place that `tokens_BSD` takes.

    Returns:
      [B, Q, D], and the `Cache` used.
    """
    b, _, d_model = queries_BQD.shape

    def heads(name, x_BSD):  # Heads first: the products below are then plain batched ones.
      x_BSD = Dense(d_model, kernel_init=self.kernel_init, name=name)(x_BSD)
      return x_BSD.reshape(b, -1, self.num_heads, d_model // self.num_heads).swapaxes(1, 2)

    query_BNQK = heads('query', queries_BQD)
    keys, values = heads('key', tokens_BSD), heads('value', tokens_BSD)
    if cache is not None:
      keys = jax.lax.dynamic_update_slice_in_dim(cache.keys, keys, position, axis=2)
      values = jax.lax.dynamic_update_slice_in_dim(cache.values, values, position, axis=2)
    scores_BNQS = jnp.einsum('BNQK,BNSK->BNQS', query_BNQK, keys) / (query_BNQK.shape[-1] ** .5)
    scores_BNQS = jnp.where(mask_QS[None, None], scores_BNQS, jnp.finfo(scores_BNQS.dtype).min)
    weights_BNQS = jax.nn.softmax(scores_BNQS)
    out_BQNK = jnp.einsum('BNQS,BNSK->BNQK', weights_BNQS, values).swapaxes(1, 2)
    out_BQD = Dense(d_model, kernel_init=self.kernel_init, name='out')(
        out_BQNK.reshape(b, -1, d_model))
    return out_BQD, Cache(keys, values)


class Block(nn.Module):
  """LayerNorm, attention, residual; LayerNorm, MLP of width 4D, residual."""
  num_heads: int
  dropout: float
  kernel_init: nn.initializers.Initializer

  @nn.compact
  def __call__(self, x_BSD, mask_SS, *, deterministic, read=None, cache=None, position=None):
    """Returns the tokens at `read` (all if None) as [B, Q, D], and the layer's `Cache`."""
    normed_BSD = nn.LayerNorm(name='ln_1')(x_BSD)
    if read is None:
      x_BQD, queries_BQD, mask_QS = x_BSD, normed_BSD, mask_SS
    else:
      x_BQD, queries_BQD, mask_QS = x_BSD[:, read], normed_BSD[:, read], mask_SS[read]
    attended_BQD, cache = Attention(self.num_heads, self.kernel_init, name='attention')(
        queries_BQD, normed_BSD, mask_QS, cache, position)
    x_BQD += nn.Dropout(self.dropout)(attended_BQD, deterministic=deterministic)
    h_BQF = Dense(4 * x_BQD.shape[-1], kernel_init=self.kernel_init, name='mlp_in')(
        nn.LayerNorm(name='ln_2')(x_BQD))
    h_BQD = Dense(x_BQD.shape[-1], kernel_init=self.kernel_init, name='mlp_out')(
        jax.nn.gelu(h_BQF))
    return x_BQD + nn.Dropout(self.dropout)(h_BQD, deterministic=deterministic), cache


class Transformer(nn.Module):
  """GPT-2 style pre-norm stack. The mask decides what it is: DT causal, IDM all ones.

  Attributes:
    num_layers: layers; Table 3 of the paper: 6.
    num_heads: attention heads, a divisor of the model width; Table 3: 8.
    dropout: rate on the outputs of attention and MLP, as the multi-game DT (0.1); nowhere else.
  """
  num_layers: int
  num_heads: int
  dropout: float = 0.

  @nn.compact
  def __call__(self, x_BSD, mask_SS, *, deterministic=True, read=None, caches=None, position=None):
    """Maps tokens to tokens.

    Args:
      x_BSD: [B, S, D] tokens; with `caches`, [B, 1, D], the token that replaces one of the S.
      mask_SS: bool [S, S]; `mask[q, k]`: q may attend k. With `caches`, [1, S]: the row of the
        replaced token.
      deterministic: False to apply dropout (needs a 'dropout' rng).
      read: [Q] indices of the tokens whose outputs are wanted; None for all.
      caches: the caches that an earlier call returned.
      position: [] int32; with `caches`, the place of the replaced token.

    Returns:
      [B, Q, D] after the final LayerNorm, and a `Cache` per layer.
    """
    chex.assert_rank([x_BSD, mask_SS], [3, 2])
    # The multi-game DT's scale: residual branches shrink as the stack grows.
    kernel_init = nn.initializers.variance_scaling(
        2. / self.num_layers, 'fan_in', 'truncated_normal')
    new_caches = []
    for i in range(self.num_layers):  # Unrolled: LAMB's trust ratio is per tensor.
      is_last = i == self.num_layers - 1
      x_BSD, cache = Block(self.num_heads, self.dropout, kernel_init, name=f'block_{i}')(
          x_BSD, mask_SS, deterministic=deterministic, read=read if is_last else None,
          cache=caches[i] if caches is not None else None, position=position)
      new_caches.append(cache)
    return nn.LayerNorm(name='ln_f')(x_BSD), tuple(new_caches)
