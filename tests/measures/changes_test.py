"""Labels at changes, and persistence: worked by hand, against loops, and properties."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import changes, confusions, resampling
from alpt_jax.measures import timeline as timeline_


def _timeline(*lengths):
  return timeline_.Timeline(np.repeat(np.arange(len(lengths)), lengths),
                            np.concatenate([np.arange(n) for n in lengths]))


def _held(num=2000, seed=0, num_actions=4):
  """Actions that are held for 20 steps, on average."""
  rng = np.random.default_rng(seed)
  is_new = rng.random(num) < .05
  return rng.integers(num_actions, size=num)[np.maximum.accumulate(np.arange(num) * is_new)]


class ChangedTest(parameterized.TestCase):

  @parameterized.parameters(
      ([0, 0, 1, 1, 0], [5], None, [2, 4]),
      ([0, 1, 1, 0], [2, 2], None, [1, 3]),
      ([.5, .5, .25], [3], None, [2]),
      ([350., 350, -10, 10], [4], 360., [3]))
  def test_by_hand(self, values, lengths, period, expected):
    found = changes.is_changed(np.array(values), np.ones(len(values), bool), _timeline(*lengths),
                               period=period)
    np.testing.assert_array_equal(np.flatnonzero(found), expected)

  def test_nothing_changes_beside_what_is_not_known(self):
    values = np.array([[0, 1], [1, 9], [0, 0], [1, 1]])
    is_known = np.array([[1, 1], [1, 0], [1, 1], [1, 1]], bool)
    np.testing.assert_array_equal(changes.is_changed(values, is_known, _timeline(4)),
                                  [[0, 0], [1, 0], [1, 0], [1, 1]])


class CountTest(absltest.TestCase):

  def test_by_hand(self):
    found = changes.count([0, 0, 1, 2, 2, 1, 1], [0, 1, 1, 2, 0, 1, 0],
                          np.array([1, 1, 1, 1, 1, 1, 1], bool), _timeline(4, 3), 3)
    # Compared at steps 1, 2, 3 of the first episode and 1, 2 of the second.
    np.testing.assert_array_equal(found.labels, [[[0, 1, 0], [0, 1, 0], [0, 0, 1]],
                                                 [[0, 0, 0], [1, 1, 0], [0, 0, 0]]])
    np.testing.assert_array_equal(found.persistence, [[[1, 0, 0], [1, 0, 0], [0, 1, 0]],
                                                      [[0, 0, 0], [0, 1, 1], [0, 0, 0]]])
    np.testing.assert_array_equal(found.at_changes, [[[0, 0, 0], [0, 1, 0], [0, 0, 1]],
                                                     [[0, 0, 0], [0, 1, 0], [0, 0, 0]]])

  def test_is_that_of_a_loop(self):
    rng = np.random.default_rng(0)
    true, line = _held(), _timeline(*[50] * 40)
    labels = np.where(rng.random(2000) < .7, true, rng.integers(4, size=2000))
    is_known = rng.random(2000) < .8
    slow = np.zeros((3, 4, 4), int)
    for row in range(2000):
      if row % 50 and is_known[row] and is_known[row - 1]:
        slow[0, true[row], labels[row]] += 1
        slow[1, true[row], true[row - 1]] += 1
        if true[row] != true[row - 1]:
          slow[2, true[row], labels[row]] += 1
    found = changes.count(np.where(is_known, true, -7), labels, is_known, line, 4)
    for counts, expected in zip(found, slow, strict=True):
      np.testing.assert_array_equal(counts.sum(axis=0), expected)

  def test_persistence_is_good_overall_and_has_nothing_at_changes(self):
    true, line = _held(), _timeline(*[50] * 40)
    before, _ = line.before(true, np.ones(2000, bool))
    found = changes.count(true, before, np.ones(2000, bool), line, 4)
    np.testing.assert_array_equal(found.labels, found.persistence)
    self.assertGreater(confusions.accuracy(found.labels.sum(axis=0)), .9)
    for number in (confusions.accuracy, confusions.balanced_accuracy, confusions.macro_f1):
      interval = resampling.interval(found.at_changes, number)
      self.assertEqual((interval.value, interval.low, interval.high), (0, 0, 0))

  def test_guessing_at_changes_scores_chance(self):
    true, line = _held(20_000), _timeline(*[100] * 200)
    labels = np.random.default_rng(1).integers(4, size=20_000)
    found = changes.count(true, labels, np.ones(20_000, bool), line, 4).at_changes
    interval = resampling.interval(found, confusions.balanced_accuracy)
    self.assertBetween(.25, interval.low, interval.high)

  def test_without_changes_nothing_is_defined(self):
    found = changes.count([1, 1, 1], [1, 0, 1], np.ones(3, bool), _timeline(3), 2)
    self.assertEqual(found.at_changes.shape, (0, 2, 2))
    self.assertIsNone(resampling.interval(found.at_changes, confusions.macro_f1).value)

  def test_bad_input_is_refused(self):
    for case, message in (
        (([0, 2], [0, 1]), r'true\[1\] is 2; expected an id in \[0, 2\)'),
        (([0, 1], [-1, 1]), r'labels\[0\] is -1; expected an id in \[0, 2\)'),
        (([0, 1], [.5, 1]), 'labels are of type float64; expected integers')):
      with self.assertRaisesRegex(ValueError, message):
        changes.count(*case, np.ones(2, bool), _timeline(2), 2)
    with self.assertRaisesRegex(ValueError, r'is_known has shape \(3,\); expected \[2\]'):
      changes.count([0, 1], [0, 1], np.ones(3, bool), _timeline(2), 2)


if __name__ == '__main__':
  absltest.main()
