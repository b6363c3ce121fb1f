"""Compares files with lists of their SHA-256 sums, as `sha256sum` writes them.

A codec cannot notice all damage, a list of sums does. It lies beside the videos as SHA256SUMS,
SHA256SUMS.txt or *.sha256, with a line for each file: `sum  name`, `sum *name` or
`SHA256 (name) = sum`.
"""

import hashlib
import os
import re

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
    ValueError: naming the list and the line, if it is not as it has to be.
  """
  wrong, listed, known = {}, _read(directory), set(names)
  for name, (expected, path) in listed.items():
    if name in known:
      with open(os.path.join(directory, name), 'rb') as f:
        found = hashlib.file_digest(f, 'sha256').hexdigest()
      if found != expected:
        wrong[name] = (f'has the SHA-256 sum {found[:12]}..; expected {expected[:12]}.. by {path}. '
                       'Copy it again; or, if it was changed on purpose, write the list again.')
  return wrong


def _read(directory):
  """{name: (sum, path of the list)} of all lists."""
  found = {}
  for file in lists(directory):
    path = os.path.join(directory, file)
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
        name, digest = os.path.normpath(name or tagged), (digest or of_tagged).lower()
        if found.setdefault(name, (digest, path))[0] != digest:
          raise ValueError(f'{path}, line {number}: another sum of {name!r} than '
                           f'{found[name][1]} has; expected one. Correct it.')
  return found
