"""Paths as people type them: every path flag and path field of a config goes through `clean`.

Shells complete directories with a slash, and expand no `~` behind `--flag=`. Whatever was typed,
programs see one spelling: `~` is the home directory, there is no slash at the end, no `.`, and no
`..` behind a name. A relative path stays relative to the working directory, and a link stays a
link, unless it leads to what is yet to be made. `atomic_files` writes an output that is a link
where that leads. URLs (gs://bucket) are left as they are.
"""

import os
import re

from absl import flags

# Fields of configs that hold a path; '' for none.
FIELDS = ('workdir', 'data_dir', 'compilation_cache_dir', 'init_from', 'collect.from_dir',
          'import_.from_dir', 'import_.to_dir', 'import_.environment', 'study.results_dir',
          'study.registration', 'study.floors.held_out_dir')
_URL = r'[A-Za-z][A-Za-z0-9+.-]*://'

flags.disclaim_key_flags()  # Those defined here are of the module that calls.


def clean(path):
  """Spells a path in the one way that programs use.

  Args:
    path: as it was typed; '' and URLs are returned as they are.

  Returns:
    A string that names the same file or directory.

  Raises:
    ValueError: for the home directory of a user that does not exist.
  """
  path = os.fspath(path)
  if not path or re.match(_URL, path):
    return path
  home = os.path.expanduser(path)
  if path.startswith('~') and home == path:
    raise ValueError(f'{path}: no user is called {path[1:].split("/")[0]!r}; expected ~/.. for '
                     f'your home directory, or ./{path} for what has this name.')
  result = '/' if home.startswith('/') else ''
  for part in home.split('/'):
    if part in ('', '.'):
      continue
    if part == '..' and os.path.basename(result) not in ('', '..'):
      # The parent of a link is that of what it leads to.
      result = os.path.dirname(os.path.realpath(result) if os.path.islink(result) else result)
    elif part != '..' or result != '/':
      result = os.path.join(result, part)
    if os.path.islink(result) and not os.path.exists(result):
      result = os.path.realpath(result)  # No directory can be made in the place of the link.
  return f'./{result}' if result.startswith('~') else result or '.'


def clean_config(config):
  """Spells the paths of a config as `clean` does, in place; returns it.

  Args:
    config: a `ConfigDict`, may be locked.

  Raises:
    ValueError: naming the field.
  """
  for field in FIELDS:
    *groups, name = field.split('.')
    group = config
    for key in groups:
      group = group.get(key) or {}
    if group.get(name):
      try:
        group[name] = clean(group[name])
      except ValueError as error:
        raise ValueError(f'{field}: {error}') from error
  return config


class _Parser(flags.ArgumentParser):
  """Of a flag that holds a path."""
  syntactic_help = 'a path'

  def parse(self, argument):
    return clean(argument)


class _ListParser(flags.ListParser):
  """Of a flag that holds paths with commas between."""

  def parse(self, argument):
    return list(map(clean, super().parse(argument)))


def define(name, default, help_text):
  """Defines a flag that holds a path; '' or None for none."""
  return flags.DEFINE(_Parser(), name, default, help_text,
                      serializer=flags.ArgumentSerializer())


def define_list(name, default, help_text):
  """Defines a flag that holds paths with commas between."""
  return flags.DEFINE(_ListParser(), name, default, help_text,
                      serializer=flags.CsvListSerializer(','))
