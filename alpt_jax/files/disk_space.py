"""Compares what a dataset is going to take with what is free on its disk, before it is written."""

import os
import shutil

_MARGIN = 1.05  # Of an estimate that goes by the first episodes.


def check(directory, num_bytes, *, what, certain=None):
  """Says how much is going to be written, and how much is free.

  Args:
    directory: where to; it, and those above it, need not exist.
    num_bytes: estimate of what is written.
    what: is written, for messages, e.g. 'the dataset'.
    certain: bytes of a part that was measured, where the rest goes by it; None if `num_bytes` is
      known.

  Returns:
    A line that says it, and whether it may not fit.

  Raises:
    OSError: if it does not fit; with `certain`, if not even that does.
  """
  place = os.path.abspath(directory)
  while not os.path.isdir(place):
    place = os.path.dirname(place)
  num_free = shutil.disk_usage(place).free
  is_short = num_bytes * _MARGIN > num_free
  if is_short and (certain is None or certain * _MARGIN > num_free):
    raise OSError(f'{directory}: {what} takes about {_in_words(num_bytes)}, and '
                  f'{_in_words(num_free)} are free on that disk; nothing is written. Free some '
                  'space, or choose another directory.')
  line = (f'{what} takes about {_in_words(num_bytes)}; {_in_words(num_free)} are free at '
          f'{place}')
  return f'{line}. That goes by a part of it, and may not fit.' if is_short else line


def _in_words(num_bytes):
  unit = 'GB' if num_bytes >= 1e9 else 'MB'
  return f'{num_bytes / (1e9 if unit == "GB" else 1e6):.3g} {unit}'
