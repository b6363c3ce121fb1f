"""Checks .mp4 and .mov files where FFmpeg does not: what is said twice has to agree.

An edit list may hide any frame or show it twice, and of a file in fragments any may be missing:
only their numbers, their times and the indexes beside them tell.
"""

import re
from typing import NamedTuple

import numpy as np

from alpt_jax.data.importers import trailing

_REMEDY = 'Copy it again, or remove it.'
BEGUN_LATE = ('Copy it again; or, if it was recorded from there on and its actions count from its '
              'first frame, write it anew with times from 0 (ffmpeg -i in.{0} -c copy out.{0}).')
_NOT_CUT = (b'moov', b'mdat', b'moof')
_ONCE = (b'ftyp', b'moov')  # A second one is of a second file.
_NAME = re.compile(rb'[ -~\xa9]{4}')
_NORMAL_SPEED = 1 << 16
_LATEST = .1  # Seconds after 0 that a file may begin, as sound is coded in advance.


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


def check(data):
  """Checks an .mp4.

  Args:
    data: its bytes, or a map of them.

  Returns:
    Tuple of `Declared` of each track, if it is in one piece; () if it is in fragments.

  Raises:
    ValueError: without the file's name, if it is damaged, parts are missing, in another order or
      twice, another file follows behind it, or an edit list shows frames twice or not at all.
    IndexError, ZeroDivisionError: if a box ends within a number, or a clock stands still.
  """
  boxes, end = [], 0
  for name, span in _boxes(data, (0, len(data))):
    if not _NAME.fullmatch(name):
      break
    boxes.append((name, (end, *span)))
    if name in _ONCE and [other for other, _ in boxes].count(name) > 1:
      trailing.check(data, end)
    end = span[1]
  trailing.check(data, end)
  movie = next((of[1:] for name, of in boxes if name == b'moov'), None)
  if movie is None:
    return ()  # FFmpeg says so.
  clock = _box(data, movie, b'mvhd')
  scale, _ = _clock(data, clock) if clock else (0, None)
  tracks = [of for name, of in _boxes(data, movie) if name == b'trak']
  for track in tracks:
    _check_edits(data, track, scale)
  _check_indexes(data, boxes)
  if _box(data, movie, b'mvex'):  # Durations come with the fragments.
    _check_fragments(data, tracks, [of[1:] for name, of in boxes if name == b'moof'])
    return ()
  return tuple(_track(data, track, scale) for track in tracks)


def _check_fragments(data, tracks, fragments):
  """Checks that no fragment is missing, comes twice or in the place of another."""
  numbers, begins, is_timed = [], {}, True
  scales = {_number_of_track(data, track): _clock(data, clock)[0] for track in tracks
            if (clock := _box(data, track, b'mdia', b'mdhd')) and _shows(data, track)}
  for fragment in fragments:
    header = _box(data, fragment, b'mfhd')
    numbers.append(_integer(data, header, 4, 4) if header else 0)
    for name, part in _boxes(data, fragment):
      header, time = (_box(data, part, child) for child in (b'tfhd', b'tfdt'))
      if name == b'traf' and header and (track := _integer(data, header, 4, 4)) in scales:
        is_timed = is_timed and time is not None
        if time is not None and track not in begins:
          begins[track] = _integer(data, time, 4, 8 if data[time[0]] else 4) / scales[track]
  steps = np.diff(numbers)
  if steps.any() and steps.min() <= 0:  # Some writers do not count.
    i = int(np.argmax(steps <= 0))
    raise ValueError(f'is damaged: its fragment {numbers[i]} is followed by fragment '
                     f'{numbers[i + 1]}; expected growing numbers: parts of it come twice or in '
                     f'the wrong order. {_REMEDY}')
  is_first, is_whole = max(numbers[:1], default=1) <= 1, bool(np.all(steps == 1))
  if not is_timed and not (is_first and is_whole):
    i = int(np.argmax(steps != 1)) if is_first else -1
    raise ValueError(f'is damaged: its fragment {numbers[i + 1]} '
                     f'{f"follows fragment {numbers[i]}" if is_first else "is the first"}, and '
                     f'nothing says when each is shown: fragments are missing. {_REMEDY}')
  begin = min(begins.values(), default=0)
  if begin > (_LATEST if is_first and is_whole else 0):
    raise ValueError(f'begins at {begin:.3f} s, with fragment {numbers[0]}; expected 0 s: its '
                     f'first part is missing. {BEGUN_LATE.format("mp4")}')


