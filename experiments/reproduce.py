"""Runs an experiment: collects the data, trains every variant, scores, and reports.

python -m experiments.reproduce --config=experiments/configs/maze.py:desk
python -m experiments.reproduce --config=experiments/configs/atari.py:desk
python -m experiments.reproduce --config=experiments/configs/paper.py:figure=2,preset=desk --dry_run

First says what it is going to do and about how long that takes; --dry_run ends there. Every run is
a process of its own (experiments/train.py) with a directory of its own under `workdir`; what is
finished is not done again, what was interrupted is resumed. What a finished run has to say is a
small file in `workdir`/run_files, or in `study.results_dir`/runs: a run whose file is there is not
done again on any machine. Writes results.json, results.csv, figure.png and report.html, and
clips.json of a study of budgets; of a figure of the paper into a directory of its own, and into
`workdir` figures.html and figures.json on all figures that are there. Two figures can be made side
by side: what one trains, the other waits for.
"""

import json
import os
import pathlib
import time

from absl import flags

from alpt_jax import cli
from alpt_jax.domains import study as studies
from alpt_jax.files import atomic_files
from alpt_jax.process import signals
from alpt_jax.training import run_config, stopping
from experiments import collect
from experiments.studies import (
  budget,
  estimates,
  figures,
  figures_report,
  floors,
  gather,
  registration,
  report,
  run_files,
  runs,
  submission,
  workers,
)

_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Show the plan and its estimate; run nothing.')
flags.adopt_module_key_flags(submission)



def plan(config):
  """Returns the `study.Run`s of an experiment; what a run starts from comes before it."""
  if config.study.num_workers < 0:
    raise ValueError(f'study.num_workers is {config.study.num_workers}; expected at least 0.')
  if config.study.get('floors'):
    floors.check(config)
  planned = studies.of(config).plan(config)
  if not planned:
    raise ValueError('study plans no run; expected at least one. Give it methods (variants), '
                     'targets and seeds, e.g. --config.study.'
                     + ("score.targets" if 'score' in config.study else "targets")
                     + f'="(\'{config.target}\',)".')
  return planned


def _check_results(path, config):
  """Refuses to replace the results of another config."""
  if not os.path.exists(path):
    return
  try:
    with open(path) as f:
      content = json.load(f)
    before, changes = content['config_digest'], runs.config_changes(content['config'], config)
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(f'{path}: not a results file. Move it away, or choose another '
                     '--config.workdir.') from error
  if changes:
    raise ValueError(f'{path}: is of config {before}, this one is {runs.config_digest(config)} '
                     f'({changes}). Choose another '
                     '--config.workdir, or delete the file: the trained runs beside it stay, and '
                     'those that fit are used again.')


def _check_place(directory, is_dry_run):
  """Refuses a directory that cannot be made or written, before anything is collected."""
  place = directory.absolute()
  while not place.exists():
    place = place.parent
  if not place.is_dir():
    raise ValueError(f'workdir: {place} is a file; expected a directory, or one that can be made. '
                     'Choose another --config.workdir.')
  if not is_dry_run and not os.access(place, os.W_OK | os.X_OK):  # Hosts may be elsewhere.
    raise ValueError(f'workdir: {place} cannot be written (read-only, or not yours). Choose '
                     'another --config.workdir.')


def _finished(config, planned, missing, digest):
  """The runs that need no training; refuses runs of another config or other data.

  Either their directories hold them, trained to their ends, or their run files say it all.
  """
  trained = [run for run in planned
             if not set(missing) & set(runs.environments([run])) and runs.is_finished(config, run)]
  files = run_files.read_all(config, planned, digest, missing)
  done = {*trained, *run_files.taken(files, planned, lambda run: run in trained)}
  return [run for run in planned if run in done]


