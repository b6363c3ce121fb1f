"""How fast time passes in a dataset, which is part of what an IDM learns.

An IDM knows an action by what it changes in a step. Trained on 15 steps a second, it sees a fourth
of every change in data of 60: its labels are wrong, and nothing else would tell. So whatever brings
an IDM and data together compares three values that both know: `observation_kind`,
`steps_per_second` (within 1 %, as imports do) and `frame_skip`. A difference is refused unless
somebody allows it; a speed that one of them does not know is said.
"""

import math
from typing import NamedTuple

from alpt_jax.data import rlds, source_files

_TOLERANCE = .01
_FIELDS = ('observation_kind', 'steps_per_second', 'frame_skip')


class TimeScale(NamedTuple):
  """How fast time passes in a dataset.

  Attributes:
    observation_kind: one of `types.OBSERVATION_KINDS`.
    steps_per_second: how many actions are chosen in a second; None if that is not known.
    frame_skip: every how manyth frame of what was imported is a step; None if that is not known.
    is_measured: whether steps_per_second is that of the frames' times, or of an emulator, and not
      only what somebody wrote down. Of two datasets whose rates were measured, frame_skip says
      nothing more.
  """
  observation_kind: str
  steps_per_second: float | None = None
  frame_skip: int | None = None
  is_measured: bool = False


class Comparison(NamedTuple):
  """What two time scales have to do with each other: sentences."""
  differences: list
  unknown: list


def of_dataset(directory, environment):
  """Reads the time scale of a dataset that has an environment file.

  Args:
    directory: of the dataset.
    environment: its `environment_file.Environment`.

  Returns:
    `TimeScale`; where the environment file has no steps_per_second, the one of all videos.
  """
  card = rlds.read_card(directory) or {}
  rates = [entry.get('steps_per_second') for entry in card.get(source_files.KEY) or ()]
  is_measured = bool(rates) and None not in rates
  rate = environment.steps_per_second
  if rate is None and is_measured and _is_one_rate(min(rates), max(rates)):
    rate = rates[0]
  return TimeScale(environment.observation.kind, rate,
                   (card.get('metadata') or {}).get('frame_skip'),
                   is_measured and rate is not None)


def compare(found, learned, *, where, of):
  """Compares the time scale of data with one that was learned from.

  Args:
    found: `TimeScale`; None if time means nothing there, and nothing is compared.
    learned: the same; None if nobody wrote it down.
    where: what to call the data, e.g. its path.
    of: what to call the other, e.g. 'the IDM of runs/own'.

  Returns:
    `Comparison`.
  """
  result = Comparison([], [])
  if found is None:
    return result
  learned = learned or TimeScale(found.observation_kind)
  is_one_rate = found.is_measured and learned.is_measured and _is_one_rate(
      found.steps_per_second, learned.steps_per_second)
  for field in _FIELDS:
    values = getattr(found, field), getattr(learned, field)
    if None in values:
      if field == 'steps_per_second':
        who = ' and of '.join(name for name, value in zip((where, of), values, strict=True)
                              if value is None)
        result.unknown.append(f'steps_per_second of {who} is not known, so whether {where} and '
                              f'{of} have one speed was not compared.')
    elif field == 'frame_skip' and is_one_rate or (
        field == 'steps_per_second' and _is_one_rate(*values)):
      continue
    elif values[0] != values[1]:
      a, b = (f'{value:g}' if isinstance(value, float) else value for value in values)
      result.differences.append(f'{field} of {where} is {a}, that of {of} is {b}')
  return result


def refuse(differences, *, is_allowed, remedy):
  """Raises a ValueError if there are differences, see `compare`, and nobody allows them.

  Args:
    differences: list of sentences.
    is_allowed: whether to go on.
    remedy: what to do, a part of a sentence that begins with a small letter.
  """
  if differences and not is_allowed:
    raise ValueError(f'{"; ".join(differences)}. An IDM knows an action by what it changes in a '
                     f'step: {remedy}.')


def _is_one_rate(a, b):
  """Whether two steps_per_second are known and the same."""
  return None not in (a, b) and math.isclose(a, b, rel_tol=_TOLERANCE)
