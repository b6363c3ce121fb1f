"""Tests of the maze evaluation, with agents whose score is known."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from alpt_jax.domains.maze import anchors, env, evaluate
from alpt_jax.learners import acting
from alpt_jax.networks import decision_transformer

SURE = 1e4  # A logit that leaves no doubt.
LAYOUT = env.make_layout('blocks:5', size=9, seed=1)


class TableAgent:
  """Stands in for a DecisionTransformer: a table says what to do in a cell.

  The parameters are action logits [n, n, 4] for the 'xy' observation.
  """
  num_steps, parts_in_order = 3, False
  spec = env.spec(LAYOUT, 'xy')

  def apply(self, variables, *args, method):
    if method is decision_transformer.DecisionTransformer.predict_return:
      observations, returns, _, _, slot = args
      return self.return_logits(returns, slot), observations[:, slot]
    return self.action_logits(variables['params'], *args[:2])

  def return_logits(self, returns, slot):
    del slot
    return jnp.zeros((len(returns), 2))

  def action_logits(self, table, chosen_return, xy):
    del chosen_return
    return table[xy[:, 0], xy[:, 1]]


class LaggingAgent(TableAgent):
  """Does what is right in the cell where it was a step ago."""

  def apply(self, variables, *args, method):
    if method is decision_transformer.DecisionTransformer.predict_return:
      observations, returns, _, _, slot = args
      return self.return_logits(returns, slot), observations[:, jnp.maximum(slot - 1, 0)]
    return super().apply(variables, *args, method=method)


class CountingAgent(TableAgent):
  """Asks for one more return than last time, and acts on the tenth; else bumps into a wall."""

  def return_logits(self, returns, slot):
    return SURE * jax.nn.one_hot((returns[:, slot - 1] + 1) % 10, 10)

  def action_logits(self, table, chosen_return, xy):
    best = super().action_logits(table, chosen_return, xy)
    return jnp.where(chosen_return[:, None] == 9, best, SURE * jnp.eye(4)[env.UP][None])


class LuckyAgent(CountingAgent):
  """As above, but the return it acts on is rare."""

  def return_logits(self, returns, slot):
    del slot  # One of 128 samples is a 9 in a tenth of the steps.
    rare = np.log(.1 / 128) / .75
    return jnp.tile(jnp.array([[0.] + [-SURE] * 8 + [rare]]), (len(returns), 1))


def optimal_table(layout):
  """Logits [n, n, 4] that follow shortest paths; DOWN at the goal and in walls."""
  return SURE * jnp.eye(4)[np.maximum(env.optimal_actions(layout.walls, layout.goal), 0)]


def corridor():
  """Four cells in a row, the goal at the left: UP bumps into a wall everywhere."""
  walls = np.ones([6, 6], bool)
  walls[1, 1:5] = False
  return env.Layout(walls=walls, goal=(1, 1), name='corridor')


def make_evaluator(agent, layout=LAYOUT, *, rule='paper', horizon=60):
  player = acting.Player(agent, [True] * 4, rule)
  return evaluate.MazeEvaluator(
      player, layout, observation=agent.spec.observation_key, horizon=horizon)


@functools.cache  # It compiles once for all tests.
def evaluator():
  return make_evaluator(TableAgent())


def run_corridor(agent, rule='paper', horizon=60):
  """Scores of an agent that knows the way, greedily."""
  return make_evaluator(agent, corridor(), rule=rule, horizon=horizon).run(
      optimal_table(corridor()), acting_mode='argmax')[0]


class MazeEvaluatorTest(parameterized.TestCase):

  @parameterized.parameters('argmax', 'sampled')
  def test_optimal_agent_has_the_exact_scores(self, acting_mode):
    scores, _ = evaluator().run(optimal_table(LAYOUT), acting_mode=acting_mode)
    probs = np.eye(4)[env.optimal_actions(LAYOUT.walls, LAYOUT.goal)]
    exact = anchors.policy_anchors(LAYOUT, probs, horizon=60)
    self.assertEqual(scores['num_episodes'], len(env.starts(LAYOUT)))
    self.assertEqual((scores['success_60'], scores['spl']), (1., 1.))
    for name in ('success_60', 'success_50', 'mean_steps', 'spl'):
      self.assertAlmostEqual(scores[name], exact[name], msg=name)

  @parameterized.parameters(0., .5)
  def test_random_agents_have_the_expected_scores(self, share):
    # The share of the optimal action that is not random: 0.5 is the behaviour policy.
    optimal = np.eye(4)[env.optimal_actions(LAYOUT.walls, LAYOUT.goal)]
    probs = share * optimal + (1 - share) / 4
    exact = anchors.policy_anchors(LAYOUT, probs, horizon=60)
    runs = [evaluator().run(jnp.log(probs), acting_mode='sampled', seed=seed)[0]
            for seed in range(12)]
    for name in ('success_60', 'success_50', 'mean_steps', 'spl'):
      values = [scores[name] for scores in runs]
      variance = np.var(values, ddof=1)
      if name.startswith('success'):  # At most that of a coin, known even if all episodes succeed.
        variance = exact[name] * (1 - exact[name]) / runs[0]['num_episodes']
      self.assertAlmostEqual(
          np.mean(values), exact[name], msg=name, delta=4 * np.sqrt(variance / len(runs)))

  def test_failures_count_as_the_whole_horizon(self):
    # Only the start next to the goal goes there; the other two bump into the wall.

    class LazyAgent(TableAgent):

      def action_logits(self, table, chosen_return, xy):
        best = super().action_logits(table, chosen_return, xy)
        return jnp.where(xy[:, 1:] == 2, best, SURE * jnp.eye(4)[env.UP][None])

    self.assertEqual(run_corridor(LazyAgent()), {
        'success_60': 1 / 3, 'success_50': 1 / 3, 'spl': 1 / 3, 'mean_steps': (1 + 60 + 60) / 3,
        'num_episodes': 3})

  def test_equal_moves_with_other_returns_are_a_detour_and_no_loop(self):
    # Returns 1, 2, .., 9: the first move is step 9, the others follow every ten steps.
    scores = run_corridor(CountingAgent())
    self.assertEqual(scores['success_60'], 1.)
    self.assertEqual(scores['mean_steps'], (9 + 19 + 29) / 3)
    self.assertAlmostEqual(scores['spl'], (1 / 9 + 2 / 19 + 3 / 29) / 3)

  def test_a_rule_that_samples_returns_does_not_loop(self):
    # Even greedily the 'release' rule may do something else next time.
    scores = run_corridor(LuckyAgent(), rule='release', horizon=500)
    self.assertEqual(scores['success_500'], 1.)
    self.assertGreater(scores['mean_steps'], 10.)

  def test_loops_end_early_with_the_result_of_the_whole(self):
    row = LAYOUT.goal[0] + 1  # Turns its back on the goal there, so most starts never arrive.
    table = optimal_table(LAYOUT).at[row].set(SURE * jnp.eye(4)[env.DOWN][None])
    scores, paths = evaluator().run(table, acting_mode='argmax', num_paths=1000)
    # Sampling looks for no loops; this table leaves nothing to chance.
    whole_scores, whole_paths = evaluator().run(table, acting_mode='sampled', num_paths=1000)
    self.assertEqual(scores, whole_scores)
    self.assertTrue(0. < scores['success_60'] < 1.)
    for path, whole in zip(paths, whole_paths, strict=True):
      self.assertEqual(path['reached'], whole['reached'])
      self.assertEqual(path['path'], whole['path'][:len(path['path'])])
      if not path['reached']:
        self.assertLen(whole['path'], 61)
        self.assertLess(len(path['path']), 40)

  @parameterized.parameters('argmax', 'sampled')
  def test_shrinking_the_batch_changes_nothing(self, acting_mode):
    table = optimal_table(LAYOUT).at[1].set(SURE * jnp.eye(4)[env.UP][None])  # Some fail.
    lagging = make_evaluator(LaggingAgent())
    results = []
    for min_batch in (10, 10_000):
      with mock.patch.object(evaluate, '_MIN_BATCH', min_batch):
        results.append(lagging.run(table, acting_mode=acting_mode, num_paths=1000))
    self.assertEqual(*results)
    self.assertTrue(0. < results[0][0]['success_60'] < 1.)

  def test_paths_lead_from_start_to_goal_cell_by_cell(self):
    _, paths = evaluator().run(optimal_table(LAYOUT), acting_mode='argmax', num_paths=5)
    self.assertLen(paths, 5)
    starts = env.starts(LAYOUT).tolist()
    self.assertEqual([paths[0]['start'], paths[-1]['start']], [starts[0], starts[-1]])
    for path in paths:
      cells = np.array(path['path'])
      self.assertEqual(path['start'], path['path'][0])
      self.assertEqual(tuple(cells[-1]), LAYOUT.goal)
      np.testing.assert_array_equal(np.abs(np.diff(cells, axis=0)).sum(axis=1), 1)
      self.assertFalse(LAYOUT.walls[tuple(cells.T)].any())

  def test_grid_agents_see_the_maze_with_themselves_inside(self):

    class GridAgent(TableAgent):
      spec = env.spec(LAYOUT, 'grid')

      def action_logits(self, table, chosen_return, grid):
        cell = jnp.argmax(grid[..., env.AGENT_PLANE].reshape(len(grid), -1), axis=1)
        return super().action_logits(table, chosen_return, jnp.stack([cell // 9, cell % 9], axis=1))

    scores, paths = make_evaluator(GridAgent()).run(
        optimal_table(LAYOUT), acting_mode='argmax')
    self.assertEqual((scores['success_60'], scores['spl'], paths), (1., 1., []))

  def test_an_agent_is_shown_the_step_before(self):

    class Reader(acting.Player):
      """Goes where the table says, and bumps into a wall if what was before is no step away."""

      def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
        actions, history = super().step(
            params, history, rewards, frames, before, key, is_greedy, temperature)
        distance = jnp.abs(frames - before).sum(axis=1)
        is_right = distance == jnp.minimum(history.num_steps - 1, 1)
        return jnp.where(is_right, actions, env.UP), history

    reader = evaluate.MazeEvaluator(
        Reader(TableAgent(), [True] * 4, 'paper'), corridor(), observation='xy', horizon=60)
    with mock.patch.object(evaluate, '_MIN_BATCH', 1):  # Rows are left out on the way.
      scores, _ = reader.run(optimal_table(corridor()), acting_mode='argmax')
    self.assertEqual((scores['success_60'], scores['mean_steps']), (1., 2.))

  def test_a_player_of_other_observations_is_refused(self):
    player = acting.Player(TableAgent(), [True] * 4, 'paper')
    with self.assertRaisesRegex(ValueError, 'observation_kind of the model'):
      evaluate.MazeEvaluator(player, LAYOUT, observation='grid')

  def test_unknown_mode(self):
    with self.assertRaisesRegex(ValueError, "acting_mode is 'greedy'"):
      evaluator().run(None, acting_mode='greedy')
