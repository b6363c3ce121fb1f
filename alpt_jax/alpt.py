"""ALPT as one update (Table 1 of the paper): train the IDM, label, train the DT.

Pure: arrays in, arrays out. What data reaches which network is decided by what the `Batches` hold;
`methods.py` says which. The IDM never sees actions, rewards or returns; the DT never trains on an
action that is neither known nor labelled by the IDM.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from alpt_jax import discretize, losses, methods, types
from alpt_jax.networks import models


class Networks(NamedTuple):
  """The two modules of a run."""
  idm: models.InverseDynamicsModel
  dt: models.DecisionTransformer


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
  actions = jnp.arange(specs[0].num_actions)
  return jnp.stack([jnp.isin(actions, jnp.asarray(spec.legal_actions)) for spec in specs])


def init_params(key, networks, *, window, with_idm=True):
  """Initial parameters.

  Args:
    key: PRNG key.
    networks: `Networks`.
    window: T.
    with_idm: False for methods that train no IDM.

  Returns:
    {'idm': params, 'dt': params}; the first only `with_idm`.
  """
  spec = networks.dt.spec
  dtype = jnp.float32 if spec.observation_kind == 'vector' else jnp.uint8
  observations = jnp.zeros((1, window + 1, *spec.observation_shape), dtype)
  ids = jnp.zeros((1, window), jnp.int32)
  idm_key, dt_key = jax.random.split(key)
  params = {'dt': networks.dt.init(dt_key, observations[:, :-1], ids, ids, ids)['params']}
  if with_idm:
    params['idm'] = networks.idm.init(idm_key, observations)['params']
  return params


def init(key, networks, optimizers, *, window, with_idm=True):
  """Initial state of a run.

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
  """The IDM's labels: the most probable legal action, in eval mode (decision 6).

  Args:
    idm: the `InverseDynamicsModel`.
    params: its parameters.
    observations: [B, T + 1, ...].
    legal: [B, A] or [1, A] bool; the actions the window's environment knows.

  Returns:
    [B, T] int32; no gradient flows through it.
  """
  logits = idm.apply({'params': params}, observations)
  logits = jnp.where(legal[:, None], logits, -jnp.inf)
  return jax.lax.stop_gradient(jnp.argmax(logits, axis=-1).astype(jnp.int32))


def idm_objective(params, idm, batch, key):
  """Eq. 4 on the labelled transitions of a batch, with dropout. Returns loss, metrics."""
  logits = idm.apply({'params': params}, batch.observations, deterministic=False,
                     rngs={'dropout': key})
  return losses.idm_loss(logits, batch.actions, batch.is_labelled, batch.is_valid)


def dt_objective(params, dt, batch, key, *, reward_weight):
  """Eq. 3 on a batch, with dropout; unlabelled steps count for the returns only.

  Returns loss, metrics.
  """
  spec = dt.spec
  returns = discretize.encode_return(
      batch.returns_to_go, low=spec.return_low, high=spec.return_high)
  rewards = discretize.encode_reward(batch.rewards)
  action_tokens = jnp.where(batch.is_labelled, batch.actions, spec.num_actions)
  logits = dt.apply({'params': params}, batch.observations[:, :-1], returns, action_tokens, rewards,
                    deterministic=False, rngs={'dropout': key})
  return losses.dt_loss(logits, returns=returns, actions=batch.actions, rewards=rewards,
                        has_action=batch.is_labelled, is_valid=batch.is_valid,
                        reward_weight=reward_weight)


def _train(model, optimizer, objective):
  """One optimizer step on `objective(params) -> (loss, metrics)`."""
  (_, metrics), grads = jax.value_and_grad(objective, has_aux=True)(model.params)
  updates, opt_state = optimizer.update(grads, model.opt_state, model.params)
  metrics['grad_norm'] = optax.tree.norm(grads)
  return types.ModelState(optax.apply_updates(model.params, updates), opt_state), metrics


def _dt_batch(batches, idm_labels):
  """Joins the DT's windows.

  Args:
    batches: `types.Batches`, `dt` and `limited` not both None.
    idm_labels: [B, T] int32 for `batches.limited`, or None to leave unlabelled what is.

  Returns:
    A `types.Batch` of all their rows; `is_labelled` includes what the IDM labelled.
  """
  parts = [] if batches.dt is None else [batches.dt]
  if batches.limited is not None:
    limited = batches.limited
    if idm_labels is not None:  # True labels are never overwritten.
      actions = jnp.where(limited.is_labelled, limited.actions, idm_labels)
      limited = limited._replace(actions=actions, is_labelled=jnp.ones_like(limited.is_labelled))
    parts.append(limited)
  return jax.tree.map(lambda *xs: jnp.concatenate(xs), *parts)


def make_update(networks, optimizers, specs, *, unlabelled=methods.LABEL_WITH_IDM,
                reward_weight=0., augment=None):
  """Makes the update of Table 1.

  Args:
    networks: `Networks`.
    optimizers: a pair of `optax.GradientTransformation`, for IDM and DT.
    specs: the run's `types.EnvironmentSpec`s; `Batch.environment` indexes them.
    unlabelled: what happens to unlabelled transitions of `Batches.limited`; see `methods.Phase`.
    reward_weight: weight of the DT's reward prediction.
    augment: augment(key, observations [B, T + 1, ...]) -> the same shape, for what the networks
      train on; None for none. The IDM labels what is in the data.

  Returns:
    update(state, batches, key) -> (state, metrics): one step of each network that has data in the
    `types.Batches`. Labels come from the IDM as it was before this step. `key` is the run's; the
    step is folded in here. Metrics are a flat dict of scalars, 'idm/loss' and so on.
  """
  legal = legal_actions(specs)

  def update(state, batches, key):
    step_key = jax.random.fold_in(key, state.step)
    idm_key, dt_key = jax.random.split(step_key)
    idm, dt, metrics = state.idm, state.dt, {}

    def changed(batch, number):
      if augment is None:
        return batch
      # Keys beside those of the dropout, which stay what they are without augmentation.
      augment_key = jax.random.fold_in(jax.random.fold_in(step_key, 2), number)
      return batch._replace(observations=augment(augment_key, batch.observations))

    if batches.idm is not None:
      idm, idm_metrics = _train(idm, optimizers[0], functools.partial(
          idm_objective, idm=networks.idm, batch=changed(batches.idm, 0), key=idm_key))
      metrics |= {f'idm/{k}': v for k, v in idm_metrics.items()}
    if batches.dt is not None or batches.limited is not None:
      idm_labels = None
      if batches.limited is not None and unlabelled == methods.LABEL_WITH_IDM:
        idm_labels = predict(networks.idm, state.idm.params, batches.limited.observations,
                             legal[batches.limited.environment])
      dt, dt_metrics = _train(dt, optimizers[1], functools.partial(
          dt_objective, dt=networks.dt, batch=changed(_dt_batch(batches, idm_labels), 1),
          key=dt_key, reward_weight=reward_weight))
      metrics |= {f'dt/{k}': v for k, v in dt_metrics.items()}
    return types.TrainState(state.step + 1, idm, dt), metrics

  return update
