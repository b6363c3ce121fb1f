"""Compares what a dataset is going to take with what is free on its disk, before it is written."""

import os
import shutil

_MARGIN = 1.05  # Of an estimate that goes by the first episodes.


def check(directory, num_bytes, *, what):
  """Says how much is going to be written, and how much is free.

  Args:
    directory: where to; it, and those above it, need not exist.
    num_bytes: estimate of what is written.
    what: is written, for messages, e.g. 'the dataset'.

  Returns:
    A line that says it.

  Raises:
    OSError: if it does not fit.
  """
  place = os.path.abspath(directory)
  while not os.path.isdir(place):
    place = os.path.dirname(place)
  num_free = shutil.disk_usage(place).free
  if num_bytes * _MARGIN > num_free:
    raise OSError(f'{directory}: {what} takes about {_in_words(num_bytes)}, and '
                  f'{_in_words(num_free)} are free on that disk; nothing is written. Free some '
                  'space, or choose another directory.')
  return (f'{what} takes about {_in_words(num_bytes)}; {_in_words(num_free)} are free at '
          f'{place}')


def _in_words(num_bytes):
  unit = 'GB' if num_bytes >= 1e9 else 'MB'
  return f'{num_bytes / (1e9 if unit == "GB" else 1e6):.3g} {unit}'
