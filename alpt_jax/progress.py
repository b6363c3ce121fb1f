"""Progress bars on a terminal, progress lines in a log file; tqdm formats both."""

import contextlib
import math
import shutil
import sys
import time

import tqdm

_PLAIN_INTERVAL = 10.  # Seconds between lines of a log file.
_TERMINAL_INTERVAL = .1  # Seconds between changes of a line on a terminal.


class Progress(contextlib.AbstractContextManager):
  """How far a run is: a line rewritten in place on a terminal, plain lines in a log file."""

  def __init__(self, total_steps, *, label, unit='steps', stream=None, start_step=0,
               clock=time.monotonic):
    """Writes nothing yet.

    Args:
      total_steps: step at which the run is done.
      label: what is being done, e.g. 'train'.
      unit: what a step is called.
      stream: where to; standard error if None.
      start_step: updates made before this process started.
      clock: function that returns seconds.
    """
    self._total_steps, self._label, self._start_step = total_steps, label, start_step
    self._unit = unit
    self._stream = sys.stderr if stream is None else stream
    self._is_terminal = self._stream.isatty()
    self._clock = clock
    self._start_time = clock()
    self._first = None  # Step and time of the first update.
    self._written_time = -math.inf
    self._written_length = 0
    self._step, self._values = start_step, {}
    self._written_step = None

  def __exit__(self, *unused):
    self.close()

  def update(self, step, **values):
    """Records a step, and writes if it is time to.

    Args:
      step: updates made so far.
      **values: numbers or strings to show, e.g. loss=1.2; shown until they change.
    """
    if self._first is None:
      self._first = step, self._clock()
    self._step = step
    self._values |= values
    interval = _TERMINAL_INTERVAL if self._is_terminal else _PLAIN_INTERVAL
    if step >= self._total_steps or self._clock() - self._written_time >= interval:
      self._write()

  def close(self):
    """Writes the last step if it isn't there yet, and ends the line."""
    if self._step != self._written_step and self._step != self._start_step:
      self._write()
    if self._is_terminal and self._written_length:
      self._stream.write('\n')
      self._stream.flush()
      self._written_length = 0

  def _write(self):
    if self._is_terminal:
      # A line as wide as the terminal would wrap, and could not be rewritten.
      line = self._line('[{bar:20}] ', shutil.get_terminal_size().columns - 1)
      self._stream.write('\r' + line.ljust(self._written_length))
      self._written_length = len(line)
    else:
      self._stream.write(self._line('', None) + '\n')
    self._stream.flush()
    self._written_time, self._written_step = self._clock(), self._step

  def _speed(self, now):
    """Steps per second since the first update: what came before it was mostly compilation."""
    step, time_ = self._first
    if self._step == step:
      step, time_ = self._start_step, self._start_time
    return (self._step - step) / (now - time_) if now > time_ else 0.

  def _line(self, bar, num_columns):
    now, total = self._clock(), max(self._total_steps, 1)
    end = 'took {elapsed}' if self._step >= self._total_steps else 'ETA {remaining}'
    values = [f'{name} {value if isinstance(value, str) else format(float(value), ".4g")}'
              for name, value in self._values.items()]
    step = min(self._step, total)
    percentage = 100 * step // total  # Rounded down: 100 % is what is done.
    return tqdm.tqdm.format_meter(
        step, total, now - self._start_time, ncols=num_columns, ascii='.#',
        prefix=self._label, unit=f' {self._unit}', rate=self._speed(now), postfix=', '.join(values),
        bar_format=f'{{desc}} {bar}{percentage}% {{n_fmt}}/{{total_fmt}}, '
                   f'{{rate_noinv_fmt}}, {end}{{postfix}}')
