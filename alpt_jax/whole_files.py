"""Files that are whole or not there: a kill, or a reader at the wrong moment, meets no half of one.
"""

import json
import os


def write(path, data):
  """Writes a file, replacing one that is there; makes its directory.

  Args:
    path: of the file.
    data: bytes.
  """
  os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
  unfinished = f'{path}.unfinished-{os.getpid()}'  # Two processes do not share a half.
  try:
    with open(unfinished, 'wb') as f:
      f.write(data)
    os.replace(unfinished, path)
  except BaseException:
    if os.path.exists(unfinished):
      os.remove(unfinished)
    raise


def write_json(path, content, *, indent=1):
  """Writes JSON as `write` does; nothing is touched if `content` is not JSON."""
  write(path, json.dumps(content, indent=indent).encode())
