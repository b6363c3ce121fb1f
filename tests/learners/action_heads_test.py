"""Action heads by hand, and another kind of action beside the discrete ones.

Pseudo-labels and choices of discrete actions are in pseudo_labels_test and acting_test.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import absltest, parameterized
from flax import linen as nn

from alpt_jax import action_space, types
from alpt_jax.learners import acting, action_heads, alpt
from alpt_jax.networks import (
    action_layers,
    decision_transformer,
    discretize,
    inverse_dynamics,
)
from tests.learners import alpt_test

HEAD = action_heads.of(action_space.numbered(3))
LOGITS = jnp.log(jnp.array([[[.5, .25, .25], [.125, .125, .75]]]))


class CategoricalTest(parameterized.TestCase):

  def test_a_token_for_every_action_and_one_for_unknown_ones(self):
    tokens = HEAD.tokens(jnp.array([[0, 2, 1]]), jnp.array([[True, True, False]]))
    self.assertEqual(tokens.tolist(), [[0, 2, 3]])
    layer = action_layers.embedding(HEAD.space, 5)
    table = layer.init(jax.random.key(0), tokens)['params']['embedding']
    self.assertEqual(table.shape, (4, 5))
    self.assertEqual(action_layers.output(HEAD.space).features, 3)

  def test_likelihoods_of_actions_and_of_distributions(self):
    nll = HEAD.nll(LOGITS, jnp.array([[0, 1]]))
    np.testing.assert_allclose(nll, [[math.log(2.), math.log(8.)]], rtol=1e-6)
    soft = jnp.array([[[0., .5, .5], [0., 0., 1.]]])
    np.testing.assert_allclose(HEAD.nll(LOGITS, soft), [[math.log(4.), math.log(4 / 3)]], rtol=1e-6)
    low = HEAD.nll(jnp.zeros((1, 1, 3), jnp.bfloat16), jnp.array([[1]]))
    self.assertEqual(low.dtype, jnp.float32)

  def test_predictions_are_legal_and_what_is_not_has_no_probability(self):
    legal = jnp.array([False, True, True])
    logits = HEAD.only_legal(LOGITS, legal)
    self.assertEqual(HEAD.predict(LOGITS).tolist(), [[0, 2]])
    self.assertEqual(HEAD.predict(logits).tolist(), [[1, 2]])
    self.assertEqual(HEAD.predict(logits).dtype, jnp.int32)
    found = HEAD.probabilities(logits)
    np.testing.assert_allclose(found, [[[0, .5, .5], [0, 1 / 7, 6 / 7]]], rtol=1e-6)
    self.assertTrue((found[..., 0] == 0).all())

  def test_right_is_who_finds_the_taken_action_most_probable(self):
    self.assertEqual(HEAD.is_right(LOGITS, jnp.array([[0, 1]])).tolist(), [[1., 0.]])


@dataclasses.dataclass(frozen=True)
class Keys:
  """Two keys at a time, of 2 and of 3: another kind of action space."""
  shape = (2,)
  num = 5

  @property
  def mask(self):
    return np.ones(5, bool)


class KeysEmbedding(nn.Module):
  d_model: int

  @nn.compact
  def __call__(self, tokens):
    return sum(nn.Embed(n + 1, self.d_model, name=f'key_{i}')(tokens[..., i])
               for i, n in enumerate((2, 3)))


@dataclasses.dataclass(frozen=True)
class KeysHead:
  space: Keys

  def _of_each(self, logits):
    return action_heads.of(action_space.numbered(2)), logits[..., :2], logits[..., 2:]

  def tokens(self, actions, is_known):
    return jnp.where(is_known[..., None], actions, jnp.array([2, 3]))

  def nll(self, logits, actions):
    head, *parts = self._of_each(logits)
    return sum(head.nll(part, actions[..., i]) for i, part in enumerate(parts))

  def is_right(self, logits, actions):
    return (self.predict(logits) == actions).all(axis=-1).astype(jnp.float32)

  def only_legal(self, logits, legal):
    return jnp.where(legal, logits, -jnp.inf)

  def predict(self, logits):
    head, *parts = self._of_each(logits)
    return jnp.stack([head.predict(part) for part in parts], axis=-1)

  def choose(self, logits, legal, key, *, is_greedy, temperature=1., better_half=False):
    del key, is_greedy, temperature, better_half
    return self.predict(self.only_legal(logits, legal))


action_layers.embedding.register(Keys, lambda space, d_model: KeysEmbedding(d_model))
action_layers.output.register(Keys, lambda space, **options: nn.Dense(space.num, **options))
action_heads.of.register(Keys, KeysHead)


class AnotherKindTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    spec = types.EnvironmentSpec(
        name='keys', observation_key='', observation_kind='vector', observation_shape=(3,),
        actions=Keys(), return_low=0, return_high=3)
    sizes = alpt_test.SIZES | dict(dropout=0.)
    self.spec, self.networks = spec, alpt.Networks(
        inverse_dynamics.InverseDynamicsModel(spec, **sizes),
        decision_transformer.DecisionTransformer(spec, alpt_test.T, **sizes))

  def batch(self, seed, is_labelled=True):
    batch, rng = alpt_test.make_batch(seed, is_labelled), np.random.default_rng(seed)
    actions = rng.integers(0, (2, 3), (*batch.actions.shape, 2), np.int32)
    return batch._replace(
        actions=np.where(batch.is_labelled[..., None], actions, 0),
        environment=np.zeros(len(actions), np.int32))

  def test_idm_and_dt_train_on_it_and_the_idm_labels_it(self):
    batches = types.Batches(
        idm=self.batch(0), dt=self.batch(1), limited=self.batch(2, alpt_test.SOME))
    optimizers = (optax.sgd(1e-3),) * 2
    state = alpt.init(jax.random.key(0), self.networks, optimizers, window=alpt_test.T)
    update = jax.jit(alpt.make_update(self.networks, optimizers, [self.spec]))
    after, metrics = update(state, batches, alpt_test.KEY)

    def nll_of(logits, actions):
      return -sum(np.take_along_axis(
          np.asarray(jax.nn.log_softmax(part)), actions[..., i:i + 1], axis=-1)[..., 0]
                  for i, part in enumerate((logits[..., :2], logits[..., 2:])))

    def idm(observations):
      return np.asarray(self.networks.idm.apply({'params': state.idm.params}, observations))

    np.testing.assert_allclose(
        metrics['idm/loss'], nll_of(idm(batches.idm.observations), batches.idm.actions).mean(),
        rtol=1e-5)
    logits = idm(batches.limited.observations)
    labels = np.stack([logits[..., :2].argmax(-1), logits[..., 2:].argmax(-1)], axis=-1)
    known = batches.limited.is_labelled[..., None]
    actions = np.concatenate(
        [batches.dt.actions, np.where(known, batches.limited.actions, labels)])
    both = jax.tree.map(lambda *x: np.concatenate(x), batches.dt, batches.limited)
    logits = self.networks.dt.apply(
        {'params': state.dt.params}, both.observations[:, :-1],
        discretize.encode_return(both.returns_to_go, low=0, high=3), actions,
        discretize.encode_reward(both.rewards)).actions
    np.testing.assert_allclose(
        metrics['dt/action_loss'], nll_of(logits, actions).mean(), rtol=1e-5)
    _, again = update(after, batches, alpt_test.KEY)
    self.assertLess(again['idm/loss'], metrics['idm/loss'])
    self.assertLess(again['dt/loss'], metrics['dt/loss'])

  def test_an_agent_takes_it_and_remembers_it(self):
    params = alpt.init_params(
        jax.random.key(0), self.networks, window=alpt_test.T, with_idm=False)['dt']
    act = jax.jit(acting.make_act(self.networks.dt, self.spec.actions.mask))
    history = acting.empty_history(jnp.zeros((4, 3)), alpt_test.T, self.spec.actions.shape)
    for step in range(alpt_test.T):
      taken, history = act(params, history, jnp.zeros((4, 3)), jax.random.key(step), True)
      self.assertEqual(taken.shape, (4, 2))
      np.testing.assert_array_equal(history.actions[:, step], taken)


if __name__ == '__main__':
  absltest.main()
