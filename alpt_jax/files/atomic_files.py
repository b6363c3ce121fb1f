"""Files that are whole or not there: a kill, or a reader at the wrong moment, meets no half of one.

An output that is a symbolic link is written where the link leads, and the link stays. And
checksums, to see whether files still are what was written.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import socket
import uuid

import deflate

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # Of a disk, a quota, a limit of the process.
_OF_STORAGE = (*_FULL, errno.EROFS, errno.EACCES, errno.EIO, errno.ENOENT)
_BLOCK = 1 << 20  # Bytes that stay in the processor's cache.


def write(path, data):
  """Writes a file, replacing one that is there; makes its directory.

  Args:
    path: of the file.
    data: bytes.

  Raises:
    OSError: naming the file, e.g. if the disk is full.
  """
  write_all({path: data})


def write_all(files):
  """Writes files as `write` does, and replaces none before the content of all is on the disk.

  Args:
    files: {path: bytes}.

  Raises:
    OSError: naming the file; if it has no room, or is a directory, nothing has changed.
    ValueError: if two paths lead to one file.
  """
  places = {path: os.path.realpath(path) for path in files}
  for i, (path, place) in enumerate(places.items()):
    if os.path.isdir(place):
      raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if place in list(places.values())[:i]:
      raise ValueError(f'{path}: is written twice; expected another path for each file.')
  with contextlib.ExitStack() as undo:
    for path, data in files.items():
      remove_unfinished(*os.path.split(places[path]))
      undo.callback(_remove_made, _make_directories(os.path.dirname(places[path])))
      unfinished = _unfinished(places[path])
      undo.callback(_remove_file, unfinished)
      with _named(path, unfinished), open(unfinished, 'wb', buffering=0) as f:
        append(f, data)
        os.fsync(f.fileno())  # A machine that loses its power must not find the name alone.
    for path, place in places.items():
      with _named(path, _unfinished(place)):
        os.replace(_unfinished(place), place)
      flush(os.path.dirname(place))
    undo.pop_all()


@contextlib.contextmanager
def _named(path, unfinished):
  """Lets errors of the file that was to become `path` name that."""
  try:
    yield
  except OSError as error:
    if error.filename in (unfinished, None):
      raise OSError(error.errno, error.strerror, str(path)) from error
    raise


def _make_directories(directory):
  """Makes a directory with all above it; returns those that were not there, the deepest first."""
  made = []
  while not os.path.isdir(directory) and directory != os.path.dirname(directory):
    made.append(directory)
    directory = os.path.dirname(directory)
  if made:
    try:
      os.makedirs(made[0], exist_ok=True)
    except OSError:
      _remove_made(made)
      raise
  return made


def _remove_made(directories):
  """Removes directories that are still empty."""
  for directory in directories:
    with contextlib.suppress(OSError):
      os.rmdir(directory)


def _remove_file(path):
  with contextlib.suppress(FileNotFoundError):
    os.remove(path)


def append(file, data):
  """Writes all of `data` to an unbuffered file.

  A disk that gets full takes a part; the next write says why.

  Raises:
    OSError: naming the file.
  """
  view = memoryview(data)
  try:
    while view:
      view = view[file.write(view):]
  except OSError as error:
    raise OSError(error.errno, error.strerror, str(file.name)) from error


def system_error(text, path):
  """Makes an OSError of what a library says of one in words of its own.

  Args:
    text: of the library's error.
    path: of the file or directory that it is about.

  Returns:
    An OSError with the number and the words of the system, if there are any in the text.
  """
  for number in _OF_STORAGE:
    if os.strerror(number) in text:
      return OSError(number, os.strerror(number), os.fspath(path))
  return OSError(f'{path}: {text}')


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


def remove_unfinished(directory, of=None):
  """Removes files that killed processes of this host have left in a directory, not below it.

  Args:
    directory: need not exist.
    of: name of the file that they were to become; None for all.
  """
  for name in os.listdir(directory) if os.path.isdir(directory) else ():
    writer = re.fullmatch(rf'(.*)\.unfinished-{re.escape(socket.gethostname())}-(\d+)', name,
                          re.DOTALL)
    if writer and of in (None, writer[1]) and not _is_alive(int(writer[2])):
      with contextlib.suppress(OSError):  # It is another user's, or removed by another process.
        os.remove(os.path.join(directory, name))


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


def check_new(path, inputs=None, *, may_lie_in=True):
  """Checks that a directory can be made: a path holds no more than an empty one.

  Args:
    path: of the directory.
    inputs: {what they are: path} of what is read to make it, which nobody is to delete for it.
    may_lie_in: whether what is there may be called an output that lies in an input.

  Raises:
    ValueError: saying what is there, and what to do.
  """
  if os.path.exists(path) and not (os.path.isdir(path) and not os.listdir(path)):
    place = os.path.realpath(path)
    for what, other in (inputs or {}).items():
      other_place = os.path.realpath(other)
      common = os.path.commonpath([place, other_place])
      how = ('is' if place == other_place else 'holds' if common == place else
             'lies in' if common == other_place and not may_lie_in else '')
      if how:
        raise ValueError(f'{path}: {how} {what}, {other}; expected a new directory. Choose another '
                         'one, and keep what is there.')
    raise ValueError(f'{path}: already exists and is not overwritten. Delete it, or choose another '
                     'directory.')
  if os.path.ismount(os.path.realpath(path)):
    raise ValueError(f'{path}: a file system is mounted there, and no directory can take its '
                     'place. Choose a directory in it.')


@contextlib.contextmanager
def new_directory(path):
  """Makes a directory that appears under its name only when the block has succeeded.

  An interrupted block leaves nothing. A killed process leaves a directory `<path>.unfinished-*`,
  which the next block for the same path removes if it runs on that host: nobody holds its lock any
  more. Process numbers would not tell, as containers have their own.

  Args:
    path: of the directory; must not exist, or be empty.

  Yields:
    An empty directory beside `path` to write into: its `content` becomes `path`, what else is in
    it goes.

  Raises:
    ValueError: if `path` already holds something.
  """
  check_new(path)
  path = os.path.realpath(path)
  _remove_left(path)
  staging = f'{_unfinished(path)}-{uuid.uuid4().hex[:8]}'
  with contextlib.ExitStack() as stack:
    made = _make_directories(os.path.dirname(path))
    stack.callback(_remove_made, made)
    os.mkdir(staging)
    stack.callback(shutil.rmtree, staging, ignore_errors=True)
    stack.enter_context(_locked(staging))
    os.mkdir(os.path.join(staging, 'content'))  # Once it is locked, see `_remove_left`.
    try:
      yield staging
      os.rename(os.path.join(staging, 'content'), path)
    except OSError as error:
      check_new(path)  # Another process has made it since.
      is_full = error.filename is None and error.errno in _FULL
      if is_full or str(error.filename).startswith(staging):  # Which nobody will find.
        raise OSError(error.errno, error.strerror, path) from error
      raise


@contextlib.contextmanager
def _locked(directory):
  """Holds the lock of a directory; yields whether it has it, as not all file systems have locks."""
  descriptor = os.open(directory, os.O_RDONLY)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    has_lock = True
  except OSError:
    has_lock = False
  try:
    yield has_lock
  finally:
    os.close(descriptor)


def _remove_left(path):
  """Removes what killed makers of a directory have left on this host."""
  parent, name = os.path.split(path)
  pattern = rf'{re.escape(name)}\.unfinished-{re.escape(socket.gethostname())}-\d+-[0-9a-f]{{8}}'
  for other in os.listdir(parent) if os.path.isdir(parent) else ():
    left = os.path.join(parent, other)
    # Without content its maker may be about to lock it.
    if re.fullmatch(pattern, other) and os.path.isdir(os.path.join(left, 'content')):
      with contextlib.suppress(FileNotFoundError), _locked(left) as is_left:
        if is_left:
          shutil.rmtree(left, ignore_errors=True)  # Others may remove it at the same time.
