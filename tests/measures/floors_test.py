"""Floors of label accuracy."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.domains.maze import env
from alpt_jax.measures import floors


class ShareTest(absltest.TestCase):

  def test_value_is_over_transitions_and_interval_over_episodes(self):
    # One long episode that is right, one short one that is wrong: a resample of two episodes has
    # share 0, .9 or 1.
    found = floors.mean([True] * 9 + [False], [0] * 9 + [1])
    self.assertEqual(found, floors.Mean(.9, 0., 1., 10, 2))

  def test_single_episode_has_no_interval(self):
    self.assertEqual(floors.mean([1, 0], [5, 5]), floors.Mean(.5, None, None, 2, 1))

  def test_interval_narrows_with_episodes_not_with_steps(self):
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(size=20)
    widths = []
    for length in (50, 500):
      is_right = (rng.random((20, length)) < accuracy[:, None]).ravel()
      found = floors.mean(is_right, np.repeat(np.arange(20), length))
      widths.append(found.high - found.low)
    self.assertLess(abs(widths[0] - widths[1]), .05)
    # 1.96 x 2 standard errors of the mean of 20 uniform numbers: .25.
    self.assertBetween(widths[1], .18, .32)

  def test_refuses_no_transitions(self):
    with self.assertRaisesRegex(ValueError, r'shape \(0,\).*at least one'):
      floors.mean([], [])


class FrequentTest(absltest.TestCase):

  def test_most_frequent(self):
    self.assertEqual(floors.most_frequent([2, 0, 2, 1], 3), floors.Frequent(2, .5))

  def test_constant_is_above_95_percent(self):
    self.assertFalse(floors.is_constant(floors.most_frequent([1] * 19 + [0], 2)))
    self.assertTrue(floors.is_constant(floors.most_frequent([1] * 20 + [0], 2)))

  def test_refuses_actions_out_of_range(self):
    with self.assertRaisesRegex(ValueError, r'in \[0, 3\]; expected at least one, in \[0, 3\)'):
      floors.most_frequent([0, 3], 3)


class TableTest(parameterized.TestCase):

  def test_most_frequent_action_of_a_change_and_majority_of_others(self):
    table = floors.fit_table([b'a', b'a', b'a', b'b', b'c'], [1, 2, 2, 0, 2])
    np.testing.assert_array_equal(floors.predict_table(table, [b'a', b'b', b'd']), [2, 0, 2])

  @parameterized.parameters('vector', 'grid')
  def test_step_in_a_maze_is_the_same_change_everywhere(self, kind):
    layout = env.layout_of('maze-8-blocks:3-seed0')
    positions = env.starts(layout)
    keys = {}
    for action in range(env.NUM_ACTIONS):
      after = env.move(layout.walls, positions, np.full(len(positions), action))
      seen = [env.observe(layout.walls, layout.goal, x)['xy' if kind == 'vector' else 'grid']
              for x in (positions, after)]
      for key, is_moved in zip(floors.change_keys(*seen, kind), (positions != after).any(axis=1),
                               strict=True):
        keys.setdefault(key, set()).add(action if is_moved else None)
    # Four moves, and no change.
    self.assertCountEqual(map(tuple, keys.values()), [(0,), (1,), (2,), (3,), (None,)])

  def test_grid_key_knows_plane_and_direction(self):
    empty = np.zeros((1, 3, 3, 2), np.uint8)
    cells = [empty.copy() for _ in range(3)]
    cells[0][0, 0, 0, 0] = cells[1][0, 2, 1, 0] = cells[2][0, 0, 0, 1] = 1
    appears, elsewhere, other_plane = (floors.change_keys(empty, x, 'grid')[0] for x in cells)
    self.assertEqual(appears, elsewhere)
    self.assertNotEqual(appears, other_plane)
    self.assertNotEqual(appears, floors.change_keys(cells[0], empty, 'grid')[0])

  def test_refuses_images(self):
    with self.assertRaisesRegex(ValueError, "kind is 'image'"):
      floors.change_keys(np.zeros((1, 4, 4, 1)), np.zeros((1, 4, 4, 1)), 'image')


class LinearTest(absltest.TestCase):

  def test_finds_which_way_something_moved_and_not_where(self):
    rng = np.random.default_rng(0)
    num = 400
    images = np.zeros((num, 2, 84, 84, 1), np.uint8)
    actions = rng.integers(3, size=num)
    for image, action in zip(images, actions, strict=True):
      column = rng.integers(20, 60)
      image[0, 70:74, column:column + 8] = image[1, 70:74, column:column + 8] = 200
      image[1, 40, 8 * action] = 90  # A mark that says what was done, far from what moves.
    features = floors.change_features(images[:, 0], images[:, 1])
    self.assertEqual(features.shape, (num, 2 * 21 * 21))
    found = floors.fit_linear(features[:300], actions[:300], 3)
    self.assertEqual(
        np.mean(floors.predict_linear(found, features[300:]) == actions[300:]), 1.)

  def test_features_are_means_over_cells_of_four(self):
    before, after = np.zeros((2, 1, 84, 84, 1), np.uint8)
    after[0, 4, 4], before[0, 4, 5] = 32, 16
    change, size = floors.change_features(before, after).reshape(2, 21, 21)
    self.assertEqual((change[1, 1], size[1, 1]), (1., 3.))
    self.assertEqual((np.count_nonzero(change), np.count_nonzero(size)), (1, 1))

  def test_uneven_sides_are_filled_up(self):
    before = np.zeros((2, 30, 40, 3), np.uint8)
    self.assertEqual(floors.change_features(before, before).shape, (2, 2 * 15 * 20))

  def test_says_majority_where_nothing_changes(self):
    found = floors.fit_linear(np.zeros((10, 4)), [1] * 6 + [0] * 4, 3)
    np.testing.assert_array_equal(floors.predict_linear(found, np.zeros((3, 4))), [1, 1, 1])

  def test_weights_are_those_of_ridge_regression(self):
    rng = np.random.default_rng(0)
    x, actions = rng.normal(size=(50, 3)), rng.integers(2, size=50)
    found = floors.fit_linear(x, actions, 2)
    centred = x - x.mean(axis=0)
    gram = centred.T @ centred
    alpha = found.penalty * np.trace(gram) / 3
    expected = np.linalg.solve(gram + alpha * np.eye(3), centred.T @ np.eye(2)[actions])
    np.testing.assert_allclose(found.weights, expected, rtol=1e-9)

  def test_values_of_a_linear_world_are_found(self):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(80, 3)), np.array([[2., 0], [-1, 1], [0, .5]])
    found = floors.fit_linear_values(x[:60], x[:60] @ weights + [3, -1])
    np.testing.assert_allclose(floors.predict_values(found, x[60:]), x[60:] @ weights + [3, -1],
                               atol=1e-2)

  def test_values_are_those_of_ridge_regression_with_the_best_penalty(self):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 8))
    values = x[:, :2] + 2 * rng.normal(size=(50, 2))

    def slow(penalty, x, values):
      centred = x - x.mean(axis=0)
      gram = centred.T @ centred
      return np.linalg.solve(gram + penalty * np.trace(gram) / 8 * np.eye(8),
                             centred.T @ (values - values.mean(axis=0)))

    def error(penalty):
      weights = slow(penalty, x[:40], values[:40])
      said = values[:40].mean(axis=0) + (x[40:] - x[:40].mean(axis=0)) @ weights
      return np.sum((said - values[40:])**2)

    found = floors.fit_linear_values(x, values)
    self.assertEqual(found.penalty, min((10.**k for k in range(-4, 4)), key=error))
    np.testing.assert_allclose(found.weights, slow(found.penalty, x, values), rtol=1e-9)

  def test_one_label_is_refused(self):
    for fit in (lambda: floors.fit_linear([[1.]], [0], 2),
                lambda: floors.fit_linear_values([[1.]], [[0.]])):
      with self.assertRaisesRegex(ValueError, '1 transitions are labelled; expected at least 2'):
        fit()


class RandomDrawsTest(absltest.TestCase):

  def test_counts_only_random_steps(self):
    found = floors.on_random_draws([1, 0, 0, 1], [0, 0, 1, 1], [True, False, True, True], name='x')
    self.assertEqual((found.value, found.num_transitions), (2 / 3, 3))

  def test_refuses_data_without_the_mark(self):
    with self.assertRaisesRegex(ValueError, 'Pong: has no step field action_is_random, .* Of other '
                                            'data, an IDM that sees the past only'):
      floors.on_random_draws([1], [0], None, name='Pong')

  def test_refuses_if_nothing_was_random(self):
    with self.assertRaisesRegex(ValueError, 'Pong: no action'):
      floors.on_random_draws([1], [0], [False], name='Pong')


if __name__ == '__main__':
  absltest.main()
