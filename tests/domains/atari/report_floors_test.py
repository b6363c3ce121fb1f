"""Labels between floors and ceiling, agents beside those that look at nothing: tables and lines."""

import copy
import math

from absl.testing import absltest, parameterized
from scipy import stats

from alpt_jax.domains.atari import claims, findings_floors, report_floors
from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.measures import intervals
from alpt_jax.reports import findings
from experiments.studies import report, results_file
from tests.reports import html_page

_ACCURACY = {'idm_target': .6, 'idm_four': .8, 'idm_causal': .5}


def _mean(value, low=None, high=None, num_episodes=9):
  return dict(value=value, low=low, high=high, num_transitions=100, num_episodes=num_episodes)


def make_labels(accuracy, share=.45):
  """The labels' floors of a run: majority .41, linear map .44, ceiling .9."""
  return dict(
      step=600, most_frequent=dict(action='NOOP', share=share), is_constant=False,
      accuracy=_mean(accuracy, accuracy - .02, accuracy + .02),
      floors=dict(num_labels=300, majority=_mean(.41, .40, .42), table=None,
                  linear=_mean(.44, .43, .45), best='linear'),
      random_draws=_mean(accuracy - .1, accuracy - .2, accuracy),
      ceiling=dict(expected=_mean(.9, .88, .92), realised=_mean(.89, .87, .91)))


def make_agent(rise=.3, is_blind=False, is_held_out=True, score=11., exchanged_score=1.3):
  """The agent's floors of a run: the best that looks at nothing scores 2."""
  agent = dict(step=1200, is_held_out=is_held_out, loss=.9, exchanged_loss=.9 + rise,
               rise=_mean(rise, rise - .03, rise + .03), is_blind=is_blind, by_loss=is_blind,
               num_windows=2000, by_score=dict(
                   score=score, low=score - 1, high=score + 1, exchanged_score=exchanged_score,
                   is_blind=abs(exchanged_score - score) <= 1, num_games=64, delay=41))
  scores = dict(
      protocol=dict(game='Breakout', num_episodes=100, max_steps=2500, sticky=0., seed=0),
      agents={'random': dict(score=1., standard_error=.1, num_episodes=100),
              'always LEFT': dict(score=0., standard_error=None, num_episodes=1),
              'markov chain': dict(score=2., standard_error=.1, num_episodes=100),
              'repeat': dict(score=1.5, standard_error=.1, num_episodes=100)})
  return dict(agent=agent, scores=scores)


def make_results(seeds=(0,)):
  """Three IDMs with 300 labels and two agents with 1,000, in Breakout."""
  runs, rows = [], []

  def add(part, method, seed, num_labels, floors, numbers):
    identity = dict(run=f'{part}-{method}-seed{seed}', method=method, target='Breakout',
                    sources=[], seed=seed, num_labels=num_labels, phase='finetune', part=part)
    runs.append(identity | dict(status='done', seconds=9., num_steps=100, floors=floors))
    rows.append(identity | dict(step=100) | numbers)

  for seed in seeds:
    for method, accuracy in _ACCURACY.items():
      accuracy += .01 * seed
      add('labels', method, seed, 300,
          dict(labels=make_labels(accuracy), agent=None, scores=None),
          dict(label_accuracy=accuracy))
    for method, score in (('dt1', 3.), ('oracle', 11. + seed)):
      add('score', method, seed, 1000,
          dict(labels=None) | (make_agent(.02, True, score=3., exchanged_score=3.)
                               if method == 'dt1' else make_agent()),
          {'sampled/score': score, 'sampled/score_std': math.sqrt(63.), 'label_accuracy': None,
           'sampled/num_episodes': 64, 'sampled/num_cut': 1, 'sampled/most_frequent_share': .4,
           'sampled/longest_run': 33 + seed})
  labels = dict(idm_target='Target only', idm_four='4 games', idm_causal='Past only (floor)',
                dt1='DT1', oracle='Oracle labels')
  return dict(
      experiment='atari', preset='desk', command='python', created='2026-01-15T10:12:13+00:00',
      config={}, config_digest='0123abcd', versions={},
      methods={m: dict(label=label, is_floor=m == 'idm_causal') for m, label in labels.items()},
      games={'Breakout': dict(role='target', checkpoints=[
          dict(mean_score=5.), dict(mean_score=101.)], random=1.7, human=30.5,
          majority_accuracy=.41, chance_accuracy=.25)},
      runs=runs, rows=rows)


