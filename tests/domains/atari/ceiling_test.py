"""What is left of the actions once the emulator has tried them all."""

import dm_env
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.domains.atari import ceiling
from alpt_jax.domains.atari import env as atari

NOOP, FIRE, RIGHT, LEFT = range(4)  # Breakout's own indices.
UNIFORM = np.full(4, .25)


def play(game, sticky, num_steps, seed=0):
  """An emulator in the middle of a game."""
  env = atari.make(game, seed, sticky=sticky)
  env.reset()
  for action in np.random.default_rng(seed).integers(env.action_spec().num_values, size=num_steps):
    env.step(action)
  return env


class AtariCeilingTest(parameterized.TestCase):

  def test_probabilities_of_held_frames(self):
    np.testing.assert_allclose(ceiling.held_probabilities(.25),
                               [3 / 4, 3 / 16, 3 / 64, 3 / 256, 1 / 256])
    np.testing.assert_array_equal(ceiling.held_probabilities(0.), [1, 0, 0, 0, 0])

  def test_moves_are_told_and_fire_in_flight_is_not(self):
    env = play('Breakout', 0., 0)
    for _ in range(3):
      env.step(FIRE)  # The ball flies.
    start = env.clone()
    found = []
    for action in range(4):
      env.restore(start)
      seen = [env.step(action), env.step(NOOP)]
      env.restore(start)
      found.append(ceiling.posterior(env, seen, UNIFORM, sticky=0.))
    np.testing.assert_allclose(
        found, [[.5, .5, 0, 0], [.5, .5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])

  def test_prior_decides_between_what_looks_the_same(self):
    env = play('Breakout', 0., 0)
    for _ in range(3):
      env.step(FIRE)
    start, seen = env.clone(), [env.step(FIRE)]
    env.restore(start)
    found = ceiling.posterior(env, seen, [.3, .1, .5, .1], sticky=0.)
    np.testing.assert_allclose(found, [.75, .25, 0, 0])

  def test_with_sticky_actions_it_is_the_share_of_plays_that_look_so(self):
    """Plays 1,500 steps with the emulator's own draws, and counts."""
    env, prior = play('Freeway', .5, 40), np.array([.2, .5, .3])
    start, rng = env.clone(), np.random.default_rng(1)
    looks = {}
    for _ in range(1500):
      env.restore(start._replace(random=np.random.RandomState(rng.integers(2**31)).get_state(
          legacy=False)))
      action = rng.choice(3, p=prior)
      timestep = env.step(action)
      counts, _ = looks.setdefault(timestep.observation.tobytes(), (np.zeros(3), timestep))
      counts[action] += 1
    self.assertGreater(len(looks), 2)
    for counts, timestep in looks.values():
      env.restore(start)
      found = ceiling.posterior(env, [timestep], prior, sticky=.5)
      error = 4 * np.sqrt(.25 / counts.sum())  # Four standard errors of a share, at most.
      np.testing.assert_allclose(found, counts / counts.sum(), atol=error)

  def test_second_observation_excludes_more_but_never_what_was_done(self):
    env = play('Freeway', .25, 30)
    rng = np.random.default_rng(0)
    for action, next_action in rng.integers(3, size=(12, 2)):
      start = env.clone()
      seen = [env.step(action), env.step(next_action)]
      env.restore(start)
      one, two = (ceiling.posterior(env, seen[:n], np.full(3, 1 / 3), sticky=.25)
                  for n in (1, 2))
      self.assertGreater(two[action], 0)
      np.testing.assert_array_equal(two[one == 0], 0)
      env.step(action)

  def test_emulator_is_left_as_it_was(self):
    env, twin = play('Breakout', .25, 20), play('Breakout', .25, 20)
    start, seen = env.clone(), [env.step(RIGHT), env.step(LEFT)]
    env.restore(start)
    ceiling.posterior(env, seen, UNIFORM, sticky=.25)
    for action in (RIGHT, FIRE, LEFT, NOOP) * 10:
      np.testing.assert_array_equal(env.step(action).observation, twin.step(action).observation)

  def test_refuses_what_no_action_leads_to(self):
    env = play('Breakout', .25, 20)
    wrong = dm_env.transition(0., np.zeros(atari.OBSERVATION_SHAPE, np.uint8))
    with self.assertRaisesRegex(ValueError, 'no action of Breakout leads to .* step 20'):
      ceiling.posterior(env, [wrong], UNIFORM, sticky=.25)


if __name__ == '__main__':
  absltest.main()
