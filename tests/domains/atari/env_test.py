"""Tests of one Atari game as an environment."""

import tempfile
from unittest import mock

import ale_py
import dm_env
import numpy as np
from absl.testing import parameterized
from ale_py import roms, vector_env
from dm_env import test_utils

from alpt_jax.domains.atari import action_sets
from alpt_jax.domains.atari import env as atari

NOOP, FIRE, RIGHT, LEFT = range(4)  # Breakout's own indices.


def play(env, actions):
  """Returns the observations and rewards of some steps; resets are in between."""
  timesteps = [env.step(action) for action in actions]
  return (np.stack([timestep.observation for timestep in timesteps]),
          [timestep.reward for timestep in timesteps])


def random_actions(env, num_steps, seed=0):
  return np.random.default_rng(seed).integers(env.action_spec().num_values, size=num_steps)


class AtariInterfaceTest(test_utils.EnvironmentTestMixin, parameterized.TestCase):

  def make_object_under_test(self):
    return atari.make('Breakout', seed=0, max_steps=40)

  def make_action_sequence(self):
    yield from random_actions(self.environment, 100)


class AtariTest(parameterized.TestCase):

  @parameterized.parameters(('Breakout', 'breakout', .25), ('Breakout', 'breakout', 0.),
                            ('SpaceInvaders', 'space_invaders', .25), ('Pong', 'pong', .25))
  def test_equals_the_vector_environment_bit_for_bit(self, game, rom, sticky):
    env = atari.make(game, seed=3, sticky=sticky)
    reference = vector_env.AtariVectorEnv(
        rom, 1, num_threads=1, noop_max=0, use_fire_reset=False, stack_num=1,
        reward_clipping=False, repeat_action_probability=sticky)
    expected, _ = reference.reset(seed=3)
    np.testing.assert_array_equal(env.reset().observation[..., 0], expected[0, 0])
    num_game_overs = 0
    for action in random_actions(env, 400):
      timestep = env.step(action)
      expected, rewards, is_over, _, _ = reference.step(np.array([action]))
      np.testing.assert_array_equal(timestep.observation[..., 0], expected[0, 0])
      self.assertEqual(timestep.reward or 0., rewards[0])
      self.assertEqual(timestep.last(), is_over[0])
      num_game_overs += timestep.last()
    if game == 'Breakout':
      self.assertGreater(num_game_overs, 0)  # So the first frames of the next game agree, too.

  def test_held_frames_are_those_of_sticky_actions(self):
    for sticky, num_held in ((0., 0), (1., atari.FRAME_SKIP)):
      drawn, given = (atari.make('Breakout', seed=0, sticky=x) for x in (sticky, .5))
      drawn.reset(), given.reset()
      for action in random_actions(drawn, 30):
        expected, found = drawn.step(action), given.step_with_held(action, num_held)
        np.testing.assert_array_equal(found.observation, expected.observation)
        self.assertEqual(given.held_index, NOOP if sticky else action)

  def test_a_seed_gives_the_same_play_and_another_seed_another(self):
    actions = random_actions(atari.make('Breakout', seed=0), 100)
    first, again, other = (play(atari.make('Breakout', seed=seed), actions) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], again[0])
    self.assertEqual(first[1], again[1])
    self.assertFalse((first[0] == other[0]).all())

  def test_without_sticky_actions_the_seed_does_not_matter(self):
    actions = random_actions(atari.make('Breakout', seed=0), 100)
    first, other = (play(atari.make('Breakout', seed=seed, sticky=0.), actions) for seed in (1, 2))
    np.testing.assert_array_equal(first[0], other[0])

  @parameterized.parameters(('Breakout', 72), ('Pong', 51), ('SpaceInvaders', 28))
  def test_memory_shows_the_player_move_both_ways(self, game, address):
    env = atari.make(game, seed=0, sticky=0.)
    env.reset()
    play(env, [NOOP] * 60)
    positions = []
    for index in (2, 3):  # RIGHT, LEFT.
      play(env, [index] * 6)
      positions.append(int(env.ram()[address]))
    self.assertGreater(abs(positions[0] - positions[1]), 8)

  def test_the_paddle_moves_where_it_is_steered(self):
    env = atari.make('Breakout', seed=0, sticky=0.)
    env.reset()
    start = int(env.ram()[72])
    play(env, [RIGHT] * 3)
    self.assertGreater(int(env.ram()[72]), start)
    play(env, [LEFT] * 9)
    self.assertLess(int(env.ram()[72]), start)

  def test_score_and_lives_are_those_of_the_game(self):
    env = atari.make('Breakout', seed=0)
    timestep, total, lives = env.reset(), 0., []
    while not timestep.last():
      lives.append(env.lives)
      timestep = env.step(np.random.default_rng(len(lives)).integers(4))
      total += timestep.reward
    self.assertEqual(lives[0], 5)
    self.assertEqual(lives, sorted(lives, reverse=True))
    self.assertEqual(env.lives, 0)
    self.assertEqual((timestep.discount, env.score), (0., total))
    self.assertTrue(env.step(NOOP).first())
    self.assertEqual(env.score, 0.)

  def test_the_step_limit_ends_an_episode_with_discount_1(self):
    env = atari.make('Pong', seed=0, max_steps=3)
    env.reset()
    kinds = [env.step(NOOP) for _ in range(4)]
    self.assertEqual([kind.step_type for kind in kinds],
                     [dm_env.StepType.MID, dm_env.StepType.MID, dm_env.StepType.LAST,
                      dm_env.StepType.FIRST])
    self.assertEqual(kinds[2].discount, 1.)

  def test_observations_are_not_overwritten_by_later_ones(self):
    env = atari.make('Breakout', seed=0)
    first = env.reset().observation
    kept = first.copy()
    play(env, random_actions(env, 30))
    np.testing.assert_array_equal(first, kept)


