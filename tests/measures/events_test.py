"""Events of keys: worked by hand, against slow versions written anew, and properties."""

import itertools

import numpy as np
from absl.testing import absltest, parameterized
from scipy import optimize

from alpt_jax.measures import events, intervals
from alpt_jax.measures import timeline as timeline_
from tests import exhaustive


def _timeline(*lengths):
  return timeline_.Timeline(np.repeat(np.arange(len(lengths)), lengths),
                            np.concatenate([np.arange(n) for n in lengths]))


def _column(text):
  """'01-1' as values [4, 1] and whether each is known."""
  return (np.array([[int(c == '1')] for c in text]), np.array([[c != '-'] for c in text]))


def _counts(true, predicted, lengths=None, *, collar=0):
  """Counts [E, 2, 3] of one key; `true` may have '-' where it is not known."""
  timeline = _timeline(*lengths or [len(true)])
  true, is_known = _column(true)
  predicted, _ = _column(predicted)
  return events.count(*(events.find(x, is_known, timeline) for x in (true, predicted)), is_known,
                      timeline, collar=collar)[:, 0]


def _random_case(seed, num_keys=3, lengths=(40, 25, 1, 60)):
  rng = np.random.default_rng(seed)
  timeline, num = _timeline(*lengths), sum(lengths)
  true = (rng.random((num, num_keys)) < .2).cumsum(axis=0) % 2
  predicted = np.where(rng.random((num, num_keys)) < .1, 1 - true, np.roll(true, 1, axis=0))
  return true, predicted, rng.random((num, num_keys)) < .9, timeline


def _slow_events(values, is_known, lengths):
  """[(episode, timestep, key, kind)]."""
  found, row = [], 0
  for episode, length in enumerate(lengths):
    for t in range(length):
      for k in range(values.shape[1]):
        if t and is_known[row, k] and is_known[row - 1, k] and values[row, k] != values[row - 1, k]:
          found.append((episode, t, k, 0 if values[row, k] else 1))
      row += 1
  return found


class FindTest(parameterized.TestCase):

  @parameterized.parameters(
      ('0110', [4], [1], [3]),
      ('1100', [4], [], [2]),  # It was down before the first step: no onset.
      ('01', [1, 1], [], []),  # Two episodes.
      ('0-11', [4], [], []),  # Nothing says when.
      ('01-10', [5], [1], [4]),
      ('0000', [4], [], []))
  def test_by_hand(self, text, lengths, onsets, releases):
    values, is_known = _column(text)
    found = events.find(values, is_known, _timeline(*lengths))
    np.testing.assert_array_equal(np.flatnonzero(found[:, 0, 0]), onsets)
    np.testing.assert_array_equal(np.flatnonzero(found[:, 0, 1]), releases)

  def test_is_that_of_a_loop(self):
    for seed in range(5):
      true, _, is_known, timeline = _random_case(seed)
      found = events.find(true, is_known, timeline)
      expected = _slow_events(true, is_known, (40, 25, 1, 60))
      starts = np.array([0, 40, 65, 66])
      self.assertCountEqual(
          [tuple(map(int, x)) for x in np.argwhere(found)],
          [(starts[e] + t, k, kind) for e, t, k, kind in expected])

  def test_values_that_are_not_known_may_be_anything(self):
    values, is_known = _column('01-10')
    other = np.where(is_known, values, 7)
    np.testing.assert_array_equal(events.find(values, is_known, _timeline(5)),
                                  events.find(other, is_known, _timeline(5)))

  @parameterized.parameters(
      ([[0], [2]], [[True], [True]], r'is_pressed\[1, 0\] is 2; expected 0 or 1'),
      ([[0.], [np.nan]], [[True], [True]], r'is_pressed\[1, 0\] is nan; expected 0 or 1'),
      ([0, 1], [[True], [True]], r'is_pressed has shape \(2,\); expected \[2, K\]'),
      ([[0], [1]], [[True, True]] * 2, r'is_known has shape \(2, 2\), is_pressed \(2, 1\)'))
  def test_bad_values_are_refused(self, values, is_known, message):
    with self.assertRaisesRegex(ValueError, message):
      events.find(values, is_known, _timeline(2))


