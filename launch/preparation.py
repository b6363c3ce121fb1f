"""Prepares a submission: checks secrets, packs the code, warns."""

import os

from absl import flags

from launch import bundle, runs, targets
from launch import settings as settings_

_ALLOW_UNCOMMITTED = flags.DEFINE_bool(
    'allow_uncommitted', False, 'Send the newest commit although there are changes after it.')
_KEEP = flags.DEFINE_bool('keep', False, 'Of tpu_vm: keep the machines when the run is over.')


def prepare(planned, context, target_name):
  """Completes a context, and tells the user what may go wrong.

  Args:
    planned: list of `runs.Run`.
    context: `context.Context`; gets the code.
    target_name: one of `targets.NAMES`.

  Raises:
    ValueError: for a secret that is not there, or code that is not committed.
  """
  settings = context.settings
  for warning in context.warnings:
    context.shell.say(warning)
  context.keep = _KEEP.value
  is_here = target_name in targets.ON_THIS_MACHINE
  if is_here or target_name == 'slurm':  # Elsewhere, others hold them.
    for name in settings.secrets:
      if not os.environ.get(name):
        raise ValueError(f'secrets: {name} is not in the environment. Export it first.')
  if not is_here:
    context.code, warning = bundle.make(
        settings_.ROOT, allow_uncommitted=_ALLOW_UNCOMMITTED.value)
    for run in planned:
      bundle.check_config(context.code, runs.relative_config(run.args))
    if warning:
      context.shell.say(warning)
    if warning := runs.data_warning(planned):
      context.shell.say(warning)
  if warning := settings_.grace_warning(settings):
    context.shell.say(warning)
