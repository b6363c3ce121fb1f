"""Reports in a real browser: silent, offline, and legible from a phone to a desk, by day and night.

Needs Chromium and its driver: apt-get install chromium chromium-driver.
"""

import base64
import json
import os
import pathlib
import shutil
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.labelling import audit_report
from alpt_jax.reports import label_section, page, video
from experiments.studies import figures as suite
from experiments.studies import figures_report, report
from tests.domains.atari import report_test as report_atari_test
from tests.experiments.studies import budget_report_test, budget_test, figures_test, report_test
from tests.labelling import audit_report_test, audit_test
from tests.reports import browser, labelling_data

_WIDTHS = (360, 768, 1280)  # A phone, a tablet, a desk.
_ALL_ACTIONS = (  # The 18 actions of the Atari console.
    'NOOP', 'FIRE', 'UP', 'RIGHT', 'LEFT', 'DOWN', 'UPRIGHT', 'UPLEFT', 'DOWNRIGHT', 'DOWNLEFT',
    'UPFIRE', 'RIGHTFIRE', 'LEFTFIRE', 'DOWNFIRE', 'UPRIGHTFIRE', 'UPLEFTFIRE', 'DOWNRIGHTFIRE',
    'DOWNLEFTFIRE')
_PAGES = ('maze', 'atari', 'labels', 'budget', 'suite', 'audit')

# The examples of a labelling: how many actions are wrong, and the first step.
_MOST_WRONG = [(2, 40), (1, 11), (1, 90), (0, 7)]
_LEAST_SURE = [(0, 7), (1, 11), (2, 40), (1, 90)]
_IN_ORDER = [(1, 11), (1, 90), (0, 7), (2, 40)]

_browser, _directory = None, None


def _labels_page():
  labelled = [labelling_data.make_labelling(),
              labelling_data.make_labelling('DT1-IDM with a long name', _ALL_ACTIONS)]
  return page.page(
      report_atari_test.make_results(), 'Labels', 'How an IDM labels.', 0,
      {'labels': ('Labels', label_section.section(labelled))})


def _suite_page():
  """Two figures that were made, one that is damaged, others that were not made."""
  workdir = pathlib.Path(_directory, 'figures')
  gif = workdir / 'episode.gif'
  frames = np.random.default_rng(0).integers(256, size=(4, 84, 84), dtype=np.uint8)
  video.write(gif, frames)
  episode = dict(run='score-alpt-500-finetune-seed0', method='alpt', target='Breakout', seed=0,
                 score=9., num_steps=4, every=1,
                 gif=base64.b64encode(gif.read_bytes()).decode())
  figures = {
      'figure2': figures_test.results_of('2') | {
          'labellings': [labelling_data.make_labelling()], 'episodes': [episode]},
      'figure5': report_test.make_results() | {
          'figure': '5', 'labellings': [labelling_data.make_labelling()]}}
  for name, results in figures.items():
    (workdir / name).mkdir()
    (workdir / name / 'results.json').write_text(json.dumps(results))
  (workdir / 'figure4').mkdir()
  (workdir / 'figure4' / 'results.json').write_text('{"experiment": ')
  figures_report.write(workdir)
  return (workdir / suite.PAGE).read_text()


def _audit_page():
  """An audit with all kinds of warnings, and a game that has all actions, with examples."""
  everything = audit_test.drawn(name='Seaquest', num_actions=18)._replace(
      action_names=_ALL_ACTIONS, legal_actions=tuple(range(18)),
      examples=labelling_data.make_labelling(actions=_ALL_ACTIONS)['examples'])
  return audit_report.page(audit_report_test.make_audit(
      everything, audit_test.drawn(sharpness=3., lag=1), audit_test.constant(
          name='A game of a long name', num_episodes=2),
      audit_test.drawn(name='Freeway', kind='trained on')))


def setUpModule():
  global _browser, _directory
  _browser = browser.Browser()
  _directory = tempfile.mkdtemp()
  report.write_report(report_test.make_results(), _path('maze'))
  report.write_report(report_atari_test.make_results(), _path('atari'))
  _write('labels', _labels_page())
  report.write_report(
      budget_report_test.add_clips(budget_test.make_maze_results()), _path('budget'))
  _write('suite', _suite_page())
  _write('audit', _audit_page())


def tearDownModule():
  _browser.close()
  shutil.rmtree(_directory)


def _path(name):
  return os.path.join(_directory, f'{name}.html')


def _write(name, source):
  with open(_path(name), 'w', encoding='utf-8') as file:
    file.write(source)


