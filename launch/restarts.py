"""Decides by a program's exit code whether and when a run is started again.

The codes are those of experiments/train.py: 0 done; 1 a mistake in the config or the data; 75
stopped by a signal after saving; 77 a loss that is not finite. A mistake and a poisoned loss come
back at every start, so 1 and 77 are never started again. Whatever else ends a program, e.g. a kill
(137), says nothing about the next start.
"""

import time

DONE, MISTAKE, PREEMPTED, POISONED = 0, 1, 75, 77
LOST = 255  # The machine went away, and with it how the program ended. ssh's code for it.
_ORPHANS_SECONDS = 10.
UNAVAILABLE = 69  # There was no machine; sysexits.h.


def is_final(code):
  """Returns whether a program that ended with this code is not started again."""
  return code in (DONE, MISTAKE, POISONED)


def shell_code(returncode):
  """Converts an exit code to the shell's: signal n is -n in Python, 128 + n there."""
  return 128 - returncode if returncode < 0 else returncode


def patience_seconds(code, grace_seconds):
  """Returns how long the other processes of a run may take to end after one has.

  Args:
    code: that it ended with. After a preemption they are saving, too; otherwise they wait for it in
      vain, and have nothing to save.
    grace_seconds: for saving.
  """
  return grace_seconds if code == PREEMPTED else min(grace_seconds, _ORPHANS_SECONDS)


def first_failure(ends):
  """Returns the exit code of a run of several processes.

  The first to fail decides. What the others say follows from it: a process that waits in a
  collective for a killed one ends with an error of its own.

  Args:
    ends: (time, exit code) of every process.

  Returns:
    0 if all have 0, else the earliest other code.
  """
  failures = [end for end in ends if end[1] != DONE]
  return min(failures)[1] if failures else DONE


class Budget:
  """How often a run may still be started again, and how long to wait before."""

  def __init__(self, max_restarts, first_pause_seconds, max_pause_seconds):
    """Starts with the whole budget.

    Args:
      max_restarts: at least 0; preemptions count, too.
      first_pause_seconds: before the restart after a failure; doubles with every further one.
      max_pause_seconds: where doubling ends.
    """
    self._left = max_restarts
    self._first_pause, self._max_pause = first_pause_seconds, max_pause_seconds
    self._pause = first_pause_seconds

  def spend(self, code):
    """Takes one restart.

    Args:
      code: that the program ended with; not a final one.

    Returns:
      Seconds to wait first, or None if the budget is spent. A preempted run waits for nothing, and
      resets the pause: it got as far as saving.
    """
    if not self._left:
      return None
    self._left -= 1
    if code in (PREEMPTED, LOST):
      self._pause = self._first_pause
      return 0.
    pause, self._pause = self._pause, min(2 * self._pause, self._max_pause)
    return pause


def supervise(attempt, budget, *, say, wait=time.sleep, is_stopping=lambda: False):
  """Runs a program until it is done, or must not or may not be started again.

  Args:
    attempt: function that runs it once and returns its exit code.
    budget: `Budget`.
    say: function that tells the user a line.
    wait: function that waits a number of seconds; may return earlier when the user stops it all.
    is_stopping: function; whether the user has asked to stop.

  Returns:
    The last exit code.
  """
  while True:
    code = attempt()
    if is_final(code) or is_stopping():
      return code
    what = 'the machines are gone' if code == LOST else f'exit code {code}'
    pause = budget.spend(code)
    if pause is None:
      say(f'{what}, and the budget of restarts is spent (--max_restarts)')
      return code
    say(f'{what}: starting again' + (f' in {pause:g} s' if pause else ''))
    if pause:
      wait(pause)
    if is_stopping():
      return code
