"""Runs a whole experiment: records the data, trains every variant, scores, and reports.

python -m experiments.reproduce --config=experiments/configs/maze.py:desk

Every run is a process of its own (experiments/train.py) with a directory of its own under
`workdir`; what is finished is not done again, what was interrupted goes on. Writes results.json,
results.csv, figure.png and report.html.
"""

import concurrent.futures
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from alpt_jax import domains, evaluate, methods, metrics, report, train, whole_files
from alpt_jax.data import rlds
from alpt_jax.envs import maze, maze_anchors
from experiments import cli, collect

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_POLL_SECONDS = 1.
_ENDED_BY_SIGNAL = (-signal.SIGTERM, -signal.SIGINT)
_CAN_PIN = hasattr(os, 'sched_setaffinity')  # Not on macOS: one run at a time there.
_VERSIONS = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
# Where and how fast results are made, not what they are.
_PLACE_KEYS = ('workdir', 'data_dir', 'compilation_cache_dir')


class Run(NamedTuple):
  """One training run of an experiment."""
  name: str
  variant: str
  observation: str
  target: str
  seed: int


def plan(config):
  """Returns the `Run`s of an experiment; seed i goes with target i."""
  study = config.study
  if study.num_workers < 0:
    raise ValueError(f'study.num_workers is {study.num_workers}; expected at least 0.')
  if len(study.seeds) != len(study.targets):
    raise ValueError(f'study.seeds has {len(study.seeds)} entries, study.targets '
                     f'{len(study.targets)}; expected a target for every seed.')
  return [Run(f'{observation}-{variant}-seed{seed}', variant, observation, target, seed)
          for observation in study.observations
          for seed, target in zip(study.seeds, study.targets, strict=True)
          for variant in study.variants]


def run_config(config, run):
  """Returns the config of one run."""
  variant = config.study.variants[run.variant]
  result = config.copy_and_resolve_references()
  result.update(method=variant.method, observation=run.observation, target=run.target,
                sources=variant.sources, seed=run.seed, label_seed=run.seed,
                workdir=os.path.join(config.workdir, run.name))
  return result


def command(config, run):
  """Returns the command line that trains one run, as a list."""
  path = f'{_ROOT}/experiments/configs/{config.experiment}.py:{config.preset}'
  default = cli.flatten(cli.load(path))
  # The study describes all runs, and one run reads nothing of it.
  changes = {key: value for key, value in cli.flatten(run_config(config, run)).items()
             if value != default.get(key) and not key.startswith('study.')}
  return ['-m', 'experiments.train', f'--config={path}',
          *(f'--config.{key}={value}' for key, value in changes.items())]


def is_finished(config, run):
  """Whether a run has been trained to its last step; refuses one of another config or data."""
  own = run_config(config, run)
  train.check_config(own, own.workdir, domains.digests(own))
  return os.path.exists(os.path.join(own.workdir, 'finished.json')) and os.path.exists(
      train.evaluation_path(own.workdir, own.num_steps))


def config_digest(config):
  """Names the content of a config, without places: 12 hex digits."""
  content = json.loads(config.to_json())
  for key in _PLACE_KEYS:
    content.pop(key)
  content['study'].pop('num_workers')
  return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


