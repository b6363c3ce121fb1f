"""The head of discrete actions by hand; that of several parts is in part_heads_test.

Pseudo-labels and choices of discrete actions are in pseudo_labels_test and acting_test.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_space
from alpt_jax.learners import action_heads
from alpt_jax.networks import (
    action_layers,
)

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


if __name__ == '__main__':
  absltest.main()
