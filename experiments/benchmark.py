"""Measures training and evaluation on this machine, as it is.

python -m experiments.benchmark --config=experiments/configs/maze.py:desk --config.method=alpt
python -m experiments.benchmark --config=experiments/configs/atari.py:desk

Prints a Markdown table and writes benchmark.json into `workdir`. Records the data that is missing.
What is measured is what `train` runs: the jitted update on real batches, and the evaluator. A plain
matrix product says what the machine could do at best; a GPT-2 of the same shape in PyTorch, if
PyTorch and transformers are installed, what the usual tool does with the same cores. They take
turns, a few seconds each, so that whatever else the machine is doing meets all of them. What saving
costs the updates, and how soon a run resumes from a checkpoint, is measured in `saving`.

On Atari, also how fast windows are read from disk, from one and from four times the data, beside
what RLDS brings for it; and evaluation beside the plain way, one game at a time and two passes of
the model a step.
"""

import contextlib
import datetime
import importlib.util
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from alpt_jax import cli, domains, methods
from alpt_jax import progress as progress_
from alpt_jax.data import pipeline
from alpt_jax.files import atomic_files
from alpt_jax.training import inputs, program, run_config, sharding, shares
from experiments.benchmarks import machine, saving

_TURNS = flags.DEFINE_integer('turns', 7, 'Turns of everything that is measured.', lower_bound=1)
_TURN_STEPS = flags.DEFINE_integer('turn_steps', 20, 'Updates in a turn.', lower_bound=1)
_LOADING_SECONDS = flags.DEFINE_float(
    'loading_seconds', 10., 'Seconds of each way of reading Atari data.', lower_bound=.1)
_SAVING_STEPS = flags.DEFINE_integer('saving_steps', 100, 'Updates for each save.', lower_bound=1)
_RESUMES = flags.DEFINE_integer('resumes', 3, 'How often a run is resumed from a checkpoint.',
                                lower_bound=1)

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_MATMUL_SIZE = 1024
_MATMULS = 10  # In a turn.
_NO_PYTORCH = (
    'PyTorch was not measured. To put a GPT-2 of the same shape beside it: '
    'pip install ".[benchmark]"')
_BUSY = (
    'Other programs were using the machine; measure again when it is idle. PyTorch with several '
    'threads loses most to them, because its threads wait for each other in loops.')


@contextlib.contextmanager
def compilations():
  """Lists the seconds of every compilation while it is open."""
  seconds = []

  def listen(event, duration, **unused):
    if event == '/jax/core/compile/backend_compile_duration':
      seconds.append(duration)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    yield seconds
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)


class Update:
  """The update of a run and its data, as in `train.train`."""

  def __init__(self, config):
    """Reads the data and compiles.

    Args:
      config: of a run.
    """
    phase, specs = run_config.check_run(config)
    if methods.METHODS[config.method].learner != 'alpt':
      raise ValueError(f'method is {config.method!r}, which trains neither IDM nor DT; those are '
                       "measured. Choose another, e.g. 'alpt'.")
    streams = inputs.make_streams(config, phase, specs, inputs.read_data(config, phase))
    mesh = sharding.make_mesh(num_devices=1)
    made = program.make_program(config, phase, specs, mesh)
    self.learner, self.networks, self._update = made.learner, made.learner.networks, made.update
    self.rows = shares.part_rows(config, phase, specs)
    self.is_labelling = phase.unlabelled == methods.LABEL_WITH_IDM
    init_key, self._key = jax.random.split(jax.random.key(config.seed))
    self.state = made.init(init_key)
    self.dt_params = jax.tree.map(jnp.copy, self.state.dt.params)  # An update donates its state.
    self._batches = pipeline.Pipeline(
        streams, window=config.window, seed=config.seed, start_step=0,
        num_shards=config.sampling.num_shards, pool_size=config.sampling.pool_size,
        num_threads=config.sampling.num_threads)
    self.batches = next(self._batches)
    begin = time.perf_counter()
    compiled = self._update.lower(self.state, self.batches, self._key).compile()
    self.compile_seconds = time.perf_counter() - begin
    self.xla_flops = compiled.cost_analysis()['flops']
    self.run(1)  # Uses what was just compiled.

  def run(self, num_steps):
    """Makes updates; returns seconds per update, and the share of them spent waiting for data."""
    begin, wait_before = time.perf_counter(), self._batches.wait_seconds
    before = None
    for _ in range(num_steps):
      self.state, scalars = self._update(self.state, next(self._batches), self._key)
      # The host runs one step ahead at most: when it waits for data, so does the device.
      jax.block_until_ready(before)
      before = scalars
    jax.block_until_ready(self.state)
    seconds = time.perf_counter() - begin
    return seconds / num_steps, (self._batches.wait_seconds - wait_before) / seconds

  def close(self):
    """Stops reading data."""
    self._batches.close()


