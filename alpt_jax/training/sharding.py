"""Sharding of arrays: the mesh of devices, and one rule for everything on it.

The only file that names mesh axes. Rows of a batch are cut over both:

  data   holds copies of the parameters. Cutting the optimizer's moments over it as well
         (`shard_optimizer`) divides their memory and LAMB's work by its size.
  fsdp   holds shards of the parameters; 1 unless they do not fit otherwise.

The rule: a tensor is cut along its first dimension, if the axis divides it; small tensors are not
cut. Scalars, biases and norms are everywhere. (Cut along the last dimension, a kernel of [512, 512]
on eight chips leaves each with rows of 64 numbers, half of what a TPU works on at a time.)
"""

import collections

import jax
import numpy as np
from jax import sharding as jax_sharding

from alpt_jax import types

DATA, FSDP = AXES = ('data', 'fsdp')
_MIN_SIZE = 1 << 12  # Elements; below, moving a shard takes as long as moving all.


def make_mesh(*, fsdp=1, num_devices=0, devices=None):
  """Makes the mesh of a run.

  Args:
    fsdp: size of the axis of that name.
    num_devices: how many of the devices; 0 for all.
    devices: to choose from; those of all processes if None.

  Returns:
    A `jax.sharding.Mesh` with axes ('data', 'fsdp'). The devices of a process are neighbours, so
    its part of a batch is one run of rows.

  Raises:
    ValueError: if there are not as many devices, or `fsdp` does not divide them.
  """
  is_all = devices is None
  devices = sorted(jax.devices() if is_all else devices,
                   key=lambda device: (device.process_index, device.id))
  if not 0 <= num_devices <= len(devices):
    raise ValueError(f'sharding.num_devices is {num_devices}; expected at most the {len(devices)} '
                     'that are there, 0 for all.')
  devices = devices[:num_devices or None]
  counts = collections.Counter(device.process_index for device in devices)
  if is_all and len({counts[i] for i in range(jax.process_count())}) > 1:
    raise ValueError(f'sharding.num_devices is {num_devices}: the {jax.process_count()} processes '
                     f'would have {[counts[i] for i in range(jax.process_count())]} devices; '
                     'expected equally many. Use 0.')
  if fsdp < 1 or len(devices) % fsdp:
    raise ValueError(f'sharding.fsdp is {fsdp}; expected a divisor of the {len(devices)} devices.')
  return jax_sharding.Mesh(np.array(devices).reshape(-1, fsdp), AXES,
                           axis_types=(jax_sharding.AxisType.Auto,) * 2)


def replicated(mesh):
  """Returns the sharding of arrays replicated on every device."""
  return jax.NamedSharding(mesh, jax.P())


def rows(mesh):
  """Returns the sharding of arrays whose first dimension is the rows of a batch."""
  return jax.NamedSharding(mesh, jax.P(AXES))


def of_state(mesh, state, *, shard_optimizer=False):
  """Returns the shardings of a run's state.

  Args:
    mesh: from `make_mesh`.
    state: a `types.TrainState` or `types.QState` of anything with a shape.
    shard_optimizer: cut the optimizer's state over `data`, too.

  Returns:
    The same tree of shardings.
  """
  def of_part(part):
    if not isinstance(part, types.ModelState):  # A step, or parameters that no optimizer changes.
      return of_params(mesh, part)
    return types.ModelState(
        params=of_params(mesh, part.params),
        opt_state=of_params(mesh, part.opt_state, shard_optimizer=shard_optimizer))

  return jax.tree.map(of_part, state, is_leaf=lambda x: isinstance(x, types.ModelState))


def of_params(mesh, params, *, shard_optimizer=False):
  """Returns the shardings of parameters; with `shard_optimizer` those of their moments."""
  return jax.tree.map(lambda x: _of_tensor(mesh, x.shape, shard_optimizer), params)


def _of_tensor(mesh, shape, is_moment):
  fsdp, data = mesh.shape[FSDP], mesh.shape[DATA] if is_moment else 1
  if np.prod(shape) < _MIN_SIZE:
    return replicated(mesh)
  if data > 1 and shape[0] % (fsdp * data) == 0:
    return jax.NamedSharding(mesh, jax.P(AXES[::-1]))  # Within the parameter's shard.
  if fsdp > 1 and shape[0] % fsdp == 0:
    return jax.NamedSharding(mesh, jax.P(FSDP))
  return replicated(mesh)


def with_shardings(tree, shardings):
  """Gives every leaf of a tree of shapes its sharding; `shardings` may be a prefix of the tree."""
  shardings = jax.tree.broadcast(shardings, tree, is_leaf=lambda x: x is None)
  return jax.tree.map(
      lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, shardings)


def num_processes(mesh):
  """Counts the processes that the devices of a mesh belong to."""
  return len({device.process_index for device in mesh.devices.flat})


def to_devices(mesh, batches):
  """Puts a process's share of a global batch on its devices.

  Args:
    mesh: from `make_mesh`.
    batches: tree of numpy arrays [rows of this process, ...].

  Returns:
    The same tree of global `jax.Array`s, cut along their rows.
  """
  if mesh.size == 1:
    return batches  # The compiled update takes them as they are.
  if num_processes(mesh) == 1:
    return jax.device_put(batches, rows(mesh))
  return jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(rows(mesh), x), batches)


def on_one_device(tree):
  """Gathers a tree of global arrays onto this process's first device, e.g. for evaluation.

  All processes call it. Only good until the
  next update: nothing is copied that is there already, and an update takes the memory of its state.
  """
  sharded = [x for x in jax.tree.leaves(tree) if not x.is_fully_replicated]
  if sharded:
    tree = jax.jit(_same, out_shardings=replicated(sharded[0].sharding.mesh))(tree)
  device = jax.local_devices()[0]
  return jax.tree.map(lambda x: jax.device_put(x.addressable_shards[0].data, device), tree)


def _same(tree):
  return tree
