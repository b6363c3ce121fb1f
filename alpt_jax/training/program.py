"""Builds the jitted update of a run's learner: state and update, with their shardings.

The same for one core and for a pod: where arrays lie is decided by a mesh, see `sharding`. Nothing
here reads data, so a program can be compiled for devices that are not there (launch/preflight.py).
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from alpt_jax import types
from alpt_jax.learners import learner
from alpt_jax.training import sharding, shares


class Program(NamedTuple):
  """The compiled functions of a run.

  Attributes:
    learner: the `learner.Learner`.
    state: a `types.TrainState`, or `types.QState`, of `jax.ShapeDtypeStruct`s with shardings, to
      restore into.
    init: init(key) -> state.
    update: see `learner.Learner.make_update`; the state is donated.
  """
  learner: learner.Learner
  state: types.TrainState | types.QState
  init: Any
  update: Any

  @property
  def networks(self):
    """NamedTuple of the learner's modules."""
    return self.learner.networks


def network_params(state):
  """Returns the parameters that acting and labelling need: {'idm', 'dt'}, {'dt'} or {'q'}."""
  parts = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
  return {name: part.params for name, part in parts.items() if isinstance(part, types.ModelState)}


def microbatch(config, spec, mesh):
  """Decides how many windows a device of a mesh computes at a time.

  Args:
    config: the run's.
    spec: a `types.EnvironmentSpec` of the run.
    mesh: from `sharding.make_mesh`.

  Returns:
    On CPUs `sharding.microbatch`, or the `Learner.microbatch` if that is 0. On accelerators
    0: no limit, unless `sharding.accumulate` sets one.
  """
  return learner.Alpt(config, None, [spec]).microbatch if _is_cpu(mesh) else 0


def _is_cpu(mesh):
  return mesh.devices.flat[0].platform == 'cpu'


def make_program(config, phase, specs, mesh):
  """Makes the program of a run; compiles nothing yet.

  Args:
    config: the run's.
    phase: a `methods.Phase`; decides which program it is.
    specs: from `domains.specs`.
    mesh: from `sharding.make_mesh`, of devices of one kind, which need not be there.

  Returns:
    `Program`.
  """
  is_cut = config.sharding.optimizer

  def place(gradients):
    if mesh.size == 1:
      return gradients
    return jax.lax.with_sharding_constraint(
        gradients, sharding.of_params(mesh, gradients, shard_optimizer=is_cut))

  made = learner.make(config, phase, specs)
  update = made.make_update(place=place, num_devices=mesh.size,
                            microbatch=made.microbatch if _is_cpu(mesh) else 0)
  state = jax.eval_shape(made.init, jax.random.key(0))
  shardings = sharding.of_state(mesh, state, shard_optimizer=is_cut)
  everywhere = sharding.replicated(mesh)
  return Program(
      learner=made,
      state=sharding.with_shardings(state, shardings),
      init=jax.jit(made.init, out_shardings=shardings),
      update=jax.jit(
          update, donate_argnums=0, in_shardings=(shardings, sharding.rows(mesh), everywhere),
          out_shardings=(shardings, everywhere), compiler_options=_compiler_options(mesh)))


def _compiler_options(mesh):
  """Options of XLA that make the update faster.

  On the CPU, without the concurrency-optimized schedule: with two layers, an update on one core
  took 93 ms instead of 120. On TPUs, gradients that the devices share out are not computed shard by
  shard: of a matrix of 512 columns, the shard of one of eight devices fills half a matrix unit.

  None changes a result but the last: on TPUs each device draws the random bits of its own rows,
  instead of all bits, so that dropout in bfloat16 is another one on another number of devices.
  """
  platform = mesh.devices.flat[0].platform
  if platform == 'cpu':
    return {'xla_cpu_enable_concurrency_optimized_scheduler': False}
  if platform == 'tpu':
    return {'xla_tpu_enable_windowed_einsum_for_reduce_scatter': False,
            'xla_tpu_spmd_rng_bit_generator_unsafe': True}
  return {}


def abstract_batches(config, phase, specs, mesh):
  """Returns shapes and shardings of the `types.Batches` of an update, without data."""
  spec, made = specs[0], learner.make(config, phase, specs)
  window = made.window
  shard = functools.partial(jax.ShapeDtypeStruct, sharding=sharding.rows(mesh))

  def batch(b):
    return types.Batch(
        observations=shard((b, window + 1, *made.observation_shape), spec.observation_dtype),
        actions=shard((b, window, *spec.actions.shape), np.int32),
        is_labelled=shard((b, window), bool),
        is_valid=shard((b, window), bool), rewards=shard((b, window), np.float32),
        returns_to_go=shard((b, window), np.float32), environment=shard((b,), np.int32),
        is_terminal=shard((b, window), bool) if made.frame_stack else None)

  rows = shares.part_rows(config, phase, specs)
  return types.Batches(*(batch(rows[part]) if part in rows else None
                         for part in types.Batches._fields))
