"""Tests of the CQL baseline: its loss against numpy, and what it learns in a known MDP."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_space, types
from alpt_jax.learners import cql
from alpt_jax.networks import q_network

KEY = jax.random.key(0)


def make_spec(num_actions, legal_actions, shape):
  return types.EnvironmentSpec(
      name='states', observation_key='', observation_kind='image', observation_shape=shape,
      actions=action_space.numbered(num_actions, legal=legal_actions), return_low=0, return_high=1)


class Table(nn.Module):
  """A quantile table: observations are one-hot states [..., S]. Much of it is too high at first."""
  num_states: int
  num_actions: int
  num_quantiles: int

  @nn.compact
  def __call__(self, observations):
    table = self.param('table', nn.initializers.normal(3.),
                       (self.num_states, self.num_actions, self.num_quantiles))
    return jnp.einsum('...s,san->...an', observations.astype(jnp.float32), table)


def make_batch(states, actions, rewards, next_states, is_terminal, num_states, environment=None):
  """One transition a row, as `types.Batch` with T = 1 and states as one-hot."""
  column = lambda x, dtype: jnp.asarray(x, dtype)[:, None]  # noqa: E731
  return types.Batch(
      observations=jax.nn.one_hot(np.stack([states, next_states], axis=1), num_states),
      actions=column(actions, jnp.int32), rewards=column(rewards, jnp.float32),
      is_terminal=column(is_terminal, bool), is_labelled=jnp.ones((len(states), 1), bool),
      is_valid=jnp.ones((len(states), 1), bool), returns_to_go=jnp.zeros((len(states), 1)),
      environment=jnp.zeros(len(states), jnp.int32) if environment is None else environment)


def numpy_loss(table, target_table, batch, legal, settings):
  """The objective with loops over everything, from the equations of both papers.

  Args:
    table: [S, A, N].
    target_table: [S, A, N].
    batch: `types.Batch` as `make_batch` makes it.
    legal: [B, A].
    settings: `cql.Settings`.

  Returns:
    Quantile loss, conservative loss.
  """
  num_quantiles = table.shape[-1]
  quantile_losses, conservative = [], []
  for b in range(len(batch.actions)):
    if not (batch.is_labelled[b, 0] and batch.is_valid[b, 0]):
      continue
    state, next_state = (int(np.argmax(x)) for x in batch.observations[b])
    actions = [a for a in range(table.shape[1]) if legal[b, a]]
    best = max(actions, key=lambda a: target_table[next_state, a].mean())
    total = 0.
    for i in range(num_quantiles):
      level = (2 * i + 1) / (2 * num_quantiles)
      for j in range(num_quantiles):
        target = float(batch.rewards[b, 0])
        if not batch.is_terminal[b, 0]:
          target += settings.discount * target_table[next_state, best, j]
        error = target - table[state, int(batch.actions[b, 0]), i]
        size = abs(error)
        huber = size ** 2 / 2 if size <= settings.kappa else settings.kappa * (
            size - settings.kappa / 2)
        total += (level if error >= 0 else 1 - level) * huber / num_quantiles
    quantile_losses.append(total)
    q = [table[state, a].mean() for a in actions]
    conservative.append(math.log(sum(math.exp(x) for x in q))
                        - table[state, int(batch.actions[b, 0])].mean())
  return np.mean(quantile_losses), np.mean(conservative)


class LossTest(parameterized.TestCase):

  def test_quantile_huber_loss_by_hand(self):
    # Errors 3 and -.5 of the quantile at 1/4, 2 and -1.5 of that at 3/4.
    loss = cql.quantile_huber_loss(jnp.array([0., 1.]), jnp.array([3., -.5]), kappa=1.)
    by_hand = (.25 * 2.5 + .75 * .125) / 2 + (.75 * 1.5 + .25 * 1.) / 2
    self.assertAlmostEqual(float(loss), by_hand, places=6)

  @parameterized.product(kappa=(1., .3), min_q_weight=(0., 4.), seed=(0, 1))
  def test_objective_is_that_of_numpy(self, kappa, min_q_weight, seed):
    num_states, num_actions, num_quantiles, num_rows = 4, 5, 3, 12
    rng = np.random.default_rng(seed)
    table, target_table = rng.normal(size=(2, num_states, num_actions, num_quantiles)) * 2
    legal = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], bool)[rng.integers(2, size=num_rows)]
    # Illegal actions look best everywhere.
    target_table[:, [1, 4]] += 50.
    table[:, [1, 4]] += 50.
    batch = make_batch(
        rng.integers(num_states, size=num_rows), rng.choice([0, 2, 3], size=num_rows),
        rng.choice([-1., 0., 1.], size=num_rows), rng.integers(num_states, size=num_rows),
        rng.random(num_rows) < .4, num_states)
    batch = batch._replace(is_labelled=jnp.asarray(rng.random((num_rows, 1)) < .8),
                           is_valid=jnp.asarray(rng.random((num_rows, 1)) < .8))
    settings = cql.Settings(discount=.9, kappa=kappa, min_q_weight=min_q_weight)
    loss, metrics = cql.objective(
        *({'table': jnp.asarray(t, jnp.float32)} for t in (table, target_table)),
        Table(num_states, num_actions, num_quantiles), batch, jnp.asarray(legal), settings)
    quantile, conservative = numpy_loss(table, target_table, batch, legal, settings)
    np.testing.assert_allclose(metrics['quantile_loss'], quantile, rtol=1e-5)
    np.testing.assert_allclose(metrics['conservative_loss'], conservative, rtol=1e-5)
    np.testing.assert_allclose(loss, quantile + min_q_weight * conservative, rtol=1e-5)

  def test_nothing_flows_into_the_targets_or_from_illegal_actions(self):
    network = Table(2, 3, 2)
    params = network.init(KEY, jnp.zeros((1, 2)))['params']
    batch = make_batch([0, 1], [0, 2], [1., 0.], [1, 0], [False, True], 2)
    legal = jnp.array([[True, False, True]] * 2)
    gradients = jax.grad(lambda p, t: cql.objective(
        p, t, network, batch, legal, cql.Settings())[0], argnums=(0, 1))(params, params)
    self.assertFalse(np.any(gradients[1]['table']))
    self.assertFalse(np.any(gradients[0]['table'][:, 1]))
    self.assertTrue(np.all(np.isfinite(gradients[0]['table'])))
    self.assertTrue(np.any(gradients[0]['table'][:, [0, 2]]))


class UpdateTest(absltest.TestCase):

  def test_target_network_follows_when_it_is_due(self):
    network, optimizer = Table(2, 2, 2), cql.make_optimizer(learning_rate=.1, epsilon=1e-8)
    update = cql.make_update(network, optimizer, [make_spec(2, (0, 1), (2,))],
                             cql.Settings(target_update_steps=3))
    state = cql.init(KEY, network, optimizer, (2,))
    batches = types.Batches(None, None, None, make_batch([0], [1], [1.], [1], [False], 2))
    first = np.asarray(state.target_params['table'])
    for step in range(1, 7):
      state, metrics = update(state, batches, KEY)
      self.assertEqual(int(state.step), step)
      if step < 3:
        np.testing.assert_array_equal(state.target_params['table'], first)
      if step % 3 == 0:
        np.testing.assert_array_equal(state.target_params['table'], state.q.params['table'])
      else:
        self.assertTrue(np.any(state.target_params['table'] != state.q.params['table']))
    self.assertEqual(set(metrics), {'q/loss', 'q/quantile_loss', 'q/conservative_loss', 'q/value',
                                    'q/grad_norm'})


class ActTest(parameterized.TestCase):

  def act(self, epsilon, num_rows=4000):
    table = jnp.zeros((1, 4, 2)).at[0, :, 0].set(jnp.array([1., 9., 3., 2.]))
    return np.asarray(cql.act(
        Table(1, 4, 2), {'table': table}, jnp.ones((num_rows, 1)),
        jnp.array([True, False, True, True]), KEY, epsilon=epsilon))

  def test_greedy_takes_the_best_legal_action(self):
    np.testing.assert_array_equal(self.act(0.), 2)

  def test_explores_uniformly_among_legal_actions(self):
    shares = np.bincount(self.act(.3), minlength=4) / 4000
    np.testing.assert_allclose(shares, [.1, 0., .8, .1], atol=.03)
    self.assertEqual(shares[1], 0.)


class QNetworkTest(absltest.TestCase):

  def test_shapes_are_those_of_the_paper(self):
    network = q_network.QNetwork(make_spec(18, (0, 1), (84, 84, 1)))
    observations = jnp.zeros((2, 3, 84, 84, 4), jnp.uint8)
    shapes = jax.eval_shape(network.init, KEY, observations)['params']
    self.assertEqual(shapes['conv_0']['kernel'].shape, (8, 8, 4, 32))
    self.assertEqual(shapes['conv_1']['kernel'].shape, (4, 4, 32, 64))
    self.assertEqual(shapes['conv_2']['kernel'].shape, (3, 3, 64, 64))
    self.assertEqual(shapes['hidden']['kernel'].shape, (11 * 11 * 64, 512))
    self.assertEqual(shapes['quantiles']['kernel'].shape, (512, 18 * 200))
    outputs = jax.eval_shape(network.apply, {'params': shapes}, observations)
    self.assertEqual(outputs.shape, (2, 3, 18, 200))


# A chain of states 0 .. 4: RIGHT goes on, and from state 4 it earns 1 and ends; DOWN ends at once
# with nothing; LOOP stays, earning nothing. Only the first has been seen in all states, DOWN in
# some, LOOP never.
RIGHT, DOWN, LOOP = range(3)
LENGTH, DISCOUNT = 5, .9


def chain_values():
  """True values [S, A] of acting best after the action."""
  best = DISCOUNT ** np.arange(LENGTH - 1, -1, -1)
  return np.stack([best, np.zeros(LENGTH), DISCOUNT * best], axis=1)


def chain_data():
  """Transitions of a narrow behaviour: RIGHT in every state, DOWN in state 0 and 2."""
  states = np.array([*range(LENGTH), 0, 2])
  actions = np.array([RIGHT] * LENGTH + [DOWN] * 2)
  is_last = (actions == DOWN) | (states == LENGTH - 1)
  rewards = ((actions == RIGHT) & is_last).astype(np.float32)
  return make_batch(states, actions, rewards, np.minimum(states + 1, LENGTH - 1), is_last, LENGTH)


def learn(min_q_weight, seed):
  """Values [S, A] after learning from the chain, from a random table."""
  network, optimizer = Table(LENGTH, 3, 4), cql.make_optimizer(learning_rate=.02, epsilon=1e-8)
  update = cql.make_update(
      network, optimizer, [make_spec(3, (0, 1, 2), (LENGTH,))],
      cql.Settings(discount=DISCOUNT, min_q_weight=min_q_weight, target_update_steps=50))
  batches = types.Batches(None, None, None, chain_data())
  state, _ = jax.lax.scan(
      lambda state, _: (update(state, batches, KEY)[0], None),
      cql.init(jax.random.key(seed), network, optimizer, (LENGTH,)), length=2000)
  return np.asarray(state.q.params['table']).mean(axis=-1)


class KnownMdpTest(parameterized.TestCase):

  @parameterized.parameters(*range(5))
  def test_conservative_values_stay_below_the_truth_and_the_policy_is_best(self, seed):
    values, truth = learn(.1, seed), chain_values()
    np.testing.assert_array_equal(values.argmax(axis=1), RIGHT)
    self.assertTrue((values.max(axis=1) <= truth.max(axis=1) + .05).all(), msg=values)
    self.assertTrue((values[:, LOOP] < truth[:, LOOP]).all(), msg=values)

  @parameterized.parameters(*range(5))
  def test_plain_q_learning_believes_in_what_it_has_not_seen(self, seed):
    values, truth = learn(0., seed), chain_values()
    # Of LOOP, which no data speaks of, it keeps what chance gave, and passes the highest on.
    self.assertGreater((values.max(axis=1) - truth.max(axis=1)).max(), .3)
    self.assertTrue((values.argmax(axis=1) != RIGHT).any())


if __name__ == '__main__':
  absltest.main()
