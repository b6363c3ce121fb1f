"""Tests of what the DT makes of the IDM's labels, against loops in numpy."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import types
from alpt_jax.learners import action_heads, alpt, losses, pseudo_labels
from alpt_jax.networks import decision_transformer, inverse_dynamics
from tests.learners import alpt_test

B, T, A = alpt_test.B, alpt_test.T, alpt_test.A
SIZES = alpt_test.SIZES | dict(dropout=0.)  # So that losses can be computed again.
NETWORKS = alpt.Networks(
    inverse_dynamics.InverseDynamicsModel(alpt_test.SPECS[0], **SIZES),
    decision_transformer.DecisionTransformer(alpt_test.SPECS[0], T, **SIZES, predict_rewards=True))
TEMPERATURE, THRESHOLD = .2, .7
HEAD = action_heads.of(alpt_test.SPECS[0].actions)
NOT_HARD = tuple(mode for mode in pseudo_labels.MODES if mode != 'hard')


@functools.partial(jax.jit, static_argnames=('mode', 'accumulate'))
def compiled_update(state, batches, temperature, threshold, *, mode, accumulate):
  """An update with labels of a mode; numbers are arguments, so that it compiles once for them."""
  return alpt.make_update(
      NETWORKS, alpt_test.OPTIMIZERS, alpt_test.SPECS, reward_weight=2., accumulate=accumulate,
      labelling=pseudo_labels.Settings(mode, temperature, threshold))(
          state, batches, alpt_test.KEY)


def run_update(mode, temperature=TEMPERATURE, threshold=THRESHOLD, accumulate=1, step=0):
  """State and metrics after an update of `batches()`."""
  return compiled_update(alpt_test.start().replace(step=jnp.int32(step)), batches(), temperature,
                         threshold, mode=mode, accumulate=accumulate)


def batches():
  """A DT's batch and a limited one, each with steps that are unlabelled or do not count."""
  is_valid = np.ones((B, T), bool)
  is_valid[1, 2] = is_valid[2, 1:] = False
  some = np.random.default_rng(1).random((B, T)) < .4
  dt = alpt_test.make_batch(1, some)._replace(is_valid=is_valid)
  limited = alpt_test.make_batch(2, some[::-1])._replace(is_valid=is_valid[::-1])
  return types.Batches(idm=None, dt=dt, limited=limited)


def idm_logits(state, limited):
  """[B, T, A] float64, -inf where illegal."""
  logits = np.array(jax.jit(NETWORKS.idm.apply)(
      {'params': state.idm.params}, limited.observations), np.float64)
  logits[1::2, :, 1::2] = -np.inf  # The second environment knows 0 and 2.
  return logits


def softmax(logits):
  odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
  return odds / odds.sum(axis=-1, keepdims=True)


def numpy_targets(mode, batch, logits, drawn):
  """Step by step: the action token, and {action: how much it is the target}; {} if none is."""
  tokens, targets = np.full((B, T), A), np.empty((B, T), object)
  for b, t in itertools.product(range(B), range(T)):
    if batch.is_labelled[b, t]:
      tokens[b, t], targets[b, t] = batch.actions[b, t], {batch.actions[b, t]: 1.}
    elif logits is None:
      targets[b, t] = {}
    else:
      p = softmax(logits[b, t] / TEMPERATURE)
      best = p.argmax()
      tokens[b, t] = drawn[b, t] if mode == 'sampled' else best
      targets[b, t] = {
          'hard': {best: 1.}, 'soft': dict(enumerate(p)), 'sampled': {drawn[b, t]: 1.},
          'weighted': {best: p[best]},
          'thresholded': {best: 1.} if p[best] >= THRESHOLD else {}}[mode]
      if not targets[b, t]:
        tokens[b, t] = A
  return tokens, targets