def _write(config, planned, writer, registered):
  """Writes run files, results and report of what there is; returns the results."""
  directory, kept, failed = runs.results_directory(config), {}, []
  for run in planned:
    writer.done(run)
  files = run_files.read_all(config, planned, registered and registered.digest)
  for run, content in files.items():
    if content['status'] == 'failed':
      failed.append(run)
    elif not runs.is_trained(config, run):
      kept[run] = content
  results = gather.gather(config, planned, failed, kept)
  results['notes'] = registration.notes(registered, files.values())
  if registered:
    results['registration'] = {'digest': registered.digest, 'study': registered.content['study']}
    print('\n'.join(registration.lines(registered, files.values())))
  atomic_files.write_json(directory / 'results.json', results)
  report.write_report(results, directory / 'report.html')
  report.write_csv(results, directory / 'results.csv')
  report.figure_png(results, directory / 'figure.png')
  if results.get('budgets'):
    atomic_files.write_json(directory / 'clips.json', budget.clips(results))
  if config.study.get('figure'):
    figures_report.write(config.workdir)
  return results


def main(config):
  """Runs the experiment.

  Returns:
    0; 1 if a run failed, or lacks what it should have written; `stopping.PREEMPTED` if it was
    stopped and can be resumed.
  """
  start = time.time()
  workdir, directory = pathlib.Path(config.workdir), runs.results_directory(config)
  _check_place(directory, _DRY_RUN.value)
  planned = plan(config)
  _check_results(directory / 'results.json', config)
  for run in planned:  # Mistakes in a config show before anything is recorded or trained.
    run_config.check_run(runs.run_config(config, run))
    runs.seconds(config, run)  # A damaged file, not after hours.
  submission.check(config, is_dry_run=_DRY_RUN.value)
  registered = registration.start(config, planned, lambda run: runs.identity(config, run))
  digest = registered and registered.digest
  writer = run_files.Writer(config, digest)
  missing = estimates.missing_data(config, runs.environments(planned))
  finished = _finished(config, planned, missing, digest)
  print('\n'.join(estimates.lines(config, planned, finished, missing)), flush=True)
  if not _DRY_RUN.value:
    collect.main(config, runs.environments(planned))
    if config.study.get('floors'):
      floors.measure(config, planned)
    if missing:
      finished = _finished(config, planned, (), digest)
  todo = [run for run in planned if run not in finished]
  if submission.target_name():
    code = submission.submit(config, todo, submission.target_name(), is_dry_run=_DRY_RUN.value)
    if code is not None:
      if not _DRY_RUN.value:
        # Of what there is so far.
        print('\n'.join(report.summary_lines(_write(config, planned, writer, registered))))
      return code
    todo = []
  if _DRY_RUN.value:
    return 0
  try:
    codes = workers.Workers(config, todo, writer).train_all() if todo else {}
  except KeyboardInterrupt:
    signals.settle()
    print('Interrupted; what was trained is saved. The same command resumes.')
    return stopping.PREEMPTED
  failed = [run for run, code in codes.items() if workers.is_failure(code)]
  for run, code in codes.items():
    if code is None and run.after in failed:
      print(f'{run.name}: not started, as {run.after.name} failed')
  results = _write(config, planned, writer, registered)
  for run in failed:
    log = workers.log_path(config, run)
    print(f'{run.name}: exit code {codes[run]}: {workers.last_line(log)} (see {log})')
  print('\n'.join(report.summary_lines(results)))
  took = estimates.duration(time.time() - start)
  print(f'Took {took}. Open {directory / "report.html"}; '
        f'the numbers are in {directory / "results.json"}.')
  if config.study.get('figure'):
    print(f'On all figures that are there: {workdir / figures.PAGE}.')
    for part in figures.read(workdir):
      if part.problem:  # Only of other figures; this one has just been written.
        print(f'{part.figure.title}: cannot be read: {part.problem}')
  damaged = [run for run in results['runs'] if run['damaged']]
  for run in damaged:
    for text in run['damaged']:
      print(f'{run["run"]}: {text.rstrip(".")}.')
    print(f'{run["run"]}: to make it again, delete {workdir / run["run"]}; the same command trains '
          'it.')
  if failed or damaged:
    return 1
  return stopping.PREEMPTED if any(codes.values()) or None in codes.values() else 0


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py', rewrite=submission.settings_as_flags)
