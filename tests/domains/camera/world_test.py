"""The exact posterior of cameras, against closed forms, enumeration and draws."""

import itertools

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.domains.camera import world

DIALS = np.array([[1., -.4], [.6, 1.]])


class WorldTest(parameterized.TestCase):

  def test_turn_between_two_bearings_of_one_point(self):
    own = world.World(num_points=1, hidden=0.)
    observations = world.simulate(own, 1, np.random.default_rng(0)).observations
    change = float(np.diff(observations[:, 0])[0]) * own.largest_bearing
    # Turn and bearings are Gaussian; a common direction of the point cancels in the change.
    variance = own.yaw**2 * (1 - own.turning)
    found = world.posterior(own, observations)
    np.testing.assert_allclose(
        found.turns, [-change * variance / (variance + own.noise**2)], rtol=1e-5)
    np.testing.assert_allclose(
        found.deviations**2, [2 * variance * own.noise**2 / (variance + own.noise**2)], rtol=1e-6)

  def test_of_hidden_points_nothing_is_known(self):
    own = world.World(hidden=1.)
    found = world.posterior(own, world.simulate(own, 6, np.random.default_rng(0)).observations)
    np.testing.assert_array_equal(found.turns, np.zeros(6))
    np.testing.assert_allclose(found.deviations, own.yaw * np.sqrt(2 * (1 - own.turning)))

  def test_keys_against_all_sequences(self):
    own = world.World()
    for seed in range(5):
      observations = world.simulate(own, 4, np.random.default_rng(seed)).observations
      dials, total, sums = observations[1:, -2:] * 6., 0., np.zeros((4, 2))
      for keys in itertools.product([(0, 0), (0, 1), (1, 0), (1, 1)], repeat=4):
        keys = np.array(keys)
        num_changes = np.abs(np.diff(keys, axis=0)).sum()
        weight = own.held**(6 - num_changes) * (1 - own.held)**num_changes
        weight *= np.exp(-.5 * (((dials - keys @ DIALS.T) / own.dial_noise)**2).sum())
        total, sums = total + weight, sums + weight * keys
      np.testing.assert_allclose(world.posterior(own, observations).keys, sums / total, rtol=1e-5)

  @parameterized.parameters({}, dict(noise=3., hidden=.6, turning=.5, held=.9))
  def test_is_as_often_right_as_it_says(self, **settings):
    own = world.World(**settings)
    rng = np.random.default_rng(0)
    drawn = [world.simulate(own, 30, rng) for _ in range(200)]
    found = [world.posterior(own, episode.observations) for episode in drawn]
    turns = np.concatenate([(e.turns - p.turns) / p.deviations
                            for e, p in zip(drawn, found, strict=True)])
    np.testing.assert_allclose([turns.mean(), turns.std()], [0, 1], atol=.04)
    keys, chance = (np.concatenate([x.keys.ravel() for x in xs]) for xs in (drawn, found))
    for low in (0., .2, .4, .6, .8):
      is_in = (chance >= low) & (chance < low + .2)
      np.testing.assert_allclose(keys[is_in].mean(), chance[is_in].mean(), atol=.04)

  def test_observations_stay_in_their_range(self):
    rng = np.random.default_rng(0)
    for _ in range(50):
      episode = world.simulate(world.World(), 40, rng)
      self.assertLess(abs(episode.observations[:, -2:]).max(), 1)  # Nothing was cut off.
      self.assertLess(abs(episode.observations[:, :4]).max(), 1)
      self.assertLess(abs(episode.turns).max(), world.World().largest_turn)


if __name__ == '__main__':
  absltest.main()
