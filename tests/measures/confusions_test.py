"""Confusions by episode: counted by hand, packed and unpacked."""

import json

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import confusions


class ConfusionsTest(parameterized.TestCase):

  def test_counts_by_hand(self):
    ids, counts = confusions.by_episode([7, 2, 7, 7], [0, 1, 1, 0], [0, 0, 1, 1], 2)
    np.testing.assert_array_equal(ids, [2, 7])
    np.testing.assert_array_equal(counts, [[[0, 0], [1, 0]], [[1, 1], [0, 1]]])

  @parameterized.parameters(((3, 2, 2),), ((0, 4, 4),), ((1, 18, 18),), ((),))
  def test_what_was_packed_comes_back(self, shape):
    counts = np.random.default_rng(0).integers(0, 2 ** 32, shape)
    packed = json.loads(json.dumps(confusions.pack(counts)))
    np.testing.assert_array_equal(confusions.unpack(packed), counts)

  def test_five_hundred_episodes_take_little(self):
    generator = np.random.default_rng(0)
    episodes = np.repeat(np.arange(500), 40)
    true = generator.integers(4, size=20_000)
    predicted = np.where(generator.random(20_000) < .5, true, generator.integers(4, size=20_000))
    packed = confusions.pack(confusions.by_episode(episodes, true, predicted, 4)[1])
    self.assertLess(len(json.dumps(packed)), 10_000)

  @parameterized.parameters(
      ({},), ({'shape': [1], 'zlib': '?'},),
      ({'shape': [2], 'zlib': confusions.pack([1])['zlib']},),
      ({'shape': [2 ** 40], 'zlib': confusions.pack([1])['zlib']},))
  def test_damage_is_refused(self, packed):
    with self.assertRaisesRegex(ValueError, 'packed counts are damaged'):
      confusions.unpack(packed)

  def test_negative_counts_are_refused(self):
    with self.assertRaisesRegex(ValueError, r'counts are in \[-1, 3\]; expected'):
      confusions.pack([-1, 3])


if __name__ == '__main__':
  absltest.main()
