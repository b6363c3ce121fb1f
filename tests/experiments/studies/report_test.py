"""The report of the maze experiment: what a reader of the page and of the table can rely on."""

import csv
import gzip
import json
import math
import os
import pathlib
import re
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.domains.maze import claims, findings, findings_labels
from alpt_jax.measures import intervals
from experiments.studies import report
from tests.reports import html_page

_ROOT = str(pathlib.Path(__file__).resolve().parents[3])
_TARGETS = ('maze-4-blocks:0-seed1', 'maze-4-blocks:0-seed2')
_SOURCE = 'maze-4-blocks:0-seed0'
_STEPS_TO_ONE = {  # Every run rises linearly from 0 to 1 in so many steps, then stays.
    'dt1': 1000, 'dt1_idm': 400, 'alpt_blocked': 200, 'alpt_blocked_tunnel': 100, 'oracle': 100}
_WITH_IDM = ('dt1_idm', 'alpt_blocked', 'alpt_blocked_tunnel')
_LABELS = ('DT1', 'DT1-IDM', 'ALPT-Blocked', 'ALPT-Blocked+Tunneled', 'Oracle')


def _policy(success_500, success_50, mean_steps, spl):
  return dict(success_500=success_500, success_50=success_50, mean_steps=mean_steps, spl=spl,
              within_2x=spl)


def _maze(role):
  return dict(
      role=role, kind='blocks:0', size=4, goal=[1, 2], num_transitions=1234, num_episodes=500,
      walls=[[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]],
      anchors=dict(
          policies=dict(optimal=_policy(1., 1., 1.5, 1.), behaviour=_policy(1., .887, 2.6, .491),
                        random=_policy(.407, .071, 383., .031)),
          idm=dict(bayes=.9981, displacement=.984, causal=.625, constant=.373)))


def make_results(observations=('grid',), num_seeds=2):
  """Results of all methods whose learning curves are straight lines."""
  runs, rows = [], []
  methods = {key: dict(label=label, description=f'What {label} is.')
             for key, label in zip(_STEPS_TO_ONE, _LABELS, strict=True)}
  for observation in observations:
    for method, steps_to_one in _STEPS_TO_ONE.items():
      for i, target in enumerate(_TARGETS):
        for seed in range(num_seeds):
          identity = dict(run=f'{observation}-{method}-target{i}-seed{seed}', method=method,
                          observation=observation, target=target, sources=[_SOURCE], seed=seed)
          episodes = [dict(start=[2, 1], path=[[2, 1], [1, 1], [1, 2]], reached=True),
                      dict(start=[2, 2], path=[[2, 2], [2, 1]], reached=False)]
          runs.append(identity | dict(
              status='done', seconds=10., num_steps=500,
              rollout=dict(acting='argmax', target=target, episodes=episodes)))
          for step in range(0, 600, 100):
            x = min(1., step / steps_to_one)
            rows.append(identity | {
                'step': step, 'frames': 64 * step,
                'label_accuracy': x if method in _WITH_IDM else None} | {
                    f'{acting}/{metric}': x for acting in ('argmax', 'sampled')
                    for metric in ('success_500', 'success_50', 'spl', 'mean_steps')})
  return dict(
      experiment='maze', preset='tiny', command='python -m experiments.reproduce --preset=tiny',
      created='2026-01-15T10:12:13+00:00', config={'model': {'num_layers': 2}},
      config_digest='0123abcd', versions={'jax': '0.10.2'}, thresholds=[.25, .5], methods=methods,
      mazes={_SOURCE: _maze('source')} | {target: _maze('target') for target in _TARGETS},
      runs=runs, rows=rows)


