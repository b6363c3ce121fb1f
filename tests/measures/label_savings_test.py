"""Label savings: interpolated on logs, censored outside of the budgets, over seeds."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import label_savings


def curves(*by_seed, budgets=(100, 1000, 10_000)):
  """{budget: {seed: value}} of one list of values per seed."""
  return {b: {s: values[i] for s, values in enumerate(by_seed)} for i, b in enumerate(budgets)}


class EquivalentTest(parameterized.TestCase):

  @parameterized.parameters((.5, 1000.), (.4, 100 * 10 ** .5), (.6, 10 ** 3.25), (.9, 10_000.))
  def test_interpolates_on_logs(self, level, expected):
    found = label_savings.equivalent([100, 1000, 10_000], [.3, .5, .9], level)
    self.assertAlmostEqual(float(np.exp(found)), expected, places=6)

  @parameterized.parameters((.3, -math.inf), (.1, -math.inf), (.91, math.inf))
  def test_knows_nothing_outside(self, level, expected):
    self.assertEqual(label_savings.equivalent([100, 1000, 10_000], [.3, .5, .9], level), expected)

  def test_takes_the_first_crossing(self):
    found = label_savings.equivalent([1, 10, 100], [0., 1., .5], .75)
    self.assertAlmostEqual(float(found), .75 * math.log(10))


class LabelSavingsTest(parameterized.TestCase):

  def test_equal_seeds_have_no_spread(self):
    found = label_savings.label_savings(
        dict.fromkeys(range(5), .4), 100, curves(*[[.3, .5, .9]] * 5))
    for labels in (found.equivalent, found.low, found.high):
      self.assertAlmostEqual(labels.number, 100 * 10 ** .5)
      self.assertEqual(labels.relation, 'about')
    self.assertTrue(found.is_saving)
    self.assertEqual((found.n, found.reason), (5, ''))

  @parameterized.parameters((.95, 10_000, 'more than'), (.2, 100, 'at most'))
  def test_is_censored_outside_of_the_budgets(self, value, number, relation):
    found = label_savings.label_savings(
        dict.fromkeys(range(5), value), 100, curves(*[[.3, .5, .9]] * 5))
    self.assertEqual(found.equivalent, (number, relation))
    self.assertEqual((found.low, found.high), (found.equivalent, found.equivalent))

  def test_an_end_can_be_censored(self):
    values = {0: .5, 1: .99, 2: .5, 3: .99, 4: .5, 5: .99}
    found = label_savings.label_savings(values, 100, curves(*[[.3, .5, .9]] * 6))
    self.assertEqual(found.equivalent.relation, 'about')
    self.assertEqual(found.high, (10_000, 'more than'))
    self.assertEqual(found.high.text(), 'more than 10,000')
    # 2.5 % of resamples: no more than one of six seeds has .99, 7 of 64, and none has, 1 of 64. So
    # the lower end is (5 * .5 + .99) / 6 on the way from .5 at 1,000 labels to .9 at 10,000.
    self.assertAlmostEqual(found.low.number, 1000 * 10 ** ((.49 / 6) / .4), places=5)

  def test_below_five_seeds_there_are_numbers_and_no_verdict(self):
    found = label_savings.label_savings(
        dict.fromkeys(range(3), .4), 100, curves(*[[.3, .5, .9]] * 3))
    self.assertEqual(found.reason, 'no verdict: 3 of 5 seeds')
    self.assertAlmostEqual(found.low.number, 100 * 10 ** .5)
    self.assertFalse(found.is_saving)

  def test_only_seeds_of_every_budget_count(self):
    baseline = curves([.3, .5, .9], [.3, .5, .9])
    del baseline[1000][1]
    found = label_savings.label_savings({0: .4, 1: .4}, 100, baseline)
    self.assertEqual((found.n, found.low), (1, None))

  def test_interval_is_about_as_wide_as_the_spread_over_studies(self):
    generator = np.random.default_rng(0)

    def study():  # The truth: log labels equivalent to .7 are 2.5 decades.
      noise = generator.normal(0, .02, (10, 4))
      return label_savings.label_savings(
          dict(enumerate(.4 + noise[:, 3])), 10,
          curves(*(np.array([.3, .5, .9]) + noise[:, :3])), num_resamples=300)

    found = [study() for _ in range(200)]
    covered = np.mean([s.low.number <= 10 ** 2.5 <= s.high.number for s in found])
    self.assertBetween(covered, .84, .98)  # A percentile bootstrap of ten seeds: about .92.

  def test_refuses_one_budget(self):
    with self.assertRaisesRegex(ValueError, r'numbers of labels \[100\]; expected two or more'):
      label_savings.label_savings({0: 1.}, 100, {100: {0: 1.}})


if __name__ == '__main__':
  absltest.main()
