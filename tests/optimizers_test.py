"""Tests of the optimizer against a numpy version written from the LAMB paper (You et al., 2020)."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from alpt_jax import optimizers

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
