"""Ends a program in one line at an interrupt (Ctrl-C) while it starts, as `cli` does later.

A program imports its libraries for seconds before `cli` is there. An interrupt would show the
traceback of an import, or the error that a library makes of it. Nothing has been written yet, so
the process ends at once.
"""

import os
import signal
import sys

INTERRUPTED = 130  # What shells report of a process ended by SIGINT; below, by SIGTERM.
TERMINATED = 143


def begin():
  """Takes interrupts if this process is `python -m <package>.<program>` and nobody else does.

  To be called while the package is imported, which is before the program's own module.
  """
  # Python sets it to the program's path once it has found that.
  is_program = sys.argv[:1] == ['-m']
  if is_program and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)


def end():
  """Gives interrupts back: from now on they raise KeyboardInterrupt."""
  if signal.getsignal(signal.SIGINT) is _leave:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(*unused):
  os.write(sys.stderr.fileno(), b'interrupted\n')
  os._exit(INTERRUPTED)