class PagesTest(parameterized.TestCase):

  @parameterized.parameters(*_PAGES)
  def test_page_says_nothing_to_the_console_and_asks_nothing_of_the_network(self, name):
    for has_script in (True, False):
      _browser.open(_path(name), has_script=has_script)
      _browser.unfold()
      self.assertEmpty(_browser.messages())
      self.assertEmpty(_browser.requests())

  @parameterized.product(name=_PAGES, width=_WIDTHS)
  def test_pictures_show_and_only_boxes_scroll_sideways(self, name, width):
    _browser.open(_path(name), width)
    self.assertNotEmpty(_browser.find('css selector', 'svg, img'))
    self.assertEmpty(_browser.sideways())
    _browser.unfold()
    self.assertEmpty(_browser.empty_pictures())
    self.assertEmpty(_browser.sideways())

  @parameterized.parameters(*_PAGES)
  def test_tables_are_legible_on_a_phone(self, name):
    _browser.open(_path(name), width=360)
    _browser.unfold()
    self.assertEmpty(_browser.small_text(at_least=11))

  @parameterized.product(name=_PAGES, scheme=('light', 'dark'))
  def test_text_stands_out_by_day_and_night(self, name, scheme):
    _browser.open(_path(name), scheme=scheme)
    _browser.unfold()
    is_dark = _browser.run("return matchMedia('(prefers-color-scheme: dark)').matches")
    self.assertEqual(is_dark, scheme == 'dark')
    self.assertEmpty(_browser.faint_text(at_least=4.5))  # WCAG 2.2, level AA.

  @parameterized.parameters(*_PAGES)
  def test_links_within_the_page_lead_to_what_they_name(self, name):
    _browser.open(_path(name))
    self.assertNotEmpty(_browser.find('css selector', 'a[href^="#"]'))
    self.assertEmpty(_browser.dead_links())


class ViewerTest(parameterized.TestCase):

  def _viewer(self, index=0):
    return _browser.find('css selector', '.viewer')[index]

  def _shown(self, index=0):
    """How many actions are wrong, and the first step, of the examples to be seen."""
    return [(int(example.get_attribute('data-wrong')),
             int(example.find_elements('css selector', 'thead th[scope=col]')[0].text))
            for example in self._viewer(index).find_elements('css selector', '.example')
            if example.is_displayed()]

  def _press(self, name):
    button, = (button for button in self._viewer().find_elements('css selector', 'button')
               if button.text == name)
    button.click()

  def _count(self):
    return self._viewer().find_element('css selector', 'output').text

  @parameterized.parameters('labels', 'audit')
  def test_buttons_order_the_examples(self, name):
    _browser.open(_path(name))
    self.assertEqual(self._shown(), _MOST_WRONG)
    for button, expected in (('least sure', _LEAST_SURE), ('all in order', _IN_ORDER),
                             ('most wrong', _MOST_WRONG)):
      self._press(button)
      self.assertEqual(self._shown(), expected)
      pressed = self._viewer().find_elements('css selector', '[aria-pressed=true]')
      self.assertEqual([x.text for x in pressed], [button])
      self.assertEqual(self._count(), '4 of 4 shown')

  @parameterized.parameters('labels', 'audit')
  def test_only_wrong_hides_the_others_in_every_order(self, name):
    _browser.open(_path(name))
    self._press('only wrong')
    self.assertEqual(self._shown(), [x for x in _MOST_WRONG if x[0]])
    self.assertEqual(self._count(), '3 of 4 shown')
    self._press('all in order')
    self.assertEqual(self._shown(), [x for x in _IN_ORDER if x[0]])
    self._press('only wrong')
    self.assertEqual(self._shown(), _IN_ORDER)

  def test_buttons_change_their_own_labelling_only(self):
    _browser.open(_path('labels'))
    _browser.unfold()
    self._press('all in order')
    self.assertEqual(self._shown(1), _MOST_WRONG)

  def test_all_but_the_first_labelling_are_folded(self):
    _browser.open(_path('labels'))
    self.assertLen(self._shown(0), 4)
    self.assertEmpty(self._shown(1))
    _browser.find('css selector', '.labelling summary')[1].click()
    self.assertLen(self._shown(1), 4)

  @parameterized.parameters('labels', 'audit')
  def test_without_script_all_examples_are_there_and_no_buttons(self, name):
    _browser.open(_path(name), has_script=False)
    self.assertEqual(self._shown(), _MOST_WRONG)
    buttons = _browser.find('css selector', 'button')
    self.assertNotEmpty(buttons)
    self.assertFalse(any(button.is_displayed() for button in buttons))

  @parameterized.parameters(*_WIDTHS)
  def test_actions_stand_at_the_gap_between_their_frames(self, width):
    _browser.open(_path('labels'), width)
    offsets = _browser.run("""
        return [...document.querySelectorAll('.labelling[open] .strip')].flatMap(table => {
          const image = table.querySelector('img').getBoundingClientRect();
          return [...table.querySelectorAll('tr')].slice(1).flatMap(row => {
            const steps = [...row.cells].slice(2, -1);
            return steps.map((cell, t) => {
              const box = cell.getBoundingClientRect();
              const gap = image.left + (t + 1) * image.width / (steps.length + 1);
              return Math.abs((box.left + box.right) / 2 - gap);
            });
          });
        });""")
    self.assertLen(offsets, 4 * 5 * 3)  # Examples; step, true, IDM, confidence, return; steps.
    self.assertLess(max(offsets), 1.5)  # Pixels.

  @parameterized.parameters('labels', 'audit')
  def test_ribbons_differ_where_there_is_a_cross_and_leave_room_for_the_text(self, name):
    _browser.open(_path(name), width=360)
    steps = _browser.run("""
        const show = cell => {
          const {backgroundImage, backgroundSize, paddingTop, paddingBottom} =
            getComputedStyle(cell);
          return {ink: backgroundImage, height: parseFloat(backgroundSize.split(' ').at(-1)),
                  paddings: [paddingTop, paddingBottom].map(parseFloat), text: cell.textContent};
        };
        return [...document.querySelector('.viewer').querySelectorAll('.strip')].flatMap(strip => {
          const [done, said] = [...strip.querySelectorAll('.ribbons')].map(
            row => [...row.querySelectorAll('.ribbon')].map(show));
          return done.map((cell, t) => [cell, said[t]]);
        });""")
    self.assertLen(steps, 4 * 3)
    for done, said in steps:
      self.assertIn('rgb', done['ink'])
      self.assertEqual(done['ink'] != said['ink'], '×' in said['text'])
      self.assertGreater(done['paddings'][1], done['height'])
      self.assertGreater(said['paddings'][0], said['height'])

  def test_frames_keep_their_shape(self):
    _browser.open(_path('labels'), width=360)
    sizes = _browser.run("return [...document.querySelectorAll('.labelling[open] img')].map(x =>"
                         ' x.getBoundingClientRect()).map(x => x.width / x.height)')
    for ratio in sizes:
      self.assertAlmostEqual(ratio, 4., delta=.02)  # Four square frames.

  def test_a_matrix_of_many_actions_scrolls_in_its_own_box(self):
    _browser.open(_path('labels'), width=360)
    _browser.unfold()
    self.assertTrue(_browser.run("""
        const box = document.querySelectorAll('.confusion')[1].parentElement;
        box.scrollLeft = 1e6;
        const name = box.querySelector('tbody th').getBoundingClientRect();
        return box.scrollLeft > 300 && name.left >= box.getBoundingClientRect().left - 1;"""))


