"""Verdicts: none below five seeds, "no effect" only inside of what matters, Holm, power."""

import math

import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from alpt_jax.measures import intervals, verdicts


def differences(*values):
  return intervals.difference(dict(enumerate(values)), dict.fromkeys(range(len(values)), 0.))


def ratios(*values):
  return intervals.ratio(dict(enumerate(values)), dict.fromkeys(range(len(values)), 1.))


class HolmTest(absltest.TestCase):

  def test_by_hand(self):
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, which may not fall.
    np.testing.assert_allclose(verdicts.holm([.01, .04, .03, .005]), [.03, .06, .06, .02])

  def test_a_test_that_cannot_be_made_counts(self):
    np.testing.assert_allclose(verdicts.holm([.02, math.nan]), [.04, 1])
    self.assertEqual(verdicts.holm([]).size, 0)

  def test_refuses_what_is_no_probability(self):
    with self.assertRaisesRegex(ValueError, 'p_values are .*1.5.* expected numbers in'):
      verdicts.holm([1.5])

  def test_rejects_a_true_hypothesis_in_one_of_twenty_studies_at_most(self):
    p_values = np.random.default_rng(0).random((4000, 5))
    wrong = np.mean([np.any(verdicts.holm(p) <= .05) for p in p_values])
    self.assertBetween(wrong, .038, .06)


class DetectableTest(parameterized.TestCase):

  def test_half_a_std_needs_34_pairs(self):
    # G*Power's and Cohen's (1988): a paired t test, 5 % two-sided, power .8, d = .5: 34 pairs.
    self.assertLess(verdicts.detectable_difference(1., 34), .5)
    self.assertGreater(verdicts.detectable_difference(1., 33), .5)

  @parameterized.parameters(2, 5, 10)
  def test_is_found_in_80_percent_of_studies(self, n):
    size = verdicts.detectable_difference(2., n)
    draws = np.random.default_rng(n).normal(size, 2., (40_000, n))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(n))
    critical = {2: 12.7062, 5: 2.77645, 10: 2.26216}[n]  # Of a table.
    self.assertBetween(np.mean(np.abs(t) > critical), .79, .81)

  def test_is_a_ratio_of_ratios(self):
    found = verdicts.detectable(ratios(1., 2., 4., 8., 16.))
    std = math.log(2) * math.sqrt(2.5)
    self.assertAlmostEqual(found, math.exp(verdicts.detectable_difference(std, 5)))

  def test_refuses_one_pair(self):
    with self.assertRaisesRegex(ValueError, 'n is 1 .* expected at least 2 pairs'):
      verdicts.detectable_difference(1., 1)


class JudgeTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('as_expected', differences(.9, 1., 1.1, 1., 1.), 'higher', .5, 'as expected'),
      ('opposite', differences(.9, 1., 1.1, 1., 1.), 'lower', .5, 'opposite'),
      ('below', differences(-.9, -1., -1.1, -1., -1.), 'lower', .5, 'as expected'),
      ('all_inside', differences(.01, -.01, 0., .02, -.02), 'higher', .1, 'no effect'),
      ('too_small_to_matter', differences(.01, .011, .012, .01, .01), 'higher', .1, 'no effect'),
      ('wide', differences(1., -1., .5, -.5, .1), 'higher', .1, 'cannot tell'),
      ('one_end_outside', differences(.05, -.05, .2, 0., 0.), 'higher', .1, 'cannot tell'),
      ('faster', ratios(.5, .55, .45, .5, .5), 'lower', 1.25, 'as expected'),
      ('as_fast', ratios(.99, 1.01, 1., 1., 1.02), 'lower', 1.25, 'no effect'),
  )
  def test_by_the_interval(self, comparison, sign, smallest, expected):
    self.assertEqual(
        verdicts.judge(comparison, sign=sign, smallest_effect=smallest).word, expected)

  @parameterized.parameters(0, 1, 3, 4)
  def test_no_verdict_below_five_seeds_however_clear(self, n):
    comparison = differences(*(10. + .01 * i for i in range(n)))
    found = verdicts.judge(comparison, sign='higher', smallest_effect=.1)
    self.assertEqual((found.word, found.reason), ('no verdict', f'no verdict: {n} of 5 seeds'))
    if n:
      self.assertAlmostEqual(comparison.interval.value, 10 + .01 * (n - 1) / 2)  # Still said.

  def test_cannot_tell_says_what_could_have_been_told(self):
    comparison = differences(1., -1., .5, -.5, .1)
    found = verdicts.judge(comparison, sign='higher', smallest_effect=.1)
    self.assertAlmostEqual(found.detectable,
                           verdicts.detectable_difference(comparison.std, 5))
    self.assertIn(f'a difference of {found.detectable:.3g} could have been told with a power of '
                  '80 %', found.reason)

  def test_censored_pairs_can_agree_but_never_show_no_effect(self):
    for n, word in ((5, 'cannot tell'), (6, 'as expected')):  # p = 2 / 32, 2 / 64.
      far = intervals.ratio(dict.fromkeys(range(n), 100.),
                            {s: intervals.AtLeast(1000.) for s in range(n)})
      self.assertEqual(verdicts.judge(far, sign='lower', smallest_effect=1.25).word, word)
    near = intervals.ratio(
        dict.fromkeys(range(60), 100.), dict.fromkeys(range(59), 100.)
        | {59: intervals.AtLeast(100.)})
    self.assertEqual(verdicts.judge(near, sign='lower', smallest_effect=1.25).word, 'cannot tell')

  def test_chance_gives_a_verdict_in_one_of_twenty_studies(self):
    generator = np.random.default_rng(0)
    words = [verdicts.judge(differences(*generator.normal(size=5)), sign='higher',
                            smallest_effect=.001).word for _ in range(1500)]
    self.assertBetween(np.mean([w in ('as expected', 'opposite') for w in words]), .033, .067)
    self.assertNotIn('no effect', words)

  @parameterized.parameters((differences(1., 2.), 0., 'above 0'), (ratios(1., 2.), .8, 'above 1'))
  def test_refuses_an_effect_of_no_interest(self, comparison, smallest, expected):
    with self.assertRaisesRegex(ValueError, f'smallest_effect is {smallest}; .* {expected}'):
      verdicts.judge(comparison, sign='higher', smallest_effect=smallest)

  def test_refuses_an_unknown_sign(self):
    with self.assertRaisesRegex(ValueError, "sign is 'up'; expected one of"):
      verdicts.judge(differences(1., 2.), sign='up', smallest_effect=1.)


