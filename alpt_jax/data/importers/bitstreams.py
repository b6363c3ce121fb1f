"""Finds bytes in compressed video that no encoder writes, and that decoders pass over.

Zeros where a copy has a hole are the most frequent damage, and arithmetic decoders take them for
"nothing changes": the frame before comes a second time. But H.264, HEVC and MPEG escape longer runs
of zeros, as their start codes have them. A picture of MJPEG without its scan is whatever stood in
memory before. A packet of VP9 that says "show an earlier picture" has no more to say.
"""

import re

# A start code is at least two zeros and a one; zeros may stand before it and at the end.
_NO_START_CODE = re.compile(rb'\0{3}\0*[^\0\1]')
_ESCAPED = re.compile(rb'\0\0[\0\1\2]')  # Never within a unit of H.264 or HEVC.
_HOLE = bytes(256)  # Arithmetic coders may write some zeros, of a still picture.
_ARITHMETIC = ('vp8', 'vp9', 'av1', 'libdav1d')
_MPEG = ('mpeg4', 'mpeg2video', 'mpeg1video')
_LENGTH_AT = {'h264': 4, 'hevc': 21}  # Bytes of the header whose last bits say the size of lengths.


def is_damaged(codec, header, data):
  """Whether a packet holds what no encoder writes.

  Args:
    codec: FFmpeg's name of the decoder; others than the known are not looked at.
    header: bytes of the codec that stand in front of all packets, or None.
    data: bytes of a non-empty packet.

  Returns:
    bool.
  """
  if codec in _LENGTH_AT:
    at = _LENGTH_AT[codec]
    if not header or len(header) <= at or header[0] != 1:  # With start codes.
      return bool(_NO_START_CODE.search(data))
    return _units_are_damaged(data, 1 + (header[at] & 3))
  if codec in _MPEG:
    return bool(_NO_START_CODE.search(data))
  if codec == 'mjpeg':
    return not _has_scan(data)
  return codec in _ARITHMETIC and _HOLE in data or codec == 'vp9' and _shows_more(data)


def _shows_more(data):
  """Whether a packet of VP9 shows an earlier picture, which one or two bytes say, and goes on."""
  # Two bits of a mark, two of a profile, of which the highest has another bit; then what it shows.
  is_highest = data[0] & 0x30 == 0x30
  if len(data) <= 2 or not data[0] & (4 if is_highest else 8):
    return False
  # Several frames in one packet end with their lengths, between two bytes that say how many.
  size = 2 + ((data[-1] >> 3 & 3) + 1) * ((data[-1] & 7) + 1)
  return not (data[-1] >> 5 == 6 and len(data) > size and data[-size] == data[-1])


def _units_are_damaged(data, size_of_length):
  at = 0
  while at < len(data):
    start = at + size_of_length
    at = start + int.from_bytes(data[at:start], 'big')
    unit = data[start:at].rstrip(b'\0')
    if not unit or at > len(data) or _ESCAPED.search(unit):
      return True
  return False


def _has_scan(data):
  """Whether markers lead from the begin of a JPEG picture to the begin of its pixels."""
  at = 2
  while data[:2] == b'\xff\xd8' and data[at:at + 1] == b'\xff':
    marker = data[at + 1:at + 2]
    if marker == b'\xff':  # Fills a gap.
      at += 1
      continue
    if marker == b'\xda':
      return data[at + 2:at + 4] == (6 + 2 * data[at + 4]).to_bytes(2, 'big')
    at += 2 + int.from_bytes(data[at + 2:at + 4], 'big')
  return False
