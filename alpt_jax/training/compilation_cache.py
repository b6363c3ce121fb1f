"""Persistent compilation cache: a restarted process does not compile again.

JAX writes an entry in place and never replaces one. A process that is killed while it writes would
leave half a program, which all later ones fail to read and compile again, every time. So entries
are looked at once in their life, by the next process that starts.
"""

import contextlib
import os
import time
import zlib

import jax
from absl import logging
from jax._src import compilation_cache as jax_cache  # Its format has no public name.

_LOOKED_AT = 'looked_at'  # A file; what is older than it has been looked at.
_CLOCK_SECONDS = 1.  # That clocks of machines and file systems may differ.


def use(directory):
  """Lets JAX keep its programs in a directory, and removes those that were written half.

  Args:
    directory: made if missing; '' for none.
  """
  if not directory:
    return
  if '://' not in directory:  # A bucket never shows an incomplete file.
    os.makedirs(directory, exist_ok=True)
    _remove_damaged(directory)
  jax.config.update('jax_compilation_cache_dir', directory)


def _remove_damaged(directory):
  marker, start_time = os.path.join(directory, _LOOKED_AT), time.time()
  last_time = os.stat(marker).st_mtime if os.path.exists(marker) else 0.
  for name in sorted(os.listdir(directory)):
    path = os.path.join(directory, name)
    with contextlib.suppress(FileNotFoundError):  # Others start at the same time.
      if name.endswith('-cache') and os.stat(path).st_mtime >= last_time:
        _remove_if_damaged(path)
  with open(marker, 'wb'):
    pass
  # What is being written now is looked at next time.
  os.utime(marker, (start_time - _CLOCK_SECONDS,) * 2)


def _remove_if_damaged(path):
  with open(path, 'rb') as f:
    content = f.read()
  try:
    jax_cache.decompress_executable(content)
  except (zlib.error, ValueError, RuntimeError) as error:  # By the library that is there.
    logging.warning('%s: half a compiled program (%s); removed.', path, error)
    os.remove(path)
