"""Settings of registered runs: pinned with the registration, compared before a run starts.

`experiments.register` writes them into the registration, as its field `run_settings`:

  {"collect": {"collect.epsilon": 0.5},       # How data is recorded, of the experiment's config.
   "common": {"num_steps": 1000},             # What all registered runs share.
   "variants": {"dt1_idm": {
     "common": {"method": "dt1_idm"},         # What the runs of a variant share, beside that.
     "runs": {"grid-250-dt1_idm-seed0": {"seed": 0}}}}}  # The rest, by run.

The three together are what `runs.settings` has of a run, which its run file holds, too: without
places, devices and what a run writes down, and without keys of `runs.LATER_KEYS` at their
defaults, so that a key that comes later changes nothing. Pretrainings are runs like the others.
"""

import json

from alpt_jax import configs, schema
from experiments.studies import runs

_PLACES = ('collect.from_dir',)
_FORM = {'collect': dict, 'common': dict, 'variants': {str: {'common': dict, 'runs': {str: dict}}}}
_ABSENT = object()


def pack(config, planned):
  """Packs the settings of some runs.

  Args:
    config: of the experiment.
    planned: list of `study.Run`, at least one.

  Returns:
    What the field `run_settings` of a registration holds.
  """
  flat = {run.name: runs.settings(config, run) for run in planned}
  common, variants = _shared(flat.values()), {}
  for name in dict.fromkeys(run.variant for run in planned):
    of_variant = {run.name: _without(flat[run.name], common)
                  for run in planned if run.variant == name}
    shared = _shared(of_variant.values())
    variants[name] = {'common': shared, 'runs': {
        run: _without(settings, shared) for run, settings in of_variant.items()}}
  return {'collect': _of_recordings(config), 'common': common, 'variants': variants}


def unpack(packed):
  """Returns {run: its settings, flat} of a registration's `run_settings`."""
  return {run: packed['common'] | variant['common'] | own
          for variant in packed['variants'].values() for run, own in variant['runs'].items()}


def _of_recordings(config):
  """How the data of an experiment is recorded: {flat key: value}."""
  flat = configs.flatten({'collect': json.loads(config.to_json())['collect']})
  return {key: value for key, value in flat.items()
          if key not in _PLACES and runs.LATER_KEYS.get(key, _ABSENT) != value}


def _shared(all_settings):
  first, *others = all_settings
  return {key: value for key, value in first.items()
          if all(other.get(key, _ABSENT) == value for other in others)}


def _without(settings, shared):
  return {key: value for key, value in settings.items() if key not in shared}


def check_form(packed, path):
  """Refuses a `run_settings` that is missing or damaged.

  Args:
    packed: the field, None if it is missing.
    path: of the registration, for the message.

  Raises:
    ValueError: in one line.
  """
  if packed is None:
    raise ValueError('run_settings is missing; expected the settings of all registered runs. '
                     f'Complete it with python -m experiments.register --registration={path} '
                     '--config=<that of the study>.')
  schema.check(packed, _FORM, 'run_settings')


def check(registration, config, planned, is_in_grids):
  """Refuses runs, and recordings, with other settings than the registered ones.

  Args:
    registration: a `registration.Registration`.
    config: of the experiment.
    planned: list of `study.Run`; those that are not registered may have any settings.
    is_in_grids: function of a run; whether the registration's grids hold it.

  Raises:
    ValueError: in one line, naming the first such run and what differs.
  """
  packed = registration.content['run_settings']
  registered = unpack(packed)
  changes = configs.changes(packed['collect'], _of_recordings(config))
  if changes:
    raise ValueError(f'{registration.path}: data is not recorded as registered ({changes}). Run it '
                     'as registered, or register another study.')
  for run in planned:
    if run.name not in registered:
      if is_in_grids(run):
        raise ValueError(f'{registration.path}: {run.name} is in grids, and run_settings has no '
                         'such run. Run the config that it was completed with, or register another '
                         'study.')
      continue
    changes = configs.changes(registered[run.name], runs.settings(config, run))
    if changes:
      raise ValueError(f'{registration.path}: {run.name} has other settings than registered '
                       f'({changes}). Run it as registered, or register another study.')


def check_files(registration, files):
  """Refuses run files of registered runs with other settings than the registered ones.

  Args:
    registration: a `registration.Registration`.
    files: contents of run files that carry it, of runs in its grids.

  Raises:
    ValueError: in one line, naming the first such run and what differs.
  """
  registered = unpack(registration.content['run_settings'])
  for content in files:
    name = content['run']
    if name not in registered:
      raise ValueError(f'{registration.path}: run_settings has no run {name}, whose run file '
                       'carries this registration. Restore the run file.')
    changes = configs.changes(registered[name], content['settings'])
    if changes:
      raise ValueError(f'{registration.path}: the run file of {name} has other settings than '
                       f'registered ({changes}). Restore it, or train the run again.')
