"""metrics.jsonl once more, as TensorBoard reads it: event files.

metrics.jsonl is the truth. When a run is opened, one new event file with what metrics.jsonl has
kept takes the place of those before, so a run that goes on at an earlier step shows no point twice
and none that it has dropped. A file that is lost or cut is made again the same way. What is null
has no point.

An event file is a TFRecord file of `Event` messages. Both are written here because no library
fits: training must not import TensorFlow, which tensorboard's writer does, and on a full disk the
thread of tensorboardX 2.6.5 ends and the run blocks forever. The formats are those of TensorFlow's
core/lib/io/record_writer.h, core/util/event.proto and core/framework/summary.proto.
"""

import functools
import os
import struct
import time

from absl import logging

from alpt_jax import atomic_files

_PREFIX = 'events.out.tfevents.'
_MAX_FLOAT32 = 3.4028234e38
_START = b'\x3a\x02\x08\x01'  # Event.session_log.status = START: a viewer drops what it had.
_HEADER, _FOOTER = 12, 4  # Bytes of a record around an event.


class EventWriter:
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

  def __enter__(self):
    return self

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
  records = [_record(_event(now, 0, _bytes_field(3, b'brain.Event:2'))),  # Event.file_version.
             _record(_event(now, 0, _START))]
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
    event = record[_HEADER:-_FOOTER]
    if event[:1] == b'\x09' and event[9:10] == b'\x10':  # As `_event` writes it.
      step, content = _parse_varint(event[10:])
      if content[:1] == b'\x2a':  # Event.summary.
        found[step] = struct.unpack_from('<d', event, 1)[0], record
    start = end
  return found


def _scalars(wall_time, line):
  """An event with the scalars of a line."""
  values = b''.join(
      _value(name) + struct.pack('<f', value) for name, value in line.items()
      if name != 'step' and value is not None and abs(value) <= _MAX_FLOAT32)
  return _event(wall_time, line['step'], _bytes_field(5, values))  # Event.summary.


@functools.cache
def _value(name):
  """A Summary.value up to its four bytes of float."""
  value = _bytes_field(1, _bytes_field(1, name.encode()) + b'\x15' + bytes(4))  # tag, simple_value.
  return value[:-4]


def _event(wall_time, step, content):
  return b'\x09' + struct.pack('<d', wall_time) + b'\x10' + _varint(step) + content


def _bytes_field(number, data):
  return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(number):
  """Protocol buffers' integer: 7 bits a byte, low ones first; the eighth says that more follow."""
  data = bytearray()
  while number > 127:
    data.append(number & 127 | 128)
    number >>= 7
  return bytes([*data, number])


def _parse_varint(data):
  """Returns the integer that `data` begins with, and the rest."""
  number = 0
  for i, byte in enumerate(data):
    number |= (byte & 127) << 7 * i
    if byte < 128:
      return number, data[i + 1:]
  return number, b''


def _record(data):
  size = struct.pack('<Q', len(data))
  return size + _masked_crc(size) + data + _masked_crc(data)


def _crc_table():
  table = []
  for value in range(256):
    for _ in range(8):
      value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)  # Castagnoli's polynomial.
    table.append(value)
  return table


_CRC_TABLE = _crc_table()


def _masked_crc(data):
  """CRC-32C, rotated and shifted by a constant as TFRecord wants it."""
  crc = 0xffffffff
  for byte in data:
    crc = _CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
  crc ^= 0xffffffff
  return struct.pack('<I', ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff)
