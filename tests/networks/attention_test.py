"""Tests of self-attention with a gradient of its own."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from alpt_jax.networks import attention, masks

B, S, D = 3, 6, 12


def arguments(seed=0):
  """Random tokens, kernels, biases."""
  rng = np.random.default_rng(seed)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
  return (draw(B, S, D), {name: draw(D, D) / 3 for name in ('query', 'key', 'value', 'out')},
          {name: draw(D) for name in ('query', 'key', 'value')})


def by_definition(x, kernels, biases, mask, num_heads):
  """Attention of one window and one head at a time, for JAX to differentiate."""
  windows = []
  for tokens in x:
    heads = []
    for head in range(num_heads):
      columns = slice(head * D // num_heads, (head + 1) * D // num_heads)
      query, keys, values = (tokens @ kernels[name][:, columns] + biases[name][None, columns]
                             for name in ('query', 'key', 'value'))
      scores = jnp.where(mask, query @ keys.T / np.sqrt(D // num_heads), -jnp.inf)
      heads.append(jax.nn.softmax(scores, axis=1) @ values)
    windows.append(jnp.concatenate(heads, axis=1) @ kernels['out'])
  return jnp.stack(windows)


class SelfAttentionTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.all_ones = masks.all_ones(S)

  @parameterized.product(num_heads=[1, 2, 3, 4], mask=['all_ones', 'causal'])
  def test_value_and_all_gradients_are_those_of_the_definition(self, num_heads, mask):
    mask_SS = {'all_ones': masks.all_ones, 'causal': masks.causal}[mask](S)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(B, S, D)), jnp.float32)

    def loss(x, kernels, biases, attend, mask):
      return jnp.sum(weights * attend(x, kernels, biases, mask, num_heads))

    ours, our_gradients = jax.value_and_grad(loss, argnums=(0, 1, 2))(
        *arguments(), attention.self_attention, mask_SS)
    expected, gradients = jax.value_and_grad(loss, argnums=(0, 1, 2))(
        *arguments(), by_definition, mask_SS)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5),
                 our_gradients, gradients)

  def test_bias_of_the_keys_changes_nothing(self):
    x, kernels, biases = arguments()
    before = attention.self_attention(x, kernels, biases, self.all_ones, 2)
    moved = biases | {'key': biases['key'] + 5.}
    after = attention.self_attention(x, kernels, moved, self.all_ones, 2)
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)

  def test_scores_far_apart_give_no_overflow(self):
    x, kernels, biases = arguments()
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(
        attention.self_attention(x, kernels, biases, self.all_ones, 2)))(x * 1e4)
    self.assertTrue(np.isfinite(value))
    self.assertTrue(np.isfinite(gradient).all())

  def test_kernels_get_gradients_that_were_never_rounded_to_bfloat16(self):
    x, kernels, biases = arguments()
    gradients = jax.grad(lambda kernels: jnp.sum(attention.self_attention(
        x.astype(jnp.bfloat16), kernels, biases, self.all_ones, 2).astype(jnp.float32)))(kernels)
    for name, gradient in gradients.items():
      self.assertEqual(gradient.dtype, jnp.float32, name)
      self.assertTrue((gradient != gradient.astype(jnp.bfloat16)).any(), name)
