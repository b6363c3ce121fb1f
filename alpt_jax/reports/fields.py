"""Checks of single fields of results.json, for `results_file` and whoever knows a part of it."""

import numbers

REMEDY = 'Delete the file and write it again with experiments.reproduce.'
_TYPES = {str: 'a string', dict: 'an object', list: 'a list', numbers.Real: 'a number',
          bool: 'true or false'}


def fail(where, found, expected):
  """Raises a ValueError.

  Args:
    where: the field, e.g. 'results.rows[3].step'.
    found: e.g. 'is missing'.
    expected: e.g. 'a number'.
  """
  raise ValueError(f'{where} {found}; expected {expected}. {REMEDY}')


def shown(value):
  """A value for the message of an error, shortened."""
  return f'is {str(value)[:40]!r}'


def check(record, fields, where):
  """Refuses a record that is no object or lacks one of `fields`, {name: type}.

  Args:
    record: anything.
    fields: {name: type}.
    where: names the record in messages; '' for the content of a file.
  """
  if not isinstance(record, dict):
    fail(where or 'the content', shown(record), 'an object')
  prefix = f'{where}.' if where else ''
  for name, kind in fields.items():
    if name not in record:
      fail(f'{prefix}{name}', 'is missing', _TYPES[kind])
    if not isinstance(record[name], kind):
      fail(f'{prefix}{name}', shown(record[name]), _TYPES[kind])


def check_numbers(record, where):
  """Refuses a record with a value that is neither a number nor None."""
  for name, number in record.items():
    if number is not None and not isinstance(number, numbers.Real):
      fail(f'{where}.{name}', shown(number), 'a number or null')


def check_object(record, where):
  """Refuses what is no object."""
  check(record, {}, where)


def is_cell(cell):
  """Whether something is [row, column]."""
  return (isinstance(cell, list | tuple) and len(cell) == 2
          and all(isinstance(x, numbers.Real) for x in cell))