def with_idms_alone(results, steps_to_one, num_seeds=2):
  """Results as of today: agents with 250 labels; IDMs alone, which rise to 1 in so many steps.

  Args:
    results: of agents.
    steps_to_one: {(method, number of labels): steps}.
    num_seeds: of the IDMs.
  """
  results['config']['num_labels'] = 250
  for row in (*results['runs'], *results['rows']):
    row |= dict(part='score', num_labels=250)
  results['floors'] = []
  for (method, num_labels), steps in steps_to_one.items():
    for i, target in enumerate(_TARGETS):
      for seed in range(num_seeds):
        setting = dict(observation='grid', target=target, seed=seed, num_labels=num_labels)
        identity = setting | dict(run=f'labels-{num_labels}-{method}-target{i}-seed{seed}',
                                  method=method, sources=[_SOURCE], part='labels')
        results['runs'].append(identity | dict(status='done', seconds=5., num_steps=600))
        results['rows'] += [identity | dict(step=step, frames=step,
                                            label_accuracy=min(1., step / steps))
                            for step in range(0, 620, 20)]
        floor = setting | dict(table=.98 + .001 * seed, num_entries=5)
        if floor not in results['floors']:
          results['floors'].append(floor)
  return results


def _run(results, name):
  return next(run for run in results['runs'] if run['run'] == name)


def _row(results, run, step):
  return next(row for row in results['rows'] if (row['run'], row['step']) == (run, step))


