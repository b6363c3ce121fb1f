"""Runs of a command: one for every seed and target, each with an id that is its directory.

The same id always means the same directory, and a program that finds its checkpoints there
resumes from them: submitting again is resuming, on whatever target.
"""

import dataclasses
import itertools
import json
import pathlib
import re

from alpt_jax import configs
from launch import jobs, redaction
from launch import settings as settings_

# Also the name of a TPU, a JobSet and a Slurm job; JobSet appends up to 20 characters.
_ID = r'[a-z]([a-z0-9-]*[a-z0-9])?'
MAX_ID_LENGTH = 40
_CACHE = 'compilation_cache_dir'
_MODULE = r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)+'


@dataclasses.dataclass(frozen=True)
class Run:
  """One program, to be run until it is done.

  Attributes:
    id: of the run.
    program: module.
    args: its flags, with --config.workdir.
    workdir: {run_root}/{id}, or the one that the caller of `make_run` has chosen.
    data_dir: where it looks for its data; '' if its config does not say.
  """
  id: str
  program: str
  args: tuple[str, ...]
  workdir: str
  data_dir: str = ''

  def command(self, python):
    """Returns the command line, as a list."""
    return [python, '-m', self.program, *self.args]


def is_id(text):
  """Returns whether all platforms take this as the id of a run."""
  return bool(re.fullmatch(_ID, text)) and len(text) <= MAX_ID_LENGTH


def ids(run_id, seeds=(), targets=()):
  """Returns [(id, seed or None, target or None)] of a fan-out, targets outermost.

  Args:
    run_id: without what the fan-out appends.
    seeds: strings of digits.
    targets: names of environments.

  Raises:
    ValueError: for an id that some platform would refuse, or two that are the same.
  """
  result = []
  for target, seed in itertools.product(targets or (None,), seeds or (None,)):
    parts = [run_id]
    if target is not None:
      parts.append(re.sub('[^a-z0-9]+', '-', target.lower()).strip('-'))
    if seed is not None:
      if not seed.isdigit():
        raise ValueError(f'--seeds: {seed!r} is no seed; expected e.g. --seeds=0,1,2')
      parts.append(f'seed{seed}')
    full = '-'.join(parts)
    if not is_id(full):
      raise ValueError(f'--run_id: {full!r} is no run id; expected lower-case letters, digits and '
                       f'dashes, a letter first, at most {MAX_ID_LENGTH} in all, e.g. '
                       'breakout-alpt')
    result.append((full, seed, target))
  names = [entry[0] for entry in result]
  for name in names:
    if names.count(name) > 1:
      raise ValueError(f'{name}: is the id of {names.count(name)} runs; expected every seed and '
                       'target once.')
  return result


def plan(settings, *, run_id, job='', program='', args=(), seeds=(), targets=()):
  """Says what is to be run.

  Args:
    settings: checked.
    run_id, seeds, targets: see `ids`.
    job: name in `jobs.JOBS`, or ''.
    program: module, or '' for the job's.
    args: the program's flags, after the job's.

  Returns:
    A list of `Run`s.

  Raises:
    ValueError: for what the program would refuse at its start, as far as its config tells.
  """
  if job and job not in jobs.JOBS:
    raise ValueError(f'--job={job}: unknown; expected one of {", ".join(jobs.JOBS)}')
  entry = jobs.JOBS[job] if job else jobs.Job(jobs.DEFAULT_PROGRAM, ())
  if program and not re.fullmatch(_MODULE, program):
    raise ValueError(f'--program={program}: expected a module, e.g. experiments.train')
  if program and not (settings_.ROOT / program.replace('.', '/')).with_suffix('.py').is_file():
    raise ValueError(f'--program={program}: no such module in {settings_.ROOT}; expected e.g. '
                     'experiments.train')
  program = program or entry.program
  redaction.check_names(settings.secrets)
  redaction.check_arguments(args, settings.secrets)
  args = _merge(entry.args, args)
  for flag in entry.needs:
    if not any(arg.startswith(f'{flag}=') for arg in args):
      raise ValueError(f'--job={job} needs {flag}; give it after --, e.g. -- '
                       f'{flag}={settings.run_root}/<run id>')
  names = {arg.split('=')[0] for arg in args}
  for name, taken in (('--config.workdir', 'the run id decides it'),
                      *([('--config.seed', '--seeds decides it')] if seeds else []),
                      *([('--config.target', '--targets decides it')] if targets else [])):
    if name in names:
      raise ValueError(f'{name}: {taken}. Leave it out.')
  named = ids(run_id, seeds, targets)
  if program == jobs.DEFAULT_PROGRAM and '--config' not in names:
    raise ValueError(f'--config is missing: {program} needs one. Give '
                     f'--job=<name>, one of {", ".join(jobs.JOBS)}, or after -- e.g. '
                     '--config=experiments/configs/maze.py:desk')
  result = []
  for id_, seed, target in named:
    own = list(args)
    if target is not None:
      own = _with_target(own, target)
    if seed is not None:
      own.append(f'--config.seed={seed}')
    workdir = f'{settings.run_root}/{id_}'
    own.append(f'--config.workdir={workdir}')
    result.append(make_run(settings, id_, program, own, workdir))
  return result


