"""Ends a program in one line at Ctrl-C or SIGTERM while it starts, as `cli` does later.

A program imports its libraries for seconds before `cli` is there. A signal would show the
traceback of an import, or the error that a library makes of it. Nothing has been written yet, so
the process ends at once. Before this is imported, for the first hundredths of a second, Python
itself starts, and shows a traceback of its own.
"""

import os
import signal
import sys

INTERRUPTED, TERMINATED = 130, 143  # What shells report of a process ended by SIGINT, SIGTERM.
# {signal: its handler, line and exit code}.
_ENDINGS = {signal.SIGINT: (signal.default_int_handler, 'interrupted', INTERRUPTED),
            signal.SIGTERM: (signal.SIG_DFL, 'terminated', TERMINATED)}


def begin():
  """Takes signals if this process is `python -m <package>.<program>` and nobody else does.

  To be called while the package is imported, which is before the program's own module.
  """
  # Python sets it to the program's path once it has found that.
  is_program = sys.argv[:1] == ['-m']
  for number, (handler, *_) in _ENDINGS.items():
    if is_program and signal.getsignal(number) is handler:
      signal.signal(number, leave)


def end():
  """Gives signals back: from now on SIGINT raises KeyboardInterrupt."""
  for number in _ENDINGS:
    if signal.getsignal(number) is leave:
      signal.signal(number, before(number))


def before(number):
  """Returns the handler that a signal has if no program takes it; None if somebody else does."""
  usual = _ENDINGS[number][0]
  return usual if signal.getsignal(number) in (usual, leave) else None


def leave(number, unused_frame=None):
  """Ends the process at once with the line and the exit code of a signal."""
  _, line, code = _ENDINGS[number]
  os.write(sys.stderr.fileno(), f'{line}\n'.encode())
  os._exit(code)
