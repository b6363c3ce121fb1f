"""Tests of what is written about a run, to disk and to the screen."""

import io
import json
import math
import os
import pathlib
import resource
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import progress as progress_
from alpt_jax.training import metrics


class MetricsWriterTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'run/metrics.jsonl'

  def write(self, *steps, resume_step=0):
    with metrics.MetricsWriter(self.path, resume_step=resume_step) as writer:
      for step in steps:
        writer.write(step, {'idm/loss': step / 8})

  def test_one_object_a_line(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer:
      writer.write(np.int32(1), {'idm/loss': np.float32(.5), 'n': 3})
      writer.write(2, {'idm/loss': .25})
    self.assertEqual(self.path.read_text(),
                     '{"step": 1, "idm/loss": 0.5, "n": 3.0}\n{"step": 2, "idm/loss": 0.25}\n')

  def test_what_is_not_finite_is_null(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer:
      writer.write(1, {'a': math.nan, 'b': -math.inf})
    self.assertEqual(json.loads(self.path.read_text()), {'step': 1, 'a': None, 'b': None})

  def test_lines_can_be_read_while_the_run_goes_on(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer:
      writer.write(1, {'a': 1.})
      self.assertEqual(self.path.read_text(), '{"step": 1, "a": 1.0}\n')

  def test_resumed_file_equals_the_unbroken_one(self):
    self.write(10, 20, 30, 40)
    unbroken = self.path.read_bytes()
    for length in range(len(unbroken) + 1):  # A kill after any byte, with the checkpoint of step 10
      self.path.write_bytes(unbroken[:length])  # if its line is there, else none.
      resume_step = 10 if unbroken[:length].count(b'\n') else 0
      steps = (20, 30, 40) if resume_step else (10, 20, 30, 40)
      self.write(*steps, resume_step=resume_step)
      self.assertEqual(self.path.read_bytes(), unbroken)

  def test_full_disk_names_the_file_and_leaves_the_lines_before(self):
    self.write(1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with metrics.MetricsWriter(self.path, resume_step=1) as writer:
      resource.setrlimit(resource.RLIMIT_FSIZE, (self.path.stat().st_size + 5, limits[1]))
      self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
      with self.assertRaisesRegex(OSError, f'File too large: .*{self.path.name}'):
        writer.write(2, {'idm/loss': .25})
      resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    self.assertEqual(self.path.read_text(), '{"step": 1, "idm/loss": 0.125}\n{"ste')
    self.write(2, resume_step=1)
    self.assertEqual(self.path.read_text().count('\n'), 2)
    self.assertEndsWith(self.path.read_text(), '{"step": 2, "idm/loss": 0.25}\n')

  def test_resuming_at_the_last_line_keeps_all(self):
    self.write(10, 20)
    before = self.path.read_bytes()
    self.write(resume_step=20)
    self.assertEqual(self.path.read_bytes(), before)

  def test_foreign_line_is_an_error(self):
    self.path.parent.mkdir()
    for line in ('nonsense\n', '[1]\n', '{"loss": 1}\n'):
      self.path.write_text('{"step": 1}\n' + line)
      with self.assertRaisesRegex(ValueError, r'metrics.jsonl:2: .* is no line of metrics'):
        self.write(2, resume_step=1)


class FormatDurationTest(parameterized.TestCase):

  @parameterized.parameters(
      (0, '0:00:00'), (59.9, '0:00:59'), (61, '0:01:01'), (3600, '1:00:00'), (360005, '100:00:05'))
  def test_hours_minutes_seconds(self, seconds, expected):
    self.assertEqual(progress_.format_duration(seconds), expected)


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
    progress = progress_.Progress(200, label='train', stream=stream, clock=clock)
    clock.now += 10
    progress.update(50, loss=1.23456)
    clock.now += 10
    progress.update(100)
    clock.now += 10
    progress.update(200, loss=1)
    progress.close()
    first = 'train [#####...............] 25% 50/200  5 steps/s  ETA 0:00:30  loss 1.235'
    second = 'train [##########..........] 50% 100/200  5 steps/s  ETA 0:00:20  loss 1.235'
    last = 'train [####################] 100% 200/200  7.5 steps/s  took 0:00:30  loss 1'
    self.assertEqual(stream.getvalue(), f'\r{first}\r{second}\r{last}\n')

  def test_shorter_line_covers_the_longer_one(self):
    stream, clock = Terminal(), Clock()
    progress = progress_.Progress(1, label='eval', stream=stream, clock=clock)
    progress.update(0, maze='a-long-name')
    clock.now += 1
    progress.update(0, maze='b')
    lines = stream.getvalue().split('\r')
    self.assertLen(lines[2], len(lines[1]))
    self.assertEndsWith(lines[2].rstrip(), 'maze b')

  def test_terminal_is_not_rewritten_for_every_step(self):
    stream, clock = Terminal(), Clock()
    progress = progress_.Progress(1000, label='train', stream=stream, clock=clock)
    for step in range(1, 901):  # 9 seconds.
      clock.now += .01
      progress.update(step)
    self.assertBetween(stream.getvalue().count('\r'), 80, 91)

  def test_long_line_does_not_wrap(self):
    stream = Terminal()
    progress = progress_.Progress(9, label='train', stream=stream, clock=Clock())
    progress.update(1, name='x' * 500)
    self.assertLess(len(stream.getvalue()), 500)

  def test_log_file_gets_a_line_every_ten_seconds_and_the_last(self):
    stream, clock = io.StringIO(), Clock()
    progress = progress_.Progress(26, label='train', stream=stream, clock=clock)
    for step in range(1, 27):
      clock.now += 1
      progress.update(step)
    progress.close()
    self.assertEqual(stream.getvalue().splitlines(), [
        'train 3% 1/26  1 steps/s  ETA 0:00:25', 'train 42% 11/26  1 steps/s  ETA 0:00:15',
        'train 80% 21/26  1 steps/s  ETA 0:00:05', 'train 100% 26/26  1 steps/s  took 0:00:26'])

  def test_stopped_run_ends_with_the_step_it_reached(self):
    stream, clock = io.StringIO(), Clock()
    with progress_.Progress(100, label='train', stream=stream, clock=clock) as progress:
      for step in range(1, 5):
        clock.now += 2
        progress.update(step)
    self.assertEqual(stream.getvalue().splitlines()[-1],
                     'train 4% 4/100  0.5 steps/s  ETA 0:03:12')

  def test_resumed_run_counts_only_its_own_steps_for_the_speed(self):
    stream, clock = io.StringIO(), Clock()
    progress = progress_.Progress(100, label='train', stream=stream, start_step=80, clock=clock)
    clock.now += 5
    progress.update(90)
    self.assertEqual(stream.getvalue(), 'train 90% 90/100  2 steps/s  ETA 0:00:05\n')

  def test_compilation_does_not_count_for_the_speed(self):
    stream, clock = io.StringIO(), Clock()
    progress = progress_.Progress(100, label='train', stream=stream, clock=clock)
    clock.now += 60
    progress.update(1)
    clock.now += 10
    progress.update(21)
    self.assertEqual(stream.getvalue().splitlines()[1], 'train 21% 21/100  2 steps/s  ETA 0:00:39')

  @parameterized.parameters(Terminal, io.StringIO)
  def test_nothing_done_writes_nothing(self, stream_class):
    stream = stream_class()
    progress_.Progress(5, label='train', stream=stream, start_step=5, clock=Clock()).close()
    self.assertEqual(stream.getvalue(), '')


if __name__ == '__main__':
  absltest.main()