def measure_loading(config, names):
  """Reads windows in processes of their own.

  Args:
    config: of a run.
    names: fields of the config that say which data.

  Returns:
    {way of reading: what `loading` printed}.
  """
  kinds = {'ours': (), 'ours_4_times': ('--copies=4',), 'naive': ('--naive',)}
  path = f'{_ROOT}/experiments/configs/{config.experiment}.py:{config.preset}'
  command = [sys.executable, '-m', 'experiments.loading', f'--config={path}',
             *(f'--config.{name}={config[name]}' for name in names),
             f'--seconds={_LOADING_SECONDS.value}']
  results = {}
  for name, flag in kinds.items():
    process = subprocess.run([*command, *flag], cwd=_ROOT, capture_output=True, text=True,
                             check=False)
    if process.returncode:
      raise ValueError(f'reading data failed: {process.stderr.strip().splitlines()[-1]}')
    results[name] = json.loads(process.stdout.splitlines()[-1])
  return results


def make_matmul(size):
  """Makes a function that multiplies two float32 matrices [size, size], and waits."""
  a, b = jax.random.normal(jax.random.key(0), (2, size, size))
  product = jax.jit(jnp.matmul)
  return lambda: jax.block_until_ready(product(a, b))


def gflops(matmul):
  """Measures the best GFLOP/s of a few matrix products; the first only wakes the threads."""
  seconds = []
  for _ in range(_MATMULS + 1):
    begin = time.perf_counter()
    matmul()
    seconds.append(time.perf_counter() - begin)
  return 2e-9 * _MATMUL_SIZE ** 3 / min(seconds[1:])


def seconds_per_call(function, num_calls):
  """Returns the mean time of a call, after one that does not count."""
  function()
  begin = time.perf_counter()
  for _ in range(num_calls):
    function()
  return (time.perf_counter() - begin) / num_calls


def record_missing(config):
  """Records the data of a run that is not in `data_dir` yet."""
  domain = domains.of(config)
  names = sorted({*domains.targets(config), *config.sources})
  if not all(os.path.isdir(path) for name in names for path in domain.directories(name)):
    domain.collect(names)


def pytorch_jobs(update, config):
  """Returns {name: job} of what PyTorch does, or {} if it is not installed or not comparable."""
  is_installed = all(importlib.util.find_spec(name) for name in ('torch', 'transformers'))
  if not is_installed or jax.default_backend() != 'cpu':
    return {}
  import torch

  from experiments.benchmarks import torch_gpt2
  torch.set_num_threads(machine.num_cores())
  step = torch_gpt2.make_update(update.networks, update.batches, window=config.window,
                                is_labelling=update.is_labelling)
  matmul = torch_gpt2.make_matmul(_MATMUL_SIZE)
  return {'matmul_pytorch': lambda: gflops(matmul),
          'update_pytorch': lambda: seconds_per_call(step, _TURN_STEPS.value)}


def take_turns(jobs, num_turns):
  """Runs all jobs one after the other, again and again.

  Args:
    jobs: {name: function without arguments}.
    num_turns: how often.

  Returns:
    {name: list of what the function returned}.
  """
  results = {name: [] for name in jobs}
  with progress_.Progress(num_turns * len(jobs), label='benchmark') as progress:
    for i in range(num_turns):
      for j, (name, job) in enumerate(jobs.items()):
        results[name].append(job())
        progress.update(i * len(jobs) + j + 1)
  return results


