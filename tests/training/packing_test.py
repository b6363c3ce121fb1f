"""Tests that packed arrays come back as they were, wherever they lay and shall lie."""

import json

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.training import packing

LARGE = (1 << 18) + 1  # Numbers of four bytes, one more than fit into a small array.


def placed(spec):
  mesh = jax.make_mesh((8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,))
  return jax.NamedSharding(mesh, spec)


class PackingTest(parameterized.TestCase):

  def load(self, wanted, index, tree):
    """As a file would: what is selected, in the shardings that are wanted."""
    selected = packing.select(wanted, index, tree)
    loaded = {'packed': {name: tree['packed'][name] for name in selected.get('packed', {})},
              'apart': {name: jax.device_put(tree['apart'][name], leaf.sharding)
                        for name, leaf in selected.get('apart', {}).items()}}
    return packing.unpack(wanted, index, loaded)

  def test_small_arrays_lie_one_after_the_other(self):
    large = jnp.arange(LARGE)
    tree, index = packing.pack({'a': jnp.array([[1., 2.], [3., 4.]]), 'step': jnp.int32(7),
                                'large': large, 'b': jnp.array([5., 6.])})
    self.assertEqual(set(tree['packed']), {'float32', 'int32'})
    np.testing.assert_array_equal(tree['packed']['float32'], [1., 2., 3., 4., 5., 6.])
    np.testing.assert_array_equal(tree['packed']['int32'], [7])
    self.assertIs(tree['apart']['0'], large)
    self.assertEqual(json.loads(json.dumps(index)), {
        'a': {'dtype': 'float32', 'shape': [2, 2], 'packed': 0},
        'step': {'dtype': 'int32', 'shape': [], 'packed': 0},
        'large': {'dtype': 'int32', 'shape': [LARGE], 'apart': '0'},
        'b': {'dtype': 'float32', 'shape': [2], 'packed': 4}})

  def test_kinds_that_do_not_occur_are_left_out(self):
    self.assertEqual(set(packing.pack({'a': jnp.ones(3)})[0]), {'packed'})
    self.assertEqual(set(packing.pack({'a': jnp.ones(LARGE)})[0]), {'apart'})

  @parameterized.product(before=(jax.P(), jax.P('data')), after=(jax.P(), jax.P(None, 'data')))
  def test_arrays_in_pieces_come_back_in_other_pieces(self, before, after):
    arrays = {name: jax.random.normal(jax.random.key(i), (8, 16, i)).astype(dtype)
              for i, (name, dtype) in enumerate(
                  (('a', 'float32'), ('b', 'bfloat16'), ('c', 'int32'), ('d', 'float32')))}
    arrays['large'] = jnp.arange(8. * LARGE).reshape(8, -1)[:, :1 << 17]
    tree, index = packing.pack(jax.device_put(arrays, placed(before)))
    wanted = {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placed(after))
              for name, x in arrays.items()}
    loaded = self.load(wanted, index, tree)
    self.assertEqual(list(loaded), list(wanted))
    for name, x in arrays.items():
      self.assertEqual(loaded[name].dtype, x.dtype)
      self.assertEqual(loaded[name].sharding, placed(after))
      self.assertEqual(np.asarray(loaded[name]).tobytes(), np.asarray(x).tobytes())

  def test_only_what_holds_wanted_arrays_is_selected(self):
    tree, index = packing.pack({'a': jnp.ones(2), 'b': jnp.ones(2), 'c': jnp.int32(1),
                                'large': jnp.ones(LARGE), 'other': jnp.ones(LARGE)})
    wanted = {name: jnp.ones(shape) for name, shape in (('b', 2), ('other', LARGE))}
    selected = packing.select(wanted, index, tree)
    self.assertEqual({kind: list(names) for kind, names in selected.items()},
                     {'packed': ['float32'], 'apart': ['1']})

  def test_updates_in_place_leave_other_arrays_alone(self):
    everywhere = placed(jax.P())
    before = {name: jnp.full(64, i, jnp.float32) for i, name in enumerate('abc')}
    tree, index = packing.pack(before)
    wanted = {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere)
              for name, x in before.items()}
    loaded = packing.unpack(wanted, index, tree)
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    changed = add(add(loaded.pop('b')))
    for shard in changed.addressable_shards:
      np.testing.assert_array_equal(shard.data, np.full(64, 3.))
    for name, x in loaded.items():
      np.testing.assert_array_equal(x, before[name])
    np.testing.assert_array_equal(tree['packed']['float32'], np.repeat([0., 1., 2.], 64))


if __name__ == '__main__':
  absltest.main()
