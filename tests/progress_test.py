"""Lines of progress on a terminal and in a log file, by a clock that the test sets."""

import io
import os
from unittest import mock

from absl.testing import absltest, parameterized

from alpt_jax import progress


class Terminal(io.StringIO):

  def isatty(self):
    return True


class Clock:
  """Seconds, as the test sets them."""

  def __init__(self):
    self.now = 100.

  def __call__(self):
    return self.now


class ProgressTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.enterContext(mock.patch.dict(os.environ, COLUMNS='100'))

  def test_terminal_line_is_rewritten_in_place(self):
    stream, clock = Terminal(), Clock()
    shown = progress.Progress(200, label='train', stream=stream, clock=clock)
    clock.now += 10
    shown.update(50, loss=1.23456)
    clock.now += 10
    shown.update(100)
    clock.now += 10
    shown.update(200, loss=1)
    shown.close()
    first = 'train [#####...............] 25% 50/200,  5.00 steps/s, ETA 00:30, loss 1.235'
    second = 'train [##########..........] 50% 100/200,  5.00 steps/s, ETA 00:20, loss 1.235'
    last = 'train [####################] 100% 200/200,  7.50 steps/s, took 00:30, loss 1'
    self.assertEqual(stream.getvalue(), f'\r{first}\r{second}\r{last:{len(second)}}\n')

  def test_shorter_line_covers_the_longer_one(self):
    stream, clock = Terminal(), Clock()
    shown = progress.Progress(1, label='eval', stream=stream, clock=clock)
    shown.update(0, maze='a-long-name')
    clock.now += 1
    shown.update(0, maze='b')
    lines = stream.getvalue().split('\r')
    self.assertLen(lines[2], len(lines[1]))
    self.assertEndsWith(lines[2].rstrip(), 'maze b')

  def test_terminal_is_not_rewritten_for_every_step(self):
    stream, clock = Terminal(), Clock()
    shown = progress.Progress(1000, label='train', stream=stream, clock=clock)
    for step in range(1, 901):  # 9 seconds.
      clock.now += .01
      shown.update(step)
    self.assertBetween(stream.getvalue().count('\r'), 80, 91)

  def test_long_line_does_not_wrap(self):
    stream = Terminal()
    shown = progress.Progress(9, label='train', stream=stream, clock=Clock())
    shown.update(1, name='x' * 500)
    self.assertLess(len(stream.getvalue()), 500)

  def test_log_file_gets_a_line_every_ten_seconds_and_the_last(self):
    stream, clock = io.StringIO(), Clock()
    shown = progress.Progress(26, label='train', stream=stream, clock=clock)
    for step in range(1, 27):
      clock.now += 1
      shown.update(step)
    shown.close()
    self.assertEqual(stream.getvalue().splitlines(), [
        'train 3% 1/26,  1.00 steps/s, ETA 00:25', 'train 42% 11/26,  1.00 steps/s, ETA 00:15',
        'train 80% 21/26,  1.00 steps/s, ETA 00:05', 'train 100% 26/26,  1.00 steps/s, took 00:26'])

  def test_only_what_is_done_is_a_hundred_percent(self):
    stream = io.StringIO()
    with progress.Progress(1000, label='train', stream=stream, clock=Clock()) as shown:
      shown.update(999)
    self.assertStartsWith(stream.getvalue(), 'train 99% 999/1000,')

  def test_stopped_run_ends_with_the_step_it_reached(self):
    stream, clock = io.StringIO(), Clock()
    with progress.Progress(100, label='train', stream=stream, clock=clock) as shown:
      for step in range(1, 5):
        clock.now += 2
        shown.update(step)
    self.assertEqual(stream.getvalue().splitlines()[-1],
                     'train 4% 4/100,  0.50 steps/s, ETA 03:12')

  def test_resumed_run_counts_only_its_own_steps_for_the_speed(self):
    stream, clock = io.StringIO(), Clock()
    shown = progress.Progress(100, label='train', stream=stream, start_step=80, clock=clock)
    clock.now += 5
    shown.update(90)
    self.assertEqual(stream.getvalue(), 'train 90% 90/100,  2.00 steps/s, ETA 00:05\n')

  def test_compilation_does_not_count_for_the_speed(self):
    stream, clock = io.StringIO(), Clock()
    shown = progress.Progress(100, label='train', stream=stream, clock=clock)
    clock.now += 60
    shown.update(1)
    clock.now += 10
    shown.update(21)
    self.assertEqual(stream.getvalue().splitlines()[1],
                     'train 21% 21/100,  2.00 steps/s, ETA 00:39')

  @parameterized.parameters(Terminal, io.StringIO)
  def test_nothing_done_writes_nothing(self, stream_class):
    stream = stream_class()
    progress.Progress(5, label='train', stream=stream, start_step=5, clock=Clock()).close()
    self.assertEqual(stream.getvalue(), '')


if __name__ == '__main__':
  absltest.main()