class CloneTest(parameterized.TestCase):

  @parameterized.parameters(1, 40, 150)
  def test_a_restored_state_has_the_same_future(self, num_steps):
    env = atari.make('SpaceInvaders', seed=1)
    env.reset()
    play(env, random_actions(env, num_steps, seed=1))
    state, ram, score, lives = env.clone(), env.ram(), env.score, env.lives
    future = random_actions(env, 200, seed=2)
    expected = play(env, future)  # Holds game over and a new game, too.
    env.restore(state)
    np.testing.assert_array_equal(env.ram(), ram)
    self.assertEqual((env.score, env.lives), (score, lives))
    actual = play(env, future)
    np.testing.assert_array_equal(actual[0], expected[0])
    self.assertEqual(actual[1], expected[1])

  def test_the_held_action_is_restored(self):
    # Where every action sticks, what was held decides the future alone.
    env = atari.make('Breakout', seed=0, sticky=1.)
    env.reset()
    state, start = env.clone(), env.ram()[72]
    env.restore(state._replace(held_action=ale_py.Action.RIGHT))
    play(env, [NOOP] * 4)
    moved = env.ram()[72]
    env.restore(state)
    play(env, [RIGHT] * 4)
    self.assertEqual(env.ram()[72], start)
    self.assertGreater(moved, start)

  def test_the_held_action_is_an_id_of_the_full_set(self):
    env = atari.make('Pong', seed=0, sticky=0.)
    env.reset()
    self.assertEqual(env.held_action, 0)
    env.step(3)  # Of Pong's minimal set; LEFT is 4 in the full one.
    self.assertEqual(action_sets.ACTION_NAMES[env.held_action], 'LEFT')
    sticking = atari.make('Pong', seed=0, sticky=1.)
    sticking.reset()
    sticking.step(3)
    self.assertEqual(sticking.held_action, 0)

  def test_simulation_scores_like_play_and_leaves_no_trace(self):
    env = atari.make('SpaceInvaders', seed=0, sticky=0.)
    env.reset()
    state, actions = env.clone(), random_actions(env, 150)
    simulated, lives = env.simulate(actions, np.random.default_rng(0))
    env.restore(state)
    _, rewards = play(env, actions)
    self.assertEqual(list(simulated), rewards)
    self.assertGreater(sum(rewards), 0.)
    self.assertEqual(env.lives, lives)


class ErrorsTest(parameterized.TestCase):

  def test_unknown_game(self):
    with self.assertRaisesRegex(ValueError, "Unknown game 'pong'; did you mean 'Pong'"):
      atari.make('pong', seed=0)

  @parameterized.parameters(
      (dict(seed=-1), 'seed of Pong is -1'), (dict(seed=2**31), r'expected an integer in \[0'),
      (dict(seed=0, sticky=1.5), 'sticky of Pong is 1.5'),
      (dict(seed=0, max_steps=0), 'max_steps of Pong is 0'))
  def test_settings_out_of_range(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      atari.make('Pong', **settings)

  @parameterized.parameters(-1, 6)
  def test_actions_out_of_range(self, action):
    env = atari.make('Pong', seed=0)
    env.reset()
    with self.assertRaisesRegex(ValueError, f'action is {action}; .* the 6 minimal .* of Pong'):
      env.step(action)

  def test_missing_rom(self):
    with mock.patch.object(roms, 'get_rom_path', return_value=None):
      with self.assertRaisesRegex(FileNotFoundError, 'ROM star_gunner.bin of StarGunner .*ale-py'):
        atari.make('StarGunner', seed=0)

  def test_empty_rom_directory(self):
    with tempfile.TemporaryDirectory() as empty:
      with mock.patch.dict('os.environ', ALE_ROMS_DIR=empty):
        with self.assertRaisesRegex(FileNotFoundError, 'ROM pong.bin .* ALE_ROMS_DIR'):
          atari.make('Pong', seed=0)
