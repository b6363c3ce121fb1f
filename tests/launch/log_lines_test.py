"""Tests of log_lines.py: several hosts' logs as one, and who fell silent first."""

from absl.testing import absltest

from launch import log_lines

HOST_0 = '''2026-01-31T10:00:00.500Z host0 starting
2026-01-31T10:00:02.000Z host0 alpt maze 50% 10/20  1.5 steps/s
Traceback of host0
2026-01-31T10:00:02.001Z host0 last of 0'''
HOST_1 = '''2026-01-31T10:00:01.000Z host1 starting
2026-01-31T10:00:01.900Z host1 alpt maze 45% 9/20  1.5 steps/s'''


class LogLinesTest(absltest.TestCase):

  def test_lines_are_merged_by_time_and_each_host_keeps_its_order(self):
    lines = log_lines.merge([log_lines.parse(HOST_0), log_lines.parse(HOST_1)])
    self.assertEqual(
        [(line.host, line.text.split('  ')[0]) for line in lines],
        [('host0', 'starting'), ('host1', 'starting'), ('host1', 'alpt maze 45% 9/20'),
         ('host0', 'alpt maze 50% 10/20'), ('host0', 'Traceback of host0'),
         ('host0', 'last of 0')])

  def test_hosts_in_one_log_are_told_apart(self):
    both = log_lines.merge([log_lines.parse(f'{HOST_0}\n{HOST_1}')])
    self.assertEqual(both, log_lines.merge([log_lines.parse(HOST_0), log_lines.parse(HOST_1)]))

  def test_host_that_fell_silent_first_comes_first_with_its_last_step(self):
    words = log_lines.last_words(log_lines.parse(f'{HOST_0}\n{HOST_1}'))
    self.assertEqual([(host, step) for host, _, step in words], [('host1', 9), ('host0', 10)])
    self.assertEqual(words[1][1].text, 'last of 0')

  def test_own_lines_can_be_read_back(self):
    line = log_lines.stamp('host3', 'text with  spaces ')
    self.assertEqual(log_lines.parse(str(line)), [line])


if __name__ == '__main__':
  absltest.main()
