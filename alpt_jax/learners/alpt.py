"""ALPT as one update (Table 1 of the paper): train the IDM, label, train the DT.

Pure: arrays in, arrays out. What data reaches which network is decided by what the `Batches` hold;
`methods.py` says which. The IDM never sees actions, rewards or returns; the DT never trains on an
action that is neither known nor labelled by the IDM.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from alpt_jax import methods, types
from alpt_jax.learners import action_heads, losses, microbatches, pseudo_labels
from alpt_jax.networks import decision_transformer, discretize, inverse_dynamics


class Networks(NamedTuple):
  """The two modules of a run."""
  idm: inverse_dynamics.InverseDynamicsModel
  dt: decision_transformer.DecisionTransformer


def legal_actions(specs):
  """Returns bool [num environments, A]: which actions each environment knows.

  Raises:
    ValueError: if the environments declare different action spaces.
  """
  for spec in specs:
    if spec.num_actions != specs[0].num_actions:
      raise ValueError(f'{specs[0].name} declares {specs[0].num_actions} actions and {spec.name} '
                       f'{spec.num_actions}; environments trained together must declare one action '
                       'space.')
  return jnp.stack([spec.actions.mask for spec in specs])


def init_params(key, networks, *, window, with_idm=True):
  """Initialises the parameters.

  Args:
    key: PRNG key.
    networks: `Networks`.
    window: T.
    with_idm: False for methods that train no IDM.

  Returns:
    {'idm': params, 'dt': params}; the first only `with_idm`.
  """
  spec = networks.dt.spec
  observations = jnp.zeros((1, window + 1, *spec.observation_shape), spec.observation_dtype)
  ids = jnp.zeros((1, window), jnp.int32)
  actions = jnp.zeros((1, window, *spec.actions.shape), jnp.int32)
  idm_key, dt_key = jax.random.split(key)
  params = {'dt': networks.dt.init(dt_key, observations[:, :-1], ids, actions, ids)['params']}
  if with_idm:
    params['idm'] = networks.idm.init(idm_key, observations)['params']
  return params


def init(key, networks, optimizers, *, window, with_idm=True):
  """Initialises the state of a run.

  Args:
    key: PRNG key.
    networks: `Networks`.
    optimizers: a pair of `optax.GradientTransformation`, for IDM and DT.
    window: T.
    with_idm: False for methods that train no IDM.

  Returns:
    A `types.TrainState` at step 0.
  """
  params = init_params(key, networks, window=window, with_idm=with_idm)
  state = {name: types.ModelState(params[name], optimizer.init(params[name]))
           for name, optimizer in zip(('idm', 'dt'), optimizers, strict=True) if name in params}
  return types.TrainState(
      step=jnp.zeros((), jnp.int32), idm=state.get('idm'), dt=state['dt'])


def predict(idm, params, observations, legal):
  """Labels with the IDM: the most probable legal action, without dropout (decision 6).

  Args:
    idm: the `InverseDynamicsModel`.
    params: its parameters.
    observations: [B, T + 1, ...].
    legal: [B, A] or [1, A] bool; the actions the window's environment knows.

  Returns:
    [B, T] int32; no gradient flows through it.
  """
  logits = _legal_logits(idm, params, observations, legal)
  return jax.lax.stop_gradient(_head(idm).predict(logits))


def predict_with_confidence(idm, params, observations, legal):
  """Labels as `predict`, and returns how probable the IDM finds its labels.

  Args:
    idm: the `InverseDynamicsModel`.
    params: its parameters.
    observations: [B, T + 1, ...].
    legal: [B, A] or [1, A] bool; the actions the window's environment knows.

  Returns:
    [B, T] int32, the labels; [B, T] float32, their probabilities, at least 1 / (legal actions).
  """
  logits, head = _legal_logits(idm, params, observations, legal), _head(idm)
  return head.predict(logits), head.confidence(logits)


def probabilities(idm, params, observations, legal, *, is_tokenized=False):
  """Computes the IDM's distribution over actions, without dropout.

  Args:
    idm: the `InverseDynamicsModel`.
    params: its parameters.
    observations: [B, T + 1, ...].
    legal: [B, A] or [1, A] bool; the actions the window's environment knows.
    is_tokenized: see `InverseDynamicsModel`.

  Returns:
    [B, T, A] float32; of actions that are not legal, exactly 0.
  """
  logits = _legal_logits(idm, params, observations, legal, is_tokenized=is_tokenized)
  return _head(idm).probabilities(logits)


def _head(network):
  return action_heads.of(network.spec.actions)


def _legal_logits(idm, params, observations, legal, **kwargs):
  logits = idm.apply({'params': params}, observations, **kwargs)
  return _head(idm).only_legal(logits, legal[:, None])


def idm_objective(params, idm, batch, key, *, counts=None):
  """Computes eq. 4 on the labelled transitions of a batch, with dropout: loss, metrics."""
  logits = idm.apply({'params': params}, batch.observations, deterministic=False, rows=batch.row,
                     rngs={'dropout': key})
  return losses.idm_loss(
      _head(idm), logits, batch.actions, batch.is_labelled, batch.is_valid, counts)


def dt_objective(params, dt, batch, key, *, reward_weight, return_weight=1., action_weight=1.,
                 counts=None):
  """Computes eq. 3 on a batch, with dropout; unlabelled steps count for the returns only.

  Weights: see `losses.dt_loss`. Returns loss, metrics.
  """
  spec, head = dt.spec, _head(dt)
  returns = discretize.encode_return(
      batch.returns_to_go, low=spec.return_low, high=spec.return_high)
  rewards = discretize.encode_reward(batch.rewards)
  action_tokens = head.tokens(batch.actions, batch.is_labelled)
  logits = dt.apply({'params': params}, batch.observations[:, :-1], returns, action_tokens, rewards,
                    deterministic=False, rows=batch.row, rngs={'dropout': key})
  return losses.dt_loss(head, logits, returns=returns, actions=batch.actions, rewards=rewards,
                        has_action=batch.is_labelled, is_valid=batch.is_valid,
                        reward_weight=reward_weight, return_weight=return_weight,
                        action_weight=action_weight, counts=counts,
                        action_weights=batch.action_weights,
                        action_probabilities=batch.action_probabilities)


def _train(model, optimizer, objective, batches, key, *, num_microbatches, num_devices, place):
  """One optimizer step on `objective(params, batches, key) -> (loss, metrics)`.

  Gradients of the microbatches are added up; each one's loss is its part of the
  batch's. `key` is a function of the microbatch's number, None if there is one only.
  """
  gradient = jax.value_and_grad(objective, has_aux=True)
  if num_microbatches == 1:
    (_, metrics), grads = gradient(model.params, batches, key(None))
  else:
    def of_microbatch(microbatch):
      number, batches = microbatch
      (_, metrics), grads = gradient(model.params, batches, key(number))
      return metrics, place(grads)

    cut = microbatches.split(batches, num_microbatches, num_devices)
    numbered = jnp.arange(num_microbatches), cut
    shapes = jax.eval_shape(of_microbatch, jax.tree.map(lambda x: x[0], numbered))
    (metrics, grads), _ = jax.lax.scan(
        lambda sums, microbatch: (jax.tree.map(jnp.add, sums, of_microbatch(microbatch)), None),
        jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes), numbered)
  grads = place(grads)
  # Norms of parameters are added up, and parameters changed, in the optimizer's sharding, too.
  params = place(model.params)
  updates, opt_state = optimizer.update(grads, model.opt_state, params)
  metrics['grad_norm'] = optax.tree.norm(grads)
  params = place(optax.apply_updates(params, place(updates)))
  return types.ModelState(params, opt_state), metrics


def _dropout_key(key, network):
  """The key of a microbatch's dropout, given its number.

  In float32 it is one key for all, as windows fold it with their own numbers, see
  `transformer.drop`.
  """
  is_folded = network.dtype == jnp.bfloat16
  return lambda number: jax.random.fold_in(key, number) if is_folded and number is not None else key


def _number_rows(*parts):
  """Gives the windows of some `types.Batch`es, or None, numbers of their own."""
  numbered, first = [], 0
  for part in parts:
    if part is not None:
      part = part._replace(row=first + jnp.arange(len(part.actions)))
      first += len(part.actions)
    numbered.append(part)
  return tuple(numbered)


def _join(first, second):
  """Joins the rows of two `types.Batch`es, as evenly mixed as their sizes allow.

  Cut into g runs each, where g is the greatest common divisor of their sizes, and joined run by
  run: devices that hold equal runs of both then hold the result without moving a row.
  """
  num_runs = math.gcd(len(first.actions), len(second.actions))

  def join(a, b):
    a, b = (x.reshape(num_runs, -1, *x.shape[1:]) for x in (a, b))
    return jnp.concatenate([a, b], axis=1).reshape(-1, *a.shape[2:])

  return jax.tree.map(join, first, second)


def _dt_batch(head, dt, limited, idm_labels):
  """Joins the DT's windows.

  Args:
    head: of `action_heads`.
    dt: `types.Batches.dt`.
    limited: `types.Batches.limited`; one of both may be None.
    idm_labels: `pseudo_labels.Labels` for `limited`, or None to leave unlabelled what is.

  Returns:
    A `types.Batch` of all their rows; `is_labelled` includes what the IDM labelled.
  """
  if limited is not None and idm_labels is not None:
    limited = pseudo_labels.fill_in(limited, idm_labels, head)
  if dt is None or limited is None:
    return limited if dt is None else dt
  return _join(pseudo_labels.like(dt, limited, head), limited)


def make_update(networks, optimizers, specs, *, unlabelled=methods.LABEL_WITH_IDM,
                labelling=pseudo_labels.HARD, reward_weight=0., return_weight=1., action_weight=1.,
                augment=None, accumulate=1, microbatch=0, num_devices=1,
                place=lambda gradients: gradients):
  """Makes the update of Table 1.

  Args:
    networks: `Networks`.
    optimizers: a pair of `optax.GradientTransformation`, for IDM and DT.
    specs: the run's `types.EnvironmentSpec`s; `Batch.environment` indexes them.
    unlabelled: what happens to unlabelled transitions of `Batches.limited`; see `methods.Phase`.
    labelling: `pseudo_labels.Settings`, of what the IDM labels.
    reward_weight, return_weight, action_weight: of the DT's predictions in its loss.
    augment: augment(key, observations [B, T + 1, ...], rows [B]) -> the same shape, for what the
      networks train on, see `augmentation.shift`; None for none. The IDM labels what is in the
      data.
    accumulate: number of microbatches for gradient accumulation, at least. The update is that of
      whole batches, to rounding; but for dropout in bfloat16, see `transformer.drop`.
    microbatch: windows of a microbatch on each device at most, see `microbatches.count`; 0 for no
      limit.
    num_devices: which share the rows of the batches.
    place: place(gradients or parameters) -> the same, where the optimizer shall work on them.

  Returns:
    update(state, batches, key) -> (state, metrics): one step of each network that has data in the
    `types.Batches`. Labels come from the IDM as it was before this step. `key` is the run's; the
    step is folded in here. Metrics are a flat dict of scalars, 'idm/loss' and so on.
  """
  legal = legal_actions(specs)
  is_labelling = unlabelled == methods.LABEL_WITH_IDM
  # Hard labels are made with the loss, microbatch by microbatch. Others are made before it: what
  # they weigh together must be known, and what is drawn must not depend on the microbatches.
  is_hard = is_labelling and labelling.mode == 'hard'

  def num_microbatches(*parts):
    rows = [len(part.actions) for part in parts if part is not None]
    return microbatches.count(
        rows, size=microbatch, num_devices=num_devices, at_least=accumulate)

  def update_idm(model, batch, key, augment_key):
    number, (batch,) = num_microbatches(batch), _number_rows(batch)
    counts = _count(batch, None, False, _head(networks.idm), legal) if number > 1 else None
    return _train(
        model, optimizers[0], lambda params, batch, key: idm_objective(
            params, networks.idm, _changed(batch, augment, augment_key), key, counts=counts),
        batch, _dropout_key(key, networks.idm), num_microbatches=number,
        num_devices=num_devices, place=place)

  def update_dt(model, parts, idm_params, key, augment_key):
    number, parts = num_microbatches(*parts), _number_rows(*parts)
    counts = _count(*parts, is_hard, _head(networks.dt), legal) if number > 1 else None
    objective = functools.partial(
        _dt_objective_of_parts, networks=networks, idm_params=idm_params if is_hard else None,
        legal=legal, changed=lambda batch: _changed(batch, augment, augment_key),
        reward_weight=reward_weight, return_weight=return_weight, action_weight=action_weight,
        counts=counts)
    return _train(model, optimizers[1], objective, parts, _dropout_key(key, networks.dt),
                  num_microbatches=number, num_devices=num_devices, place=place)

  def update(state, batches, key):
    step_key = jax.random.fold_in(key, state.step)
    idm_key, dt_key = jax.random.split(step_key)
    # Beside the keys of the dropout, which stay what they are without augmentation.
    augment_key = functools.partial(jax.random.fold_in, jax.random.fold_in(step_key, 2))
    idm, dt, limited, metrics = state.idm, state.dt, batches.limited, {}
    if limited is not None and is_labelling and not is_hard:
      limited, metrics = _pseudo_labelled(
          networks.idm, state.idm.params, limited, legal, labelling,
          jax.random.fold_in(step_key, 3), num_microbatches(limited), num_devices)
    if batches.idm is not None:
      idm, idm_metrics = update_idm(idm, batches.idm, idm_key, augment_key(0))
      metrics |= {f'idm/{k}': v for k, v in idm_metrics.items()}
    if batches.dt is not None or limited is not None:
      dt, dt_metrics = update_dt(
          dt, (batches.dt, limited), state.idm and state.idm.params, dt_key, augment_key(1))
      metrics |= {f'dt/{k}': v for k, v in dt_metrics.items()}
    return types.TrainState(state.step + 1, idm, dt), metrics

  return update


def _changed(batch, augment, key):
  """The batch with augmented observations, if there is an augmentation."""
  if augment is None:
    return batch
  return batch._replace(observations=augment(key, batch.observations, batch.row))


def _dt_objective_of_parts(params, parts, key, *, networks, idm_params, legal, changed, **settings):
  """`dt_objective` of `Batches.dt` and `Batches.limited`, which the IDM labels if it is given."""
  (_, limited), head = parts, _head(networks.dt)
  idm_labels = None
  if limited is not None and idm_params is not None:
    own_legal = legal[limited.environment]
    idm_labels = pseudo_labels.Labels(
        predict(networks.idm, idm_params, limited.observations, own_legal),
        is_kept=_exists(head, own_legal, limited))
  batch = _dt_batch(head, *parts, idm_labels)
  return dt_objective(params, networks.dt, changed(batch), key, **settings)


def _exists(head, legal, batch):
  """Which parts of actions the environments of a batch have: [B, T, P], or None for all."""
  exists = head.exists(legal)
  return None if exists is None else jnp.broadcast_to(exists[:, None], batch.is_labelled.shape)


def _pseudo_labelled(idm, params, limited, legal, labelling, key, num_microbatches, num_devices):
  """The windows with labels of another mode than hard; metrics of these labels."""
  logits = microbatches.map_rows(
      lambda arrays: _legal_logits(idm, params, arrays[0], legal[arrays[1]]),
      (limited.observations, limited.environment), num_microbatches, num_devices)
  labels, confidence = _head(idm).pseudo_labels(logits, labelling, key)
  is_label = losses.action_mask(~limited.is_labelled, limited.is_valid)
  exists = _exists(_head(idm), legal[limited.environment], limited)
  is_label = is_label if exists is None else is_label & exists
  metrics = {'dt/label_confidence': losses.masked_mean(confidence, is_label)}
  if labels.is_kept is not None:
    metrics['dt/labels_kept'] = losses.masked_mean(labels.is_kept.astype(jnp.float32), is_label)
  return pseudo_labels.fill_in(limited, labels, _head(idm)), metrics


def _count(batch, limited, is_all_labelled, head, legal):
  """`losses.Counts` of the batches that a network trains on; either may be None.

  `is_all_labelled` says that `limited` will be, once it has hard labels.
  """
  counts = losses.Counts(0, 0, 0)
  for part, is_all in ((batch, False), (limited, is_all_labelled)):
    if part is not None:
      exists = _exists(head, legal[part.environment], part)
      if not is_all:
        mask = losses.action_mask(part.is_labelled, part.is_valid, part.action_weights)
      elif exists is None:
        mask = part.is_valid
      else:
        mask = losses.action_mask(part.is_labelled | exists, part.is_valid)
      counts = losses.Counts(counts.valid + jnp.sum(part.is_valid),
                             counts.actions + jnp.sum(mask),
                             counts.acted + jnp.sum(losses.acted_mask(mask)))
  return counts