class ChecksTest(absltest.TestCase):
  """The checks above can fail."""

  def test_checks_find_what_is_wrong(self):
    _write('wrong', """<!DOCTYPE html><html><head><title>Wrong</title><style>
        body{background:#fff;color:#000;margin:0}</style></head><body>
        <div style="width:500px;height:9px"></div><div style="width:50px">nowhere-to-break</div>
        <table style="font-size:9px"><tr><td>small</td></tr></table>
        <p style="color:#999">faint</p><p style="background:rgb(0 0 0/.9)">dark</p>
        <svg width="50" height="20"><text y="10" fill="#ccc">faint, too</text></svg>
        <svg width="0" height="0"></svg><img alt="" src="data:image/png;base64,AAAA">
        <img alt="" src="http://example.invalid/x.png"><a href="#nowhere">x</a>
        <script>noSuchFunction()</script></body></html>""")
    _browser.open(_path('wrong'), width=360)
    self.assertRegex(' '.join(_browser.messages()), 'noSuchFunction')
    self.assertIn('http://example.invalid/x.png', _browser.requests())
    self.assertLen(_browser.empty_pictures(), 3)
    self.assertLen(_browser.sideways(), 2)
    self.assertLen(_browser.small_text(at_least=11), 1)
    self.assertLen(_browser.faint_text(at_least=4.5), 3)
    self.assertLen(_browser.dead_links(), 1)

  def test_a_missing_browser_is_named_with_its_packages(self):
    with mock.patch.dict(os.environ, PATH='/nowhere'):
      with self.assertRaisesRegex(FileNotFoundError, 'chromium and chromedriver not found; .*'
                                  'apt-get install chromium chromium-driver'):
        browser.Browser()


if __name__ == '__main__':
  absltest.main()
