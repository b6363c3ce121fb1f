"""Self-attention with a gradient of its own, laid out for TPUs.

The function is that of `transformer.Attention` where every token asks all tokens; its parameters
are the same. What differs is how the gradient is computed, by what the TPU's compiler expects
(launch/PREFLIGHT.md has the figures):

* The gradients of queries, keys and values go back to the tokens in one product instead of three
  whose results are added.
* The mean gradient of a row's weights is that of the output times the output, and is added up while
  the output's gradient is computed, instead of while the weights' is, which are many more.
* A bias of the keys moves all scores of a query alike, which softmax ignores: its gradient is 0.
  And weights of a query add up to 1, so that of the values' bias needs no array of its own.
"""

import functools

import jax
import jax.numpy as jnp


def _heads(x_BSD, num_heads):
  """[B, S, N * K] -> [B, N, S, K]."""
  return x_BSD.reshape(*x_BSD.shape[:2], num_heads, -1).swapaxes(1, 2)


def _join_heads(x_BNSK):
  """[B, N, S, K] -> [B, S, N * K]."""
  return x_BNSK.swapaxes(1, 2).reshape(x_BNSK.shape[0], x_BNSK.shape[2], -1)


def _factor(x_BSD, num_heads):
  """What scores are multiplied by: one over the root of the width of a head."""
  return (x_BSD.shape[-1] // num_heads) ** -.5


def _product(equation, a, b):
  """`einsum` whose sums and result are float32."""
  return jnp.einsum(equation, a, b, preferred_element_type=jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def self_attention(x_BSD, kernels, biases, mask_SS, num_heads):
  """Computes self-attention.

  Args:
    x_BSD: [B, S, D] tokens, float32 or bfloat16, as the computation.
    kernels: {'query': .., 'key': .., 'value': .., 'out': ..}, each [D, D] float32.
    biases: {'query': .., 'key': .., 'value': ..}, each [D] float32. That of the output is left to
      the caller.
    mask_SS: bool [S, S]; `mask[q, k]`: q may attend k. A query that may attend nothing attends all
      alike, and must have no gradient.
    num_heads: N, a divisor of D.

  Returns:
    [B, S, D], of the type of the tokens.
  """
  return _forward(x_BSD, kernels, biases, mask_SS, num_heads)[0]


def _forward(x_BSD, kernels, biases, mask_SS, num_heads):
  dtype = x_BSD.dtype
  kernels = {name: kernel.astype(dtype) for name, kernel in kernels.items()}
  factor = _factor(x_BSD, num_heads)  # On the queries, which are fewer than the scores.
  query_BNSK, keys_BNSK, values_BNSK = (
      _heads(((x_BSD @ kernels[name] + biases[name][None, None]) * by).astype(dtype), num_heads)
      for name, by in (('query', factor), ('key', 1.), ('value', 1.)))
  # Keys before queries, as the compiler lays them out: sums over keys then are sums of rows.
  scores_BNSQ = _product('BNQK,BNSK->BNSQ', query_BNSK, keys_BNSK)
  scores_BNSQ = jnp.where(
      jnp.asarray(mask_SS).T, scores_BNSQ, jnp.finfo(scores_BNSQ.dtype).min)
  # Softmax, but what its gradient needs is kept before the division.
  exps_BNSQ = jnp.exp(scores_BNSQ - jnp.max(scores_BNSQ, axis=2, keepdims=True))
  sums_BNQ = jnp.sum(exps_BNSQ, axis=2)
  weights_BNSQ = (exps_BNSQ / sums_BNQ[:, :, None]).astype(dtype)
  mean_BNQK = jnp.einsum('BNSQ,BNSK->BNQK', weights_BNSQ, values_BNSK)
  saved = x_BSD, kernels, query_BNSK, keys_BNSK, values_BNSK, exps_BNSQ, sums_BNQ, mean_BNQK
  return _join_heads(mean_BNQK) @ kernels['out'], saved


def _backward(num_heads, saved, gradient_BSD):
  x_BSD, kernels, query_BNSK, keys_BNSK, values_BNSK, exps_BNSQ, sums_BNQ, mean_BNQK = saved
  dtype, d_model = x_BSD.dtype, x_BSD.shape[-1]
  mean_gradient_BNQK = jnp.einsum(
      'BQF,NKF->BNQK', gradient_BSD, kernels['out'].reshape(num_heads, -1, d_model))
  row_gradient_BNQ = jnp.sum(
      mean_gradient_BNQK.astype(jnp.float32) * mean_BNQK.astype(jnp.float32), axis=-1)
  weights_gradient_BNSQ = _product('BNQK,BNSK->BNSQ', mean_gradient_BNQK, values_BNSK)
  weights_BNSQ = exps_BNSQ / sums_BNQ[:, :, None]
  scores_gradient_BNSQ = (
      weights_BNSQ * (weights_gradient_BNSQ - row_gradient_BNQ[:, :, None])).astype(dtype)
  query_gradient_BNQK = _product('BNSQ,BNSK->BNQK', scores_gradient_BNSQ, keys_BNSK) * _factor(
      x_BSD, num_heads)
  gradients_BSD = {
      'query': _join_heads(query_gradient_BNQK.astype(dtype)),
      'key': _join_heads(jnp.einsum('BNSQ,BNQK->BNSK', scores_gradient_BNSQ, query_BNSK)),
      'value': _join_heads(
          jnp.einsum('BNSQ,BNQK->BNSK', weights_BNSQ.astype(dtype), mean_gradient_BNQK))}

  x_gradient_BSD = (
      jnp.concatenate(list(gradients_BSD.values()), axis=-1)
      @ jnp.concatenate([kernels[name].T for name in gradients_BSD]))
  kernel_gradients = {
      name: _product('BSD,BSF->DF', x_BSD, gradient) for name, gradient in gradients_BSD.items()}
  kernel_gradients['out'] = _product('BSD,BSF->DF', _join_heads(mean_BNQK), gradient_BSD)
  bias_gradients = {
      'query': jnp.sum(gradients_BSD['query'].astype(jnp.float32), axis=(0, 1)),
      'key': jnp.zeros(d_model),
      'value': jnp.matmul(jnp.sum(gradient_BSD.astype(jnp.float32), axis=(0, 1)),
                          kernels['out'].T.astype(jnp.float32),
                          precision=jax.lax.Precision.HIGHEST)}
  return x_gradient_BSD, kernel_gradients, bias_gradients, None


self_attention.defvjp(_forward, _backward)
