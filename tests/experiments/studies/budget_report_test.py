"""The report of a study of budgets: what a reader of the page can rely on."""

import csv
import json
import os
import re
import tempfile

import cv2
import numpy as np
from absl.testing import absltest, parameterized

from experiments.studies import budget, report, results_file
from tests.experiments.studies import budget_test
from tests.reports import html_page, labelling_data

make_maze_results = budget_test.make_maze_results
make_atari_results = budget_test.make_atari_results


def add_clips(results):
  """Gives results one labelling with two clips."""
  run = results['runs'][0]
  clip = labelling_data.make_example([0, 1, 1], [0, 1, 2], [.5, .6, .4], episode=4, start=15)
  labelling = labelling_data.make_labelling() | dict(
      run=run['run'], method=run['method'], target=run['target'], num_labels=50,
      clips=[clip | {'uncertainty': .5}, clip | {'uncertainty': .4, 'start': 33}])
  return results | {'labellings': [labelling]}


class ReportBudgetTest(parameterized.TestCase):

  def write(self, results):
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'report.html')
    report.write_report(results, path)
    with open(path, encoding='utf-8') as file:
      source = file.read()
    return source, html_page.Page(source)

  @parameterized.parameters(make_maze_results, make_atari_results)
  def test_page_is_whole_and_refers_to_nothing_outside(self, make):
    source, page = self.write(add_clips(make()))
    self.assertEmpty(page.open)
    self.assertLen(set(page.ids), len(page.ids))
    for reference in page.references:
      self.assertRegex(reference, '^(#|data:)')
    for text in ('http:', 'https:', '@import', 'nan'):
      self.assertNotIn(text, re.sub('base64,[^"]*', '', source))

  def test_rows_say_how_many_labels_are_enough(self):
    results = make_maze_results(num_seeds=6)
    found = '\n'.join(report.summary_lines(results))
    self.assertIn('DT1-IDM, labels right: labels 5,000; in the end 0.900 ± 0.010; n 6; enough? '
                  'unknown (more might still help)', found)
    for row in results['rows']:
      if row['method'] == 'alpt_blocked' and row['num_labels'] == 500 and row['step'] == 20:
        row['label_accuracy'] = .96
    found = '\n'.join(report.summary_lines(results))
    self.assertIn('ALPT-Blocked, labels right: labels 5,000; in the end 0.950 ± 0.010; n 6; '
                  'enough? from 500 labels on', found)

  def test_two_seeds_give_numbers_and_no_verdict(self):
    found = '\n'.join(report.summary_lines(make_maze_results()))
    self.assertIn('DT1-IDM, labels right: labels 5,000; in the end 0.900 ± 0.010; n 2; enough? '
                  'unknown (no verdict: 2 of 5 seeds)', found)
    self.assertIn('ALPT-Blocked with 50 labels: right 0.800; as accurate as DT1-IDM with about '
                  '2,812 labels; 95 % interval both ends 2,812 (the draws agree); n 2; worth of '
                  'sources unknown (no verdict: 2 of 5 seeds)', found)

  def test_sources_are_worth_the_labels_that_they_save(self):
    found = '\n'.join(report.summary_lines(make_maze_results(num_seeds=6)))
    self.assertIn('ALPT-Blocked with 50 labels: right 0.800; as accurate as DT1-IDM with about '
                  '2,812 labels; 95 % interval both ends 2,812 (the draws agree); n 6; worth of '
                  'sources 2,762 labels or more, a factor of 56.2', found)
    self.assertIn('ALPT-Blocked with 500 labels: right 0.920; as accurate as DT1-IDM with more '
                  'than 5,000 labels; 95 % interval both ends more than 5,000 (the draws agree); n '
                  '6; worth of sources 4,500 labels or more, a factor of 10.0', found)
    self.assertIn('ALPT-Blocked with 5,000 labels: right 0.950; as accurate as DT1-IDM with more '
                  'than 5,000 labels; 95 % interval both ends more than 5,000 (the draws agree); n '
                  '6; worth of sources unknown (without them, as few labels may be as good)', found)

  def test_sources_that_save_nothing_are_said_to(self):
    results = make_maze_results(num_seeds=6)
    for row in results['rows']:
      if row['method'] == 'alpt_blocked':
        row['label_accuracy'] = {50: .4, 500: .45, 5000: .1}[row['num_labels']]
    found = '\n'.join(report.summary_lines(results))
    self.assertRegex(found, r'with 500 labels: right 0.450; as accurate as DT1-IDM with about 341 '
                     r'labels; 95 % interval 3\d\d to 3\d\d; n 6; worth of sources '
                     r'unknown \(without them, as few labels may be as good\)')
    self.assertIn('with 5,000 labels: right 0.100; worth of sources unknown (not above what '
                  'needs no labels)', found)

  def test_page_has_numbers_baselines_and_bounds(self):
    page = self.write(make_maze_results())[1]
    for text in ('majority', '0.373', 'ceiling', '0.998', 'random policy0.4070.0710.031383.0',
                 '0.900 ± 0.010202',  # Labels right, steps, runs.
                 'Oraclenone0.990 ± 0.000–––'):
      self.assertIn(text, page.text.replace('\n', ''))

  def test_log_axis_has_a_tick_at_every_number_of_labels(self):
    source = self.write(make_maze_results())[0]
    svg = re.search(r'<svg class="plot".*?</svg>', source, re.S)[0]
    self.assertIn('labelled transitions of the target', svg)
    ticks = [float(x) for x in re.findall(r'xtick_\d.*?<use [^>]*x="([\d.]+)"', svg, re.S)]
    self.assertLen(ticks, 3)
    self.assertAlmostEqual(ticks[1] - ticks[0], ticks[2] - ticks[1], places=2)  # Factors of 10.

  def test_clips_are_in_the_page_and_in_its_tables(self):
    page = self.write(add_clips(make_maze_results()))[1]
    self.assertIn('1. Episode 4, from step 15: uncertainty 0.50', page.text)
    self.assertIn('2. Episode 4, from step 33: uncertainty 0.40', page.text)
    rows = list(csv.DictReader(page.downloads['clips.csv'].decode().splitlines()))
    self.assertEqual([(r['rank'], r['episode'], r['start']) for r in rows],
                     [('1', '4', '15'), ('2', '4', '33')])
    self.assertEqual(json.loads(json.dumps(budget.clips(add_clips(make_maze_results()))))[
        1], dict(run='grid-50-dt1_idm-seed0', target='maze-4-blocks:0-seed1', num_labels=50, rank=2,
                 episode=4, start=33, num_transitions=3, uncertainty=.4))

  def test_picture_has_all_panels(self):
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'figure.png')
    report.figure_png(make_atari_results(), path)
    height, width, _ = cv2.imread(path).shape
    self.assertGreater(height, .5 * width)  # Two rows of two.
    self.assertGreater(np.std(cv2.imread(path)), 5)

  def test_results_without_a_finished_run_make_a_page(self):
    results = make_maze_results() | {'rows': []}
    for run in results['runs']:
      run['status'] = 'unfinished'
    self.assertIn('No run is done.', self.write(results)[1].text)