def _rows(results, part=findings.LABELS):
  setting, = findings_atari.settings(results, part)
  rows = (findings_floors.label_rows if part == findings.LABELS
          else findings_floors.agent_rows)(results, setting)
  return {row.name: row for row in rows}


class LabelRowsTest(parameterized.TestCase):

  def test_floors_then_methods_then_ceiling_of_one_run_over_its_episodes(self):
    rows = _rows(make_results())
    self.assertEqual(list(rows), [
        'Most frequent action', 'Linear map of the change', 'Past only (floor)', 'Target only',
        '4 games', 'Ceiling (all actions tried)'])
    self.assertEqual([row.kind for row in rows.values()],
                     3 * ['floor'] + 2 * ['method'] + ['ceiling'])
    target = rows['Target only'].accuracy
    self.assertEqual((target.value, target.low, target.high, target.n, target.over),
                     (.6, .58, .62, 9, intervals.EPISODES))
    self.assertEqual(rows['Ceiling (all actions tried)'].accuracy.value, .9)  # The higher of two.

  def test_way_begins_at_the_highest_floor_which_may_be_the_past(self):
    results = make_results()
    rows = _rows(results)
    # Past .5, ceiling .9.
    self.assertAlmostEqual(rows['Target only'].above_floor.value, (.6 - .5) / (.9 - .5))
    self.assertAlmostEqual(rows['4 games'].above_floor.value, (.8 - .5) / (.9 - .5))
    self.assertIsNone(rows['Past only (floor)'].above_floor)
    results['runs'] = [run for run in results['runs'] if run['method'] != 'idm_causal']
    self.assertAlmostEqual(_rows(results)['Target only'].above_floor.value,
                           (.6 - .44) / (.9 - .44))

  def test_an_agent_that_labels_is_a_floor_of_the_idms_with_its_labels(self):
    results = make_results()
    before = _rows(results)
    dt1 = results['runs'][3]
    dt1['floors']['as_labeller'] = {
        key: make_labels(.7, share=.6)[key]
        for key in ('step', 'most_frequent', 'is_constant', 'accuracy', 'floors')}
    self.assertEqual(_rows(results), before)  # Of 1,000 labels; the IDMs have 300.
    dt1['num_labels'] = results['rows'][3]['num_labels'] = 300
    results_file.check(results)
    rows = _rows(results)
    name = 'DT1 as labeller, told the return-to-go'
    self.assertEqual(list(rows)[2:4], [name, 'Past only (floor)'])
    row = rows[name]
    self.assertEqual((row.kind, row.accuracy.value, row.share, row.action, row.num_runs),
                     ('floor', .7, .6, 'NOOP', 1))
    # The highest floor, .7, is above the labels of one method, and below those of the other.
    self.assertAlmostEqual(rows['Target only'].above_floor.value, (.6 - .7) / (.9 - .7))
    self.assertAlmostEqual(rows['4 games'].above_floor.value, (.8 - .7) / (.9 - .7))

  def test_several_runs_have_intervals_over_seeds_and_floors_of_their_own(self):
    row = _rows(make_results(seeds=(0, 1, 2)))['Target only']
    half = stats.t.ppf(.975, 2) * .01 / math.sqrt(3)
    self.assertAlmostEqual(row.accuracy.value, .61)
    self.assertAlmostEqual(row.accuracy.low, .61 - half)
    self.assertEqual((row.accuracy.n, row.accuracy.over), (3, intervals.SEEDS))
    # Seed s: accuracy .6 + .01 s, past .5 + .01 s.
    self.assertAlmostEqual(row.above_floor.value,
                           (.1 / .4 + .1 / .39 + .1 / .38) / 3)

  def test_of_constant_labels_only_their_share_is_said(self):
    results = make_results()
    labels = results['runs'][0]['floors']['labels']
    results['runs'][0]['floors']['labels'] = {
        key: labels[key] for key in ('step', 'most_frequent')} | {'is_constant': True}
    results_file.check(results)
    row = _rows(results)['Target only']
    self.assertEqual((row.accuracy, row.above_floor, row.num_constant), (None, None, 1))
    self.assertEqual(report_floors.label_cells(row)[1:4], ['constant labels', '–', '0.450 NOOP'])

  def test_unknown_ceiling_leaves_the_way_unknown(self):
    results = make_results()
    for run in results['runs'][:3]:
      run['floors']['labels']['ceiling'] = {'unknown': 'nobody has tried'}
    rows = _rows(results)
    self.assertNotIn('Ceiling (all actions tried)', rows)
    self.assertIsNone(rows['4 games'].above_floor)

  def test_a_failed_run_is_in_no_row(self):
    results = make_results(seeds=(0, 1))
    results['runs'][0]['status'] = 'failed'
    self.assertEqual(_rows(results)['Target only'].num_runs, 1)


