"""The report on all figures: every claim is there once, and what cannot be trusted is said."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.domains.atari import claims_cql
from experiments.studies import figures, figures_report, report
from tests.domains.atari import report_test
from tests.reports import html_page


def results_of(figure):
  """Results of two seeds of ALPT and its baselines on Breakout, as of a figure."""
  results = report_test.make_results()
  for part in ('runs', 'rows'):
    results[part] = [record for record in results[part] if record['part'] == 'score']
  report_test._add_seed_1_of_scores(results, dict(dt1=2.5, dt1_idm=4.5, alpt=9.5))
  return results | {'figure': figure}


class SuiteTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def write(self, figure, results):
    directory = self.workdir / {f.name: f for f in figures.FIGURES}[figure].directory
    directory.mkdir()
    text = results if isinstance(results, str) else json.dumps(results)
    (directory / 'results.json').write_text(text)

  def summary(self):
    figures_report.write(self.workdir)
    return json.loads((self.workdir / figures.NUMBERS).read_text())

  def page(self):
    figures_report.write(self.workdir)
    source = (self.workdir / figures.PAGE).read_text()
    return source, html_page.Page(source)

  def test_what_was_not_made_is_listed_with_its_command(self):
    summary = self.summary()
    self.assertEqual({claim['figure'] for claim in summary['claims']},
                     {'Figure 2', 'Figure 3', 'Figure 4', 'Figure 5', 'Figure 6', 'Table 4'})
    self.assertEqual({claim['verdict'] for claim in summary['claims']}, {'not measured'})
    for figure in summary['figures'].values():
      self.assertEqual(figure['status'], 'not made')
      self.assertRegex(figure['command'], r'paper.py:figure=\w+,preset=desk$')

  def test_claims_have_numbers_and_intervals_and_no_verdicts(self):
    self.write('2', results_of('2'))
    claims = {claim['paper']: claim for claim in self.summary()['claims']
              if claim['figure'] == 'Figure 2'}
    claim = claims['ALPT scores higher than DT1-IDM, which knows the target only']
    self.assertEqual(claim['verdict'], 'exploratory')
    # Differences of 5 in both seeds.
    self.assertIn('ALPT 9.2, DT1-IDM 4.2, difference +5.0 [5.0, 5.0], n = 2', claim['measured'])
    self.assertNotIn('More sources give higher scores', claims)  # Of Figure 3.
    gain, = (c for text, c in claims.items() if '500 %' in text)
    self.assertIn('Breakout +118 %, difference 5.0 [5.0, 5.0], n = 2',  # 9.25 over 4.25.
                  gain['measured'])
    self.assertEqual(gain['verdict'], 'exploratory')
    not_run = claims['ALPT scores higher than DT5, which pretrains the DT but has no IDM']
    self.assertEqual(not_run['verdict'], 'not measured')
    text = ' '.join(self.page()[1].text.split())
    self.assertIn('Exploratory: not registered, no verdict', text)
    self.assertIn('Verdicts are for registered hypotheses only', text)

  def test_page_is_whole_and_its_ids_are_unique_although_figures_repeat_pictures(self):
    self.write('2', results_of('2'))
    self.write('4', results_of('4'))
    source, page = self.page()
    self.assertEmpty(page.open)
    self.assertLen(set(page.ids), len(page.ids))
    for reference in page.references:
      self.assertRegex(reference, '^(#|data:)')
    for fragment in re.findall(r'(?:href="|url\()#([^")]+)', source):
      self.assertIn(fragment, page.ids)

  @parameterized.parameters(
      ('{"experiment": "atari", "pre', 'not JSON'),
      (json.dumps(results_of('4')), "figure is '4'; expected '2'"),
      (json.dumps(results_of('2') | {'experiment': 'chess'}), "experiment is 'chess'"),
  )
  def test_results_that_cannot_be_read_are_said_and_not_counted(self, text, problem):
    self.write('2', text)
    summary = self.summary()
    self.assertEqual(summary['figures']['Figure 2']['status'], 'damaged')
    self.assertRegex(' '.join(summary['problems']), problem)
    self.assertEqual({claim['verdict'] for claim in summary['claims']}, {'not measured'})
    self.assertIn('cannot be read', self.page()[1].text)

  def test_a_row_without_its_seed_is_damage(self):
    results = results_of('2')
    del results['rows'][0]['seed']
    self.write('2', results)
    self.assertRegex(' '.join(self.summary()['problems']), r'rows\[0\].seed is missing')

  def test_a_missing_seed_and_a_crashed_run_are_named_and_in_no_mean(self):
    results = results_of('2')
    for run in results['runs']:
      if run['method'] == 'alpt' and run['seed'] == 1:
        run['status'] = 'failed'
    gone = next(r['run'] for r in results['runs'] if r['method'] == 'dt1' and r['seed'] == 1)
    for part in ('runs', 'rows'):
      results[part] = [record for record in results[part] if record['run'] != gone]
    self.write('2', results)
    summary = self.summary()
    problems = ' '.join(summary['problems'])
    self.assertRegex(problems, 'Figure 2: .*alpt.*failed')
    self.assertIn('DT1, Breakout, 500 labels, seed 1: missing.', problems)
    measured = [c['measured'] for c in summary['claims'] if 'than DT1-IDM' in c['paper']]
    self.assertIn('ALPT 9.0, DT1-IDM 4.0', measured[0])  # The common seed only.
    self.assertIn('+5.0 no interval: n = 1', measured[0])

  def test_different_versions_are_named_between_figures_and_between_runs(self):
    results = results_of('2')
    for run in results['runs']:
      run['versions'] = [f'jax 0.{run["seed"]}']
    self.write('2', results)
    self.write('4', results_of('4') | {'versions': {'jax': '0.11'}})
    problems = ' '.join(self.summary()['problems'])
    self.assertIn('Different versions when gathered: jax 0.10.2 (Figure 2); jax 0.11 (Figure 4).',
                  problems)
    self.assertIn('Different versions that trained: jax 0.0 (runs of Figure 2); jax 0.1 (runs of '
                  'Figure 2); not written down (runs of Figure 4).', problems)
    self.assertRegex(problems, r'Figure 2: Runs were trained with different versions: jax 0.0 '
                               r'\(\d runs, e.g. [\w-]+\); jax 0.1 ')

  def test_different_settings_are_named(self):
    for figure, labels, steps in (('2', 10_000, 600), ('4', 100, 300)):
      self.write(figure, results_of(figure) | {'config': {
          'num_labels': labels, 'evaluation': {'max_steps': 20}, 'workdir': f'runs/{figure}',
          'study': {'score': {'num_steps': steps, 'targets': [figure]}}}})
    problems = self.summary()['problems']
    self.assertIn('Different num_labels: 10000 (Figure 2); 100 (Figure 4).', problems)
    self.assertIn('Different study.score.num_steps: 600 (Figure 2); 300 (Figure 4).', problems)
    self.assertNotIn('max_steps', ' '.join(problems))
    self.assertNotIn('workdir', ' '.join(problems))

  def test_page_opens_with_what_is_missing_and_counts_other_remarks_apart(self):
    self.write('2', results_of('2'))
    self.write('4', results_of('4'))
    text = self.page()[1].text
    self.assertNotIn('are missing', text)
    self.assertNotIn('remark', text)
    self.write('6', results_of('6') | {'versions': {'jax': '0.11'}})
    text = self.page()[1].text
    self.assertNotIn('are missing', text)
    self.assertIn('1 remark on what was run: read before comparing', text)
    results = results_of('3')
    results['runs'][-1]['status'] = 'failed'
    self.write('3', results)
    self.assertIn('1 of the planned runs or their numbers are missing: which', self.page()[1].text)

  def test_page_of_tiny_says_that_its_numbers_mean_nothing(self):
    self.write('2', results_of('2'))
    said = 'Preset tiny: the numbers say nothing about the method.'
    self.assertIn(said, self.page()[1].text)
    self.assertIn(said, report.summary_lines(results_of('2'))[0])
    results = results_of('4') | {'preset': 'desk'}
    self.assertNotIn(said, ' '.join(report.summary_lines(results)))

  def test_different_presets_are_named(self):
    self.write('2', results_of('2'))
    self.write('4', results_of('4') | {'preset': 'desk'})
    self.assertIn('Different preset: tiny (Figure 2); desk (Figure 4).',
                  self.summary()['problems'])


  def test_binary_writes_the_report_again_and_refuses_an_empty_directory(self):
    def run():
      return subprocess.run(
          [sys.executable, '-m', 'experiments.report', f'--figures={self.workdir}'],
          cwd=pathlib.Path(__file__).parents[3], capture_output=True, text=True, check=False)

    refused = run()
    self.assertEqual(refused.returncode, 1)
    self.assertRegex(refused.stderr, r'^error: .*holds no figure; expected directories such as fig')
    self.write('2', results_of('2'))
    done = run()
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn('Figure 2: ALPT scores higher than DT1-IDM, which knows the target only: '
                  'exploratory', done.stdout)
    self.assertTrue((self.workdir / figures.PAGE).exists())
    self.write('4', '{"experiment"')
    damaged = run()
    self.assertEqual(damaged.returncode, 1)
    self.assertRegex(damaged.stdout, r'Figure 4: .*results.json: not JSON')
    self.assertEqual(damaged.stderr, 'error: Figure 4: cannot be read, see above\n')


class Table4Test(absltest.TestCase):

  def results(self, scores, num_steps, behaviour=None):
    results = report_test.make_results()
    identity = dict(method='cql', target='Breakout', sources=[], num_labels=10_000,
                    phase='finetune', part='score')
    results['methods']['cql'] = {'label': 'CQL'}
    results['runs'], results['rows'] = [], []
    for seed, score in enumerate(scores):
      own = identity | {'run': f'cql{seed}', 'seed': seed}
      results['runs'].append(own | {'status': 'done', 'num_steps': num_steps})
      results['rows'].append(own | {'step': num_steps, 'sampled/score': score,
                                    'sampled/human_normalised': 0.})
    for game in results['games'].values():
      game['behaviour'] = behaviour
    return results

  def test_papers_number_is_beside_ours(self):
    row, = claims_cql.rows(self.results([10., 14.], claims_cql.NUM_STEPS))
    self.assertEqual((row.paper, row.mean, row.std, row.num_seeds), (12.3, 12., 2., 2))

  def test_claim_has_the_interval_and_no_verdict(self):
    for num_steps in (claims_cql.NUM_STEPS, 1600):
      claim = claims_cql.claim_row(self.results([10., 14., 12., 11., 13.], num_steps))
      self.assertEqual(claim.verdict, 'exploratory')
      # Sample deviation sqrt(2.5): half of the interval is 2.776 * sqrt(2.5 / 5).
      self.assertEqual(claim.measured,
                       'Breakout 12.0 ± 1.4 [10.0, 14.0] (n = 5), paper 12.3, random 1.7')
    claim = claims_cql.claim_row(self.results([12.], claims_cql.NUM_STEPS))
    self.assertEqual(claim.measured, 'Breakout 12.0 (n = 1), paper 12.3, random 1.7')

  def test_comparable_needs_the_papers_updates_labels_and_data(self):
    steps = claims_cql.NUM_STEPS
    self.assertTrue(claims_cql.is_comparable(self.results([12.], steps)))
    self.assertFalse(claims_cql.is_comparable(self.results([12.], 1600)))
    self.assertFalse(claims_cql.is_comparable(self.results([12.], steps, 'scripted')))
    results = self.results([12.], steps)
    for run in results['runs']:
      run['num_labels'] = 50
    self.assertFalse(claims_cql.is_comparable(results))

  def test_without_cql_there_is_no_claim(self):
    self.assertIsNone(claims_cql.claim_row(report_test.make_results()))


if __name__ == '__main__':
  absltest.main()
