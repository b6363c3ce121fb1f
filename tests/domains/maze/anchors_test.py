"""Tests of the mazes' exact reference values: by hand, by simulation, and over many mazes."""

import json

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.domains.maze import anchors, env, policies


def corridor():
  """Three cells in a row, the goal at the left; starts are one and two steps away."""
  walls = np.ones([5, 5], bool)
  walls[1, 1:4] = False
  return env.Layout(walls=walls, goal=(1, 1), name='corridor')


def simulate(layout, probs, num_agents, horizon):
  """Rolls agents out together.

  Returns:
    Dict of positions, actions, next_positions, each [horizon, num_agents, ...], the steps of the
    agents that still run (is_running [horizon, num_agents]), and starts [num_agents, 2].
  """
  rng = np.random.default_rng(0)
  candidates = env.starts(layout)
  positions = candidates[rng.integers(len(candidates), size=num_agents)]
  steps = {'starts': positions, 'positions': [], 'actions': [], 'next_positions': [],
           'is_running': []}
  is_running = np.ones(num_agents, bool)
  for _ in range(horizon):
    cumulative = np.cumsum(probs[tuple(positions.T)], axis=1)
    actions = (rng.random(num_agents)[:, None] >= cumulative[:, :-1]).sum(axis=1)
    reached = env.move(layout.walls, positions, actions)
    for key, value in (('positions', positions), ('actions', actions),
                       ('next_positions', reached), ('is_running', is_running)):
      steps[key].append(value)
    is_running = is_running & (reached != layout.goal).any(axis=1)
    positions = reached
  return {key: np.array(value) for key, value in steps.items()}


def is_looked_up(inputs, actions, is_fitted):
  """Whether the most frequent action of an input among `is_fitted` is right, for the others."""
  _, inputs = np.unique(inputs, axis=0, return_inverse=True)
  inputs = inputs.reshape(-1)
  counts = np.zeros([inputs.max() + 1, env.NUM_ACTIONS])
  np.add.at(counts, (inputs[is_fitted], actions[is_fitted]), 1)
  return np.argmax(counts, axis=1)[inputs[~is_fitted]] == actions[~is_fitted]


class ByHandTest(absltest.TestCase):

  def test_random_walk_in_a_corridor(self):
    # From the near cell: 1/4 to the goal, 1/4 away, 1/2 stays. From the far one: 1/4 to the near
    # one, 3/4 stays. Hence the mean steps h solve h_far = h_near + 4 and
    # h_near = 1 + h_near / 2 + h_far / 4: 8 and 12. Within 2 steps from the near cell: 3/8. Within
    # 4 from the far one: 1/16 + 5/64 + 5/64 = 7/32.
    values = anchors.anchors(corridor())['policies']['random']
    self.assertAlmostEqual(values['mean_steps'], 10.)
    self.assertAlmostEqual(values['within_2x'], (3 / 8 + 7 / 32) / 2)
    self.assertAlmostEqual(values['success_500'], 1.)

  def test_behaviour_in_a_corridor(self):
    # The goal is left: 5/8 left, 1/8 each other. Mean visits of (near, far): (1.6, 0.32) from the
    # near cell, (1.6, 1.92) from the far one; so (1.6, 1.12) from both alike, 10 : 7.
    values = anchors.anchors(corridor(), epsilon=0.5)
    self.assertAlmostEqual(values['policies']['behaviour']['mean_steps'], 2.72)
    idm = values['idm']
    # Moves show: 6/8 of the near cell's transitions, 5/8 of the far one's; of the rest, one guess
    # gets 1/8 of each.
    self.assertAlmostEqual(idm['bayes'], (10 * 7 + 7 * 6) / (8 * 17))
    self.assertAlmostEqual(idm['displacement'], (10 * 7 + 7 * 6) / (8 * 17))
    self.assertAlmostEqual(idm['causal'], 5 / 8)
    self.assertAlmostEqual(idm['constant'], 5 / 8)  # Left is greedy everywhere.

  def test_best_guesses_in_a_corridor(self):
    # A move shows; standing still in the near cell is one of two equals, in the far one of three.
    before = np.array([[1, 2], [1, 2], [1, 3], [1, 2], [1, 3]])
    after = np.array([[1, 1], [1, 3], [1, 2], [1, 2], [1, 3]])
    guesses, chances = anchors.best_guesses(corridor(), .5, before, after)
    np.testing.assert_array_equal(guesses[:3], [env.LEFT, env.RIGHT, env.LEFT])
    np.testing.assert_allclose(chances, [1., 1., 1., 1 / 2, 1 / 3])
    with self.assertRaisesRegex(ValueError, r'corridor leads from cell \[1, 2\] to \[3, 3\]'):
      anchors.best_guesses(corridor(), .5, before[:1], np.array([[3, 3]]))

  def test_optimal_policy_takes_every_shortest_path(self):
    values = anchors.anchors(corridor())['policies']['optimal']
    self.assertEqual(values, {'success_500': 1., 'success_50': 1., 'mean_steps': 1.5,
                              'within_2x': 1., 'spl': 1.})

  def test_failures_count_as_the_whole_horizon(self):
    away = np.eye(4)[np.full([5, 5], env.RIGHT)]
    values = anchors.policy_anchors(corridor(), away, horizon=60)
    self.assertEqual(values, {'success_60': 0., 'success_50': 0., 'mean_steps': 60.,
                              'within_2x': 0., 'spl': 0.})

  def test_short_horizon_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'horizon is 49'):
      anchors.policy_anchors(corridor(), np.full([5, 5, 4], .25), horizon=49)

  def test_anchors_are_json(self):
    values = anchors.anchors(corridor())
    self.assertEqual(json.loads(json.dumps(values)), values)
    self.assertEqual(set(values['policies']), {'optimal', 'behaviour', 'random'})