class _Workers:
  """Trains runs side by side, each on cores of its own, and shows how far they are."""

  def __init__(self, config, runs):
    self._config, self._runs = config, runs
    # One core a run, where there are runs enough: the number of threads decides how sums round.
    cores = sorted(os.sched_getaffinity(0)) if _CAN_PIN else [0]
    num_workers = min(config.study.num_workers or len(cores), len(runs))
    self._free_cores = [set(cores[i::num_workers]) or set(cores) for i in range(num_workers)]
    self._lock = threading.RLock()  # A signal may come while its thread holds it.
    self._processes = []
    self._is_stopping = False

  def train_all(self):
    """Returns {run: exit code}; a run that was never started has None."""
    codes = dict.fromkeys(self._runs)
    first_steps = self._num_steps_done()
    progress = metrics.Progress(
        len(self._runs) * self._config.num_steps, start_step=first_steps,
        label=f'training {len(self._runs)} runs')
    print('starting: every run compiles first, up to a minute without a word', flush=True)
    previous = signal.signal(signal.SIGTERM, lambda *_: self._stop())
    try:
      with concurrent.futures.ThreadPoolExecutor(len(self._free_cores)) as pool:
        futures = {pool.submit(self._train, run): run for run in self._runs}
        try:
          pending = set(futures)
          while pending:
            done, pending = concurrent.futures.wait(pending, timeout=_POLL_SECONDS)
            codes.update({futures[f]: f.result() for f in done})
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
    with self._lock:
      if self._is_stopping:
        return None
      cores = self._free_cores.pop()
    workdir = pathlib.Path(self._config.workdir, run.name)
    workdir.mkdir(parents=True, exist_ok=True)
    start = time.time()
    try:
      with open(workdir / 'train.log', 'a') as log:
        arguments = command(self._config, run)
        log.write(f'$ python {shlex.join(arguments)}\n')
        log.flush()
        if _CAN_PIN:
          os.sched_setaffinity(0, cores)  # Of this thread; the process inherits it.
        with self._lock:  # A process is either never started, or known to `_stop`.
          if self._is_stopping:
            return None
          path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get('PYTHONPATH')]))
          process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log,
                                     env=os.environ | {'PYTHONPATH': path})
          self._processes.append(process)
        code = process.wait()
      whole_files.write_json(
          workdir / 'seconds.json', _seconds(workdir) + time.time() - start)
      if self._is_stopping and code in _ENDED_BY_SIGNAL:
        return train.PREEMPTED  # Before it could listen to signals, so there is nothing to save.
      if code == 0:
        whole_files.write_json(workdir / 'finished.json', {})
      return code
    finally:
      with self._lock:
        self._free_cores.append(cores)

  def _stop(self):
    """Asks the running ones to save and stop."""
    with self._lock:
      self._is_stopping = True
      for process in self._processes:
        if process.poll() is None:
          process.terminate()

  def _num_steps_done(self):
    return sum(_last_step(self._config, run) for run in self._runs)


def _seconds(workdir):
  """Seconds that a run has taken so far, all its sessions together."""
  path = workdir / 'seconds.json'
  return json.loads(path.read_text()) if path.exists() else 0.


def _last_step(config, run):
  """The step of the last whole line of a run's metrics; 0 if there is none."""
  try:
    with open(os.path.join(config.workdir, run.name, 'metrics.jsonl'), 'rb') as f:
      f.seek(max(0, f.seek(0, os.SEEK_END) - 4096))
      lines = f.read().split(b'\n')
    return json.loads(lines[-2])['step'] if len(lines) > 1 else 0
  except (FileNotFoundError, ValueError, IndexError):
    return 0


def _describe_maze(name, role, config):
  layout = maze.layout_of(name)
  card = rlds.read_card(os.path.join(config.data_dir, name))
  return {
      'role': role, 'kind': card['name'].split('-')[2], 'size': layout.size,
      'walls': layout.walls.astype(int).tolist(), 'goal': [int(x) for x in layout.goal],
      'anchors': maze_anchors.anchors(
          layout, config.collect.epsilon, config.collect.horizon),
      'num_transitions': card['num_transitions'], 'num_episodes': card['num_episodes'],
  }


def _read_rows(config, run, truth):
  """Returns the rows of a run, one an evaluation, and the paths of its last one."""
  own = run_config(config, run)
  accuracy = evaluate.score_labels(own.workdir, truth)
  rows, rollout = [], None
  for path in sorted(pathlib.Path(own.workdir, 'eval').glob('step_*.json')):
    with open(path) as f:
      scores = json.load(f)
    step = scores['step']
    if step > config.num_steps:
      continue  # Of a longer run before.
    row = {'run': run.name, 'method': run.variant, 'observation': run.observation,
           'target': run.target, 'sources': list(own.sources), 'seed': run.seed, 'step': step,
           'frames': step * own.batch_size * own.window, 'label_accuracy': accuracy.get(step)}
    for mode in ('argmax', 'sampled'):
      for name in ('success_500', 'success_50', 'spl', 'mean_steps'):
        row[f'{mode}/{name}'] = scores.get(mode, {}).get(name)
    rows.append(row)
    if 'paths' in scores:
      rollout = {'acting': 'argmax', 'target': run.target, 'episodes': scores['paths']['argmax']}
  return rows, rollout


