"""What is refused as predictions, and what follows from them."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import accuracy
from alpt_jax.measures.predictions import Predictions
from tests.measures import predictions_data as data


class InputTest(parameterized.TestCase):

  @parameterized.parameters(
      (data.PROBABILITIES[0], data.ACTIONS, r'probabilities have shape \(3,\); expected \[trans'),
      (np.zeros((0, 3)), np.zeros(0, int), r'shape \(0, 3\); expected at least one transition'),
      (np.zeros((2, 0)), np.zeros(2, int), r'shape \(2, 0\); expected at least one transition'),
      ([[.5, .5], [.5, math.nan]], [0, 1], r'probabilities\[1, 1\] is nan; expected a number in'),
      ([[.5, .5], [-.5, 1.5]], [0, 1], r'probabilities\[1, 0\] is -0.5; expected a number in'),
      ([[.5, .5], [math.inf, 0]], [0, 1], r'probabilities\[1\] sum to inf; expected 1 within'),
      ([[.5, .5], [.5, .4998]], [0, 1], r'probabilities\[1\] sum to 0.9998; expected 1 within'),
      (data.PROBABILITIES, data.ACTIONS[:4], r'actions have shape \(4,\); expected \(5,\)'),
      (data.PROBABILITIES, data.ACTIONS[:, None], r'actions have shape \(5, 1\); expected \(5,\)'),
      (data.PROBABILITIES, data.ACTIONS * 1., 'actions are of type float64; expected integers'),
      (data.PROBABILITIES, data.IS_RIGHT, 'actions are of type bool; expected integers'),
      (data.PROBABILITIES, [0, 1, 1, 3, 1], r'actions\[3\] is 3; expected an id in \[0, 3\)'),
      (data.PROBABILITIES, [0, 1, -1, 2, 1], r'actions\[2\] is -1; expected an id in \[0, 3\)'))
  def test_bad_input_is_refused_by_name(self, probabilities, actions, message):
    with self.assertRaisesRegex(ValueError, message):
      Predictions(probabilities, actions)

  def test_rounding_of_single_precision_is_accepted(self):
    probabilities, actions = data.random_case()
    self.assertAlmostEqual(
        accuracy.negative_log_likelihood(Predictions(probabilities.astype(np.float32), actions)),
        accuracy.negative_log_likelihood(Predictions(probabilities, actions)), delta=1e-6)


class LegalTest(parameterized.TestCase):

  def test_probability_of_an_illegal_action_is_refused_by_place(self):
    with self.assertRaisesRegex(ValueError, r'probabilities\[1, 2\] is 1e-30; expected 0: the '
                                            r'legal actions are \[0, 1\]'):
      Predictions([[.5, .5, 0], [.5, .5, 1e-30]], [0, 1]).check_legal((1, 0))

  def test_legal_actions_may_have_any_probability(self):
    Predictions([[.5, .5, 0], [1, 0, 0]], [0, 1]).check_legal((0, 1))
    Predictions(data.PROBABILITIES, data.ACTIONS).check_legal((0, 1, 2))

  @parameterized.parameters(
      ((), r'legal_actions are \(\); expected at least one'),
      ((0, 3), r'legal_actions\[1\] is 3; expected an id in \[0, 3\)'),
      ((0., 1.), 'legal_actions are of type float64'))
  def test_bad_legal_actions_are_refused(self, legal_actions, message):
    with self.assertRaisesRegex(ValueError, message):
      Predictions(data.PROBABILITIES, data.ACTIONS).check_legal(legal_actions)


if __name__ == '__main__':
  absltest.main()
