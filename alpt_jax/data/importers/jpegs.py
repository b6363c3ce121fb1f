"""Finds damage in JPEG images by what their decoder reports.

libjpeg paints over what it cannot decode and goes on, and Pillow drops its warnings. OpenCV leaves
them on standard error, where they are read here. A run of zeros, as a hole in a copy leaves it, is
often a valid code; but no encoder writes it for a picture. A byte that is changed into another
valid code is not found (experiments/OWN_DATA.md says how often).
"""

import contextlib
import functools
import os
import re
import sys
import tempfile

import cv2
import numpy as np

_MAGIC = b'\xff\xd8'
_REPORT = re.compile('(Corrupt JPEG|Premature end of JPEG|Inconsistent progression|Invalid SOS|'
                     'Unknown Adobe|Warning: unknown JFIF).*')
_HOLE = bytes(16)
_ENDS = re.compile(rb'\xff[^\0\xd0-\xd7\xff]')  # Of pixels: any marker but of a restart.
_SEQUENTIAL, _TABLES, _SCAN, _END = (b'\xc0', b'\xc1'), b'\xc4', b'\xda', b'\xd9'
_REMEDY = 'Copy it again, or remove it.'


def is_jpeg(encoded):
  """Whether bytes are of a JPEG image."""
  return encoded.startswith(_MAGIC)


def check(encoded):
  """Raises ValueError, without a name, if a JPEG image is damaged and its decoder notices.

  Args:
    encoded: bytes; their pixels are unpacked, and so have to be few enough.
  """
  _check_that_reports_come()
  report = 'it has a hole of zeros' if _has_hole(encoded) else _reported(encoded)
  if report:
    raise ValueError(f'is not a whole image ({report}). {_REMEDY}')


def _reported(encoded):
  """What the decoder reports of an image first; '' if nothing."""
  with _standard_error() as lines:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8),
                         cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
  return lines[0] if lines else 'it cannot be decoded' if image is None else ''


@functools.cache
def _check_that_reports_come():
  """Raises RuntimeError if OpenCV was built so that damage is not reported."""
  noise = np.random.default_rng(0).integers(256, size=(64, 64), dtype=np.uint8)
  encoded = cv2.imencode('.jpg', noise)[1].tobytes()
  if _reported(encoded) or not _reported(encoded[:len(encoded) // 2] + _MAGIC[:1] + _END):
    raise RuntimeError(f'OpenCV {cv2.__version__} does not report damage in a JPEG image; expected '
                       'opencv-python-headless.')


@functools.cache
def _scratch():
  return tempfile.TemporaryFile()


@contextlib.contextmanager
def _standard_error():
  """Collects what a C library reports on standard error; what others write there goes on to it."""
  lines, file = [], _scratch().fileno()
  sys.stderr.flush()
  real = os.dup(2)
  try:
    os.dup2(file, 2)
    yield lines
  finally:
    os.dup2(real, 2)
    os.close(real)
    size = os.lseek(file, 0, os.SEEK_CUR)
    if size:
      text = os.pread(file, size, 0).decode(errors='replace')
      os.lseek(file, 0, os.SEEK_SET)
      os.ftruncate(file, 0)
      lines += [match[0] for match in _REPORT.finditer(text)]
      others = _REPORT.sub('', text).strip()
      if others:
        os.write(2, f'{others}\n'.encode())


def _has_hole(encoded):
  """Whether pixels have a run of zeros where zeros are the code of something to be drawn.

  The shortest code of a table is zeros. Where it says "nothing more in this block", as tables that
  were made for a flat picture do, zeros may be right.
  """
  at, is_sequential, first = len(_MAGIC), False, {}
  while encoded[at:at + 1] == b'\xff':
    marker = encoded[at + 1:at + 2]
    if marker == b'\xff':  # Fills a gap.
      at += 1
      continue
    end = at + 2 + int.from_bytes(encoded[at + 2:at + 4], 'big')
    data = encoded[at + 4:end]
    if marker == _SCAN:
      table, behind = data[2] & 15 if len(data) > 2 else 0, _ENDS.search(encoded, end)
      return is_sequential and first.get(table, 0) != 0 and (
          encoded.find(_HOLE, end, behind.start() if behind else len(encoded)) >= 0)
    if marker in _SEQUENTIAL:
      is_sequential = True
    while marker == _TABLES and len(data) > 17:
      number, num_values = data[0], sum(data[1:17])
      if number >> 4:  # Of what follows the first value of a block.
        first[number & 15] = data[17]
      data = data[17 + num_values:]
    at = end
  return False
