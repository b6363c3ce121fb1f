"""The part of a report that shows how an IDM labels: what a reader can rely on."""

import re

from absl.testing import absltest

from alpt_jax import schema
from alpt_jax.reports import label_section
from experiments.studies import labelling_schema
from tests.reports import html_page, labelling_data


def _page(*labelled):
  for labelling in labelled:
    schema.check(labelling, labelling_schema.LABELLING, 'labelling')
  source = label_section.section(labelled)
  return source, html_page.Page(source)


def _words(page):
  return ' '.join(page.text.split())


class SectionTest(absltest.TestCase):

  def test_section_is_whole_and_refers_to_nothing_outside(self):
    source, page = _page(labelling_data.make_labelling(), labelling_data.make_labelling('DT1-IDM'))
    self.assertEmpty(page.open)
    self.assertLen(page.references, 8)
    for reference in page.references:
      self.assertRegex(reference, '^data:image/png;base64,')
    for text in ('http:', 'https:', '@import', 'url('):
      self.assertNotIn(text, source)
    self.assertEqual(source.count('<script'), 1)

  def test_numbers_are_those_of_the_confusion_matrix(self):
    words = _words(_page(labelling_data.make_labelling())[1])
    for text in ('10 labelled and counted', '0.800, 95 % interval 0.490 to 0.943',
                 '0.611, the mean recall of the 3 actions that occur',
                 '0.600 by always saying NOOP', 'labels-ALPT-seed0, alpt',
                 'ALPT, Breakout, seed 0, step 600: 0.800 right'):
      self.assertIn(text, words)

  def test_matrix_has_counts_shares_recall_and_precision(self):
    source, page = _page(labelling_data.make_labelling())
    rows = re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', source.replace('\n', ''))
    cells = {name: [re.sub('<.*?>', '', cell) for cell in re.findall('<td.*?</td>', row)]
             for name, row in rows if name in (*labelling_data.ACTIONS, 'precision')}
    self.assertEqual(cells['NOOP'], ['5', '0', '1', '0', '0.833', '6'])
    self.assertEqual(cells['LEFT'], ['0', '0', '0', '0', '–', '0'])
    self.assertEqual(cells['precision'], ['0.833', '1.000', '0.000', '–', '', ''])
    self.assertIn('style="--share:0.833">5', source)

  def test_only_the_first_labelling_is_unfolded(self):
    source, _ = _page(*(labelling_data.make_labelling(seed=seed) for seed in range(3)))
    self.assertEqual(re.findall('<details class="labelling"( open)?>', source), [' open', '', ''])

  def test_all_examples_are_there_the_most_wrong_first(self):
    words = _words(_page(labelling_data.make_labelling())[1])
    self.assertEqual(
        re.findall(r'Episode (\d+), from step (\d+): (\d of \d) hidden', words),
        [('2', '40', '2 of 3'), ('0', '11', '1 of 3'), ('0', '90', '1 of 3'), ('1', '7', '0 of 2')])

  def test_wrong_actions_have_a_cross_and_given_ones_say_so(self):
    labelling = labelling_data.make_labelling()
    labelling['examples'] = labelling['examples'][1:3]
    source, page = _page(labelling)
    # Wrong: RIGHT for NOOP in one. In the other, training was given FIRE.
    self.assertEqual(source.count('class="wrong"'), 1)
    self.assertIn('NOOP×\xa0RIGHTFIRE', page.text)
    self.assertIn('FIREgiven', page.text)
    self.assertIn('<span class="muted">×&nbsp;RIGHT</span>', source)

  def test_ribbons_have_a_colour_and_beyond_eight_actions_a_pattern_for_each_action(self):
    names = tuple(f'A{i}' for i in range(18))
    labelling = labelling_data.make_labelling(actions=names)
    labelling['examples'] = [labelling_data.make_example([0, 3, 3], [0, 8, 17])]
    source, page = _page(labelling)
    true, said = (re.findall('<td (class="ribbon.*?)>', row)
                  for row in re.findall('<tr class=ribbons>.*', source))
    self.assertEqual([true[0], true[1]], [said[0], true[2]])
    self.assertLen({*true, *said}, 4)
    legend = re.findall(r'<li><span (.*?)></span>(.*?)</li>', source)
    self.assertEqual(legend, [(true[0], 'A0'), (true[1], 'A3'), (said[1], 'A8'), (said[2], 'A17')])
    # Names stand in the cells, too: colours are not the only sign.
    self.assertRegex(page.text, 'true *A0A3A3')
    self.assertRegex(page.text, 'IDM *A0×\xa0A8×\xa0A17')

  def test_all_actions_of_a_game_look_different(self):
    labelling = labelling_data.make_labelling(actions=tuple(f'A{i}' for i in range(18)))
    labelling['examples'] = [labelling_data.make_example(range(18), range(18))]
    legend = re.findall(r'<li><span (.*?)></span>', _page(labelling)[0])
    self.assertLen(set(legend), 18)

  def test_confidence_and_return_are_numbers_where_they_are_known(self):
    labelling = labelling_data.make_labelling()
    words = _words(_page(labelling)[1])
    for text in ('0.50', '0.70', 'return to go', '0.25', '-2'):
      self.assertIn(text, words)
    for example in labelling['examples']:
      example.update(confidence=None, return_to_go=None)
    source, page = _page(labelling)
    self.assertNotIn('return to go', page.text)
    self.assertNotIn('class="bar"', source)
    self.assertNotIn('least sure</button>', source)

  def test_nothing_counted_and_no_examples_still_make_a_section(self):
    labelling = labelling_data.make_labelling()
    labelling.update(num_hidden=0, examples=[], confusion=[[0] * 4] * 4)
    words = _words(_page(labelling)[1])
    self.assertIn('0 labelled and counted', words)
    self.assertIn('No examples were recorded.', words)
    self.assertIn('Not part of this experiment.', _words(_page()[1]))

  def test_text_is_escaped(self):
    labelling = labelling_data.make_labelling('<i>ALPT</i>', ('A<b>', '"B"', 'C&', 'D'))
    labelling.update(target='<script>alert(1)</script>', run='<u>')
    source, page = _page(labelling)
    self.assertEqual(source.count('<script'), 1)
    for tag in ('<i>', '<u>', 'A<b>'):
      self.assertNotIn(tag, source)
    self.assertIn('<i>ALPT</i>, <script>alert(1)</script>, seed 0', page.text)
    self.assertIn('A<b>', page.text)


if __name__ == '__main__':
  absltest.main()
