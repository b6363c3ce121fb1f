"""Context of a target: the user's settings, a shell, the code."""

import dataclasses
import pathlib

import ml_collections

from alpt_jax.files import paths
from launch import bundle, redaction, shell
from launch import settings as settings_

_SETTINGS_FILE = paths.define(
    'settings_file', '', 'Settings; launch/user.py if empty. --settings.<key>=<value> changes one.')


@dataclasses.dataclass
class Context:
  """What a target is given beside the runs.

  Attributes:
    settings: checked.
    shell: that runs commands, or shows them.
    code: packed; None where it is not sent anywhere.
    keep: leave machines when a run is over.
    signalled_process: index of the process that gets signals; None for all.
    warnings: lines about the settings, for the user.
  """
  settings: ml_collections.ConfigDict
  shell: shell.Shell
  code: bundle.Bundle | None = None
  keep: bool = False
  signalled_process: int | None = None
  warnings: tuple[str, ...] = ()

  def directory(self, run_id):
    """Returns the local directory of a run's files: rendered ones, the code, logs."""
    return pathlib.Path('runs', 'launch', run_id)

  def workdir(self, run_id):
    """Returns a run's directory as the hosts see it: {run_root}/{run_id}, or what was recorded."""
    path = self.directory(run_id) / 'workdir'
    return path.read_text() if path.exists() else f'{self.settings.run_root}/{run_id}'

  def record_workdir(self, run):
    """Writes down the directory of a run that has another than its id says."""
    directory = self.directory(run.id)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / 'workdir').write_text(run.workdir)


def make(target_name, given_settings=(), *, dry_run=False):
  """Returns a `Context` with checked settings.

  Args:
    target_name: one of `targets.NAMES`.
    given_settings: (key, text) of what changes the settings of the file.
    dry_run: of the shell.

  Raises:
    ValueError: naming the setting.
  """
  settings = settings_.load(_SETTINGS_FILE.value)
  for key, text in given_settings:
    settings_.set_from_text(settings, key, text)
  with settings.unlocked():
    warnings = settings_.check(settings, target_name, is_dry_run=dry_run)
  redaction.check_names(settings.secrets)
  return Context(settings, shell.Shell(dry_run, redaction.make_redact(settings.secrets)),
                 warnings=tuple(warnings))
