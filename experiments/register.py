"""Completes a registration with the settings of all its runs; to be committed then, by itself.

python -m experiments.register --registration=experiments/registrations/<study>.json \
    --config=experiments/configs/maze.py:study

The config and all flags that change it are those that the study is run with. What a registration
is: experiments/studies/registration.py.
"""

import json
import pathlib

from alpt_jax import cli, methods
from alpt_jax.files import atomic_files, paths
from alpt_jax.learners import learner
from alpt_jax.training import run_config, shares
from experiments import reproduce
from experiments.studies import registered_settings, registration, registration_schema, runs

_REGISTRATION = paths.define('registration', None, 'The file to complete.')
_LINE = 100  # Columns.


def complete(registered, config):
  """Adds the settings of all runs in the grids of a registration.

  Args:
    registered: a `registration.Registration`, complete or not.
    config: of the experiment.

  Returns:
    The content of its file.

  Raises:
    ValueError: in one line, if the config is not the registered one, does not have exactly one run
      for every seed and target of a hypothesis, or has one that could not start.
  """
  content = registered.content
  registration.check_settings(registered, config)
  planned = reproduce.plan(config)
  identities = {run: runs.identity(config, run) for run in planned}
  chosen = [run for run in planned if registration_schema.is_in_grids(content, identities[run])]
  for i, hypothesis in enumerate(content['hypotheses']):
    _check_planned(f'{registered.path}: hypotheses[{i}]', hypothesis, content, [
        identities[run] for run in chosen if identities[run].get('phase') != 'pretrain'])
  chosen += [run for run in dict.fromkeys(run.after for run in chosen)
             if run is not None and run not in chosen]
  for run in chosen:
    _check_can_start(run, runs.run_config(config, run))
  return content | {'run_settings': registered_settings.pack(config, chosen)}


def _check_planned(name, hypothesis, content, identities):
  """Refuses a config that lacks a run of a hypothesis, or has two for one seed and target."""
  pairs = registration_schema.pairs_of(hypothesis, content)
  for arm in registration_schema.ARMS:
    where = hypothesis['where'] | {'method': hypothesis[arm]}
    found = [(identity['target'], identity['seed']) for identity in identities
             if all(identity.get(key) == value for key, value in where.items())]
    for target, seed in pairs:
      number = found.count((target, seed))
      if number != 1:
        raise ValueError(f'{name}.{arm} is {hypothesis[arm]!r}: the config has {number} runs of '
                         f'{where} with target {target} and seed {seed}; expected one. Correct '
                         'the registration, or the --config.')


def _check_can_start(run, config):
  """Refuses a run that its own config, or the sampler of its labelled windows, would refuse."""
  try:
    phase, specs = run_config.check_run(config)
    has_windows = not learner.make(config, phase, specs).frame_stack and any(
        share.data == methods.LABELLED for share in shares.of(config, phase, specs))
  except ValueError as error:
    raise ValueError(f'run {run.name} of the --config could not start: {error}') from error
  num_windows, num_shards = config.num_labels // config.window, config.sampling.num_shards
  if has_windows and 0 < num_windows < num_shards:
    raise ValueError(f'run {run.name} of the --config could not start: sampling.num_shards is '
                     f'{num_shards}; expected at most {num_windows}, the windows of its '
                     f'{config.num_labels} labels.')


def as_text(value, indent=0):
  """Formats JSON; what is longer than a line gets a line for each field or entry."""
  text = json.dumps(value, ensure_ascii=False)
  if not value or not isinstance(value, dict | list) or indent + len(text) <= _LINE:
    return text
  space = ' ' * (indent + 1)
  if isinstance(value, dict):
    parts = [f'{json.dumps(key)}: {as_text(part, indent + 1)}' for key, part in value.items()]
    return '{\n' + ',\n'.join(space + part for part in parts) + '\n' + space[:-1] + '}'
  parts = [space + as_text(part, indent + 1) for part in value]
  return '[\n' + ',\n'.join(parts) + '\n' + space[:-1] + ']'


def main(config):
  """Completes the file."""
  if not _REGISTRATION.value:
    raise ValueError('--registration is empty; expected the file to complete, e.g. '
                     'experiments/registrations/<study>.json.')
  path = pathlib.Path(runs.ROOT, _REGISTRATION.value)
  content = complete(registration.load(path, is_complete=False), config)
  atomic_files.write(path, f'{as_text(content)}\n'.encode())
  num_runs = len(registered_settings.unpack(content['run_settings']))
  print(f'{path}: completed with the settings of {num_runs} runs. Commit it by itself before the '
        'first of them.')


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py')
