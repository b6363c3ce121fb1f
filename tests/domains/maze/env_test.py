"""Tests of the mazes: the layouts drawn, and what happens in them."""

import dm_env
import numpy as np
from absl.testing import absltest, parameterized
from dm_env import test_utils

from alpt_jax.domains.maze import env as maze

# Printed by google-research/dice_rl's own Maze(size, kind, maze_seed); the blocked one has the
# default arguments of the authors' release.
DICE_RL_BLOCKS = """
xxxxxxxxxx
x.....x..x
x........x
xx.......x
x.x......x
x...T...xx
x.x.....xx
x........x
x....xxxxx
xxxxxxxxxx
"""
DICE_RL_TUNNEL = """
xxxxxxxxxxxxxx
x..x.....x..xx
x..x.....x..xx
x..x..x..x..xx
x.....x..x..xx
x.....x..x..xx
xxxxxxx..xT.xx
x...........xx
x...........xx
x..xxxxxxx..xx
x...........xx
x...........xx
xxxxxxxxxxxxxx
xxxxxxxxxxxxxx
"""

# Two free rooms of one column each, joined at the bottom; the cell at (1, 5) is sealed.
SMALL = """
xxxxxxx
x.xTx.x
x.x.xxx
x...xxx
xxxxxxx
xxxxxxx
xxxxxxx
"""
ROOM = """
xxxxx
x...x
x.T.x
x...x
xxxxx
"""


def parse(picture):
  cells = np.array([list(line) for line in picture.split()])
  goal = np.argwhere(cells == 'T')[0]
  return maze.Layout(walls=cells == 'x', goal=(int(goal[0]), int(goal[1])), name='picture')


