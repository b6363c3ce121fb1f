"""Command-line entry point of submit, status, logs and cleanup: flags, settings, exit codes.

A user's mistake ends in one line that names it, as with the programs that are started.
"""

import dataclasses
import os
import signal
import sys

from absl import flags

from alpt_jax.process import starting
from launch import context as context_
from launch import redaction, runs, shell, targets
from launch import settings as settings_

_TARGET = flags.DEFINE_enum('target', 'local', targets.NAMES, 'Where to run; see launch/README.md.')
_RUN_ID = flags.DEFINE_string(
    'run_id', '', 'Name of the run and of its directory under run_root. The same id resumes.')
_SEEDS = flags.DEFINE_list(
    'seeds', [], 'One run for each seed, e.g. 0,1,2; -seed<n> is appended to the id.')
_TARGETS = flags.DEFINE_list(
    'targets', [], 'One run for each target environment, e.g. Breakout,Pong; -<name> is appended.')
flags.adopt_module_key_flags(context_)


@dataclasses.dataclass(frozen=True)
class CommandLine:
  """What the user has given.

  Attributes:
    args: what is after `--`.
    given_settings: (key, text) of --settings.key=text.
  """
  args: tuple[str, ...]
  given_settings: tuple[tuple[str, str], ...]

  @property
  def target_name(self):
    """--target."""
    return _TARGET.value

  @property
  def target(self):
    """The module of the target."""
    return targets.module(_TARGET.value)

  @property
  def run_id(self):
    """--run_id.

    Raises:
      ValueError: if it is missing.
    """
    if not _RUN_ID.value:
      raise ValueError('--run_id is missing; it names the run and its directory, e.g. '
                       '--run_id=breakout-alpt')
    return _RUN_ID.value

  @property
  def fan_out(self):
    """{'seeds', 'targets'} of the flags."""
    return {'seeds': tuple(_SEEDS.value), 'targets': tuple(_TARGETS.value)}

  @property
  def run_ids(self):
    """Ids of all runs that the flags mean."""
    return [entry[0] for entry in runs.ids(self.run_id, **self.fan_out)]

  def context(self, changes=(), *, dry_run=False):
    """Returns a `context.Context` with checked settings.

    Args:
      changes: (key, value) of flags that have a name of their own; None is left out.
      dry_run: of the shell.
    """
    own = tuple((key, str(value)) for key, value in changes if value is not None)
    return context_.make(_TARGET.value, self.given_settings + own, dry_run=dry_run)

  def context_without_args(self):
    """Returns a `context.Context` for a command that starts no program."""
    if self.args:
      raise ValueError(f'{self.args[0]}: unexpected argument')
    return self.context()


def run(main):
  """Parses the command line, runs `main` and exits with what it returns.

  Args:
    main: function of a `CommandLine`; returns an exit code.
  """
  end = sys.argv.index('--') if '--' in sys.argv else len(sys.argv)
  if '--help' in sys.argv[:end]:
    print(sys.modules['__main__'].__doc__)
    print(flags.FLAGS.module_help(__name__), flags.FLAGS.main_module_help(), sep='\n')
    sys.exit(0)
  own, given = settings_.take_flags(sys.argv[:end])
  try:
    starting.end()
    try:
      positional = flags.FLAGS(own)[1:]
    except flags.Error as error:
      raise ValueError(str(error)) from error
    if positional:
      raise ValueError(f"{positional[0]}: unexpected argument; the program's flags come after --")
    os.chdir(settings_.ROOT)  # Paths of runs and configs are relative to the repository.
    code = main(CommandLine(tuple(sys.argv[end + 1:]), tuple(given)))
  except (ValueError, OSError) as error:
    if '--debug' in own:
      raise
    shell.report_error(redaction.make_redact()(_describe(error)))
    code = 1
  except KeyboardInterrupt:
    code = 128 + signal.SIGINT
  sys.exit(code)


def _describe(error):
  if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
    return f'{error.filename}: {error.strerror}'
  return str(error)
