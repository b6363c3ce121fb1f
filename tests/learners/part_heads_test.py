"""The head of actions of several parts, against numpy, and an update with it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.special
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space, types
from alpt_jax.learners import acting, action_heads, alpt, pseudo_labels
from alpt_jax.networks import decision_transformer, discretize, inverse_dynamics
from tests import random_spaces

B, T = 3, 4
NUM_COMPILED = 8


def random_case(seed):
  """A space of two environments' parts, that of the first; and logits [B, T, A]."""
  rng = np.random.default_rng(seed)
  whole = random_spaces.space(rng)
  own = action_space.Parts(tuple(p for p in whole.parts if rng.random() < .7) or whole.parts[:1])
  space, _ = action_space.union([own, whole], ['own', 'whole'])
  return rng, space, rng.normal(0, 3, (B, T, space.num)).astype(np.float32)


def by_part(space, classes):
  """[(part, its classes [..., n])]."""
  return [(part, classes[..., s]) for part, s in zip(space.parts, space.segments, strict=True)]


def actions_of(rng, space):
  """Draws legal actions [B, T, P], and which parts are known."""
  stored = {part.name: random_spaces.values(rng, part, B * T) for part in space.own if part}
  actions = space.to_ids(stored).reshape(B, T, -1)
  return actions, space.known(True, B * T).reshape(B, T, -1)


class PartsTest(parameterized.TestCase):

  @parameterized.parameters(*range(NUM_COMPILED))
  def test_against_numpy(self, seed):
    rng, space, logits = random_case(seed)
    head, legal = action_heads.of(space), space.mask
    actions, exists = actions_of(rng, space)
    np.testing.assert_array_equal(head.exists(legal), space.has)
    classes = np.asarray(head.tokens(actions, exists))
    np.testing.assert_array_equal(classes[exists], space.classes(actions)[exists])
    masked = np.asarray(head.only_legal(logits, legal))
    probabilities = np.asarray(jax.jit(head.probabilities)(masked))
    self.assertTrue(np.all(probabilities[..., ~legal] == 0))
    nll = np.asarray(head.nll(logits, actions))
    soft = np.asarray(head.nll(logits, probabilities))
    predicted, confidence = head.predict(masked), head.confidence(masked)
    right = head.is_right(logits, actions)
    for p, (part, own_logits) in enumerate(by_part(space, logits)):
      own_legal = legal[space.segments[p]]
      found = probabilities[..., space.segments[p]]
      if not own_legal.any():
        self.assertTrue(np.all(found == 0))
        self.assertTrue(np.all(classes[..., p] == part.num_classes))
        continue
      wanted = np.where(own_legal, own_logits, -np.inf).astype(float)
      wanted = scipy.special.softmax(wanted, axis=-1)
      np.testing.assert_allclose(found, wanted, atol=1e-6)
      np.testing.assert_allclose(confidence[..., p], wanted.max(axis=-1), atol=1e-6)
      logs = scipy.special.log_softmax(own_logits.astype(float), axis=-1)
      np.testing.assert_allclose(nll[..., p], -np.take_along_axis(
          logs, classes[..., p, None], axis=-1)[..., 0], rtol=1e-5, atol=1e-5)
      np.testing.assert_allclose(soft[..., p], -(wanted * logs).sum(axis=-1), rtol=1e-4, atol=1e-5)
      np.testing.assert_array_equal(right[..., p], own_logits.argmax(axis=-1) == classes[..., p])
      if part.kind != 'continuous':
        np.testing.assert_array_equal(predicted[..., p], wanted.argmax(axis=-1))
      elif part.wraps:
        turns = np.exp(2j * np.pi * (part.class_values - part.low) / (part.high - part.low))
        difference = np.angle((wanted * turns).sum(axis=-1) / np.exp(
            2j * np.pi * (predicted[..., p] - part.low) / (part.high - part.low)))
        np.testing.assert_allclose(difference, 0, atol=1e-3)
      else:
        np.testing.assert_allclose(
            predicted[..., p], (wanted * part.class_values).sum(axis=-1), rtol=1e-4, atol=1e-4)
      self.assertTrue(np.all((predicted[..., p] >= np.float32(getattr(part, 'low', 0))) &
                             (predicted[..., p] <= np.float32(getattr(part, 'high', 99)))))

  @parameterized.parameters(*pseudo_labels.MODES[1:])
  def test_pseudo_labels_name_only_what_is_legal(self, mode):
    for seed in range(4):
      _, space, logits = random_case(seed)
      head = action_heads.of(space)
      labels, confidence = head.pseudo_labels(
          head.only_legal(logits, space.mask), pseudo_labels.Settings(mode, 1.3, .4),
          jax.random.key(seed))
      kept = np.asarray(labels.is_kept)
      self.assertFalse(kept[..., ~space.has].any())
      if mode == 'thresholded':
        np.testing.assert_array_equal(kept[..., space.has], confidence[..., space.has] >= .4)
      else:
        self.assertTrue(kept[..., space.has].all())
      for p, (part, legal) in enumerate(by_part(space, space.mask)):
        if legal.any() and (part.kind != 'continuous' or mode == 'sampled'):
          self.assertTrue(legal[space.classes(np.asarray(labels.ids))[..., p]].all())
      if mode == 'soft':
        self.assertTrue(np.all(np.asarray(labels.probabilities)[..., ~space.mask] == 0))

  @parameterized.parameters(True, False)
  def test_acts_with_legal_classes(self, better_half):
    for seed in range(4):
      _, space, logits = random_case(seed)
      head, legal = action_heads.of(space), jnp.asarray(space.mask)
      logits = logits.reshape(-1, space.num)
      for is_greedy in (True, False):
        chosen = np.asarray(head.choose(
            logits, legal, jax.random.key(seed), is_greedy=is_greedy, better_half=better_half))
        for p, (part, own) in enumerate(by_part(space, space.mask)):
          if not own.any():
            self.assertTrue(np.all(chosen[:, p] == part.num_classes))
            continue
          self.assertTrue(own[chosen[:, p]].all())
          if is_greedy:
            wanted = np.where(own, by_part(space, logits)[p][1], -np.inf).argmax(axis=-1)
            np.testing.assert_array_equal(chosen[:, p], wanted)

  def test_samples_are_as_probable_as_it_says(self):
    space = action_space.Parts((action_parts.Binary('key'),
                                action_parts.Continuous('x', -1., 1., num_bins=3)))
    head, num = action_heads.of(space), 4000
    logits = np.log(np.array([.25, .75, .2, .5, .3]))[None].repeat(num, axis=0)
    chosen = np.asarray(head.choose(
        logits, jnp.ones(5, bool), jax.random.key(0), is_greedy=False))
    np.testing.assert_allclose(np.bincount(chosen[:, 0]) / num, [.25, .75], atol=.03)
    np.testing.assert_allclose(np.bincount(chosen[:, 1]) / num, [.2, .5, .3], atol=.03)
    self.assertLess(abs(np.corrcoef(chosen.T)[0, 1]), .05)
    np.testing.assert_allclose(np.unique(head.values(chosen)[:, 1]), [-2 / 3, 0, 2 / 3], rtol=1e-6)


