"""Tests of the transformer."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from jax.extend import core

from alpt_jax.networks import masks, transformer

B, S, D, HEADS = 2, 5, 8, 2


def make(num_layers=2, **kwargs):
  """Returns apply(x, mask, **kwargs) of a network with random parameters, and the parameters."""
  network = transformer.Transformer(num_layers, HEADS, **kwargs)
  shapes = jax.eval_shape(
      network.init, jax.random.key(0), jnp.zeros((B, S, D)), masks.all_ones(S))
  rng = np.random.default_rng(0)  # Biases and scales too: at their start they would hide errors.
  params = jax.tree.map(lambda x: rng.normal(scale=.5, size=x.shape).astype(np.float32), shapes)
  return functools.partial(network.apply, params), params


def tokens(seed=2):
  return jnp.asarray(np.random.default_rng(seed).normal(size=(B, S, D)), jnp.float32)


def numpy_forward(params, x, mask):
  """A one-layer network in float64 loops, written from the GPT-2 paper's formulas."""
  p = jax.tree.map(lambda v: np.asarray(v, np.float64), params['params'])
  block = p['block_0']

  def layer_norm(v, name, scope):
    mean, variance = v.mean(-1, keepdims=True), v.var(-1, keepdims=True)
    return (v - mean) / np.sqrt(variance + 1e-6) * scope[name]['scale'] + scope[name]['bias']

  def project(v, name):
    v = v @ block['attention'][name]['kernel'] + block['attention'][name]['bias']
    return v.reshape(-1, HEADS, D // HEADS)

  out = np.zeros_like(x, np.float64)
  for b in range(len(x)):
    v = np.asarray(x[b], np.float64)
    normed = layer_norm(v, 'ln_1', block)
    queries, keys, values = (project(normed, name) for name in ('query', 'key', 'value'))
    attended = np.zeros((S, HEADS, D // HEADS))
    for head in range(HEADS):
      for q in range(S):
        scores = {k: math.exp(queries[q, head] @ keys[k, head] / math.sqrt(D // HEADS))
                  for k in range(S) if mask[q, k]}
        total = sum(scores.values())
        attended[q, head] = sum(score / total * values[k, head] for k, score in scores.items())
    v = v + attended.reshape(S, D) @ block['attention']['out']['kernel'] + (
        block['attention']['out']['bias'])
    h = layer_norm(v, 'ln_2', block) @ block['mlp_in']['kernel'] + block['mlp_in']['bias']
    # GELU by its tanh approximation, as GPT-2.
    h = .5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + .044715 * h ** 3)))
    v = v + h @ block['mlp_out']['kernel'] + block['mlp_out']['bias']
    out[b] = layer_norm(v, 'ln_f', p)
  return out


class TransformerTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('causal', masks.causal(S)), ('all_ones', masks.all_ones(S)), ('diagonal', np.eye(S) > 0))
  def test_one_layer_agrees_with_numpy(self, mask):
    apply, params = make(num_layers=1)
    x = tokens()
    out, _ = jax.jit(apply)(x, mask)
    np.testing.assert_allclose(out, numpy_forward(params, x, mask), atol=2e-5)

  @parameterized.named_parameters(
      ('causal', masks.causal(S)), ('all_ones', masks.all_ones(S)), ('diagonal', np.eye(S) > 0))
  def test_mask_decides_what_reaches_what(self, mask):
    apply, _ = make()
    x = tokens()
    run = jax.jit(lambda x: apply(x, mask)[0])
    before = run(x)
    for k in range(S):
      after = run(x.at[:, k].add(jnp.arange(float(D))[None]))
      reached = np.any(np.asarray(before != after), axis=(0, 2))
      # These masks are transitive: two layers reach no further than one.
      np.testing.assert_array_equal(reached, mask[:, k], err_msg=f'token {k}')

  def test_windows_of_a_batch_are_independent(self):
    apply, _ = make()
    x = tokens()
    run = jax.jit(lambda x: apply(x, masks.all_ones(S))[0])
    np.testing.assert_array_equal(run(x)[0], run(x.at[1].add(1.))[0])

  @parameterized.parameters([[4]], [[1, 3]], [[3, 0]])
  def test_read_gives_these_rows_of_the_full_output(self, read):
    apply, _ = make()
    x, mask = tokens(), masks.causal(S)
    full, _ = jax.jit(apply)(x, mask)
    some, _ = jax.jit(functools.partial(apply, read=np.array(read)))(x, mask)
    np.testing.assert_allclose(some, full[:, np.array(read)], atol=1e-5)

  @parameterized.product(
      chunk=(1, 2, 3, 5, 9), mask=('causal', 'blocks', 'all_ones'), read=(None, (1, 4)))
  def test_chunks_change_nothing(self, chunk, mask, read):
    apply, _ = make()
    mask = {'causal': masks.causal(S), 'all_ones': masks.all_ones(S),
            'blocks': masks.block_causal(1, 2, return_tokens='current')}[mask]
    x, read = tokens(), read and np.array(read)
    expected, _ = jax.jit(functools.partial(apply, read=read))(x, mask)
    out, _ = jax.jit(lambda x: apply(x, mask, read=read, chunk=chunk))(x)
    np.testing.assert_allclose(out, expected, atol=1e-5)

  @parameterized.product(chunk=(1, 2, 5), read=(None, (1, 4)))
  def test_chunks_and_whole_tiles_agree_in_bfloat16(self, chunk, read):
    apply, _ = make(dtype=jnp.bfloat16)
    x, mask, read = tokens(), masks.causal(S), read and np.array(read)
    expected, caches = apply(x, mask, read=read)
    out, chunk_caches = apply(x, mask, read=read, chunk=chunk)
    for a, b in zip((out, *chunk_caches), (expected, *caches), strict=True):
      self.assertEqual(a.shape, b.shape)
      self.assertLess(jnp.linalg.norm(a - b) / jnp.linalg.norm(b), .02)

  @parameterized.parameters(0, 2, 4)
  def test_replacing_one_token_in_the_caches_equals_computing_all(self, place):
    apply, _ = make()
    # Nothing but itself sees the token: the others stay right in every layer.
    mask = masks.causal(S)
    mask[:, place] = np.arange(S) == place
    old, new = tokens(), tokens(seed=3)
    x = old.at[:, place].set(new[:, place])
    expected, expected_caches = jax.jit(apply)(x, mask)
    _, caches = jax.jit(apply)(old, mask)
    replace = jax.jit(lambda x, caches, place: apply(  # The place is traced: one program for all.
        x, jnp.asarray(mask)[place][None], caches=caches, position=place))
    out, new_caches = replace(new[:, place][:, None], caches, jnp.int32(place))
    np.testing.assert_allclose(out[:, 0], expected[:, place], atol=1e-5)
    for cache, expected_cache in zip(new_caches, expected_caches, strict=True):
      np.testing.assert_allclose(cache, expected_cache, atol=1e-5)

  def test_dropout_is_random_and_off_by_default(self):
    apply, _ = make(num_layers=1, dropout=.5)
    x, mask = tokens(), masks.all_ones(S)
    drop = jax.jit(lambda key: apply(x, mask, deterministic=False, rngs={'dropout': key})[0])
    self.assertFalse(np.array_equal(drop(jax.random.key(0)), drop(jax.random.key(1))))
    np.testing.assert_array_equal(drop(jax.random.key(0)), drop(jax.random.key(0)))
    without, _ = make(num_layers=1, dropout=0.)
    np.testing.assert_array_equal(jax.jit(apply)(x, mask)[0], jax.jit(without)(x, mask)[0])

  @parameterized.parameters((.1, 64, 52), (.5, 64, 50), (.25, 7, 49))
  def test_dropout_drops_at_its_rate_and_keeps_the_mean(self, rate, width, num_tokens):
    x = jnp.ones((40, num_tokens, width))
    dropped = np.asarray(jax.jit(transformer.drop)(x, jax.random.key(0), rate))
    is_kept = dropped != 0.
    np.testing.assert_allclose(dropped[is_kept], 1. / (1. - rate), rtol=1e-4)
    deviation = math.sqrt(rate * (1. - rate) / x.size)
    self.assertAlmostEqual(is_kept.mean(), 1. - rate, delta=5 * deviation)
    # Four tokens draw from one word, neighbours from a byte in common: a drop makes another more
    # probable by less than 1 / 256. Other tokens, and other windows, have nothing in common.
    apart = -(-num_tokens // 4)
    for distance in (1, apart, 2 * apart, 3 * apart):
      both = ~is_kept[:, distance:] & ~is_kept[:, :-distance]
      common = 0 if distance == 1 else rate / 256
      deviation = math.sqrt(rate ** 2 * (1. - rate ** 2) / both.size)  # Far ones are few.
      self.assertAlmostEqual(both.mean(), rate ** 2, delta=common + 5 * deviation)
    both = ~is_kept[1:] & ~is_kept[:-1]
    deviation = math.sqrt(rate ** 2 * (1. - rate ** 2) / both.size)
    self.assertAlmostEqual(both.mean(), rate ** 2, delta=5 * deviation)

  @parameterized.parameters(8, 6)
  def test_dropout_draws_16_bits_of_each_token(self, num_tokens):
    """At a rate of 1 / 65536 times n, exactly those draws are dropped that are below n."""
    key, rate = jax.random.key(3), .37
    dropped = transformer.drop(jnp.ones((2, num_tokens, 5)), key, rate, jnp.array([9, 4]))
    for window, number in enumerate((9, 4)):
      words = np.asarray(jax.random.bits(
          jax.random.fold_in(key, number), (1, 2, 5), jnp.uint32)).astype(np.uint64)[0]
      twice = words | words << np.uint64(32)  # Round and round.
      for token in range(num_tokens):
        draws = (twice[token % 2] >> np.uint64(8 * (token // 2))) & np.uint64(65535)
        np.testing.assert_array_equal(
            dropped[window, token] != 0, draws >= round(rate * 65536))

  def test_dropout_of_a_window_depends_on_its_number_and_not_on_other_windows(self):
    x, key = jnp.ones((6, 9, 8)), jax.random.key(0)
    together = transformer.drop(x, key, .5)
    some = transformer.drop(x[:2], key, .5, jnp.array([4, 1]))
    np.testing.assert_array_equal(some, together[np.array([4, 1])])
    self.assertFalse(np.array_equal(together[0], together[1]))

  @parameterized.parameters(.1, .5)
  def test_dropout_of_bfloat16_has_the_same_rate_and_its_own_gradient(self, rate):
    x = jnp.ones((40, 50, 64), jnp.bfloat16)
    dropped, backward = jax.vjp(
        lambda x: transformer.drop(x, jax.random.key(0), rate), x)
    is_kept = np.asarray(dropped) != 0.
    np.testing.assert_array_equal(dropped[is_kept], jnp.bfloat16(1. / (1. - rate)))
    self.assertAlmostEqual(
        is_kept.mean(), 1. - rate, delta=5 * math.sqrt(rate * (1. - rate) / x.size))
    np.testing.assert_array_equal(backward(x)[0], dropped)
    again = transformer.drop(x, jax.random.key(1), rate)
    self.assertFalse(np.array_equal(dropped, again))

  @parameterized.parameters(jnp.float32, jnp.bfloat16)
  def test_swapped_kernels_take_what_is_transposed(self, dtype):
    dense = transformer.Dense(5, dtype=dtype)
    x = jax.random.normal(jax.random.key(0), (2, 7, 2, 3)).astype(dtype)
    params = dense.init(jax.random.key(1), x.reshape(2, 7, 6))
    swapped = transformer.Dense(5, swapped=(2, 3), dtype=dtype)
    np.testing.assert_allclose(
        swapped.apply(params, x.swapaxes(2, 3).reshape(2, 7, 6)).astype(np.float32),
        dense.apply(params, x.reshape(2, 7, 6)).astype(np.float32),
        atol=1e-5 if dtype == jnp.float32 else 2e-2)

  def test_means_of_tokens_have_the_gradient_of_their_definition(self):
    """Against autodiff through attention whose keys and values are the tokens."""
    queries, x, out = (jax.random.normal(jax.random.key(i), shape)
                       for i, shape in enumerate([(2, 3, 8), (2, S, 8), (2, 3, 8)]))
    mask = np.arange(S)[None] <= np.array([1, 4, S])[:, None]

    def plain(queries, x):
      scores = jnp.where(mask[None], .4 * queries @ x.swapaxes(1, 2), -jnp.inf)
      return jnp.sum(out * (jax.nn.softmax(scores) @ x))

    def ours(queries, x):
      return jnp.sum(out * transformer._mean_tokens(queries, x, mask, .4))

    expected, result = (jax.value_and_grad(f, argnums=(0, 1))(queries, x) for f in (plain, ours))
    for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)

  def test_dropout_of_nothing_changes_nothing(self):
    x = tokens()
    np.testing.assert_array_equal(transformer.drop(x, jax.random.key(0), 0.), x)

  @parameterized.parameters(None, [[1, 3]])
  def test_bfloat16_agrees_to_its_precision(self, read):
    read = read and np.array(read)
    x, mask = tokens(), masks.causal(S)
    (exact, params), (half, half_params) = make(), make(dtype=jnp.bfloat16)
    self.assertEqual(jax.tree.map(jnp.shape, half_params), jax.tree.map(jnp.shape, params))
    expected, _ = exact(x, mask, read=read)
    out, caches = half(x, mask, read=read)
    self.assertEqual((out.dtype, caches[0].dtype), (jnp.float32, jnp.bfloat16))
    # 8 bits of mantissa, two layers.
    error = np.linalg.norm(out - expected) / np.linalg.norm(expected)
    self.assertBetween(error, 1e-5, .03)

  @parameterized.product(mask=('causal', 'all_ones'), read=(None, (2, 5, 2)))
  def test_gradients_of_bfloat16_agree_to_its_precision(self, mask, read):
    """Of 13 tokens, which whole tiles make 16."""
    x = jax.random.normal(jax.random.key(0), (3, 13, D))
    mask = {'causal': masks.causal, 'all_ones': masks.all_ones}[mask](13)
    weights = jax.random.normal(jax.random.key(1), x.shape)
    gradients = []
    for dtype in (jnp.float32, jnp.bfloat16):
      network = transformer.Transformer(2, HEADS, dtype=dtype)
      _, params = make()

      def loss(params, network=network):
        out, _ = network.apply(params, x, mask, read=read and np.array(read))
        return jnp.sum(out * weights[:, :out.shape[1]])

      self.assertEqual(
          'self_attention' in str(jax.make_jaxpr(loss)(params)), dtype == jnp.bfloat16)
      gradients.append(jax.grad(loss)(params))
    exact, half = map(jax.tree_util.tree_leaves_with_path, gradients)
    for (path, a), (_, b) in zip(exact, half, strict=True):
      name = jax.tree_util.keystr(path)
      self.assertEqual(b.dtype, jnp.float32, name)
      if "['key']['bias']" in name:  # 0, but for rounding.
        self.assertLess(max(jnp.abs(a).max(), jnp.abs(b).max()), 1e-4, name)
      else:
        self.assertLess(  # The largest, of a bias that three tokens reach, is .051.
            jnp.linalg.norm(a - b) / jnp.linalg.norm(a), .08, name)

  def test_gradients_of_bfloat16_are_not_rounded(self):
    """The sum of 257 ones; bfloat16 has 256 and 258."""
    dense = transformer.Dense(1, use_bias=False, dtype=jnp.bfloat16)
    params = {'params': {'kernel': jnp.ones((1, 1))}}
    x = jnp.ones((1, 257, 1))
    gradient = jax.grad(lambda params: jnp.sum(dense.apply(params, x).astype(jnp.float32)))(params)
    self.assertEqual(gradient['params']['kernel'].dtype, jnp.float32)
    self.assertEqual(gradient['params']['kernel'][0, 0], 257.)

  def test_bfloat16_multiplies_but_does_not_normalise(self):
    """Sums inside of products, softmax and the statistics of LayerNorm are float32."""
    network = transformer.Transformer(1, HEADS, dtype=jnp.bfloat16)
    params = jax.eval_shape(network.init, jax.random.key(0), tokens(), masks.all_ones(S))
    jaxpr = jax.make_jaxpr(network.apply)(params, tokens(), masks.all_ones(S))
    inputs = {}

    def visit(jaxpr):
      for equation in jaxpr.eqns:
        inputs.setdefault(equation.primitive.name, set()).update(
            str(v.aval.dtype) for v in equation.invars)
        for inner in core.jaxprs_in_params(equation.params):
          visit(inner)

    visit(jaxpr.jaxpr)
    self.assertEqual(inputs['dot_general'], {'bfloat16'})
    for name in ('exp', 'rsqrt', 'reduce_sum', 'reduce_max'):
      self.assertEqual(inputs[name], {'float32'}, msg=name)

  @parameterized.parameters(1, 3)
  def test_kernels_start_with_variance_2_over_layers_and_fan_in(self, num_layers):
    d = 128  # Kernels of 16384 or more entries: 5 % is over ten standard errors of their std.
    network = transformer.Transformer(num_layers, num_heads=4)
    params = jax.jit(network.init)(
        jax.random.key(0), jnp.zeros((1, 2, d)), masks.all_ones(2))['params']
    block = params[f'block_{num_layers - 1}']
    fan_ins = {'query': d, 'key': d, 'value': d, 'out': d, 'mlp_in': d, 'mlp_out': 4 * d}
    for name, fan_in in fan_ins.items():
      layer = block['attention'].get(name) or block[name]
      self.assertAlmostEqual(
          float(jnp.std(layer['kernel'])) / math.sqrt(2 / num_layers / fan_in), 1., delta=.05)
      np.testing.assert_array_equal(layer['bias'], jnp.zeros_like(layer['bias']))

  def test_has_the_paper_s_number_of_parameters(self):
    # Table 3: 6 layers of width 512. Per layer 4 (d^2 + d) + 8 d^2 + 5 d + 4 d, and the last norm.
    network = transformer.Transformer(num_layers=6, num_heads=8)
    params = jax.eval_shape(
        network.init, jax.random.key(0), jnp.zeros((1, 2, 512)), masks.all_ones(2))
    count = sum(math.prod(x.shape) for x in jax.tree.leaves(params))
    self.assertEqual(count, 6 * (12 * 512 ** 2 + 13 * 512) + 2 * 512)
