"""Checks containers where FFmpeg does not: lengths, checksums and durations that have to agree.

A block of a Matroska file whose name was damaged is passed over by FFmpeg, its checksums are not
looked at, and an edit list of an .mp4 may hide any frame. So what the file says twice is compared.
"""

import mmap
import os
import zlib
from typing import NamedTuple

import numpy as np

_REMEDY = 'Copy it again, or remove it.'
_MATROSKA, _MP4 = ('.mkv', '.webm'), ('.mp4', '.m4v', '.mov')

_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _TRACK_NUMBER, _BLOCK_GROUP = 0xAE, 0xD7, 0xA0
_PIECE = 1 << 20  # Bytes.
_OF_MP4 = (b'moov', b'mdat', b'moof')  # What must not be cut.
_BLOCKS = (0xA3, 0xA1)  # A simple one, and one in a group.
_CHECKSUM, _VOID = 0xBF, 0xEC
# Beside the three above: where to find what, title, cues, attachments, chapters, tags.
_OF_SEGMENT = {_TRACKS, _CLUSTER, 0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469, 0x1043A770,
               0x1254C367, _CHECKSUM, _VOID}
# Time, silent tracks, position, length of the one before.
_OF_CLUSTER = {*_BLOCKS, _BLOCK_GROUP, 0xE7, 0x5854, 0xA7, 0xAB, _CHECKSUM, _VOID}


class Declared(NamedTuple):
  """What an .mp4 says of one of its tracks.

  Attributes:
    end: when it ends as it is shown, in seconds; None if it does not say.
    seconds: of the whole track, with what an edit list hides.
    seconds_of_samples: the same, as a sum over its samples.
    num_from_start: how many frames there are from where the edit list begins; of all if there is
      no list.
  """
  end: float | None
  seconds: float
  seconds_of_samples: float
  num_from_start: int
  size: tuple
  pixel: tuple