class AgentRowsTest(parameterized.TestCase):

  def test_score_stands_beside_blind_play_and_the_best_checkpoint(self):
    row = _rows(make_results(), findings.SCORE)['Oracle labels']
    self.assertEqual((row.score.value, row.num_games, row.num_cut), (11., 64, 1))
    self.assertAlmostEqual(row.standard_error, 1.)  # sqrt(63) / sqrt(64 - 1)
    self.assertEqual((row.best_blind, row.blind_score, row.random), ('markov chain', 2., 1.))
    self.assertAlmostEqual(row.of_best, (11. - 1.) / (101. - 1.))
    self.assertEqual((row.share, row.longest_run), (.4, 33))

  def test_best_checkpoint_has_an_interval_over_its_episodes_and_a_protocol_of_its_own(self):
    results = make_results()
    # Of scores 1, 2 and 3: t for 2 degrees of freedom is 4.303, the standard error 1 / sqrt(3).
    results['runs'][-1]['floors']['checkpoints'] = [dict(
        mean_score=2., std_score=math.sqrt(2 / 3), num_episodes=3, sticky=.25, max_steps=2500)]
    results_file.check(results)
    row = _rows(results, findings.SCORE)['Oracle labels']
    self.assertEqual((row.best_checkpoint, row.checkpoint.value, row.checkpoint.n), (2., 2., 3))
    self.assertAlmostEqual(row.checkpoint.high, 2 + 4.303 / math.sqrt(3), places=3)
    self.assertEqual(report_floors.agent_cells(row)[4], '2.0 [-0.5, 4.5], 3 episodes')
    del results['runs'][-2]  # The other method's.
    table, = report_floors.agent_tables(results)
    self.assertEndsWith(
        table.caption, 'Best checkpoint: the recorded play, mean score, 95 % interval over its '
        'episodes (Student’s t), by the protocol of the recording (sticky actions 0.25, at most '
        '2,500 steps), not by that of the agents (sticky actions 0, at most 2,500 steps).')

  def test_of_a_checkpoint_of_which_the_mean_is_all_that_is_known_no_more_is_said(self):
    results = make_results()
    row = _rows(results, findings.SCORE)['Oracle labels']
    self.assertEqual((row.checkpoint, report_floors.agent_cells(row)[4]), (None, '101.0'))
    table, = report_floors.agent_tables(results)
    self.assertIn('the recorded play, mean score, by the protocol of the recording (not known '
                  'here)', table.caption)
    results['games']['Breakout']['checkpoints'][1].update(std_score=1., num_episodes=1)
    row = _rows(results, findings.SCORE)['Oracle labels']
    self.assertEqual(report_floors.agent_cells(row)[4], '101.0, 1 episode')

  def test_says_which_agents_look(self):
    rows = _rows(make_results(), findings.SCORE)
    self.assertEqual(report_floors.looks(rows['Oracle labels']),
                     'yes; by loss, 0.300 nats [0.270, 0.330]; by score, 1.3 instead of 11.0 '
                     'points')
    self.assertEqual(report_floors.looks(rows['DT1']),
                     'blind; by loss, 0.020 nats [-0.010, 0.050]; by score, 3.0 instead of 3.0 '
                     'points')

  def test_one_criterion_is_enough_to_be_blind(self):
    results = make_results()
    results['runs'][-1]['floors'] |= make_agent(exchanged_score=10.5)
    row = _rows(results, findings.SCORE)['Oracle labels']
    self.assertEqual((row.num_blind, row.by_loss, row.by_score), (1, (0, 1), (1, 0)))
    self.assertEqual(report_floors.looks(row),
                     'blind; by loss, yes: 0.300 nats [0.270, 0.330]; by score, blind: 10.5 '
                     'instead of 11.0 points')

  @parameterized.parameters((False, 'cannot tell; by loss, yes'), (True, 'blind; by loss, blind'),
                            (None, 'cannot tell; by loss, cannot tell'))
  def test_runs_of_which_no_games_were_played_are_shown_by_their_loss(self, by_loss, expected):
    results = make_results()
    agent = results['runs'][-1]['floors']['agent']
    del agent['by_score'], agent['by_loss']  # As of before there were these.
    agent['is_blind'] = by_loss
    results_file.check(results)
    if by_loss is None:
      expected = expected.replace('by loss, cannot tell', 'by loss,')
    row = _rows(results, findings.SCORE)['Oracle labels']
    self.assertStartsWith(report_floors.looks(row), expected)
    self.assertEndsWith(report_floors.looks(row), '0.300 nats [0.270, 0.330]; by score, not '
                                                  'measured')
    agent |= {'by_loss': by_loss, 'by_score': {'unknown': 'no games'}, 'is_blind': by_loss or None}
    results_file.check(results)
    self.assertEqual(_rows(results, findings.SCORE)['Oracle labels'], row)

  def test_says_where_it_was_judged_and_what_is_not_known(self):
    results = make_results()
    dt1, oracle = results['runs'][3:]
    oracle['floors']['agent']['is_held_out'] = False
    dt1['floors']['agent'] = {'unknown': 'too short'}
    rows = _rows(results, findings.SCORE)
    self.assertIn('nats [0.270, 0.330] on episodes it was trained on; by score',
                  report_floors.looks(rows['Oracle labels']))
    self.assertEqual(report_floors.looks(rows['DT1']), 'unknown')

  def test_several_seeds_are_counted(self):
    results = make_results(seeds=(0, 1, 2))
    oracles = [run for run in results['runs'] if run['method'] == 'oracle']
    oracles[1]['floors'] |= make_agent(.01, True)
    oracles[2]['floors']['agent']['by_score'] = {'unknown': 'no games'}
    row = _rows(results, findings.SCORE)['Oracle labels']
    self.assertEqual((row.num_games, row.num_agents, row.num_blind, row.num_looking,
                      row.longest_run), (192, 3, 1, 1, 35))
    self.assertIsNone(row.standard_error)
    # By loss .3, .01, .3; of the games of the first two, 1.3 instead of 11.
    self.assertStartsWith(report_floors.looks(row), 'yes in 1, blind in 1, cannot tell in 1 of '
                                                    '3 runs; by loss, yes in 2, blind in 1 of 3 '
                                                    'runs: 0.203 nats [')
    self.assertEndsWith(report_floors.looks(row), '; by score, yes in 2, cannot tell in 1 of 3 '
                                                  'runs: 1.3 instead of 11.0 points')
    oracles[1]['floors'] |= make_agent()
    oracles[2]['floors'] |= make_agent(exchanged_score=2.3)
    row = _rows(results, findings.SCORE)['Oracle labels']
    self.assertRegex(report_floors.looks(row), r'^yes; by loss, 0.300 nats \[.*\]; by score, 1.6 '
                                               'instead of 11.0 points$')


