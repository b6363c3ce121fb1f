"""Tests of the table of scenarios."""

import numpy as np
from absl.testing import parameterized

from alpt_jax.domains.doom import scenarios


class ScenariosTest(parameterized.TestCase):

  @parameterized.parameters(*scenarios.SCENARIOS)
  def test_parts_are_in_one_order_and_end_with_the_mouse(self, name):
    parts = scenarios.of(name).parts
    self.assertEqual(parts, tuple(part for part in scenarios.PARTS if part in parts))
    self.assertEqual(parts[-1], 'turn')
    self.assertEqual(tuple(scenarios.action_parts(name)), parts)

  def test_declares_keys_and_mouse(self):
    self.assertEqual(scenarios.action_parts('defend_the_center'), {
        'attack': {'kind': 'binary'},
        'turn': {'kind': 'continuous', 'low': -30., 'high': 30., 'unit': 'degrees',
                 'mode': 'delta', 'wraps': False}})

  @parameterized.parameters(*scenarios.SCENARIOS)
  def test_draws_are_uniform_within_bounds(self, name):
    rng = np.random.default_rng(0)
    drawn = np.stack([scenarios.draw(name, rng) for _ in range(4000)])
    low, high = scenarios.bounds(name)
    self.assertTrue((drawn >= low).all() and (drawn <= high).all())
    np.testing.assert_allclose(drawn[:, :-1].mean(axis=0), .5, atol=.04)
    counts, _ = np.histogram(drawn[:, -1], bins=10, range=(-30, 30))
    self.assertLess(np.abs(counts - 400).max(), 4 * np.sqrt(400 * .9))
    self.assertEqual(drawn.dtype, np.float32)
