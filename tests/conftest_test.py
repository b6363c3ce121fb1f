"""The list of tests that are not run without envlogger has no entry too many."""

import json
import re
import subprocess
import sys

from absl.testing import absltest, parameterized
from packaging import requirements

from tests import conftest, processes

# Runs tests even where they are left out; prints the ids of those that passed and failed.
_PROGRAM = """
import json, sys
import pytest

class Plugin:
  outcomes = {}

  def pytest_collection(self):
    from tests import conftest
    conftest.HAS_ENVLOGGER = True

  def pytest_runtest_logreport(self, report):
    if report.when == 'call' or report.failed:
      self.outcomes[report.nodeid] = report.outcome

pytest.main(['-p', 'no:cacheprovider', *sys.argv[1:]], plugins=[Plugin()])
print('\\n' + json.dumps(Plugin.outcomes))
"""


class ConftestTest(parameterized.TestCase):

  def test_listed_tests_exist_and_fail_without_envlogger(self):
    done = subprocess.run(
        [sys.executable, '-c', _PROGRAM, *conftest.NEED_ENVLOGGER], cwd=processes.ROOT,
        capture_output=True, text=True, check=False,
        env=processes.environment_without('envlogger'))
    outcomes = json.loads(done.stdout.splitlines()[-1])
    for entry in conftest.NEED_ENVLOGGER:
      self.assertNotEmpty([x for x in outcomes if f'{x}::'.startswith(f'{entry}::')],
                          f'no test of {entry} was found: {done.stdout}{done.stderr}')
    self.assertEmpty([x for x, outcome in outcomes.items() if outcome != 'failed'],
                     'pass without envlogger, and are in NEED_ENVLOGGER')

  @parameterized.parameters('3.11', '3.12', '3.13')
  def test_envlogger_is_required_where_its_tests_are_run(self, version):
    text = (processes.ROOT / 'requirements.txt').read_text()
    line, = re.findall(r'^envlogger.*?(?= *#)', text, re.MULTILINE)
    is_required = requirements.Requirement(line).marker.evaluate({'python_version': version})
    self.assertEqual(is_required, version == '3.11')
    if sys.version_info[:2] == tuple(map(int, version.split('.'))):
      self.assertEqual(conftest.HAS_ENVLOGGER, is_required)


if __name__ == '__main__':
  absltest.main()
