"""Runs external commands, shown with secrets as ***; a dry run only shows them.

What a dry run prints is a shell script: comments, commands, and files as here-documents.
"""

import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable

_END = 'END_OF_FILE'


@dataclasses.dataclass(frozen=True)
class Result:
  """What a command gave back: its exit code, and its output without the last line break."""
  code: int
  output: str
  errors: str

  @property
  def last_error(self):
    """The last line that it complained with."""
    return (self.errors.strip().splitlines() or [f'exit code {self.code}'])[-1]


@dataclasses.dataclass
class Shell:
  """Runs commands, or shows what would be run.

  Attributes:
    dry_run: show only.
    redact: function of a text, see `redaction.make_redact`.
    prefix: of every line shown, e.g. which run it is about.
  """
  dry_run: bool
  redact: Callable[[str], str]
  prefix: str = ''
  _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

  def say(self, text):
    """Tells the user something; a comment in a dry run."""
    mark = '# ' if self.dry_run else self.prefix
    with self._lock:
      print('\n'.join(mark + line for line in self.redact(text).splitlines()), flush=True)

  def show(self, argv, env=None):
    """Shows a command line."""
    words = [f'{name}={value}' for name, value in (env or {}).items()]
    line = self.redact(shlex.join((['env', *words] if words else []) + list(argv)))
    with self._lock:
      print(line if self.dry_run else f'{self.prefix}+ {line}', flush=True)

  def run(self, argv, *, quiet=False):
    """Runs a command.

    Args:
      argv: list of strings.
      quiet: don't show it, as it is run over and over.

    Returns:
      `Result`; of a dry run, success without output.

    Raises:
      ValueError: if there is no such program.
    """
    if self.dry_run or not quiet:
      self.show(argv)
    if self.dry_run:
      return Result(0, '', '')
    try:
      done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            errors='replace', check=False)
    except FileNotFoundError as error:
      raise ValueError(f'{argv[0]}: not installed, or not on PATH. Install it, or choose another '
                       '--target.') from error
    return Result(done.returncode, self.redact(done.stdout.rstrip('\n')), self.redact(done.stderr))

  def require(self, argv, *, quiet=False):
    """Runs a command that must succeed, as `run` does; returns its output.

    Raises:
      ValueError: with its last line, if it fails.
    """
    result = self.run(argv, quiet=quiet)
    if result.code:
      raise ValueError(f'{" ".join(argv[:4])} ...: {result.last_error}')
    return result.output

  def write(self, path, text, *, is_executable=False):
    """Writes a rendered file; a dry run shows it.

    Raises:
      ValueError: if a secret would be in it.
    """
    if self.redact(text) != text:
      raise ValueError(f'{path}: would hold the value of a secret. Pass it on by name, with '
                       '--secrets.')
    if self.dry_run:
      with self._lock:
        print(f"cat > {shlex.quote(str(path))} <<'{_END}'\n{text.rstrip()}\n{_END}", flush=True)
      return
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if is_executable:
      os.chmod(path, 0o755)


def report_error(message):
  """Prints one line on standard error."""
  line = ' '.join(part.strip() for part in str(message).splitlines())
  sys.stderr.write(f'error: {line}\n')
