"""The table of ceilings, from files with known numbers and from one that is measured."""

import json
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from experiments import summarise
from experiments.configs import studies
from experiments.studies import ceiling_table
from tests import atari_runs

_ROOT = pathlib.Path(__file__).parents[3]
_RESULTS = _ROOT / 'experiments' / 'results' / 'ceilings'


def make_file(expected, realised, priors, names=('NOOP', 'UP', 'DOWN'), **changes):
  mean = lambda value: dict(value=value, low=value - .01, high=value + .02,  # noqa: E731
                            num_transitions=3000, num_episodes=50)
  return dict(format=1, kind='ceiling', digest='abcd', protocol=dict(num_steps=3000),
              expected=mean(expected), realised=mean(realised), ambiguous=mean(.5),
              actions=[dict(name=name, prior=prior) for name, prior in zip(
                  names, priors, strict=True)]) | changes


class TableTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def write(self, game, content):
    (self.directory / f'{game}.json').write_text(json.dumps(content))

  def test_gap_is_from_the_most_frequent_action_to_the_larger_ceiling(self):
    self.write('Freeway', make_file(.75, .7, (.25, .625, .125)))
    self.write('Breakout', make_file(.75, .875, (.25, .25, .125, .375),
                                     ('NOOP', 'FIRE', 'RIGHT', 'LEFT')))
    breakout, freeway = ceiling_table.rows(self.directory)
    self.assertEqual(freeway, [
        'Freeway', '`abcd`', '3,000', '0.625 UP', '0.750 [0.740, 0.770]', '0.700 [0.690, 0.720]',
        '0.125', 'no'])
    self.assertEqual(breakout[-2:], ['0.500', 'yes'])  # .875 - .375.

  def test_a_gap_of_a_quarter_is_enough(self):
    for expected, enough in ((.75, 'yes'), (.749, 'no')):
      self.write('Freeway', make_file(expected, .7, (.25, .5, .25)))
      self.assertEqual(ceiling_table.rows(self.directory)[0][-1], enough)

  @parameterized.parameters(
      ('Breakout', {}, r"with the actions \['NOOP', 'UP', 'DOWN'\]; expected .* of Breakout"),
      ('Freewy', {}, "Unknown game 'Freewy'; did you mean 'Freeway'"),
      ('Freeway', dict(kind='floor'), 'it is a floor'),
      ('Freeway', dict(realised={}), 'realised.value is missing'),
      ('Freeway', dict(actions=[{}]), r'actions\[0\].name is missing'))
  def test_another_file_is_refused(self, game, changes, message):
    self.write(game, make_file(.75, .7, (.25, .5, .25)) | changes)
    with self.assertRaisesRegex(ValueError, f'json: not the ceiling of a game: .*{message}.*'
                                            'Measure it again: python -m experiments.ceiling'):
      ceiling_table.rows(self.directory)

  def test_a_readme_holds_it(self):
    self.write('Freeway', make_file(.75, .7, (.25, .5, .25)))
    begin, end = '<!-- ceilings all: . -->\n', '<!-- end of table -->'
    text = summarise.update(f'Before.\n\n{begin}{end}\n', self.directory)
    self.assertEqual(text, (
        f'Before.\n\n{begin}\n| game | recording | steps tried | most frequent action | expected '
        '| realised | gap | at least 0.25 |\n|---|---|---|---|---|---|---|---|\n'
        '| Freeway | `abcd` | 3,000 | 0.500 UP | 0.750 [0.740, 0.770] | 0.700 [0.690, 0.720] | '
        f'0.250 | yes |\n\n{end}\n'))
    self.assertEqual(summarise.update(text, self.directory), text)

  def test_none_yet_is_said(self):
    begin, end = '<!-- ceilings all: nowhere -->\n', '<!-- end of table -->'
    self.assertIn('There are no run files yet.',
                  summarise.update(begin + end, self.directory))

  def test_the_program_writes_files_that_can_be_listed(self):
    command = [sys.executable, '-m', 'experiments.ceiling', '--num_steps=20',
               '--config=experiments/configs/atari.py:tiny',
               f'--config.data_dir={atari_runs.recorded()}', f'--config.target={atari_runs.TARGET}',
               f'--output={self.directory}/{atari_runs.TARGET}.json']
    subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    row, = ceiling_table.rows(self.directory)
    self.assertEqual((row[0], row[2]), (atari_runs.TARGET, '20'))


class CommittedTest(absltest.TestCase):

  def test_confirmatory_games_have_a_gap_by_committed_ceilings(self):
    if not studies.CONFIRMATORY:  # Until games are chosen, no study of them can start.
      with mock.patch.multiple(studies, _NONE='plain', _FOUR='plain'), \
          self.assertRaisesRegex(ValueError, r'CONFIRMATORY of .* is \(\); expected the games'):
        studies.get_config('labels')
      return
    found = ceiling_table.read(_RESULTS)
    for game in studies.CONFIRMATORY:
      self.assertIn(game, found)
      self.assertGreaterEqual(ceiling_table.gap(found[game]), ceiling_table.ENOUGH, msg=game)


if __name__ == '__main__':
  absltest.main()
