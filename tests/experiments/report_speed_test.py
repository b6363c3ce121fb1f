"""The measurement of report building runs on results that a report accepts."""

import json
import subprocess
import sys

from absl.testing import absltest

from alpt_jax.domains.atari import findings, report_aggregates
from experiments import report_speed
from experiments.studies import results_file


class ReportSpeedTest(absltest.TestCase):

  def test_results_are_whole_and_every_method_meets_every_game(self):
    results = report_speed.make_results(3, 2, 4, 2)
    results_file.check(results)
    self.assertLen(results['runs'], 24)
    self.assertLen(findings.settings(results, 'score'), 2)
    games, by_method = report_aggregates.common(report_aggregates.scores(results)[10_000])
    self.assertLen(games, 2)
    self.assertEqual({len(x) for by_game in by_method.values() for x in by_game.values()}, {4})

  def test_binary_says_how_long_it_took(self):
    done = subprocess.run(
        [sys.executable, '-m', 'experiments.report_speed', '--methods=2', '--games=1',
         '--seeds_each=2', '--reports=2'], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    self.assertLen(measured['seconds'], 2)
    self.assertEqual((measured['runs'], measured['rows']), (4, 44))


if __name__ == '__main__':
  absltest.main()
