"""What a run computes on its devices: the networks of a config, and the compiled update.

The same for one core and for a pod: where arrays lie is decided by a mesh, see `sharding`. Nothing
here reads data, so a program can be compiled for devices that are not there (launch/preflight.py).
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from alpt_jax import types
from alpt_jax.learners import alpt, augmentation, cql, microbatches, optimizers, pseudo_labels
from alpt_jax.networks import decision_transformer, inverse_dynamics, q_network
from alpt_jax.training import sharding, shares

COMPUTE_DTYPES = ('float32', 'bfloat16')


class Program(NamedTuple):
  """The compiled functions of a run.

  Attributes:
    networks: `alpt.Networks`, or `cql.Networks`.
    state: a `types.TrainState`, or `types.QState`, of `jax.ShapeDtypeStruct`s with shardings, to
      restore into.
    init: init(key) -> state.
    update: update(state, batches, key) -> (state, metrics), see `alpt.make_update` or
      `cql.make_update`; the state is donated.
  """
  networks: alpt.Networks | cql.Networks
  state: types.TrainState | types.QState
  init: Any
  update: Any


def network_params(state):
  """The parameters that a run is about: {'idm': .., 'dt': ..}, {'dt': ..} or {'q': ..}."""
  parts = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
  return {name: part.params for name, part in parts.items() if isinstance(part, types.ModelState)}


def make_networks(config, spec):
  """Makes the modules of a run of IDM and DT.

  Args:
    config: with `model` and `window`.
    spec: a `types.EnvironmentSpec` of the run.

  Returns:
    `alpt.Networks`.
  """
  model = config.model
  if model.d_model % model.num_heads:
    raise ValueError(f'model.d_model is {model.d_model}; expected a multiple of model.num_heads '
                     f'{model.num_heads}.')
  if model.compute_dtype not in COMPUTE_DTYPES:
    raise ValueError(f'model.compute_dtype is {model.compute_dtype!r}; expected one of '
                     f'{COMPUTE_DTYPES}.')
  shared = dict(spec=spec, num_layers=model.num_layers, num_heads=model.num_heads,
                d_model=model.d_model, patch_size=model.patch_size,
                vector_bins=model.vector_bins, change_tokens=model.change_tokens,
                dtype=jnp.dtype(model.compute_dtype))
  return alpt.Networks(
      idm=inverse_dynamics.InverseDynamicsModel(
          dropout=model.idm_dropout, tokenizer_kind=model.idm_tokenizer,
          is_causal=model.idm_is_causal, places=model.idm_places, **shared),
      dt=decision_transformer.DecisionTransformer(
          num_steps=config.window, return_tokens=model.return_tokens, dropout=model.dt_dropout,
          tokenizer_kind=model.dt_tokenizer, predict_rewards=config.reward_weight > 0, **shared))


def microbatch(config, spec, mesh):
  """Decides how many windows a device of a mesh computes at a time.

  Args:
    config: the run's.
    spec: a `types.EnvironmentSpec` of the run.
    mesh: from `sharding.make_mesh`.

  Returns:
    On CPUs `sharding.microbatch`, or what `microbatches.windows` says if that is 0. On accelerators
    0: no limit, unless `sharding.accumulate` sets one.
  """
  if mesh.devices.flat[0].platform != 'cpu':
    return 0
  return config.sharding.microbatch or fitting_microbatch(config, spec)


def fitting_microbatch(config, spec):
  """Windows of a microbatch that fit the cache, on any machine; see `microbatches.windows`."""
  return microbatches.windows(make_networks(config, spec), config.window)


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

  make = _cql if phase.q else _alpt
  networks, init, update = make(config, phase, specs, mesh, place)
  state = jax.eval_shape(init, jax.random.key(0))
  shardings = sharding.of_state(mesh, state, shard_optimizer=is_cut)
  everywhere = sharding.replicated(mesh)
  return Program(
      networks=networks,
      state=sharding.with_shardings(state, shardings),
      init=jax.jit(init, out_shardings=shardings),
      update=jax.jit(
          update, donate_argnums=0, in_shardings=(shardings, sharding.rows(mesh), everywhere),
          out_shardings=(shardings, everywhere), compiler_options=_compiler_options(mesh)))


def _alpt(config, phase, specs, mesh, place):
  """Returns networks, init and update of a run that trains IDM and DT."""
  networks = make_networks(config, specs[0])
  settings = config.optimizer
  both_optimizers = tuple(
      optimizers.make_optimizer(
          learning_rate=learning_rate, warmup_steps=settings.warmup_steps,
          weight_decay=settings.weight_decay, max_grad_norm=settings.max_grad_norm,
          name=settings.name, schedule=settings.schedule, num_steps=config.num_steps,
          final_fraction=settings.final_fraction, tokenizer_scale=settings.tokenizer_scale)
      for learning_rate in (settings.idm_learning_rate, settings.dt_learning_rate))

  def init(key):
    return alpt.init(key, networks, both_optimizers, window=config.window,
                     with_idm=bool(phase.idm))

  return networks, init, alpt.make_update(
      networks, both_optimizers, specs, unlabelled=phase.unlabelled,
      labelling=pseudo_labels.Settings(**config.pseudo_labels),
      reward_weight=config.reward_weight, return_weight=config.return_weight,
      action_weight=config.action_weight, augment=augmentation.make(config.augmentation),
      accumulate=config.sharding.accumulate, microbatch=microbatch(config, specs[0], mesh),
      num_devices=mesh.size, place=place)


def _cql(config, phase, specs, mesh, place):
  """Returns networks, init and update of a run that trains a Q-network."""
  del phase, mesh
  settings = config.cql
  network = q_network.QNetwork(
      specs[0], num_quantiles=settings.num_quantiles, stack=settings.stack, hidden=settings.hidden)
  optimizer = cql.make_optimizer(
      learning_rate=settings.learning_rate, epsilon=settings.adam_epsilon)
  init = functools.partial(cql.init, network=network, optimizer=optimizer,
                           observation_shape=_observation_shape(config, specs[0], 'q'))
  return cql.Networks(network), init, cql.make_update(
      network, optimizer, specs, cql.Settings(
          discount=settings.discount, kappa=settings.kappa, min_q_weight=settings.min_q_weight,
          target_update_steps=settings.target_update_steps), place=place)


def _compiler_options(mesh):
  """Options of XLA that make the update faster.

  On the CPU, without the concurrency-optimized schedule: with two layers, an update on one core
  took 93 ms instead of 120. On TPUs, gradients that the devices share out are not computed piece by
  piece: of a matrix of 512 columns, a piece for one of eight devices fills half a matrix unit.

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


def _observation_shape(config, spec, part):
  """Shape of an observation in a part of the batches; Q-learning's are stacks of frames."""
  *size, channels = spec.observation_shape
  return (*size, channels * config.cql.stack) if part == 'q' else spec.observation_shape


def abstract_batches(config, phase, specs, mesh):
  """Shapes and shardings of the `types.Batches` of an update, without data."""
  window, spec = shares.window_of(config, phase), specs[0]
  dtype = np.float32 if spec.observation_kind == 'vector' else np.uint8
  shard = functools.partial(jax.ShapeDtypeStruct, sharding=sharding.rows(mesh))

  def batch(part, b):
    return types.Batch(
        observations=shard((b, window + 1, *_observation_shape(config, spec, part)), dtype),
        actions=shard((b, window), np.int32), is_labelled=shard((b, window), bool),
        is_valid=shard((b, window), bool), rewards=shard((b, window), np.float32),
        returns_to_go=shard((b, window), np.float32), environment=shard((b,), np.int32),
        is_terminal=shard((b, window), bool) if part == 'q' else None)

  rows = shares.part_rows(config, phase, specs)
  return types.Batches(*(batch(part, rows[part]) if part in rows else None
                         for part in types.Batches._fields))
