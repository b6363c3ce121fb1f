"""Tests of geometry on maps, on ones small enough to measure by hand."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.domains.doom import geometry

# A room of 320 x 320 with a wall from the middle of its lower side up to 64 below the upper one.
ROOM = np.array([((0, 0), (320, 0)), ((320, 0), (320, 320)), ((320, 320), (0, 320)),
                 ((0, 320), (0, 0)), ((160, 0), (160, 240))], float)


class GeometryTest(parameterized.TestCase):

  @parameterized.parameters((0, 0), (190, -170), (180, -180), (-180, -180), (-190, 170), (720, 0))
  def test_wraps(self, degrees, wrapped):
    self.assertEqual(geometry.wrap(degrees), wrapped)

  @parameterized.parameters(
      (0, 120), (180, 40), (90, 280), (270, 40), (45, 120 * 2**.5), (-360, 120),
      # Over the end of the wall in the middle, 120 to the right and 200 above.
      (np.degrees(np.arctan2(200.1, 120)), 280 / np.sin(np.arctan2(200.1, 120))))
  def test_clearance(self, heading, distance):
    self.assertAlmostEqual(geometry.clearance(ROOM, (40, 40), heading), distance, places=3)

  def test_nothing_is_in_the_way_outside(self):
    self.assertEqual(geometry.clearance(ROOM, (-10, 40), 180), 1e9)

  def test_distances_to_walls(self):
    places = np.array([[(10, 100), (150, 100)], [(160, 270), (170, 250)]], float)
    np.testing.assert_allclose(geometry.distances_to_walls(ROOM, places),
                               [[10, 10], [30, 200**.5]])


class WaysTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.ways = geometry.Ways(ROOM, (280, 40))

  def test_goes_straight_to_what_is_in_sight(self):
    goal = self.ways.next_place((280, 200))
    self.assertLessEqual(np.abs(np.subtract(goal, (280, 40))).max(), 8)  # Half a cell.

  def test_goes_around_a_wall_and_arrives(self):
    place, length = np.array([40., 40.]), 0.
    for _ in range(200):
      following = np.array(self.ways.next_place(place))
      step = following - place
      distance = np.linalg.norm(step)
      if distance < 9:
        break
      step *= min(1, 16 / distance)
      place, length = place + step, length + np.linalg.norm(step)
      self.assertGreater(geometry.distances_to_walls(ROOM, place[None])[0], 16)
    self.assertLess(np.linalg.norm(place - (280, 40)), 17)
    # Through the two corners that are 24 away from the end of the wall; a grid has eight ways.
    shortest = 2 * np.hypot(160 - 40 - 24, 240 + 24 - 40) + 48
    self.assertBetween(length, .9 * shortest, 1.15 * shortest)
