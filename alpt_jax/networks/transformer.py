"""The transformer that the IDM and the DT share: (tokens, mask) -> tokens.

A GPT-2 style pre-norm stack with the multi-game DT's initialisation (Lee et al., 2022). The mask it
is called with makes it one or the other. Ways to do less work for the same function:

* `read` computes the last layer only at the tokens whose outputs are wanted.
* `caches` let one token be replaced without computing the others again (acting needs this: the
  sampled return is a token).
* A few queries need no keys and values of all tokens, see `Attention`.
* `chunk` skips most of the pairs that a causal mask hides.

The computation is in float32, or in bfloat16 for TPUs. Then matrix products, and what lies between
them, are bfloat16; parameters, sums inside of products, the softmax and the statistics of
LayerNorm stay float32. In bfloat16, forms of the same function are used that suit a TPU: attention
of all tokens has a gradient of its own (`attention`), and tokens are filled up to whole tiles.
Dropout is then another one than in float32, see `drop`.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from alpt_jax.networks import attention

_TILE_ROWS = 8  # A TPU works on so many rows at once.


@jax.custom_vjp
def _multiply(x, kernel):
  """[..., D] bfloat16 times [D, F] float32 -> [..., F] bfloat16.

  The kernel's gradient stays float32, also while the devices add it up; XLA would round it between.
  """
  return x @ kernel.astype(x.dtype)


def _multiply_backward(factors, out_gradient):
  x, kernel = factors
  all_but_last = list(range(x.ndim - 1))
  kernel_gradient = jax.lax.dot_general(
      x, out_gradient, ((all_but_last, all_but_last), ((), ())),
      preferred_element_type=jnp.float32)
  return out_gradient @ kernel.astype(x.dtype).T, kernel_gradient


_multiply.defvjp(lambda x, kernel: (_multiply(x, kernel), (x, kernel)), _multiply_backward)


class Dense(nn.Module):
  """`nn.Dense` of tokens [..., D], in float32 computed as one matrix product.

  Flattened first, the gradient of the kernel is one plain product as well, which XLA on the CPU
  computes faster. Not in bfloat16: for a TPU, windows whose tokens are no whole tiles would have to
  move.

  Attributes:
    features: of the result.
    use_bias: add one.
    swapped: (m, n): a token is [n * m] where the rows of the kernel are [m * n]; () if both have
      one order.
    kernel_init: of the kernel.
    dtype: of the computation, float32 or bfloat16.
  """
  features: int
  use_bias: bool = True
  swapped: tuple[int, ...] = ()
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, inputs):
    kernel = self.param('kernel', self.kernel_init, (inputs.shape[-1], self.features))
    if self.swapped:
      kernel = kernel.reshape(*self.swapped, self.features).swapaxes(0, 1).reshape(kernel.shape)
    if self.dtype == jnp.bfloat16:
      out = _multiply(inputs.astype(self.dtype), kernel)
    else:
      out = (inputs.reshape(-1, inputs.shape[-1]) @ kernel).reshape(
          *inputs.shape[:-1], self.features)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros_init(), (self.features,))
      out += bias.reshape((1,) * (out.ndim - 1) + (-1,))
    return out.astype(self.dtype)


def drop(x_BSD, key, rate, rows=None):
  """Applies dropout with fewer or cheaper random bits than `nn.Dropout`.

  In float32, every window draws from a key of its own, so that neither the other windows of a
  batch nor microbatches change its mask. It draws a quarter of the bits: four tokens of a window, a
  quarter of the sequence apart, share a word. Each takes its 16 bits from another byte on, so that
  neighbours share eight. That leaves the rate of each exact to 1 / 65536, and makes a pair of
  neighbours drop together with a probability of 0.0102 instead of 0.01, at a rate of 0.1.

  In bfloat16, 16 bits each come from the generator that a TPU has built in, which has one key for a
  batch: microbatches, and the number of devices that share it (see `program`), decide the bits.

  Args:
    x_BSD: [B, S, D].
    key: PRNG key.
    rate: of elements set to 0, in [0, 1); rounded to 1 / 65536. The others are scaled up.
    rows: [B] int32; numbers of the windows, which `key` is folded with; None for 0 to B - 1. Unused
      in bfloat16.

  Returns:
    [B, S, D].
  """
  b, s, d = x_BSD.shape
  threshold = round(rate * 65536)
  if x_BSD.dtype == jnp.bfloat16:
    key = jax.random.wrap_key_data(jnp.resize(jax.random.key_data(key), 4), impl='rbg')
    return _keep(x_BSD, jax.random.bits(key, (b, s, d), jnp.uint16), threshold)
  words = jax.vmap(lambda key: jax.random.bits(key, (1, -(-s // 4), d), jnp.uint32))(
      keys_of_rows(key, b, rows))
  shift = jnp.arange(4, dtype=jnp.uint32).reshape(1, 4, 1, 1) * 8
  draws = ((words >> shift) | (words << (32 - shift))) & 65535  # The last one goes round.
  is_kept = draws.reshape(b, -1, d)[:, :s] >= threshold
  return jnp.where(is_kept, x_BSD * (65536 / (65536 - threshold)), 0).astype(x_BSD.dtype)


def keys_of_rows(key, num_rows, rows=None):
  """Folds a key with numbers of rows, [num_rows] int32 or 0, 1, ...; returns [num_rows] keys."""
  rows = jnp.arange(num_rows) if rows is None else rows
  return jax.vmap(jax.random.fold_in, (None, 0))(key, rows)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _keep(x, draws, threshold):
  """x, scaled up, where draws >= threshold, else 0. Its gradient needs the draws and no mask.

  Nor is anything compared: a TPU's compiler would pack what is true into bits, and unpack it again.
  """
  is_kept = jnp.clip(draws.astype(jnp.int32) - (threshold - 1), 0, 1).astype(jnp.float32)
  return (x * (is_kept * (65536 / (65536 - threshold)))).astype(x.dtype)


_keep.defvjp(lambda x, draws, threshold: (_keep(x, draws, threshold), draws),
             lambda threshold, draws, gradient: (_keep(gradient, draws, threshold), None))


@jax.custom_vjp
def _with_one_gradient(x):
  """Returns x; its gradient is added up once, and not again for each use of it."""
  return x


_with_one_gradient.defvjp(
    lambda x: (x, None), lambda _, gradient: (jax.lax.optimization_barrier(gradient),))


def _select(x_BSD, read):
  """x_BSD[:, read]; on a TPU as a product, as indexing moves all of x there, and its gradient."""
  if x_BSD.dtype != jnp.bfloat16:
    return x_BSD[:, read]
  one_hot_QS = jax.nn.one_hot(read, x_BSD.shape[1], dtype=x_BSD.dtype)
  return jnp.einsum('QS,BSD->BQD', one_hot_QS, x_BSD)


def _softmax(scores, mask, factor, dtype):
  """The softmax of `factor` * scores [..., Q, S] where mask [Q, S], in `dtype`."""
  scores = jnp.where(mask, scores * factor, jnp.finfo(scores.dtype).min)
  return jax.nn.softmax(scores).astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _mean_tokens(queries_BMD, tokens_BSD, mask_MS, factor):
  """Means of tokens, weighted by the softmax of `factor` * their products with queries. [B, M, D].

  Its gradient for the tokens, which are weights and values at once, is one product of [B, S, D].
  """
  return _mean_tokens_forward(queries_BMD, tokens_BSD, mask_MS, factor)[0]


def _mean_tokens_forward(queries_BMD, tokens_BSD, mask_MS, factor):
  scores_BMS = jnp.einsum(
      'BMD,BSD->BMS', queries_BMD, tokens_BSD, preferred_element_type=jnp.float32)
  weights_BMS = _softmax(scores_BMS, mask_MS, factor, tokens_BSD.dtype)
  out_BMD = jnp.einsum('BMS,BSD->BMD', weights_BMS, tokens_BSD)
  return out_BMD, (queries_BMD, tokens_BSD, weights_BMS, out_BMD)


def _mean_tokens_backward(factor, saved, gradient_BMD):
  queries_BMD, tokens_BSD, weights_BMS, out_BMD = saved
  # Of a row's weights, the mean gradient: sum_s w_s (g . x_s) = g . sum_s w_s x_s.
  mean_BM = jnp.sum(gradient_BMD.astype(jnp.float32) * out_BMD.astype(jnp.float32), axis=-1)
  weights_gradient_BMS = jnp.einsum(
      'BMD,BSD->BMS', gradient_BMD, tokens_BSD, preferred_element_type=jnp.float32)
  scores_gradient_BMS = (weights_BMS * (weights_gradient_BMS - mean_BM[..., None]) * factor).astype(
      queries_BMD.dtype)
  tokens_gradient_BSD = jnp.einsum(
      'BMS,BMD->BSD', jnp.concatenate([scores_gradient_BMS, weights_BMS], axis=1),
      jnp.concatenate([queries_BMD, gradient_BMD], axis=1))
  return jnp.einsum('BMS,BSD->BMD', scores_gradient_BMS, tokens_BSD), tokens_gradient_BSD, None


_mean_tokens.defvjp(_mean_tokens_forward, _mean_tokens_backward)


def _fill_tiles(x_BSD, mask_SS):
  """Adds tokens that no other attends, until they are whole tiles of a TPU.

  They themselves attend all alike. Nothing reads them, so they have no gradient. A mask of numpy
  stays one: computed on the device, it made the paper's update take 6 % more cycles.
  """
  num_more = -x_BSD.shape[1] % _TILE_ROWS
  pad = np.pad if isinstance(mask_SS, np.ndarray) else jnp.pad
  return (jnp.pad(x_BSD, ((0, 0), (0, num_more), (0, 0))),
          pad(mask_SS, ((0, num_more), (0, num_more))))


class Attention(nn.Module):
  """Multi-head attention of some tokens (queries) over all tokens.

  Projections are separate parameters, not one fused matrix: LAMB scales its step per tensor.
  """
  num_heads: int
  kernel_init: nn.initializers.Initializer
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, queries_BQD, tokens_BSD, mask_QS, chunk=0):
    """Attends.

    Args:
      queries_BQD: [B, Q, D]; the tokens that ask; None for all of `tokens_BSD`.
      tokens_BSD: [B, S, D]; the tokens that are asked.
      mask_QS: bool [Q, S]; a numpy array if there are chunks.
      chunk: how many queries are computed at a time, with the tokens up to the last that one of
        them may attend; 0 for all.

    Returns:
      [B, Q, D].
    """
    if queries_BQD is None:
      if self.dtype == jnp.bfloat16 and not chunk and not self.is_initializing():
        return self._attend_all(tokens_BSD, mask_QS)
      queries_BQD = tokens_BSD
    b, num_queries, d_model = queries_BQD.shape

    def heads(name, x_BSD):  # Heads first: the products below are then plain batched ones.
      x_BSD = Dense(d_model, dtype=self.dtype, kernel_init=self.kernel_init, name=name)(x_BSD)
      return x_BSD.reshape(b, -1, self.num_heads, d_model // self.num_heads).swapaxes(1, 2)

    query_BNQK = heads('query', queries_BQD)
    # Then keys and values would be most of the work.
    has_few_queries = num_queries * (self.num_heads - 1) < d_model
    if has_few_queries and not self.is_initializing():
      out_BNQK = self._attend_tokens(query_BNQK, tokens_BSD, mask_QS)
    else:
      keys_BNSK, values_BNSK = heads('key', tokens_BSD), heads('value', tokens_BSD)
      outs = []
      for first in range(0, num_queries, chunk or num_queries):
        rows = slice(first, first + (chunk or num_queries))
        end = np.flatnonzero(mask_QS[rows].any(axis=0))[-1] + 1 if chunk else None
        scores_BNQS = jnp.einsum('BNQK,BNSK->BNQS', query_BNQK[:, :, rows], keys_BNSK[:, :, :end],
                                 preferred_element_type=jnp.float32)
        weights_BNQS = _softmax(
            scores_BNQS, mask_QS[rows, :end], (d_model // self.num_heads) ** -.5, self.dtype)
        outs.append(jnp.einsum('BNQS,BNSK->BNQK', weights_BNQS, values_BNSK[:, :, :end]))
      out_BNQK = jnp.concatenate(outs, axis=2)
    return Dense(d_model, dtype=self.dtype, kernel_init=self.kernel_init, name='out')(
        out_BNQK.swapaxes(1, 2).reshape(b, -1, d_model))

  def _attend_all(self, x_BSD, mask_SS):
    """Every token attends, see `attention`."""
    params = self.variables['params']
    out_BSD = attention.self_attention(
        x_BSD, {name: param['kernel'] for name, param in params.items()},
        {name: params[name]['bias'] for name in ('query', 'key', 'value')}, mask_SS, self.num_heads)
    return (out_BSD + params['out']['bias'][None, None]).astype(self.dtype)

  def _attend_tokens(self, query_BNQK, tokens_BSD, mask_QS):
    """Attends with the tokens themselves, which takes less than keys and values of all of them.

    q . (W x + b) = (q W) . x + q . b, of which the last is the same for all x: softmax drops it.
    And the mean of values is the value of the mean.
    """
    d_model = tokens_BSD.shape[-1]
    params = jax.tree.map(lambda x: x.astype(self.dtype), self.variables['params'])
    kernel = lambda name: params[name]['kernel'].reshape(  # noqa: E731
        d_model, self.num_heads, -1)
    query_BNQD = jnp.einsum('BNQK,DNK->BNQD', query_BNQK, kernel('key'))
    b, n, q, _ = query_BNQD.shape
    mean_BNQD = _mean_tokens(
        query_BNQD.reshape(b, n * q, d_model), tokens_BSD, jnp.tile(mask_QS, (n, 1)),
        (d_model // n) ** -.5).reshape(b, n, q, d_model)
    bias_NK = params['value']['bias'].reshape(self.num_heads, -1)
    return jnp.einsum('BNQD,DNK->BNQK', mean_BNQD, kernel('value')) + bias_NK[None, :, None]


class Block(nn.Module):
  """LayerNorm, attention, residual; LayerNorm, MLP of width 4D, residual."""
  num_heads: int
  dropout: float
  kernel_init: nn.initializers.Initializer
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x_BSD, mask_SS, *, keys=None, rows=None, read=None, cache=None, position=None,
               chunk=0):
    """Returns the tokens at `read` (all if None) as [B, Q, D], and the layer's cache.

    `keys` [2] are those of the dropout; None for no dropout. `rows`: see `drop`.
    """
    def dropped(x_BQD, number):
      return x_BQD if keys is None else drop(x_BQD, keys[number], self.dropout, rows)

    normed_BSD = nn.LayerNorm(dtype=self.dtype, name='ln_1')(x_BSD)
    x_BQD, queries_BQD, mask_QS = x_BSD, normed_BSD, mask_SS
    if read is not None:
      x_BQD, queries_BQD = _select(x_BSD, read), _select(normed_BSD, read)
      mask_QS, chunk = jnp.asarray(mask_SS)[read], 0  # `read` may be known at run time only.
    elif cache is None:
      queries_BQD = None
    if cache is None:
      cache = normed_BSD
    else:
      cache = jax.lax.dynamic_update_slice_in_dim(cache, normed_BSD, position, axis=1)
    attended_BQD = Attention(self.num_heads, self.kernel_init, self.dtype, name='attention')(
        queries_BQD, cache, mask_QS, chunk)
    x_BQD += dropped(attended_BQD, 0)
    h_BQF = Dense(4 * x_BQD.shape[-1], dtype=self.dtype, kernel_init=self.kernel_init,
                  name='mlp_in')(nn.LayerNorm(dtype=self.dtype, name='ln_2')(x_BQD))
    h_BQD = Dense(x_BQD.shape[-1], dtype=self.dtype, kernel_init=self.kernel_init,
                  name='mlp_out')(jax.nn.gelu(h_BQF))
    return x_BQD + dropped(h_BQD, 1), cache


class Transformer(nn.Module):
  """GPT-2 style pre-norm stack. The mask decides what it is: DT causal, IDM all ones.

  Attributes:
    num_layers: layers; Table 3 of the paper: 6.
    num_heads: attention heads, a divisor of the model width; Table 3: 8.
    dropout: rate on the outputs of attention and MLP, as the multi-game DT (0.1); nowhere else.
    dtype: of the computation, float32 or bfloat16.
  """
  num_layers: int
  num_heads: int
  dropout: float = 0.
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x_BSD, mask_SS, *, deterministic=True, rows=None, read=None, caches=None,
               position=None, chunk=0):
    """Maps tokens to tokens.

    Args:
      x_BSD: [B, S, D] tokens; with `caches`, [B, 1, D], the token that replaces one of the S.
      mask_SS: bool [S, S]; `mask[q, k]`: q may attend k. With `caches`, [1, S]: the row of the
        replaced token. With `chunk`, a numpy array.
      deterministic: False to apply dropout (needs a 'dropout' rng).
      rows: [B] int32 numbers of the windows, for dropout; see `drop`.
      read: [Q] indices of the tokens whose outputs are wanted; None for all.
      caches: the caches that an earlier call returned.
      position: [] int32; with `caches`, the place of the replaced token.
      chunk: how many queries attend at a time, see `Attention`; 0 for all. Worth it where a mask is
        causal and long.

    Returns:
      [B, Q, D] float32 after the final LayerNorm, and a cache per layer: [B, S, D], its normed
      tokens.
    """
    chex.assert_rank([x_BSD, mask_SS], [3, 2])
    # The multi-game DT's scale: residual branches shrink as the stack grows.
    kernel_init = nn.initializers.variance_scaling(
        2. / self.num_layers, 'fan_in', 'truncated_normal')
    keys = [None] * self.num_layers
    if self.dropout and not deterministic:  # All at once: on TPUs, each takes hundreds of steps.
      keys = jax.random.split(self.make_rng('dropout'), (self.num_layers, 2))
    x_BSD, new_caches, num_tokens = x_BSD.astype(self.dtype), [], x_BSD.shape[1]
    is_filled = self.dtype == jnp.bfloat16 and caches is None and not chunk
    if is_filled:
      x_BSD, mask_SS = _fill_tiles(x_BSD, mask_SS)
    for i in range(self.num_layers):  # Unrolled: LAMB's trust ratio is per tensor.
      is_last = i == self.num_layers - 1
      if self.dtype == jnp.bfloat16:  # On the CPU, the barrier costs more than it saves.
        x_BSD = _with_one_gradient(x_BSD)
      x_BSD, cache = Block(
          self.num_heads, self.dropout, kernel_init, self.dtype, name=f'block_{i}')(
              x_BSD, mask_SS, keys=keys[i], rows=rows, read=read if is_last else None,
              cache=caches[i] if caches is not None else None, position=position, chunk=chunk)
      new_caches.append(cache[:, :num_tokens] if is_filled else cache)
    if is_filled and read is None:
      x_BSD = x_BSD[:, :num_tokens]
    return nn.LayerNorm(name='ln_f')(x_BSD), tuple(new_caches)
