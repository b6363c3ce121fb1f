"""Lists what to know of a run's data: epochs of every stream, and notes of its domain.

Equal shares repeat small data many times: of 2,080 rows an update for five games, the 2,000
labelled windows of the target get 416, which makes 208,000 epochs in a million updates.
"""

import sys
from typing import NamedTuple

from alpt_jax import domains, methods
from alpt_jax.data import sampling

MAX_EPOCHS = 200  # More are warned of.
_NAMES = {methods.SOURCES: 'source', methods.LABELLED: 'labelled windows', methods.TARGET: 'target'}


class Exposure(NamedTuple):
  """Data of one stream in a run.

  Attributes:
    part: a field of `types.Batches`.
    environment: its name.
    data: one of the names in `methods`.
    rows: windows in an update.
    num_windows: windows that the run sees.
    per_epoch: expected number of windows in which every transition counts once.
  """
  part: str
  environment: str
  data: str
  rows: int
  num_windows: int
  per_epoch: float

  @property
  def epochs(self):
    """How often the run sees a transition."""
    return self.num_windows / self.per_epoch


def measure(streams, names, *, window, num_steps):
  """Measures the streams of a run.

  Args:
    streams: list of `pipeline.Stream`.
    names: of the environments that they index.
    window: transitions in a window.
    num_steps: updates of the whole run.

  Returns:
    A list of `Exposure`.
  """
  return [Exposure(s.part, names[s.environment], s.data, s.rows, s.rows * num_steps,
                   sampling.windows_per_epoch(s.segments, window)) for s in streams]


def lines(exposures, *, num_steps):
  """Describes streams: a line each, and a line of warning for each of more than MAX_EPOCHS.

  Args:
    exposures: from `measure`.
    num_steps: updates of the whole run.

  Returns:
    A list of strings.
  """
  result = []
  for e in exposures:
    epochs = f'{e.epochs:,.0f}' if e.epochs >= 100 else f'{e.epochs:.3g}'
    result.append(f'{e.part}: {_NAMES[e.data]} of {e.environment}: {e.rows:,} rows an update, '
                  f'{e.num_windows:,} windows in {num_steps:,} updates, {epochs} epochs')
  for e in exposures:
    if e.epochs > MAX_EPOCHS:
      result.append(f'warning: {e.part} sees the {_NAMES[e.data]} of {e.environment} '
                    f'{e.epochs:,.0f} times; more than {MAX_EPOCHS} invite learning by heart. Take '
                    'fewer updates, more labels, or, beside sources, fewer rows '
                    '(--config.sampling.labelled_share).')
  return result


def write(streams, names, config, window, stream=None):
  """Writes the lines of a run at its start; to standard error if `stream` is None.

  When it starts, not before: no note helps whoever has to mend an error first.
  """
  found = measure(streams, names, window=window, num_steps=config.num_steps)
  notes = domains.notes(config) if config.train_dt else []  # They are about agents.
  stream = stream or sys.stderr
  for line in (*notes, *lines(found, num_steps=config.num_steps)):
    stream.write(f'{line}\n')
  stream.flush()
