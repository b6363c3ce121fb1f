"""Reads the user's settings: a file, changed by flags; checks what each target needs.

The file is launch/user.py if there is one; user.example.py says what may be in it.
"""

import difflib
import math
import pathlib
import re

from alpt_jax import configs

ROOT = pathlib.Path(__file__).resolve().parents[1]
_DIRECTORY = pathlib.Path(__file__).resolve().parent
EXAMPLE = _DIRECTORY / 'user.example.py'
OWN = _DIRECTORY / 'user.py'

_NEEDS = {  # Setting: an example, for the message.
    'tpu_vm': {'gcloud.project': 'my-project', 'gcloud.zone': 'us-west4-a',
               'storage': '10.0.0.2:/share'},
    'gke': {'gke.queue': 'my-queue', 'gke.image': 'us-docker.pkg.dev/my-project/alpt/deps:1',
            'storage': 'gs://my-bucket'},
    'slurm': {'run_root': '/shared/runs'},
}
# What a dry run shows for an empty one, where it is to be written in some form.
_PLACEHOLDERS = {'storage': 'gs://<storage>', 'run_root': '/<run_root>'}


def load(path=''):
  """Loads settings.

  Args:
    path: of a file like user.example.py; '' for launch/user.py, or the example if there is none.

  Returns:
    The locked `ml_collections.ConfigDict`: the example's values, changed by the file's.

  Raises:
    ValueError: if there is no such file, or it has a setting that the example has not.
  """
  settings = configs.load(str(EXAMPLE))
  path = path or (str(OWN) if OWN.exists() else '')
  if path:
    for key, value in configs.flatten(configs.load(path)).items():
      _set(settings, key, value, f'{path}: {key}')
  return settings.lock()


def take_flags(args):
  """Separates --settings.key=value from other arguments.

  Args:
    args: list of strings.

  Returns:
    (the other arguments; list of (key, text)).
  """
  rest, given = [], []
  for arg in args:
    match = re.fullmatch(r'--?settings\.([^=]*)=(.*)', arg, re.DOTALL)
    if match:
      given.append((match[1], match[2]))
    else:
      rest.append(arg)
  return rest, given


def set_from_text(settings, key, text):
  """Changes a setting to a value given as text, by the type of its present value.

  Raises:
    ValueError: for an unknown setting, or text of another type.
  """
  name = f'--settings.{key}'
  default = _get(settings, key, name)
  try:
    if isinstance(default, bool):
      value = {'true': True, '1': True, 'false': False, '0': False}[text.lower()]
    elif isinstance(default, tuple):
      value = tuple(part for part in text.split(',') if part)
    else:
      value = type(default)(text)
  except (KeyError, ValueError) as error:
    raise ValueError(f'{name}={text}: expected {type(default).__name__}') from error
  with settings.unlocked():
    _set(settings, key, value, name)


def check(settings, target, *, is_dry_run=False):
  """Refuses settings that the target cannot work with; fills in what follows from others.

  Args:
    settings: from `load`; changed.
    target: name of the target.
    is_dry_run: take placeholders for what is empty and has to be set.

  Returns:
    The warnings: a line for each placeholder.

  Raises:
    ValueError: naming the setting, with an example.
  """
  warnings = []
  for key, example in _NEEDS.get(target, {}).items():
    if _get(settings, key, key):
      continue
    remedy = ('Write it into launch/user.py (cp launch/user.example.py launch/user.py), or give '
              f'--settings.{key}={example}')
    if not is_dry_run:
      raise ValueError(f'{key} is empty; target {target} needs it. {remedy}')
    placeholder = _PLACEHOLDERS.get(key, f'<{key}>')
    _set(settings, key, placeholder, key)
    warnings.append(f'warning: {key} is empty, here {placeholder}; it has to be set. {remedy}')
  for key, least in (('max_restarts', 0), ('first_pause_seconds', 0), ('max_pause_seconds', 0),
                     ('grace_seconds', 1), ('multiprocess.num_processes', 1),
                     ('multiprocess.devices_per_process', 1), ('slurm.nodes', 1),
                     ('slurm.tasks_per_node', 1), ('gke.chips_per_host', 1)):
    value = _get(settings, key, key)
    if not value >= least or not math.isfinite(value):
      raise ValueError(f'{key} is {value}; expected at least {least}.')
  if not settings.run_root:
    is_here = target in ('local', 'multiprocess')
    settings.run_root = 'runs' if is_here else f'{settings.mount_point}/runs'
  if settings.run_root.startswith('gs://'):
    raise ValueError(f'run_root is {settings.run_root}; runs are written as ordinary files. Give '
                     'the bucket as storage, which the hosts mount at mount_point.')
  if target not in ('local', 'multiprocess') and not settings.run_root.startswith('/'):
    raise ValueError(f'run_root is {settings.run_root}; expected an absolute path that all hosts '
                     'see, e.g. /shared/runs.')
  return warnings


def grace_warning(settings):
  """Warns, in a line, if a run would be killed while it saves; else ''."""
  if settings.save_seconds and settings.grace_seconds < 2 * settings.save_seconds:
    return (f'warning: grace_seconds is {settings.grace_seconds}, and a save took '
            f'{settings.save_seconds:g} s; expected at least twice that. A preempted run may lose '
            'the work since its last checkpoint.')
  return ''


def _get(settings, key, name):
  known = configs.flatten(settings)
  if key not in known:
    close = difflib.get_close_matches(key, known, n=1) or [
        k for k in known if k.split('.')[-1] == key.split('.')[-1]]
    hint = f'did you mean {close[0]}?' if close else f'expected one of {", ".join(known)}'
    raise ValueError(f'{name}: unknown setting; {hint}')
  return known[key]


def _set(settings, key, value, name):
  default = _get(settings, key, name)
  if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
    value = float(value)
  if isinstance(default, tuple) and isinstance(value, list):
    value = tuple(value)
  if type(value) is not type(default):
    raise ValueError(f'{name} is {value!r}; expected {type(default).__name__}.')
  *groups, last = key.split('.')
  for group in groups:
    settings = settings[group]
  settings[last] = value
