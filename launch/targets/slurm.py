"""Slurm: a batch job per run, which puts itself back into the queue when it may be started again.

The code is unpacked once per commit on the file system that the nodes share. Slurm signals the
program grace_seconds before the time limit and at preemption; it saves, ends with 75, and the job
goes back into the queue.
"""

import pathlib
import shlex
import string

from launch import log_lines, restarts
from launch import runs as runs_

_TEMPLATE = pathlib.Path(__file__).with_name('job.sbatch')


def script(run, settings, bundle):
  """Renders the batch script of a run.

  Args:
    run: `runs.Run`.
    settings: checked.
    bundle: `bundle.Bundle`.

  Returns:
    Text.
  """
  slurm, logs = settings.slurm, f'{run.workdir}/logs'
  num_tasks = slurm.nodes * slurm.tasks_per_node
  # By name, from the environment of sbatch: nothing else of it goes along.
  exported = ','.join(['PATH', 'HOME', 'USER', *settings.secrets])
  options = [f'--job-name={run.id}', f'--nodes={slurm.nodes}',
             f'--ntasks-per-node={slurm.tasks_per_node}', f'--time={slurm.time}']
  options += [f'--{flag}={value}' for flag, value in (
      ('partition', slurm.partition), ('account', slurm.account),
      ('cpus-per-task', slurm.cpus_per_task), ('gpus-per-node', slurm.gpus_per_node),
      ('mem', slurm.memory)) if value]
  options += ['--requeue', f'--signal=TERM@{settings.grace_seconds}', '--open-mode=append',
              f'--output={logs}/batch.out', f'--chdir={_code_directory(settings, bundle)}',
              f'--export={exported}', *slurm.options]
  for option in options:
    if any(character.isspace() for character in option):
      raise ValueError(f'{option}: #SBATCH lines take no white space. Choose another value.')
  environment = [f'export ALPT_RUN_ID={run.id}']
  if num_tasks > 1:
    environment.append('export ALPT_DISTRIBUTED=1')
  final = [code for code in range(256) if restarts.is_final(code)]
  return string.Template(_TEMPLATE.read_text()).substitute(
      directives='\n'.join(f'#SBATCH {option}' for option in options),
      run_id=run.id, commit=bundle.commit, logs=shlex.quote(logs),
      ends=shlex.quote(f'{logs}/ends'), environment='\n'.join(environment),
      setup=slurm.setup or ':  # Nothing to set up.', final='|'.join(map(str, final)),
      command=shlex.join(run.command(slurm.python)), preempted=restarts.PREEMPTED,
      max_restarts=settings.max_restarts, first_pause=round(settings.first_pause_seconds),
      max_pause=round(settings.max_pause_seconds))


def _code_directory(settings, bundle):
  return f'{settings.run_root}/code-{bundle.digest}'


def _queued(run_id):
  """Command that prints 'id state' of the jobs of a run."""
  return ['squeue', '--me', f'--name={run_id}', '--noheader', '--format=%i %T']


def activity(run_id, context):
  """Names the job of a run that is queued or running; '' if there is none of this user's."""
  words = context.shell.require(_queued(run_id), quiet=True).split()
  return f'job {words[0]}, {words[1]}' if words else ''


def submit(runs, context):
  """Hands the jobs in; returns 0 at once."""
  shell, settings, bundle = context.shell, context.settings, context.code
  code = _code_directory(settings, bundle)
  for i, run in enumerate(runs):
    shell.say(f'run {run.id}: {run.program} on {settings.slurm.nodes} nodes')
    if queued := activity(run.id, context):
      raise ValueError(f'{run.id}: is {queued}. Wait for it, or cancel it with '
                       f'python -m launch.cleanup --target=slurm --run_id={run.id} --yes; it goes '
                       'on from its checkpoints when it is submitted again.')
    if not i:
      archive = context.directory(run.id) / bundle.name
      if not shell.dry_run:
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(bundle.data)
      shell.require(['mkdir', '-p', code])
      shell.require(['tar', '-xzf', str(archive), '-C', code])
    path = context.directory(run.id) / 'job.sbatch'
    shell.write(path, script(run, settings, bundle))
    shell.require(['mkdir', '-p', f'{run.workdir}/logs'])  # Slurm opens its output there.
    job = shell.require(['sbatch', '--parsable', str(path)])
    if job:
      shell.say(f'{run.id}: job {job}')
  return restarts.DONE


def inventory(run_id, context):
  """Lists what a run has: [(kind, name, state, function that removes it or None)]."""
  shell = context.shell
  found = []
  for line in shell.require(_queued(run_id), quiet=True).splitlines():
    job, _, state = line.strip().partition(' ')
    found.append(('job', job, state, lambda job=job: shell.run(['scancel', job])))
  if not found:
    found.append(('job', run_id, 'absent', None))
  workdir = pathlib.Path(context.workdir(run_id))
  found.append(('run directory', str(workdir), runs_.directory_state(workdir), None))
  return found


def read_logs(run_id, context):
  """Reads the logs of a run: lists of `log_lines.Line`."""
  logs = pathlib.Path(context.workdir(run_id), 'logs')
  return [log_lines.parse(path.read_text(errors='replace')) for path in sorted(logs.glob('*.log'))]
