"""Tests of the losses against values computed by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_space
from alpt_jax.learners import action_heads, losses
from alpt_jax.networks import decision_transformer

YES, NO = True, False
HEAD = action_heads.of(action_space.numbered(3))


def logits_of(probs):
  return jnp.log(jnp.array(probs, jnp.float32))


class MaskedMeanTest(absltest.TestCase):

  def test_is_the_mean_of_what_counts(self):
    x, mask = jnp.array([[1., 2.], [4., 100.]]), jnp.array([[YES, NO], [YES, NO]])
    self.assertEqual(losses.masked_mean(x, mask), 2.5)

  def test_of_nothing_is_zero_and_so_is_its_gradient(self):
    mask = jnp.zeros((2, 2), bool)
    value, gradient = jax.value_and_grad(losses.masked_mean)(jnp.ones((2, 2)), mask)
    self.assertEqual(value, 0.)
    np.testing.assert_array_equal(gradient, np.zeros((2, 2)))

  def test_not_a_number_does_not_leak_from_what_does_not_count(self):
    x, mask = jnp.array([[1., jnp.nan]]), jnp.array([[YES, NO]])
    value, gradient = jax.value_and_grad(losses.masked_mean)(x, mask)
    self.assertEqual(value, 1.)
    np.testing.assert_array_equal(gradient, [[1., 0.]])


class IdmLossTest(parameterized.TestCase):

  def test_is_the_mean_negative_log_likelihood(self):
    logits = logits_of([[[.5, .25, .25], [.125, .125, .75]]])
    yes = jnp.ones((1, 2), bool)
    loss, metrics = losses.idm_loss(HEAD, logits, jnp.array([[0, 1]]), yes, yes)
    self.assertAlmostEqual(float(loss), (math.log(2.) + math.log(8.)) / 2, places=6)
    self.assertEqual(metrics['loss'], loss)
    self.assertEqual(metrics['accuracy'], .5)

  def test_is_invariant_to_a_shift_of_the_logits(self):
    yes = jnp.ones((1, 1), bool)
    loss, _ = losses.idm_loss(HEAD, logits_of([[[.5, .5]]]) + 1e3, jnp.array([[1]]), yes, yes)
    self.assertAlmostEqual(float(loss), math.log(2.), places=4)

  @parameterized.named_parameters(
      ('unlabelled', [[YES, NO]], [[YES, YES]]), ('invalid', [[YES, YES]], [[YES, NO]]))
  def test_other_steps_have_no_influence(self, is_labelled, is_valid):
    is_labelled, is_valid = jnp.array(is_labelled), jnp.array(is_valid)

    def loss_of(logits, action):
      return losses.idm_loss(HEAD, logits, jnp.array([[0, action]]), is_labelled, is_valid)[0]

    logits = logits_of([[[.25, .75], [.5, .5]]])
    value, gradient = jax.value_and_grad(loss_of)(logits, 0)
    self.assertAlmostEqual(float(value), math.log(4.), places=6)
    self.assertEqual(loss_of(logits.at[0, 1].set(jnp.array([9., -9.])), 1), value)
    np.testing.assert_allclose(gradient[0, 0], [-.75, .75], rtol=1e-6)  # Softmax less one-hot.
    np.testing.assert_array_equal(gradient[0, 1], [0., 0.])

  def test_low_precision_logits_are_summed_in_float32(self):
    yes = jnp.ones((1, 1), bool)
    loss, _ = losses.idm_loss(HEAD, jnp.zeros((1, 1, 3), jnp.bfloat16), jnp.array([[1]]), yes, yes)
    self.assertEqual(loss.dtype, jnp.float32)
    self.assertAlmostEqual(float(loss), math.log(3.), places=6)


class DtLossTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    # One window of two steps.
    self.logits = decision_transformer.DTLogits(
        returns=logits_of([[[.5, .5], [.25, .75]]]),
        actions=logits_of([[[.125, .875], [.0625, .9375]]]),
        rewards=logits_of([[[.5, .25, .25], [.0625, .0625, .875]]]))
    self.targets = dict(returns=jnp.array([[0, 0]]), actions=jnp.array([[0, 0]]),
                        rewards=jnp.array([[1, 1]]))

  def loss(self, logits=None, *, has_action=(YES, YES), is_valid=(YES, YES), reward_weight=0.,
           **weights):
    return losses.dt_loss(
        HEAD, logits or self.logits, **self.targets, has_action=jnp.array([has_action]),
        is_valid=jnp.array([is_valid]), reward_weight=reward_weight, **weights)

  @parameterized.parameters(0., 1., 2.5)
  def test_adds_returns_actions_and_weighted_rewards(self, reward_weight):
    loss, metrics = self.loss(reward_weight=reward_weight)
    terms = {'return_loss': (math.log(2.) + math.log(4.)) / 2,
             'action_loss': (math.log(8.) + math.log(16.)) / 2,
             'reward_loss': (math.log(4.) + math.log(16.)) / 2}
    for name, value in terms.items():
      self.assertAlmostEqual(float(metrics[name]), value, places=6, msg=name)
    self.assertAlmostEqual(
        float(loss), terms['return_loss'] + terms['action_loss']
        + reward_weight * terms['reward_loss'], places=5)
    self.assertEqual(metrics['loss'], loss)
    self.assertEqual(metrics['action_accuracy'], 0.)

  @parameterized.parameters((.1, 1., 0.), (2., .5, .25), (0., 1., .1), (1., 0., 0.))
  def test_weights_are_of_the_loss_and_of_no_metric(self, return_weight, action_weight,
                                                    reward_weight):
    weights = dict(return_weight=return_weight, action_weight=action_weight)
    loss, metrics = self.loss(reward_weight=reward_weight, **weights)
    expected = (1.5 * return_weight + 3.5 * action_weight + 3. * reward_weight) * math.log(2.)
    self.assertAlmostEqual(float(loss), expected, places=5)
    self.assertEqual(metrics['loss'], loss)
    _, unweighted = self.loss(reward_weight=1.)
    for name in ('return_loss', 'action_loss', 'reward_loss', 'action_accuracy'):
      self.assertEqual(metrics[name], unweighted[name])

  @parameterized.parameters('return', 'action')
  def test_gradients_of_a_term_have_its_weight(self, term):
    def gradient(weight):
      return jax.grad(lambda logits: self.loss(logits, **{f'{term}_weight': weight})[0])(
          self.logits)._asdict()

    for name, plain in gradient(1.).items():
      factor = .25 if name == f'{term}s' else 1.  # A power of 2 is exact.
      np.testing.assert_array_equal(gradient(.25)[name], factor * plain)

  def test_weights_of_1_are_bit_for_bit_the_sum(self):
    def summed(logits):
      _, metrics = self.loss(logits, reward_weight=1.)
      return metrics['return_loss'] + metrics['action_loss'] + .3 * metrics['reward_loss']

    def weighted(logits):
      return self.loss(logits, reward_weight=.3, return_weight=1., action_weight=1.)[0]

    logits = jax.tree.map(
        lambda x: x + jax.random.normal(jax.random.key(0), x.shape), self.logits)
    results = [jax.jit(jax.value_and_grad(f))(logits) for f in (summed, weighted)]
    jax.tree.map(np.testing.assert_array_equal, *results)

  def test_without_a_reward_head_is_eq_3(self):
    loss, metrics = self.loss(self.logits._replace(rewards=None), reward_weight=1.)
    self.assertAlmostEqual(float(loss), 1.5 * math.log(2.) + 3.5 * math.log(2.), places=5)
    self.assertNotIn('reward_loss', metrics)

  def test_step_without_action_counts_for_the_return_only(self):
    loss_fn = lambda logits: self.loss(logits, has_action=(YES, NO), reward_weight=1.)  # noqa: E731
    (loss, metrics), gradients = jax.value_and_grad(loss_fn, has_aux=True)(self.logits)
    self.assertAlmostEqual(float(metrics['return_loss']), 1.5 * math.log(2.), places=6)
    self.assertAlmostEqual(float(metrics['action_loss']), math.log(8.), places=6)
    # The reward is predicted from the step's action, which is not known.
    self.assertAlmostEqual(float(metrics['reward_loss']), math.log(4.), places=6)
    self.assertAlmostEqual(float(loss), (1.5 + 3. + 2.) * math.log(2.), places=5)
    self.assertTrue((gradients.returns[0, 1] != 0.).all())
    np.testing.assert_array_equal(gradients.actions[0, 1], np.zeros(2))
    np.testing.assert_array_equal(gradients.rewards[0, 1], np.zeros(3))

  def test_invalid_step_does_not_count(self):
    loss_fn = lambda logits: self.loss(logits, is_valid=(YES, NO), reward_weight=1.)  # noqa: E731
    (loss, _), gradients = jax.value_and_grad(loss_fn, has_aux=True)(self.logits)
    self.assertAlmostEqual(float(loss), (1. + 3. + 2.) * math.log(2.), places=5)
    for gradient in gradients:
      np.testing.assert_array_equal(gradient[0, 1], np.zeros(gradient.shape[-1]))
