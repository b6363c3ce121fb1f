"""The page of an audit: what a reader can rely on."""

import json
import re

from absl.testing import absltest

from alpt_jax.labelling import audit, audit_report, compare_findings
from tests.labelling import audit_test
from tests.reports import html_page, labelling_data

ABOUT = {'preset': 'tiny', 'created': '2000-01-01T00:00:00+00:00',
         'command': 'python -m experiments.audit --run=runs/mine', 'run': 'runs/mine',
         'label_command': 'python -m experiments.label --run=runs/mine --output=data/Labelled '
                          '--stride=2 --temperature=2.5',
         'method': 'alpt', 'step': 1200, 'window': 5, 'versions': {'jax': '0.0'}}


def make_audit(*predictions, **about):
  predictions = predictions or (
      audit_test.small(), audit_test.drawn(sharpness=3., lag=1),
      audit_test.constant(name='Freeway', kind='trained on'))
  single_windows = about.pop('single_windows', None)
  found = audit.audit(list(predictions), single_windows, stride=about.pop('stride', 1))
  return found | {'about': ABOUT | about}


def read(*predictions, **about):
  source = audit_report.page(make_audit(*predictions, **about))
  page = html_page.Page(source)
  return source, page, ' '.join(page.text.split())


class PageTest(absltest.TestCase):

  def test_page_is_whole_and_refers_to_nothing_outside(self):
    source, page, _ = read()
    self.assertEmpty(page.open)
    for reference in page.references:
      self.assertRegex(reference, '^(#|data:)')
    for text in ('http:', 'https:', '@import', '<script'):
      self.assertNotIn(text, source)
    self.assertLen(set(page.ids), len(page.ids))

  def test_the_verdict_comes_first(self):
    found = make_audit()
    words = read()[2]
    places = [words.index(line) for line in (
        *found['headlines'], *(warning['text'] for warning in found['warnings']),
        'known to training')]
    self.assertEqual(places, sorted(places))
    self.assertIn('Freeway: trained on, not held out', words)

  def test_floors_and_ceiling_stand_beside_the_accuracy(self):
    past = {'accuracy': audit_test.mean(.444), 'margin': audit_test.mean(.1)}
    source, page, words = read(
        audit_test.drawn()._replace(floors=audit_test.between(.512, causal=past)))
    self.assertEmpty(page.open)
    row = re.search(r'What labels score that need no IDM.*?<tbody>(.*?)</tbody>', source, re.DOTALL)
    for number in ('0.400<', '0.512<', '0.444<', '0.900<', '0.930<'):
      self.assertIn(number, row[1])
    self.assertIn('random draws: unknown, no step field action_is_random', words)

  def test_a_comparison_stands_in_the_page_with_its_verdict(self):
    about = {'directory': 'runs/a', 'labels': {'is_constant': False}, 'pretraining_also': [],
             'margin': audit_test.mean(.3)}
    one = {'environment': 'Play', 'kind': 'held out', 'seed': 3, 'label_seed': 3,
           'num_transitions': 4321, 'num_episodes': 12,
           'run': about | {'sources': ['<b>Cousin'], 'method': 'alpt',
                           'accuracy': audit_test.mean(.81)},
           'baseline': about | {'sources': [], 'method': 'dt1_idm',
                                'accuracy': audit_test.mean(.77)},
           'difference': audit_test.mean(.04)} | audit_test.between(.512)
    result = {'environment': 'Play', 'num_pairs': 1,
              'difference': {'value': .04, 'low': .03, 'high': .05},
              'verdict': {'word': 'cannot tell', 'reason': 'no verdict: 1 of 5 seeds'}}
    comparison = {'pairs': [one], 'results': [result], 'smallest_effect': .03,
                  'sentences': compare_findings.sentences([one], result)}
    source = audit_report.page(make_audit(), comparison)
    page = html_page.Page(source)
    words = ' '.join(page.text.split())
    self.assertEmpty(page.open)
    self.assertNotIn('<b>Cousin', source)
    self.assertIn('Play: cannot tell, n = 1: a verdict needs 5 pairs', words)
    row = re.search(r'<th scope="row">Play, seed 3</th>(.*?)</tr>', source)
    cells = [re.sub('<.*?>', ' ', cell).strip() for cell in re.findall('<td>(.*?)</td>', row[1])]
    self.assertEqual([cell.split()[0] for cell in cells],
                     ['0.810', '0.770', '+0.040', '0.400', '0.512', '–', '0.900', '4,321'])
    self.assertEqual(json.loads(page.downloads['compare.json']), comparison)
    self.assertNotIn('source worth using', audit_report.page(make_audit()))

  def test_two_people_bound_what_has_no_ceiling(self):
    ceiling = {'unknown': 'no emulator', 'agreement': audit_test.mean(.87)}
    words = read(audit_test.drawn()._replace(floors=audit_test.between(.5, ceiling=ceiling)))[2]
    self.assertIn('ceiling: unknown, no emulator', words)
    self.assertIn('two people agree on 0.870 of 9 actions', words)

  def test_audits_from_before_there_were_floors_are_shown(self):
    found = make_audit()
    for environment in found['environments']:
      del environment['floors'], environment['labels']
    self.assertNotIn('need no IDM', audit_report.page(found))

  def test_good_labels_are_said_to_be_good(self):
    self.assertIn('no warning The labels are better than', read(audit_test.drawn())[2])
    self.assertNotIn('no warning', read()[2])

  def test_table_has_the_numbers_worked_by_hand(self):
    source = read(audit_test.small())[0].replace('\n', '')
    found, = make_audit(audit_test.small())['environments']
    by_chance = found['calibration']['error_by_chance']
    rows = re.findall(r'<tr><th scope="row">Breakout</th>(.*?)</tr>', source)
    self.assertEqual(
        [[re.sub('<.*?>', ' ', cell).strip() for cell in re.findall('<td>(.*?)</td>', row)]
         for row in rows], [
             ['no', '2', '6', '0.667  0.667 to 0.667',
              '0.167  0.000 to 0.333', '0.722', '0.500 NOOP', '0.500', '0.333'],
             # -log(.7 .6 .3 .9 .4 .8) / 6; log(3).
             ['1.000', '1.000', '0.553', '1.099', '0.650', '0.317', f'{by_chance:.3f}', 'none']])

  def test_mistakes_and_thresholds_have_the_numbers_worked_by_hand(self):
    source = read(audit_test.small())[0].replace('\n', '')
    rows = {name: [re.sub('<.*?>', '', cell) for cell in re.findall('<td.*?</td>', row)]
            for name, row in re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', source)}
    self.assertEqual(rows['NOOP'], ['2', '1', '0', '0.667', '3'])
    self.assertEqual(rows['LEFT'], ['1', '1', '0', '0.500', '2'])
    self.assertEqual(rows['0.4'], ['1.000', '0.667'])
    self.assertEqual(rows['0.7'], ['0.500', '1.000'])

  def test_temperatures_say_what_they_are_for(self):
    settings = dict(stride=2, single_windows=[audit_test.drawn(num_episodes=40, sharpness=2.)])
    predictions = audit_test.drawn(num_episodes=40, sharpness=3.)
    found, words = make_audit(predictions, **settings), read(predictions, **settings)[2]
    of_label, of_training = (
        f'{found[key]:.4g}' for key in ('temperature', 'training_temperature'))
    self.assertNotEqual(of_label, of_training)
    places = [words.index(text) for text in (
        'experiments.label with --stride=2: windows 2 apart vote',
        f'Use temperature {of_label}: on the other half it lowers', 'fitted on: 20; others that it '
        'was judged on: 20', ABOUT['label_command'],
        'logits of single windows, here 5 apart', f'Use temperature {of_training}: on the other',
        f'--config.pseudo_labels.mode=soft --config.pseudo_labels.temperature={of_training}')]
    self.assertEqual(places, sorted(places))

  def test_temperature_that_cannot_be_fitted_or_does_not_help(self):
    words = read(audit_test.drawn(num_episodes=1))[2]
    self.assertIn('Not fitted: that takes two episodes of a target', words)
    self.assertIn('no interval', words)
    predictions = audit_test.drawn(num_episodes=4)
    actions = predictions.probabilities.argmax(axis=1)
    words = read(predictions._replace(actions=actions))[2]
    self.assertIn('Leave the temperature at 1, as no other was found to help: no temperature '
                  'within its bounds was best', words)
    self.assertIn('--config.pseudo_labels.temperature=1 ', words)

  def test_all_numbers_can_be_downloaded(self):
    page = read()[1]
    self.assertEqual(json.loads(page.downloads['audit.json']), make_audit())

  def test_examples_are_shown_beside_their_frames(self):
    examples = labelling_data.make_labelling()['examples']
    for example in examples:
      example['was_labelled'] = [False] * 3
    source, page, words = read(audit_test.drawn(), audit_test.small()._replace(
        action_names=labelling_data.ACTIONS, legal_actions=range(4), examples=examples))
    self.assertEqual(
        re.findall(r'Episode (\d+), from step (\d+): (\d of \d) actions wrong', words),
        [('2', '40', '2 of 3'), ('1', '7', '1 of 3'), ('0', '11', '1 of 3'), ('0', '90', '1 of 3')])
    self.assertIn('Breakout: 4 windows', words)
    self.assertNotIn('Pong: 0 windows', words)
    self.assertEqual([x[:22] for x in page.references if not x.startswith('#')][:4],
                     ['data:image/png;base64,'] * 4)
    self.assertEqual(source.count('<script'), 1)
    self.assertEmpty(page.open)

  def test_examples_name_the_file_that_they_are_from(self):
    examples = labelling_data.make_labelling()['examples'][:2]
    for example, file in zip(examples, ('a <b>.mp4', 'c.mp4'), strict=True):
      example['file'] = file
    source, page, words = read(audit_test.small()._replace(
        action_names=labelling_data.ACTIONS, legal_actions=range(4), examples=examples))
    self.assertIn('Episode 2 (a <b>.mp4), from step 40: 2 of 3', words)
    self.assertIn('Episode 1 (c.mp4), from step 7: ', words)
    self.assertNotIn('<b>.mp4', source)
    self.assertEmpty(page.open)

  def test_pictures_are_in_the_page_once(self):
    found = make_audit(audit_test.drawn()._replace(
        examples=labelling_data.make_labelling()['examples'][2:3]))
    source = audit_report.page(found)
    self.assertEqual(source.count(found['environments'][0]['examples'][0].pop('strip')), 1)
    self.assertEqual(json.loads(html_page.Page(source).downloads['audit.json']), found)

  def test_without_pictures_there_are_no_examples(self):
    self.assertIn('None: observations are no pictures, or no window of 5 transitions was audited',
                  read()[2])

  def test_text_is_escaped(self):
    source, page, _ = read(audit_test.small(name='<b>x', action_names=('<i>', 'F', '"', '&')),
                           run='<u>', command='<script>')
    for tag in ('<b>x', '<i>', '<u>', '<script>'):
      self.assertNotIn(tag, source)
      self.assertEmpty(page.open)
    self.assertIn('<b>x', page.text)


if __name__ == '__main__':
  absltest.main()
