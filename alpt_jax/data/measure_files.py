"""Keeps measurements of a recording in files that identify the recording they belong to.

A ceiling or a floor is of one recording, known by its digest, and of one protocol. A file of
another one is refused: a ceiling of other play would make labels look better or worse than they
are.
"""

import os

from alpt_jax import schema
from alpt_jax.files import atomic_files

FORMAT = 1
HEAD = ('format', 'kind', 'digest', 'protocol')  # Of a file; the rest is what was measured.


def write(path, kind, *, digest, protocol, content):
  """Writes a measurement.

  Args:
    path: of the JSON file.
    kind: what was measured, e.g. 'ceiling'.
    digest: of the recording.
    protocol: dict of what else it depends on; plain values.
    content: dict, what was measured.
  """
  os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
  atomic_files.write_json(path, {'format': FORMAT, 'kind': kind, 'digest': digest,
                                 'protocol': protocol} | content)


def read(path, kind, *, digest, protocol):
  """Reads a measurement.

  Args:
    path: of the JSON file.
    kind: that it has to be of.
    digest: of the recording that it has to be of.
    protocol: that it has to be of.

  Returns:
    The content of the file as a dict; None if there is no such file.

  Raises:
    ValueError: if it is damaged, or of another recording or protocol.
  """
  if not os.path.exists(path):
    return None
  found = open_file(path)
  for key, expected in (('format', FORMAT), ('kind', kind), ('digest', digest)):
    if found.get(key) != expected:
      raise ValueError(f'{path}: {key} is {found.get(key)!r}; expected {expected!r}: it was '
                       'measured on something else. Delete it and measure again.')
  theirs = found['protocol']
  for key in sorted({*theirs, *protocol}):
    if theirs.get(key) != protocol.get(key):
      raise ValueError(f'{path}: protocol {key} is {theirs.get(key)!r}; expected '
                       f'{protocol.get(key)!r}: it was measured by another protocol. Delete it and '
                       'measure again.')
  return found


def open_file(path):
  """Reads a measurement, whatever it is of.

  Args:
    path: of the JSON file, which exists.

  Returns:
    A dict whose 'protocol' is a dict.

  Raises:
    ValueError: if it is damaged.
  """
  return schema.read(path, {'protocol': dict}, 'Delete it and measure again.')
