"""Writes array_record files, and says as the system does why one cannot be written."""

import os

from array_record.python import array_record_module

from alpt_jax.files import atomic_files


class RecordFile:
  """An array_record file being written, a context manager; whole once it is closed.

  Raises:
    OSError: naming the file, e.g. if the disk is full. The library's errors are RuntimeErrors.
  """

  def __init__(self, path, options='group_size:1'):
    """Opens it.

    Args:
      path: of the file.
      options: of the library. group_size:1 stores each record for itself: reading one does not
        unpack its neighbours.
    """
    self._path = os.fspath(path)
    self._writer = array_record_module.ArrayRecordWriter(self._path, options)

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    self.close()

  def write(self, record):
    """Appends a record, bytes."""
    try:
      self._writer.write(record)
    except RuntimeError as error:
      raise atomic_files.system_error(str(error), self._path) from error

  def close(self):
    """Writes what is left, and waits until it is on the disk."""
    try:
      self._writer.close()
    except RuntimeError as error:
      raise atomic_files.system_error(str(error), self._path) from error
    atomic_files.flush(self._path)