class ResultsFileTest(parameterized.TestCase):

  @parameterized.parameters(
      ([], r'results.budgets is \[\]; expected a list, not empty'),
      ([50, 0], r'results.budgets\[1\] is 0; expected a whole number, 1 or more'),
      ([True], r'results.budgets\[0\] is True'))
  def test_bad_budgets_are_refused(self, budgets, message):
    with self.assertRaisesRegex(ValueError, message):
      results_file.check(make_maze_results() | {'budgets': budgets})

  def test_the_same_run_with_other_labels_is_no_repetition_but_needs_budgets(self):
    results = make_maze_results()
    del results['budgets']
    with self.assertRaisesRegex(ValueError, "repeats 'grid-500-dt1_idm-seed0'"):
      results_file.check(results)

  def test_budget_of_a_row_is_that_of_its_run(self):
    results = make_maze_results()
    results['rows'][0]['num_labels'] = 500
    with self.assertRaisesRegex(ValueError, r'rows\[0\].num_labels is 500; expected 50'):
      results_file.check(results)

  def test_bad_clips_are_refused(self):
    results = add_clips(make_maze_results())
    del results['labellings'][0]['clips'][1]['uncertainty']
    with self.assertRaisesRegex(ValueError, r'clips\[1\].uncertainty is missing'):
      results_file.check(results)
    results['labellings'][0]['clips'] = 'none'
    with self.assertRaisesRegex(ValueError, r'labellings\[0\].clips is .none.; expected a list'):
      results_file.check(results)


if __name__ == '__main__':
  absltest.main()
