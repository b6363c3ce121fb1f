"""Records versions of a run: of this code, and of the packages that numbers depend on."""

import contextlib
import functools
import importlib.metadata
import json
import pathlib
import subprocess
import time

from alpt_jax.files import atomic_files

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'array-record',
             'opencv-python-headless', 'ale-py', 'vizdoom')
_ROOT = pathlib.Path(__file__).resolve().parents[2]
SESSIONS = 'sessions.jsonl'  # In a run directory: a line for every process that trained there.


@functools.cache
def current():
  """Returns {package: version}; of alpt_jax the commit, with '+' if files differ from it."""
  found = {}
  for name in _PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # Some are optional.
      found[name] = importlib.metadata.version(name)
  commit = _git('rev-parse', '--short=10', 'HEAD') if (_ROOT / '.git').exists() else ''
  if commit:
    is_changed = _git('status', '--porcelain', '--untracked-files=no')
    found['alpt_jax'] = commit + '+' * bool(is_changed)
  return found


def _git(*args):
  """Output of git about this code; '' if there is no git, or no repository."""
  try:
    return subprocess.run(['git', '-C', _ROOT, *args], capture_output=True, text=True, check=True,
                          timeout=10).stdout.strip()
  except (OSError, subprocess.SubprocessError):
    return ''


def record_session(directory, start_step):
  """Records that a process of these versions begins to train in a run directory.

  Args:
    directory: of the run.
    start_step: updates made before.
  """
  line = {'step': start_step, 'time': time.time(), 'versions': current()}
  with open(pathlib.Path(directory, SESSIONS), 'ab', buffering=0) as f:
    atomic_files.append(f, f'{json.dumps(line)}\n'.encode())


def of_run(directory):
  """Returns the versions that trained a run, each as text, in order; [] if not recorded."""
  found = []
  try:
    lines = pathlib.Path(directory, SESSIONS).read_text(encoding='utf-8').splitlines()
  except FileNotFoundError:
    return []
  for line in lines:
    try:
      versions = json.loads(line)['versions']
    except (ValueError, KeyError, TypeError):  # Cut off by a kill.
      continue
    text = as_text(versions)
    if text not in found:
      found.append(text)
  return found


def started(directory):
  """Returns when a run's first session began, seconds since 1970; None if not recorded."""
  try:
    with open(pathlib.Path(directory, SESSIONS), encoding='utf-8') as f:
      return float(json.loads(f.readline())['time'])
  except (FileNotFoundError, ValueError, KeyError, TypeError):
    return None


def as_text(versions):
  """Formats versions, e.g. 'flax 0.12.8, jax 0.10.2'."""
  return ', '.join(f'{name} {version}' for name, version in sorted(versions.items()))
