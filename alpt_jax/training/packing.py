"""Packs small arrays into a few large ones, for fewer files in a checkpoint.

Orbax takes about a millisecond of Python for every array that it saves, whatever its size, and a
state has hundreds of a few kilobytes.
"""

import math

import jax
import numpy as np

_SMALL_BYTES = 1 << 20  # Of larger arrays, copying takes longer than Orbax's Python.


def pack(leaves):
  """Copies the small ones of some arrays together, on the host.

  Small ones that are sharded over several processes stay what they are, as large ones do.

  Args:
    leaves: {name: `jax.Array`}.

  Returns:
    A tree to save, {'packed': {dtype: [N] numpy}, 'apart': {number: `jax.Array`}}; and its index,
    {name: {'dtype', 'shape', and 'packed': offset in the array of that dtype, or 'apart': number}},
    in JSON's types. Both are the same in all processes.
  """
  is_small = {name: leaf.nbytes <= _SMALL_BYTES and (
      leaf.is_fully_addressable or leaf.is_fully_replicated) for name, leaf in leaves.items()}
  small = jax.device_get({name: leaf for name, leaf in leaves.items() if is_small[name]})
  packed, apart, sizes, index = {}, {}, {}, {}
  for name, leaf in leaves.items():
    dtype = np.dtype(leaf.dtype).name
    index[name] = {'dtype': dtype, 'shape': list(leaf.shape)}
    if is_small[name]:
      index[name]['packed'] = sizes.get(dtype, 0)
      sizes[dtype] = sizes.get(dtype, 0) + leaf.size
      packed.setdefault(dtype, []).append(small[name].ravel())
    else:
      index[name]['apart'] = str(len(apart))
      apart[index[name]['apart']] = leaf
  tree = {'packed': {dtype: np.concatenate(parts) for dtype, parts in packed.items()},
          'apart': apart}
  return {kind: arrays for kind, arrays in tree.items() if arrays}, index


def abstract(index):
  """Returns {name: `jax.ShapeDtypeStruct`} of an index."""
  return {name: jax.ShapeDtypeStruct(tuple(entry['shape']), np.dtype(entry['dtype']))
          for name, entry in index.items()}


def select(wanted, index, saved):
  """Says what to load.

  Args:
    wanted: {name: `jax.ShapeDtypeStruct` with a sharding}, of names in the index.
    index: from `pack`.
    saved: a tree like that of `pack`, of what describes its arrays.

  Returns:
    Such a tree, of what holds `wanted`: descriptions as in `saved` of packed arrays, those of
    `wanted` for others.
  """
  tree = {}
  for name, leaf in wanted.items():
    entry = index[name]
    if 'packed' in entry:
      tree.setdefault('packed', {})[entry['dtype']] = saved['packed'][entry['dtype']]
    else:
      tree.setdefault('apart', {})[entry['apart']] = leaf
  return tree


def unpack(wanted, index, tree):
  """Returns {name: `jax.Array`}, given what was loaded for `select`."""
  def leaf_of(name, leaf):
    entry = index[name]
    if 'apart' in entry:
      return tree['apart'][entry['apart']]
    values = tree['packed'][entry['dtype']][entry['packed']:][:math.prod(leaf.shape)]
    values = values.reshape(leaf.shape)
    return jax.make_array_from_callback(  # An update may write where its state was.
        leaf.shape, leaf.sharding, lambda index: np.array(values[index]))

  return {name: leaf_of(name, leaf) for name, leaf in wanted.items()}
