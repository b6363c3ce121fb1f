"""The report of the Atari experiment: what a reader of the page can rely on."""

import base64
import csv
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.domains.atari import claims
from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.reports import figures, findings
from experiments.studies import report, results_file
from tests.reports import html_page

_ROOT = str(pathlib.Path(__file__).resolve().parents[3])
_FOUR = ('Asterix', 'SpaceInvaders', 'Freeway', 'Seaquest')
_METHODS = {  # Key: label, sources.
    'idm_target': ('Target only', ()), 'idm_freeway': ('Freeway', ('Freeway',)),
    'idm_four': ('4 games', _FOUR), 'idm_many': ('Many labels', ()),
    'dt1': ('DT1', ()), 'dt1_idm': ('DT1-IDM', ()), 'alpt': ('ALPT', _FOUR)}
_ACCURACY = {  # At the end, of seeds 0 and 1; halfway it is half of that.
    'idm_target': (.50, .52), 'idm_freeway': (.52, .51), 'idm_four': (.70, .72)}
_SCORES = {'dt1': 2., 'dt1_idm': 4., 'alpt': 9.}
_NOTICE = 'This is NOT DQN replay but something else.'


def _game(role):
  checkpoints = [dict(epsilon=1., num_episodes=27, num_transitions=5000, mean_score=1.3,
                      std_score=1.4),
                 dict(epsilon=.05, num_episodes=4, num_transitions=5000, mean_score=12.5,
                      std_score=3.)]
  return dict(role=role, num_transitions=10_000, num_episodes=31, behaviour='scripted',
              notice=_NOTICE, checkpoints=checkpoints, random=1.7, human=30.5,
              majority_accuracy=.41, chance_accuracy=.25)


def make_results():
  """Labels of two seeds and scores of one on Breakout."""
  runs, rows = [], []

  def add(method, part, seed, num_labels, numbers, phase='joint'):
    identity = dict(
        run=f'{part}-{method}-{num_labels}-{phase}-seed{seed}', method=method, target='Breakout',
        sources=list(_METHODS[method][1]), seed=seed, num_labels=num_labels, phase=phase, part=part)
    runs.append(identity | dict(status='done', seconds=1234., num_steps=100))
    rows.extend(identity | dict(step=step, frames=240 * step, label_accuracy=None) | row
                for step, row in numbers.items())

  for num_labels in (500, 2000):
    for method, finals in _ACCURACY.items():
      for seed, final in enumerate(finals):
        add(method, 'labels', seed, num_labels,
            {50: dict(label_accuracy=final / 2), 100: dict(label_accuracy=final)})
  add('idm_many', 'labels', 0, 9000, {50: dict(label_accuracy=.8), 100: dict(label_accuracy=.97)})
  add('alpt', 'score', 0, 500, {100: {'sampled/score': None}}, phase='pretrain')
  for method, score in _SCORES.items():
    add(method, 'score', 0, 500, {
        50: {'sampled/score': None},  # Not scored at this step.
        100: {'sampled/score': score, 'sampled/score_std': 1.5, 'sampled/num_episodes': 16,
              'sampled/human_normalised': (score - 1.7) / 28.8}}, phase='finetune')
  return dict(
      experiment='atari', preset='tiny', command='python -m experiments.reproduce --config=atari',
      created='2026-01-15T10:12:13+00:00', config={'model': {'num_layers': 2, 'd_model': 128}},
      config_digest='0123abcd', versions={'jax': '0.10.2'},
      methods={key: dict(label=label, description=f'What {label} is.')
               for key, (label, _) in _METHODS.items()},
      games={'Breakout': _game('target')} | {game: _game('source') for game in _FOUR},
      runs=runs, rows=rows)


def _run(results, name):
  return next(run for run in results['runs'] if run['run'] == name)


