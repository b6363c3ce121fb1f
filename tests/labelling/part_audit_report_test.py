"""The page of an audit of several parts: what a reader can rely on."""

import json
import re

import numpy as np
from absl.testing import absltest

from alpt_jax import action_parts, action_space
from alpt_jax.labelling import part_audit_report
from tests.labelling import audit_report_test, part_audit_test, part_data
from tests.reports import html_page


def make_audit(space=part_data.DESK, **settings):
  found = part_data.perfect(space, np.random.default_rng(0), **settings)
  found = part_audit_test.audit(part_audit_test.between(found))
  return found | {'about': audit_report_test.ABOUT}


def read(found):
  source = part_audit_report.page(found)
  page = html_page.Page(source)
  return source, page, ' '.join(page.text.split())


class PageTest(absltest.TestCase):

  def test_page_is_whole_and_refers_to_nothing_outside(self):
    source, page, words = read(make_audit())
    self.assertEmpty(page.open)
    self.assertLen(set(page.ids), len(page.ids))
    for reference in page.references:
      self.assertRegex(reference, '^(#|data:)')
    self.assertNotRegex(source, 'https?:|@import|<script')
    self.assertNotIn('nan', words.lower().split())

  def test_a_table_for_each_kind_has_the_numbers_of_the_json(self):
    found = make_audit()
    source, page, words = read(found)
    self.assertEqual(re.findall(r'Parts that are (\w+)', words),
                     ['categorical', 'binary', 'continuous'])
    turn = found['environments'][0]['parts'][2]
    for who, title in (('idm', 'the IDM'), ('persistence', 'the true value of the step before'),
                       ('mean', 'the mean'), ('ceiling', 'the ceiling')):
      row = re.search(rf'turn, degrees: .*?<th scope="row">{title}</th>(.*?)</tr>', source,
                      re.DOTALL)[1]
      shown = turn['compared']['figures'][who]['mean_absolute_error']
      self.assertIn(f'{shown["value"]:.3f}', row)
      self.assertIn(f'{shown["low"]:.3f} to {shown["high"]:.3f}', row)
    self.assertEqual(json.loads(page.downloads['audit.json']), json.loads(json.dumps(found)))
    self.assertIn('alpt_jax/labelling/part_audit.py says what each is', words)
    self.assertIn('turn, a linear map of the change: unknown, no labels', words)

  def test_floors_and_ceiling_are_lines_of_the_pictures(self):
    source, page, words = read(make_audit())
    del page
    for title in ('turn: predicted and true', 'jump: onsets and releases', 'weapon', 'Lag',
                  'Reliability'):
      self.assertIn(f'aria-label="{title}"', source)
    for part in re.findall(r'<details.*?</details>', source, re.DOTALL)[:4]:
      for line in ('the IDM', 'the ceiling'):
        self.assertIn(f'{line}</li>', part)
    self.assertIn('Share of steps with all keys right', words)
    self.assertIn('By the rules of D2E', words)

  def test_names_are_text(self):
    space = action_space.Parts((
        action_parts.Binary('<b>w'), action_parts.Categorical('<i>', ('<u>', 'x')),
        action_parts.Continuous('<s>', -1, 1, unit='<a>')))
    source, page, words = read(make_audit(space))
    self.assertEmpty(page.open)
    self.assertNotRegex(re.sub('base64,[^"]*', '', source), '<b>w|<i>|<u>|<s>|<a>')
    self.assertIn('<s>, <a>: ', words)

  def test_what_is_not_defined_is_a_dash(self):
    found = make_audit(num_episodes=1, length=8, held=1)  # Nothing ever changes.
    source, page, words = read(found)
    self.assertEmpty(page.open)
    self.assertNotIn('None', words)
    self.assertIn('<td>–</td>', source)


if __name__ == '__main__':
  absltest.main()
