"""Writes and reads metrics.jsonl.

metrics.jsonl holds one JSON object a line, {"step": 100, "idm/loss": 1.25}. It can be read while
the run is under way. A killed run's file, opened again at the step it resumes from, ends up equal
to that of an unbroken run, if a step's line is written before the step's checkpoint. If the machine
may lose its power, the line must be on the disk before, too.

What shows metrics elsewhere (training/events.py, training/wandb_run.py) gets its lines from here,
after the file has them.
"""

import contextlib
import json
import math
import os
import pathlib

from alpt_jax.files import atomic_files


class MetricsWriter(contextlib.AbstractContextManager):
  """Appends metrics to a file, one JSON object a line.

  Attributes:
    lines: list of dicts, what the file held when it was opened, without what was dropped.
  """

  def __init__(self, path, *, resume_step):
    """Opens a file and drops what the resumed run will write again.

    Args:
      path: of metrics.jsonl; made if missing, with its directory.
      resume_step: updates made before this process started, 0 for a new run. Lines of later
        steps are removed, and a half-written last line too.

    Raises:
      ValueError: if a line other than the last is no metrics line.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    self.lines = _truncate(path, resume_step) if path.exists() else []
    self._viewers = []
    self._file = path.open('ab', buffering=0)  # A kill loses no line.

  def __exit__(self, *unused):
    self.close()

  def add(self, viewer):
    """Shows a viewer every line from now on, by its `write`; `lines` are what it has missed."""
    self._viewers.append(viewer)

  def write(self, step, metrics):
    """Appends a line.

    Args:
      step: updates made so far.
      metrics: dict of names to numbers or scalar arrays. What is not finite becomes null.

    Raises:
      OSError: naming the file, e.g. if the disk is full.
    """
    line = {'step': int(step)}
    for name, value in metrics.items():
      value = float(value)
      line[name] = value if math.isfinite(value) else None
    atomic_files.append(self._file, (json.dumps(line) + '\n').encode())
    for viewer in self._viewers:
      viewer.write(line)

  def sync(self):
    """Waits until all lines are on the disk; before a checkpoint of the last line's step."""
    os.fsync(self._file.fileno())

  def close(self):
    """Closes the file."""
    self._file.close()


def _truncate(path, resume_step):
  """Cuts a file down to the lines of steps up to `resume_step`, and returns these as dicts."""
  kept, contents = [], []
  lines = path.read_bytes().splitlines(keepends=True)
  for number, line in enumerate(lines, 1):
    if not line.endswith(b'\n'):  # Only the last line can lack it: the run was killed.
      break
    try:
      content = json.loads(line)
      step = content['step']
    except (ValueError, KeyError, TypeError) as error:
      raise ValueError(f'{path}:{number}: {line!r} is no line of metrics; expected a JSON object '
                       'with a step. Move the file away.') from error
    if step <= resume_step:
      kept.append(line)
      contents.append(content)
  if len(kept) < len(lines):
    atomic_files.write(path, b''.join(kept))
  return contents
