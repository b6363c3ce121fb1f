"""Describes a number that evaluations of agents give."""

from typing import NamedTuple


class Metric(NamedTuple):
  """A score of an evaluation.

  Attributes:
    title: for readers.
    unit: of its axis.
    digits: after the point.
    lowest: that it can be.
    highest: that it can be.
    is_optional: whether it may be null.
  """
  title: str
  unit: str = ''
  digits: int = 3
  lowest: float = -float('inf')
  highest: float = float('inf')
  is_optional: bool = False
