"""Figures of one part, beside its floors: numbers worked by hand, and properties."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts
from alpt_jax.labelling import part_measures
from alpt_jax.labelling.part_measures import Said
from alpt_jax.measures import timeline


def case(part, *episodes, is_known=None, half=None, own=None):
  """A `Case` of episodes, lists of true values; `half`: ids of those that are fitted to."""
  true = np.concatenate(episodes).astype(float)
  index = np.repeat(np.arange(len(episodes)), [len(x) for x in episodes])
  steps = np.concatenate([np.arange(len(x)) for x in episodes])
  known = np.ones(len(true), bool) if is_known is None else np.array(is_known, bool)
  return part_measures.Case(part, own or part, true, known, timeline.Timeline(index, steps),
                            None if half is None else np.isin(index, half))


def key_said(*scores):
  """A `Said` of a key by the probabilities that it is down."""
  scores = np.concatenate(scores).astype(float)
  return part_measures.said_by(KEY, KEY, np.stack([1 - scores, scores], axis=1))


def measure(one, idm, **said):
  return part_measures.measure(one, {'idm': idm, **said}, num_resamples=50, seed=0)


def values(figures):
  return {name: x['value'] for name, x in figures.items()}


KEY = action_parts.Binary('jump')


class BinaryTest(parameterized.TestCase):

  def test_by_hand(self):
    one = case(KEY, [0, 1, 1, 0, 0], [0, 0, 1, 1, 1])
    idm = key_said([.1, .2, .9, .2, .2], [.1, .7, .8, .9, .6])
    found = measure(one, idm, majority=Said(np.zeros(10)))
    # Wrong at step 1 of the first, where it is a step late, and of the second, a step early.
    self.assertAlmostEqual(found['figures']['accuracy']['value'], .8)
    self.assertAlmostEqual(found['figures']['step_f1']['value'], 8 / 10)
    # Onsets: 2 true, 2 said, none in place, both 1 step away. Releases: one, in place.
    for name, expected in (('onset_f1_0', 0), ('onset_f1_1', 1), ('onset_f1_2', 1),
                           ('release_f1_0', 1), ('event_f1_0', 2 / 6), ('event_f1_1', 1)):
      self.assertAlmostEqual(found['figures'][name]['value'], expected, msg=name)
    nll = -np.log([.9, .2, .9, .8, .8, .9, .3, .8, .9, .6]).mean()
    self.assertAlmostEqual(found['figures']['nll']['value'], nll)
    self.assertEqual((found['prevalence'], found['num_transitions'], found['num_episodes']),
                     (.5, 10, 2))
    self.assertEqual(found['confusion'], [[4, 1], [1, 4]])
    # Of 8 steps with one before, persistence misses the 3 changes, and the IDM gets one of them.
    self.assertEqual(found['compared']['num_transitions'], 8)
    before = found['over_persistence']
    self.assertAlmostEqual(before['persistence']['value'], 5 / 8)
    self.assertAlmostEqual(before['idm']['value'], 6 / 8)
    self.assertAlmostEqual(before['margin']['value'], 1 / 8)
    self.assertEqual(found['at_changes']['num_transitions'], 3)
    self.assertEqual({who: values(x) for who, x in found['at_changes']['figures'].items()}, {
        'idm': {'accuracy': 2 / 3}, 'majority': {'accuracy': 1 / 3},
        'persistence': {'accuracy': 0}})
    self.assertEqual(found['thresholds'], {
        'unknown': 'one episode: nothing is left to score thresholds on'})

  def test_persistence_is_late_by_a_step(self):
    one = case(KEY, [0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0])
    found = measure(one, key_said(one.true * .9))['compared']['figures']
    self.assertEqual([found['persistence'][f'event_f1_{c}']['value'] for c in range(3)], [0, 1, 1])
    self.assertEqual(found['idm']['event_f1_0']['value'], 1)
    self.assertLess(found['luck']['event_f1_0']['value'], .5)

  def test_thresholds_of_one_half_are_scored_on_the_other(self):
    one = case(KEY, [0, 0, 1, 1, 0, 1], [0, 0, 1, 1, 0, 0], half=[0])
    # In the half that is fitted, down is .3 and more; in the other, .3 is up.
    idm = key_said([.1, .2, .3, .4, .2, .3], [.1, .3, .5, .6, .3, .2])
    found = measure(one, idm, linear=Said(one.true, 2 * one.true),
                    majority=Said(np.zeros(12)))['thresholds']
    self.assertEqual((found['num_episodes_fitted'], found['num_episodes'],
                      found['num_transitions']), (1, 1, 5))
    self.assertEqual(found['fitted'], {'idm': .3, 'linear': 2})
    # Of the other half, step 0 has none before it: 5 count, of which 2 are up and called down.
    self.assertAlmostEqual(found['figures']['idm']['accuracy']['value'], 3 / 5)
    self.assertEqual(found['figures']['linear']['accuracy']['value'], 1)
    self.assertAlmostEqual(found['figures']['majority']['accuracy']['value'], 3 / 5)
    self.assertNotIn('nll', found['figures']['idm'])

  def test_a_key_that_is_never_down_in_one_half_has_no_threshold(self):
    found = measure(case(KEY, [0, 0, 0], [0, 1, 0], half=[0]), key_said([.4] * 6))['thresholds']
    self.assertEqual(found['fitted'], {'idm': None})
    self.assertEqual(found['figures']['idm']['step_f1']['value'], 0)

  def test_the_main_figure_is_of_fitted_thresholds_for_all(self):
    one = case(KEY, [0, 1, 0, 1, 0], [0, 1, 1, 0, 1], half=[0])
    idm, linear = key_said(one.true * .3 + .1), Said(one.true * 0, one.true * .2)
    found = measure(one, idm, linear=linear)
    self.assertEqual(found['figures']['event_f1_0']['value'], 0)  # Nothing is above one half.
    self.assertEqual({who: x['value'] for who, x in found['main']['values'].items()
                      if who in ('idm', 'linear')}, {'idm': 1, 'linear': 1})
    self.assertEqual(found['main']['margins']['linear'],
                     {'value': 0, 'low': None, 'high': None, 'n': 1,
                      'reason': 'no interval: n = 1'})


class ContinuousTest(parameterized.TestCase):

  def test_by_hand(self):
    part = action_parts.Continuous('turn', -4, 4, unit='degrees', num_bins=8)
    one = case(part, [0, 1, 3], [2, 0, 0])
    said = Said(np.array([0, 2, 2, 2, -1, 0.]), None, None, np.array(
        [[-1, -.5, .5, 1], [0, 1.5, 2.5, 3], [0, 1, 2.5, 3], [2, 2, 2, 2], [-2, -2, 0, 0],
         [.5, .5, 1, 1]]))
    found = measure(one, said, mean=Said(np.ones(6)), zero=Said(np.zeros(6)))
    figures = values(found['figures'])
    # Errors 0, 1, -1, 0, -1, 0; truths have mean 1 and a sum of squares about it of 8.
    self.assertAlmostEqual(figures['r2'], 1 - 3 / 8)
    self.assertAlmostEqual(figures['mean_absolute_error'], .5)
    self.assertAlmostEqual(figures['bias'], -1 / 6)
    self.assertAlmostEqual(figures['scale_ratio'], 7 / 6)
    self.assertEqual((figures['within'], found['tolerance'], found['smallest_move']), (1, 1, .5))
    # 0, 3, 2 and 0 are within the outer pair, 3 at its end; 0, 2 and 0 within the inner one.
    self.assertAlmostEqual(figures['coverage_90'], 5 / 6)
    self.assertAlmostEqual(figures['coverage_50'], 3 / 6)
    # With a step before: 1, 3 and 0, 0, which persistence says to be 0, 1 and 2, 0.
    compared = found['compared']['figures']
    self.assertAlmostEqual(compared['persistence']['r2']['value'], 1 - 9 / 6)
    self.assertAlmostEqual(compared['mean']['r2']['value'], 0)
    self.assertAlmostEqual(compared['zero']['r2']['value'], 1 - 10 / 6)
    self.assertAlmostEqual(compared['idm']['r2']['value'], 1 - 3 / 6)
    self.assertAlmostEqual(found['main']['margins']['persistence']['value'], 1)
    self.assertEqual(found['at_changes']['num_transitions'], 3)
    self.assertEqual(found['lag']['num_transitions'], [0, 0, 2, 4, 2, 0, 0])

  def test_a_circle_is_gone_round_the_shorter_way(self):
    part = action_parts.Continuous('heading', -180, 180, wraps=True, num_bins=36)
    one = case(part, [170, -170, 175, 10], [0, 90, 180, -90])
    said = Said(np.array([-170, 170, -175, 0, 350, 90, -180, 270.]))
    found = measure(one, said)['figures']
    self.assertAlmostEqual(found['mean_absolute_error']['value'], (20 + 20 + 10 + 10 + 10) / 8)
    self.assertAlmostEqual(found['bias']['value'], (20 - 20 + 10 - 10 - 10) / 8)

  def test_labels_that_hardly_change_are_constant(self):
    part = action_parts.Continuous('turn', -4, 4)
    one = case(part, [-3, 3, -3, 3], [1, -1, 1, -1])
    for spread, expected in ((.01, True), (.2, False)):
      labels = measure(one, Said(one.true * spread))['labels']
      self.assertAlmostEqual(labels['spread'], spread)
      self.assertEqual(labels['is_constant'], expected)

  def test_the_picture_has_what_is_said_on_average(self):
    part = action_parts.Continuous('turn', -4, 4)
    one = case(part, [-3, 3, -1, 2], [1, -1, 1, -1])
    found = measure(one, Said(one.true), ceiling=Said(1 + one.true / 2))['picture']
    np.testing.assert_allclose(found['lines']['ceiling'], [1, .5])
    self.assertEqual(found['true'], found['predicted'])
    self.assertCountEqual(found['true'], [3, -1, 2, -1, 1, -1])


class CategoricalTest(absltest.TestCase):

  def test_by_hand(self):
    part = action_parts.Categorical('weapon', ('fist', 'bow', 'axe'), legal=('fist', 'axe'))
    one = case(part, [0, 0, 2], [2, 2, 0])
    probabilities = np.array([[.9, 0, .1], [.4, 0, .6], [.2, 0, .8], [.1, 0, .9], [.7, 0, .3],
                              [.8, 0, .2]])
    found = measure(one, part_measures.said_by(part, part, probabilities))
    figures = values(found['figures'])
    self.assertAlmostEqual(figures['accuracy'], 4 / 6)
    self.assertAlmostEqual(figures['balanced_accuracy'], 2 / 3)
    self.assertAlmostEqual(figures['macro_f1'], 2 / 3)
    self.assertAlmostEqual(figures['nll'], -np.log([.9, .4, .8, .9, .3, .8]).mean())
    self.assertEqual((found['names'], found['confusion']), (['fist', 'axe'], [[2, 1], [1, 2]]))
    self.assertAlmostEqual(found['nll_uniform'], np.log(2))
    self.assertEqual(found['labels'], {'most_frequent': 'fist', 'share': .5, 'true_share': .5,
                                       'is_constant': False})
    self.assertAlmostEqual(found['calibration']['mean_confidence'], 4.7 / 6)

  def test_what_is_rare_in_truth_may_be_rare_in_labels(self):
    part = action_parts.Categorical('weapon', ('fist', 'bow'))
    rare, half = ([0] * 99 + [1], [0, 1] * 50)
    for true, share_said, expected in ((rare, 0, True), (rare, 1, False), (half, 3, True),
                                       (half, 30, False)):
      one = case(part, true, true)
      said = np.where(np.arange(200) % 100 >= 100 - share_said, 1, 0)
      labels = measure(one, part_measures.said_by(part, part, np.eye(2)[said]))['labels']
      self.assertEqual(labels['is_constant'], expected, msg=(share_said, labels))


class AnyKindTest(parameterized.TestCase):

  def test_what_is_not_known_does_not_count(self):
    for part in (KEY, action_parts.Continuous('turn', 0, 1, num_bins=2)):
      whole = case(part, [0, 1, 0, 1], [0, 0, 1, 1])
      more = case(part, [0, 1, 0, 1, np.nan], [0, 0, 1, 1], [np.nan, np.nan],
                  is_known=[1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0])
      scores = np.array([.2, .7, .4, .9, .1, .6, .3, .8])
      found = [measure(one, part_measures.said_by(part, part, np.stack([1 - x, x], axis=1)))
               for one, x in ((whole, scores),
                              (more, np.concatenate([scores[:4], [.5], scores[4:], [.5, .5]])))]
      self.assertEqual(*found)

  def test_a_difference_is_paired(self):
    sums = np.random.default_rng(0).uniform(1, 2, (20, 2))
    share = lambda total: total[..., 0] / total[..., 1]  # noqa: E731
    estimate = part_measures.Estimator(np.arange(20) < 15, 200, 0)
    one = part_measures.Figure(sums, share)
    other = part_measures.Figure(sums * [.5, 1], share)
    alone = estimate(one)
    self.assertEqual(alone['n'], 15)
    self.assertAlmostEqual(alone['value'], share(sums[:15].sum(axis=0)))
    same = estimate.difference(one, one)
    self.assertEqual([same[key] for key in ('value', 'low', 'high')], [0, 0, 0])
    half = estimate.difference(one, other)
    for key in ('value', 'low', 'high'):  # Half of it, in every resample.
      self.assertAlmostEqual(half[key], alone[key] / 2)


if __name__ == '__main__':
  absltest.main()
