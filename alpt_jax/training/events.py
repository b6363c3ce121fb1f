"""Mirrors metrics.jsonl to event files, for TensorBoard.

metrics.jsonl is the truth. When a run is opened, one new event file with what metrics.jsonl has
kept takes the place of those before, so a run that resumes from an earlier step shows no point
twice and none that it has dropped. A file that is lost or cut is made again the same way. What is
null has no point.

An event file is a TFRecord file (TensorFlow's core/lib/io/record_writer.h) of `Event` messages.
Messages and checksums are tensorboardX's. Files are written here: training must not import
TensorFlow, which tensorboard's writer does, and on a full disk the thread of tensorboardX ends
and the run blocks forever.
"""

import contextlib
import os
import struct
import time

from absl import logging
from google.protobuf import message
from tensorboardX import record_writer
from tensorboardX.proto import event_pb2, summary_pb2

from alpt_jax.files import atomic_files

_PREFIX = 'events.out.tfevents.'
_MAX_FLOAT32 = 3.4028234e38
_HEADER, _FOOTER = 12, 4  # Bytes of a record around an event.


class EventWriter(contextlib.AbstractContextManager):
  """Appends metrics to an event file; what fails here is said, and does not stop the run."""

  def __init__(self, directory, lines):
    """Replaces the event files of a directory by one.

    Args:
      directory: made if missing; belongs to this class.
      lines: of metrics.jsonl, see `metrics.MetricsWriter.lines`.
    """
    self._directory, self._file = directory, None
    try:
      self._file = open(_replace(directory, lines), 'ab', buffering=0)
    except OSError as error:
      self._give_up(error)

  def __exit__(self, *unused):
    self.close()

  def write(self, line):
    """Appends an event.

    Args:
      line: dict of names to numbers, with 'step'. None, and what no float32 can hold, is left out.
    """
    if self._file is None:
      return
    try:
      atomic_files.append(self._file, _record(_scalars(time.time(), line)))
    except OSError as error:
      self._give_up(error)

  def close(self):
    """Closes the file."""
    if self._file is not None:
      self._file.close()
      self._file = None

  def _give_up(self, error):
    logging.error('%s: %s; no more events for TensorBoard until the run is started again. '
                  'metrics.jsonl has all.', self._directory, error.strerror or error)
    self.close()


def _replace(directory, lines):
  """Writes a new event file, empties those before, and returns its path."""
  os.makedirs(directory, exist_ok=True)
  before = sorted(os.path.join(directory, name) for name in os.listdir(directory)
                  if name.startswith(_PREFIX))
  known = {}
  for path in before:
    with open(path, 'rb') as f:
      known |= _read(f.read())
  now = time.time()
  start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)  # A viewer drops what it had.
  records = [_record(_event(now, file_version='brain.Event:2')),
             _record(_event(now, session_log=start))]
  for line in lines:
    wall_time, record = known.get(line['step'], (now, b''))
    event = _scalars(wall_time, line)
    # Checksums are what takes time.
    records.append(record if record[_HEADER:-_FOOTER] == event else _record(event))
  # A viewer that is running follows the names in their order. It must see the file whole.
  path, unfinished = os.path.join(directory, f'{_PREFIX}{now:.6f}'), os.path.join(directory, 'next')
  with open(unfinished, 'wb', buffering=0) as f:
    atomic_files.append(f, b''.join(records))
  os.replace(unfinished, path)
  for old in before:
    if os.path.getsize(old):  # A viewer that still reads it would wait forever if it was gone.
      os.truncate(old, 0)
    else:
      os.remove(old)
  return path


def _read(data):
  """Reads an event file as far as it is whole.

  Returns:
    {step: (seconds since 1970, record)} of the events with scalars.
  """
  found, start = {}, 0
  while start + _HEADER <= len(data):
    end = start + _HEADER + struct.unpack_from('<Q', data, start)[0] + _FOOTER
    if end > len(data):
      break
    record = data[start:end]
    try:
      event = event_pb2.Event.FromString(record[_HEADER:-_FOOTER])
    except message.DecodeError:
      break
    if event.HasField('summary'):
      found[event.step] = event.wall_time, record
    start = end
  return found


def _scalars(wall_time, line):
  """An event with the scalars of a line."""
  values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in line.items()
            if name != 'step' and value is not None and abs(value) <= _MAX_FLOAT32]
  return _event(wall_time, step=line['step'], summary=summary_pb2.Summary(value=values))


def _event(wall_time, **content):
  return event_pb2.Event(wall_time=wall_time, **content).SerializeToString()


def _record(data):
  size = struct.pack('<Q', len(data))
  return b''.join([size, _checksum(size), data, _checksum(data)])


def _checksum(data):
  return struct.pack('<I', record_writer.masked_crc32c(data))