def make_run(settings, id_, program, args, workdir):
  """Completes the arguments of a run by what the settings say of places.

  Args:
    settings: checked.
    id_: of the run.
    program: module.
    args: its flags, with --config.workdir.
    workdir: the directory of the run.

  Returns:
    A `Run`.

  Raises:
    ValueError: for a config that is not there, or an unknown key of it.
  """
  args, names = list(args), {arg.split('=')[0] for arg in args}
  if settings.data_dir and '--config.data_dir' not in names:
    args.append(f'--config.data_dir={settings.data_dir}')
  config = _check_config(args)
  # Beside the runs, where hosts come and go; a run that resumes does not compile again.
  if (settings.run_root.startswith('/') and _CACHE in config
      and f'--config.{_CACHE}' not in names):
    args.append(f'--config.{_CACHE}={settings.run_root}/{_CACHE.removesuffix("_dir")}')
  given = [arg.partition('=')[2] for arg in args if arg.startswith('--config.data_dir=')]
  return Run(id_, program, tuple(args), workdir,
             data_dir=given[-1] if given else config.get('data_dir', ''))


def _merge(first, second):
  """Flags of a job and of the user; --config of the user replaces the job's."""
  if any(arg.startswith('--config=') for arg in second):
    first = [arg for arg in first if not arg.startswith('--config=')]
  for arg in second:
    if not arg.startswith('-') or arg in ('--config', '-config'):
      raise ValueError(f'{arg}: unexpected argument; flags after -- are written --name=value')
  return [*first, *second]


def _with_target(args, target):
  """Puts the target where the config wants it."""
  for i, arg in enumerate(args):
    if arg.startswith('--config='):
      path, _, argument = arg.removeprefix('--config=').partition(':')
      if path in jobs.TAKE_TARGET_AS_ARGUMENT:
        if 'target=' in argument:
          raise ValueError(f'{arg}: has a target, and --targets has others. Leave one out.')
        argument = ','.join(part for part in (argument, f'target={target}') if part)
        return [*args[:i], f'--config={path}:{argument}', *args[i + 1:]]
  return [*args, f'--config.target={target}']


def _check_config(args):
  """Finds a mistyped key now, and not when the machines have been waited for.

  Returns:
    {key: value} of the config file; {} if there is none.
  """
  path = next((arg.removeprefix('--config=') for arg in args if arg.startswith('--config=')), '')
  if not path:
    return {}  # The program's default, which only it knows.
  file, *argument = path.split(':', 1)
  full = settings_.ROOT / file
  if not full.resolve().is_relative_to(settings_.ROOT):
    raise ValueError(f'--config={path}: lies outside of the repository, whose files are what the '
                     'hosts get. Move it there.')
  if not full.is_file():
    raise ValueError(f'--config={path}: no such file in {settings_.ROOT}; expected e.g. '
                     'experiments/configs/maze.py')
  config = configs.load(':'.join([str(full), *argument]))
  configs.check_keys(args, config)
  return configs.flatten(config)


def data_warning(planned):
  """Says so if a run would look for its data in the code that it is sent with; '' if none would."""
  relative = [run for run in planned if run.data_dir and not run.data_dir.startswith('/')]
  if not relative:
    return ''
  return (f'{relative[0].id}: data_dir is {relative[0].data_dir!r}, a directory of the code that '
          'the hosts get, where no data is. Give --settings.data_dir, a directory that they see, '
          'e.g. --settings.data_dir=/mnt/alpt/data')


def directory_state(workdir):
  """Describes a local run directory for `launch.status`.

  Args:
    workdir: `pathlib.Path`.

  Returns:
    'absent', or 'kept' and how far its metrics go, if there are any.
  """
  if not workdir.is_dir():
    return 'absent'
  try:
    *_, last = (workdir / 'metrics.jsonl').read_text().splitlines()
    return f'kept, metrics up to step {json.loads(last)["step"]}'
  except (FileNotFoundError, ValueError, KeyError):  # None yet, or the last line is half-written.
    return 'kept'


def relative_config(args):
  """Returns the file of --config, relative to the repository; '' if there is none."""
  for arg in args:
    if arg.startswith('--config='):
      path = (settings_.ROOT / arg.removeprefix('--config=').split(':')[0]).resolve()
      return str(pathlib.Path(path).relative_to(settings_.ROOT))
  return ''
