"""Checks containers where FFmpeg does not: lengths, checksums and durations that have to agree.

A block of a Matroska file whose name was damaged is passed over by FFmpeg, its checksums are not
looked at, and of what follows behind the end of a file nothing is shown. So what the file says
twice is compared. Of which kind a file is, its first bytes say, not its name.
"""

import mmap
import os
import zlib
from typing import NamedTuple

from alpt_jax.data.importers import mp4, trailing

_REMEDY = 'Copy it again, or remove it.'
MATROSKA, MP4, AVI = 'Matroska', 'MP4', 'AVI'
FORMATS = {'matroska,webm': MATROSKA, 'mov,mp4,m4a,3gp,3g2,mj2': MP4, 'avi': AVI}  # Of FFmpeg.
BEGUN_LATE = mp4.BEGUN_LATE
_FIRST_BOXES = (b'ftyp', b'moov', b'mdat', b'free', b'skip', b'wide', b'pnot', b'styp', b'uuid')

_HEADER, _SEGMENT, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _TRACK_NUMBER, _BLOCK_GROUP = 0xAE, 0xD7, 0xA0
_PIECE = 1 << 20  # Bytes.
_BLOCKS = (0xA3, 0xA1)  # A simple one, and one in a group.
_CHECKSUM, _VOID = 0xBF, 0xEC
_BEHIND_AVI = (b'idx1', b'JUNK', b'LIST')
# Beside the three above: where to find what, title, cues, attachments, chapters, tags.
_OF_SEGMENT = {_TRACKS, _CLUSTER, 0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469, 0x1043A770,
               0x1254C367, _CHECKSUM, _VOID}
# Time, silent tracks, position, length of the one before.
_OF_CLUSTER = {*_BLOCKS, _BLOCK_GROUP, 0xE7, 0x5854, 0xA7, 0xAB, _CHECKSUM, _VOID}


class Found(NamedTuple):
  """What the structure of a file says.

  Attributes:
    kind: MATROSKA, MP4, AVI, or '' for anything else.
    tracks: `mp4.Declared` of each track of an .mp4 in one piece; () of other files.
    is_open: whether it is a Matroska file that was never closed: its length is not known, so that
      its first part may be missing.
  """
  kind: str = ''
  tracks: tuple = ()
  is_open: bool = False


