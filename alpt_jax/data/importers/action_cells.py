"""What the cells of a list of actions say: a value, or nothing where it is not known.

Of one discrete action there is a column `action`; of several parts there is one for each, called as
its `key` in the environment file, which is its name unless it says otherwise. A cell holds

  action, categorical parts  a name, or an index of the names
  binary parts               0 or 1, false or true
  continuous parts           a number, in the unit of the part

and is empty (in JSON null) where that is not known.
"""

import functools
import math
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from alpt_jax import action_parts
from alpt_jax.data import action_fields, environment_file

MOST_DIGITS, _MOST_LETTERS = 18, 200  # Of an integer; of what a message quotes.
_BITS = {'false': 0, 'true': 1}


class Column(NamedTuple):
  """A column of a list.

  Attributes:
    parse: function of what a cell holds, a string or what JSON has: a number. Raises ValueError,
      which names the column, if it means nothing.
    kind: function of such numbers: what two people agree on, bins of continuous parts.
  """
  parse: Callable[[Any], float]
  kind: Callable[[float], int]


def look(name):
  """Makes one form of the names that look the same."""
  return unicodedata.normalize('NFC', name)


@functools.singledispatch
def columns(actions):
  """Returns {column: `Column`} of the actions of an environment file."""
  raise NotImplementedError(type(actions))


@columns.register
def _(actions: environment_file.Actions):
  parse = functools.partial(
      _choice, 'action', names=actions.space, legal=actions.legal, field='actions.legal',
      indices=actions.stored or actions.space)
  return {'action': Column(parse, int)}


@columns.register
def _(actions: environment_file.ActionParts):
  return {look(key): Column(functools.partial(_PARSERS[part.kind], key, part=part),
                            lambda value, part=part: int(part.classes(value)))
          for part, key in zip(actions.parts, actions.keys, strict=True)}


@functools.singledispatch
def recorded(actions, values, is_known):
  """Returns actions and is_labelled of a `checks.Recording`.

  Args:
    actions: of an environment file.
    values: {column: [T] float}.
    is_known: {column: [T] bool}.
  """
  raise NotImplementedError(type(actions))


@recorded.register
def _(actions: environment_file.Actions, values, is_known):
  del actions
  return values['action'].astype(np.int64), is_known['action']


@recorded.register
def _(actions: environment_file.ActionParts, values, is_known):
  values, is_known = ({part.name: of[look(key)] for part, key in zip(
      actions.parts, actions.keys, strict=True)} for of in (values, is_known))
  return action_fields.stored(actions.spec(), values, is_known), is_known


def quoted(value):
  """A value as Python writes it, but for what goes on for long."""
  text = repr(value)
  return text if len(text) <= _MOST_LETTERS else f'{text[:_MOST_LETTERS]} ..'


def number(value):
  """Returns the finite number that a cell holds, or NaN."""
  try:
    found = float(value)
  except (TypeError, ValueError, OverflowError):
    return math.nan
  # Python takes 1_0 for 10, and True for 1.
  is_meant = math.isfinite(found) and not isinstance(value, bool) and '_' not in str(value)
  return found if is_meant else math.nan


@functools.cache
def _looks(names):
  return {look(name): name for name in names}


def _choice(column, value, *, names, legal, field, indices):
  """The id of a name, or of an index of `indices`."""
  index, name = None, None
  if isinstance(value, str):
    name = _looks(names).get(look(value))
    if name is None and value.strip().isdecimal() and len(value) <= MOST_DIGITS:
      index = int(value)
  elif isinstance(value, int) and not isinstance(value, bool):
    index = value
  if index is not None and 0 <= index < len(indices):
    name = indices[index]
    if str(value) in names and str(value) != name:
      raise ValueError(f'{column} is {value!r}, the index of {name!r} and a name; expected one of '
                       'both. Write names as strings.')
  if name not in legal:
    raise ValueError(f'{column} is {quoted(value)}; expected one of {field}, {list(legal)}, or an '
                     'index. Correct it, or the environment file.')
  return names.index(name)


def _categorical(column, value, *, part):
  return _choice(column, value, names=part.names, legal=part.legal, indices=part.names,
                 field=f'actions.parts.{part.name}.legal')


def _binary(column, value, *, part):
  del part
  found = value if isinstance(value, bool) else _BITS.get(str(value).strip().lower(), number(value))
  if found not in (0, 1):
    raise ValueError(f'{column} is {quoted(value)}; expected 0 or 1, false or true, or nothing. '
                     'Correct it.')
  return int(found)


def _continuous(column, value, *, part):
  found = number(value)
  if part.low <= found <= part.high:  # `problem` takes ten times as long.
    return found
  is_wrong, expected = part.problem(found)  # In float32, a little more may be right.
  if is_wrong:
    raise ValueError(f'{column} is {quoted(value)}; expected {expected}, or nothing. Correct it, '
                     'or the environment file.')
  return found


_PARSERS = {action_parts.Categorical.kind: _categorical, action_parts.Binary.kind: _binary,
            action_parts.Continuous.kind: _continuous}
