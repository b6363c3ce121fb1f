"""Compares files with lists of their SHA-256 sums, as `sha256sum` writes them.

A codec cannot notice all damage, a list of sums does. It lies beside the videos as SHA256SUMS,
SHA256SUMS.txt or *.sha256, with a line for each file: `sum  name`, `sum *name` or
`SHA256 (name) = sum`. A name may have folders in front, where the list was made in another one.
"""

import collections
import hashlib
import os
import re
import unicodedata
from typing import NamedTuple

_NAMES, _SUFFIX = ('sha256sums', 'sha256sums.txt', 'sha256sum.txt'), '.sha256'
_LINE = re.compile(r'\\?(?:([0-9a-fA-F]{64})(?: [ *])(.+)|SHA256 \((.+)\) = ([0-9a-fA-F]{64}))')


def lists(directory):
  """Names of the lists in a directory."""
  return sorted(name for name in os.listdir(directory)
                if name.lower() in _NAMES or name.lower().endswith(_SUFFIX))


def problems(directory, names):
  """Compares files with the lists beside them.

  Args:
    directory: that holds the files, and perhaps lists.
    names: of the files that are to be compared; others are not, and need not be listed.

  Returns:
    {name: what is wrong with it} of those that have another sum than a list says.

  Raises:
    ValueError: naming the list, if it names no file that is there; and the line, if it is not as it
      has to be, or two say different sums of a file.
  """
  wrong, lines = {}, collections.defaultdict(list)
  for line in _read(directory, names):
    lines[os.path.basename(line.name)].append(line)
  for name in names:
    line = _line_of(directory, name, lines[_key(name)])
    if line is None:
      continue
    with open(os.path.join(directory, name), 'rb') as f:
      found = hashlib.file_digest(f, 'sha256').hexdigest()
    if found != line.sum:
      wrong[name] = (f'has the SHA-256 sum {found[:12]}..; expected {line.sum[:12]}.. by '
                     f'{line.path}. Copy it again; or, if it was changed on purpose, write the '
                     'list again.')
  return wrong


class _Line(NamedTuple):
  """A line of a list: a name with its folders, as `_key` makes it, and its sum."""
  name: str
  sum: str
  path: str
  number: int


def _key(name):
  """Makes one form of the names that look the same."""
  return unicodedata.normalize('NFC', name)


def _line_of(directory, name, lines):
  """Chooses among lines that name a file of this name in some folder; None if there is none.

  Those go first whose folders are the file's own; of folders within this one it is another file.
  """
  place = '/' + _key(os.path.join(os.path.abspath(directory), name)).lstrip('/')
  own = [line for line in lines if place.endswith('/' + line.name.lstrip('/'))]
  chosen = own or [line for line in lines if line.name.startswith(('/', '..')) or (
      not os.path.exists(os.path.join(directory, line.name)))]
  for line in chosen:
    if line.sum != chosen[0].sum:
      raise ValueError(f'{line.path}, line {line.number}: another sum of {name!r} than '
                       f'{chosen[0].path} has; expected one. Correct it.')
  return chosen[0] if chosen else None


def _read(directory, names):
  """Reads the lines of all lists."""
  found = []
  there = {_key(name) for name in (*names, *os.listdir(directory))}
  for file in lists(directory):
    path = os.path.join(directory, file)
    of_list = list(_lines(path))
    if not any(os.path.basename(line.name) in there for line in of_list):
      first = f'{of_list[0].name!r} ..' if of_list else 'nothing'
      raise ValueError(f'{path}: names {first}, and none of the files beside it; expected names '
                       f'such as {names[0]!r}. Correct it, or remove it.')
    found += of_list
  return found


def _lines(path):
  """Yields the lines of a list."""
  with open(path, encoding='utf-8-sig', errors='surrogateescape') as f:
    for number, line in enumerate(f, 1):
      line = line.rstrip('\r\n')
      if not line or line.startswith('#'):
        continue
      match = _LINE.fullmatch(line)
      if not match:
        raise ValueError(f'{path}, line {number}: {line[:60]!r}; expected the line of '
                         'sha256sum: 64 hexadecimal digits, two blanks and a name. Correct it, '
                         'or remove the list.')
      digest, name, tagged, of_tagged = match.groups()
      yield _Line(_key(os.path.normpath(name or tagged)), (digest or of_tagged).lower(), path,
                  number)
