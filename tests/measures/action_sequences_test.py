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


class LastActionTableTest(absltest.TestCase):

  def test_table_is_fitted_on_every_other_episode(self):
    # Fitted: 0 -> 0 twice, 0 -> 1, 1 -> 0 and, in the third episode, 1 -> 1; the rows, with one
    # more of each pair: [3, 2] / 5 and [2, 2] / 4. Scored: 0 -> 0, 0 -> 1, 1 -> 1.
    found = action_sequences.last_action_table([[0, 0, 0, 1, 0], [0, 0, 1, 1], [1, 1]], 2)
    self.assertEqual(found['num_scored'], 3)
    self.assertAlmostEqual(
        found['log_loss'], -(math.log(3 / 5) + math.log(2 / 5) + math.log(2 / 4)) / 3)
    self.assertAlmostEqual(found['accuracy'], 1 / 3)  # Of equals, the first is the guess.
    # Without the last action: 0 three times, 1 twice, and one more of each: 4 / 7 and 3 / 7.
    self.assertAlmostEqual(
        found['majority_log_loss'], -(math.log(4 / 7) + 2 * math.log(3 / 7)) / 3)
    self.assertAlmostEqual(found['majority_accuracy'], 1 / 3)

  def test_alternation_is_told_by_the_last_action_only(self):
    found = action_sequences.last_action_table([[0, 1] * 500, [1, 0] * 500], 2)
    self.assertEqual(found['accuracy'], 1)
    self.assertLess(found['log_loss'], .01)
    self.assertAlmostEqual(found['majority_accuracy'], .5, delta=.001)

  def test_without_a_second_episode_nothing_is_known(self):
    for actions in ([[0, 1, 0]], [[0, 1, 0], [1]], []):
      found = action_sequences.last_action_table(actions, 2)
      self.assertEqual((found['accuracy'], found['log_loss'], found['num_scored']),
                       (None, None, 0))


if __name__ == '__main__':
  absltest.main()
