"""Actions of play, and blind agents that imitate them."""

import numpy as np
from absl.testing import absltest

from alpt_jax.measures import play


class DescribeTest(absltest.TestCase):

  def test_runs_do_not_cross_episodes(self):
    found = play.describe([[1, 1, 0], [0, 0, 2, 2], []])
    self.assertEqual(found, play.Actions(0, 3 / 7, 2))

  def test_standing_still_is_seen(self):
    self.assertEqual(play.describe([np.zeros(2500, int)]), play.Actions(0, 1., 2500))

  def test_actions_of_several_parts_are_equal_in_all_of_them(self):
    found = play.describe([np.array([[1, .5], [0, .5], [0, .5]]), np.array([[0, .5], [1, 2]])])
    self.assertEqual((found.most_frequent.tolist(), *found[1:]), ([0, .5], 3 / 5, 2))
    self.assertEqual(play.describe([np.ones((1, 3))])[1:], (1., 1))

  def test_refuses_nothing(self):
    with self.assertRaisesRegex(ValueError, 'expected at least one'):
      play.describe([[]])


class BlindAgentsTest(absltest.TestCase):

  def test_uniform_plays_legal_actions_only(self):
    np.testing.assert_array_equal(play.uniform([True, False, True]), [[.5, 0, .5]] * 4)

  def test_always(self):
    np.testing.assert_array_equal(play.always(1, 2), [[0, 1]] * 3)

  def test_markov_chain_counts_what_follows_what(self):
    found = play.markov_chain([[0, 0, 1], [1, 0], []], 3)
    np.testing.assert_allclose(found, [
        [.5, .5, 0],  # 0 is followed by 0 and by 1.
        [1, 0, 0],
        [.6, .4, 0],  # Nothing followed 2.
        [.5, .5, 0]])

  def test_repeat_keeps_rate_and_draws_others(self):
    found = play.repeat_last([[0, 0, 1, 2], [2, 2]], 3)  # 2 of 4 repeat; 2, 1 and 3 of 6.
    np.testing.assert_allclose(found, [
        [.5, .125, .375],
        [.2, .5, .3],
        [1 / 3, 1 / 6, .5],
        [1 / 3, 1 / 6, .5]])

  def test_repeat_of_one_action_is_that_action(self):
    np.testing.assert_allclose(play.repeat_last([[1, 1]], 2), [[1, 0], [0, 1], [0, 1]])

  def test_repeat_refuses_single_steps(self):
    with self.assertRaisesRegex(ValueError, 'two steps'):
      play.repeat_last([[1]], 2)


if __name__ == '__main__':
  absltest.main()
