"""What an estimate says of time, by hand."""

from absl.testing import absltest, parameterized

from experiments import reproduce
from experiments.configs import maze
from experiments.studies import estimates


class DurationTest(parameterized.TestCase):

  @parameterized.parameters(
      (0, '0:00:00'), (59.9, '0:00:59'), (3725, '1:02:05'), (86_400, '24:00:00'),
      (732 * 3600 + 5 * 60, '732:05:00'))
  def test_days_are_written_as_hours(self, seconds, text):
    self.assertEqual(estimates.duration(seconds), text)

  def test_a_plan_of_days_is_written_in_hours(self):
    config = maze.get_config('tiny')
    config.study.rates.start = 90 * 3600.  # Of every run.
    lines = estimates.lines(config, reproduce.plan(config)[:1], [], [])
    self.assertRegex(lines[1], r' updates: 90:\d\d:\d\d$')
    self.assertRegex(lines[-1], r'Estimate: 90.* hours \(90:\d\d:\d\d\)')


if __name__ == '__main__':
  absltest.main()
