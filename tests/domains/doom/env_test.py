"""Tests of scenarios of Doom as environments."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl.testing import parameterized
from dm_env import test_utils

from alpt_jax.domains.doom import env as doom
from alpt_jax.domains.doom import scenarios
from tests import processes


class DoomCase(parameterized.TestCase):

  def make(self, *args, **kwargs):
    env = doom.make(*args, **kwargs)
    self.addCleanup(env.close)
    return env

  def begin(self, *args, **kwargs):
    env = self.make(*args, has_view=True, **kwargs)
    env.reset()
    return env


def action(env, turn=0., *keys):
  return np.array([part in keys for part in env.parts[:-1]] + [turn], np.float32)


def draws(env, num_steps, seed=0):
  rng = np.random.default_rng(seed)
  return [scenarios.draw(env.scenario, rng) for _ in range(num_steps)]


def play(env, actions):
  """Returns the observations and rewards of some steps; resets are in between."""
  timesteps = [env.step(action) for action in actions]
  return np.stack([t.observation for t in timesteps]), [t.reward for t in timesteps]


def _is_alive(process):
  try:
    with open(f'/proc/{process}/stat', encoding='ascii') as f:
      return f.read().rpartition(')')[2].split()[0] != 'Z'
  except FileNotFoundError:
    return False


class DoomInterfaceTest(test_utils.EnvironmentTestMixin, parameterized.TestCase):

  def make_object_under_test(self):
    env = doom.make('defend_the_center', seed=0, frame_skip=20)
    self.addCleanup(env.close)
    return env

  def make_action_sequence(self):
    yield from draws(self.environment, 150)


class DoomTest(DoomCase):

  @parameterized.parameters(*scenarios.SCENARIOS)
  def test_a_seed_gives_the_same_play_and_another_seed_another(self, scenario):
    envs = [self.make(scenario, seed, has_view=has_view)
            for seed, has_view in ((7, False), (7, True), (8, False))]
    actions = draws(envs[0], 60)
    first, again, other = (play(env, actions) for env in envs)
    np.testing.assert_array_equal(first[0], again[0])
    self.assertEqual(first[1], again[1])
    self.assertFalse((first[0] == other[0]).all())

  def test_an_episode_does_not_depend_on_how_long_the_others_took(self):
    short, long = (self.make('defend_the_center', 3) for _ in range(2))
    for env, num_steps in ((short, 1), (long, 30)):
      play(env, draws(env, num_steps))
    short.reset(), long.reset()
    actions = draws(short, 60, seed=1)
    (frames, rewards), (others, other_rewards) = (play(env, actions) for env in (short, long))
    np.testing.assert_array_equal(frames, others)
    self.assertEqual(rewards, other_rewards)

  @parameterized.parameters((4, 10.), (4, -30.), (1, 10.), (7, 21.))
  def test_turns_by_as_many_degrees_however_many_tics_a_step_has(self, frame_skip, turn):
    env = self.begin('defend_the_center', 0, frame_skip=frame_skip)
    before = env.view().angle
    env.step(action(env, turn))
    turned = (before - env.view().angle + 180) % 360 - 180  # To the right is clockwise.
    self.assertAlmostEqual(turned, turn, delta=.05)  # The game has 65,536 angles.

  @parameterized.parameters(('forward', 0), ('left', 90), ('backward', 180), ('right', 270))
  def test_keys_move_where_they_say(self, key, direction):
    env = self.begin('health_gathering', 0)
    before = env.view()
    for _ in range(5):
      env.step(action(env, 0., key))
    after = env.view()
    moved = complex(after.x - before.x, after.y - before.y)
    self.assertGreater(abs(moved), 50)
    off = np.degrees(np.angle(moved)) - before.angle - direction
    self.assertAlmostEqual((off + 180) % 360 - 180, 0, delta=3)

  def test_attack_uses_ammunition_and_nothing_else_does(self):
    env = self.begin('deadly_corridor', 0)
    ammo = env.view().ammo
    play(env, [action(env, 5., 'left', 'forward')] * 4)
    self.assertEqual(env.view().ammo, ammo)
    play(env, [action(env, 0., 'attack')] * 4)
    self.assertLess(env.view().ammo, ammo)

  @parameterized.parameters(*scenarios.SCENARIOS)
  def test_every_part_changes_the_pictures(self, scenario):
    env = self.make(scenario, 1)
    low, high = scenarios.bounds(scenario)
    still, _ = play(env, [None, *[0 * low] * 3])
    for part, highest in zip(env.parts, high, strict=True):
      again = self.make(scenario, 1)
      frames, _ = play(again, [None, *[np.where(np.array(env.parts) == part, highest, 0)] * 3])
      np.testing.assert_array_equal(frames[0], still[0])
      self.assertTrue((frames[-1] != still[-1]).any(), part)
    np.testing.assert_array_equal(low, np.where(np.array(env.parts) == 'turn', -high, 0))

  def test_observations_are_means_of_the_areas_of_the_screen(self):
    env = self.make('deadly_corridor', 0)
    observation = env.reset().observation
    screen = env.screen().astype(float)  # [120, 160, 3]: 2.5 pixels to one.
    doubled = np.repeat(np.repeat(screen, 2, axis=0), 2, axis=1)
    means = doubled.reshape(48, 5, 64, 5, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(observation, means, atol=.51)
    self.assertEqual(screen.shape, (120, 160, 3))

  def test_an_episode_is_cut_at_its_limit_and_ends_with_the_player(self):
    env = self.make('health_gathering', 0, frame_skip=35)  # Health falls by 8 a second.
    timesteps = [env.reset()]
    while not timesteps[-1].last():
      timesteps.append(env.step(action(env)))
    self.assertEqual(timesteps[-1].discount, 0)
    self.assertEqual(env.score, sum(t.reward for t in timesteps[1:]))
    self.assertAlmostEqual(timesteps[-1].reward, -100, delta=35)  # And lived some of its tics.

    env = self.make('my_way_home', 0, frame_skip=35)
    timesteps = [env.reset()]
    while not timesteps[-1].last():
      timesteps.append(env.step(action(env)))
    self.assertEqual((timesteps[-1].discount, len(timesteps)), (1, 1 + 60))
    self.assertAlmostEqual(env.score, -.0001 * 2100, places=5)
    self.assertTrue(env.step(None).first())

  def test_the_last_frame_is_one_of_the_step_that_ends_the_episode(self):
    """Of a step of 35 tics, the last of those that the same game shows tic by tic."""
    long, short = (self.make('health_gathering', 0, frame_skip=tics) for tics in (35, 1))
    frames = [short.reset().observation]
    before, timestep = None, long.reset()
    while not timestep.last():
      before, timestep = timestep.observation, long.step(action(long))
    while not (last := short.step(action(short))).last():
      frames.append(last.observation)
    self.assertTrue((before != timestep.observation).any())
    np.testing.assert_array_equal(timestep.observation, frames[-1])

  def test_says_where_things_are(self):
    env = self.begin('deadly_corridor', 0)
    view = env.view()
    seen = [thing for thing in view.things if thing.width]
    self.assertIn(('Armor', 1312., 0.), [(t.category, t.x, t.y) for t in seen])
    self.assertLen([t for t in view.things if t.category == 'Monster'], 6)
    self.assertLess(len([t for t in seen if t.category == 'Monster']), 6)  # Others are hidden.
    self.assertEqual(view.health, 100)
    walls = env.walls()
    self.assertEqual(walls.shape[1:], (2, 2))
    self.assertTrue((walls.min(axis=(0, 1)) < (view.x, view.y)).all())
    self.assertTrue((walls.max(axis=(0, 1)) > (view.x, view.y)).all())

  def test_leaves_nothing_behind(self):
    """No files, neither where it runs nor in the temporary directory."""
    program = (f'import sys; sys.path[:0] = {sys.path!r}\n'
               'from alpt_jax.domains.doom import env\n'
               'doom = env.make("my_way_home", 0); doom.reset(); doom.close()')
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as temporary:
      subprocess.run([sys.executable, '-c', program], cwd=here, check=True,
                     env=os.environ | {'TMPDIR': temporary, 'HOME': here})
      self.assertEqual((os.listdir(here), os.listdir(temporary)), ([], []))

  def test_the_game_dies_with_a_process_that_is_killed(self):
    program = ('import os, signal, sys; sys.path[:0] = eval(sys.argv[1])\n'
               'from alpt_jax.domains.doom import env\n'
               'doom = env.make("my_way_home", 0); doom.reset()\n'
               'tasks = [f"/proc/self/task/{t}/children" for t in os.listdir("/proc/self/task")]\n'
               'game, = " ".join(open(path).read() for path in tasks).split()\n'
               'arguments = open(f"/proc/{game}/cmdline").read().split(chr(0))\n'
               'print(game, arguments[arguments.index("+viz_instance_id") + 1], flush=True)\n'
               'os.kill(os.getpid(), signal.SIGKILL)')
    with tempfile.TemporaryDirectory() as temporary:
      result = subprocess.run([sys.executable, '-c', program, repr(sys.path)], check=False,
                              capture_output=True, text=True,
                              env=os.environ | {'TMPDIR': temporary})
    self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
    game, name = result.stdout.split()
    for path in pathlib.Path('/dev/shm').glob(f'ViZDoom*{name}'):
      path.unlink()  # 10 MB of shared memory, which nobody else would free.
    deadline = time.monotonic() + 10
    while _is_alive(game):
      self.assertLess(time.monotonic(), deadline, 'the game plays on')
      time.sleep(.05)

  def test_a_missing_package_is_named_with_its_remedy(self):
    program = (f'import sys; sys.path[:0] = {sys.path!r}\n'
               'sys.modules["vizdoom"] = None\n'
               'from alpt_jax import cli\n'
               'def main():\n  import alpt_jax.domains.doom.env\n'
               'cli.run_without_config(main)')
    result = subprocess.run([sys.executable, '-c', program], cwd=processes.ROOT, check=False,
                            capture_output=True, text=True)
    self.assertEqual(result.returncode, 1)
    self.assertIn('Doom needs pip install ".[doom]"', result.stderr)
    self.assertLen(result.stderr.splitlines(), 1)


class RefusalsTest(DoomCase):

  @parameterized.parameters(
      (('Doom', 0), {}, "scenario is 'Doom'; expected one of deadly_corridor"),
      (('my_way_home', -1), {}, 'seed of my_way_home is -1; expected an integer in'),
      (('my_way_home', 0), {'frame_skip': 0}, 'frame_skip of my_way_home is 0; expected 1 to 35'))
  def test_refuses_games_that_there_are_not(self, args, kwargs, message):
    with self.assertRaisesRegex(ValueError, message):
      doom.make(*args, **kwargs)

  @parameterized.parameters(
      ([0, 0, 0], 'shape \\[3\\]; my_way_home has the parts forward, left, right, turn'),
      ([0, .5, 0, 0], 'left is 0.5; my_way_home expects 0 or 1'),
      ([0, 0, 2, 0], 'right is 2; my_way_home expects 0 or 1'),
      ([0, 0, 0, 31], 'turn is 31; my_way_home expects -30 to 30 degrees'),
      ([0, 0, 0, np.nan], 'turn is nan'))
  def test_refuses_actions_that_there_are_not(self, wrong, message):
    env = self.make('my_way_home', 0)
    env.reset()
    with self.assertRaisesRegex(ValueError, message):
      env.step(np.array(wrong))

  def test_refuses_to_say_where_things_are_unless_made_so(self):
    env = self.make('my_way_home', 0)
    env.reset()
    for ask in (env.view, env.walls):
      with self.assertRaisesRegex(ValueError, 'has_view=False; expected True'):
        ask()


del DoomCase  # Has no tests of its own.