class JudgeAllTest(absltest.TestCase):

  def test_primaries_share_the_error(self):
    weak = differences(.1, .2, .3, .4, .05, .3)  # p = .009
    p = weak.p_value
    (alone, p_alone), = verdicts.judge_all([(weak, 'higher', .01)])
    self.assertEqual((alone.word, p_alone), ('as expected', p))
    many = verdicts.judge_all([(weak, 'higher', .01)] * 9)
    self.assertEqual({verdict.word for verdict, _ in many}, {'cannot tell'})
    self.assertAlmostEqual(many[0][1], 9 * p)

  def test_what_could_have_been_told_is_after_holm(self):
    wide = differences(1., -1., .5, -.5, .1)
    (verdict, _), *_ = verdicts.judge_all([(wide, 'higher', .1)] * 4)
    size = verdict.detectable
    self.assertGreater(size, 1.3 * verdicts.detectable(wide))
    # A fresh study of that size: p at most 5 % / 4 in four of five.
    data = np.random.default_rng(0).normal(size, wide.std, (20_000, 5))
    p_values = stats.ttest_1samp(data, 0, axis=1).pvalue
    self.assertAlmostEqual(np.mean(p_values <= .05 / 4), .8, delta=.01)

  def test_a_primary_that_cannot_be_judged_yet_still_counts(self):
    strong = differences(.9, 1., 1.1, 1., 1.)
    (first, p), (second, p_second) = verdicts.judge_all(
        [(strong, 'higher', .5)] * 2, not_yet=['', '9 of 10 registered runs are in'])
    self.assertAlmostEqual(p, 2 * strong.p_value)
    self.assertEqual((first.word, p_second), ('as expected', 1))
    self.assertEqual(second[:2], ('no verdict', '9 of 10 registered runs are in'))

  def test_a_primary_without_seeds_still_counts(self):
    strong, few = differences(.9, 1., 1.1, 1., 1.), differences(1., 1.1)
    (first, p), (second, _) = verdicts.judge_all([(strong, 'higher', .5), (few, 'higher', .5)])
    self.assertAlmostEqual(p, 2 * strong.p_value)
    self.assertEqual((first.word, second.word), ('as expected', 'no verdict'))

  def test_no_effect_needs_a_wider_interval_of_several(self):
    comparison = differences(.01, -.01, 0., .02, -.02)
    inside = 1.05 * comparison.interval.high
    (alone, _), = verdicts.judge_all([(comparison, 'higher', inside)])
    self.assertEqual(alone.word, 'no effect')
    together = verdicts.judge_all([(comparison, 'higher', inside)] * 2)
    self.assertEqual(together[0][0].word, 'cannot tell')


if __name__ == '__main__':
  absltest.main()
