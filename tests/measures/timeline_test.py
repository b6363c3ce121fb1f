"""Timelines: what comes before what, worked by hand, and independence of the order of rows."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import timeline as timeline_

# Episode 7: timesteps 0, 1, 3; episode 2: timesteps 4, 5. Rows in no order.
EPISODES = [7, 2, 7, 7, 2]
TIMESTEPS = [3, 5, 0, 1, 4]


class TimelineTest(parameterized.TestCase):

  def test_by_hand(self):
    timeline = timeline_.Timeline(EPISODES, TIMESTEPS)
    self.assertLen(timeline, 5)
    np.testing.assert_array_equal(timeline.episodes, [2, 7])
    np.testing.assert_array_equal(timeline.index, [1, 0, 1, 1, 0])
    np.testing.assert_array_equal(timeline.order, [4, 1, 2, 3, 0])
    np.testing.assert_array_equal(timeline.previous, [-1, 4, -1, 2, -1])  # 3 follows no 2.

  def test_nothing_is_before_the_first_timestep_of_an_episode(self):
    timeline = timeline_.Timeline([0, 0, 1, 1], [0, 1, 2, 3])  # Timesteps go on by chance.
    np.testing.assert_array_equal(timeline.previous, [-1, 0, -1, 2])

  def test_values_before_by_hand(self):
    timeline = timeline_.Timeline(EPISODES, TIMESTEPS)
    found, has_one = timeline.before([10., 11., 12., 13., 14.], np.ones(5, bool))
    np.testing.assert_array_equal(found, [0, 14, 0, 12, 0])
    np.testing.assert_array_equal(has_one, [False, True, False, True, False])
    found, has_one = timeline.before([[1, 2]] * 5, [[True, True]] * 4 + [[False, True]])
    np.testing.assert_array_equal(has_one, [[0, 0], [0, 1], [0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(found, [[0, 0], [0, 2], [0, 0], [1, 2], [0, 0]])

  def test_sums_by_hand(self):
    timeline = timeline_.Timeline(EPISODES, TIMESTEPS)
    np.testing.assert_array_equal(timeline.sums([1, 2, 4, 8, 16]), [18, 13])
    values = np.arange(20).reshape(5, 2, 2)
    np.testing.assert_array_equal(timeline.sums(values),
                                  [values[[1, 4]].sum(0), values[[0, 2, 3]].sum(0)])

  def test_halves_are_of_whole_episodes(self):
    timeline = timeline_.Timeline(np.repeat(np.arange(7), 10), np.tile(np.arange(10), 7))
    is_drawn = timeline.draw_half(seed=3)
    self.assertCountEqual(is_drawn.reshape(7, 10).sum(axis=1), [10] * 4 + [0] * 3)
    np.testing.assert_array_equal(is_drawn, timeline.draw_half(seed=3))
    self.assertGreater(len({timeline.draw_half(seed).tobytes() for seed in range(20)}), 5)

  def test_one_episode_has_no_halves(self):
    with self.assertRaisesRegex(ValueError, 'transitions of 1 episodes; expected at least 2'):
      timeline_.Timeline([3, 3], [0, 1]).draw_half()

  @parameterized.parameters(
      ([1, 1], [4, 4], 'have transition 4 of episode 1 twice'),
      ([1, 1], [4], r'timesteps have shape \(1,\); expected \(2,\)'),
      ([1., 1.], [4, 5], 'episodes are of type float64; expected integers'))
  def test_bad_rows_are_refused(self, episodes, timesteps, message):
    with self.assertRaisesRegex(ValueError, message):
      timeline_.Timeline(episodes, timesteps)

  def test_values_of_another_length_are_refused(self):
    with self.assertRaisesRegex(ValueError, r'true has shape \(3,\); expected \[2\]'):
      timeline_.Timeline([1, 1], [4, 5]).check([1, 2, 3], 'true')


if __name__ == '__main__':
  absltest.main()