def relaxed_distances(walls, goal):
  """Distances by repeated relaxation of the whole grid, without a queue."""
  far = 10 ** 6
  distance = np.where(walls, far, far // 2)
  distance[goal] = 0
  while True:
    nearest = np.min([np.roll(distance, shift, axis) for shift in (-1, 1) for axis in (0, 1)], 0)
    relaxed = np.where(walls, far, np.minimum(distance, nearest + 1))
    if (relaxed == distance).all():
      return np.where(distance < far // 2, distance, -1)
    distance = relaxed


class LayoutTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('blocks', 'blocks:10', 10, 64, DICE_RL_BLOCKS),
      ('tunnel', 'tunnel', 14, 0, DICE_RL_TUNNEL))
  def test_same_seed_gives_the_maze_of_dice_rl(self, kind, size, seed, picture):
    layout = maze.make_layout(kind, size=size, seed=seed)
    expected = parse(picture)
    np.testing.assert_array_equal(layout.walls, expected.walls)
    self.assertEqual(layout.goal, expected.goal)
    self.assertEqual(layout.name, f'maze-{size}-{kind}-seed{seed}')

  @parameterized.parameters(0, 10, 100)
  def test_blocks_are_exactly_as_many_as_asked_inside_the_border(self, count):
    for seed in range(20):
      walls = maze.make_layout(f'blocks:{count}', seed=seed).walls
      self.assertEqual(walls[1:-1, 1:-1].sum(), count)
      self.assertTrue(walls[[0, -1]].all() and walls[:, [0, -1]].all())

  def test_tunnels_have_the_free_cells_measured_from_dice_rl(self):
    free = [(~maze.make_layout('tunnel', seed=seed).walls).sum() for seed in range(100)]
    self.assertEqual((min(free), max(free)), (214, 232))
    self.assertAlmostEqual(np.mean(free), 223.5, delta=0.05)

  def test_tunnels_connect_two_wide_rooms_and_leave_a_double_border(self):
    for seed in range(20):
      layout = maze.make_layout('tunnel', seed=seed)
      free = ~layout.walls
      self.assertFalse(free[18:].any() or free[:, 18:].any())
      for row in range(1, 18, 3):
        for column in range(1, 18, 3):
          self.assertTrue(free[row:row + 2, column:column + 2].all())
      self.assertLen(maze.starts(layout), free.sum() - 1)

  def test_one_in_a_hundred_blocked_mazes_has_a_sealed_cell(self):
    num_starts = [len(maze.starts(maze.make_layout('blocks:10', seed=s))) for s in range(100)]
    self.assertCountEqual(num_starts, [313] * 99 + [312])

  def test_large_tunnels_can_be_carved(self):
    layout = maze.make_layout('tunnel', size=151, seed=0)
    self.assertLen(maze.starts(layout), (~layout.walls).sum() - 1)

  def test_goals_differ_between_seeds(self):
    self.assertGreater(len({maze.make_layout('blocks:10', seed=s).goal for s in range(20)}), 10)

  @parameterized.named_parameters(
      ('kind', dict(kind='rooms', seed=0), "Unknown maze kind 'rooms'"),
      ('no_count', dict(kind='blocks', seed=0), "Unknown maze kind 'blocks'"),
      ('negative_count', dict(kind='blocks:-1', seed=0), "Unknown maze kind 'blocks:-1'"),
      ('too_many', dict(kind='blocks:8', size=5, seed=0), 'room for 7 blocks'),
      ('no_room', dict(kind='blocks:1', size=2, seed=0), 'room for 0 blocks'),
      ('no_corridor', dict(kind='tunnel', size=6, seed=0), 'at least 7'),
      ('seed', dict(kind='tunnel', seed=-1), 'seed of maze-20-tunnel-seed-1 is -1'))
  def test_bad_arguments_are_refused(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      maze.make_layout(**arguments)

  @parameterized.named_parameters(
      ('open_border', np.zeros([4, 4], bool), (1, 1), 'border open'),
      ('goal_in_wall', np.ones([4, 4], bool), (1, 1), 'is a wall'),
      ('goal_walled_in', np.pad([[False, True], [True, False]], 1, constant_values=True), (1, 1),
       'walled in'),
      ('not_square', np.ones([4, 5], bool), (1, 1), 'square bool'),
      ('not_bool', np.ones([4, 4]), (1, 1), 'square bool'))
  def test_impossible_layouts_are_refused(self, walls, goal, message):
    with self.assertRaisesRegex(ValueError, message):
      maze.Layout(walls=walls, goal=goal, name='mine')


class ShortestPathsTest(parameterized.TestCase):

  @parameterized.product(kind=('blocks:10', 'blocks:120', 'tunnel'), seed=(0, 1, 2))
  def test_distances_equal_relaxation(self, kind, seed):
    layout = maze.make_layout(kind, seed=seed)
    np.testing.assert_array_equal(maze.distances(layout.walls, layout.goal),
                                  relaxed_distances(layout.walls, layout.goal))

  @parameterized.product(kind=('blocks:10', 'blocks:120', 'tunnel'), seed=(0, 1, 2))
  def test_every_optimal_action_comes_one_cell_closer(self, kind, seed):
    layout = maze.make_layout(kind, seed=seed)
    distance = relaxed_distances(layout.walls, layout.goal)
    actions = maze.optimal_actions(layout.walls, layout.goal)
    np.testing.assert_array_equal(actions >= 0, distance > 0)
    cells = np.argwhere(distance > 0)
    reached = maze.move(layout.walls, cells, actions[tuple(cells.T)])
    np.testing.assert_array_equal(distance[tuple(reached.T)], distance[tuple(cells.T)] - 1)

  def test_ties_go_to_the_action_found_first(self):
    layout = parse(ROOM)
    # By hand: the queue is (2, 2), then (1, 2), (2, 1), (3, 2), (2, 3); (1, 2) claims (1, 1) and
    # (1, 3), (2, 1) claims (3, 1), (3, 2) claims (3, 3).
    expected = [[maze.RIGHT, maze.DOWN, maze.LEFT],
                [maze.RIGHT, -1, maze.LEFT],
                [maze.UP, maze.UP, maze.LEFT]]
    actions = maze.optimal_actions(layout.walls, layout.goal)
    self.assertEqual(actions[1:-1, 1:-1].tolist(), expected)
    self.assertEqual(set(actions[0]) | set(actions[:, 0]), {-1})

  def test_starts_are_the_cells_that_reach_the_goal_row_by_row(self):
    self.assertEqual(maze.starts(parse(SMALL)).tolist(),
                     [[1, 1], [2, 1], [2, 3], [3, 1], [3, 2], [3, 3]])


class MoveAndObserveTest(absltest.TestCase):

  def test_each_action_moves_its_way_unless_a_wall_is_there(self):
    layout = parse(ROOM)
    actions = np.array([maze.DOWN, maze.RIGHT, maze.UP, maze.LEFT])
    centre, corner = np.full([4, 2], 2), np.full([4, 2], 1)
    self.assertEqual(maze.move(layout.walls, centre, actions).tolist(),
                     [[3, 2], [2, 3], [1, 2], [2, 1]])
    self.assertEqual(maze.move(layout.walls, corner, actions).tolist(),
                     [[2, 1], [1, 2], [1, 1], [1, 1]])

  def test_observation_shows_walls_goal_and_agent(self):
    layout = parse(ROOM)
    seen = maze.observe(layout.walls, layout.goal, np.array([[1, 3], [2, 2]]))
    self.assertEqual(seen['xy'].dtype, np.int32)
    self.assertEqual(seen['xy'].tolist(), [[1, 3], [2, 2]])
    self.assertEqual((seen['grid'].dtype, seen['grid'].shape), (np.uint8, (2, 5, 5, 3)))
    for b, agent in enumerate([[1, 3], [2, 2]]):
      np.testing.assert_array_equal(seen['grid'][b, ..., 0], layout.walls)
      self.assertEqual(np.argwhere(seen['grid'][b, ..., 1]).tolist(), [[2, 2]])
      self.assertEqual(np.argwhere(seen['grid'][b, ..., 2]).tolist(), [agent])

  def test_cells_are_read_off_both_observations(self):
    layout = maze.make_layout('blocks:10', size=12, seed=3)
    cells = maze.starts(layout)
    seen = maze.observe(layout.walls, layout.goal, cells)
    for observation in ('xy', 'grid'):
      np.testing.assert_array_equal(maze.positions_of(seen[observation]), cells)


class SpecTest(absltest.TestCase):

  def test_spec_describes_both_observations(self):
    layout = maze.make_layout('tunnel', size=13, seed=0)
    env_step = maze.Maze(layout, seed=0).reset()
    for key, kind in (('xy', 'vector'), ('grid', 'grid')):
      described = maze.spec(layout, key)
      self.assertEqual(described.name, 'maze-13-tunnel-seed0')
      self.assertEqual((described.observation_key, described.observation_kind), (key, kind))
      self.assertEqual(described.observation_shape, env_step.observation[key].shape)
      self.assertEqual((described.observation_low, described.observation_high), (0, 12))
      self.assertEqual((described.num_actions, described.legal_actions), (4, (0, 1, 2, 3)))
      self.assertEqual((described.return_low, described.return_high), (0, 1))

  def test_unknown_observation_is_refused(self):
    with self.assertRaisesRegex(ValueError, "'pixels'"):
      maze.spec(parse(ROOM), 'pixels')


class MazeContractTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
  """dm_env's own checks; random actions in a room end some episodes at the goal, some by time."""

  def make_object_under_test(self):
    return maze.Maze(parse(ROOM), seed=0, horizon=8)

  def make_action_sequence(self):
    yield from np.random.default_rng(0).integers(4, size=200).astype(np.int32)


class MazeTest(absltest.TestCase):

  def test_reaching_the_goal_pays_one_and_terminates(self):
    layout = parse(SMALL)
    env = maze.Maze(layout, seed=0)
    actions = maze.optimal_actions(layout.walls, layout.goal)
    distance = maze.distances(layout.walls, layout.goal)
    for _ in range(20):
      step = env.reset()
      for left in range(distance[tuple(step.observation['xy'])], 0, -1):
        self.assertFalse(step.last())
        step = env.step(actions[tuple(step.observation['xy'])])
        self.assertEqual(step.reward, 1. if left == 1 else 0.)
      self.assertTrue(step.last())
      self.assertEqual(step.discount, 0.)
      self.assertEqual(tuple(step.observation['xy']), layout.goal)

  def test_horizon_truncates_with_discount_one(self):
    layout = parse(ROOM)
    env = maze.Maze(layout, seed=0, horizon=7)
    step = env.reset()
    start = step.observation['xy']
    # From any start of the room, some wall is adjacent: bumping into it never reaches the goal.
    bump = next(a for a in range(4) if layout.walls[tuple(start + maze.MOVES[a])])
    for _ in range(7):
      self.assertFalse(step.last())
      step = env.step(bump)
      np.testing.assert_array_equal(step.observation['xy'], start)
    self.assertTrue(step.last())
    self.assertEqual((step.reward, step.discount), (0., 1.))
    self.assertIs(env.step(0).step_type, dm_env.StepType.FIRST)

  def test_arriving_on_the_last_allowed_step_still_counts(self):
    env = maze.Maze(parse(ROOM), seed=0, horizon=1)
    actions = maze.optimal_actions(env.layout.walls, env.layout.goal)
    outcomes = set()
    for _ in range(30):
      step = env.step(actions[tuple(env.reset().observation['xy'])])
      outcomes.add((step.reward, step.discount))
    self.assertEqual(outcomes, {(1., 0.), (0., 1.)})  # Starts next to the goal, and in corners.

  def test_starts_are_uniform_over_the_reachable_cells(self):
    layout = parse(SMALL)
    env = maze.Maze(layout, seed=0)
    cells, counts = np.unique([env.reset().observation['xy'] for _ in range(3000)], axis=0,
                              return_counts=True)
    np.testing.assert_array_equal(cells, maze.starts(layout))
    standard_error = np.sqrt(3000 * (1 / 6) * (5 / 6))
    self.assertLess(np.abs(counts - 500).max(), 4 * standard_error)

  def test_shows_the_goal_of_the_layout(self):
    env = maze.Maze(parse(SMALL), seed=0)
    for _ in range(100):
      grid = env.reset().observation['grid']
      self.assertEqual(np.argwhere(grid[..., maze.GOAL_PLANE]).tolist(), [[1, 3]])

  def test_equal_seeds_give_equal_episodes(self):
    layout = maze.make_layout('blocks:10', seed=0)
    starts = [[tuple(env.reset().observation['xy']) for _ in range(20)]
              for env in (maze.Maze(layout, seed=s) for s in (0, 0, 1))]
    self.assertEqual(starts[0], starts[1])
    self.assertNotEqual(starts[0], starts[2])

  def test_observations_are_not_changed_by_later_steps(self):
    env = maze.Maze(parse(ROOM), seed=0)
    first = env.reset().observation
    before = {key: value.copy() for key, value in first.items()}
    for action in range(4):
      env.step(action)
    for key in before:
      np.testing.assert_array_equal(first[key], before[key])

  def test_bad_arguments_are_refused(self):
    env = maze.Maze(parse(ROOM), seed=0)
    env.reset()
    with self.assertRaisesRegex(ValueError, 'action is 4'):
      env.step(4)
    with self.assertRaisesRegex(ValueError, 'horizon is 0'):
      maze.Maze(parse(ROOM), seed=0, horizon=0)


if __name__ == '__main__':
  absltest.main()