def _check_indexes(data, boxes):
  """Checks that the parts that indexes list are there: of segments, and of fragments."""
  ends = {of[2] for _, of in boxes}
  fragments = {of[0] for name, of in boxes if name == b'moof'}
  for name, (_, *span) in boxes:
    if name == b'sidx':
      is_long = data[span[0]]
      at = span[1] + _integer(data, span, *((20, 8) if is_long else (16, 4)))
      first = 32 if is_long else 24
      for i in range(_integer(data, span, first - 2, 2)):
        at += _integer(data, span, first + 12 * i, 4) & 0x7fffffff
        if at not in ends:
          raise _missing(f'a part that ends at byte {at}, where none does')
    for child, table in _boxes(data, span) if name == b'mfra' else ():
      if child == b'tfra':
        size = 8 if data[table[0]] else 4
        lengths = _integer(data, table, 8, 4)  # Of three numbers of each row, two bits each.
        row = 2 * size + 3 + sum(lengths >> shift & 3 for shift in (0, 2, 4))
        for i in range(_integer(data, table, 12, 4)):
          if (at := _integer(data, table, 16 + row * i + size, size)) not in fragments:
            raise _missing(f'a fragment at byte {at}, where none begins')


def _missing(what):
  return ValueError(f'is damaged: its index lists {what}: parts are missing, or in another order. '
                    f'{_REMEDY}')


def _check_edits(data, track, movie_scale):
  """Checks that the edit list of a track of pictures shows one stretch of it, at its speed."""
  edits, clock = (_box(data, track, *path) for path in ((b'edts', b'elst'), (b'mdia', b'mdhd')))
  if not (edits and clock and movie_scale and _shows(data, track)):
    return
  scale, end = _clock(data, clock)[0], None
  for length, start, rate in _edits(data, edits).tolist():
    if start < 0 and end is None:  # An empty one, which delays.
      continue
    if rate != _NORMAL_SPEED:
      raise ValueError(f'is shown at {rate / _NORMAL_SPEED:g} times its speed by its edit list; '
                       f'expected 1. {_REMEDY}')
    # The length is rounded to ticks of the movie.
    if end is not None and (start < 0 or abs(start - end) > 1.5 * scale / movie_scale):
      then = f'from {start / scale:.3f} s on' if start >= 0 else 'none for a while'
      raise ValueError(f'shows its pictures until {end / scale:.3f} s by its edit list, and then '
                       f'{then}; expected one stretch: frames come twice, are hidden or in another '
                       'order. Cut off what is not to be shown.')
    end = start + length * scale / movie_scale


def _shows(data, track):
  """Whether a track is one of pictures, or does not say of what."""
  handler = _box(data, track, b'mdia', b'hdlr')
  return not handler or data[handler[0] + 8:handler[0] + 12] == b'vide'


def _number_of_track(data, track):
  header = _box(data, track, b'tkhd')
  return _integer(data, header, *((20, 4) if data[header[0]] else (12, 4))) if header else 0


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
  found = _edits(data, edits)['start']
  return min(found[found >= 0], default=0)  # Empty ones, which begin at -1, delay only.


def _edits(data, box):
  """Reads the rows of an edit list, with fields `length`, `start` and `rate`."""
  kinds = ('>u8', '>i8', '>u4') if data[box[0]] else ('>u4', '>i4', '>u4')
  return _table(data, box, list(zip(('length', 'start', 'rate'), kinds, strict=True)))


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
    if start + size > end and name in _NOT_CUT:
      raise ValueError(f'breaks off: {start + size - end} bytes are missing at its end. {_REMEDY}')
    if size < skip or start + size > end:
      return  # Other things that were written behind a video.
    yield name, (start + skip, start + size)
    start += size
