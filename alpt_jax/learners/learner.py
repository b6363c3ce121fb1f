"""Learners: what training needs of an algorithm; `LEARNERS` is the table of all.

A learner is a config, a phase and the environments of a run, turned into networks, an update and a
player. Nothing is computed before it is asked for. No other file of learners/ reads a config.
"""

import functools
import math

import jax.numpy as jnp

from alpt_jax import methods
from alpt_jax.learners import (
    acting,
    alpt,
    augmentation,
    cql,
    microbatches,
    optimizers,
    pseudo_labels,
)
from alpt_jax.networks import decision_transformer, flops, inverse_dynamics, q_network, tokens

COMPUTE_DTYPES = ('float32', 'bfloat16')
ACTION_ORDERS = ('independent', 'sequential')
_CQL_AT_LEAST_1 = ('batch_size', 'stack', 'num_quantiles', 'hidden', 'target_update_steps')


def make(config, phase, specs):
  """Makes the learner of a run's method.

  Args:
    config: the run's.
    phase: a `methods.Phase` of the method.
    specs: from `domains.specs`.

  Returns:
    `Learner`.
  """
  return of_method(config.method)(config, phase, specs)


def of_method(name):
  """Looks up the class of a method's learner, a key of `methods.METHODS`."""
  return LEARNERS[methods.METHODS[name].learner]


class Learner:
  """An algorithm in a run. What follows are the members that each one has.

  Attributes:
    phase: a `methods.Phase`: which data it trains on.
    agent: name of the network that acts: a field of `networks` and of the state.
    networks: NamedTuple of modules.
    frame_stack: 0 for who trains on windows of transitions; of others, that train on single
      transitions and whether an episode ended with them, the frames of an observation.
    microbatch: how many windows a core computes at a time, at least 1; 0 for all. The same on any
      machine.
  """
  agent: str
  frame_stack = 0
  microbatch = 0

  def __init__(self, config, phase, specs):
    """Reads nothing yet; for the arguments see `make`."""
    self._config, self.phase, self._specs = config, phase, specs

  @property
  def window(self):
    """T: transitions in the windows of its batches."""
    return 1 if self.frame_stack else self._config.window

  @property
  def observation_shape(self):
    """Shape of an observation in its batches."""
    *size, channels = self._specs[0].observation_shape
    return (*size, channels * self.frame_stack) if self.frame_stack else (*size, channels)

  def check(self):
    """Refuses a config that it cannot learn with; raises ValueError, naming the field."""
    raise NotImplementedError

  def parts(self):
    """Says which data goes into which part of a batch.

    Returns:
      A list of (config field of a batch size, {one of the names of data in `methods`: field of
      `types.Batches`}); the environments of all that data share the rows.
    """
    raise NotImplementedError

  def init(self, key):
    """Returns the state before the first update."""
    raise NotImplementedError

  def make_update(self, *, place, num_devices, microbatch):
    """Makes the update.

    Args:
      place: place(gradients or parameters) -> the same, where the optimizer shall work on them.
      num_devices: that share the rows of a batch.
      microbatch: windows that a device computes at a time; 0 for all.

    Returns:
      update(state, `types.Batches`, key) -> (state, flat dict of scalars).
    """
    raise NotImplementedError

  def player(self, legal, *, rule):
    """Makes what plays with the agent's parameters.

    Args:
      legal: [A] bool; actions that are legal where it plays.
      rule: one of `acting.RULES`, for agents that know them.

    Returns:
      An `acting.Player`, or an object with its members.
    """
    raise NotImplementedError

  def flops(self, rows):
    """Counts the operations of an update; the optimizers' elementwise work is left out.

    Args:
      rows: {part: windows in the global batch}; those that are missing are 0.

    Returns:
      {what: operations}.
    """
    raise NotImplementedError


class Alpt(Learner):
  """An IDM and a DT: all of Table 2."""
  agent = 'dt'

  def check(self):
    model, spec = self._config.model, self._specs[0]  # Those of the others look the same.
    names = 'idm_tokenizer', 'dt_tokenizer'
    for name in names:
      tokens.check_kind(model[name], spec, field=f'model.{name}')
    if any(model[name] == 'patch' for name in names):
      _check_patches(model.patch_size, spec)

  def parts(self):
    return [('idm_batch_size', dict.fromkeys(self.phase.idm, 'idm')),
            ('batch_size', {data: 'limited' if data == methods.TARGET else 'dt'
                            for data in self.phase.agent})]

  @functools.cached_property
  def networks(self):
    return make_networks(self._config, self._specs[0])

  @functools.cached_property
  def microbatch(self):
    return self._config.sharding.microbatch or microbatches.windows(self.networks, self.window)

  @functools.cached_property
  def _optimizers(self):
    settings = self._config.optimizer
    return tuple(
        optimizers.make_optimizer(
            learning_rate=learning_rate, warmup_steps=settings.warmup_steps,
            weight_decay=settings.weight_decay, max_grad_norm=settings.max_grad_norm,
            name=settings.name, schedule=settings.schedule, num_steps=self._config.num_steps,
            final_fraction=settings.final_fraction, tokenizer_scale=settings.tokenizer_scale)
        for learning_rate in (settings.idm_learning_rate, settings.dt_learning_rate))

  def init(self, key):
    return alpt.init(key, self.networks, self._optimizers, window=self.window,
                     with_idm=bool(self.phase.idm))

  def make_update(self, *, place, num_devices, microbatch):
    config = self._config
    return alpt.make_update(
        self.networks, self._optimizers, self._specs, unlabelled=self.phase.unlabelled,
        labelling=pseudo_labels.Settings(**config.pseudo_labels),
        reward_weight=config.reward_weight, return_weight=config.return_weight,
        action_weight=config.action_weight, augment=augmentation.make(config.augmentation),
        accumulate=config.sharding.accumulate, microbatch=microbatch, num_devices=num_devices,
        place=place)

  def player(self, legal, *, rule):
    return acting.Player(self.networks.dt, legal, rule)

  def flops(self, rows):
    idm, dt = flops.idm(self.networks.idm, self.window), flops.dt(self.networks.dt)
    is_labelling = self.phase.unlabelled == methods.LABEL_WITH_IDM
    return {'idm': rows.get('idm', 0) * idm.training,
            'labelling': rows.get('limited', 0) * idm.forward * is_labelling,
            'dt': (rows.get('dt', 0) + rows.get('limited', 0)) * dt.training}


