"""Checks when a registration was committed: by itself, before any run of its study."""

import pathlib
import subprocess


def check(registration, results_dir=''):
  """Refuses a registration that is not committed by itself, before any run, and unchanged since.

  Args:
    registration: a `registration.Registration`.
    results_dir: of the study, from which a relative one begins at the working directory; ''
      if it has none. Runs in experiments/results/<study> are looked for in any case.

  Returns:
    The time of its commit, in seconds since 1970.

  Raises:
    ValueError: in one line, saying what is wrong.
  """
  path = registration.path.resolve()
  root = _git(path.parent, 'rev-parse', '--show-toplevel')
  if root is None:
    raise ValueError(f'{path}: is in no git repository; expected a committed registration.')
  root = pathlib.Path(root.strip())
  name = path.relative_to(root.resolve()).as_posix()
  committed = _git(root, 'show', f'HEAD:{name}')
  if committed is None:
    raise ValueError(f'{path}: is not committed. Commit it by itself before the first run.')
  if committed != path.read_text(encoding='utf-8'):
    raise ValueError(f'{path}: has changed since it was committed. Restore it, or register another '
                     'study.')
  if _git(root, 'rev-parse', '--is-shallow-repository').strip() == 'true':
    raise ValueError(f'{root}: is a shallow clone, which does not say when {name} was committed. '
                     'Run git fetch --unshallow.')
  commits = _git(root, 'log', '--format=%H %ct', '--', name).split('\n')[:-1]
  if len(commits) > 1:
    raise ValueError(f'{path}: has changed in {len(commits) - 1} commits since it was added; '
                     'expected none. Register another study.')
  commit, seconds = commits[0].split()
  others = [other for other in _git(root, 'show', '--format=', '--name-only', commit).split('\n')
            if other and other != name]
  if others:
    raise ValueError(f'{path}: was committed together with {others[0]}; expected by itself.')
  places = {f'experiments/results/{registration.content["study"]}/runs/'}
  runs = pathlib.Path(results_dir, 'runs').resolve()
  if results_dir and runs.is_relative_to(root.resolve()):
    places.add(runs.relative_to(root.resolve()).as_posix() + '/')
  before = _git(root, 'ls-tree', '-r', '--name-only', commit, '--', *sorted(places))
  if before:
    raise ValueError(f'{path}: was committed after runs of the study, e.g. '
                     f'{before.splitlines()[0]}; expected before.')
  return int(seconds)


def _git(directory, *args):
  """Output of git; None if it fails."""
  try:
    return subprocess.run(['git', '-C', directory, *args], capture_output=True, text=True,
                          check=True, timeout=60).stdout
  except (OSError, subprocess.SubprocessError):
    return None