def _add_seed_1_of_scores(results, scores):
  for part in ('runs', 'rows'):
    for record in list(results[part]):
      if record['part'] == 'score' and record['phase'] == 'finetune':
        copy = record | dict(seed=1, run=record['run'].replace('seed0', 'seed1'))
        if copy.get('sampled/score') is not None:
          copy['sampled/score'] = scores[copy['method']]
        results[part].append(copy)


def _with_five_seeds(results):
  """Adds seeds 2 to 4 that are as seed 0 or 1; of scores, where there is only seed 0, as that."""
  for part in ('runs', 'rows'):
    present = {(r['run'], r.get('step')) for r in results[part]}
    for record in list(results[part]):
      for seed in range(5):
        name = record['run'].replace(f'seed{record["seed"]}', f'seed{seed}')
        if seed % 2 == record['seed'] % 2 and (name, record.get('step')) not in present or (
            record['part'] == 'score' and record['seed'] == 0 and seed):
          present.add((name, record.get('step')))
          results[part].append(record | {'seed': seed, 'run': name})
  return results


def _verdict(results, text):
  finding, = (f for f in claims.claims(results) if text in f.claim.text)
  return finding.verdict


def _words(page):
  return ' '.join(page.text.split())


class ReportTest(parameterized.TestCase):

  def _write(self, results):
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'report.html')
    report.write_report(results, path)
    with open(path, encoding='utf-8') as file:
      source = file.read()
    return source, html_page.Page(source)

  def test_page_is_whole_and_refers_to_nothing_outside(self):
    source, page = self._write(make_results())
    self.assertEmpty(page.open)
    self.assertLen(set(page.ids), len(page.ids))
    for reference in page.references:
      self.assertRegex(reference, '^(#|data:)')
    for fragment in re.findall(r'(?:href="|url\()#([^")]+)', source):
      self.assertIn(fragment, page.ids)
    for text in ('http:', 'https:', '@import', '<script'):
      self.assertNotIn(text, source)

  def test_page_says_what_was_run_on_what_data(self):
    words = _words(self._write(make_results())[1])
    for text in ('The data is recorded play, not DQN replay.', _NOTICE, 'scripted behaviour',
                 '1.3 ± 1.4', '12.5 ± 3.0', '--config=atari', '0123abcd', 'jax 0.10.2',
                 '"d_model": 128', '2 layers of 128, the paper’s 6 of 512', '1,234',
                 *(label for label, _ in _METHODS.values())):
      self.assertIn(text, words)

  def test_published_data_is_not_called_recorded(self):
    results = make_results()
    for game in results['games'].values():
      game.update(behaviour=None, notice=None, checkpoints=[])
    words = _words(self._write(results)[1])
    self.assertNotIn('recorded play', words)
    self.assertNotIn('NOT DQN replay', words)

  def test_final_numbers_are_over_seeds_or_over_the_episodes_of_the_only_run(self):
    words = _words(self._write(make_results())[1])
    for text in ('0.710 ± 0.010', '0.510 ± 0.010', '0.515 ± 0.005', '0.410', '0.250',
                 '9.0 ± 1.5one run; over 16 episodes', '0.253',  # (9 - 1.7) / 28.8
                 'One run only, so the band is the deviation over its episodes: DT1, DT1-IDM and '
                 'ALPT.'):
      self.assertIn(text, words)
    results = make_results()
    _add_seed_1_of_scores(results, dict(dt1=2., dt1_idm=5., alpt=10.))
    words = _words(self._write(results)[1])
    self.assertIn('9.5 ± 0.5', words)
    self.assertNotIn('One run only', words)

  def test_claims_have_intervals_and_no_verdicts(self):
    results = _with_five_seeds(make_results())
    self.assertEqual(_verdict(results, 'Training the IDM on source games'), 'exploratory')
    self.assertEqual(_verdict(results, 'ALPT scores higher than DT1,'), 'exploratory')
    self.assertEqual(_verdict(results, 'DT5-RET'), 'not measured')
    words = _words(self._write(results)[1])
    # Differences of .02, -.01, .02, -.01 and .02: the interval is .008 +- .020.
    for text in ('Exploratory: not registered, no verdict', '[-0.012, 0.028]', 'Not measured',
                 'Not registered before it ran', 'between methods, over training seeds'):
      self.assertIn(text, words)
    for text in ('Reproduces', 'reproduces', 'Cannot tell'):
      self.assertNotIn(text, words)

  def test_one_and_two_seeds_have_numbers(self):
    words = _words(self._write(make_results())[1])
    for text in ('no interval: n = 1', '+0.200'):
      self.assertIn(text, words)

  def test_a_claim_that_does_not_hold_shows_its_numbers(self):
    results = _with_five_seeds(make_results())
    for row in results['rows']:
      if row['method'] == 'idm_four':
        row['label_accuracy'] -= .4
    self.assertEqual(_verdict(results, 'Training the IDM on source games'), 'exploratory')
    self.assertIn('−0.200', self._write(results)[1].text)

  def test_differences_of_scores_are_over_the_seeds(self):
    results = _with_five_seeds(make_results())
    for row in results['rows']:
      if row['method'] == 'dt1_idm' and row.get('sampled/score') is not None:
        row['sampled/score'] = (4., 12., 4., 12., 4.)[row['seed']]
    finding, = (f for f in claims.claims(results)
                if 'ALPT scores higher than DT1-IDM' in f.claim.text)
    pairs = finding.comparisons[0].pairs  # Differences of 5, -3, 5, -3 and 5.
    self.assertAlmostEqual(pairs.difference, 1.8)
    self.assertLess(pairs.interval.low, 0)
    self.assertGreater(pairs.interval.high, 0)

  def test_sources_that_were_changed_or_drawn_are_in_no_claim_about_them(self):
    def pairs(results, text):
      finding, = (f for f in claims.claims(results) if text in f.claim.text)
      return {(c.setting.num_labels, c.method) for c in finding.comparisons}

    results, disjoint = make_results(), '(Freeway) gives better labels'
    self.assertEqual(pairs(results, 'source games, too'), {(500, 'idm_four'), (2000, 'idm_four')})
    results['methods']['idm_four']['is_control'] = True
    self.assertEqual(pairs(results, 'source games, too'),
                     {(500, 'idm_freeway'), (2000, 'idm_freeway')})
    self.assertEqual(pairs(results, disjoint), {(500, 'idm_freeway'), (2000, 'idm_freeway')})
    setting = findings_atari.settings(results, 'labels')[0]
    for run in setting.runs['idm_freeway']:
      run['sources'] = [('Freeway', 'Pong')[run['seed']]]
    self.assertEqual(pairs(results, disjoint), {(2000, 'idm_freeway')})
    entry = next(entry for entry in report.of(results).final_metrics()
                 if entry['method'] == 'idm_freeway')
    self.assertEqual(entry['sources'], ('drawn by seed',))

  def test_disjoint_means_that_only_doing_nothing_is_shared(self):
    self.assertTrue(claims.is_disjoint('Breakout', 'Freeway'))  # LEFT, RIGHT; UP, DOWN.
    self.assertFalse(claims.is_disjoint('Seaquest', 'Freeway'))  # Has UP.
    self.assertFalse(claims.is_disjoint('Breakout', 'Nowhere'))

  def test_a_method_with_labels_of_its_own_is_a_bound_beside_the_others(self):
    settings = findings_atari.settings(make_results(), 'labels')
    self.assertEqual([s.num_labels for s in settings], [500, 2000])
    for setting in settings:
      self.assertEqual(setting.bounds, {'idm_many': 9000})
      self.assertNotIn('idm_many', setting.methods)
    self.assertIn('Many labels (with 9,000 labels) 1', _words(self._write(make_results())[1]))
    self.assertLen([e for e in report.of(make_results()).final_metrics()
                    if e['method'] == 'idm_many'], 1)

  def test_a_failed_run_is_named_and_in_no_mean(self):
    results = make_results()
    failed = 'labels-idm_four-500-joint-seed1'
    _run(results, failed)['status'] = 'failed'
    words = _words(self._write(results)[1])
    self.assertIn(f'{failed}: failed, last evaluation at step 100.', words)
    self.assertIn(f'Left out, as failed: {failed}.', words)
    setting = findings_atari.settings(results, 'labels')[0]
    curve, _ = findings.curve(results, setting, 'idm_four')
    self.assertSequenceEqual(curve.mean.tolist(), [.35, .70])
    entry, = (e for e in report.of(results).final_metrics()
              if (e['method'], e['num_labels']) == ('idm_four', 500))
    self.assertEqual((entry['label_accuracy/mean'], entry['done'], entry['failed']), (.70, 1, 1))

  def test_missing_runs_and_numbers_are_shown_as_missing(self):
    results = make_results()
    for part in ('runs', 'rows'):
      results[part] = [x for x in results[part] if x['run'] != 'labels-idm_four-2000-joint-seed1'
                       and (x['method'], x['num_labels']) != ('idm_freeway', 500)]
    row = next(r for r in results['rows'] if r['run'] == 'labels-idm_target-500-joint-seed0')
    row['label_accuracy'] = None
    words = _words(self._write(results)[1])
    self.assertIn('4 games, Breakout, 2,000 labels, seed 1: missing.', words)
    self.assertIn('labels-idm_target-500-joint-seed0: no label accuracy at step 50.', words)
    self.assertIn('not run', words)
    self.assertIn('2 of the planned runs or their numbers are missing', words)

  def test_nothing_is_missing_where_no_run_was_to_be_scored(self):
    self.assertEqual(report.of(make_results()).problems(), [])

  def test_nothing_finished_yet_still_makes_a_page(self):
    results = make_results()
    results['rows'] = []
    for run in results['runs']:
      run.update(status='running', seconds=None)
    words = _words(self._write(results)[1])
    self.assertIn('running, without an evaluation', words)
    self.assertIn('no interval: n = 0', words)

  def test_text_of_the_results_is_escaped(self):
    results = make_results()
    results['methods']['alpt']['label'] = 'ALPT & <i>co</i>'
    results['games']['Breakout']['notice'] = '<script>alert(1)</script>'
    source, page = self._write(results)
    self.assertNotIn('<script', source)
    self.assertNotIn('<i>co</i>', source)
    self.assertIn('ALPT & <i>co</i>', page.text)

  def test_the_page_carries_every_number(self):
    results = make_results()
    page = self._write(results)[1]
    self.assertEqual(json.loads(gzip.decompress(page.downloads['results.json.gz'])), results)
    claims = list(csv.DictReader(page.downloads['claims.csv'].decode().splitlines()))
    self.assertEqual((claims[0]['method'], claims[0]['baseline'], claims[0]['verdict']),
                     ('idm_four', 'idm_target', 'exploratory'))
    self.assertIn('final.csv', page.downloads)

  def test_episodes_are_shown_with_their_score_and_whose_they_are(self):
    results, gif = make_results(), base64.b64encode(b'GIF89a').decode()
    results['episodes'] = [dict(
        run=run['run'], method=run['method'], target=run['target'], gif=gif, seed=run['seed'],
        score=7.5, num_steps=2100, every=7) for run in results['runs'][-1:]]
    source, page = self._write(results)
    label = results['methods'][results['episodes'][0]['method']]['label']
    words = _words(page)
    self.assertIn(f'{label} plays Breakout', words)
    self.assertIn('7.5 points in 2,100 steps, every 7th frame of what it saw; seed 0', words)
    self.assertIn(f'data:image/gif;base64,{gif}"', source)

  def test_human_play_far_above_the_agents_does_not_flatten_them(self):
    results = make_results()
    results['games']['Breakout']['human'] = 42_000.
    *_, panel = report.of(results).panels()[0]
    self.assertLess(panel.limits[1], 20.)
    self.assertIn('human, published 42000 ↑', figures.curves_svg(panel, 'name'))

  def test_figure_is_a_png_though_targets_have_different_panels(self):
    results = make_results()
    for run in results['runs'] + results['rows']:
      if run['num_labels'] == 2000:
        run['target'] = 'Asterix'
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'figure.png')
    report.figure_png(results, path)
    with open(path, 'rb') as file:
      self.assertEqual(file.read(8), b'\x89PNG\r\n\x1a\n')

  def test_summary_has_a_line_per_setting_and_measured_claim(self):
    lines = report.summary_lines(make_results())
    self.assertIn('17 of 17 runs done', lines[0])
    self.assertIn('Breakout, 500 labels: labels right: Target only 0.510, Freeway 0.515, 4 games '
                  '0.710, Many labels 0.970, (majority 0.410), (chance 0.250)', lines)
    self.assertIn('Breakout, 500 labels: score: DT1 2.0, DT1-IDM 4.0, ALPT 9.0, '
                  '(random, published 1.7), (human, published 30.5), (best of data 12.5)', lines)
    line, = (line for line in lines if line.startswith('More sources give better labels: '))
    self.assertStartsWith(line, 'More sources give better labels: exploratory: not registered, no '
                          'verdict: Breakout, 500 labels: 4 games 0.710, Freeway 0.515, difference '
                          '+0.195 [')


class ResultsFileTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('no_games', lambda r: r.pop('games'), r'results\.games is missing; expected an object'),
      ('experiment', lambda r: r.update(experiment='go'),
       r"results\.experiment is 'go', which cannot be imported .*; expected one of \['atari', 'ca"),
      ('no_role', lambda r: r['games']['Freeway'].pop('role'), r'games\.Freeway\.role is missing'),
      ('human', lambda r: r['games']['Freeway'].update(human='good'),
       r"games\.Freeway\.human is 'good'; expected a number or null"),
      ('checkpoint', lambda r: r['games']['Freeway']['checkpoints'][1].update(mean_score='x'),
       r"Freeway\.checkpoints\[1\]\.mean_score is 'x'"),
      ('unknown_source', lambda r: r['runs'][3].update(sources=['Chess']),
       r"runs\[3\]\.sources\[0\] is 'Chess'; expected one of"),
      ('part', lambda r: r['runs'][0].update(part='idm'),
       r"runs\[0\]\.part is 'idm'; expected one of"),
      ('phase', lambda r: r['runs'][0].update(phase='last'), r"runs\[0\]\.phase is 'last'"),
      ('no_num_labels', lambda r: r['rows'][2].pop('num_labels'),
       r'rows\[2\]\.num_labels is missing; expected a number'),
      ('contradiction', lambda r: r['rows'][0].update(num_labels=7),
       r'rows\[0\]\.num_labels is 7; expected 500'),
      ('text_score', lambda r: r['rows'][-1].update({'sampled/score': 'high'}),
       r"sampled/score is 'high'; expected a number or null"),
      ('run_twice', lambda r: r['runs'].append(r['runs'][0]),
       'expected one run per method, num_labels, phase, part, target and seed'))
  def test_a_bad_field_is_named(self, spoil, message):
    results = make_results()
    spoil(results)
    with self.assertRaisesRegex(ValueError, message) as caught:
      results_file.check(results)
    self.assertNotIn('\n', str(caught.exception))

  def test_binary_writes_page_and_table_beside_the_results(self):
    directory = self.enterContext(tempfile.TemporaryDirectory())
    path = os.path.join(directory, 'results.json')
    with open(path, 'w', encoding='utf-8') as file:
      json.dump(make_results(), file)
    result = subprocess.run([sys.executable, '-m', 'experiments.report', f'--results={path}'],
                            cwd=_ROOT, capture_output=True, text=True)
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertCountEqual(os.listdir(directory), ['results.json', 'report.html', 'results.csv'])
    self.assertIn('17 of 17 runs done', result.stdout)


if __name__ == '__main__':
  absltest.main()
