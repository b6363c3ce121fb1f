"""Starts runs: what (jobs.py), with a config, on a target (targets/), with your settings.

python -m launch.submit --target=local --run_id=maze-alpt --job=maze -- --config.method=alpt
python -m launch.submit --target=tpu_vm --run_id=breakout --seeds=0,1,2 --dry_run -- \\
    --config=experiments/configs/atari.py:paper,phase=pretrain --config.batch_size=4096

What is after -- goes to the program. --dry_run prints every command and every rendered file, with
secrets as ***, and runs nothing. The same run id resumes.

Exit codes: that of the program where it is waited for (local, multiprocess, tpu_vm), 0 once the
cluster has the job (gke, slurm), 1 for a mistake.
"""

import os

from absl import flags

from launch import bundle, command_line, runs
from launch import settings as settings_

_JOB = flags.DEFINE_string('job', '', 'What to run: a name in launch/jobs.py.')
_PROGRAM = flags.DEFINE_string(
    'program', '', "What to run: a module, e.g. experiments.reproduce; --job's, or "
    'experiments.train, if empty.')
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Print commands and files; run nothing.')
_SECRETS = flags.DEFINE_list(
    'secrets', None, 'Names of environment variables to pass on, e.g. WANDB_API_KEY.')
_MAX_RESTARTS = flags.DEFINE_integer('max_restarts', None, 'How often a run is started again.')
_NUM_PROCESSES = flags.DEFINE_integer('num_processes', None, 'Of target multiprocess.')
_DEVICES = flags.DEFINE_integer('devices_per_process', None, 'CPU devices, of multiprocess.')
_SIGNALLED = flags.DEFINE_integer(
    'signalled_process', None, 'Of multiprocess: pass signals on to this process only.')
_ALLOW_UNCOMMITTED = flags.DEFINE_bool(
    'allow_uncommitted', False, 'Send the newest commit although there are changes after it.')
_KEEP = flags.DEFINE_bool('keep', False, 'Of tpu_vm: keep the machines when the run is over.')


def main(line):
  """Submits; returns an exit code."""
  context = line.context((
      ('secrets', None if _SECRETS.value is None else ','.join(_SECRETS.value)),
      ('max_restarts', _MAX_RESTARTS.value),
      ('multiprocess.num_processes', _NUM_PROCESSES.value),
      ('multiprocess.devices_per_process', _DEVICES.value)), dry_run=_DRY_RUN.value)
  context.keep, context.signalled_process = _KEEP.value, _SIGNALLED.value
  settings = context.settings
  planned = runs.plan(settings, run_id=line.run_id, job=_JOB.value, program=_PROGRAM.value,
                      args=line.args, **line.fan_out)
  is_here = line.target_name in command_line.ON_THIS_MACHINE
  if is_here or line.target_name == 'slurm':  # Elsewhere, others hold them.
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
  return line.target.submit(planned, context)


if __name__ == '__main__':
  command_line.run(main)
