"""Tests of the table of scenarios."""

import numpy as np
from absl.testing import parameterized

from alpt_jax import action_space
from alpt_jax.domains.doom import scenarios


class ScenariosTest(parameterized.TestCase):

  @parameterized.parameters(*scenarios.SCENARIOS)
  def test_parts_are_in_one_order_and_end_with_the_mouse(self, name):
    parts = scenarios.of(name).parts
    self.assertEqual(parts, tuple(part for part in scenarios.PARTS if part in parts))
    self.assertEqual(parts[-1], 'turn')
    space = scenarios.environment(name).spec().actions
    self.assertEqual(space.part_names, parts)
    low, high = scenarios.bounds(name)
    for values in (low, high):
      self.assertEqual(space.check({part: [x] for part, x in zip(parts, values, strict=True)},
                                   name=name), '')

  def test_declares_keys_and_mouse(self):
    space = scenarios.environment('defend_the_center').spec().actions
    attack, turn = space.parts
    self.assertEqual((attack.name, attack.kind, turn.kind), ('attack', 'binary', 'continuous'))
    self.assertEqual((turn.low, turn.high, turn.unit, turn.mode, turn.wraps),
                     (-30, 30, 'degrees', 'delta', False))
    widths = np.diff(turn.edges)
    self.assertBetween(widths.min(), .55, .65)
    self.assertBetween(widths.max(), 2.8, 2.9)

  def test_scenarios_share_an_action_space_in_which_each_lacks_its_own(self):
    names = list(scenarios.SCENARIOS)
    spaces = action_space.union([scenarios.environment(n).spec().actions for n in names], names)
    for name, space in zip(names, spaces, strict=True):
      self.assertEqual(space.part_names, scenarios.PARTS)
      has = [part in scenarios.of(name).parts for part in scenarios.PARTS]
      self.assertEqual(space.has.tolist(), has)

  def test_steps_a_second_follow_the_tics(self):
    self.assertEqual(scenarios.environment('my_way_home').steps_per_second, 8.75)
    self.assertEqual(scenarios.environment('my_way_home', frame_skip=5).steps_per_second, 7)

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
