"""Lags of labels: numbers worked by hand, a slow version written anew, and properties."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import lag, timeline
from alpt_jax.measures.predictions import Predictions
from tests.measures import predictions_data as data


def _lag(*case, **settings):
  return lag.lag_test(Predictions(*case), **settings)


def _lagging_case(lag, num_episodes=10, length=30, num_actions=3, share_right=.8, seed=0):
  """Labels that are, mostly, the action `lag` later; (probabilities, actions, episodes, times)."""
  rng = np.random.default_rng(seed)
  truth = rng.integers(num_actions, size=(num_episodes, length + 6))
  labels = np.where(rng.random((num_episodes, length)) < share_right,
                    truth[:, 3 + lag:3 + lag + length],
                    rng.integers(num_actions, size=(num_episodes, length)))
  return (np.eye(num_actions)[labels.reshape(-1)], truth[:, 3:3 + length].reshape(-1),
          np.repeat(np.arange(num_episodes), length), np.tile(np.arange(length), num_episodes))


class LagTest(parameterized.TestCase):

  def test_by_hand(self):
    # Labels 0, 1, 2, 0 are the actions one later, as far as there are such.
    lag = _lag(np.eye(3)[[0, 1, 2, 0]], [1, 0, 1, 2], [8, 8, 8, 8], [5, 6, 7, 8])
    np.testing.assert_array_equal(lag.shifts, [-3, -2, -1, 0, 1, 2, 3])
    np.testing.assert_array_equal(lag.num_transitions, [1, 2, 3, 4, 3, 2, 1])
    np.testing.assert_allclose(lag.accuracy, [0, .5, 1 / 3, 0, 1, 0, 0])
    self.assertEqual((lag.best, lag.gain, lag.num_episodes), (1, 1., 1))
    self.assertFalse(lag.is_shifted)  # One episode is no evidence.

  def test_is_that_of_looking_each_transition_up(self):
    rng = np.random.default_rng(0)
    probabilities, actions, episodes, timesteps = _lagging_case(2, num_episodes=6, seed=3)
    kept = rng.permutation(len(actions))[:120]  # Gaps, and no order.
    case = [x[kept] for x in (probabilities, actions, episodes * 7 - 3, timesteps)]
    truth = {(e, t): a for a, e, t in zip(*(x.tolist() for x in case[1:]), strict=True)}
    lag = _lag(*case)
    gains = {}
    for i, shift in enumerate(range(-3, 4)):
      pairs = [(data.slow_label(p), a, truth[e, t + shift]) for p, a, e, t in
               zip(*(x.tolist() for x in case), strict=True) if (e, t + shift) in truth]
      self.assertEqual(lag.num_transitions[i], len(pairs))
      self.assertAlmostEqual(lag.accuracy[i], sum(p == b for p, _, b in pairs) / len(pairs))
      gains[shift] = sum((p == b) - (p == a) for p, a, b in pairs) / len(pairs)
    self.assertEqual(lag.best, max(gains, key=gains.get))
    self.assertAlmostEqual(lag.gain, max(gains.values()))

  @parameterized.parameters(-3, -2, -1, 1, 2, 3)
  def test_finds_a_lag(self, injected):
    lag = _lag(*_lagging_case(injected))
    self.assertEqual((lag.best, lag.is_shifted, lag.num_episodes), (injected, True, 10))
    self.assertGreater(lag.gain, .4)
    self.assertLess(lag.p_value, .01)

  def test_finds_a_lag_of_unsure_labels_whose_actions_often_stay(self):
    rng = np.random.default_rng(0)
    changes = rng.random((20, 60)) < .3
    truth = np.take_along_axis(rng.integers(4, size=(20, 60)), changes.cumsum(axis=1), axis=1)
    labels = np.where(rng.random((20, 59)) < .6, truth[:, 1:], rng.integers(4, size=(20, 59)))
    lag = _lag(np.eye(4)[labels.reshape(-1)], truth[:, :-1].reshape(-1),
                         np.repeat(np.arange(20), 59), np.tile(np.arange(59), 20))
    self.assertEqual((lag.best, lag.is_shifted), (1, True))

  def test_labels_in_place_have_no_lag(self):
    lag = _lag(*_lagging_case(0))
    self.assertEqual((lag.best, lag.gain, lag.p_value, lag.is_shifted), (0, 0., None, False))

  def test_of_shifts_that_fit_alike_the_nearest_is_best(self):
    always = np.eye(2)[np.zeros(20, int)]
    self.assertEqual(_lag(always, np.zeros(20, int), np.zeros(20, int),
                                    np.arange(20)).best, 0)

  def test_p_value_is_never_zero(self):
    self.assertEqual(
        _lag(*_lagging_case(1, num_episodes=60), num_resamples=999).p_value, 1 / 1000)

  def test_no_lag_is_clear_from_few_episodes(self):
    self.assertFalse(_lag(*_lagging_case(1, num_episodes=7)).is_shifted)
    self.assertTrue(_lag(*_lagging_case(1, num_episodes=8)).is_shifted)

  def test_no_lag_is_clear_that_gains_next_to_nothing(self):
    # 20 labels of each 400 fit one later only, 14 in place only: all episodes agree on .015.
    actions = np.tile(np.arange(401) % 3, 8)
    labels = np.full(401, 3)
    labels[:20] = (np.arange(20) + 1) % 3
    labels[20:34] = np.arange(20, 34) % 3
    lag = _lag(np.eye(4)[np.tile(labels, 8)], actions, np.repeat(np.arange(8), 401),
                         np.tile(np.arange(401), 8))
    self.assertEqual((lag.best, lag.is_shifted), (1, False))
    self.assertAlmostEqual(lag.gain, 6 / 400)
    self.assertLess(lag.p_value, .05 / 6)

  def test_p_value_is_the_share_of_all_signs(self):
    values = np.array([3., 1., -1., 2., 0., 4., 1., -2.])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    exact = np.mean(values @ signs >= values.sum())
    self.assertAlmostEqual(lag._random_signs_p_value(values, 20_000, 0), exact, delta=.008)

  def test_random_labels_rarely_lag_clearly(self):
    found = sum(_lag(*_lagging_case(0, share_right=0., seed=seed),
                               num_resamples=1000).is_shifted for seed in range(100))
    self.assertLessEqual(found, 10)  # At most 5 expected: 3 standard deviations above are 11.

  def test_nothing_is_compared_across_episodes_and_gaps(self):
    lag = _lag(np.eye(2)[[0, 1, 0, 1]], [0, 1, 0, 1], [0, 0, 1, 1], [0, 4, 1, 5])
    np.testing.assert_array_equal(lag.num_transitions, [0, 0, 0, 4, 0, 0, 0])
    np.testing.assert_array_equal(np.isnan(lag.accuracy), [1, 1, 1, 0, 1, 1, 1])

  @parameterized.parameters(
      ([0, 0, 1, 1, 1], [0, 1, 4, 3, 4], 'have transition 4 of episode 1 twice'),
      ([0, 0, 1, 1], [0, 1, 0, 1, 2], r'episodes have shape \(4,\); expected \(5,\)'),
      ([0, 0, 1, 1, 1], [0, 1, 0, 1], r'timesteps have shape \(4,\); expected \(5,\)'),
      ([0, 0, 1, 1, 1], [0, 1, 0, 1, .5], 'timesteps are of type float64'))
  def test_bad_places_are_refused(self, episodes, timesteps, message):
    with self.assertRaisesRegex(ValueError, message):
      _lag(data.PROBABILITIES, data.ACTIONS, episodes, timesteps)

  def test_no_draws_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'num_resamples is 0; expected at least 1'):
      _lag(data.PROBABILITIES, data.ACTIONS, data.EPISODES, [0, 1, 2, 0, 1], num_resamples=0)


class IncrementsTest(parameterized.TestCase):

  def values(self, injected, *, period=None, seed=0, share=.8):
    """Slow values, and the same of `injected` steps later, with noise; `lag_test_increments`."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 10, (10, 46))
    walk = np.cumsum(steps, axis=1)
    true, said = walk[:, 3:43], walk[:, 3 + injected:43 + injected]
    said = share * said + rng.normal(0, 2, said.shape)
    if period:
      true, said = true % period, said % period
    rows = rng.permutation(true.size)
    place = timeline.Timeline(np.repeat(np.arange(10), 40)[rows], np.tile(np.arange(40), 10)[rows])
    return lag.lag_test_increments(true.ravel()[rows], said.ravel()[rows],
                                   np.ones(true.size, bool), place, period=period)

  def test_by_hand(self):
    # Increments 1, 3, 2, 6, of which predictions say 3, 2, 6, 2: the next ones, but for the last.
    place = timeline.Timeline([4] * 5, range(5))
    found = lag.lag_test_increments([0, 1, 4, 6, 12], [0, 3, 5, 11, 13], [True] * 5, place)
    true, said = (np.array(x) - np.mean(x) for x in ([1, 3, 2, 6], [3, 2, 6, 2]))
    scale = 4 * true.std() * said.std()
    np.testing.assert_allclose(found.accuracy[3], (true * said).sum() / scale)
    np.testing.assert_allclose(found.accuracy[4], (said[:3] * true[1:]).sum() / scale * 4 / 3)
    np.testing.assert_array_equal(found.num_transitions, [1, 2, 3, 4, 3, 2, 1])
    # One pair, -1.25 and -2 instead of 3, beats three that gain 11.75 together: no evidence.
    self.assertEqual((found.best, found.is_shifted), (-3, False))
    self.assertAlmostEqual(found.gain, 6.25 * 4 / scale)

  @parameterized.product(injected=(-3, -1, 0, 2), period=(None, 360.))
  def test_finds_a_lag_of_slow_values(self, injected, period):
    share = 1 if period else .8
    found = self.values(injected, period=period, share=share)
    self.assertEqual((found.best, found.is_shifted), (injected, injected != 0))
    self.assertGreater(found.accuracy[3 + injected], .9)

  def test_what_is_not_known_is_not_compared(self):
    place = timeline.Timeline([0] * 6 + [1] * 2, [0, 1, 2, 3, 4, 5, 0, 1])
    is_known = np.array([True, True, False, True, True, True, True, True])
    found = lag.lag_test_increments(
        [0, 1, np.nan, 5, 7, 8, 0, 1], [0, 1, 9, 5, 7, 9, 0, 2], is_known, place)
    # Increments at 1; 4, 5; and 1 of the other episode.
    np.testing.assert_array_equal(found.num_transitions, [1, 0, 1, 4, 1, 0, 1])

  def test_constant_increments_are_refused(self):
    place = timeline.Timeline([0] * 4, range(4))
    for true, said, message in (
        ([0, .1, .2, .3], [0, 1, 3, 4], '3 increments of true values are all 0.1; expected'),
        ([0, 1, 3, 4], [2, 2, 2, 2], '3 increments of predicted values are all 0; expected')):
      with self.assertRaisesRegex(ValueError, message):
        lag.lag_test_increments(true, said, [True] * 4, place)
    with self.assertRaisesRegex(ValueError, '0 increments of true values are known; expected'):
      lag.lag_test_increments([0, 1], [0, 1], [True, False], timeline.Timeline([0, 0], [0, 1]))


if __name__ == '__main__':
  absltest.main()
