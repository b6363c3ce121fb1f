"""Loads, flattens and checks configs."""

import difflib
import pathlib
import re
import runpy

import ml_collections

_MAX_CHANGES = 5  # That a message names.
_ABSENT = 'not there'


def load(path):
  """Loads a config.

  Args:
    path: 'file' or 'file:argument'; the argument goes to the file's get_config.

  Returns:
    The `ml_collections.ConfigDict`.

  Raises:
    ValueError: if there is no such file, or get_config refuses the argument.
  """
  file, *argument = path.split(':', 1)
  if not pathlib.Path(file).is_file():
    raise ValueError(f'--config={path}: no such file; expected e.g. experiments/configs/maze.py')
  try:
    return runpy.run_path(file, run_name='config')['get_config'](*argument)
  except ValueError as error:
    raise ValueError(f'--config={path}: {error}') from error


def flatten(config, prefix=''):
  """Returns {dotted key: value} of a config or of nested dicts; `prefix` goes before every key."""
  values = {}
  for name, value in config.items():
    if isinstance(value, dict | ml_collections.ConfigDict):
      values |= flatten(value, f'{prefix}{name}.')
    else:
      values[prefix + name] = value
  return values


def changes(before, now):
  """Says what differs between two flat configs, e.g. 'num_labels: 250 -> 25'; '' for nothing.

  Args:
    before: {dotted key: value}.
    now: the same.
  """
  keys = [key for key in sorted(before.keys() | now.keys())
          if before.get(key, _ABSENT) != now.get(key, _ABSENT)]
  more = f', and {len(keys) - _MAX_CHANGES} more' if len(keys) > _MAX_CHANGES else ''
  return ', '.join(f'{key}: {before.get(key, _ABSENT)} -> {now.get(key, _ABSENT)}'
                   for key in keys[:_MAX_CHANGES]) + more


def check_keys(args, config):
  """Checks flags that change a config.

  Args:
    args: flags; those that do not begin with --config. are passed over.
    config: a `ConfigDict`.

  Raises:
    ValueError: for the first that names no value of the config, with the nearest one that there is.
  """
  keys = list(flatten(config))
  for arg in args:
    match = re.match(r'--?(?:no)?config\.([^=]*)', arg)
    if not match or match[1] in keys:
      continue
    key = match[1]
    inside = [k for k in keys if k.startswith(f'{key}.')]
    if inside:
      raise ValueError(f'--config.{key}: a group of keys; set one of {_join(inside)}')
    name = key.split('.')[-1]
    close = ([k for k in keys if k.split('.')[-1] == name] or
             difflib.get_close_matches(key, keys, n=1))
    if not close:
      raise ValueError(f'--config.{key}: unknown key; expected one of {_join(keys)}')
    raise ValueError(f'--config.{key}: unknown key; did you mean {_join(close)}?')


def _join(keys):
  return ' or '.join(f'--config.{key}' for key in keys)