def numpy_metrics(mode, state, whole, drawn):
  """Eq. 3 in loops: action, reward and return loss of a DT without dropout."""
  sums = {'action': 0., 'reward': 0., 'return': 0.}
  weight, num_valid = 0., 0
  apply = jax.jit(NETWORKS.dt.apply)
  for name in ('dt', 'limited'):
    batch = getattr(whole, name)
    logits = idm_logits(state, batch) if name == 'limited' else None
    tokens, targets = numpy_targets(mode, batch, logits, drawn)
    returns = batch.returns_to_go.astype(np.int32)
    rewards = batch.rewards.astype(np.int32) % 3  # 0, 1, and 2 for -1.
    out = apply({'params': state.dt.params}, batch.observations[:, :-1], returns, tokens, rewards)
    log_p = [np.log(softmax(np.asarray(x, np.float64))) for x in out]
    for b, t in itertools.product(range(B), range(T)):
      if batch.is_valid[b, t]:
        num_valid += 1
        sums['return'] -= log_p[0][b, t, returns[b, t]]
        for action, share in targets[b, t].items():
          weight += share
          sums['action'] -= share * log_p[1][b, t, action]
          sums['reward'] -= share * log_p[2][b, t, rewards[b, t]]
  return {'dt/action_loss': sums['action'] / weight, 'dt/reward_loss': sums['reward'] / weight,
          'dt/return_loss': sums['return'] / num_valid}


class UpdateTest(parameterized.TestCase):

  @parameterized.parameters(*pseudo_labels.MODES)
  def test_losses_are_those_of_loops_in_numpy(self, mode):
    state, whole = alpt_test.start(), batches()
    logits = idm_logits(state, whole.limited)
    step_key = jax.random.fold_in(alpt_test.KEY, 0)
    drawn = np.asarray(jax.random.categorical(
        jax.random.fold_in(step_key, 3), jnp.asarray(logits / TEMPERATURE, jnp.float32)))
    _, metrics = run_update(mode)
    for name, value in numpy_metrics(mode, state, whole, drawn).items():
      np.testing.assert_allclose(metrics[name], value, rtol=2e-5, err_msg=name)
    total = (metrics['dt/return_loss'] + metrics['dt/action_loss'] + 2 * metrics['dt/reward_loss'])
    np.testing.assert_allclose(metrics['dt/loss'], total, rtol=1e-6)

  @parameterized.parameters(*NOT_HARD)
  def test_says_how_sure_the_idm_is_of_labels_that_count(self, mode):
    state, whole = alpt_test.start(), batches()
    confidence = softmax(idm_logits(state, whole.limited) / TEMPERATURE).max(axis=-1)
    confidence = confidence[whole.limited.is_valid & ~whole.limited.is_labelled]
    self.assertBetween(np.mean(confidence >= THRESHOLD), .1, .9)  # Or the tests here test little.
    _, metrics = run_update(mode)
    np.testing.assert_allclose(metrics['dt/label_confidence'], confidence.mean(), rtol=1e-5)
    self.assertEqual('dt/labels_kept' in metrics, mode == 'thresholded')
    if mode == 'thresholded':
      np.testing.assert_allclose(
          metrics['dt/labels_kept'], np.mean(confidence >= THRESHOLD), rtol=1e-6)

  def test_modes_differ(self):
    values = [float(run_update(mode)[1]['dt/action_loss']) for mode in pseudo_labels.MODES]
    self.assertLen({round(value, 4) for value in values}, len(values))

  @parameterized.parameters(*NOT_HARD)
  def test_pieces_add_up_to_the_batch(self, mode):
    whole, whole_metrics = run_update(mode)
    pieces, metrics = run_update(mode, accumulate=2)
    self.assertEqual(metrics.keys(), whole_metrics.keys())
    for name in metrics:
      np.testing.assert_allclose(metrics[name], whole_metrics[name], rtol=1e-5, err_msg=name)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
                 whole.dt.params, pieces.dt.params)

  @parameterized.parameters(('thresholded', 1., 0.), ('weighted', 1e-9, .5), ('soft', 1e-9, .5),
                            ('sampled', 1e-9, .5), ('thresholded', 1e-9, 1.))
  def test_certain_labels_and_labels_that_all_count_are_hard(
      self, mode, temperature, threshold):
    hard, hard_metrics = run_update('hard')
    state, metrics = run_update(mode, temperature, threshold)
    for name in hard_metrics:
      np.testing.assert_allclose(metrics[name], hard_metrics[name], rtol=1e-6, err_msg=name)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
                 hard.dt.params, state.dt.params)

  def test_samples_are_drawn_anew_at_every_update(self):
    values = [float(run_update('sampled', temperature=5., step=step)[1]['dt/action_loss'])
              for step in (0, 1, 2, 0)]
    self.assertLen(set(values), 3)
    self.assertEqual(values[0], values[3])

  @parameterized.parameters(*pseudo_labels.MODES)
  def test_labels_train_no_idm(self, mode):
    state, _ = run_update(mode)
    self.assertTrue(alpt_test.are_equal(state.idm, alpt_test.start().idm))
    idm = NETWORKS.idm

    def label_sum(params):
      logits = alpt._legal_logits(
          idm, params, batches().limited.observations, jnp.ones((1, A), bool))
      labels, _ = HEAD.pseudo_labels(
          logits, pseudo_labels.Settings(mode, TEMPERATURE), alpt_test.KEY)
      return sum(jnp.sum(x) for x in (labels.weights, labels.probabilities) if x is not None)

    if mode in ('soft', 'weighted'):
      for gradient in jax.tree.leaves(jax.grad(label_sum)(alpt_test.start().idm.params)):
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


