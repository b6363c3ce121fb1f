"""Tests of the count of operations: by hand, and against what XLA says of the program."""

import dataclasses

import jax
import jax.numpy as jnp
from absl.testing import absltest, parameterized

from alpt_jax import action_space, types
from alpt_jax.learners import alpt
from alpt_jax.networks import decision_transformer, flops, inverse_dynamics, q_network

SPEC = types.EnvironmentSpec(
    name='test', observation_key='', observation_kind='image', observation_shape=(4, 4, 1),
    actions=action_space.numbered(3), return_low=0, return_high=1)


def networks(spec=SPEC, window=1, **sizes):
  return alpt.Networks(
      inverse_dynamics.InverseDynamicsModel(spec=spec, **sizes),
      decision_transformer.DecisionTransformer(spec=spec, num_steps=window, **sizes))


class FlopsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    # Images of 4 patches with 4 pixels each.
    self.tiny = networks(num_layers=2, num_heads=1, d_model=2, patch_size=2)

  def test_idm_by_hand(self):
    # 2 frames of 4 tokens, 1 query: 9 tokens, 1 read.
    first_layer = 9 * 12 * 2 ** 2 + 2 * 9 * 9 * 2
    last_layer = 1 * 12 * 2 ** 2 + 2 * 1 * 9 * 2  # The query attends tokens, not their keys.
    work = flops.idm(self.tiny.idm, window=1)
    self.assertEqual(work, (8 * 4 * 2, first_layer + last_layer + 2 * 3))
    self.assertEqual(work.forward, 2 * (64 + 846))
    self.assertEqual(work.training, 4 * 64 + 6 * 846)

  def test_dt_by_hand(self):
    # 4 patches and the return; the action and the reward come after the last read-out.
    first_layer = 5 * 12 * 2 ** 2 + 2 * 5 * 5 * 2
    last_layer = 2 * 12 * 2 ** 2 + 2 * 2 * 5 * 2
    heads = 2 * 2 + 2 * 3  # Two returns, three actions.
    self.assertEqual(flops.dt(self.tiny.dt), (4 * 4 * 2, first_layer + last_layer + heads))

  def test_convolutions_by_hand(self):
    spec = dataclasses.replace(SPEC, observation_shape=(20, 12, 3))
    idm, dt = networks(spec, num_layers=1, num_heads=1, d_model=2, tokenizer_kind='conv',
                       change_tokens=True)
    # 5 x 3 patches of 48 values, 2 x 1 places, 1 x 1: the second convolution is padded.
    embed = 2 * 15 * 48 * 32
    later = 2 * 9 * 32 * 64 + 1 * 4 * 64 * 64 + 64 * 2
    # One token a frame; with the query, 3 tokens, 1 read.
    body = 12 * 2 ** 2 + 2 * 3 * 2 + 2 * 3
    self.assertEqual(flops.idm(idm, window=1), (2 * embed, 2 * later + body))
    self.assertEqual(flops.dt(dt).embed, embed)

  def test_grids_without_places_by_hand(self):
    spec = dataclasses.replace(SPEC, observation_kind='grid', observation_shape=(5, 4, 3))
    sizes = dict(num_layers=1, num_heads=1, d_model=2, change_tokens=True)
    idm = inverse_dynamics.InverseDynamicsModel(spec, **sizes)
    # Cells, rows and columns, or a row and a column of each plane; and as much of changes.
    self.assertEqual(flops.idm(idm, window=1).embed, 2 * ((20 + 5 + 4) * 3 + 6) * 2)
    self.assertEqual(flops.idm(idm.clone(places=False), window=1).embed, 2 * (6 + 6) * 2)

  def test_q_network_by_hand(self):
    network = q_network.QNetwork(SPEC, num_quantiles=5, stack=2, hidden=7)
    # 4 x 4 pixels of 2 channels become 1 x 1.
    self.assertEqual(flops.q(network), (
        8 * 8 * 2 * 32, 4 * 4 * 32 * 64 + 3 * 3 * 64 * 64 + (64 + 3 * 5) * 7))

  def test_xla_counts_the_same_of_a_q_network(self):
    network = q_network.QNetwork(dataclasses.replace(SPEC, observation_shape=(84, 84, 1)))
    stacks = jnp.zeros((8, 84, 84, 4), jnp.uint8)
    params = jax.eval_shape(network.init, jax.random.key(0), stacks)
    cost = jax.jit(network.apply).lower(params, stacks).cost_analysis()
    # XLA leaves out what lies beyond the edges: up to a fifth of a layer.
    self.assertBetween(cost['flops'] / 8 / flops.q(network).forward, .9, 1.03)

  @parameterized.named_parameters(
      ('image', 'image', (16, 16, 3), dict(patch_size=8)),
      ('changes', 'image', (16, 16, 3), dict(patch_size=8, change_tokens=True)),
      ('convolutions', 'image', (84, 84, 1), dict(tokenizer_kind='conv')),
      ('convolutions_of_changes', 'image', (64, 48, 3),
       dict(tokenizer_kind='conv', change_tokens=True)),
      ('grid', 'grid', (16, 16, 3), {}),
      ('changes_of_grids', 'grid', (16, 16, 3), dict(change_tokens=True)),
      ('vector', 'vector', (2,), dict(vector_bins=32)),
      ('changes_of_vectors', 'vector', (2,), dict(change_tokens=True)))
  def test_xla_counts_the_same(self, kind, shape, tokenizer):
    spec = types.EnvironmentSpec(
        name='test', observation_key='', observation_kind=kind, observation_shape=shape,
        actions=action_space.numbered(4), return_low=0, return_high=1)
    idm, dt = networks(spec, window=5, num_layers=2, num_heads=2, d_model=256, **tokenizer)
    frames = jnp.zeros((8, 6, *shape), jnp.uint8)
    ids = jnp.zeros((8, 5), jnp.int32)
    for network, inputs, work in ((idm, (frames,), flops.idm(idm, window=5)),
                                  (dt, (frames[:, :5], ids, ids, ids), flops.dt(dt))):
      params = jax.eval_shape(network.init, jax.random.key(0), *inputs)

      def loss(params, *inputs, network=network):
        return sum(jnp.sum(x) for x in jax.tree.leaves(network.apply(params, *inputs)))

      for function, wanted in ((network.apply, work.forward), (jax.grad(loss), work.training)):
        cost = jax.jit(function).lower(params, *inputs).cost_analysis()
        # XLA counts additions, exponentials and the like as well: a few percent.
        self.assertBetween(cost['flops'] / 8 / wanted, 1., 1.03)


if __name__ == '__main__':
  absltest.main()
