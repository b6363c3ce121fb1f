"""Tests of the policy that records the maze data."""

import dm_env
import numpy as np
from absl.testing import absltest

from alpt_jax.domains.maze import env as maze
from alpt_jax.domains.maze import policies


def sealed_layout():
  """A corridor of three cells with its goal at the left, and a sealed cell below."""
  walls = np.ones([5, 5], bool)
  walls[1, 1:4] = False
  walls[3, 3] = False
  return maze.Layout(walls=walls, goal=(1, 1), name='sealed')


def step_at(layout, position):
  seen = maze.observe(layout.walls, layout.goal, np.array([position]))
  return dm_env.restart({key: value[0] for key, value in seen.items()})


class EpsilonGreedyTest(absltest.TestCase):

  def test_half_gives_the_greedy_action_five_eighths(self):
    layout = sealed_layout()
    probs = policies.epsilon_greedy_probs(layout.walls, layout.goal, 0.5)
    self.assertEqual(probs[1, 3].tolist(), [0.125, 0.125, 0.125, 0.625])  # LEFT is last.

  def test_uniform_where_no_action_leads_to_the_goal(self):
    layout = sealed_layout()
    probs = policies.epsilon_greedy_probs(layout.walls, layout.goal, 0.)
    self.assertEqual(probs[3, 3].tolist(), [0.25] * 4)
    self.assertEqual(probs[1, 1].tolist(), [0.25] * 4)
    self.assertEqual(probs[1, 2].tolist(), [0, 0, 0, 1])

  def test_draws_have_the_tabulated_frequencies(self):
    layout = sealed_layout()
    policy = policies.EpsilonGreedy(layout, 0.5, seed=0)
    for position, expected in (((1, 2), [.125, .125, .125, .625]), ((3, 3), [.25] * 4)):
      draws = [policy(step_at(layout, position)) for _ in range(4000)]
      frequencies = np.bincount(draws, minlength=4) / 4000
      self.assertLess(np.abs(frequencies - expected).max(), 4 * np.sqrt(.25 / 4000))

  def test_marks_say_which_part_of_the_mixture_an_action_is_from(self):
    layout = sealed_layout()
    policy = policies.EpsilonGreedy(layout, 0.5, seed=0)
    actions, marks = [], []
    for _ in range(4000):
      actions.append(int(policy(step_at(layout, (1, 2)))))
      marks.append(policy.is_random)
    actions, marks = np.array(actions), np.array(marks)
    self.assertTrue((actions[~marks] == maze.LEFT).all())
    self.assertAlmostEqual(marks.mean(), .5, delta=4 * np.sqrt(.25 / 4000))
    frequencies = np.bincount(actions[marks], minlength=4) / marks.sum()
    self.assertLess(np.abs(frequencies - .25).max(), 4 * np.sqrt(3 / 16 / marks.sum()))

  def test_where_no_action_leads_to_the_goal_all_are_random(self):
    policy = policies.EpsilonGreedy(sealed_layout(), 0., seed=0)
    for position, expected in (((3, 3), True), ((1, 2), False)):
      for _ in range(20):
        policy(step_at(sealed_layout(), position))
        self.assertEqual(policy.is_random, expected)

  def test_greedy_takes_shortest_paths_to_the_goal(self):
    layout = maze.make_layout('tunnel', seed=0)
    env = maze.Maze(layout, seed=0)
    policy = policies.EpsilonGreedy(layout, 0., seed=0)
    for _ in range(20):
      step = env.reset()
      shortest = maze.distances(layout.walls, layout.goal)[tuple(step.observation['xy'])]
      num_steps = 0
      while not step.last():
        step = env.step(policy(step))
        num_steps += 1
      self.assertEqual((num_steps, step.reward), (shortest, 1.))

  def test_actions_conform_to_the_environment(self):
    layout = sealed_layout()
    env = maze.Maze(layout, seed=0)
    env.action_spec().validate(policies.EpsilonGreedy(layout, 1., seed=0)(env.reset()))

  def test_equal_seeds_draw_equal_actions(self):
    layout = sealed_layout()
    draws = [[int(policy(step_at(layout, (1, 2)))) for _ in range(30)]
             for policy in (policies.EpsilonGreedy(layout, 1., seed=s) for s in (0, 0, 1))]
    self.assertEqual(draws[0], draws[1])
    self.assertNotEqual(draws[0], draws[2])

  def test_epsilon_outside_the_unit_interval_is_refused(self):
    for epsilon in (-0.1, 1.1):
      with self.assertRaisesRegex(ValueError, f'epsilon is {epsilon}'):
        policies.EpsilonGreedy(sealed_layout(), epsilon, seed=0)


if __name__ == '__main__':
  absltest.main()
