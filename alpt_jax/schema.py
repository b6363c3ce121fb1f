"""Checks JSON against a schema of plain Python types.

A kind of value is one of
  str, bool, dict, list, None, object (anything), int (whole numbers), float (numbers, NaN too)
  [K]                a list of K
  {str: K}           an object with any names and values K
  {'a': K, 'b?': L}  an object with these fields, the second maybe absent; others are let in
  (K, L, None)       one of these; of objects the first whose fields are there, else the last
  Rule, Also         a kind with a condition on its values
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Callable
from typing import Any

_PLAIN = {
    str: ('a string', lambda x: isinstance(x, str)),
    bool: ('true or false', lambda x: isinstance(x, bool)),
    int: ('a whole number', lambda x: isinstance(x, int) and not isinstance(x, bool)),
    float: ('a number', lambda x: isinstance(x, int | float) and not isinstance(x, bool)),
    dict: ('an object', lambda x: isinstance(x, dict)),
    list: ('a list', lambda x: isinstance(x, list)),
    None: ('null', lambda x: x is None),
    object: ('anything', lambda x: True),
}


@dataclasses.dataclass(frozen=True)
class Rule:
  """A kind whose values have to be good by themselves.

  Attributes:
    kind: that they are of.
    is_good: function of a value of that kind.
    expected: in words, the kind included.
  """
  kind: Any
  is_good: Callable[[Any], bool]
  expected: str


@dataclasses.dataclass(frozen=True)
class Also:
  """A kind whose values are checked by a function, too, e.g. several fields together.

  Attributes:
    kind: that they are of.
    check: check(value, where); raises a ValueError, see `fail`.
  """
  kind: Any
  check: Callable[[Any, str], None]


def one_of(values):
  """Makes the kind of some values: strings or numbers."""
  values = sorted(values)
  return Rule(object, lambda x: x in values,
              repr(values[0]) if len(values) == 1 else f'one of {values}')


def filled(kind):
  """Makes the kind of lists or objects that are not empty."""
  return Rule(kind, len, _top(kind)[0] + ', not empty')


def optional(kind, *names):
  """Makes fields of an object that may be absent, all of one kind."""
  return {f'{name}?': kind for name in names}


COUNT = Rule(int, lambda x: x >= 0, 'a whole number, 0 or more')
POSITIVE = Rule(int, lambda x: x > 0, 'a whole number, 1 or more')
FINITE = Rule(float, math.isfinite, 'a finite number')
NOT_NEGATIVE = Rule(float, lambda x: 0 <= x < math.inf, 'a finite number, 0 or more')
SHARE = Rule(float, lambda x: 0 <= x <= 1, 'a number between 0 and 1')
NUMBER = (float, None)


def fail(where, found, expected):
  """Raises a ValueError.

  Args:
    where: the field, e.g. 'results.rows[3].step'; '' for the content of a file.
    found: e.g. 'is missing'.
    expected: e.g. 'a number'.
  """
  raise ValueError(f'{where or "the content"} {found}; expected {expected}')


def expect(where, value, is_good, expected):
  """Refuses a value that is not good."""
  if not is_good:
    shown = repr(value)
    fail(where, f'is {shown[:40]}' + '...' * (len(shown) > 40), expected)


def read(path, kind=dict, remedy=''):
  """Reads a JSON file and checks it.

  Args:
    path: of the file.
    kind: see the module.
    remedy: what to do about a damaged file, a sentence that ends messages.

  Returns:
    What the file holds.

  Raises:
    FileNotFoundError: if there is none.
    ValueError: in one line, naming the file, and the first bad field; also of a name that an object
      has twice, of which Python would take the last.
  """
  repeated = []  # (object, name); of objects in each other the outer one comes last.

  def make(pairs):
    made = dict(pairs)
    if len(made) < len(pairs):
      names = [name for name, _ in pairs]
      repeated.append((made, next(name for i, name in enumerate(names) if name in names[:i])))
    return made

  with open(path, 'rb') as file:
    try:
      content = json.load(file, object_pairs_hook=make)
    # Also bytes that are not UTF-8, and brackets in brackets without end.
    except (ValueError, RecursionError) as error:
      raise ValueError(f'{path}: not JSON ({error}). {remedy}'.rstrip()) from error
  try:
    if repeated:
      fail(_inside(_place(content, repeated[-1][0])) + repeated[-1][1], 'is there twice',
           'every name once')
    check(content, kind)
  except ValueError as error:
    raise ValueError(f'{path}: {error}. {remedy}'.rstrip()) from error
  return content


def check(value, kind, where=''):
  """Refuses JSON that is not of a kind.

  Args:
    value: what json.loads returns, or a part of it.
    kind: see the module.
    where: names the value in messages, e.g. 'results.rows[3]'; '' for the content of a file.

  Raises:
    ValueError: in one line, naming the first bad field, what it holds and what was expected.
  """
  words, is_good = _top(kind)
  expect(where, value, is_good(value), words)
  if isinstance(kind, Rule | Also):
    check(value, kind.kind, where)
    if isinstance(kind, Also):
      kind.check(value, where)
  elif isinstance(kind, tuple):
    check(value, _choice(value, kind), where)
  elif isinstance(kind, list):
    for i, x in enumerate(value):
      check(x, kind[0], f'{where}[{i}]')
  elif isinstance(kind, dict):
    for name, of_field in (dict.fromkeys(value, kind[str]) if str in kind else kind).items():
      key = name if name in value else name.removesuffix('?')
      if key in value:
        check(value[key], of_field, _inside(where) + key)
      elif key == name:
        fail(_inside(where) + name, 'is missing', _top(of_field)[0])


def check_names(record, kind, where=''):
  """Refuses keys of an object that are no fields of its kind, with the nearest that is one."""
  known = [name.removesuffix('?') for name in kind]
  for key in record:
    if key not in known:
      close = difflib.get_close_matches(key, known, n=1)
      raise ValueError(f'{_inside(where)}{key} is an unknown key; expected {", ".join(known)}'
                       + (f'; did you mean {close[0]}?' if close else ''))


def _place(value, wanted, where=''):
  """Names the place of an object within a value; None if it is not there."""
  if value is wanted:
    return where
  items = value.items() if isinstance(value, dict) else (
      enumerate(value) if isinstance(value, list) else ())
  inside = (_place(x, wanted, f'{where}[{key}]' if isinstance(value, list) else
                   _inside(where) + key) for key, x in items)
  return next((place for place in inside if place is not None), None)


def _inside(where):
  return f'{where}.' if where else ''


def _top(kind):
  """(words, is_good) of a kind, without what is within its values."""
  if isinstance(kind, Rule):
    _, is_good = _top(kind.kind)
    return kind.expected, lambda x: is_good(x) and kind.is_good(x)
  if isinstance(kind, Also):
    return _top(kind.kind)
  if isinstance(kind, tuple):
    words, tests = zip(*map(_top, kind), strict=True)
    return ' or '.join(dict.fromkeys(words)), lambda x: any(is_good(x) for is_good in tests)
  return _PLAIN[type(kind) if isinstance(kind, list | dict) else kind]


def _choice(value, kinds):
  """The one of several kinds that a value is held against."""
  fits = [kind for kind in kinds if _top(kind)[1](value)]
  return next((kind for kind in fits if not isinstance(value, dict)
               or _needed(kind) <= value.keys()), fits[-1])


def _needed(kind):
  """Names of the fields that an object has to have."""
  while isinstance(kind, Rule | Also):
    kind = kind.kind
  return {name for name in kind if name is not str and not name.endswith('?')} if (
      isinstance(kind, dict)) else set()