def measure(config, directory):
  """Measures everything.

  Args:
    config: of a run.
    directory: an empty one, for what is saved.

  Returns:
    The content of benchmark.json.
  """
  about = machine.describe_machine()  # Before it is busy.
  update = Update(config)
  timed = domains.of(config).module('benchmark')
  if timed is None:
    raise ValueError(f'experiment is {config.experiment!r}, of which no evaluation can be timed; '
                     'expected maze or atari.')
  loading = measure_loading(config, timed.LOADING) if timed.LOADING else None
  evaluation = timed.Evaluation(config, update.networks.dt, update.dt_params)
  matmul = make_matmul(_MATMUL_SIZE)
  matmul()
  saved = saving.Saving(update, directory, every_steps=_SAVING_STEPS.value)

  def update_job():
    update.run(1)
    return update.run(_TURN_STEPS.value)

  jobs = {'matmul': lambda: gflops(matmul), 'update': update_job,
          **pytorch_jobs(update, config), **evaluation.jobs, 'saving': saved.run}
  with compilations() as compiled:
    results = take_turns(jobs, _TURNS.value)
  update.close()
  saved.close()
  saving_summary = saved.summary(results['saving'])
  resume = saving.measure_resume(config, directory, num_times=_RESUMES.value)

  step_seconds, wait_fractions = np.transpose(results['update'])
  work = update.learner.flops(update.rows)
  gflop = sum(work.values()) / 1e9
  num_windows = sum(update.rows.values())
  matmul_gflops = machine.spread(results['matmul'])
  pytorch = None
  if 'update_pytorch' in jobs:
    pytorch_seconds = np.array(results['update_pytorch'])
    pytorch = {'matmul_gflop_per_second': machine.spread(results['matmul_pytorch']),
               'step_ms': machine.spread(1e3 * pytorch_seconds),
               'steps_per_second': machine.spread(1. / pytorch_seconds),
               # Of neighbouring turns: both met the same machine.
               'update_speed_ratio': machine.spread(pytorch_seconds / step_seconds)}
  return {
      'command': 'python -m experiments.benchmark ' + shlex.join(sys.argv[1:]),
      'created': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'preset': config.preset, 'method': config.method,
      'environment': config.target,
      'machine': about, 'versions': machine.installed_versions(),
      'turns': _TURNS.value, 'turn_steps': _TURN_STEPS.value,
      'matmul_gflop_per_second': matmul_gflops,
      'compilations_after_first_step': len(compiled),
      'update': {
          'compile_seconds': update.compile_seconds,
          'step_ms': machine.spread(1e3 * step_seconds),
          'steps_per_second': machine.spread(1. / step_seconds),
          'windows_per_second': machine.spread(num_windows / step_seconds),
          'gflop_per_step': {name: count / 1e9 for name, count in work.items()} | {'all': gflop},
          'xla_gflop_per_step': update.xla_flops / 1e9,
          'gflop_per_second': machine.spread(gflop / step_seconds),
          'percent_of_matmul':
              100 * gflop / np.median(step_seconds) / matmul_gflops['median'],
          'data_wait_percent': machine.spread(100 * wait_fractions),
      },
      'evaluation': evaluation.summary(results, machine.spread),
      'saving': saving_summary | {name: machine.spread(saving_summary[name]) for name in (
          'slowdown_percent', 'stopped_ms', 'late_ms')},
      'resume': resume | {name: machine.spread(resume[name])
                          for name in ('seconds', 'programs_seconds')},
      'loading': loading,
      'pytorch': pytorch,
  }


def _row(name, values, unit, digits=3):
  """A line of the table: a median with its range, or one number."""
  show = lambda x: np.format_float_positional(  # noqa: E731
      x, precision=digits, fractional=False, trim='-')
  if isinstance(values, dict):
    return (f"| {name} | {show(values['median'])} {unit} | "
            f"{show(values['min'])} to {show(values['max'])} |")
  return f'| {name} | {show(values)} {unit} | |'


def _evaluation_rows(evaluation):
  rows = [_row('evaluation', evaluation['steps_per_second'], 'agent steps/s')]
  if 'seconds' in evaluation:
    return [*rows, _row(f"a whole evaluation ({evaluation['num_steps']} agent steps, untrained)",
                        evaluation['seconds'], 's')]
  shares = ', '.join(f'{name} {share:.0f} %'
                     for name, share in evaluation['percent_waiting'].items())
  return [*rows,
          _row('evaluation the plain way', evaluation['plain_steps_per_second'], 'agent steps/s'),
          _row('evaluation, speed against the plain way', evaluation['speed_ratio'], 'x'),
          f'| evaluation waits for: {shares} | | |']


