"""Event files, read by TensorFlow's own reader, against metrics.jsonl."""

import itertools
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest

from alpt_jax.training import events, metrics


def read(directory):
  """Reads all event files of a directory.

  Returns:
    Dicts as the lines of metrics.jsonl have them; the times of each, in seconds.
  """
  found, times = [], []
  for path in sorted(pathlib.Path(directory).iterdir()):
    for event in tf.compat.v1.train.summary_iterator(str(path)):  # Checks every checksum.
      if event.HasField('summary'):
        found.append({'step': event.step} | {
            value.tag: value.simple_value for value in event.summary.value})
        times.append(event.wall_time)
  return found, times


def expected(path):
  """The lines of a metrics.jsonl without null, in the precision of event files."""
  return [{name: value if name == 'step' else float(np.float32(value))
           for name, value in json.loads(line).items() if value is not None}
          for line in pathlib.Path(path).read_text().splitlines()]


class EventWriterTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.path, self.directory = self.workdir / 'metrics.jsonl', self.workdir / 'events'
    clock = mock.Mock(time=mock.Mock(side_effect=itertools.count(1_700_000_000.)))
    self.enterContext(mock.patch.object(events, 'time', clock))

  def write(self, *steps, resume_step=0):
    with metrics.MetricsWriter(self.path, resume_step=resume_step) as writer, events.EventWriter(
        self.directory, writer.lines) as viewer:
      writer.add(viewer)
      for step in steps:
        writer.write(step, {'idm/loss': 1 / step, 'dt/accuracy': -step, 'time/rate': step * 1e9})

  def assert_equals_metrics(self, *steps):
    found, _ = read(self.directory)
    self.assertEqual([line['step'] for line in found], list(steps))
    self.assertEqual(found, expected(self.path))

  def only_file(self):
    path, = (path for path in self.directory.iterdir() if path.stat().st_size)
    return path

  def test_has_every_scalar_of_every_line(self):
    self.write(1, 127, 128, 300, 1_000_000, 1 << 40)
    self.assert_equals_metrics(1, 127, 128, 300, 1_000_000, 1 << 40)
    self.assertLen(read(self.directory)[0][0], 4)

  def test_is_a_file_of_the_version_and_with_the_name_that_viewers_look_for(self):
    self.write(1)
    self.assertRegex(self.only_file().name, r'^events\.out\.tfevents\.\d{10}\.\d{6}$')
    first, start, *_ = tf.compat.v1.train.summary_iterator(str(self.only_file()))
    self.assertEqual(first.file_version, 'brain.Event:2')
    self.assertEqual(start.session_log.status, start.session_log.START)

  def test_can_be_read_while_the_run_goes_on(self):
    with events.EventWriter(self.directory, []) as writer:
      writer.write({'step': 3, 'a': .5})
      self.assertEqual(read(self.directory)[0], [{'step': 3, 'a': .5}])

  def test_long_line(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer, events.EventWriter(
        self.directory, writer.lines) as viewer:
      writer.add(viewer)
      writer.write(1, {f'eval/argmax/{"x" * i}é': i for i in range(1, 200)})
    self.assert_equals_metrics(1)

  def test_null_and_what_no_float32_holds_are_left_out(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer, events.EventWriter(
        self.directory, writer.lines) as viewer:
      writer.add(viewer)
      writer.write(1, {'a': float('nan'), 'b': float('inf'), 'c': 1e39, 'd': -1e39, 'e': 3e38})
    found, _ = read(self.directory)
    self.assertEqual(found, [{'step': 1, 'e': float(np.float32(3e38))}])

  def test_resumed_run_has_every_step_once_at_the_time_it_was_made(self):
    self.write(10, 20, 30, 40)
    _, (first, second, *_) = read(self.directory)
    self.write(30, 40, 50, resume_step=20)
    self.assert_equals_metrics(10, 20, 30, 40, 50)
    _, times = read(self.directory)
    self.assertEqual(times[:2], [first, second])
    self.assertEqual(times, sorted(times))

  def test_number_of_files_does_not_grow(self):
    for _ in range(5):
      self.write(10)
      self.assertLessEqual(len(list(self.directory.iterdir())), 2)

  def test_kill_after_any_byte_leaves_nothing_that_resuming_does_not_put_right(self):
    self.write(10, 20)
    lines, path = self.path.read_bytes(), self.only_file()
    whole = path.read_bytes()
    for length in range(len(whole) + 1):  # At most one line is ahead of its event.
      self.path.write_bytes(lines)
      for old in self.directory.iterdir():
        old.unlink()
      path.write_bytes(whole[:length])
      self.write(30, resume_step=20)
      self.assert_equals_metrics(10, 20, 30)

  def test_half_written_last_line_of_metrics_has_no_event(self):
    self.write(10, 20)
    self.path.write_bytes(self.path.read_bytes()[:-5])
    self.write(resume_step=20)
    self.assert_equals_metrics(10)

  def test_kill_while_files_are_replaced(self):
    self.write(10, 20)
    before = self.only_file()
    content = before.read_bytes()
    self.write(20, resume_step=10)
    before.write_bytes(content)  # Not emptied yet.
    (self.directory / 'next').write_bytes(content[:50])  # Of another that came less far.
    self.write(20, 30, resume_step=10)
    self.assert_equals_metrics(10, 20, 30)
    self.only_file()

  def test_run_of_before_there_were_event_files(self):
    with metrics.MetricsWriter(self.path, resume_step=0) as writer:
      writer.write(1, {'a': 1.})
    self.write(2, resume_step=1)
    self.assert_equals_metrics(1, 2)

  def test_damaged_file_is_made_again(self):
    self.write(10, 20)
    for content in (b'', b'\0' * 100, b'\xff' * 100, b'nonsense'):
      self.only_file().write_bytes(content)
      self.write(resume_step=20)
      self.assert_equals_metrics(10, 20)

  def test_changed_metrics_are_taken_over(self):
    self.write(10, 20)
    self.path.write_text(self.path.read_text().replace('-10', '-11'))
    self.write(resume_step=20)
    self.assert_equals_metrics(10, 20)
    self.assertEqual(read(self.directory)[0][0]['dt/accuracy'], -11)

  def test_full_disk_is_said_once_and_loses_no_metrics(self):
    self.write(1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    with metrics.MetricsWriter(self.path, resume_step=1) as writer, events.EventWriter(
        self.directory, writer.lines) as viewer, self.assertLogs(level='ERROR') as logs:
      writer.add(viewer)
      viewer._file.write(bytes(1 << 16))  # The limit is for every file: metrics.jsonl is smaller.
      resource.setrlimit(resource.RLIMIT_FSIZE, (self.only_file().stat().st_size + 5, limits[1]))
      for step in (2, 3):
        writer.write(step, {'a': 1.})
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    self.assertLen(logs.output, 1)
    self.assertRegex(logs.output[0], 'events: File too large; no more events .* again')
    self.assertLen(expected(self.path), 3)
    self.write(4, resume_step=3)
    self.assert_equals_metrics(1, 2, 3, 4)

  def test_directory_that_cannot_be_made_is_said_and_loses_no_metrics(self):
    self.directory.write_text('a file')
    with self.assertLogs(level='ERROR') as logs:
      self.write(1, 2)
    self.assertRegex(logs.output[0], 'events: File exists; no more events')
    self.assertLen(expected(self.path), 2)

  def test_needs_no_tensorflow(self):
    program = ('import sys; from alpt_jax.training import events; '
               f'events.EventWriter({str(self.directory)!r}, []).write({{"step": 1, "a": .5}}); '
               'print({"tensorflow", "tensorboard", "wandb"} & set(sys.modules))')
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                            check=False)
    self.assertEqual((result.stdout.strip(), result.returncode), ('set()', 0), msg=result.stderr)
    self.assertEqual(read(self.directory)[0], [{'step': 1, 'a': .5}])


if __name__ == '__main__':
  absltest.main()