class MatchTest(parameterized.TestCase):

  @parameterized.parameters(
      ([3], [3], 0, 1), ([3], [4], 0, 0), ([3], [4], 1, 1), ([3], [2], 1, 1), ([3], [5], 1, 0),
      ([3, 5], [4], 1, 1),  # One prediction is not two events,
      ([4], [3, 5], 1, 1),  # nor one event two predictions.
      ([2, 4], [3, 5], 1, 2),  # Taking the nearest first could leave one over.
      ([], [1], 2, 0))
  def test_by_hand(self, true, predicted, collar, num):
    self.assertLen(events.match(true, predicted, collar)[0], num)

  def test_no_matching_has_more_pairs(self):
    rng = np.random.default_rng(0)
    for _ in range(exhaustive.num_of(3000)):
      true, predicted = (np.sort(rng.choice(14, rng.integers(9), replace=False)) for _ in range(2))
      collar = int(rng.integers(4))
      found, others = events.match(true, predicted, collar)
      is_within = np.abs(true[:, None] - predicted) <= collar
      most = is_within[optimize.linear_sum_assignment(is_within, maximize=True)].sum()
      self.assertLen(found, most)
      self.assertTrue(is_within[found, others].all())
      self.assertEqual((len(set(found)), len(set(others))), (most, most))

  def test_no_choice_of_pairs_has_more(self):
    rng = np.random.default_rng(1)
    for _ in range(exhaustive.num_of(300)):
      true, predicted = (np.sort(rng.choice(8, rng.integers(5), replace=False)) for _ in range(2))
      pairs = [(i, j) for i, t in enumerate(true) for j, p in enumerate(predicted)
               if abs(t - p) <= 1]
      most = max(n for n in range(5) for chosen in itertools.combinations(pairs, n)
                 if len({i for i, _ in chosen}) == len({j for _, j in chosen}) == n)
      self.assertLen(events.match(true, predicted, 1)[0], most)