OWN = [action_space.Parts((
    action_parts.Binary('key'), action_parts.Continuous('x', -1., 1., num_bins=5),
    action_parts.Categorical('weapon', ('a', 'b', 'c'), ('a', 'b')))),
       action_space.Parts((action_parts.Binary('jump'),
                           action_parts.Continuous('x', -1., 1., num_bins=5)))]
SPECS = [types.EnvironmentSpec(
    name=name, observation_key='', observation_kind='vector', observation_shape=(3,),
    actions=space, return_low=0, return_high=3)
         for name, space in zip('ab', action_space.union(OWN, 'ab'), strict=True)]
SIZES = dict(num_layers=1, num_heads=2, d_model=8, dropout=.1)
NETWORKS = alpt.Networks(
    inverse_dynamics.InverseDynamicsModel(SPECS[0], **SIZES),
    decision_transformer.DecisionTransformer(SPECS[0], T, **SIZES, predict_rewards=True))
OPTIMIZERS = (optax.sgd(.1),) * 2


def batch(seed, share_known):
  """A batch of both environments."""
  rng = np.random.default_rng(seed)
  environment = np.arange(4) % 2
  actions = np.zeros((4, T, 4), np.float32)
  is_labelled = np.zeros((4, T, 4), bool)
  for row, e in enumerate(environment):
    space = SPECS[e].actions
    stored = {part.name: random_spaces.values(rng, part, T) for part in space.own if part}
    is_known = {name: rng.random(T) < share_known for name in stored}
    actions[row], is_labelled[row] = space.to_ids(stored, is_known), space.known(is_known, T)
  return types.Batch(
      observations=rng.random((4, T + 1, 3), np.float32), actions=actions, is_labelled=is_labelled,
      is_valid=rng.random((4, T)) < .9, rewards=np.zeros((4, T), np.float32),
      returns_to_go=np.ones((4, T), np.float32), environment=environment.astype(np.int32))


