"""Submits runs: a job (jobs.py) with a config, on a target (targets/), with your settings.

python -m launch.submit --target=local --run_id=maze-alpt --job=maze -- --config.method=alpt
python -m launch.submit --target=tpu_vm --run_id=breakout --seeds=0,1,2 --dry_run -- \\
    --config=experiments/configs/atari.py:paper,phase=pretrain --config.batch_size=4096

What is after -- goes to the program. --dry_run prints every command and every rendered file, with
secrets as ***, and runs nothing. The same run id resumes.

Exit codes: that of the program where it is waited for (local, multiprocess, tpu_vm), 0 once the
cluster has the job (gke, slurm), 1 for a mistake.
"""

from absl import flags

from launch import command_line, preparation, runs

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
flags.adopt_module_key_flags(preparation)


def main(line):
  """Submits; returns an exit code."""
  runs.ids(line.run_id, **line.fan_out)  # Refuses bad ids before it asks for settings.
  context = line.context((
      ('secrets', None if _SECRETS.value is None else ','.join(_SECRETS.value)),
      ('max_restarts', _MAX_RESTARTS.value),
      ('multiprocess.num_processes', _NUM_PROCESSES.value),
      ('multiprocess.devices_per_process', _DEVICES.value)), dry_run=_DRY_RUN.value)
  context.signalled_process = _SIGNALLED.value
  planned = runs.plan(context.settings, run_id=line.run_id, job=_JOB.value,
                      program=_PROGRAM.value, args=line.args, **line.fan_out)
  preparation.prepare(planned, context, line.target_name)
  return line.target.submit(planned, context)


if __name__ == '__main__':
  command_line.run(main)