class CountTest(parameterized.TestCase):

  def test_by_hand(self):
    #        onsets 2, 6; releases 4, 8 | onset 1
    true = '0011001100' + '0111'
    said = '0001001110' + '0000'  # Onsets 3, 6; releases 4, 9 | none.
    exact, near = (_counts(true, said, [10, 4], collar=collar) for collar in (0, 1))
    np.testing.assert_array_equal(exact, [[[1, 2, 2], [1, 2, 2]], [[0, 0, 1], [0, 0, 0]]])
    np.testing.assert_array_equal(near, [[[2, 2, 2], [2, 2, 2]], [[0, 0, 1], [0, 0, 0]]])
    pooled = near.sum(axis=(0, 1))
    self.assertEqual(events.precision(pooled), 1)
    self.assertEqual(events.recall(pooled), 4 / 5)
    self.assertAlmostEqual(events.f1(pooled), 8 / 9)

  def test_kinds_are_not_matched_with_each_other(self):
    np.testing.assert_array_equal(_counts('0011', '1100', collar=2), [[[0, 0, 1], [0, 1, 0]]])

  def test_no_pair_is_across_episodes(self):
    # An onset at the last step of one, said at the second of the next: two rows apart.
    for order in (1, -1):
      found = _counts('00010000'[::order], '00000100'[::order], [4, 4], collar=2)
      self.assertEqual(found[..., events.MATCHED].sum(), 0)
    self.assertEqual(_counts('00010000', '00000100', [8], collar=2)[..., 0].sum(), 2)

  @parameterized.parameters(5, 9)
  def test_no_pair_is_across_steps_that_are_not_known(self, collar):
    said = '0000000011'
    self.assertEqual(_counts('0001000000', said, collar=collar)[0, 0, 0], 1)
    self.assertEqual(_counts('0001-00000', said, collar=collar)[0, 0, 0], 0)

  def test_nothing_is_counted_where_the_truth_is_not_known(self):
    np.testing.assert_array_equal(_counts('000---000', '000111000'), [[[0, 0, 0], [0, 0, 0]]])
    np.testing.assert_array_equal(_counts('0001--000', '000100000'), [[[1, 1, 1], [0, 0, 0]]])

  def test_trembling_scores_once(self):
    np.testing.assert_array_equal(_counts('00001111', '00101011', collar=2)[0, 0], [1, 3, 1])

  @parameterized.parameters(1, 2)
  def test_a_shift_costs_everything_below_the_collar_and_nothing_at_it(self, shift):
    rng = np.random.default_rng(0)
    true = np.zeros(600, int)
    true[np.cumsum(rng.integers(6, 15, 50))] = 1
    true = np.cumsum(true) % 2  # Presses and pauses of at least six steps.
    texts = [''.join(map(str, x)) for x in (true, np.roll(true, shift))]
    f1 = [float(events.f1(_counts(*texts, collar=c).sum(axis=(0, 1)))) for c in (0, 1, 2)]
    self.assertEqual(f1, [0.] * shift + [1.] * (3 - shift))

  def test_larger_collars_match_no_less(self):
    for seed in range(5):
      true, predicted, is_known, timeline = _random_case(seed)
      true, predicted = (events.find(x, is_known, timeline) for x in (true, predicted))
      found = [events.count(true, predicted, is_known, timeline, collar=c) for c in range(4)]
      for fewer, more in itertools.pairwise(found):
        self.assertTrue(np.all(fewer[..., 0] <= more[..., 0]))
        np.testing.assert_array_equal(fewer[..., 1:], more[..., 1:])
      self.assertTrue(np.all(found[-1][..., 0] <= found[-1][..., 1:].min(axis=-1)))

  def test_is_that_of_an_assignment_within_runs_of_known_steps(self):
    lengths = (40, 25, 1, 60)
    for seed in range(3):
      true, predicted, is_known, timeline = _random_case(seed)
      found = events.count(*(events.find(x, is_known, timeline) for x in (true, predicted)),
                           is_known, timeline, collar=2)
      expected, starts = np.zeros_like(found), np.array([0, 40, 65, 66])
      ours, theirs = (_slow_events(x, is_known, lengths) for x in (predicted, true))
      for place in np.ndindex(expected.shape[:3]):
        t, p = ([x[1] for x in of if (x[0], *x[2:]) == place] for of in (theirs, ours))
        episode, key, _ = place
        of_key = is_known[starts[episode]:starts[episode] + lengths[episode], key]
        is_within = np.array([[abs(a - b) <= 2 and of_key[min(a, b):max(a, b) + 1].all()
                               for b in p] for a in t], bool).reshape(len(t), len(p))
        best = optimize.linear_sum_assignment(is_within, maximize=True)
        expected[place] = is_within[best].sum(), len(p), len(t)
      np.testing.assert_array_equal(found, expected)

  def test_the_order_of_rows_does_not_matter(self):
    true, predicted, is_known, timeline = _random_case(0)
    episodes, timesteps = timeline.index, np.concatenate([np.arange(n) for n in (40, 25, 1, 60)])
    order = np.random.default_rng(0).permutation(len(true))
    counts = []
    for rows in (np.arange(len(true)), order):
      line = timeline_.Timeline(episodes[rows], timesteps[rows])
      found = [events.find(x[rows], is_known[rows], line) for x in (true, predicted)]
      counts.append(events.count(*found, is_known[rows], line, collar=1))
    np.testing.assert_array_equal(*counts)

  def test_the_value_before_is_a_floor_at_collar_0_only(self):
    true, _, _, timeline = _random_case(0, lengths=(300,))
    is_known = np.ones(true.shape, bool)
    before, _ = timeline.before(true, is_known)
    found = [events.find(x, is_known, timeline) for x in (true, before)]
    f1 = [events.f1(events.count(*found, is_known, timeline, collar=c).sum(axis=(0, 1, 2)))
          for c in (0, 1)]
    self.assertLess(f1[0], .3)
    self.assertGreater(f1[1], .97)  # All but events of the last step, and one of the second.

  def test_without_events_nothing_is_defined(self):
    counts = _counts('0000', '0000').sum(axis=(0, 1))
    for number in (events.precision, events.recall, events.f1):
      self.assertTrue(np.isnan(number(counts)))
    missed = _counts('0100', '0000').sum(axis=(0, 1))
    self.assertTrue(np.isnan(events.precision(missed)))
    self.assertEqual((events.recall(missed), events.f1(missed)), (0, 0))

  def test_bad_input_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'collar is -1; expected 0 or more'):
      _counts('01', '01', collar=-1)
    found = np.zeros((2, 1, 2), bool)
    with self.assertRaisesRegex(ValueError, r'predicted \(2, 2, 2\); expected \[2, 1, 2\]'):
      events.count(found, np.zeros((2, 2, 2), bool), np.ones((2, 1), bool), _timeline(2), collar=0)


