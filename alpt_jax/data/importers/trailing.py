"""Judges what follows behind the end of a file."""

import re

_NO_PADDING = re.compile(rb'[^\0\xff\s\x1a]')


def check(data, end):
  """Checks that nothing but padding follows: zeros, set bits, white space.

  Players do not look there, so that a second video, joined by `cat`, would be lost without a word.

  Args:
    data: bytes of the file, or a map of it.
    end: where it ends by its own structure.

  Raises:
    ValueError: without the file's name.
  """
  found = _NO_PADDING.search(data, end)
  if found:
    raise ValueError(f'ends at byte {end}, and {len(data) - end} bytes of something else follow: '
                     'another file was joined to it, or it is damaged. Players show what is before '
                     'that only. Split it, or copy it again.')