class PageTest(parameterized.TestCase):

  def test_page_has_both_tables_and_says_what_intervals_are_over(self):
    words = self._words(make_results())
    for text in ('Breakout: label accuracy at 300 labels', 'Past only (floor)0.500 [0.480, 0.520]',
                 'within a run, over its episodes', 'Breakout: agents with 1,000 labels',
                 '11.0 (s.e. 1)642.0 (Markov chain)101.00.100.400331yes; by loss, 0.300 nats',
                 'or rises above it, when it is shown the images of 41 steps before. It looks if '
                 'it looks by both',
                 'reference by enumeration', 'may know more of the policy, and pass it',
                 'oracles), which are judged on episodes that training knew'):
      self.assertIn(text, words)
    words = self._words(make_results(seeds=(0, 1)))
    self.assertIn('over training seeds (Student’s t). That of the ceiling: over episodes', words)

  def _words(self, results):
    return ' '.join(html_page.Page(report.of(results).page()).text.split())

  def test_page_names_the_floors_and_the_ceiling_that_were_measured(self):
    results = make_results()
    self.assertIn('Floors need no inverse dynamics: the most frequent action, a linear map of the '
                  'change between two observations and a network that sees the past only, all from '
                  'the same labels.', self._words(results))
    dt1 = results['runs'][3]
    dt1['num_labels'] = results['rows'][3]['num_labels'] = 300
    dt1['floors']['as_labeller'] = {
        key: make_labels(.4)[key]
        for key in ('step', 'most_frequent', 'is_constant', 'accuracy', 'floors')}
    self.assertIn('an agent that is told the return-to-go, but not shown the next observation and '
                  'a network that sees the past only, all from', self._words(results))
    del dt1['floors']['as_labeller']
    for part in ('runs', 'rows'):
      results[part] = [x for x in results[part] if x['method'] != 'idm_causal']
    for run in results['runs'][:2]:
      run['floors']['labels']['floors']['linear'] = None
      run['floors']['labels']['ceiling'] = {'unknown': 'nobody has tried'}
    words = self._words(results)
    self.assertIn('Floors need no inverse dynamics: the most frequent action, all from the same '
                  'labels.', words)
    self.assertNotIn('enumeration', words)

  def test_page_names_the_blind_agents_that_were_played(self):
    results = make_results()
    self.assertIn('played by the same evaluator: at random, one action only, a Markov chain of the '
                  'recording’s actions and its rate of repeating the last one.',
                  self._words(results))
    for run in results['runs']:
      if run['part'] == 'score':
        run['floors']['scores'] = {'unknown': 'not played'}
    self.assertIn('Agents that look at nothing were not played.', self._words(results))

  def test_lines_say_all_of_it(self):
    lines = report.summary_lines(make_results())
    for line in (
        'Breakout: label accuracy at 300 labels:',
        '  Most frequent action (floor): labels right 0.410 [0.400, 0.420]; runs 1',
        '  4 games: labels right 0.800 [0.780, 0.820]; of the way from floor to ceiling 0.750; '
        'most frequent label 0.450 NOOP; right on random draws 0.700 [0.600, 0.800]; runs 1',
        '  Ceiling (all actions tried): labels right 0.900 [0.880, 0.920]',
        '  Oracle labels: score 11.0 (s.e. 1); games 64; best that looks at nothing 2.0 (Markov '
        'chain); best checkpoint 101.0; of the way from random to it 0.10; most frequent action '
        '0.400; longest run 33; games cut 1; looks? yes; by loss, 0.300 nats [0.270, 0.330]; by '
        'score, 1.3 instead of 11.0 points'):
      self.assertIn(line, lines)

  def test_curves_stand_between_floors_and_ceiling(self):
    labels, scores = report.of(make_results()).panels()[0]
    self.assertEqual(labels.anchors, {'majority': .41, 'linear map': .44, 'ceiling': .9})
    self.assertGreater(labels.limits[1], .9)
    # Random play is that of the agents' protocol where it was measured, not the published one.
    self.assertEqual({name: x for name, x in scores.anchors.items() if name != 'best of data'},
                     {'human, published': 30.5, 'random': 1., 'best blind': 2.})
    self.assertLess(scores.limits[1], 40.)  # The best checkpoint, 101, does not flatten them.

  def test_the_past_is_no_method_without_sources(self):
    results = make_results()
    for record in results['runs'] + results['rows']:
      if record['method'] == 'idm_four':
        record['sources'] = ['Freeway']
    results['games']['Freeway'] = dict(role='source', checkpoints=[])
    finding = claims.claims(results)[0]
    self.assertEqual([(c.method, c.baseline) for c in finding.comparisons],
                     [('idm_four', 'idm_target')])

  def test_results_without_floors_have_no_tables(self):
    results = make_results()
    for run in results['runs']:
      del run['floors']
    self.assertIn('Not measured in this experiment', report_floors.section(results))
    self.assertEqual(report_floors.sentences(results), [])
    setting, = findings_atari.settings(results, findings.LABELS)
    self.assertEqual(findings_floors.levels(results, setting), {})

  @parameterized.parameters(
      (('labels', 'is_constant'), 'no', r"labels\.is_constant is 'no'; expected true"),
      (('labels', 'accuracy'), .5, r"labels\.accuracy is 0.5; expected an object"),
      (('labels', 'floors', 'linear', 'value'), 'x', r"labels\.floors\.linear\.value is 'x'"),
      (('labels', 'ceiling', 'realised'), None, r"labels\.ceiling\.realised is None; expected"),
      (('agent', 'by_loss'), 'no', r"agent\.by_loss is 'no'; expected true or false or null"),
      (('agent', 'by_score'), 1.3, r"agent\.by_score is 1.3; expected an object"),
      (('agent', 'by_score', 'low'), 'x', r"agent\.by_score\.low is 'x'; expected a number"),
      (('agent', 'by_score', 'score'), None, r"agent\.by_score\.score is None; expected"),
      (('agent', 'by_score', 'is_blind'), 1, r"agent\.by_score\.is_blind is 1; expected true"))
  def test_a_bad_field_is_named(self, place, value, message):
    results = copy.deepcopy(make_results())
    number = 0 if place[0] == 'labels' else -1
    record = results['runs'][number]['floors']
    for key in place[:-1]:
      record = record[key]
    record[place[-1]] = value
    with self.assertRaisesRegex(
        ValueError, rf'runs\[{number % len(results["runs"])}\]\.floors\.' + message):
      results_file.check(results)


if __name__ == '__main__':
  absltest.main()