class LuckTest(absltest.TestCase):

  def test_shuffled_events_keep_their_numbers_and_their_steps(self):
    true, _, is_known, timeline = _random_case(0)
    found = events.find(true, is_known, timeline)
    moved = events.shuffled(found, is_known, timeline, seed=1)
    np.testing.assert_array_equal(timeline.sums(moved), timeline.sums(found))
    possible = (events.find(np.ones_like(true), is_known, timeline)
                | events.find(np.arange(len(true))[:, None] % 2 * np.ones_like(true), is_known,
                              timeline)).any(axis=2)
    self.assertTrue(np.all(possible[..., None] | ~moved))
    self.assertGreater(np.sum(moved != found), 10)
    np.testing.assert_array_equal(moved, events.shuffled(found, is_known, timeline, seed=1))
    self.assertTrue(np.any(moved != events.shuffled(found, is_known, timeline, seed=2)))

  def test_luck_is_what_theory_says(self):
    # One event among 20 places: 1 / 20 of the shuffles hit it, 3 / 20 come within 1 step.
    rng = np.random.default_rng(0)
    onset = np.arange(3, 19)[rng.integers(16, size=50)]
    true = (np.arange(21) >= onset[:, None]).ravel()[:, None].astype(int)
    timeline, is_known = _timeline(*[21] * 50), np.ones((1050, 1), bool)
    found = events.find(true, is_known, timeline)
    for collar, expected in ((0, 1 / 20), (1, 3 / 20)):
      counts = events.luck(found, found, is_known, timeline, collar=collar, num_shuffles=40)
      # 2000 draws: a standard deviation of .005 or .008.
      self.assertAlmostEqual(events.f1(counts.sum(axis=(0, 1, 2))), expected, delta=.03)

  def test_no_shuffles_are_refused(self):
    true, _, is_known, timeline = _random_case(0)
    found = events.find(true, is_known, timeline)
    with self.assertRaisesRegex(ValueError, 'num_shuffles is 0; expected at least 1'):
      events.luck(found, found, is_known, timeline, collar=0, num_shuffles=0)


class StepsTest(absltest.TestCase):

  def test_pressed_steps_by_hand(self):
    timeline = _timeline(3, 2)
    true = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [1, 1]])
    predicted = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]])
    is_known = np.array([[1, 1], [1, 1], [1, 1], [1, 0], [1, 1]], bool)
    counts = events.count_pressed(true, predicted, is_known, timeline)
    np.testing.assert_array_equal(counts, [[[1, 2, 2], [1, 1, 1]], [[1, 1, 1], [0, 0, 1]]])
    np.testing.assert_allclose(events.f1(counts.sum(axis=0)), [2 / 3, 2 / 3])
    joint = events.count_joint(true, predicted, is_known, timeline)
    np.testing.assert_array_equal(joint, [[1, 3], [0, 1]])
    self.assertEqual(events.share(joint.sum(axis=0)), 1 / 4)
    self.assertTrue(np.isnan(events.share(np.zeros(2))))

  def test_predictions_are_0_or_1(self):
    with self.assertRaisesRegex(ValueError, r'predicted\[0, 0\] is 0.7; expected 0 or 1'):
      events.count_joint([[1]], [[.7]], [[True]], _timeline(1))


def _slow_average_precision(scores, is_pressed):
  """Of every threshold by itself, in as many steps as there are pairs."""
  total, last, area = sum(is_pressed), 0, 0.
  for threshold in sorted(set(scores), reverse=True):
    passed = [y for y, s in zip(is_pressed, scores, strict=True) if s >= threshold]
    area += (sum(passed) - last) / total * sum(passed) / len(passed)
    last = sum(passed)
  return area


