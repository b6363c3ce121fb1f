"""Tests of the return and reward bins."""

import numpy as np
from absl.testing import parameterized

from alpt_jax.networks import discretize


class DiscretizeTest(parameterized.TestCase):

  @parameterized.parameters((-20, 100, 121), (0, 1, 2))
  def test_one_bin_per_integer_with_both_ends(self, low, high, expected):
    self.assertEqual(discretize.num_return_bins(low, high), expected)
    returns = np.arange(low, high + 1, dtype=np.float32)
    bins = discretize.encode_return(returns, low=low, high=high)
    self.assertEqual(bins.dtype, np.int32)
    np.testing.assert_array_equal(bins, np.arange(expected))

  def test_outside_values_are_clipped(self):
    returns = np.array([[-np.inf, -1e12, -21., -20.], [100., 101., 1e12, np.inf]], np.float32)
    bins = discretize.encode_return(returns, low=-20, high=100)
    np.testing.assert_array_equal(bins, [[0] * 4, [120] * 4])

  def test_fractions_are_truncated_towards_zero(self):
    bins = discretize.encode_return(np.array([-1.9, -.5, .5, 1.9]), low=-20, high=100)
    np.testing.assert_array_equal(bins, [19, 20, 20, 21])

  def test_rewards_become_their_sign(self):
    ids = discretize.encode_reward(np.array([0., .25, 7., -3.]))
    self.assertEqual(ids.dtype, np.int32)
    np.testing.assert_array_equal(ids, [0, 1, 1, 2])

  @parameterized.parameters(5, 4)
  def test_empty_range_is_refused(self, high):
    with self.assertRaisesRegex(ValueError, f'5 must be below the highest {high}'):
      discretize.encode_return(np.zeros(2), low=5, high=high)