class ReportTest(parameterized.TestCase):

  def _write(self, results):
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'report.html')
    report.write_report(results, path)
    self.assertEqual(os.listdir(os.path.dirname(path)), ['report.html'])  # Nothing temporary.
    with open(path, encoding='utf-8') as file:
      source = file.read()
    return source, html_page.Page(source)

  def test_page_is_whole_and_refers_to_nothing_outside(self):
    source, page = self._write(make_results(('grid', 'xy')))
    self.assertEmpty(page.open)
    self.assertLen(set(page.ids), len(page.ids))
    for reference in page.references:
      self.assertRegex(reference, '^(#|data:)')
    for fragment in re.findall(r'(?:href="|url\()#([^")]+)', source):
      self.assertIn(fragment, page.ids)
    self.assertNotIn('http:', source)
    self.assertNotIn('https:', source)
    self.assertNotIn('@import', source)
    self.assertNotIn('<script', source)
    self.assertLess(len(source), 3e6)

  def test_page_names_methods_command_mazes_and_anchors(self):
    page = self._write(make_results())[1]
    for text in (*_LABELS, *_TARGETS, _SOURCE, '--preset=tiny', '0123abcd', 'jax 0.10.2',
                 '"num_layers": 2', 'shortest paths', 'the data’s own policy', 'random policy',
                 'ceiling', 'table of the change', 'the past alone', 'majority', '0.407', '0.887',
                 '383.0', '0.998', '0.984', '0.625', '0.373',
                 '1 of 2 starts reach the goal, in 2 steps', 'gradient steps'):
      self.assertIn(text, page.text)

  def test_page_holds_final_metrics_and_ratios(self):
    page = self._write(make_results(num_seeds=3))[1]
    # DT1 ends at 500 / 1000. Labels of ALPT-Blocked rise in 200 / 400 of DT1-IDM's steps to any
    # level, and no pair differs from another; 0.9 * 0.9981 of 200 are 180.
    for text in ('0.500 ± 0.000', '0.50 [0.50, 0.50]', '1.000 ± 0.000'):
      self.assertIn(text, page.text)
    self.assertRegex(page.text, r'ALPT-Blocked1806 of 60.50 \[0.50, 0.50\]')
    self.assertIn('observation “grid”: 0.50 [0.50, 0.50] times the updates to label 0.898 (0.9 of '
                  'the ceiling) right, n = 6', page.text)
    self.assertIn('Exploratory: not registered, no verdict', page.text)

  def test_agents_stand_beside_dt1_and_policies_that_learn_nothing(self):
    page = self._write(make_results())[1]
    # 1 for ALPT-Blocked, .5 for DT1 after 500 steps; mean steps are made up like the others.
    self.assertRegex(page.text, r'ALPT-Blockedmaze-4-blocks:0-seed0(1.000 ± 0.000){3}1.0 ± 0.0'
                     r'0.500 \[0.500, 0.500\]1.000 ± 0.0005004')
    self.assertRegex(page.text, 'random policy0.4070.0710.031383.0')
    self.assertRegex(page.text, 'the data’s own policy1.0000.8870.4912.6')

  def test_four_pairs_have_numbers_and_an_interval(self):
    page = self._write(make_results())[1]
    self.assertIn('0.50 [0.50, 0.50]', page.text)
    self.assertIn('n = 4', page.text)
    self.assertIn('between methods, over training seeds', page.text)

  def test_idms_alone_are_compared_at_the_budget_of_the_agents(self):
    results = with_idms_alone(make_results(), {
        ('dt1_idm', 250): 500, ('alpt_blocked', 250): 125, ('dt1_idm', 25): 5000,
        ('alpt_blocked', 25): 250})
    page = self._write(results)[1]
    self.assertIn('0.25 [0.25, 0.25] times the updates', page.text)
    table = findings_labels.table(results)
    self.assertEqual(list(table), [('grid', 25), ('grid', 250)])
    self.assertAlmostEqual(table['grid', 250]['alpt_blocked'].median, .9 * .9981 * 125)
    # With 25 labels the target alone never gets there: its last step is a bound.
    self.assertEqual(table['grid', 25]['dt1_idm'].updates[_TARGETS[0], 0], intervals.AtLeast(600.))
    self.assertIn('> 600', page.text)
    ratio = table['grid', 25]['alpt_blocked'].ratio.interval
    self.assertEqual(ratio.relation, 'at most')
    self.assertAlmostEqual(ratio.value, .9 * .9981 * 250 / 600)
    updates = list(csv.DictReader(page.downloads['updates.csv'].decode().splitlines()))
    self.assertEqual([row['num_labels'] for row in updates], ['25', '25', '250', '250'])
    self.assertEqual(updates[0]['median_updates'], '')

  def test_a_table_of_five_entries_stands_beside_the_idms(self):
    results = with_idms_alone(make_results(), {('dt1_idm', 250): 500, ('alpt_blocked', 250): 125})
    sentence = ('Nobody needs an IDM in these mazes: a table of 5 entries fitted to the same '
                'labels is right in 98.0 %.')
    self.assertIn(sentence, self._write(results)[1].text)
    self.assertIn(sentence, report.summary_lines(results))
    for floor in results['floors']:  # Of another number of labels than the methods have.
      floor['num_labels'] = 1000
    self.assertIn('a table of the five changes of an observation is right in 98.4 %',
                  self._write(results)[1].text)

  def test_a_level_at_step_zero_or_without_a_ceiling_is_left_out(self):
    results = make_results()
    _row(results, 'grid-alpt_blocked-target0-seed0', 0)['label_accuracy'] = .95
    needed = findings_labels.table(results)['grid', None]['alpt_blocked']
    self.assertEqual((needed.num_left_out, needed.ratio.interval.n), (1, 3))
    del results['mazes'][_TARGETS[1]]['anchors']['idm']['bayes']
    needed = findings_labels.table(results)['grid', None]['alpt_blocked']
    self.assertEqual((needed.num_left_out, needed.ratio.interval.n), (1, 1))
    self.assertLen(needed.updates, 2)

  def test_steps_are_compared_with_the_baseline_that_the_study_names(self):
    results = make_results()
    for study, baseline in (({}, 'dt1_idm'), ({'baseline': 'alpt_blocked'}, 'alpt_blocked')):
      results['config']['study'] = study
      ratios = {entry['method']: entry['ratio'] for entry in findings.steps_to_levels(results)}
      self.assertIsNone(ratios[baseline])
      self.assertAlmostEqual(ratios['oracle'].ratio, 100 / _STEPS_TO_ONE[baseline])
    self.assertIn('ratio to ALPT-Blocked', self._write(results)[1].text)

  def test_page_tells_the_papers_seeds_from_its_own(self):
    self.assertIn('it has three seeds, these results have 2.', self._write(make_results())[1].text)

  def test_a_ratio_against_the_paper_is_shown_and_not_judged(self):
    results = make_results(num_seeds=3)
    for row in results['rows']:  # Labels of ALPT-Blocked rise as slowly as DT1 learns to play.
      if row['method'] == 'alpt_blocked':
        row['label_accuracy'] = 9 * row['step'] / 4500
      elif row['method'] == 'dt1_idm':
        row['label_accuracy'] = min(1., row['step'] / 200)
    page = self._write(results)[1]
    self.assertEqual({f.verdict for f in claims.claims(results)}, {'exploratory'})
    self.assertIn('2.50 [2.50, 2.50] times', page.text)

  def test_no_contrast_is_judged_with_five_seeds_either(self):
    found = claims.claims(make_results(('grid', 'xy'), num_seeds=5))
    self.assertEqual([(f.observation, f.method, f.verdict) for f in found], [
        ('grid', 'alpt_blocked', 'exploratory'), ('grid', 'alpt_blocked_tunnel', 'exploratory'),
        ('xy', 'alpt_blocked', 'exploratory'), ('xy', 'alpt_blocked_tunnel', 'exploratory')])

  def test_a_registered_study_points_to_its_hypotheses(self):
    results = make_results(num_seeds=5)
    registered = results | {'registration': {'digest': '0', 'study': 'mazes'}}
    text = ' '.join(self._write(registered)[1].text.split())
    self.assertIn('Exploratory: no verdict, see the registered hypotheses', text)
    self.assertIn('registered hypotheses of the study “mazes” only', text)
    self.assertNotIn('not registered', text.lower())
    text = ' '.join(self._write(results)[1].text.split())
    self.assertIn('Not registered before it ran, so all of it is exploratory', text)

  def test_a_method_that_was_not_run_is_said_to_be_not_measured(self):
    results = make_results()
    for part in ('runs', 'rows'):
      results[part] = [x for x in results[part] if x['method'] != 'alpt_blocked_tunnel']
    self.assertIn('Not madeobservation “grid”: one of the two was not run',
                  self._write(results)[1].text)

  def test_missing_numbers_are_gaps_and_counted(self):
    results = make_results()
    _row(results, 'grid-oracle-target0-seed0', 500)['argmax/success_500'] = math.nan
    _row(results, 'grid-oracle-target0-seed0', 200)['argmax/success_500'] = None
    page = self._write(results)[1]
    self.assertIn('1.000 ± 0.000 (3 of 4)', page.text)
    self.assertIn('grid-oracle-target0-seed0: no success within 500 (= return) at step 200, 500.',
                  page.text)
    entry = next(e for e in findings.final_metrics(results)
                 if (e['method'], e['acting']) == ('oracle', 'argmax'))
    self.assertEqual((entry['runs'], entry['success_500/n']), (4, 3))

  def test_failed_and_missing_runs_are_listed(self):
    results = make_results()
    failed, missing = 'grid-dt1-target0-seed1', 'grid-dt1_idm-target1-seed0'
    _run(results, failed).update(status='failed', rollout=None)
    results['rows'] = [row for row in results['rows'] if row['run'] != missing
                       and not (row['run'] == failed and row['step'] > 200)]
    results['runs'] = [run for run in results['runs'] if run['run'] != missing]
    page = self._write(results)[1]
    self.assertIn(f'{failed}: failed, last evaluation at step 200.', page.text)
    self.assertIn(f'DT1-IDM, Observation “grid”, {_TARGETS[1]}, seed 0: missing.', page.text)
    self.assertIn('2 of the planned runs or their numbers are missing', page.text)

  def test_nothing_finished_yet_still_makes_a_page(self):
    results = make_results(num_seeds=1)
    results['rows'] = []
    for run in results['runs']:
      run.update(status='running', rollout=None, seconds=None)
    page = self._write(results)[1]
    self.assertIn('running, without an evaluation', page.text)
    self.assertIn('one of the two was not run', page.text)

  def test_text_of_the_results_is_escaped(self):
    results = make_results(observations=('<b>grid</b>',))
    results['command'] = 'run <script>alert(1)</script>'
    results['methods']['dt1']['label'] = 'DT1 & <i>co</i>'
    source, page = self._write(results)
    self.assertNotIn('<script', source)
    self.assertNotIn('<i>co</i>', source)
    self.assertNotIn('<b>grid', source)
    self.assertIn('DT1 & <i>co</i>', page.text)

  def test_the_page_carries_every_number(self):
    results = make_results()
    results['rows'][3]['argmax/spl'] = math.nan
    page = self._write(results)[1]
    restored = json.loads(gzip.decompress(page.downloads['results.json.gz']))
    results['rows'][3]['argmax/spl'] = None  # JSON has no NaN.
    self.assertEqual(restored, results)
    rows = gzip.decompress(page.downloads['results.csv.gz']).decode().splitlines()
    self.assertLen(rows, 1 + len(results['rows']))
    steps = list(csv.DictReader(page.downloads['steps.csv'].decode().splitlines()))
    blocked = next(row for row in steps if row['method'] == 'alpt_blocked')
    self.assertEqual((blocked['threshold'], blocked['median_steps']), ('0.25', '50.0'))
    self.assertAlmostEqual(float(blocked['ratio']), .5)
    self.assertIn('final.csv', page.downloads)

  def test_the_same_results_make_the_same_page(self):
    self.assertEqual(self._write(make_results())[0], self._write(make_results())[0])

  def test_csv_has_a_line_per_row_with_missing_numbers_empty(self):
    results = make_results()
    results['rows'][0].update({'sources': ['a', 'b'], 'argmax/spl': math.nan})
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'results.csv')
    report.write_csv(results, path)
    with open(path, encoding='utf-8') as file:
      rows = list(csv.DictReader(file))
    self.assertLen(rows, len(results['rows']))
    self.assertEqual((rows[0]['sources'], rows[0]['argmax/spl'], rows[0]['label_accuracy']),
                     ('a+b', '', ''))
    self.assertEqual(rows[1]['argmax/success_500'], '0.1')

  def test_figure_is_a_png(self):
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'figure.png')
    report.figure_png(make_results(('grid', 'xy')), path)
    with open(path, 'rb') as file:
      self.assertEqual(file.read(8), b'\x89PNG\r\n\x1a\n')

  def test_summary_names_updates_success_floors_and_the_ratio(self):
    lines = report.summary_lines(make_results(('grid', 'xy')))
    self.assertLessEqual(len(lines), 13)
    self.assertIn('40 of 40 runs done', lines[0])
    self.assertStartsWith(lines[1], 'Observation “grid”: success within 500 (= return) / success '
                          'within 50 / SPL / labels right: DT1 0.500 / 0.500 / 0.500 / –, ')
    self.assertIn(', (the data’s own policy 1.000 / 0.887 / 0.491 / –), (random policy 0.407 / '
                  '0.071 / 0.031 / –)', lines[1])
    self.assertStartsWith(lines[3], 'Observation “grid”: updates to label 0.898 (0.9 of the '
                          'ceiling) right, and labels right in the end: ')
    self.assertIn(', ALPT-Blocked 180 and 1.000, ', lines[3])
    self.assertIn('Labels without an IDM: majority 0.373, the past alone 0.625, table of the '
                  'change 0.984, ceiling 0.998.', lines)
    self.assertIn(
        'ALPT-Blocked solves the target “twice as fast” as training on the target only (DT1-IDM): '
        'exploratory: not registered, no verdict: observation “grid”: 0.50 [0.50, 0.50] times the '
        'updates to label 0.898 (0.9 of the ceiling) right, n = 4.', lines)


if __name__ == '__main__':
  absltest.main()
