"""The program experiments.report."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

from tests.experiments.studies import report_test

_ROOT = str(pathlib.Path(__file__).resolve().parents[2])


class ReportProgramTest(parameterized.TestCase):

  def _run(self, path):
    return subprocess.run([sys.executable, '-m', 'experiments.report', f'--results={path}'],
                          cwd=_ROOT, capture_output=True, text=True)

  @parameterized.parameters(
      (['--results='], '--results is empty; expected a file'),
      (['--results=a.json', '--figures=b'], '--results=a.json --figures=b: one of the two'),
      (['results.json'], 'results.json: unexpected argument; .* e.g. --results=results.json'))
  def test_binary_refuses_flags_that_say_nothing_or_two_things(self, arguments, message):
    result = subprocess.run([sys.executable, '-m', 'experiments.report', *arguments],
                            cwd=_ROOT, capture_output=True, text=True)
    self.assertEqual((result.returncode, result.stdout), (1, ''))
    self.assertRegex(result.stderr, f'^error: {message}')
    self.assertLen(result.stderr.splitlines(), 1)

  def test_binary_writes_page_and_table_beside_the_results(self):
    directory = self.enterContext(tempfile.TemporaryDirectory())
    path = os.path.join(directory, 'results.json')
    with open(path, 'w', encoding='utf-8') as file:
      json.dump(report_test.make_results(), file)
    result = self._run(path)
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertCountEqual(os.listdir(directory),
                          ['results.json', 'report.html', 'results.csv'])
    self.assertIn('20 of 20 runs done', result.stdout)

  @parameterized.named_parameters(
      ('missing', None, 'no such file'),
      ('half_written', json.dumps(report_test.make_results())[:1000], 'not JSON'),
      ('wrong', '{"experiment": "maze"}', r'preset is missing'),
      ('a_list', '[]', 'expected an object'))
  def test_binary_refuses_bad_files_in_one_line(self, content, message):
    directory = self.enterContext(tempfile.TemporaryDirectory())
    path = os.path.join(directory, 'results.json')
    if content is not None:
      with open(path, 'w', encoding='utf-8') as file:
        file.write(content)
    result = self._run(path)
    self.assertEqual(result.returncode, 1)
    self.assertRegex(result.stderr, f'^error: {re.escape(path)}.*{message}')
    self.assertLen(result.stderr.splitlines(), 1)
    self.assertNotIn('report.html', os.listdir(directory))


if __name__ == '__main__':
  absltest.main()
