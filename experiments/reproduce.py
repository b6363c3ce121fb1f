"""Runs a whole experiment: collects the data, trains every variant, scores, and reports.

python -m experiments.reproduce --config=experiments/configs/maze.py:desk
python -m experiments.reproduce --config=experiments/configs/atari.py:desk
python -m experiments.reproduce --config=experiments/configs/paper.py:figure=2,preset=desk --dry_run

First says what it is going to do and about how long that takes; --dry_run ends there. Every run is
a process of its own (experiments/train.py) with a directory of its own under `workdir`; what is
finished is not done again, what was interrupted goes on. What a finished run has to say is a small
file in `workdir`/run_files, or in `study.results_dir`/runs: a run whose file is there is not done
again on any machine. Writes results.json, results.csv,
figure.png and report.html, and clips.json of a study of budgets; of a figure of the paper into a
directory of its own, and into `workdir` figures.html and figures.json on all figures that are
there. Two figures can be made side by side: what one trains, the other waits for.
"""

import concurrent.futures
import datetime
import json
import os
import pathlib
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time

from absl import flags

from alpt_jax import atomic_files, cli, starting, versions
from alpt_jax import progress as progress_
from alpt_jax.training import run_config, run_directory, stopping
from experiments.studies import (
    budget,
    estimates,
    figures,
    figures_report,
    registration,
    report,
    run_files,
    runs,
    submission,
)

_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Show the plan and its estimate; run nothing.')
flags.adopt_module_key_flags(submission)

_POLL_SECONDS = 1.
_ENDED_BY_SIGNAL = (-signal.SIGTERM, -signal.SIGINT, starting.INTERRUPTED)
_MAX_CHANGES = 5  # Of a config, that a message names.
_CAN_PIN = hasattr(os, 'sched_setaffinity')  # Not on macOS: one run at a time there.


def _study(config):
  """The module that knows the runs of an experiment."""
  if config.experiment == 'atari':
    # The emulator, which mazes do not need.
    from alpt_jax.domains.atari import study as study_atari
    return study_atari
  from alpt_jax.domains.maze import study as study_maze
  return study_maze


def plan(config):
  """Returns the `runs.Run`s of an experiment; what a run starts from comes before it."""
  if config.study.num_workers < 0:
    raise ValueError(f'study.num_workers is {config.study.num_workers}; expected at least 0.')
  planned = _study(config).plan(config)
  if not planned:
    raise ValueError('study plans no run; expected at least one. Give it methods (variants), '
                     'targets and seeds, e.g. --config.study.'
                     + ("targets" if config.experiment == 'maze' else "score.targets")
                     + f'="(\'{config.target}\',)".')
  return planned


def identity(config, run):
  """Returns what tells a run of an experiment from others, as in its run file."""
  return _study(config).identity(run, runs.run_config(config, run))


class _Workers:
  """Trains runs side by side, each on cores of its own, and shows how far they are."""

  def __init__(self, config, todo, writer):
    self._config, self._runs, self._writer = config, todo, writer
    # One core a run, where there are runs enough: the number of threads decides how sums round.
    cores = sorted(os.sched_getaffinity(0)) if _CAN_PIN else [0]
    num_workers = min(config.study.num_workers or len(cores), len(todo))
    self._free_cores = queue.SimpleQueue()
    for i in range(num_workers):
      self._free_cores.put(set(cores[i::num_workers]) or set(cores))
    self._is_ended = {run: threading.Event() for run in todo}
    self._codes = {}
    self._lock = threading.RLock()  # A signal may come while its thread holds it.
    self._processes = []
    self._is_stopping = False

  def train_all(self):
    """Returns {run: exit code}; a run that was never started has None."""
    codes = dict.fromkeys(self._runs)
    first_steps = self._num_steps_done()
    progress = progress_.Progress(
        sum(runs.num_steps(self._config, run) for run in self._runs), start_step=first_steps,
        label=f'training {len(self._runs)} runs')
    print('starting: every run compiles first, up to a minute without a word', flush=True)
    previous = signal.signal(signal.SIGTERM, lambda *_: self._stop())
    try:
      with concurrent.futures.ThreadPoolExecutor(len(self._runs)) as pool:
        futures = {pool.submit(self._train, run): run for run in self._runs}
        try:
          pending = set(futures)
          while pending:
            done, pending = concurrent.futures.wait(pending, timeout=_POLL_SECONDS)
            for future in done:
              run = futures[future]
              codes[run] = future.result()
              _write_run_file(self._config, self._writer, run, codes[run],
                              self._codes.get(run.after))
            num_finished = sum(code == 0 for code in codes.values())
            num_steps = self._num_steps_done()
            if num_steps > first_steps:  # Before, there is nothing to tell the time from.
              progress.update(num_steps, finished=f'{num_finished}/{len(codes)} runs')
        except BaseException:
          self._stop()
          raise
    finally:
      signal.signal(signal.SIGTERM, previous)
      progress.close()
    return codes

  def _train(self, run):
    """Waits for the run that this one starts from, then for a core; returns an exit code."""
    try:
      if run.after in self._is_ended:
        self._is_ended[run.after].wait()
        if self._codes[run.after] != 0:
          return None  # Not started.
      cores = self._free_cores.get()
      try:
        self._codes[run] = self._train_on(run, cores)
      finally:
        self._free_cores.put(cores)
      return self._codes[run]
    finally:
      self._codes.setdefault(run, None)
      self._is_ended[run].set()

  def _train_on(self, run, cores):
    with self._lock:
      if self._is_stopping:
        return None
    workdir = pathlib.Path(self._config.workdir, run.name)
    workdir.mkdir(parents=True, exist_ok=True)
    is_others = False
    while run_directory.is_taken(workdir):  # By the experiment of another figure.
      if self._is_stopping:
        return None
      if not is_others:
        print(f'{run.name}: another process is training it; waiting', flush=True)
      is_others = True
      time.sleep(_POLL_SECONDS)
    if is_others and runs.is_finished(self._config, run):
      return 0
    start = time.time()
    with open(workdir / 'train.log', 'a') as log:
      arguments = runs.command(self._config, run)
      log.write(f'$ python {shlex.join(arguments)}\n')
      log.flush()
      if _CAN_PIN:
        os.sched_setaffinity(0, cores)  # Of this thread; the process inherits it.
      with self._lock:  # A process is either never started, or known to `_stop`.
        if self._is_stopping:
          return None
        path = os.pathsep.join(filter(None, [str(runs.ROOT), os.environ.get('PYTHONPATH')]))
        process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log,
                                   env=os.environ | {'PYTHONPATH': path})
        self._processes.append(process)
      code = process.wait()
    atomic_files.write_json(
        workdir / 'seconds.json', runs.seconds(self._config, run) + time.time() - start)
    if self._is_stopping and code in _ENDED_BY_SIGNAL:
      return stopping.PREEMPTED  # Before it could listen to signals, so there is nothing to save.
    return code

  def _stop(self):
    """Asks the running ones to save and stop."""
    with self._lock:
      self._is_stopping = True
      for process in self._processes:
        if process.poll() is None:
          process.terminate()

  def _num_steps_done(self):
    return sum(runs.last_step(self._config, run) for run in self._runs)