class SimulationTest(parameterized.TestCase):
  """The chain against episodes really rolled out, within four standard errors."""

  @parameterized.product(kind=('tunnel', 'blocks:20'), epsilon=(0.5, 1.))
  def test_policy_anchors(self, kind, epsilon):
    layout = env.make_layout(kind, size=13, seed=1)
    horizon, num_agents = 80, 4000
    probs = policies.epsilon_greedy_probs(layout.walls, layout.goal, epsilon)
    exact = anchors.policy_anchors(layout, probs, horizon=horizon)
    steps = simulate(layout, probs, num_agents, horizon)
    num_steps = steps['is_running'].sum(axis=0)
    has_reached = (steps['next_positions'] == layout.goal).all(axis=2).any(axis=0)
    shortest = env.distances(layout.walls, layout.goal)[tuple(steps['starts'].T)]
    simulated = {
        'success_80': has_reached,
        'success_50': has_reached & (num_steps <= 50),
        'mean_steps': num_steps,
        'within_2x': has_reached & (num_steps <= 2 * shortest),
        'spl': has_reached * shortest / num_steps,
    }
    self.assertEqual(exact.keys(), simulated.keys())
    for name, values in simulated.items():
      # The variance of a success is known even where no episode of the sample fails.
      variance = exact[name] * (1 - exact[name]) if values.dtype == bool else np.var(values)
      self.assertAlmostEqual(exact[name], np.mean(values), msg=name,
                             delta=4 * np.sqrt(variance / num_agents))

  @parameterized.parameters('tunnel', 'blocks:20')
  def test_idm_ceilings(self, kind):
    layout = env.make_layout(kind, size=9, seed=1)
    probs = policies.epsilon_greedy_probs(layout.walls, layout.goal, 0.5)
    exact = anchors.idm_ceilings(layout, 0.5)
    num_agents = 8000
    steps = simulate(layout, probs, num_agents, horizon=200)
    step_ids, agents = np.nonzero(steps['is_running'])
    before, actions, after = (steps[key][step_ids, agents]
                              for key in ('positions', 'actions', 'next_positions'))
    inputs = {'bayes': np.concatenate([before, after], axis=1), 'displacement': after - before,
              'causal': before, 'constant': np.zeros([len(actions), 1])}
    self.assertEqual(exact.keys(), inputs.keys())
    is_fitted = agents < num_agents // 2
    scored = agents[~is_fitted]
    for name, value in inputs.items():
      is_right = is_looked_up(value, actions, is_fitted)
      accuracy = np.mean(is_right)
      # Agents are independent, the steps of one are not.
      excess = np.bincount(scored, is_right - accuracy)
      self.assertAlmostEqual(exact[name], accuracy, msg=name,
                             delta=4 * np.sqrt(np.sum(excess ** 2)) / len(scored))

  def test_best_guesses_are_right_as_often_as_they_count_on(self):
    layout = env.make_layout('blocks:20', size=9, seed=1)
    probs = policies.epsilon_greedy_probs(layout.walls, layout.goal, .5)
    steps = simulate(layout, probs, num_agents=8000, horizon=200)
    step_ids, agents = np.nonzero(steps['is_running'])
    before, actions, after = (steps[key][step_ids, agents]
                              for key in ('positions', 'actions', 'next_positions'))
    guesses, chances = anchors.best_guesses(layout, .5, before, after)
    bayes = anchors.idm_ceilings(layout, .5)['bayes']
    for values in (chances, guesses == actions):
      excess = np.bincount(agents, values - np.mean(values))
      self.assertAlmostEqual(np.mean(values), bayes,
                             delta=4 * np.sqrt(np.sum(excess ** 2)) / len(agents))