def check(path):
  """Checks a file.

  Args:
    path: of a video; by its suffix it is a Matroska file, an .mp4, or not looked at.

  Returns:
    List of `Declared`, for each track of an .mp4 in one piece; empty for other files.

  Raises:
    ValueError: without the file's name, if it breaks off or is damaged.
  """
  suffix = os.path.splitext(path)[1].lower()
  if suffix not in _MATROSKA + _MP4 or not os.path.getsize(path):
    return []
  with open(path, 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
    try:
      return _matroska(data) if suffix in _MATROSKA else _mp4(data)
    except (IndexError, ZeroDivisionError) as error:  # Of the end of data, and of a clock.
      raise ValueError(f'is damaged: its structure ends within an element. {_REMEDY}') from error


def size_of_avi(path):
  """Reads (width, height) in pixels as the main header of an .avi says; None of other files."""
  with open(path, 'rb') as f:
    head = f.read(72)
  if head[:4] != b'RIFF' or head[24:28] != b'avih' or len(head) < 72:
    return None
  return tuple(int.from_bytes(head[at:at + 4], 'little') for at in (64, 68))


def _matroska(data):
  """Checks names, lengths and checksums of the elements down to the blocks."""
  segment = next((of for name, *of in _elements(data, 0, len(data)) if name == _SEGMENT), (0, 0))
  tracks = set()
  for name, *span in _elements(data, *segment, _OF_SEGMENT, checked=True):
    if name == _TRACKS:
      tracks |= {int.from_bytes(data[low:high]) for child, *of in _elements(data, *span)
                 if child == _TRACK for field, low, high in _elements(data, *of)
                 if field == _TRACK_NUMBER}
    elif name == _CLUSTER:
      _check_cluster(data, *span, tracks)
  return []


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


def _mp4(data):
  """Reads the durations of each track, as `Declared`."""
  boxes = list(_boxes(data, (0, len(data))))  # All, to find one that is cut.
  movie = next((of for name, of in boxes if name == b'moov'), None)
  if movie is None or _box(data, movie, b'mvex'):
    return []  # FFmpeg says so; or it is in fragments, and durations come with these.
  clock = _box(data, movie, b'mvhd')
  scale, _ = _clock(data, clock) if clock else (0, None)
  return [_track(data, of, scale) for name, of in _boxes(data, movie) if name == b'trak']


def _track(data, track, movie_scale):
  header, clock, times = (_box(data, track, *path) for path in (
      (b'tkhd',), (b'mdia', b'mdhd'), (b'mdia', b'minf', b'stbl', b'stts')))
  if not (header and clock and times):
    raise ValueError(f'is damaged: a track lacks its duration, clock or times. {_REMEDY}')
  scale, duration = _clock(data, clock)
  is_long = data[header[0]]
  shown = _duration(data, header, *(28, 8) if is_long else (20, 4))
  counts = _table(data, times, '>u4', 2)
  offsets = _box(data, track, b'mdia', b'minf', b'stbl', b'ctts')
  offsets = _table(data, offsets, '>i4', 2) if offsets else np.zeros((0, 2), np.int64)
  num_samples = int(counts[:, 0].sum())
  if max(num_samples, *offsets[:, 0], -min([0, *offsets[:, 0]])) > len(data):
    raise ValueError(f'is damaged: a track lists {num_samples} times of frames, in {len(data)} '
                     f'bytes. {_REMEDY}')
  return Declared(None if shown is None or not movie_scale else shown / movie_scale,
                  (duration or 0) / scale, float(counts.prod(1).sum()) / scale,
                  num_samples - _num_before(_start(data, track), counts, offsets),
                  tuple(_integer(data, header, header[1] - header[0] - of, 4) >> 16
                        for of in (8, 4)),
                  _pixel(data, track))


def _pixel(data, track):
  """Reads how wide and high a pixel is: (1, 1) unless the description of the pictures says so."""
  samples = _box(data, track, b'mdia', b'minf', b'stbl', b'stsd')
  entry = samples and next((of for _, of in _boxes(data, (samples[0] + 8, samples[1]))), None)
  ratio = entry and _box(data, (entry[0] + 78, entry[1]), b'pasp')
  return tuple(_integer(data, ratio, at, 4) for at in (0, 4)) if ratio else (1, 1)


def _num_before(start, counts, offsets):
  """Counts frames that are to be shown before a time, in ticks, by both tables of times."""
  shown = np.repeat(counts[:, 1], counts[:, 0])
  shown = np.cumsum(shown) - shown
  shifts = np.repeat(offsets[:, 1], offsets[:, 0])[:len(shown)]
  shown[:len(shifts)] += shifts
  return int((shown < start).sum())


def _start(data, track):
  """Reads where in a track its edit list begins, in ticks; 0 if it has none."""
  edits = _box(data, track, b'edts', b'elst')
  if not edits:
    return 0
  is_long = data[edits[0]]
  found = _table(data, edits, [('length', '>u8'), ('start', '>i8'), ('rate', '>u4')] if is_long
                 else [('length', '>u4'), ('start', '>i4'), ('rate', '>u4')])['start']
  return min(found[found >= 0], default=0)  # Empty ones, which begin at -1, delay only.


def _table(data, box, kind, columns=None):
  """Reads the rows of a table, [N] of a kind of numpy or [N, columns] int64."""
  kind = np.dtype(kind)
  low, count = box[0] + 8, _integer(data, box, 4, 4)
  size = count * kind.itemsize * (columns or 1)
  if low + size > box[1]:
    raise ValueError(f'is damaged: a table lists {count} rows in {box[1] - low} bytes. {_REMEDY}')
  rows = np.frombuffer(data[low:low + size], kind)
  return rows.reshape(-1, columns).astype(np.int64) if columns else rows


def _clock(data, box):
  """The ticks in a second and in all of a movie or a track; the latter None if unknown."""
  is_long = data[box[0]]
  return (_integer(data, box, 20 if is_long else 12, 4),
          _duration(data, box, *(24, 8) if is_long else (16, 4)))


def _duration(data, box, at, size):
  """None if all bits are set, which means unknown."""
  number = _integer(data, box, at, size)
  return None if number == (1 << 8 * size) - 1 else number


def _integer(data, box, at, size):
  """Reads a number from within a box; IndexError if the box ends before."""
  at += box[0]
  if at + size > box[1]:
    raise IndexError(at)
  return int.from_bytes(data[at:at + size], 'big')


def _box(data, span, *path):
  """The span of the contents of the first box along a path of names; None if there is none."""
  for wanted in path:
    span = span and next((of for name, of in _boxes(data, span) if name == wanted), None)
  return span


def _boxes(data, span):
  """Yields (name, (start, end)) of the contents of the boxes in a span."""
  start, end = span
  while start + 8 <= end:
    size, name, skip = int.from_bytes(data[start:start + 4], 'big'), data[start + 4:start + 8], 8
    if size == 1:
      size, skip = int.from_bytes(data[start + 8:start + 16], 'big'), 16
    size = size or end - start
    if start + size > end and name in _OF_MP4:
      raise ValueError(f'breaks off: {start + size - end} bytes are missing at its end. {_REMEDY}')
    if size < skip or start + size > end:
      return  # Other things that were written behind a video.
    yield name, (start + skip, start + size)
    start += size
