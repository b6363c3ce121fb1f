"""Agents play scenarios: their keys and degrees reach the game, and its score is theirs."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from alpt_jax import action_space
from alpt_jax.domains import play
from alpt_jax.domains.doom import env, evaluate, scenarios
from alpt_jax.learners import acting
from alpt_jax.networks import decision_transformer

SKIP = 20  # Tics a step: at most 105 steps.


def spec_of(scenario, *others):
  """The spec of a scenario as a run with others has it."""
  specs = [scenarios.environment(name).spec() for name in (scenario, *others)]
  spaces = action_space.union([spec.actions for spec in specs], [spec.name for spec in specs])
  return dataclasses.replace(specs[0], actions=spaces[0])


class FixedPlayer:
  """Always chooses the same classes, which are its parameters: [P] int32."""
  modes, about = acting.MODES, {'acting_rule': 'fixed'}

  def __init__(self, spec):
    self.spec = spec

  def is_chance(self, is_greedy):
    return False

  def empty_history(self, params, frames):
    return jnp.zeros(len(frames))

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    return jnp.tile(params[None], (len(history), 1)), history + rewards


def dt_player(spec, action_order):
  """A player with an untrained network, and its parameters."""
  dt = decision_transformer.DecisionTransformer(
      spec=spec, num_steps=3, num_layers=1, num_heads=1, d_model=8, tokenizer_kind='conv',
      parts_in_order=action_order == 'sequential')
  frames = jnp.zeros((1, 3, *scenarios.OBSERVATION_SHAPE), jnp.uint8)
  ids = jnp.zeros((1, 3), jnp.int32)
  params = dt.init(jax.random.key(0), frames, ids, jnp.zeros((1, 3, *spec.actions.shape),
                                                            jnp.int32), ids)['params']
  # An untrained one is nearly uniform; of larger parameters, actions depend on what is seen.
  params = jax.tree.map(lambda x: 3 * x, params)
  return acting.Player(dt, spec.actions.mask, 'paper'), params


class DoomEvaluatorTest(parameterized.TestCase):

  def make(self, player, scenario, **settings):
    agent = evaluate.DoomEvaluator(player, scenario, frame_skip=SKIP, **settings)
    for emulator in agent._emulators:
      self.addCleanup(emulator._env.close)
    return agent

  @parameterized.parameters(
      ('defend_the_line', ('deadly_corridor',), [0, 1, 1], 0),
      ('defend_the_center', (), [1], 25))
  def test_scores_are_those_of_the_game_with_these_keys(self, scenario, others, keys, turn_class):
    spec = spec_of(scenario, *others)
    own = scenarios.of(scenario).parts
    chosen = dict(zip(own, (*keys, turn_class), strict=True))
    classes = [chosen.get(part.name, part.num_classes) for part in spec.actions.parts]
    agent = self.make(FixedPlayer(spec), scenario, num_episodes=2)
    scores, episodes = agent.run(jnp.array(classes), acting_mode='argmax', seed=3,
                                 record_episodes=2)
    turn, = (part for part in spec.actions.parts if part.name == 'turn')
    action = np.array([chosen[part] for part in own[:-1]] + [turn.class_values[turn_class]],
                      np.float32)
    with contextlib.closing(env.make(scenario, 0, frame_skip=SKIP)) as game:
      for i, seed in enumerate(play.episode_seeds(3, 2)):
        timestep, observations = game.reset(int(seed)), []
        while not timestep.last():
          observations.append(timestep.observation)
          timestep = game.step(action)
        self.assertAlmostEqual(scores['scores'][i], game.score, places=4)
        self.assertEqual(scores['lengths'][i], len(observations))
        shown, = (episode for episode in episodes if episode['episode'] == i)
        self.assertAlmostEqual(shown['score'], game.score, places=4)
        np.testing.assert_array_equal(shown['observations'], observations)
    self.assertAlmostEqual(scores['score'], np.mean(scores['scores']))
    self.assertEqual(scores['most_frequent_action'], dict(zip(own, action.tolist(), strict=True)))
    self.assertEqual((scores['most_frequent_share'], scores['longest_run']),
                     (1., max(scores['lengths'])))
    self.assertEqual((scores['scenario'], scores['frame_skip']), (scenario, SKIP))

  def test_an_episode_that_the_step_limit_cuts_is_no_end(self):
    spec = spec_of('my_way_home')
    agent = self.make(FixedPlayer(spec), 'my_way_home', num_episodes=2)
    scores, _ = agent.run(jnp.array([0, 0, 0, 20]), acting_mode='argmax')  # Stands still.
    self.assertEqual((scores['lengths'], scores['num_cut']), ([105, 105], 2))

  @parameterized.parameters('independent', 'sequential')
  def test_a_seed_decides_everything(self, action_order):
    spec = spec_of('defend_the_center', 'deadly_corridor')
    player, params = dt_player(spec, action_order)
    agent = self.make(player, 'defend_the_center', num_episodes=3)
    first, again, other = (agent.run(params, acting_mode='sampled', seed=seed)[0]
                           for seed in (1, 1, 2))
    self.assertEqual(first, again)
    self.assertNotEqual(first['lengths'], other['lengths'])
    self.assertEqual(set(first['most_frequent_action']), {'attack', 'turn'})
    greedy, episodes = agent.run(params, acting_mode='argmax', seed=1, record_episodes=3)
    self.assertEqual(greedy, agent.run(params, acting_mode='argmax', seed=1)[0])
    has = spec.actions.has
    for episode in episodes:
      self.assertFalse(episode['actions'][:, ~has].any())

  def test_refuses_who_cannot_play(self):
    player = FixedPlayer(spec_of('deadly_corridor'))
    small = dataclasses.replace(player.spec, observation_shape=(24, 32, 3))
    with self.assertRaisesRegex(ValueError, r'observation_shape of the model \(deadly_corridor\) '
                                            r'is \(24, 32, 3\); deathmatch has \(48, 64, 3\)'):
      evaluate.DoomEvaluator(FixedPlayer(small), 'deathmatch', num_episodes=1)
    with self.assertRaisesRegex(ValueError, 'num_episodes is 0; expected at least 1'):
      evaluate.DoomEvaluator(player, 'deathmatch', num_episodes=0)
    with self.assertRaisesRegex(ValueError, "scenario is 'maze'"):
      evaluate.DoomEvaluator(player, 'maze', num_episodes=1)
