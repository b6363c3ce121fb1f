"""Preemption: signal handling, and the state that a resumed run needs."""

import contextlib
import os
import signal

import jax

from alpt_jax import schema
from alpt_jax.files import atomic_files
from alpt_jax.process import signals

# Exit codes; whatever else ends a run, e.g. a kill, may be answered by starting it again.
DONE = 0
PREEMPTED = 75  # Stopped by a signal, has saved, can be resumed.
POISONED = 77  # A loss is not finite; starting it again would end there again.


class Stopped(BaseException):
  """A signal came where it need not wait; not an error, so nothing that handles errors takes it."""


class StopSignal:
  """Remembers SIGTERM or SIGINT; a second SIGINT interrupts at once."""

  def __enter__(self):
    self.is_set, self._is_raising = False, False
    self._previous = {s: signal.signal(s, self._handle) for s in (signal.SIGTERM, signal.SIGINT)}
    return self

  def __exit__(self, kind, error, unused_trace):
    wanted = signals.settle()
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    if wanted and not signals.is_of(error, wanted):
      raise wanted

  def _handle(self, number, unused_frame):
    if self.is_set and number == signal.SIGINT:
      return signals.insist(KeyboardInterrupt)
    self.is_set = True
    if self._is_raising:
      signals.insist(Stopped)

  @contextlib.contextmanager
  def raising(self):
    """Raises `Stopped` if the signal has come, or as soon as it comes: the block takes long.

    With several processes it waits: all stop at the same step.
    """
    self._is_raising = jax.process_count() == 1
    try:
      if self.is_set and self._is_raising:
        raise Stopped
      yield
    finally:
      self._is_raising = False
      signals.settle(Stopped)

  def unless_set(self, function, *args):
    """Calls a function that takes long, see `raising`; returns its result, None if stopped."""
    try:
      with self.raising():
        return function(*args)
    except Stopped:
      signals.settle(Stopped)  # It may have come after the block had ended.
      return None


class Postponed:
  """The metrics of a step whose evaluation was stopped, for the process that resumes the run."""

  def __init__(self, workdir):
    self._path = os.path.join(workdir, 'unevaluated.json')

  def write(self, step, scalars):
    """Records a step; before its state is saved."""
    atomic_files.write_json(self._path, {'step': step, 'metrics': scalars})

  def read(self, step):
    """Returns the metrics of a step, or None if it is not the one."""
    if not os.path.exists(self._path):
      return None
    content = schema.read(self._path, {'step': int, 'metrics': dict},
                          'Delete it; the metrics of the step that was not evaluated are lost.')
    return content['metrics'] if content['step'] == step else None

  def remove(self):
    """Forgets the step."""
    if os.path.exists(self._path):
      os.remove(self._path)
