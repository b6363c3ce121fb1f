"""Raises the exceptions of signals so that none is lost.

Python raises what a signal's handler raises wherever the main thread happens to be. In a callback
of the garbage collector (JAX has one), a finaliser or a function that is called from C nobody takes
it: Python prints "Exception ignored" and goes on. Libraries turn it into errors of their own, or
clear it. So it is raised again every few hundredths of a second until it is seen on its way up.
Each attempt also ends a system call that waits.
"""

import signal
import sys
import time

_INTERVAL = .05  # Seconds between two attempts.
_PATIENCE = 5.  # Seconds that cleaning up is left alone by more signals of the same kind.


class _Wanted:
  """The exception that is raised until it is settled; of the process, as signals are."""
  error, since, show = None, 0., None
  alarm, timer = None, (0., 0.)  # Of others, before.


def insist(error):
  """Raises an exception, and again until it is on its way; to be called in a signal's handler.

  While it is on its way, more calls do not disturb those who clean up in `except`, `finally` and
  `__exit__`, for some seconds; finalisers that run meanwhile may be.

  Args:
    error: class of the exception; replaces one that is not settled.
  """
  if error is _Wanted.error and _is_on_its_way() and time.monotonic() < _Wanted.since + _PATIENCE:
    return
  if _Wanted.error is None:
    _Wanted.show, sys.unraisablehook = sys.unraisablehook, _show_others
  if error is not _Wanted.error:
    _Wanted.error, _Wanted.since = error, time.monotonic()
  alarm = signal.signal(signal.SIGALRM, _again)
  timer = signal.setitimer(signal.ITIMER_REAL, _INTERVAL, _INTERVAL)
  if alarm is not _again:
    _Wanted.alarm, _Wanted.timer = alarm, timer
  raise error


def settle(kind=BaseException):
  """Ends insisting on an exception of a class; returns its own, None if there was none."""
  error = _Wanted.error
  if error is None or not issubclass(error, kind):
    return None
  _Wanted.error = None
  signal.setitimer(signal.ITIMER_REAL, *_Wanted.timer)  # A little late.
  if signal.getsignal(signal.SIGALRM) is _again:
    signal.signal(signal.SIGALRM, signal.SIG_DFL if _Wanted.alarm is None else _Wanted.alarm)
  if sys.unraisablehook is _show_others:
    sys.unraisablehook = _Wanted.show
  return error


def is_of(error, kinds):
  """Whether an error is of some classes, or was raised while one of them was on its way.

  Compiled modules, and whoever cleans up, make errors of their own of a signal.

  Args:
    error: an exception or None.
    kinds: class or tuple of classes.
  """
  seen = []  # An error may be its own cause.
  while error is not None and error not in seen and not isinstance(error, SystemExit):
    seen.append(error)
    if isinstance(error, kinds):
      return True
    error = error.__cause__ or error.__context__
  return False


def _again(*unused):
  """As a handler of SIGALRM."""
  if _Wanted.error is not None and not _is_on_its_way():
    raise _Wanted.error


def _is_on_its_way():
  # What is handled by any function that is running, i.e. also while others clean up.
  return is_of(sys.exception(), _Wanted.error)


def _show_others(unraisable):
  """As `sys.unraisablehook`; what is raised again need not be shown."""
  if _Wanted.error is None or not issubclass(unraisable.exc_type, _Wanted.error):
    _Wanted.show(unraisable)
