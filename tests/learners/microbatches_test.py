"""Tests of microbatches: how many there are, and that they change an update by rounding only."""

import dataclasses
import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import absltest, parameterized

from alpt_jax import action_space, types
from alpt_jax.learners import alpt, augmentation, learner, microbatches
from alpt_jax.networks import decision_transformer, inverse_dynamics
from alpt_jax.training import label_windows, program, run_config, sharding
from experiments.configs import maze

WINDOW = 3
SPEC = types.EnvironmentSpec(
    name='images', observation_key='', observation_kind='image', observation_shape=(8, 8, 1),
    actions=action_space.numbered(4), return_low=0, return_high=3)
SIZES = dict(spec=SPEC, num_layers=2, num_heads=2, d_model=8, patch_size=4, dropout=.3)
NETWORKS = alpt.Networks(inverse_dynamics.InverseDynamicsModel(**SIZES),
                         decision_transformer.DecisionTransformer(num_steps=WINDOW, **SIZES))
ROWS = types.Batches(idm=8, dt=16, limited=8)


def make_batch(num_rows, seed):
  rng = np.random.default_rng(seed)
  shape = num_rows, WINDOW
  return types.Batch(
      observations=rng.integers(0, 256, (num_rows, WINDOW + 1, 8, 8, 1), np.uint8),
      actions=rng.integers(0, 4, shape, np.int32), is_labelled=rng.random(shape) < .7,
      is_valid=rng.random(shape) < .9, rewards=np.ones(shape, np.float32),
      returns_to_go=rng.integers(0, 4, shape).astype(np.float32),
      environment=np.zeros(num_rows, np.int32))


@functools.cache
def losses_and_params(num_devices=1, with_dropout=True, **settings):
  """Metrics of three updates with dropout and shifts, and the parameters after them."""
  networks = NETWORKS if with_dropout else alpt.Networks(
      *(network.clone(dropout=0.) for network in NETWORKS))
  optimizer = optax.sgd(.1, momentum=.9)  # LAMB would scale up gradients that are rounding alone.
  batches = types.Batches(*(rows and make_batch(rows, seed) for seed, rows in enumerate(ROWS)))
  mesh = sharding.make_mesh(num_devices=num_devices)
  state = jax.device_put(
      alpt.init(jax.random.key(0), networks, (optimizer, optimizer), window=WINDOW),
      sharding.replicated(mesh))
  update = jax.jit(alpt.make_update(
      networks, (optimizer, optimizer), [SPEC], num_devices=num_devices,
      augment=functools.partial(augmentation.shift, max_shift=2), **settings))
  metrics = []
  for _ in range(3):
    state, scalars = update(state, sharding.to_devices(mesh, batches), jax.random.key(1))
    metrics.append(jax.device_get(scalars))
  return metrics, jax.device_get((state.idm.params, state.dt.params))


class UpdateTest(parameterized.TestCase):

  @parameterized.parameters(
      dict(accumulate=2), dict(accumulate=4), dict(microbatch=5), dict(microbatch=1),
      dict(num_devices=2), dict(num_devices=2, accumulate=4), dict(num_devices=4, accumulate=2),
      dict(num_devices=4, microbatch=3))
  def test_dropout_and_shifts_are_those_of_the_whole_batch(self, **settings):
    expected, expected_params = losses_and_params()
    metrics, params = losses_and_params(**settings)
    for one, other in zip(expected, metrics, strict=True):
      self.assertEqual(one.keys(), other.keys())
      for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-5, err_msg=name)
    for one, other in zip(jax.tree.leaves(expected_params), jax.tree.leaves(params), strict=True):
      # Of a whole tensor: its smallest numbers have the errors of its largest. The bias of keys,
      # which nothing depends on, stays about 0.
      error = np.linalg.norm(other - one)
      self.assertLess(error, 1e-5 * max(np.linalg.norm(one), .01))

  def test_dropout_does_something_here(self):
    (first, *_), _ = losses_and_params()
    (without, *_), _ = losses_and_params(with_dropout=False)
    for name in ('idm/loss', 'dt/loss'):
      self.assertGreater(abs(first[name] - without[name]), 1e-3)


