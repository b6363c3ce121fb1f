"""Compares how fast time passes in the data of a run; config.json keeps it, see `time_scale`.

config.json has {'data_times': {'scales': {environment: TimeScale}, 'differences': [..],
'unknown': [..]}} beside the config, unless time means nothing in the domain, as in mazes.
"""

import os

from alpt_jax import domains
from alpt_jax.data import time_scale
from alpt_jax.training import run_config

KEY = 'data_times'
_REMEDY = ('import one of them again, with another frame_skip or another environment.json, or go '
           'on with --config.allow_other_speed=True, which is written into config.json')


def check(config, names, workdir):
  """Compares the environments of a run with its target, its pretraining and its own past.

  Args:
    config: the run's.
    names: of the environments whose data is read, the target first.
    workdir: the run directory; may be new.

  Returns:
    What config.json shall hold, see the module; {} where time means nothing.

  Raises:
    ValueError: naming environments and values that differ, unless `config.allow_other_speed`.
  """
  domain = domains.of(config)
  scales = {name: scale for name in names if (scale := domain.time_scale(name)) is not None}
  if not scales:
    return {}
  found = [time_scale.compare(scales[name], scales.get(config.target), where=name, of=config.target)
           for name in scales if name != config.target]
  for directory in filter(None, (config.init_from, workdir)):
    before = read(directory)
    shared = before if directory == workdir else {*before, config.target}
    found += [time_scale.compare(scales[name], before.get(name), where=name,
                                 of=f'{name} when {directory} was trained')
              for name in scales if name in shared and scales[name] != before.get(name)]
  differences, unknown = (sum(sentences, []) for sentences in zip(*found, strict=True)) if (
      found) else ([], [])
  time_scale.refuse(differences, is_allowed=config.allow_other_speed, remedy=_REMEDY)
  return {KEY: {'scales': {name: scale._asdict() for name, scale in scales.items()},
                'differences': differences, 'unknown': unknown}}


def lines(content):
  """Says what `check` allowed or could not compare, in lines of what it returned."""
  found = content.get(KEY, {})
  return [*(f'warning: {text}: allowed by allow_other_speed.'
            for text in found.get('differences', ())), *found.get('unknown', ())]


def read(directory):
  """Returns {environment: `TimeScale`} of what a run was trained on; {} if it does not say."""
  path = os.path.join(directory, 'config.json')
  if not os.path.exists(path):
    return {}
  content = run_config.load(path, remedy='Restore it from a copy.')
  try:
    return {name: time_scale.TimeScale(**scale)
            for name, scale in content.get(KEY, {}).get('scales', {}).items()}
  except (AttributeError, TypeError) as error:
    raise ValueError(f'{path}: {KEY} are not those of a run ({error!r}); the file is damaged. '
                     'Restore it from a copy.') from error
