"""Bootstraps of sums: worked by hand, and against the bootstrap of means."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import intervals, resampling


def _ratio(sums):
  return resampling.ratio(sums[..., 0], sums[..., 1])


class ResamplingTest(parameterized.TestCase):

  def test_what_is_divided_by_nothing_is_not_defined(self):
    np.testing.assert_array_equal(_ratio(np.array([[3, 2], [0, 2], [3, 0], [0, 0]])),
                                  [1.5, 0, np.nan, np.nan])

  def test_by_hand(self):
    # Two episodes, 2 of 3 and 1 of 2: a quarter of the draws are of one of them alone.
    found = resampling.interval([[2, 3], [1, 2]], _ratio)
    self.assertEqual((found.value, found.low, found.high, found.n, found.over),
                     (.6, 1 / 2, 2 / 3, 2, intervals.EPISODES))

  def test_is_the_bootstrap_of_a_ratio(self):
    rng = np.random.default_rng(0)
    sums = np.stack([rng.poisson(30, 40), rng.integers(40, 80, 40)], axis=1)
    ours, other = resampling.interval(sums, _ratio), intervals.bootstrap_ratio(*sums.T)
    self.assertEqual(ours.value, other.value)
    width = other.high - other.low  # An end of 10,000 draws varies by 1 % of it.
    self.assertAlmostEqual(ours.low, other.low, delta=.05 * width)
    self.assertAlmostEqual(ours.high, other.high, delta=.05 * width)

  def test_draws_in_parts_are_those_at_once(self):
    sums = np.random.default_rng(0).integers(1, 50, (12, 1, 2))

    def statistic(totals):
      return _ratio(totals[..., 0, :])

    found = resampling.interval(sums, statistic, num_resamples=500)
    self.addCleanup(setattr, resampling, '_DRAWS_AT_ONCE', resampling._DRAWS_AT_ONCE)
    resampling._DRAWS_AT_ONCE = 100
    self.assertEqual(resampling.interval(sums, statistic, num_resamples=500), found)

  def test_every_episode_is_drawn_about_once(self):
    counts = np.concatenate(list(resampling._draws(7, 2000, 0, 7)))
    self.assertEqual(counts.shape, (2000, 7))
    np.testing.assert_array_equal(counts.sum(axis=1), 7)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=.1)  # Standard deviation .02.
    np.testing.assert_allclose(counts.var(axis=0), 6 / 7, atol=.15)

  def test_sums_are_weights_of_episodes(self):
    sums = np.random.default_rng(0).integers(1, 50, (12, 2))
    self.assertEqual(
        resampling.interval(sums, _ratio, seed=4),
        resampling.of_weights(lambda counts: _ratio(counts @ sums), 12, size=14, seed=4))

  def test_one_episode_has_no_interval(self):
    found = resampling.interval([[2, 4]], _ratio)
    self.assertEqual((found.value, found.low, found.high, found.n), (.5, None, None, 1))
    self.assertIn('n = 1', found.reason)

  @parameterized.parameters(([[0, 0], [0, 0]],), (np.zeros((0, 2)),))
  def test_what_is_not_defined_has_no_value(self, sums):
    found = resampling.interval(sums, _ratio)
    self.assertEqual((found.value, found.low, found.high), (None, None, None))
    self.assertEqual(found.reason, 'not defined for this data')

  @parameterized.parameters((3, False), (4, True))
  def test_what_few_episodes_define_has_no_interval(self, num, has_interval):
    # None of the 3 of 20 are drawn in .85^20 = 3.9 % of the resamples; of 4, in 1.2 %.
    sums = np.array([[1, 2]] * num + [[0, 0]] * (20 - num))
    found = resampling.interval(sums, _ratio)
    self.assertEqual(found.value, .5)
    self.assertEqual(found.low is not None, has_interval)
    self.assertEqual(found.reason.startswith('no interval: not defined in'), not has_interval)

  @parameterized.parameters(
      ([[np.nan, 1], [1, 1]], {}, 'are not all finite'),
      ([[1, 1], [1, 1]], dict(level=95), 'level is 95'),
      ([[1, 1]], dict(num_resamples=0), 'num_resamples is 0'))
  def test_bad_input_is_refused(self, sums, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      resampling.interval(sums, _ratio, **settings)


if __name__ == '__main__':
  absltest.main()
