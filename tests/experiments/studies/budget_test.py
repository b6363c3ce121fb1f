"""How many labels are enough and what sources are worth, by numbers made by hand."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from experiments.studies import budget as findings_budget
from experiments.studies import report, results_file
from tests.domains.atari import report_test as report_atari_test
from tests.experiments.studies import report_test

BUDGETS = (50, 500, 5000)
WITHOUT, WITH = (.2, .5, .9), (.8, .92, .95)  # Mean label accuracies; seeds are .01 off.


def make_line(*means, std=.1, budgets=(10, 100, 1000, 10_000)):
  """A line with these means, of six runs each, with the same spread."""
  return findings_budget.line(
      {b: [m - std, m + std] * 3 for b, m in zip(budgets, means, strict=True)})


def make_maze_results(num_seeds=2):
  """Seeds of DT1-IDM and of ALPT with three numbers of labels, and of an oracle with one."""
  results = report_test.make_results()
  results |= dict(budgets=list(BUDGETS), runs=[], rows=[])
  for name, means in (('dt1_idm', WITHOUT), ('alpt_blocked', WITH), ('oracle', (None,))):
    for budget, mean in zip(BUDGETS, means, strict=False):
      for seed in range(num_seeds):
        sources = list(results['mazes'])[:1] if name == 'alpt_blocked' else []
        identity = dict(run=f'grid-{budget}-{name}-seed{seed}', method=name, observation='grid',
                        target=list(results['mazes'])[1 + seed % 2], sources=sources, seed=seed,
                        num_labels=budget)
        results['runs'].append(identity | dict(status='done', seconds=10., num_steps=20))
        for step, share in ((10, .5), (20, 1.)):
          accuracy = None if mean is None else share * mean + (.01, -.01)[seed % 2]
          results['rows'].append(identity | {
              'step': step, 'frames': step, 'label_accuracy': accuracy,
              'argmax/success_500': .99 if mean is None else accuracy - .1})
  used = {run['method'] for run in results['runs']}
  results['methods'] = {key: about | {'is_action_limited': key != 'oracle'}
                        for key, about in results['methods'].items() if key in used}
  results_file.check(results)
  return results


def make_atari_results():
  """Those of `report_atari_test`: IDMs with 500 and 2,000 labels, agents with 500."""
  results = report_atari_test.make_results() | {'budgets': [500, 2000]}
  for method, about in results['methods'].items():
    about['is_action_limited'] = method != 'dt1'  # As if it were an oracle.
  results_file.check(results)
  return results


class RulesTest(parameterized.TestCase):

  def test_line_is_mean_and_population_deviation_over_what_is_finite(self):
    found = findings_budget.line({500: [.5], 50: [.2, .4, math.nan], 5: [math.nan]})
    np.testing.assert_array_equal(found.budgets, [50, 500])
    np.testing.assert_allclose(found.mean, [.3, .5])
    np.testing.assert_allclose(found.std, [.1, math.nan])
    np.testing.assert_array_equal(found.n, [2, 1])

  @parameterized.parameters(
      ((.1, .2, .5, .9), 10_000),  # None is as good as the largest.
      ((.1, .85, .82, .9), 100),
      ((.9, .9, .9, .9), 10),
      ((.95, .2, .85, .9), 1000),  # A lucky one does not count.
      ((.99, .99, .99, .5), 10))  # Better than the largest is enough, too.
  def test_enough_is_where_all_larger_ones_are_within_the_spread(self, means, expected):
    self.assertEqual(findings_budget.enough(make_line(*means)), (expected, ''))

  def test_enough_needs_five_seeds_of_every_number(self):
    found = findings_budget.enough(findings_budget.line({5: [.1, .2], 50: [.5] * 5}))
    self.assertEqual(found, (None, 'no verdict: 2 of 5 seeds'))

  @parameterized.parameters(.8, .81, .95)
  def test_nothing_is_enough_if_no_labels_do_as_well(self, floor):
    found = findings_budget.enough(make_line(.1, .5, .85, .9), floor)
    self.assertIsNone(found.num_labels)
    self.assertIn('not above what needs no labels', found.reason)
    self.assertEqual(findings_budget.enough(make_line(.1, .5, .85, .9), .79).num_labels, 1000)


class ResultsTest(absltest.TestCase):

  def test_lines_are_of_the_last_evaluations_of_each_number(self):
    results = make_maze_results()
    study = report.of(results)
    group, = study.groups()
    found = study.lines(group, findings_budget.ACCURACY)
    self.assertEqual(list(found), ['dt1_idm', 'alpt_blocked'])  # The oracle is none.
    np.testing.assert_array_equal(found['dt1_idm'].budgets, BUDGETS)
    np.testing.assert_allclose(found['dt1_idm'].mean, WITHOUT)
    np.testing.assert_allclose(found['dt1_idm'].std, .01)

  def test_baselines_need_no_labels(self):
    results = make_maze_results()
    study = report.of(results)
    group, = study.groups()
    accuracy, score = (study.baselines(group, m) for m in group.metrics)
    self.assertEqual(accuracy, {'majority': .373, 'the past alone': .625,
                                'table of the change': .984, 'ceiling': .9981})
    self.assertEqual(score, {'shortest paths': 1., 'the data’s own policy': 1.,
                             'random policy': .407, 'Oracle': .99})

  def test_worth_compares_with_and_without_sources(self):
    results = make_maze_results()
    study = report.of(results)
    group, = study.groups()
    found = study.worths(group)
    self.assertEqual([(w.method, w.baseline, w.num_labels) for w in found],
                     [('alpt_blocked', 'dt1_idm', n) for n in BUDGETS])
    # .8 is three quarters of the way from .5 to .9; both seeds are off by as much.
    self.assertAlmostEqual(found[0].savings.equivalent.number, 500 * 10 ** .75)
    self.assertEqual([w.savings.equivalent.relation for w in found],
                     ['about', 'more than', 'more than'])
    self.assertEqual({w.savings.reason for w in found}, {'no verdict: 2 of 5 seeds'})

  def test_worth_of_one_number_of_labels_is_not_said(self):
    results = make_maze_results()
    for part in ('runs', 'rows'):
      results[part] = [r for r in results[part]
                       if r['method'] != 'dt1_idm' or r['num_labels'] == 50]
    study = report.of(results)
    group, = study.groups()
    self.assertIn('one number of labels only', study.worths(group)[0].reason)

  def test_worth_of_labels_that_are_no_better_than_one_action_is_not_said(self):
    results = make_maze_results()
    for maze in results['mazes'].values():
      maze['anchors']['idm']['constant'] = .81
    study = report.of(results)
    group, = study.groups()
    self.assertIsNone(study.worths(group)[0].savings)

  def test_unfinished_runs_are_in_no_mean_and_are_named(self):
    results = make_maze_results()
    results['runs'][0]['status'] = 'failed'
    study = report.of(results)
    group, = study.groups()
    found = study.lines(group, findings_budget.ACCURACY)['dt1_idm']
    np.testing.assert_array_equal(found.n, [1, 2, 2])
    self.assertAlmostEqual(found.mean[0], .19)  # Of seed 1.
    self.assertIn('grid-50-dt1_idm-seed0: failed, last evaluation at step 20.',
                  report.of(results).problems())

  def test_missing_number_of_a_run_is_named(self):
    results = make_maze_results()
    results['rows'][1]['label_accuracy'] = None
    self.assertEqual(report.of(results).problems(),
                     ['grid-50-dt1_idm-seed0: no label accuracy in the end.'])

  def test_atari_has_a_group_a_part_without_pretrainings(self):
    results = make_atari_results()
    study = report.of(results)
    labels, agents = study.groups()
    self.assertEqual((labels.title, agents.title), ('Breakout, IDM alone', 'Breakout, agents'))
    self.assertEqual(labels.metrics, {'label_accuracy': 'label_accuracy'})
    self.assertEqual(agents.metrics,
                     {'label_accuracy': 'label_accuracy', 'score': 'sampled/score'})
    found = study.lines(labels, 'label_accuracy')['idm_target']
    np.testing.assert_array_equal(found.budgets, [500, 2000])
    np.testing.assert_allclose(found.mean, .51)
    self.assertEqual(study.baselines(agents, 'score'), {
        'random, published': 1.7, 'human, published': 30.5, 'best of data': 12.5, 'DT1': 2.})
    self.assertNotIn('pretrain', ''.join(agents.runs))

  def test_table_has_every_point(self):
    table = report.of(make_maze_results()).table()
    # Two methods with three numbers, of which both metrics are known, and the oracle's return.
    self.assertLen(table, 2 * 3 * 2 + 1)


if __name__ == '__main__':
  absltest.main()