def _write_run_file(config, writer, run, code, code_before=None):
  """Writes what a run that has ended has to say; nothing for one that was stopped.

  Args:
    config: of the experiment.
    writer: `run_files.Writer`.
    run: a `runs.Run`.
    code: its exit code; None if it was not started.
    code_before: exit code of the run that it starts from; None if that did not run now.
  """
  if code == 0:
    writer.done(run)
  elif _is_failure(code):
    writer.failed(run, code, _last_line(_log(config, run)))
  elif code is None and _is_failure(code_before):
    writer.failed(run, None, f'not started: {run.after.name} failed')


def _is_failure(code):
  return code not in (0, None, stopping.PREEMPTED)


def _log(config, run):
  return pathlib.Path(config.workdir, run.name, 'train.log')


def gather(config, planned, failed, kept=None):
  """Returns the content of results.json; see `results_file`.

  Args:
    config: of the experiment.
    planned: list of `runs.Run`.
    failed: the runs that failed.
    kept: {run: its run file} of those that are not read from their directories; None for none.
  """
  figure = config.study.get('figure')
  return ({'figure': figure} if figure else {}) | {
      'experiment': config.experiment, 'preset': config.preset,
      'command': 'python -m experiments.reproduce ' + shlex.join(sys.argv[1:]),
      'created': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'config': json.loads(config.to_json()), 'config_digest': runs.config_digest(config),
      'versions': versions.current(),
  } | _study(config).gather(config, planned, failed, kept or {})


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
    more = f', and {len(changes) - _MAX_CHANGES} more' if len(changes) > _MAX_CHANGES else ''
    raise ValueError(f'{path}: is of config {before}, this one is {runs.config_digest(config)} '
                     f'({", ".join(changes[:_MAX_CHANGES])}{more}). Choose another '
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


def _last_line(path):
  return (path.read_text().strip().splitlines() or [''])[-1]


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
  results = gather(config, planned, failed, kept)
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
    stopped and can go on.
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
  registered = registration.start(config, planned, lambda run: identity(config, run))
  digest = registered and registered.digest
  writer = run_files.Writer(config, _study(config), digest)
  missing = estimates.missing_data(config, runs.environments(planned))
  finished = _finished(config, planned, missing, digest)
  print('\n'.join(estimates.lines(config, planned, finished, missing)), flush=True)
  if not _DRY_RUN.value:
    _study(config).collect_data(config, planned)
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
    codes = _Workers(config, todo, writer).train_all() if todo else {}
  except KeyboardInterrupt:
    print('Interrupted; what was trained is saved. The same command goes on from there.')
    return stopping.PREEMPTED
  failed = [run for run, code in codes.items() if _is_failure(code)]
  for run, code in codes.items():
    if code is None and run.after in failed:
      print(f'{run.name}: not started, as {run.after.name} failed')
  results = _write(config, planned, writer, registered)
  for run in failed:
    log = _log(config, run)
    print(f'{run.name}: exit code {codes[run]}: {_last_line(log)} (see {log})')
  print('\n'.join(report.summary_lines(results)))
  print(f'Took {progress_.format_duration(time.time() - start)}. Open {directory / "report.html"}; '
        f'the numbers are in {directory / "results.json"}.')
  if config.study.get('figure'):
    print(f'On all figures that are there: {workdir / figures.PAGE}.')
    for part in figures.read(workdir):
      if part.problem:  # Of another figure: this one is whole.
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
