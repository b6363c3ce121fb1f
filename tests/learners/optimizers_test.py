"""Tests of optimizers against numpy versions written from the papers.

LAMB: You et al. (2020). AdamW: Loshchilov and Hutter (2019). Cosine: the same (2017).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from alpt_jax.learners import optimizers

# Two vectors of one length, and one of another.
START = {'w': np.array([[1., -2.], [.5, 3.]]), 'b': np.array([.1, -.4, .2]),
         'v': np.array([2., .3, -1.]), 'c': np.array([.5, 1.])}
GRADIENTS = (  # Global norms of about 0.5, 5 and 0.02: only the second is clipped at 1.
    {'w': np.array([[.1, -.2], [.3, .2]]), 'b': np.array([.1, .2, -.1]),
     'v': np.array([.1, .0, .1]), 'c': np.array([.1, -.1])},
    {'w': np.array([[3., 1.], [-2., 1.]]), 'b': np.array([-2., 1., 2.]),
     'v': np.array([1., .0, -.5]), 'c': np.array([.5, 1.])},
    {'w': np.array([[.01, .0], [-.01, .01]]), 'b': np.array([.0, .01, .01]),
     'v': np.array([.0, .0, .01]), 'c': np.array([.01, .0])})


def numpy_lamb(gradients, *, learning_rate, warmup_steps, weight_decay, max_grad_norm):
  params = {k: v.copy() for k, v in START.items()}
  first = {k: np.zeros_like(v) for k, v in START.items()}
  second = {k: np.zeros_like(v) for k, v in START.items()}
  for t, gradient in enumerate(gradients):
    norm = np.sqrt(sum((g ** 2).sum() for g in gradient.values()))
    rate = learning_rate * min(t / warmup_steps if warmup_steps else 1., 1.)
    for k, p in params.items():
      g = gradient[k] * min(1., max_grad_norm / norm)
      first[k] = .9 * first[k] + .1 * g
      second[k] = .999 * second[k] + .001 * g ** 2
      step = first[k] / (1 - .9 ** (t + 1)) / (np.sqrt(second[k] / (1 - .999 ** (t + 1))) + 1e-6)
      step = step + weight_decay * p
      ratio = np.linalg.norm(p) / np.linalg.norm(step) if p.ndim > 1 else 1.  # Not of vectors.
      p -= rate * ratio * step
  return params


def run(gradients, *, start=START, **config):
  optimizer = optimizers.make_optimizer(**config)
  params = jax.tree.map(jnp.float32, start)
  state = optimizer.init(params)
  for gradient in gradients:
    updates, state = optimizer.update(jax.tree.map(jnp.float32, gradient), state, params)
    params = jax.tree.map(jnp.add, params, updates)
  return params


class OptimizerTest(parameterized.TestCase):

  @parameterized.product(warmup_steps=(0, 2, 10), weight_decay=(0., .05))
  def test_three_steps_agree_with_numpy(self, warmup_steps, weight_decay):
    config = dict(learning_rate=.1, warmup_steps=warmup_steps, weight_decay=weight_decay,
                  max_grad_norm=1.)
    params, expected = run(GRADIENTS, **config), numpy_lamb(GRADIENTS, **config)
    for name in START:
      np.testing.assert_allclose(params[name], expected[name], rtol=1e-5, err_msg=name)

  def test_vectors_of_one_length_share_an_array(self):
    optimizer = optimizers.make_optimizer(
        learning_rate=.1, warmup_steps=0, weight_decay=0., max_grad_norm=1.)
    state = optimizer.init({'layer': jax.tree.map(jnp.float32, START)})
    shapes = {jax.tree_util.keystr(path[-1:], simple=True): x.shape
              for path, x in jax.tree_util.tree_leaves_with_path(state) if x.ndim}
    self.assertEqual(shapes, {'layer/w': (2, 2), 'vectors_3': (2, 3), 'vectors_2': (1, 2)})

  def test_warm_up_starts_at_zero(self):
    config = dict(learning_rate=.1, warmup_steps=4, weight_decay=0., max_grad_norm=1.)
    for name, value in run(GRADIENTS[:1], **config).items():
      np.testing.assert_array_equal(value, START[name].astype(np.float32))

  def test_without_warm_up_the_first_step_has_the_full_rate(self):
    # The trust ratio makes a LAMB step as long as the rate times the tensor.
    config = dict(learning_rate=.1, warmup_steps=0, weight_decay=0., max_grad_norm=1.)
    length = np.linalg.norm(run(GRADIENTS[:1], **config)['w'] - START['w'])
    self.assertAlmostEqual(float(length / np.linalg.norm(START['w'])), .1, places=5)

  def test_every_number_of_a_vector_first_moves_by_the_rate(self):
    # Adam's first step is the gradient's sign, and the trust ratio of a vector is 1.
    config = dict(learning_rate=.1, warmup_steps=0, weight_decay=0., max_grad_norm=1.)
    params = run(GRADIENTS[:1], **config)
    for name in 'bvc':
      np.testing.assert_allclose(
          params[name] - START[name], -.1 * np.sign(GRADIENTS[0][name]), atol=1e-5)

  def test_vectors_of_zeros_grow_as_others_do(self):
    start = START | {'b': np.zeros(3)}
    config = dict(learning_rate=.01, warmup_steps=0, weight_decay=0., max_grad_norm=1.)
    params = run(GRADIENTS[:1] * 10, start=start, **config)
    np.testing.assert_allclose(params['b'], [-.1, -.1, .1], rtol=1e-4)  # 10 steps of the rate.

  def test_matrices_keep_moving_without_gradients(self):
    config = dict(learning_rate=.01, warmup_steps=0, weight_decay=0., max_grad_norm=1.)
    zeros = jax.tree.map(np.zeros_like, START)
    before, after = (run([*GRADIENTS[:1], *[zeros] * n], **config) for n in (199, 200))
    relative = np.linalg.norm(after['w'] - before['w']) / np.linalg.norm(before['w'])
    self.assertAlmostEqual(float(relative), .01, places=6)  # The whole rate, as ever.
    np.testing.assert_allclose(after['b'], before['b'], atol=1e-8)

  def test_clipping_is_by_the_global_norm(self):
    config = dict(learning_rate=.1, warmup_steps=0, weight_decay=0., max_grad_norm=1.)
    mean = GRADIENTS[0]
    large = jax.tree.map(lambda x: 1000. * x, mean)
    norm = np.sqrt(sum((x ** 2).sum() for x in mean.values()))
    unit = jax.tree.map(lambda x: x / norm, mean)
    clipped, expected = run([mean, large], **config), run([mean, unit], **config)
    for name in START:
      np.testing.assert_allclose(clipped[name], expected[name], rtol=1e-5)

  @parameterized.parameters(0., .25, 2.)
  def test_factor_of_the_tokenizer_is_on_the_rate_of_its_parameters_only(self, factor):
    config = dict(learning_rate=.1, warmup_steps=0, weight_decay=.05, max_grad_norm=1.)
    start, gradients = ({'tokenizer': {'embed': x}, 'head': x} for x in (START, GRADIENTS[0]))
    plain, scaled = (run([gradients], start=start, **config, **scale)
                     for scale in ({}, {'tokenizer_scale': factor}))
    for name, value in START.items():
      np.testing.assert_array_equal(scaled['head'][name], plain['head'][name])
      step = plain['tokenizer']['embed'][name] - value
      np.testing.assert_allclose(
          scaled['tokenizer']['embed'][name] - value, factor * step, atol=1e-6)

  def test_frozen_tokenizer_does_not_change_a_bit(self):
    start = {'tokenizer': START, 'head': START}
    params = run([{'tokenizer': x, 'head': x} for x in GRADIENTS], start=start, learning_rate=.1,
                 warmup_steps=0, weight_decay=.05, max_grad_norm=1., tokenizer_scale=0.)
    for name, value in START.items():
      np.testing.assert_array_equal(params['tokenizer'][name], value.astype(np.float32))

  @parameterized.parameters(
      (dict(name='sgd'), "name is 'sgd'; expected one of"),
      (dict(schedule='linear'), "schedule is 'linear'; expected one of"),
      (dict(schedule='cosine'), 'num_steps is None; expected more than warmup_steps 5'),
      (dict(schedule='cosine', num_steps=5), 'num_steps is 5; expected more than warmup_steps 5'),
      (dict(tokenizer_scale=.5), 'tokenizer_scale is 0.5, and no parameter'))
  def test_what_makes_no_optimizer_is_refused(self, changes, expected):
    with self.assertRaisesRegex(ValueError, expected):
      run([], learning_rate=.1, warmup_steps=5, weight_decay=0., max_grad_norm=1., **changes)


INPUTS = np.array([[1., -.5], [.25, 2.], [-1., .75], [.5, .5]])  # Four examples.
OUTPUTS = np.array([[.5, -1., 2.], [1., 0., -.5], [-1.5, .5, 0.], [0., 1., 1.]])
LINEAR = {'kernel': np.array([[.3, -.2, .5], [-.4, .1, .2]]), 'bias': np.zeros(3)}


def numpy_regression(num_updates, *, name, learning_rate, warmup_steps, weight_decay, num_steps,
                     final_fraction):
  """Fits `LINEAR` to the examples by gradients and updates written out."""
  kernel, bias = LINEAR['kernel'].copy(), LINEAR['bias'].copy()
  m_k, v_k, m_b, v_b = (np.zeros_like(x) for x in (kernel, kernel, bias, bias))
  eps = {'lamb': 1e-6, 'adamw': 1e-8}[name]
  for t in range(num_updates):
    if t < warmup_steps:
      rate = learning_rate * t / warmup_steps
    else:
      progress = (t - warmup_steps) / (num_steps - warmup_steps)
      low = final_fraction * learning_rate
      rate = low + (learning_rate - low) * (1 + math.cos(math.pi * progress)) / 2
    error = INPUTS @ kernel + bias - OUTPUTS  # Of the sum of squares over the examples, halved.
    g_k, g_b = INPUTS.T @ error, error.sum(axis=0)
    norm = math.sqrt((g_k ** 2).sum() + (g_b ** 2).sum())
    g_k, g_b = (g / max(1., norm) for g in (g_k, g_b))
    m_k, m_b = .9 * m_k + .1 * g_k, .9 * m_b + .1 * g_b
    v_k, v_b = .999 * v_k + .001 * g_k ** 2, .999 * v_b + .001 * g_b ** 2
    u_k, u_b = (m / (1 - .9 ** (t + 1)) / (np.sqrt(v / (1 - .999 ** (t + 1))) + eps)
                for m, v in ((m_k, v_k), (m_b, v_b)))
    u_k = u_k + weight_decay * kernel
    if name == 'lamb':  # Decay of all, trust ratio of the matrix.
      u_b = u_b + weight_decay * bias
      u_k = u_k * np.linalg.norm(kernel) / np.linalg.norm(u_k)
    kernel, bias = kernel - rate * u_k, bias - rate * u_b
  return {'kernel': kernel, 'bias': bias}


class RegressionTest(parameterized.TestCase):

  @parameterized.product(name=('lamb', 'adamw'), num_updates=(1, 2, 3, 6), warmup_steps=(0, 1))
  def test_updates_with_a_cosine_agree_with_numpy(self, name, num_updates, warmup_steps):
    config = dict(name=name, learning_rate=.1, warmup_steps=warmup_steps, weight_decay=.5,
                  num_steps=6, final_fraction=.2)
    optimizer = optimizers.make_optimizer(schedule='cosine', max_grad_norm=1., **config)

    def loss(params):
      error = INPUTS @ params['kernel'] + params['bias'][None] - OUTPUTS
      return .5 * jnp.sum(error ** 2)

    with jax.enable_x64(True):  # 1 - .999 has four digits in float32.
      params = jax.tree.map(jnp.float64, LINEAR)
      state = optimizer.init(params)
      for _ in range(num_updates):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = jax.tree.map(jnp.add, params, updates)
    expected = numpy_regression(num_updates, **config)
    for part in LINEAR:
      np.testing.assert_allclose(params[part], expected[part], rtol=0., atol=1e-6, err_msg=part)

  @parameterized.parameters(
      ('constant', 0, (1., 1., 1., 1., 1., 1.)), ('constant', 2, (0., .5, 1., 1., 1., 1.)),
      # Halfway of a cosine from 1 to .2 is .6; a third and two thirds of the way, .8 and .4.
      ('cosine', 0, (1., .2 + .4 * (1 + math.cos(math.pi / 4)), .6,
                     .2 + .4 * (1 - math.cos(math.pi / 4)), .2, .2)),
      ('cosine', 1, (0., 1., .8, .4, .2, .2)))
  def test_rate_of_every_update(self, schedule, warmup_steps, expected):
    # Of a gradient that is ever the same, Adam's step is the rate.
    optimizer = optimizers.make_optimizer(
        learning_rate=1., warmup_steps=warmup_steps, weight_decay=0., max_grad_norm=1.,
        name='adamw', schedule=schedule, num_steps=4, final_fraction=.2)
    params = {'b': jnp.zeros(1)}
    state, rates = optimizer.init(params), []
    for _ in expected:
      updates, state = optimizer.update({'b': jnp.full(1, .5)}, state, params)
      rates.append(-float(updates['b'][0]))
    np.testing.assert_allclose(rates, expected, atol=1e-5)

  def test_adamw_decays_matrices_and_no_vectors(self):
    zeros = jax.tree.map(np.zeros_like, START)
    params = run([zeros], name='adamw', learning_rate=.1, warmup_steps=0, weight_decay=.5,
                 max_grad_norm=1.)
    for name, value in START.items():
      np.testing.assert_allclose(params[name], value * (.95 if name == 'w' else 1.), rtol=1e-6)
