"""Tests of the policies that record Atari data."""

import numpy as np
from absl.testing import parameterized

from alpt_jax.domains.atari import action_sets, policies
from alpt_jax.domains.atari import env as atari
from alpt_jax.domains.atari import scores as atari_scores
from alpt_jax.measures import action_sequences


def play(name, game, *, num_steps, epsilon=0., seed=0):
  """Returns the score of the first episode's first steps, and the actions."""
  env = atari.make(game, seed)
  policy = policies.make(name, game, env, epsilon=epsilon, seed=seed)
  timestep, actions = env.reset(), []
  while len(actions) < num_steps and not timestep.last():
    actions.append(policy(timestep))
    timestep = env.step(actions[-1])
  return env.score, actions


class ScriptedTest(parameterized.TestCase):

  @parameterized.parameters(
      ('Asterix', 100), ('Atlantis', 1200), ('Breakout', 200), ('Freeway', 100),
      ('Frostbite', 300), ('Gopher', 700), ('Pong', 1000), ('Seaquest', 400),
      ('SpaceInvaders', 500), ('StarGunner', 700))
  def test_beats_a_whole_random_episode_in_a_few_steps(self, game, num_steps):
    random_score, _ = atari_scores.RANDOM_AND_HUMAN[game]
    score, _ = play('scripted', game, num_steps=num_steps)
    self.assertGreater(score, random_score)

  def test_every_script_is_tested_above(self):
    self.assertEqual(policies.SCRIPTED,
                     ('Asterix', 'Atlantis', 'Breakout', 'Freeway', 'Frostbite', 'Gopher', 'Pong',
                      'Seaquest', 'SpaceInvaders', 'StarGunner'))

  def test_script_beats_humans_in_breakout(self):
    score, _ = play('scripted', 'Breakout', num_steps=1000)
    self.assertGreater(atari_scores.human_normalised('Breakout', score), 1.)

  @parameterized.parameters('Breakout', 'Seaquest', 'Asterix', 'SpaceInvaders')
  def test_scripts_use_most_of_the_actions_that_move(self, game):
    _, actions = play('scripted', game, num_steps=600)
    names = {action_sets.ACTION_NAMES[action_sets.MINIMAL_ACTIONS[game][i]] for i in set(actions)}
    self.assertTrue(any('LEFT' in name for name in names) and any('RIGHT' in n for n in names))
    self.assertLess(actions.count(0), .9 * len(actions))  # 0 is NOOP in every game.

  @parameterized.parameters(*policies.SCRIPTED)
  def test_scripts_do_not_undo_their_moves(self, game):
    _, actions = play('scripted', game, num_steps=1000)
    directions = [action_sets.DIRECTIONS[i] for i in action_sets.MINIMAL_ACTIONS[game]]
    self.assertLess(action_sequences.opposite_moves([actions], directions), .2)

  def test_breakout_survives_its_random_actions(self):
    scores = [play('scripted', 'Breakout', num_steps=2500, epsilon=.02, seed=seed)[0]
              for seed in range(3)]
    self.assertGreater(np.mean(scores), 100)


class BehaviourTest(parameterized.TestCase):

  @parameterized.parameters(('scripted', 'Gopher', 60), ('scripted', 'Breakout', 60),
                            ('lookahead', 'Freeway', 3), ('random', 'Alien', 60))
  def test_a_seed_gives_the_same_actions_again(self, name, game, num_steps):
    self.assertEqual(play(name, game, num_steps=num_steps, epsilon=.2, seed=5),
                     play(name, game, num_steps=num_steps, epsilon=.2, seed=5))

  @parameterized.parameters(('random', 0.), ('scripted', 1.), ('lookahead', 1.))
  def test_random_play_and_epsilon_1_are_uniform(self, name, epsilon):
    env = atari.make('Pong', seed=0)
    policy, timestep = (policies.make(name, 'Pong', env, epsilon=epsilon, seed=0),
                        env.reset())
    counts = np.bincount([policy(timestep) for _ in range(6000)], minlength=6)
    self.assertLess(np.abs(counts - 1000).max(), 4 * np.sqrt(6000 * 1 / 6 * 5 / 6))

  def test_epsilon_is_the_share_of_uniform_actions(self):
    env = atari.make('Breakout', seed=0)
    policy, timestep = (policies.make('scripted', 'Breakout', env, epsilon=.4, seed=0),
                        env.reset())
    # No ball is in play: the script fires, at .6, and a uniform action is FIRE at .4 / 4.
    share = np.mean([policy(timestep) == 1 for _ in range(4000)])
    self.assertAlmostEqual(share, .7, delta=4 * np.sqrt(.7 * .3 / 4000))

  def test_only_uniform_actions_are_marked(self):
    env = atari.make('Breakout', seed=0)
    policy, timestep = (policies.make('scripted', 'Breakout', env, epsilon=.4, seed=0),
                        env.reset())
    actions, marks = [], []
    for _ in range(4000):  # No ball is in play: the script fires.
      actions.append(policy(timestep))
      marks.append(policy.is_random)
    actions, marks = np.array(actions), np.array(marks)
    self.assertTrue((actions[~marks] == 1).all())
    counts = np.bincount(actions[marks], minlength=4)
    self.assertAlmostEqual(marks.mean(), .4, delta=4 * np.sqrt(.4 * .6 / 4000))
    self.assertLess(np.abs(counts - marks.sum() / 4).max(), 4 * np.sqrt(1600 * 3 / 16))

  @parameterized.parameters(('random', 0., True), ('lookahead', 0., False), ('lookahead', 1., True))
  def test_every_behaviour_says_whether_it_drew(self, name, epsilon, expected):
    env = atari.make('Freeway', seed=0)
    policy = policies.make(name, 'Freeway', env, epsilon=epsilon, seed=0)
    policy(env.reset())
    self.assertEqual(policy.is_random, expected)

  def test_looking_ahead_leaves_the_game_as_it_was(self):
    env, untouched = (atari.make('SpaceInvaders', seed=0) for _ in range(2))
    policy = policies.make('lookahead', 'SpaceInvaders', env, epsilon=0., seed=0)
    timestep = env.reset()
    untouched.reset()
    for _ in range(5):
      policy(timestep)
      np.testing.assert_array_equal(env.ram(), untouched.ram())
      timestep = env.step(1)
      np.testing.assert_array_equal(timestep.observation, untouched.step(1).observation)

  def test_looking_ahead_finds_more_than_chance(self):
    env = atari.make('MsPacman', seed=0)
    timestep = env.reset()
    for _ in range(70):  # The tune before the game.
      timestep = env.step(0)
    start = env.clone()
    gains = {}
    for name in ('lookahead', 'random'):
      policy = policies.make(name, 'MsPacman', env, epsilon=0., seed=0)
      env.restore(start)
      for _ in range(25):
        timestep = env.step(policy(timestep))
      gains[name] = env.score - start.score
    self.assertGreater(gains['lookahead'], 2 * gains['random'])

  @parameterized.parameters(
      (dict(name='greedy'), "Unknown behaviour 'greedy'; expected \"scripted\""),
      (dict(game='Alien'), 'There is no script for Alien; use "lookahead"'),
      (dict(game='breakout'), "did you mean 'Breakout'"),
      (dict(epsilon=1.5), 'epsilon is 1.5'), (dict(epsilon=-.1), 'epsilon is -0.1'))
  def test_impossible_requests_are_refused(self, changes, message):
    settings = dict(name='scripted', game='Breakout', env=None, epsilon=0., seed=0) | changes
    with self.assertRaisesRegex(ValueError, message):
      policies.make(**settings)
