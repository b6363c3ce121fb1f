"""Metric: title, unit and range of a number that evaluations of agents give."""

from typing import Any, NamedTuple

from alpt_jax import schema


class Metric(NamedTuple):
  """A score of an evaluation.

  Attributes:
    title: for readers.
    unit: of its axis.
    digits: after the point.
    kind: of its values, see `schema`.
  """
  title: str
  unit: str = ''
  digits: int = 3
  kind: Any = schema.FINITE