def gather(config, runs, failed):
  """Collects what the runs have written.

  Args:
    config: of the experiment.
    runs: list of `Run`.
    failed: the runs that failed in this session.

  Returns:
    The content of results.json; see `results_file`.
  """
  roles = {run.target: 'target' for run in runs}
  for variant in config.study.variants.values():
    roles |= {name: 'source' for name in variant.sources}
  result = {
      'experiment': config.experiment, 'preset': config.preset,
      'command': 'python -m experiments.reproduce ' + shlex.join(sys.argv[1:]),
      'created': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'config': json.loads(config.to_json()), 'config_digest': config_digest(config),
      'versions': {name: importlib.metadata.version(name) for name in _VERSIONS},
      'thresholds': list(config.study.thresholds),
      'methods': {name: {'label': variant.label,
                         'description': methods.METHODS[variant.method].description}
                  for name, variant in config.study.variants.items()},
      'mazes': {name: _describe_maze(name, role, config) for name, role in roles.items()},
      'runs': [], 'rows': [],
  }
  truths = {}
  for run in runs:
    if run.target not in truths:  # Whatever the observation, the actions are the same.
      truths[run.target] = rlds.read_episodes(
          os.path.join(config.data_dir, run.target),
          maze.spec(maze.layout_of(run.target), run.observation), expected_name=run.target)
    rows, rollout = _read_rows(config, run, truths[run.target])
    is_done = bool(rows) and rows[-1]['step'] >= config.num_steps
    status = 'done' if is_done else 'failed' if run in failed else 'running'
    result['rows'] += rows
    result['runs'].append({
        'run': run.name, 'method': run.variant, 'observation': run.observation,
        'target': run.target, 'sources': list(config.study.variants[run.variant].sources),
        'seed': run.seed, 'status': status,
        'seconds': _seconds(pathlib.Path(config.workdir, run.name)) or None,
        'num_steps': config.num_steps, 'rollout': rollout})
  return result


def _check_results(path, config):
  """Refuses to replace the results of another config."""
  if not os.path.exists(path):
    return
  try:
    with open(path) as f:
      before = json.load(f)['config_digest']
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(f'{path}: not a results file. Move it away, or choose another '
                     '--config.workdir.') from error
  if before != config_digest(config):
    raise ValueError(f'{path}: is of config {before}, this one is {config_digest(config)}. Choose '
                     'another --config.workdir, or delete the file.')


def _last_line(path):
  return (path.read_text().strip().splitlines() or [''])[-1]


def main(config):
  """Runs the experiment.

  Returns:
    0; 1 if a run failed; `train.PREEMPTED` if it was stopped and can go on.
  """
  start = time.time()
  workdir = pathlib.Path(config.workdir)
  _check_results(workdir / 'results.json', config)
  runs = plan(config)
  for run in runs:  # Mistakes in a config show before anything is recorded or trained.
    train.check_run(run_config(config, run))
  collect.main(config)
  todo = [run for run in runs if not is_finished(config, run)]
  print(f'{len(runs)} runs, {len(runs) - len(todo)} finished before', flush=True)
  try:
    codes = _Workers(config, todo).train_all() if todo else {}
  except KeyboardInterrupt:
    print('Interrupted; what was trained is saved. The same command goes on from there.')
    return train.PREEMPTED
  failed = [run for run, code in codes.items() if code not in (0, None, train.PREEMPTED)]
  results = gather(config, runs, failed)
  whole_files.write_json(workdir / 'results.json', results)
  report.write_report(results, workdir / 'report.html')
  report.write_csv(results, workdir / 'results.csv')
  report.figure_png(results, workdir / 'figure.png')
  for run in failed:
    log = workdir / run.name / 'train.log'
    print(f'{run.name}: exit code {codes[run]}: {_last_line(log)} (see {log})')
  print('\n'.join(report.summary_lines(results)))
  print(f'Took {metrics.format_duration(time.time() - start)}. Open {workdir / "report.html"}; '
        f'the numbers are in {workdir / "results.json"}.')
  if failed:
    return 1
  return train.PREEMPTED if any(codes.values()) or None in codes.values() else 0


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py')