# Mean, smallest and largest over the maze seeds 0..99 at 20x20, epsilon 0.5, as measured with a
# separate implementation; the last number is half a unit of the last digit kept.
ONES = (1., 1., 1., 5e-5)
TABLE = {
    'blocks:10': {
        'policies/optimal/success_500': ONES,
        'policies/optimal/mean_steps': (12.1, 9.1, 16.1, .05),
        'policies/optimal/success_50': ONES,
        'policies/behaviour/success_500': ONES,
        'policies/behaviour/mean_steps': (28.6, 21.9, 39.4, .05),
        'policies/behaviour/success_50': (.890, None, None, 5e-4),
        'policies/behaviour/within_2x': (.44, None, None, 5e-3),
        'policies/behaviour/spl': (.49, None, None, 5e-3),
        'policies/random/success_500': (.407, None, None, 5e-4),
        'policies/random/mean_steps': (383., None, None, .5),
        'policies/random/success_50': (.071, None, None, 5e-4),
        'policies/random/within_2x': (.015, None, None, 5e-4),
        'idm/bayes': (.9981, .9926, .9997, 5e-5),
        'idm/displacement': (.984, .974, .993, 5e-4),
        'idm/causal': (.625, .625, .625, 1e-9),
        'idm/constant': (.373, .276, .461, 5e-4),
    },
    'tunnel': {
        'policies/optimal/success_500': ONES,
        'policies/optimal/mean_steps': (17.1, 11.4, 32.7, .05),
        'policies/optimal/success_50': (.994, None, None, 5e-4),
        'policies/behaviour/success_500': ONES,
        'policies/behaviour/mean_steps': (39.0, 26.2, 74.5, .05),
        'policies/behaviour/success_50': (.716, None, None, 5e-4),
        'policies/behaviour/within_2x': (.428, None, None, 5e-4),
        'policies/behaviour/spl': (.49, None, None, 5e-3),
        'policies/random/success_500': (.287, None, None, 5e-4),
        'policies/random/mean_steps': (412., None, None, .5),
        'policies/random/success_50': (.066, None, None, 5e-4),
        'policies/random/within_2x': (.013, None, None, 5e-4),
        'idm/bayes': (.9962, None, None, 5e-5),
        'idm/displacement': (.938, .927, .952, 5e-4),
        'idm/causal': (.625, .625, .625, 1e-9),
        'idm/constant': (.339, .267, .428, 5e-4),
    },
}
COARSE_RANGES = {  # Ranges printed with fewer digits than their mean.
    'blocks:10': {'policies/random/success_500': (.25, .54, 5e-3)},
    'tunnel': {'policies/random/success_500': (.14, .48, 5e-3),
               'policies/optimal/success_50': (.76, 1., 5e-3),
               'idm/bayes': (.992, .999, 5e-4)},
}


class HundredMazesTest(parameterized.TestCase):

  @parameterized.parameters('blocks:10', 'tunnel')
  def test_means_and_ranges_equal_the_measured_table(self, kind):
    everything = [anchors.anchors(env.make_layout(kind, seed=seed)) for seed in range(100)]

    def over_seeds(path):
      values = everything
      for key in path.split('/'):
        values = [value[key] for value in values]
      return values

    for path, (mean, smallest, largest, half_unit) in TABLE[kind].items():
      values = over_seeds(path)
      self.assertAlmostEqual(np.mean(values), mean, delta=half_unit, msg=path)
      if smallest is not None:
        self.assertAlmostEqual(min(values), smallest, delta=half_unit, msg=path)
        self.assertAlmostEqual(max(values), largest, delta=half_unit, msg=path)
    for path, (smallest, largest, half_unit) in COARSE_RANGES[kind].items():
      values = over_seeds(path)
      self.assertAlmostEqual(min(values), smallest, delta=half_unit, msg=path)
      self.assertAlmostEqual(max(values), largest, delta=half_unit, msg=path)


if __name__ == '__main__':
  absltest.main()