def check(path):
  """Checks a file.

  Args:
    path: of a video.

  Returns:
    `Found`.

  Raises:
    ValueError: without the file's name, if it breaks off or is damaged, its parts are not in order,
      or another file follows behind it.
  """
  if not os.path.getsize(path):
    return Found()
  with open(path, 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
    try:
      if int.from_bytes(data[:4]) == _HEADER:
        return Found(MATROSKA, is_open=_matroska(data))
      if data[4:8] in _FIRST_BOXES:
        return Found(MP4, mp4.check(data))
      if data[:4] == b'RIFF' and data[8:12] == b'AVI ':
        _check_avi(data)
        return Found(AVI)
      return Found()
    except (IndexError, ZeroDivisionError) as error:  # Of the end of data, and of a clock.
      raise ValueError(f'is damaged: its structure ends within an element. {_REMEDY}') from error


def size_of_avi(path):
  """Reads (width, height) in pixels as the main header of an .avi says; None of other files."""
  with open(path, 'rb') as f:
    head = f.read(72)
  if head[:4] != b'RIFF' or head[24:28] != b'avih' or len(head) < 72:
    return None
  return tuple(int.from_bytes(head[at:at + 4], 'little') for at in (64, 68))


def _check_avi(data):
  """Checks what follows behind the parts that an .avi says it has."""
  at, is_first = 0, True
  while at + 12 <= len(data):
    name, kind = data[at:at + 4], data[at + 8:at + 12]
    size = int.from_bytes(data[at + 4:at + 8], 'little')
    # Old programs leave the index out of the length; large files have more parts.
    if not (is_first or name == b'RIFF' and kind == b'AVIX' or name in _BEHIND_AVI):
      break
    if not size or at + 8 + size > len(data):
      return  # It was not closed, or breaks off, as FFmpeg says.
    at, is_first = at + 8 + size + size % 2, False
  trailing.check(data, at)


def _matroska(data):
  """Checks names, lengths and checksums down to the blocks; returns whether it was not closed."""
  name, begin, start, end = None, 0, 0, 0
  while name != _SEGMENT and end < len(data):
    begin = end
    name, start, end = next(_elements(data, begin, len(data)))
  is_open = _number(data, _number(data, begin, keep=True)[1])[0] is None
  tracks = set()
  for name, *span in _elements(data, start, end, _OF_SEGMENT, checked=True):
    if name == _TRACKS:
      tracks |= {int.from_bytes(data[low:high]) for child, *of in _elements(data, *span)
                 if child == _TRACK for field, low, high in _elements(data, *of)
                 if field == _TRACK_NUMBER}
    elif name == _CLUSTER:
      _check_cluster(data, *span, tracks)
  while end < len(data) and data[end] == _VOID:
    _, _, end = next(_elements(data, end, len(data)))
  trailing.check(data, end)
  return is_open


def _check_cluster(data, start, end, tracks):
  for name, low, high in _elements(data, start, end, _OF_CLUSTER):
    blocks = [(name, low)] if name != _BLOCK_GROUP else [
        of[:2] for of in _elements(data, low, high)]
    for child, at in blocks:
      if child in _BLOCKS and _number(data, at)[0] not in tracks:
        raise ValueError(f'is damaged at byte {at}: a block of no track. {_REMEDY}')


def _elements(data, start, end, known=None, *, checked=False):
  """Yields (name, start, end) of the contents of the elements within [start, end).

  With `known` names, others are damage; `checked` compares checksums.
  """
  while start < end:
    at = start
    name, start = _number(data, start, keep=True)
    size, start = _number(data, start)
    if known is not None and name not in known:
      raise ValueError(f'is damaged at byte {at}: no element is called {name:x}. {_REMEDY}')
    if size is None:  # A recording that was not closed.
      size = _length_of_cluster(data, start, end) if name == _CLUSTER else end - start
    if start + size > end:
      raise ValueError(f'{"breaks off" if end == len(data) else "is damaged"} at byte {end}: '
                       f'{start + size - end} bytes of an element are missing there. {_REMEDY}')
    if checked and size > 6 and data[start] == _CHECKSUM:
      stored = int.from_bytes(data[start + 2:start + 6], 'little')
      if _crc(data, start + 6, start + size) != stored:
        raise ValueError(f'is damaged between the bytes {at} and {start + size}: their checksum '
                         f'is not the one that the file stores. {_REMEDY}')
    yield name, start, start + size
    start += size


def _length_of_cluster(data, start, end):
  """A cluster of unknown length ends where an element begins that is none of its own."""
  at = start
  while at < end:
    name, at_size = _number(data, at, keep=True)
    if name not in _OF_CLUSTER:
      break
    size, at = _number(data, at_size)
    at += size
  return at - start


def _number(data, at, *, keep=False):
  """Reads a number of 1 to 8 bytes, whose first says how many; returns it and where it ends.

  A length of which all bits are set is unknown: None. The bit that says how many is kept in names.
  """
  first = data[at]
  if not first:
    raise ValueError(f'is damaged at byte {at}: a name or a length is expected there. {_REMEDY}')
  size = 9 - first.bit_length()
  if at + size > len(data):
    raise IndexError(at)
  number = int.from_bytes(data[at:at + size], 'big')
  unknown = (1 << 7 * size) - 1
  if not keep:
    number &= unknown
  return None if number == unknown and not keep else number, at + size


def _crc(data, start, end):
  crc = 0
  for low in range(start, end, _PIECE):
    crc = zlib.crc32(data[low:min(low + _PIECE, end)], crc)
  return crc


