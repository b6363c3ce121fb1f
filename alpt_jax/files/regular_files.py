"""Refuses what has a name that is read, and is no regular file.

A pipe that nobody writes to stops a program for good, a device has no end, and a link to what is
gone is a file that is missing.
"""

import os
import stat

_KINDS = ((stat.S_ISDIR, 'a directory'), (stat.S_ISFIFO, 'a pipe'), (stat.S_ISSOCK, 'a socket'),
          (stat.S_ISCHR, 'a device'), (stat.S_ISBLK, 'a device'))


def problem(path):
  """Says what a path is, if it is no regular file and no link to one, e.g. 'is a pipe'.

  Args:
    path: of what is in a directory.

  Returns:
    A clause; '' for a regular file.
  """
  try:
    mode = os.stat(path).st_mode
  except OSError as error:
    if os.path.islink(path):
      return f'is a link to what cannot be opened, {os.readlink(path)!r} ({error.strerror})'
    return f'cannot be opened ({error.strerror})'
  return next((f'is {what}' for is_kind, what in _KINDS if is_kind(mode)), '')


def check(path):
  """Raises ValueError, naming it, if a path is no regular file."""
  if found := problem(path):
    raise ValueError(f'{path}: {found}; expected a file. Remove it, or put the file there.')


def check_tree(directory, depth=1):
  """Refuses pipes, sockets and devices in a directory.

  Args:
    directory: whose names are looked at, but for those that begin with a point; directories and
      links to what is gone are not refused.
    depth: levels of directories below it that are looked at, too.

  Raises:
    ValueError: naming the first.
  """
  with os.scandir(directory) as entries:
    for entry in sorted(entries, key=lambda entry: entry.name):
      if entry.name.startswith('.') or entry.is_file(follow_symlinks=False):
        continue
      if os.path.isdir(entry.path):
        if depth and os.access(entry.path, os.R_OK | os.X_OK):
          check_tree(entry.path, depth - 1)
      elif os.path.exists(entry.path):
        check(entry.path)
