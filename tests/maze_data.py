"""The mazes of the tiny preset, recorded once for all tests of a session."""

import atexit
import functools
import shutil
import tempfile

from experiments import collect
from experiments.configs import maze


@functools.cache
def recorded():
  """Returns a directory with the data of the tiny preset."""
  settings = maze.get_config('tiny')
  settings.data_dir = tempfile.mkdtemp()
  atexit.register(shutil.rmtree, settings.data_dir, ignore_errors=True)
  collect.main(settings)
  return settings.data_dir


def config(workdir, **changes):
  """The tiny preset on the recorded data; `changes` are fields of the top level."""
  result = maze.get_config('tiny')
  result.data_dir, result.workdir = recorded(), str(workdir)
  result.update(changes)
  return result
