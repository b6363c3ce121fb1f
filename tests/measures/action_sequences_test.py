"""Tests of what the actions of a recording tell without its observations."""

import math

from absl.testing import absltest

from alpt_jax.measures import action_sequences

STAY, LEFT, RIGHT, UP_RIGHT = range(4)
DIRECTIONS = [(0, 0), (-1, 0), (1, 0), (1, -1)]


class OppositeMovesTest(absltest.TestCase):

  def test_only_moves_with_a_successor_count(self):
    # The first left and the right are undone, the next left is not; the last right has no next.
    self.assertEqual(action_sequences.opposite_moves(
        [[LEFT, RIGHT, LEFT, LEFT, STAY, STAY, RIGHT]], DIRECTIONS), 2 / 4)

  def test_a_pause_between_two_moves_is_no_turn(self):
    self.assertEqual(action_sequences.opposite_moves([[LEFT, STAY, RIGHT, STAY]], DIRECTIONS), 0)

  def test_one_axis_suffices(self):
    self.assertEqual(action_sequences.opposite_moves([[UP_RIGHT, LEFT]], DIRECTIONS), 1)
    self.assertEqual(action_sequences.opposite_moves([[UP_RIGHT, RIGHT]], DIRECTIONS), 0)

  def test_episodes_do_not_touch(self):
    self.assertEqual(
        action_sequences.opposite_moves([[LEFT, LEFT], [RIGHT, RIGHT]], DIRECTIONS), 0)

  def test_without_moves_there_is_no_share(self):
    self.assertTrue(math.isnan(action_sequences.opposite_moves([[STAY, STAY], []], DIRECTIONS)))


if __name__ == '__main__':
  absltest.main()