class AveragePrecisionTest(parameterized.TestCase):

  @parameterized.parameters(
      ([.9, .8, .7, .6], [1, 0, 1, 0], (1 + 2 / 3) / 2),
      ([.9, .8, .7, .6], [1, 1, 0, 0], 1.),
      ([.9, .8, .7, .6], [0, 0, 0, 1], 1 / 4),
      ([.5, .5, .5, .5], [1, 0, 0, 0], 1 / 4),  # Equal scores: the prevalence.
      ([.9, .5, .5], [0, 1, 0], 1 / 3))
  def test_by_hand(self, scores, is_pressed, expected):
    self.assertAlmostEqual(events.average_precision(scores, is_pressed), expected)

  def test_is_that_of_every_threshold(self):
    rng = np.random.default_rng(0)
    for _ in range(20):
      scores, is_pressed = rng.integers(8, size=30) / 8, rng.random(30) < .3
      is_pressed[0] = True
      self.assertAlmostEqual(events.average_precision(scores, is_pressed),
                             _slow_average_precision(scores.tolist(), is_pressed.tolist()))

  def test_scores_at_random_reach_the_prevalence(self):
    rng = np.random.default_rng(0)
    is_pressed = rng.random(20_000) < .15
    self.assertAlmostEqual(events.average_precision(rng.random(20_000), is_pressed), .15,
                           delta=.01)

  def test_order_alone_matters(self):
    rng = np.random.default_rng(0)
    scores, is_pressed = rng.random(200), rng.random(200) < .3
    self.assertEqual(events.average_precision(scores, is_pressed),
                     events.average_precision(np.exp(9 * scores), is_pressed))

  def test_is_not_defined_without_a_pressed_step(self):
    self.assertTrue(np.isnan(events.average_precision([.1, .2], [0, 0])))

  def test_interval_is_over_episodes(self):
    rng = np.random.default_rng(0)
    is_pressed = rng.random(600) < .3
    scores, index = is_pressed + rng.normal(size=600), np.repeat(np.arange(12), 50)
    found = events.average_precision_interval(scores, is_pressed, index)
    self.assertAlmostEqual(found.value, events.average_precision(scores, is_pressed))
    self.assertEqual((found.n, found.over), (12, intervals.EPISODES))
    slow = []
    for _ in range(400):
      rows = np.concatenate([np.arange(50) + 50 * e for e in rng.integers(12, size=12)])
      slow.append(events.average_precision(scores[rows], is_pressed[rows]))
    width = found.high - found.low
    self.assertAlmostEqual(found.low, np.quantile(slow, .025), delta=.15 * width)
    self.assertAlmostEqual(found.high, np.quantile(slow, .975), delta=.15 * width)

  def test_interval_of_arrays_that_differ_is_refused(self):
    with self.assertRaisesRegex(ValueError, r'episodes \(2,\); expected \[M\] each'):
      events.average_precision_interval([.1, .2, .3], [0, 1, 1], [0, 0])


class ThresholdTest(parameterized.TestCase):

  @parameterized.parameters(
      ([.9, .8, .7, .6], [1, 1, 0, 0], .8),
      ([.9, .8, .7, .6], [0, 0, 0, 1], .6),
      ([.9, .8, .2, .1], [1, 0, 1, 0], .2),  # F1 2/3, 1/2, 4/5, 2/3.
      ([.9, .8, .7, .6, .5], [1, 0, 0, 1, 0], .9),  # Of 2/3 and 2/3 the higher.
      ([.5, .5, .1], [1, 0, 0], .5),
      ([.9, .1], [0, 0], float('inf')))
  def test_by_hand(self, scores, is_pressed, expected):
    self.assertEqual(events.fit_threshold(scores, is_pressed), expected)

  def test_no_threshold_has_a_higher_f1(self):
    rng = np.random.default_rng(0)
    for _ in range(20):
      scores, is_pressed = rng.integers(10, size=40) / 10, rng.random(40) < .3
      is_pressed[0] = True

      def f1(threshold, scores=scores, is_pressed=is_pressed):
        said = scores >= threshold
        return 2 * np.sum(said & is_pressed) / (said.sum() + is_pressed.sum())

      found = events.fit_threshold(scores, is_pressed)
      self.assertAlmostEqual(f1(found), max(map(f1, scores)))

  def test_thresholds_of_one_half_serve_the_other(self):
    # A key that is rarely down, and rarely sure: calibrated probabilities seldom pass one half.
    rng, line = np.random.default_rng(0), _timeline(*[50] * 60)
    scores = rng.beta(1, 6, size=(3000, 2))
    is_pressed, is_known = rng.random((3000, 2)) < scores, rng.random((3000, 2)) < .9
    is_fitted = line.draw_half()
    thresholds = events.fit_thresholds(*(x[is_fitted] for x in (scores, is_pressed, is_known)))
    is_scored = is_known & ~is_fitted[:, None]
    f1 = [events.f1(events.count_pressed(is_pressed, scores >= threshold, is_scored, line)
                    .sum(axis=0)) for threshold in (thresholds, .5, 0.)]
    for others in f1[1:]:
      self.assertTrue(np.all(f1[0] > others + .04), f1)

  def test_each_key_is_fitted_where_it_is_known(self):
    scores = np.array([[.9, .3], [.5, .2], [.4, .1]])
    is_pressed = np.array([[0, 1], [1, 1], [0, 0]])
    is_known = np.array([[0, 1], [1, 1], [1, 1]], bool)
    np.testing.assert_array_equal(events.fit_thresholds(scores, is_pressed, is_known), [.5, .2])


if __name__ == '__main__':
  absltest.main()