class CountTest(parameterized.TestCase):

  @parameterized.parameters(
      ([60], 6, {}, 10), ([60], 7, {}, 10), ([60], 0, {}, 1), ([60], 60, {}, 1),
      ([7], 6, {}, 1), ([67], 64, {}, 1), ([127], 4, {}, 1),  # Not one row at a time.
      ([48, 12], 6, {}, 12), ([48, 12], 10, {}, 6), ([48, 12], 4, {}, 12),  # 15 do not divide 12.
      ([60], 6, dict(num_devices=2), 5), ([60], 0, dict(at_least=4), 4),
      ([60], 6, dict(at_least=12), 12), ([60], 20, dict(at_least=4), 4))
  def test_of_batches(self, rows, size, settings, expected):
    self.assertEqual(microbatches.count(rows, size=size, **settings), expected)

  @parameterized.parameters(
      # A frame of 84 x 84 float32 has 28,224 bytes; the IDM reads 6 frames, more than the DT.
      (dict(num_layers=1), (3 << 19) // (6 * 28_224)),
      # Attention in the first layer: 4 heads, 6 x 36 patches and 5 queries, squared.
      (dict(num_layers=2), (3 << 19) // (4 * 4 * 221 ** 2)),
      # Its MLP is wider than that: 221 tokens of 4 x 512.
      (dict(num_layers=2, num_heads=1), (3 << 19) // (4 * 221 * 4 * 128)),
      # Larger than the cache.
      (dict(num_layers=2, d_model=2048), 1))
  def test_windows_share_the_cache_by_their_largest_array(self, sizes, expected):
    spec = dataclasses.replace(SPEC, observation_shape=(84, 84, 1))
    sizes = dict(spec=spec, num_heads=4, d_model=128, patch_size=14) | sizes
    networks = alpt.Networks(inverse_dynamics.InverseDynamicsModel(**sizes),
                             decision_transformer.DecisionTransformer(num_steps=5, **sizes))
    self.assertEqual(microbatches.windows(networks, 5), expected)

  def test_accelerators_have_no_limit_by_the_cache(self):
    config = maze.get_config('desk')
    _, (spec, *_) = run_config.check_run(config)

    def of_platform(platform):
      device = mock.Mock(platform=platform)
      return program.microbatch(config, spec, mock.Mock(devices=np.array([[device]])))

    decided = microbatches.windows(learner.make_networks(config, spec), config.window)
    self.assertGreater(decided, 1)
    self.assertEqual([of_platform(name) for name in ('cpu', 'tpu', 'gpu')], [decided, 0, 0])
    config.sharding.microbatch = 7
    self.assertEqual([of_platform(name) for name in ('cpu', 'tpu', 'gpu')], [7, 0, 0])

  def test_labels_are_the_same(self):
    observations = make_batch(12, 0).observations
    params = alpt.init_params(jax.random.key(0), NETWORKS, window=WINDOW)['idm']
    mesh = sharding.make_mesh(num_devices=2)
    whole = label_windows.make_label_fn(NETWORKS.idm, SPEC, sharding.make_mesh(num_devices=1))
    labels, confidence = whole(params, observations)
    for microbatch in (1, 4):
      found = label_windows.make_label_fn(NETWORKS.idm, SPEC, mesh, microbatch=microbatch)(
          jax.device_put(params, sharding.replicated(mesh)), observations)
      np.testing.assert_array_equal(found[0], labels)
      np.testing.assert_allclose(found[1], confidence, rtol=1e-5)

  def test_function_of_single_rows_is_the_same(self):
    x = jnp.arange(24.).reshape(12, 2)
    for number in (1, 3, 4):
      for a, b in zip(microbatches.map_rows(lambda x: (2 * x, x.sum(1)), x, number),
                      (2 * x, x.sum(1)), strict=True):
        np.testing.assert_array_equal(a, b)


if __name__ == '__main__':
  absltest.main()
