"""Redacts secrets, which are passed on by name only, in all that is printed.

The names are of environment variables. Nothing here ever returns a value.
"""

import os
import re

HIDDEN = '***'
_NAME = re.compile('KEY|TOKEN|SECRET|PASSW|CREDENTIAL', re.IGNORECASE)
# Of flags, whole words only: model.return_tokens is none.
_FLAG = re.compile(r'(?:^|[._-])(api_?key|key|token|secret|password|passwd|credentials?)$',
                   re.IGNORECASE)
_SHORTEST = 6  # Characters; TOKENIZERS_PARALLELISM=false must not blacken every "false".


def _values(names=(), environment=None):
  """Values to hide, longest first; `names` are secrets whatever they are called."""
  environment = os.environ if environment is None else environment
  values = {value for name, value in environment.items()
            if _NAME.search(name) and len(value) >= _SHORTEST}
  values |= {environment[name] for name in names if environment.get(name)}
  return sorted(values, key=len, reverse=True)


def make_redact(names=(), environment=None):
  """Returns a function of a text that replaces the values of all secrets by ***.

  Args:
    names: environment variables that are secrets whatever they are called.
    environment: dict; os.environ if None.
  """
  values = _values(names, environment)
  pattern = re.compile('|'.join(map(re.escape, values))) if values else None

  def redact(text):
    return pattern.sub(HIDDEN, text) if pattern else text
  return redact


def check_arguments(args, names=()):
  """Refuses secrets among a program's arguments, where every `ps` and every rendered file has them.

  Args:
    args: list of strings.
    names: environment variables that are secrets whatever they are called.

  Raises:
    ValueError: naming the flag, not its value.
  """
  values = _values(names)
  for arg in args:
    name, _, value = arg.lstrip('-').partition('=')
    if (value and _FLAG.search(name)) or any(v in arg for v in values):
      shown = make_redact(names)(name)
      raise ValueError(f'--{shown}: holds a secret, and arguments are seen by everybody. Put it '
                       'into an environment variable and pass the name on with --secrets=<NAME>.')


def check_names(names):
  """Refuses what is not the name of an environment variable, e.g. a secret itself.

  Args:
    names: list of strings.

  Raises:
    ValueError: without repeating the text.
  """
  for i, name in enumerate(names):
    if not re.fullmatch(r'[A-Z_][A-Z0-9_]*', name):
      raise ValueError(f'secrets: number {i + 1} is not the name of an environment variable; '
                       'expected e.g. WANDB_API_KEY, never its value.')
