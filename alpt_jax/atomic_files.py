"""Files that are whole or not there: a kill, or a reader at the wrong moment, meets no half of one.

And checksums, to see whether they still are what was written.
"""

import contextlib
import json
import os
import re
import shutil
import socket

import deflate

_BLOCK = 1 << 20  # Bytes that stay in the processor's cache.


def write(path, data):
  """Writes a file, replacing one that is there; makes its directory.

  Args:
    path: of the file.
    data: bytes.

  Raises:
    OSError: naming the file, e.g. if the disk is full.
  """
  os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
  unfinished = _unfinished(path)
  try:
    with open(unfinished, 'wb', buffering=0) as f:
      append(f, data)
      os.fsync(f.fileno())  # A machine that loses its power must not find the name alone.
    os.replace(unfinished, path)
    flush(os.path.dirname(os.path.abspath(path)))
  except BaseException as error:
    if os.path.exists(unfinished):
      os.remove(unfinished)
    if isinstance(error, OSError) and error.filename is None:
      raise OSError(error.errno, error.strerror, str(path)) from error
    raise


def append(file, data):
  """Writes all of `data` to an unbuffered file.

  A disk that gets full takes a part; the next write says why.
  """
  view = memoryview(data)
  while view:
    view = view[file.write(view):]


def flush(path):
  """Waits until a file, or the names in a directory, are on the disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def _unfinished(path):
  """Names the place where this process writes what is to become `path`."""
  # Two processes do not share a half; in containers, all have the same number.
  return f'{path}.unfinished-{socket.gethostname()}-{os.getpid()}'


def remove_unfinished(directory, *, of=''):
  """Removes what killed processes of this host have left in a directory, not below it.

  Args:
    directory: need not exist.
    of: name of the file or directory that they were writing; '' for all.
  """
  name_pattern = re.escape(of) if of else '.*'
  pattern = rf'{name_pattern}\.unfinished-{re.escape(socket.gethostname())}-(\d+)'
  for name in os.listdir(directory) if os.path.isdir(directory) else ():
    writer, path = re.fullmatch(pattern, name), os.path.join(directory, name)
    if writer and not _is_alive(int(writer[1])):
      if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)  # Others may remove it at the same time.
      else:
        os.remove(path)


def _is_alive(process):
  try:
    os.kill(process, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    pass
  return True


def write_json(path, content, *, indent=1):
  """Writes JSON as `write` does; nothing is touched if `content` is not JSON."""
  write(path, json.dumps(content, indent=indent).encode())


def crc32(file):
  """Reads an open file to its end.

  Args:
    file: opened for reading bytes.

  Returns:
    Number of bytes; their CRC-32 in 8 hex digits, by libdeflate, at about 10 GB/s.
  """
  size, value = 0, 0
  while block := file.read(_BLOCK):
    size, value = size + len(block), deflate.crc32(block, value)
  return size, f'{value:08x}'


def check_new(path):
  """Raises ValueError if a path already holds something: anything but an empty directory."""
  if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
    raise ValueError(f'{path}: already exists and is not overwritten. Delete it, or choose another '
                     'directory.')


@contextlib.contextmanager
def new_directory(path):
  """Makes a directory that appears under its name only when the block has succeeded.

  An interrupted block leaves nothing. A killed process leaves `<path>.unfinished-<host>-<process>`,
  which the next block for the same path removes if it runs on that host.

  Args:
    path: of the directory; must not exist, or be empty.

  Yields:
    An empty directory beside `path` to write into: its `content` becomes `path`, what else is in
    it goes.

  Raises:
    ValueError: if `path` already holds something.
  """
  path = os.path.abspath(path)
  check_new(path)
  remove_unfinished(os.path.dirname(path), of=os.path.basename(path))
  staging = _unfinished(path)
  shutil.rmtree(staging, ignore_errors=True)  # Of a killed process that had the same number.
  os.makedirs(os.path.join(staging, 'content'))
  try:
    yield staging
    os.rename(os.path.join(staging, 'content'), path)
  finally:
    shutil.rmtree(staging, ignore_errors=True)