class Cql(Learner):
  """A Q-network: the baseline of appendix C."""
  agent = 'q'

  def check(self):
    config, settings = self._config, self._config.get('cql')
    if settings is None:
      raise ValueError(f'method is {config.method!r}, which experiment {config.experiment!r} does '
                       'not have; expected another, or experiments/configs/atari.py.')
    if self._specs[0].actions.shape:
      raise ValueError(f'method is {config.method!r}, which knows one discrete action, and '
                       f'those of {self._specs[0].name} have several parts; expected another.')
    for key in _CQL_AT_LEAST_1:
      if settings[key] < 1:
        raise ValueError(f'cql.{key} is {settings[key]}; expected at least 1.')
    for key in ('kappa', 'min_q_weight', 'learning_rate', 'adam_epsilon'):
      if not (settings[key] >= 0 and math.isfinite(settings[key])):
        raise ValueError(f'cql.{key} is {settings[key]}; expected a number of at least 0.')
    for key in ('discount', 'epsilon'):
      if not 0 <= settings[key] <= 1:
        raise ValueError(f'cql.{key} is {settings[key]}; expected it in [0, 1].')
    if config.evaluation.sharpened_temperature:
      raise ValueError(f'evaluation.sharpened_temperature is '
                       f'{config.evaluation.sharpened_temperature}; method {config.method!r} takes '
                       'the best action, and has no probabilities to sharpen. Use 0.')
    if config.augmentation != 'none':
      raise ValueError(f'augmentation is {config.augmentation!r}; method {config.method!r} has '
                       'none.')
    for key, value in (('accumulate', 1), ('microbatch', 0)):
      if config.sharding[key] != value:
        raise ValueError(f'sharding.{key} is {config.sharding[key]}; method {config.method!r} '
                         f'accumulates no gradients. Use {value}.')

  @property
  def frame_stack(self):
    return self._config.cql.stack

  def parts(self):
    return [('cql.batch_size', dict.fromkeys(self.phase.agent, 'q'))]

  @functools.cached_property
  def networks(self):
    settings = self._config.cql
    return cql.Networks(q_network.QNetwork(
        self._specs[0], num_quantiles=settings.num_quantiles, stack=settings.stack,
        hidden=settings.hidden))

  @functools.cached_property
  def _optimizer(self):
    settings = self._config.cql
    return cql.make_optimizer(learning_rate=settings.learning_rate, epsilon=settings.adam_epsilon)

  def init(self, key):
    return cql.init(key, self.networks.q, self._optimizer, self.observation_shape)

  def make_update(self, *, place, num_devices, microbatch):
    del num_devices, microbatch
    settings = self._config.cql
    return cql.make_update(
        self.networks.q, self._optimizer, self._specs, cql.Settings(
            discount=settings.discount, kappa=settings.kappa, min_q_weight=settings.min_q_weight,
            target_update_steps=settings.target_update_steps), place=place)

  def player(self, legal, *, rule):
    del rule
    return cql.Player(self.networks.q, legal, self._config.cql.epsilon)

  def flops(self, rows):
    work = flops.q(self.networks.q)
    return {'q': rows['q'] * work.training, 'target': rows['q'] * work.forward}


LEARNERS = {'alpt': Alpt, 'cql': Cql}


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
          tokenizer_kind=model.dt_tokenizer, predict_rewards=config.reward_weight > 0,
          parts_in_order=_has_parts_in_order(
              model.get('action_order', 'independent'), spec), **shared))


def _has_parts_in_order(order, spec):
  """Whether the DT predicts parts of actions one after the other; ValueError for another order.

  Runs from before there was the choice have no `model.action_order`.
  """
  if order not in ACTION_ORDERS:
    raise ValueError(f'model.action_order is {order!r}; expected one of {ACTION_ORDERS}.')
  if order == 'sequential' and len(spec.actions.segments) < 2:
    raise ValueError(f'model.action_order is {order!r}, and actions of {spec.name} have one part; '
                     "expected 'independent'.")
  return order == 'sequential'


def _check_patches(size, spec):
  """Refuses patches that do not fill the pictures."""
  if spec.observation_kind == 'vector' or spec.observation_kind == 'grid' and not size:
    return
  height, width = spec.observation_shape[:2]
  divisors = [n for n in range(1, min(height, width) + 1) if not height % n and not width % n]
  if size not in divisors:
    raise ValueError(f'model.patch_size is {size}; expected one of {divisors}, which divide the '
                     f'{height} x {width} of observations of {spec.name}. Change it, or the shape '
                     'of the observations.')
