"""Tests of the update of Table 1: who learns what from whom, and that they learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import absltest, parameterized

from alpt_jax import action_space, methods, types
from alpt_jax.domains.maze import anchors, env, policies
from alpt_jax.learners import action_heads, alpt, optimizers, pseudo_labels
from alpt_jax.networks import decision_transformer, inverse_dynamics

B, T, A = 4, 3, 4
SPECS = [types.EnvironmentSpec(
    name=f'environment {i}', observation_key='', observation_kind='vector', observation_shape=(3,),
    actions=action_space.numbered(A, legal=legal), return_low=0, return_high=3)
         for i, legal in enumerate([(0, 1, 2, 3), (0, 2)])]
HEAD = action_heads.of(SPECS[0].actions)
SIZES = dict(num_layers=1, num_heads=2, d_model=8, dropout=.5)
NETWORKS = alpt.Networks(
    inverse_dynamics.InverseDynamicsModel(SPECS[0], **SIZES),
    decision_transformer.DecisionTransformer(SPECS[0], T, **SIZES, predict_rewards=True))
OPTIMIZERS = (optax.sgd(.1, momentum=.9),) * 2  # Compiles in half the time of LAMB.
KEY = jax.random.key(7, impl='rbg')  # Likewise, against threefry.


@functools.cache
def start():
  """State of a run with an IDM, at step 0, with random numbers in place of initial values."""
  shapes = jax.eval_shape(
      lambda key: alpt.init(key, NETWORKS, OPTIMIZERS, window=T), jax.random.key(0))
  rng = np.random.default_rng(0)
  state = jax.tree.map(
      lambda x: jnp.asarray(rng.normal(scale=.3, size=x.shape), x.dtype), shapes)
  return state.replace(step=jnp.int32(0))


TRACES = []  # An entry for every time `run_update` was traced, i.e. compiled.


@jax.jit
def run_update(state, batches, key):
  """The update of most methods, compiled once for each kind of `types.Batches`."""
  TRACES.append(1)
  return alpt.make_update(NETWORKS, OPTIMIZERS, SPECS, reward_weight=1.)(state, batches, key)


@functools.cache
def jitted_predict():
  return jax.jit(functools.partial(alpt.predict, NETWORKS.idm))


def make_batch(seed, is_labelled=True):
  rng = np.random.default_rng(seed)
  return types.Batch(
      observations=rng.random((B, T + 1, 3), np.float32),
      actions=rng.integers(0, A, (B, T), np.int32),
      is_labelled=np.broadcast_to(is_labelled, (B, T)).copy(),
      is_valid=np.ones((B, T), bool),
      rewards=rng.integers(-1, 2, (B, T)).astype(np.float32),
      returns_to_go=rng.integers(0, 4, (B, T)).astype(np.float32),
      environment=np.arange(B, dtype=np.int32) % len(SPECS))


SOME = np.array([[True, False, False]] * B)  # The first transition of every window is labelled.


def all_batches():
  return types.Batches(idm=make_batch(0), dt=make_batch(1), limited=make_batch(2, SOME))


def are_equal(a, b):
  """Bit by bit."""
  return jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y), a, b))


class LabelTest(absltest.TestCase):

  def predict(self, params, batch):
    legal = alpt.legal_actions(SPECS)[batch.environment]
    return jitted_predict()(params, batch.observations, legal)

  def test_legal_actions_are_the_specs(self):
    np.testing.assert_array_equal(
        alpt.legal_actions(SPECS), [[True] * 4, [True, False, True, False]])

  def test_is_the_best_legal_action_in_eval_mode(self):
    batch, params = make_batch(0), start().idm.params
    logits = np.array(jax.jit(NETWORKS.idm.apply)({'params': params}, batch.observations))
    logits[1::2, :, 1::2] = -np.inf  # The second environment knows 0 and 2.
    labels = self.predict(params, batch)
    self.assertEqual(labels.dtype, np.int32)
    np.testing.assert_array_equal(labels, logits.argmax(axis=-1))

  def test_is_legal_even_where_the_idm_is_sure_of_another(self):
    params = jax.tree.map(lambda x: x, start().idm.params)
    params['action_head']['bias'] = jnp.array([-1e9, 1e9, -2e9, 0.])
    labels = self.predict(params, make_batch(0))
    np.testing.assert_array_equal(labels, [[1] * T, [0] * T] * 2)

  def test_confidence_is_the_share_of_the_label_among_legal_actions(self):
    batch, params = make_batch(3), start().idm.params
    legal = jnp.array([[True, True, False, True]])
    labels, confidence = alpt.predict_with_confidence(
        NETWORKS.idm, params, batch.observations, legal)
    logits = np.asarray(NETWORKS.idm.apply({'params': params}, batch.observations), np.float64)
    odds = np.exp(logits)[..., [0, 1, 3]]
    np.testing.assert_allclose(confidence, odds.max(-1) / odds.sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(labels, np.array([0, 1, 3])[odds.argmax(-1)])
    np.testing.assert_array_equal(
        labels, alpt.predict(NETWORKS.idm, params, batch.observations, legal))

  def test_no_gradient_flows_through(self):
    batch, state = make_batch(2, SOME), start()

    def dt_loss(idm_params):
      labels = alpt.predict(
          NETWORKS.idm, idm_params, batch.observations, jnp.ones((1, A), bool))
      joined = alpt._dt_batch(HEAD, None, batch, pseudo_labels.Labels(labels))
      return alpt.dt_objective(state.dt.params, NETWORKS.dt, joined, KEY, reward_weight=1.)[0]

    for gradient in jax.tree.leaves(jax.jit(jax.grad(dt_loss))(state.idm.params)):
      np.testing.assert_array_equal(gradient, np.zeros_like(gradient))

  def test_true_labels_stay_and_only_limited_windows_are_labelled(self):
    batches = all_batches()._replace(dt=make_batch(1, SOME))
    labels = jnp.full((B, T), 9)
    joined = alpt._dt_batch(
        HEAD, batches.dt, batches.limited, pseudo_labels.Labels(labels))
    # Equally many windows of both: they alternate.
    np.testing.assert_array_equal(joined.actions[::2], batches.dt.actions)
    np.testing.assert_array_equal(joined.is_labelled[::2], SOME)
    np.testing.assert_array_equal(joined.actions[1::2, 0], batches.limited.actions[:, 0])
    np.testing.assert_array_equal(joined.actions[1::2, 1:], np.full((B, T - 1), 9))
    self.assertTrue(joined.is_labelled[1::2].all())
    for name in ('observations', 'rewards', 'returns_to_go', 'is_valid', 'environment'):
      for first, part in enumerate((batches.dt, batches.limited)):
        np.testing.assert_array_equal(
            getattr(joined, name)[first::2], getattr(part, name), err_msg=name)

  def test_windows_are_mixed_as_evenly_as_their_numbers_allow(self):
    dt, limited = make_batch(1), rows(make_batch(2), slice(2))
    actions = np.asarray(alpt._dt_batch(HEAD, dt, limited, None).actions)
    np.testing.assert_array_equal(actions[[0, 1, 3, 4]], dt.actions)
    np.testing.assert_array_equal(actions[[2, 5]], limited.actions)

  def test_without_the_idm_unlabelled_steps_stay_unlabelled(self):
    batches = types.Batches(None, None, make_batch(2, SOME))
    joined = alpt._dt_batch(HEAD, None, batches.limited, None)
    np.testing.assert_array_equal(joined.is_labelled, SOME)

  def test_environments_must_share_an_action_space(self):
    other = types.EnvironmentSpec(
        name='other', observation_key='', observation_kind='vector', observation_shape=(3,),
        actions=action_space.numbered(6, legal=(5,)), return_low=0, return_high=3)
    with self.assertRaisesRegex(ValueError, 'environment 0 declares 4 actions and other 6'):
      alpt.legal_actions([SPECS[0], other])


class UpdateTest(parameterized.TestCase):

  def run_update(self, batches, state=None):
    return run_update(state or start(), batches, KEY)

  def test_trains_both_and_counts_the_step(self):
    state, metrics = self.run_update(all_batches())
    self.assertEqual(state.step, 1)
    self.assertFalse(are_equal(state.idm.params, start().idm.params))
    self.assertFalse(are_equal(state.dt.params, start().dt.params))
    names = {'idm/loss', 'idm/accuracy', 'idm/grad_norm', 'dt/loss', 'dt/return_loss',
             'dt/action_loss', 'dt/action_accuracy', 'dt/reward_loss', 'dt/grad_norm'}
    self.assertEqual(set(metrics), names)
    for name, value in metrics.items():
      self.assertEqual((value.shape, value.dtype), ((), jnp.float32), msg=name)

  def test_hidden_actions_have_no_influence(self):
    # A batch as the loader never makes it: hidden actions present, and nonsense.
    batches = all_batches()._replace(idm=make_batch(0, SOME), dt=make_batch(1, SOME))
    changed = types.Batches(*(batch._replace(
        actions=np.where(batch.is_labelled, batch.actions, (batch.actions + 1 + i) % A))
                              for i, batch in enumerate(batches[:3])))
    self.assertTrue(are_equal(self.run_update(batches), self.run_update(changed)))

  def test_invalid_steps_are_no_targets(self):
    # They come last in their windows here, so they are no input of what counts either.
    is_valid = np.array([[True, True, False]] * B)
    batches = types.Batches(*(x._replace(is_valid=is_valid) for x in all_batches()[:3]))
    changed = types.Batches(*(x._replace(
        actions=np.where(is_valid, x.actions, (x.actions + 1) % A),
        rewards=np.where(is_valid, x.rewards, -x.rewards),
        returns_to_go=np.where(is_valid, x.returns_to_go, 3. - x.returns_to_go))
                              for x in batches[:3]))
    self.assertTrue(are_equal(self.run_update(batches), self.run_update(changed)))

  def test_idm_learns_nothing_from_rewards_and_returns(self):
    batches = all_batches()
    changed = batches._replace(idm=batches.idm._replace(
        rewards=-batches.idm.rewards, returns_to_go=3. - batches.idm.returns_to_go))
    self.assertTrue(are_equal(self.run_update(batches), self.run_update(changed)))

  @parameterized.parameters('idm', 'dt', 'limited')
  def test_labelled_actions_matter(self, part):
    batches = all_batches()
    batch = getattr(batches, part)
    changed = batches._replace(**{part: batch._replace(
        actions=np.where(batch.is_labelled, (batch.actions + 1) % A, batch.actions))})
    (state, _), (other, _) = self.run_update(batches), self.run_update(changed)
    self.assertEqual(are_equal(state.idm, other.idm), part != 'idm')
    self.assertEqual(are_equal(state.dt, other.dt), part == 'idm')

  def test_labels_come_from_the_idm_before_the_step(self):
    # An IDM without an opinion is taught 1s or 2s. This shows in its labels from the next step on.
    params = start().idm.params | {
        'action_head': jax.tree.map(jnp.zeros_like, start().idm.params['action_head'])}
    blank = start().replace(idm=start().idm.replace(params=params))
    states = []
    for action in (1, 2):
      taught = make_batch(0)._replace(actions=np.full((B, T), action, np.int32))
      batches = all_batches()._replace(idm=taught)
      states.append(self.run_update(batches, blank)[0])
    self.assertTrue(are_equal(states[0].dt, states[1].dt))
    batch = make_batch(2)._replace(environment=np.zeros(B, np.int32))
    for action, state in zip((1, 2), states, strict=True):
      labels = jitted_predict()(state.idm.params, batch.observations, jnp.ones((B, A), bool))
      np.testing.assert_array_equal(labels, np.full((B, T), action))

  def test_dt_does_not_see_the_observation_after_its_last_action(self):
    batches = all_batches()
    state, _ = self.run_update(batches)
    for t in range(T + 1):
      observations = batches.dt.observations.copy()
      observations[:, t] = 1. - observations[:, t]
      other, _ = self.run_update(
          batches._replace(dt=batches.dt._replace(observations=observations)))
      self.assertEqual(are_equal(state.dt, other.dt), t == T)

  def test_dropout_differs_from_step_to_step(self):
    later = start().replace(step=jnp.int32(1))
    (_, first), (_, second) = self.run_update(all_batches()), self.run_update(all_batches(), later)
    self.assertNotEqual(first['idm/loss'], second['idm/loss'])
    self.assertNotEqual(first['dt/loss'], second['dt/loss'])

  def test_only_idm_data_leave_the_dt_as_it_is(self):
    state, metrics = self.run_update(types.Batches(make_batch(0), None, None))
    self.assertTrue(are_equal(state.dt, start().dt))
    self.assertFalse(are_equal(state.idm, start().idm))
    self.assertEqual({name.split('/')[0] for name in metrics}, {'idm'})

  def test_only_dt_data_leave_the_idm_as_it_is(self):
    state, metrics = self.run_update(types.Batches(None, make_batch(0), None))
    self.assertTrue(are_equal(state.idm, start().idm))
    self.assertFalse(are_equal(state.dt, start().dt))
    self.assertEqual({name.split('/')[0] for name in metrics}, {'dt'})

  def test_compiles_once(self):
    state, _ = self.run_update(all_batches())
    num_traces = len(TRACES)
    for seed in range(3):
      batches = all_batches()._replace(idm=make_batch(seed))
      state, _ = self.run_update(batches, state)
    self.assertLen(TRACES, num_traces)
    self.assertEqual(state.step, 4)

  def test_returns_only_trains_the_return_prediction_and_nothing_about_actions(self):
    batch, params = make_batch(0, False), start().dt.params
    gradients = jax.jit(jax.grad(lambda p: alpt.dt_objective(
        p, NETWORKS.dt, batch, KEY, reward_weight=1.)[0]))(params)
    is_zero = jax.tree.map(lambda g: not np.any(g), gradients)
    self.assertTrue(all(is_zero['action_head'].values()))
    self.assertTrue(all(is_zero['reward_head'].values()))
    self.assertFalse(any(is_zero['return_head'].values()))
    embedding = gradients['action_embedding']['embedding']
    self.assertFalse(np.any(embedding[:A]))
    self.assertTrue(np.any(embedding[A]))  # "Not known" is an input, and learned.

  @parameterized.parameters(
      *(name for name, method in methods.METHODS.items() if method.learner == 'alpt'))
  def test_every_method_goes_through_its_phases(self, name):
    method = methods.METHODS[name]
    state = jax.eval_shape(
        lambda key: alpt.init(key, NETWORKS, OPTIMIZERS, window=T, with_idm=any(
            phase.idm for phase in (method.joint, method.finetune))), jax.random.key(0))
    for phase in (method.joint, method.pretrain, method.finetune):
      if phase is None:
        continue
      batches = types.Batches(
          idm=make_batch(0) if phase.idm else None,
          dt=make_batch(1) if {methods.SOURCES, methods.LABELLED} & {*phase.agent} else None,
          limited=make_batch(2, phase.unlabelled == methods.TRUE_ACTIONS)
          if methods.TARGET in phase.agent else None)
      update = alpt.make_update(NETWORKS, OPTIMIZERS, SPECS, unlabelled=phase.unlabelled)
      new_state, metrics = jax.eval_shape(update, state, batches, KEY)
      self.assertEqual(new_state, state)  # The same structure, shapes and types: it can go on.
      self.assertEqual('idm/loss' in metrics, bool(phase.idm))
      self.assertEqual('dt/loss' in metrics, bool(phase.agent))


def record(layout, num_windows, seed):
  """Windows of behaviour data (epsilon 0.5) from uniform starts, without those that end early.

  Returns:
    `types.Batch` with T = 5 and fully labelled.
  """
  num_steps = 5
  rng = np.random.default_rng(seed)
  probs = policies.epsilon_greedy_probs(layout.walls, layout.goal, epsilon=.5)
  cumulative = np.cumsum(probs, axis=-1)[..., :-1]
  starts = env.starts(layout)
  positions, actions = [starts[rng.integers(len(starts), size=num_windows)]], []
  for _ in range(num_steps):
    thresholds = cumulative[tuple(positions[-1].T)]
    actions.append((rng.random((num_windows, 1)) > thresholds).sum(axis=1))
    positions.append(env.move(layout.walls, positions[-1], actions[-1]))
  positions, actions = np.stack(positions, axis=1), np.stack(actions, axis=1).astype(np.int32)
  is_whole = (positions[:, :-1] != layout.goal).any(axis=2).all(axis=1)
  positions, actions = positions[is_whole], actions[is_whole]
  grids = env.observe(layout.walls, layout.goal, positions.reshape(-1, 2))['grid']
  rewards = (positions[:, 1:] == layout.goal).all(axis=2).astype(np.float32)
  yes = np.ones(actions.shape, bool)
  return types.Batch(
      observations=grids.reshape(*positions.shape[:2], *grids.shape[1:]), actions=actions,
      is_labelled=yes, is_valid=yes, rewards=rewards,
      returns_to_go=rewards.max(axis=1, keepdims=True) * yes,
      environment=np.zeros(len(actions), np.int32))


def rows(batch, index):
  return jax.tree.map(lambda x: x[index], batch)


class LearningTest(parameterized.TestCase):

  def test_few_windows_are_learned_by_heart(self):
    layout = env.make_layout('blocks:3', size=8, seed=0)
    spec = env.spec(layout, 'grid')
    sizes = dict(num_layers=1, num_heads=2, d_model=32)
    networks = alpt.Networks(inverse_dynamics.InverseDynamicsModel(spec, **sizes),
                             decision_transformer.DecisionTransformer(spec, 5, **sizes))
    optimizer = optimizers.make_optimizer(
        learning_rate=3e-3, warmup_steps=20, weight_decay=0., max_grad_norm=1.)
    batch = rows(record(layout, 40, seed=0), slice(4))
    hidden = batch._replace(is_labelled=np.zeros_like(batch.is_labelled),
                            actions=np.zeros_like(batch.actions))
    batches = types.Batches(idm=batch, dt=None, limited=hidden)
    state = jax.jit(lambda key: alpt.init(key, networks, [optimizer] * 2, window=5))(
        jax.random.key(0))
    update = jax.jit(alpt.make_update(networks, [optimizer] * 2, [spec]))
    for _ in range(200):
      state, metrics = update(state, batches, KEY)
    self.assertEqual(metrics['idm/accuracy'], 1.)
    # The DT does what the IDM says, which here is the hidden truth.
    self.assertEqual(metrics['dt/action_accuracy'], 1.)

  def test_seeing_the_future_is_what_lets_the_idm_infer_actions(self):
    # The behaviour takes the greedy action with probability 0.625, and no model that reads only the
    # past can do better on new data, however it is trained; the next frame shows nearly all moves.
    layout = env.make_layout('blocks:3', size=8, seed=0)
    ceilings = anchors.idm_ceilings(layout, .5)
    self.assertAlmostEqual(ceilings['causal'], .625)
    self.assertGreater(ceilings['bayes'], .98)
    spec = env.spec(layout, 'grid')
    optimizer = optimizers.make_optimizer(
        learning_rate=4e-3, warmup_steps=20, weight_decay=5e-5, max_grad_norm=1.)
    train, held_out = record(layout, 5000, seed=1), record(layout, 8000, seed=2)
    # 0.64 is more than four standard errors above 0.625.
    self.assertGreater(held_out.actions.size, 16 * .625 * .375 / .015 ** 2)

    accuracy = {}
    for is_causal in (False, True):
      idm = inverse_dynamics.InverseDynamicsModel(
          spec, num_layers=1, num_heads=4, d_model=32, is_causal=is_causal)
      if not is_causal:  # Both start from the same parameters.
        params = jax.jit(idm.init)(jax.random.key(0), train.observations[:1])['params']
      state = types.TrainState(
          jnp.int32(0), types.ModelState(jax.tree.map(jnp.copy, params), optimizer.init(params)),
          dt=None)
      update = jax.jit(alpt.make_update(
          alpt.Networks(idm, None), (optimizer, None), [spec]), donate_argnums=0)
      rng = np.random.default_rng(3)
      for _ in range(700):
        batch = rows(train, rng.integers(len(train.actions), size=64))
        state, _ = update(state, types.Batches(batch, None, None), KEY)
      labels = jax.jit(functools.partial(alpt.predict, idm))(
          state.idm.params, held_out.observations, alpt.legal_actions([spec]))
      accuracy[is_causal] = np.mean(labels == held_out.actions)
    self.assertGreaterEqual(accuracy[False], .97)
    self.assertLessEqual(accuracy[True], .64)
    self.assertGreaterEqual(accuracy[True], .5)  # It did learn what can be learned forward.