def _loading_rows(loading):
  if loading is None:
    return []
  names = {'ours': 'reading', 'ours_4_times': 'reading, 4 times the data',
           'naive': 'reading by rlds.transformations.batch'}
  return [f"| {names[name]} | {found['windows_per_second']:,.0f} windows/s | first after "
          f"{found['first_batch_seconds']:.1f} s, at most "
          f"{found['max_memory_bytes'] / 1e9:.2f} GB |"
          for name, found in loading.items()]


def _saving_rows(saved, resume):
  num_times, without_cache = len(resume['from_steps']) - 1, resume['without_cache']
  return [
      _row(f"updates, slowed by a save every {saved['every_steps']} steps",
           saved['slowdown_percent'], '%'),
      _row(f"a save of {saved['state_bytes'] / 1e6:.3g} MB stops the updates for",
           saved['stopped_ms'], 'ms'),
      _row(f"going on: from the start of the process to its first update, {num_times} times",
           resume['seconds'], 's'),
      _row('of it, reading compiled programs from the cache', resume['programs_seconds'], 's'),
      _row('the same with an empty cache', without_cache['seconds'], 's'),
      _row('of it, compiling', without_cache['programs_seconds'], 's')]


def format_table(result):
  """Returns the result of `measure` as Markdown, with what it was measured on and how."""
  about, update = result['machine'], result['update']
  evaluation, pytorch = result['evaluation'], result['pytorch']
  parts = ', '.join(f'{name} {count:.3g}' for name, count in update['gflop_per_step'].items()
                    if name != 'all')
  lines = [
      f"{about['cpu']}, cores: {about['cores']}, load before: {about['load_before']:.1f}; "
      + ', '.join(f'{name} {version}' for name, version in result['versions'].items())
      + f"; preset {result['preset']}, method {result['method']}, float32.",
      f"`{result['command']}`",
      '',
      f"| | median of {result['turns']} turns | range |",
      '|---|---|---|',
      _row(f'matrix product {_MATMUL_SIZE}³', result['matmul_gflop_per_second'], 'GFLOP/s'),
      _row('update', update['step_ms'], 'ms'),
      _row('update', update['steps_per_second'], 'steps/s'),
      _row('update', update['windows_per_second'], 'windows/s'),
      _row('update', update['gflop_per_second'], 'GFLOP/s'),
      _row('update, share of the matrix product', update['percent_of_matmul'], '%'),
      _row(f'work of an update ({parts})', update['gflop_per_step']['all'], 'GFLOP'),
      _row('work of an update as XLA counts it', update['xla_gflop_per_step'], 'GFLOP'),
      _row('compiling the update', update['compile_seconds'], 's'),
      _row('waiting for data', update['data_wait_percent'], '%', digits=2),
      f"| compilations after the first step | {result['compilations_after_first_step']} | |",
      *_evaluation_rows(evaluation),
      *_saving_rows(result['saving'], result['resume']),
      *_loading_rows(result['loading']),
  ]
  if pytorch is not None:
    lines += [
        _row(f'PyTorch: matrix product {_MATMUL_SIZE}³', pytorch['matmul_gflop_per_second'],
             'GFLOP/s'),
        _row('PyTorch: GPT-2 of the same shape, AdamW', pytorch['step_ms'], 'ms'),
        _row('PyTorch: GPT-2 of the same shape, AdamW', pytorch['steps_per_second'], 'steps/s'),
        _row('update, speed against PyTorch', pytorch['update_speed_ratio'], 'x'),
    ]
  elif about['device'] == 'cpu':
    lines += ['', _NO_PYTORCH]
  if about['load_before'] > 1:
    lines += ['', _BUSY]
  return '\n'.join(lines)


def main(config):
  """Measures `config` and reports."""
  jax.config.update('jax_enable_compilation_cache', False)  # Compilation is timed, too.
  record_missing(config)
  os.makedirs(config.workdir, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='benchmark-', dir=config.workdir) as directory:
    result = measure(config, os.path.abspath(directory))
  path = os.path.join(config.workdir, 'benchmark.json')
  atomic_files.write_json(path, result)
  print(format_table(result))
  sys.stderr.write(f'wrote {path}\n')


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/maze.py')
