"""The CQL baseline of appendix C: conservative Q-learning on a few labelled transitions.

CQL(H) of Kumar et al. (2020) for Atari: quantile-regression DQN (Dabney et al., 2018), plus a term
that holds down the values of actions that the data does not show. "Their release" is
github.com/aviralkumar2907/CQL, folder atari; which is built upon Dopamine.

Pure: arrays in, arrays out. An action that an environment does not know has the value -inf: it is
never the arg max, is never bootstrapped from, and has no share in the log-sum-exp. (The release
gets there by networks that have the game's own actions only.)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from alpt_jax import types
from alpt_jax.learners import alpt, losses

EPSILON_GREEDY = 'epsilon-greedy'  # The acting rule of Q-networks.


class Networks(NamedTuple):
  """The module of a run: observations [..., H, W, C] -> quantiles [..., A, N]."""
  q: Any


class Settings(NamedTuple):
  """The numbers of the objective.

  Attributes:
    discount: of the next step's return.
    kappa: where the Huber loss turns from a parabola into a line.
    min_q_weight: weight of the conservative term; 0 is QR-DQN.
    target_update_steps: updates after which the target network becomes the network.
  """
  discount: float = .99
  kappa: float = 1.
  min_q_weight: float = 4.
  target_update_steps: int = 2000


def make_optimizer(*, learning_rate, epsilon):
  """Makes Adam.

  TensorFlow 1, hence the release, adds epsilon before it corrects the bias, Optax after: they
  differ during the first thousands of updates.
  """
  return optax.adam(learning_rate, eps=epsilon)


def values(quantiles, legal):
  """Averages quantiles [..., A, N]: [..., A]; -inf where `legal`, bool [..., A], is False."""
  return jnp.where(legal, jnp.mean(quantiles, axis=-1), -jnp.inf)


def quantile_huber_loss(quantiles, targets, *, kappa):
  """Computes eq. 10 of Dabney et al. (2018): summed over quantiles, averaged over targets.

  Args:
    quantiles: [..., N] estimates of the quantiles at (i + 1/2) / N.
    targets: [..., M] samples of the return.
    kappa: see `Settings`.

  Returns:
    [...] float32.
  """
  num_quantiles = quantiles.shape[-1]
  errors = targets[..., None, :] - quantiles[..., :, None]  # [..., N, M].
  slopes = jax.lax.stop_gradient(jnp.clip(errors, -kappa, kappa))
  huber = slopes * (errors - slopes / 2)  # Its derivative, the slope, costs nothing like this.
  levels = ((jnp.arange(num_quantiles) + .5) / num_quantiles).reshape(
      (1,) * (errors.ndim - 2) + (-1, 1))
  return jnp.sum(jnp.mean(jnp.abs(levels - (errors < 0)) * huber, axis=-1), axis=-1)


def bellman_targets(next_quantiles, rewards, is_terminal, legal, *, discount):
  """Computes samples of the return: the reward plus that of the best legal next action.

  Args:
    next_quantiles: [..., A, N] of the target network, of the next observation.
    rewards: [...] float.
    is_terminal: [...] bool; nothing follows.
    legal: [..., A] bool.
    discount: see `Settings`.

  Returns:
    [..., N] float32.
  """
  best = jnp.argmax(values(next_quantiles, legal), axis=-1)
  following = _of_action(next_quantiles, best)
  return rewards[..., None] + discount * jnp.where(is_terminal[..., None], 0., following)


def conservative_loss(quantiles, actions, legal):
  """Computes CQL(H), eq. 4 of Kumar et al. (2020): log sum_a exp Q(s, a) - Q(s, data's a).

  Args:
    quantiles: [..., A, N].
    actions: [...] int32; legal ones.
    legal: [..., A] bool.

  Returns:
    [...] float32; above 0 if there is more than one legal action.
  """
  means = jnp.mean(quantiles, axis=-1)
  taken = jnp.take_along_axis(means, actions[..., None], axis=-1)[..., 0]
  return jax.nn.logsumexp(means, axis=-1, where=legal) - taken


def _of_action(quantiles, actions):
  """[..., A, N], [...] -> [..., N]."""
  return jnp.take_along_axis(quantiles, actions[..., None, None], axis=-2)[..., 0, :]


def objective(params, target_params, network, batch, legal, settings):
  """Computes the loss of a batch, averaged over its labelled transitions.

  Args:
    params: of the network.
    target_params: of the target network; no gradient.
    network: module, see `Networks`.
    batch: `types.Batch` with `is_terminal`.
    legal: [B, A] bool; the actions that the window's environment knows.
    settings: `Settings`.

  Returns:
    [] float32, and a dict of scalars: `loss`, each term, and the mean `value` of the data's
    actions.
  """
  quantiles = network.apply({'params': params}, batch.observations[:, :-1])  # [B, T, A, N].
  next_quantiles = network.apply({'params': target_params}, batch.observations[:, 1:])
  legal = legal[:, None]
  targets = jax.lax.stop_gradient(bellman_targets(
      next_quantiles, batch.rewards, batch.is_terminal, legal, discount=settings.discount))
  taken = _of_action(quantiles, batch.actions)
  mask = batch.is_labelled & batch.is_valid
  quantile_loss = losses.masked_mean(
      quantile_huber_loss(taken, targets, kappa=settings.kappa), mask)
  conservative = losses.masked_mean(conservative_loss(quantiles, batch.actions, legal), mask)
  loss = quantile_loss + settings.min_q_weight * conservative
  return loss, {'loss': loss, 'quantile_loss': quantile_loss, 'conservative_loss': conservative,
                'value': losses.masked_mean(jnp.mean(taken, axis=-1), mask)}


def init(key, network, optimizer, observation_shape):
  """Initialises the state of a run.

  Args:
    key: PRNG key.
    network: module, see `Networks`.
    optimizer: `optax.GradientTransformation`.
    observation_shape: of what the network sees of one observation.

  Returns:
    A `types.QState` at step 0; the target network is the network.
  """
  params = network.init(key, jnp.zeros((1, *observation_shape), jnp.uint8))['params']
  return types.QState(step=jnp.zeros((), jnp.int32),
                      q=types.ModelState(params, optimizer.init(params)),
                      target_params=jax.tree.map(jnp.copy, params))


def make_update(network, optimizer, specs, settings, *, place=lambda gradients: gradients):
  """Makes the update.

  Args:
    network: module, see `Networks`.
    optimizer: `optax.GradientTransformation`.
    specs: the run's `types.EnvironmentSpec`s; `Batch.environment` indexes them.
    settings: `Settings`.
    place: place(gradients or parameters) -> the same, where the optimizer shall work on them.

  Returns:
    update(state, batches, key) -> (state, metrics): one step on `batches.q`; `key` is not used.
    Metrics are a flat dict of scalars, 'q/loss' and so on.
  """
  legal = alpt.legal_actions(specs)
  gradient = jax.value_and_grad(objective, has_aux=True)

  def update(state, batches, key):
    del key
    batch = batches.q
    (_, metrics), grads = gradient(
        state.q.params, state.target_params, network, batch, legal[batch.environment], settings)
    grads = place(grads)
    params = place(state.q.params)
    updates, opt_state = optimizer.update(grads, state.q.opt_state, params)
    metrics['grad_norm'] = optax.tree.norm(grads)
    params = place(optax.apply_updates(params, place(updates)))
    step = state.step + 1
    target_params = optax.periodic_update(
        params, state.target_params, step, settings.target_update_steps)
    return (types.QState(step, types.ModelState(params, opt_state), target_params),
            {f'q/{name}': value for name, value in metrics.items()})

  return update


def act(network, params, observations, legal, key, *, epsilon):
  """Chooses the action of the highest value, or now and then any legal one.

  Args:
    network: module, see `Networks`.
    params: its parameters.
    observations: [B, ...] as the network takes them.
    legal: [A] bool.
    key: PRNG key.
    epsilon: [] float; probability of choosing uniformly among the legal actions.

  Returns:
    [B] int32; legal ones.
  """
  best = jnp.argmax(values(network.apply({'params': params}, observations), legal[None]), axis=-1)
  choice_key, uniform_key = jax.random.split(key)
  anything = jax.random.categorical(
      choice_key, jnp.where(legal, 0., -jnp.inf), shape=best.shape)
  is_random = jax.random.uniform(uniform_key, best.shape) < epsilon
  return jnp.where(is_random, anything, best).astype(jnp.int32)


class _Frames(NamedTuple):
  """The last frames of B episodes, and the number of steps taken.

  Attributes:
    frames: [B, 84, 84, stack] uint8, the newest last; zeros from before the episode.
    num_steps: [] int32.
  """
  frames: jax.Array
  num_steps: jax.Array


class Player:
  """Plays with a Q-network that sees 84 x 84 frames; members as those of `acting.Player`."""
  modes = ('argmax', 'sampled')

  def __init__(self, network, legal, epsilon):
    """Compiles nothing; `epsilon` is of mode 'sampled', see `act`. ValueError if it is none."""
    if not 0. <= epsilon <= 1.:
      raise ValueError(f'epsilon is {epsilon}; expected a probability.')
    self.spec = network.spec
    self._network, self._legal, self._epsilon = network, jnp.asarray(legal), epsilon
    self.about = {'acting_rule': EPSILON_GREEDY, 'epsilon': epsilon}

  def is_chance(self, is_greedy):
    """Returns whether its actions are random in some mode."""
    return not is_greedy

  def empty_history(self, params, frames):
    """Makes the state of B episodes; `frames` [B, 84, 84] are the first."""
    del params
    return _Frames(jnp.zeros((*frames.shape, self._network.stack), jnp.uint8),
                   jnp.zeros((), jnp.int32))

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    """Chooses [B] actions after `frames`; returns them and the new history."""
    del rewards, before, temperature
    seen = jnp.concatenate([history.frames[..., 1:], frames[..., None]], axis=-1)
    actions = act(self._network, params, seen, self._legal,
                  jax.random.fold_in(key, history.num_steps),
                  epsilon=jnp.where(is_greedy, 0., self._epsilon))
    return actions, _Frames(seen, history.num_steps + 1)