@functools.cache
def start():
  return alpt.init(jax.random.key(0), NETWORKS, OPTIMIZERS, window=T)


def updated(batches, mode='hard', **options):
  return jax.jit(alpt.make_update(
      NETWORKS, OPTIMIZERS, SPECS, reward_weight=1.,
      labelling=pseudo_labels.Settings(mode, threshold=.2), **options))(
          start(), batches, jax.random.key(1))


class UpdateTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._batches = types.Batches(idm=batch(0, .9), dt=batch(1, 1.), limited=batch(2, .3))

  @parameterized.parameters(*pseudo_labels.MODES)
  def test_microbatches_change_rounding_only(self, mode):
    whole, cut = updated(self._batches, mode), updated(self._batches, mode, accumulate=2)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(cut), strict=True):
      self.assertTrue(np.isfinite(a).all())
      np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)

  @parameterized.parameters('hard', 'soft')
  def test_what_is_not_known_has_no_influence(self, mode):
    def garbage(part):
      actions = np.where(part.is_labelled, part.actions, 1.)
      return part._replace(actions=actions.astype(np.float32))

    first, second = updated(self._batches, mode), updated(
        types.Batches(*map(garbage, self._batches[:3])), mode)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
      np.testing.assert_array_equal(a, b)

  def test_loss_is_the_mean_over_known_parts(self):
    network = NETWORKS.idm.clone(dropout=0.)
    data = self._batches.idm
    logits = network.apply({'params': start().idm.params}, data.observations)
    loss, metrics = alpt.idm_objective(start().idm.params, network, data, jax.random.key(0))
    known = data.is_labelled & data.is_valid[..., None]
    total = 0.
    classes = SPECS[0].actions.classes(data.actions)
    for p, (_, own) in enumerate(by_part(SPECS[0].actions, np.asarray(logits, float))):
      logs = scipy.special.log_softmax(own, axis=-1)
      nll = -np.take_along_axis(logs, classes[..., p, None], axis=-1)[..., 0]
      total += nll[known[..., p]].sum()
    np.testing.assert_allclose(loss, total / known.sum(), rtol=1e-5)
    self.assertEqual(float(metrics['loss']), float(loss))

  def test_the_dt_learns_what_the_idm_says_where_nothing_is_known(self):
    dt, idm = NETWORKS.dt.clone(dropout=0.), NETWORKS.idm.clone(dropout=0.)
    networks, space = alpt.Networks(idm, dt), SPECS[0].actions
    _, metrics = jax.jit(alpt.make_update(networks, OPTIMIZERS, SPECS))(
        start(), self._batches, jax.random.key(1))
    limited = self._batches.limited
    legal = np.stack([spec.actions.mask for spec in SPECS])[limited.environment][:, None]
    exists = np.stack([spec.actions.has for spec in SPECS])[limited.environment][:, None]
    logits = np.asarray(idm.apply({'params': start().idm.params}, limited.observations), float)
    probabilities = [scipy.special.softmax(np.where(own_legal.any(
        axis=-1, keepdims=True), np.where(own_legal, own, -np.inf), 0.), axis=-1)
                     for (_, own), (_, own_legal) in zip(
                         by_part(space, logits), by_part(space, legal), strict=True)]
    guessed = np.stack([
        own @ part.class_values.astype(float) if part.kind == 'continuous' else own.argmax(axis=-1)
        for part, own in zip(space.parts, probabilities, strict=True)], axis=-1)
    filled = limited._replace(actions=np.where(limited.is_labelled, limited.actions, guessed),
                              is_labelled=limited.is_labelled | exists)
    both = jax.tree.map(lambda *x: np.concatenate(x), self._batches.dt, filled)
    classes = space.classes(both.actions)
    sizes = np.array([part.num_classes for part in space.parts])
    logits = np.asarray(dt.apply(
        {'params': start().dt.params}, both.observations[:, :-1],
        discretize.encode_return(both.returns_to_go, low=0, high=3),
        np.where(both.is_labelled, classes, sizes),
        discretize.encode_reward(both.rewards)).actions, float)
    known, total = both.is_labelled & both.is_valid[..., None], 0.
    for p, (_, own) in enumerate(by_part(space, logits)):
      nll = -np.take_along_axis(
          scipy.special.log_softmax(own, axis=-1), classes[..., p, None], axis=-1)[..., 0]
      total += nll[known[..., p]].sum()
    np.testing.assert_allclose(metrics['dt/action_loss'], total / known.sum(), rtol=1e-5)

  def test_an_agent_takes_it_and_remembers_it(self):
    act = jax.jit(acting.make_act(NETWORKS.dt, SPECS[0].actions.mask))
    history = acting.empty_history(jnp.zeros((4, 3)), T, SPECS[0].actions.shape)
    for step in range(T):
      taken, history = act(start().dt.params, history, jnp.zeros((4, 3)), jax.random.key(step),
                           True)
      self.assertEqual(taken.shape, (4, 4))
      np.testing.assert_array_equal(history.actions[:, step], taken)

  def test_parts_in_order_go_together(self):
    space = action_space.Parts((action_parts.Binary('attack'),
                                action_parts.Continuous('turn', -1., 1., num_bins=3)))
    spec = dataclasses.replace(SPECS[0], actions=space)
    optimizers, rng = (optax.adam(.02),) * 2, np.random.default_rng(0)
    attack = rng.integers(0, 2, (64, T))
    data = types.Batch(
        observations=np.zeros((64, T + 1, 3), np.float32),  # They tell nothing.
        actions=np.stack([attack, attack * 1.8 - .9], axis=-1).astype(np.float32),
        is_labelled=np.ones((64, T, 2), bool), is_valid=np.ones((64, T), bool),
        rewards=np.zeros((64, T), np.float32), returns_to_go=np.zeros((64, T), np.float32),
        environment=np.zeros(64, np.int32))
    share_together = {}
    for in_order in (False, True):
      networks = alpt.Networks(
          inverse_dynamics.InverseDynamicsModel(spec, **SIZES),
          decision_transformer.DecisionTransformer(spec, T, **SIZES, parts_in_order=in_order))
      state = alpt.init(jax.random.key(0), networks, optimizers, window=T, with_idm=False)
      update = jax.jit(alpt.make_update(networks, optimizers, [spec], unlabelled='true'))
      for step in range(200):
        state, metrics = update(state, types.Batches(None, data, None), jax.random.key(step))
      act = jax.jit(acting.make_act(networks.dt, space.mask, rule='imitate'))
      taken, _ = act(state.dt.params, acting.empty_history(jnp.zeros((2000, 3)), T, space.shape),
                     jnp.zeros((2000, 3)), jax.random.key(1), False)
      share_together[in_order] = float(np.mean(np.asarray(taken)[:, 0] * 2 == taken[:, 1]))
      np.testing.assert_allclose(np.asarray(taken)[:, 0].mean(), .5, atol=.1)
    np.testing.assert_allclose(share_together[False], .5, atol=.1)
    self.assertGreater(share_together[True], .95)

  def test_later_parts_do_not_see_themselves_or_what_comes_after(self):
    dt = NETWORKS.dt.clone(dropout=0., parts_in_order=True)
    rng, space = np.random.default_rng(0), SPECS[0].actions
    params = dict(start().dt.params)
    params['dependence'] = jnp.asarray(rng.normal(size=(space.num, space.num)), jnp.float32)
    window = np.zeros((1, T, 3), np.float32), np.zeros((1, T), int)
    first = np.zeros((1, T, 4), int)
    for p in range(4):
      other = first.copy()
      other[0, -1, p] += 1  # Of the last step, which no later one sees.
      a, b = (np.asarray(dt.apply({'params': params}, *window, x, window[1]).actions[0, -1])
              for x in (first, other))
      for q, segment in enumerate(space.segments):
        self.assertEqual(np.array_equal(a[segment], b[segment]), q <= p, (p, q))

  def test_parts_that_no_environment_has_learn_nothing(self):
    only_b = batch(0, 1.)
    only_b = only_b._replace(
        environment=np.ones(4, np.int32), actions=np.repeat(only_b.actions[1:2], 4, axis=0),
        is_labelled=np.repeat(only_b.is_labelled[1:2], 4, axis=0))
    state, _ = updated(types.Batches(idm=only_b, dt=None, limited=None))
    before, after = (np.asarray(s.idm.params['action_head']['bias']) for s in (start(), state))
    changed = before != after
    space = SPECS[1].actions
    for part, segment in zip(space.parts, space.segments, strict=True):
      self.assertEqual(changed[segment].any(), part.name in ('jump', 'x'), part.name)


if __name__ == '__main__':
  absltest.main()