class LabelsTest(parameterized.TestCase):

  def make(self, logits, mode, temperature=1., threshold=.5, seed=0):
    return HEAD.pseudo_labels(
        jnp.asarray(logits, jnp.float32), pseudo_labels.Settings(mode, temperature, threshold),
        jax.random.key(seed))

  def test_temperature_divides_the_logits(self):
    labels, confidence = self.make([[[np.log(4.), 0., -np.inf]]], 'soft', temperature=2.)
    np.testing.assert_allclose(labels.probabilities[0, 0], [2 / 3, 1 / 3, 0.], rtol=1e-6)
    np.testing.assert_allclose(confidence, [[2 / 3]], rtol=1e-6)
    self.assertEqual(labels.probabilities[0, 0, 2], 0.)

  def test_extreme_temperatures_have_their_limits(self):
    logits = [[[3., -np.inf, 1., 2.]]]
    for temperature, expected in ((1e-30, [1, 0, 0, 0]), (1e30, [1 / 3, 0, 1 / 3, 1 / 3])):
      labels, _ = self.make(logits, 'soft', temperature=temperature)
      np.testing.assert_allclose(labels.probabilities[0, 0], expected, rtol=1e-6)
      self.assertEqual(labels.ids[0, 0], 0)

  def test_low_precision_logits_become_float32_probabilities(self):
    labels, confidence = HEAD.pseudo_labels(
        jnp.zeros((1, 1, 3), jnp.bfloat16), pseudo_labels.Settings('soft'), jax.random.key(0))
    self.assertEqual((labels.probabilities.dtype, confidence.dtype), (jnp.float32, jnp.float32))
    np.testing.assert_allclose(labels.probabilities[0, 0], [1 / 3] * 3, rtol=1e-6)

  def test_threshold_itself_counts(self):
    labels, _ = self.make([[[0., 0.], [0., 1.]]], 'thresholded', threshold=.5)
    np.testing.assert_array_equal(labels.is_kept, [[True, True]])
    labels, _ = self.make([[[0., 0.], [0., 1.]]], 'thresholded', threshold=.6)
    np.testing.assert_array_equal(labels.is_kept, [[False, True]])

  def test_samples_have_the_frequencies_of_the_distribution(self):
    num_draws = 40_000
    logits = np.array([np.log(.1), np.log(.6), -np.inf, np.log(.3)])
    drawn = np.asarray(self.make(
        np.broadcast_to(logits, (num_draws // 4, 4, 4)), 'sampled', temperature=.5)[0].ids)
    expected = np.array([.01, .36, 0., .09]) / .46  # Squared, as the temperature is a half.
    found = np.bincount(drawn.ravel(), minlength=4) / num_draws
    self.assertEqual(found[2], 0.)
    np.testing.assert_array_less(
        np.abs(found - expected), 5 * np.sqrt(expected * (1 - expected) / num_draws) + 1e-12)

  @parameterized.parameters(*NOT_HARD)
  def test_true_labels_stay_and_count_whole(self, mode):
    rng = np.random.default_rng(0)
    for seed in range(5):
      known = rng.random((B, T)) < rng.random()
      batch = alpt_test.make_batch(seed, known)
      labels, _ = self.make(rng.normal(size=(B, T, A)), mode, threshold=.6, seed=seed)
      taught = pseudo_labels.fill_in(batch, labels, alpt_test.HEAD)
      other = alpt_test.make_batch(seed + 9, known)
      joined = alpt._dt_batch(alpt_test.HEAD, other, taught, None)
      for part, truth in ((taught, batch), (alpt_test.rows(joined, slice(None, None, 2)), other),
                          (alpt_test.rows(joined, slice(1, None, 2)), batch)):
        self.assertTrue(np.all(part.is_labelled[known]))
        np.testing.assert_array_equal(part.actions[known], truth.actions[known])
        if part.action_weights is not None:
          np.testing.assert_array_equal(part.action_weights[known], 1.)
        if part.action_probabilities is not None:
          np.testing.assert_array_equal(
              part.action_probabilities[known], np.eye(A)[truth.actions[known]])

  def test_gradient_of_soft_is_the_mean_of_those_of_hard(self):
    rng = np.random.default_rng(0)
    num_steps, num_actions = 2, 3
    shape = num_steps, num_actions
    logits = decision_transformer.DTLogits(
        *jnp.asarray(rng.normal(size=(3, 1, *shape)), jnp.float32))
    p = softmax(rng.normal(size=shape))
    zeros, yes = jnp.zeros((1, num_steps), jnp.int32), jnp.ones((1, num_steps), bool)

    def gradient(actions, probabilities=None):
      return jax.grad(lambda x: losses.dt_loss(
          HEAD, x, returns=zeros, actions=jnp.asarray([actions], jnp.int32), rewards=zeros,
          has_action=yes, is_valid=yes, reward_weight=1., action_probabilities=probabilities)[0])(
              logits).actions

    mean = sum(p[0, a] * p[1, b] * gradient((a, b))
               for a, b in itertools.product(range(num_actions), repeat=2))
    soft = gradient((0, 0), jnp.asarray(p[None], jnp.float32))
    np.testing.assert_allclose(soft, mean, rtol=1e-4, atol=1e-7)

  def test_weights_are_shares_of_their_sum(self):
    logits = decision_transformer.DTLogits(returns=jnp.zeros((1, 3, 2)), actions=jnp.log(jnp.array(
        [[[.5, .5], [.25, .75], [.9, .1]]])), rewards=None)
    zeros, yes = jnp.zeros((1, 3), jnp.int32), jnp.ones((1, 3), bool)
    has_action = jnp.array([[True, True, False]])
    for scale in (1., .01):  # Below 1 in all, too.
      _, metrics = losses.dt_loss(
          HEAD, logits, returns=zeros, actions=zeros, rewards=zeros, has_action=has_action,
          is_valid=yes, reward_weight=0., action_weights=scale * jnp.array([[1., .25, .5]]))
      expected = (np.log(2.) + .25 * np.log(4.)) / 1.25
      np.testing.assert_allclose(metrics['action_loss'], expected, rtol=1e-6)

  def test_weights_of_nothing_are_no_loss(self):
    value, gradient = jax.value_and_grad(losses.masked_mean)(jnp.ones(2), jnp.zeros(2))
    self.assertEqual(value, 0.)
    np.testing.assert_array_equal(gradient, np.zeros(2))

  @parameterized.parameters(
      (dict(mode='hardly'), "pseudo_labels.mode is 'hardly'; expected one of hard, soft"),
      (dict(temperature=0.), 'pseudo_labels.temperature is 0.0; expected'),
      (dict(temperature=float('inf')), 'pseudo_labels.temperature is inf; expected'),
      (dict(temperature=float('nan')), 'pseudo_labels.temperature is nan; expected'),
      (dict(threshold=1.1), 'pseudo_labels.threshold is 1.1; expected'),
      (dict(threshold=float('nan')), 'pseudo_labels.threshold is nan; expected'))
  def test_settings_that_mean_nothing_are_refused(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      pseudo_labels.check(pseudo_labels.Settings(**changes))


if __name__ == '__main__':
  absltest.main()
