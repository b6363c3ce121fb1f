"""Emulates a pod by processes on this machine, each with CPU devices of its own.

Their output is prefixed with the process's number and kept in the run directory under logs/. When
one dies, the others wait for it in vain and are ended. `local` is the same with one process and
whatever devices there are.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

from launch import log_lines, restarts
from launch import runs as runs_
from launch import settings as settings_

_POLL_SECONDS = .05
_LAUNCHERS = ('launch.submit', 'experiments.reproduce')  # As `ps` shows them.
_DEVICES_FLAG = '--xla_force_host_platform_device_count'


class Group:
  """The processes of one start."""

  def __init__(self, commands, environments, log_dir, *, grace_seconds, redact):
    """Starts them.

    Args:
      commands: list of command lines.
      environments: a dict for each.
      log_dir: where process<i>.log is appended to.
      grace_seconds: between asking a process to stop and killing it.
      redact: function of a text.
    """
    self._grace_seconds, self._redact = grace_seconds, redact
    self._print_lock = threading.Lock()
    self._ends = {}  # Process: (time, exit code).
    self._processes, self._readers = [], []
    log_dir.mkdir(parents=True, exist_ok=True)
    for i, (command, env) in enumerate(zip(commands, environments, strict=True)):
      # A session of its own: Ctrl-C reaches the launcher alone, which passes it on once. Twice
      # means "now" to the program.
      process = subprocess.Popen(
          command, env=env, cwd=settings_.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
          stderr=subprocess.STDOUT, start_new_session=True)
      self._processes.append(process)
      prefix = f'[{i}] ' if len(commands) > 1 else ''
      reader = threading.Thread(
          target=self._read, args=(process.stdout, prefix, f'process{i}', log_dir), daemon=True)
      reader.start()
      self._readers.append(reader)

  @property
  def pids(self):
    """Process ids, in order."""
    return [process.pid for process in self._processes]

  def send(self, number, index=None):
    """Sends a signal to one process, or to all that live."""
    for i, process in enumerate(self._processes):
      if index in (None, i) and process.poll() is None:
        process.send_signal(number)

  def wait(self):
    """Waits for all; returns the exit code of the run.

    If one fails, the others get the grace to end by themselves when it has saved (75: they do, too,
    and end at the same step), else SIGTERM at once; then they are killed.
    """
    deadline, signals = None, [signal.SIGTERM, signal.SIGKILL]
    while len(self._ends) < len(self._processes):
      for process in self._processes:
        if process not in self._ends and process.poll() is not None:
          self._ends[process] = (time.monotonic(), restarts.shell_code(process.returncode))
      code = restarts.first_failure(self._ends.values())
      patience = restarts.patience_seconds(code, self._grace_seconds)
      if code and deadline is None:
        deadline = time.monotonic() + (patience if code == restarts.PREEMPTED else 0.)
      if deadline is not None and signals and time.monotonic() >= deadline:
        self._end_others(signals.pop(0))
        deadline = time.monotonic() + patience
      time.sleep(_POLL_SECONDS)
    for reader in self._readers:
      reader.join(self._grace_seconds)  # A grandchild may hold the pipe; don't wait for it forever.
    return restarts.first_failure(self._ends.values())

  def _end_others(self, number):
    for process in self._processes:
      if process.poll() is None:
        if number == signal.SIGKILL:
          os.killpg(process.pid, number)  # What it has started, too.
        else:
          process.send_signal(number)

  def _read(self, stream, prefix, host, log_dir):
    with open(log_dir / f'{host}.log', 'a', encoding='utf-8') as log:
      for raw in stream:
        text = self._redact(raw.decode(errors='replace').rstrip('\r\n'))
        with self._print_lock:
          _print(prefix + text)
        log.write(f'{log_lines.stamp(host, text)}\n')
        log.flush()


def _print(text):
  """Writes to standard output, in any encoding (LANG=C), even if its reader has gone."""
  encoding = sys.stdout.encoding or 'utf-8'
  try:
    print(text.encode(encoding, errors='replace').decode(encoding), flush=True)
  except BrokenPipeError:
    pass  # The run goes on; its log is on disk.


def free_port():
  """Finds a free port of this machine whose next is free, too: process 0 needs both."""
  while True:
    with socket.socket() as first, socket.socket() as second:
      first.bind(('', 0))
      port = first.getsockname()[1]
      try:
        second.bind(('', port + 1))
        return port
      except (OSError, OverflowError):
        continue


def environment(index, *, num_processes, devices_per_process, port, base):
  """Returns the environment variables of a process.

  Args:
    index: of the process.
    num_processes: in all.
    devices_per_process: CPU devices of each.
    port: where process 0 listens.
    base: dict to start from.

  Returns:
    Only what is changed.
  """
  kept = [flag for flag in base.get('XLA_FLAGS', '').split()
          if flag.partition('=')[0] != _DEVICES_FLAG]
  return {
      'ALPT_COORDINATOR': f'127.0.0.1:{port}',
      'ALPT_NUM_PROCESSES': str(num_processes),
      'ALPT_PROCESS_ID': str(index),
      'JAX_PLATFORMS': 'cpu',
      'XLA_FLAGS': ' '.join([*kept, f'{_DEVICES_FLAG}={devices_per_process}']),
  }


def _environments(settings, base, port):
  """What each process has beside what is there."""
  given = settings.multiprocess
  return [environment(i, num_processes=given.num_processes,
                      devices_per_process=given.devices_per_process, port=port, base=base)
          for i in range(given.num_processes)]


class _Runner:
  """Starts the processes of a run, again if need be, and passes signals on."""

  def __init__(self, run, context, make_environments):
    self._run, self._context = run, context
    self._make_environments = make_environments
    self._group = None
    self._stop = threading.Event()
    self._signal = None

  def run(self):
    """Returns the exit code of the run."""
    settings = self._context.settings
    previous = {number: signal.signal(number, self._forward)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
      return restarts.supervise(
          self._attempt,
          restarts.Budget(settings.max_restarts, settings.first_pause_seconds,
                          settings.max_pause_seconds),
          say=self._context.shell.say, wait=self._stop.wait, is_stopping=self._stop.is_set)
    finally:
      for number, handler in previous.items():
        signal.signal(number, handler)

  def _attempt(self):
    directory = pathlib.Path(settings_.ROOT, self._run.workdir, 'logs')
    environments = self._make_environments()
    command = self._run.command(sys.executable)
    self._context.shell.say(f'{self._run.id}: starting {len(environments)} x {self._run.program}; '
                            f'output is kept in {self._run.workdir}/logs')
    self._group = Group(
        [command] * len(environments), [os.environ | env for env in environments], directory,
        grace_seconds=self._context.settings.grace_seconds, redact=self._context.shell.redact)
    if self._stop.is_set():  # It came while the processes were being made.
      self._group.send(self._signal, self._context.signalled_process)
    (directory / 'processes.json').write_text(
        json.dumps({'launcher': os.getpid(), 'processes': self._group.pids}))
    code = self._group.wait()
    (directory / 'processes.json').unlink(missing_ok=True)
    return code

  def _forward(self, number, unused_frame):
    # The terminal has gone: a reason to save and stop, which programs know as SIGTERM.
    self._signal = signal.SIGTERM if number == signal.SIGHUP else number
    self._stop.set()
    if self._group is not None:
      self._group.send(self._signal, self._context.signalled_process)


def submit_with(runs, context, make_environments):
  """Runs one after the other, as each has the whole machine; returns the first bad exit code."""
  for run in runs:
    if context.shell.dry_run:
      context.shell.say(f'run {run.id}, in {settings_.ROOT}')
      for env in make_environments():
        secrets = {name: os.environ[name] for name in context.settings.secrets
                   if name in os.environ}
        context.shell.show(run.command(sys.executable), env | secrets)
      continue
    code = _Runner(run, context, make_environments).run()
    if code:
      return code
  return restarts.DONE


def submit(runs, context):
  """Runs each as a group of processes on this machine."""
  port = None if context.shell.dry_run else free_port
  return submit_with(runs, context, lambda: _environments(
      context.settings, os.environ, port() if port else '<free port>'))


def activity(run_id, context):
  """Names the first process of a run on this machine; '' if there is none."""
  return next((f'{kind} {name}, {state}' for kind, name, state, remove in inventory(
      run_id, context) if remove), '')


def inventory(run_id, context):
  """Lists what a run has here: [(kind, name, state, function that removes it or None)]."""
  workdir = pathlib.Path(settings_.ROOT, context.workdir(run_id))
  found = []
  try:
    pids = json.loads((workdir / 'logs' / 'processes.json').read_text())
  except (FileNotFoundError, ValueError):
    pids = {'launcher': 0, 'processes': []}

  def make_end(pid):
    return lambda: context.shell.run(['kill', '-TERM', str(pid)])

  # The launcher passes the signal on; without its doing, the run would be started again.
  has_launcher = _is_process(pids['launcher'], lambda word: word in _LAUNCHERS)
  if has_launcher:
    found.append(('launcher', str(pids['launcher']), 'running', make_end(pids['launcher'])))
  for pid in pids['processes']:
    if _is_process(pid, lambda word: word.endswith(f'/{workdir.name}')):
      found.append(('process', str(pid), 'running', None if has_launcher else make_end(pid)))
  found.append(('run directory', str(workdir), runs_.directory_state(workdir), None))
  return found


def _is_process(pid, is_sign):
  """Whether a process lives and an argument of it is a sign that it is not another by now."""
  arguments = subprocess.run(['ps', '-o', 'args=', '-p', str(pid)], capture_output=True, text=True,
                             check=False).stdout
  return any(is_sign(word) for word in arguments.split())


def read_logs(run_id, context):
  """Reads the logs of a run: lists of `log_lines.Line`."""
  directory = pathlib.Path(settings_.ROOT, context.workdir(run_id), 'logs')
  return [log_lines.parse(path.read_text(errors='replace'))
          for path in sorted(directory.glob('*.log'))]
