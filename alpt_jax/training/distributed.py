"""Runs several processes as one: start, agreement on stopping, detection of hung hosts.

Each process runs the same program on its own devices; JAX makes one machine of them. What starts
the processes says so in their environment:

  ALPT_DISTRIBUTED=1    on TPU pods, Slurm and GKE, where JAX finds out the rest itself; or
  ALPT_COORDINATOR      host:port of process 0, anywhere,
  ALPT_NUM_PROCESSES    how many there are,
  ALPT_PROCESS_ID       which this one is.

Without them the process is alone.
"""

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import distributed as jax_distributed  # Its key-value store has no public name.
from jax.experimental import multihost_utils

from alpt_jax.training import sharding

HUNG = 76  # Exit code of a process that hung; nothing was saved, start it again.
_VARIABLES = ('ALPT_COORDINATOR', 'ALPT_NUM_PROCESSES', 'ALPT_PROCESS_ID')
_STEPS_IN_FLIGHT = 2  # Of the device, ahead of which the host may run.
_MAX_POLL_SECONDS = 10.
_READING_SECONDS = 24 * 3600  # Indexing all of RL Unplugged takes hours.


def initialize(*, init_timeout_seconds, heartbeat_timeout_seconds):
  """Joins the other processes of the run, if there are any; before anything else of JAX.

  Args:
    init_timeout_seconds: how long to wait for all of them.
    heartbeat_timeout_seconds: after so long without a sign of life of one, all end.

  Ends the process with exit code `HUNG` if some do not come; process 0 names them.

  Raises:
    ValueError: if the environment says only half of it.
  """
  values = {name: os.environ.get(name, '') for name in _VARIABLES}
  options = {}
  if any(values.values()):
    missing = [name for name, value in values.items() if not value]
    if missing:
      raise ValueError(f'{missing[0]} is not set, but {_VARIABLES[0]} or another of '
                       f'{", ".join(_VARIABLES)} is; expected all three, or none.')
    for name in _VARIABLES[1:]:
      if not values[name].isdecimal():
        raise ValueError(f'{name} is {values[name]!r}; expected a number.')
    address, num_processes, process_id = values.values()
    if int(process_id) >= int(num_processes):
      raise ValueError(f'ALPT_PROCESS_ID is {process_id}; expected it below ALPT_NUM_PROCESSES '
                       f'{num_processes}.')
    options = dict(coordinator_address=address, num_processes=int(num_processes),
                   process_id=int(process_id))
    host, _, port = address.rpartition(':')
    if not host or not port.isdecimal():
      raise ValueError(f'ALPT_COORDINATOR is {address!r}; expected host:port of process 0.')
  elif os.environ.get('ALPT_DISTRIBUTED', '') in ('', '0'):
    return
  elif os.environ['ALPT_DISTRIBUTED'] != '1':
    raise ValueError(f"ALPT_DISTRIBUTED is {os.environ['ALPT_DISTRIBUTED']!r}; expected 0 or 1.")
  jax.config.update('jax_enable_preemption_service', False)  # It would take our SIGTERM.
  # Python would hear of a signal when all processes are there, and nothing is written yet.
  previous = signal.signal(signal.SIGTERM, signal.SIG_DFL)
  try:
    with _RollCall(init_timeout_seconds, **options):
      jax.distributed.initialize(
          # Longer than ours: when it is over, JAX aborts without saying who is missing.
          initialization_timeout=init_timeout_seconds + 60,
          heartbeat_timeout_seconds=heartbeat_timeout_seconds, **options)
  finally:
    signal.signal(signal.SIGTERM, previous)
  atexit.register(_leave)  # Before JAX's own: what was registered last is called first.
  _say_hosts(init_timeout_seconds)


def _say_hosts(timeout):
  """Says which process is on which host: JAX names one that is lost later by its number only."""
  found = jax_distributed.global_state
  found.client.key_value_set(f'alpt_host/{found.process_id}', socket.gethostname())
  if found.process_id == 0:
    hosts = [found.client.blocking_key_value_get(f'alpt_host/{i}', timeout * 1000)
             for i in range(found.num_processes)]
    sys.stderr.write(
        f"hosts of the processes: {', '.join(f'{i} on {host}' for i, host in enumerate(hosts))}\n")


class _RollCall:
  """Ends a process whose run does not become complete in time, and says who is missing.

  A context manager around the waiting. Process 0 listens at the port after the coordinator's, the
  others tell it that they are there.
  """

  def __init__(self, timeout, *, coordinator_address='', num_processes=0, process_id=None):
    self._timeout, self._num_processes, self._process = timeout, num_processes, process_id
    self._host, _, port = coordinator_address.rpartition(':')
    self._port = int(port) + 1 if port.isdecimal() else 0
    self._there, self._error = {0}, None  # As process 0 knows.
    self._is_over = threading.Event()
    self._threads = [threading.Thread(target=target, daemon=True)
                     for target in (self._wait, self._listen if process_id == 0 else self._answer)]

  def __enter__(self):
    for thread in self._threads[:1 if self._process is None else 2]:
      thread.start()
    return self

  def __exit__(self, *unused):
    self._is_over.set()

  def _listen(self):
    try:
      with socket.create_server(('', self._port)) as server:
        server.settimeout(.2)
        while not self._is_over.is_set():
          try:
            connection, _ = server.accept()
          except TimeoutError:
            continue
          with connection, contextlib.suppress(OSError):  # Not one of ours; it sends nothing.
            connection.settimeout(1)
            text = connection.recv(16)
            if text.isdigit():
              self._there.add(int(text))
    except OSError as error:  # Another program has the port.
      self._error = error

  def _answer(self):
    while not self._is_over.wait(.2):
      try:
        with socket.create_connection((self._host, self._port), 1) as connection:
          connection.sendall(str(self._process).encode())
          return
      except OSError:
        continue  # Not there yet.

  def _wait(self):
    if self._is_over.wait(self._timeout):
      return
    if self._process is None:
      who, missing = '', 'Look at the log of each host for the first that lacks this line'
    else:
      who = f', process {self._process} of {self._num_processes}'
      missing = f'Process 0 ({self._host}) says who is missing'
    if self._error is not None:
      missing = f'Who is missing is not known ({self._error}, port {self._port})'
    elif self._process == 0:
      ids = sorted(set(range(self._num_processes)) - self._there)
      missing = f'Missing: process {", ".join(map(str, ids))}'
    sys.stderr.write(
        f'error: {socket.gethostname()}{who}: not all processes came within {self._timeout} s '
        f'(distributed.init_timeout_seconds). {missing}. Start the run again.\n')
    sys.stderr.flush()
    os._exit(HUNG)


_has_finished = False


def finish():
  """Says that this process ends as all the others do; without it, it leaves them at once."""
  global _has_finished
  _has_finished = True


def leave(code):
  """Ends a process of several without waiting for the others; does nothing to one that is alone.

  JAX would wait for them, minutes, and they for it; and then end with another exit code.
  """
  if jax.process_count() > 1:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _leave():
  if not _has_finished:  # An error has been reported.
    leave(1)


def is_main():
  """Returns whether this process writes the files that all processes share."""
  return jax.process_index() == 0


def agree(value):
  """Returns what the first process gives, an int below 2**31, in all processes; all call it."""
  if jax.process_count() == 1:
    return value
  return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


@contextlib.contextmanager
def main_first():
  """Lets the first process go through a block before the others; once in a process."""
  if jax.process_count() == 1:
    yield
    return
  wait = functools.partial(jax_distributed.global_state.client.wait_at_barrier, 'alpt_main_first',
                           _READING_SECONDS * 1000)
  if not is_main():
    wait()
  yield
  if is_main():
    wait()


class StopTogether:
  """Lets all processes stop at the same step when one of them is told to."""

  def __init__(self, mesh):
    """Compiles nothing yet."""
    self._mesh = mesh
    self._is_alone = sharding.num_processes(mesh) == 1
    self._largest = jax.jit(jnp.max, in_shardings=sharding.rows(mesh),
                            out_shardings=sharding.replicated(mesh))
    self._asked = []

  def ask(self, is_set):
    """Asks all processes; once a step.

    Args:
      is_set: whether this one wants to stop.

    Returns:
      Whether to stop, the same in all processes. With several, what they wanted some steps ago, so
      that the host need not wait for the device.
    """
    if self._is_alone:
      return is_set
    flags = np.full(self._mesh.local_mesh.size, is_set, np.int32)
    self._asked.append(self._largest(sharding.to_devices(self._mesh, flags)))
    return len(self._asked) > _STEPS_IN_FLIGHT and bool(self._asked.pop(0))


class Watch:
  """Ends a process of several that makes no progress, and says which host it waits for.

  A context manager. When one host hangs, all the others wait for it inside a collective, where
  nothing can be raised; so a thread watches.
  """

  def __init__(self, hang_timeout_seconds):
    """Starts nothing yet.

    Args:
      hang_timeout_seconds: longer than the longest of compiling, evaluating and saving.
    """
    self._timeout = hang_timeout_seconds
    self._doing, self._since = 'start', time.monotonic()
    self._is_over = threading.Event()
    self._thread = threading.Thread(target=self._run, name='watch', daemon=True)

  def __enter__(self):
    if jax.process_count() > 1:
      self._thread.start()
    return self

  def __exit__(self, *unused):
    self._is_over.set()
    if self._thread.is_alive():
      self._thread.join()

  def at(self, step, doing):
    """Says what this process does now, e.g. 'reading'."""
    self._doing, self._since = f'{doing}, step {step}', time.monotonic()

  def _run(self):
    client = jax_distributed.global_state.client
    poll = min(self._timeout / 4, _MAX_POLL_SECONDS)
    while not self._is_over.wait(poll):
      seconds = time.monotonic() - self._since
      client.key_value_set(
          f'alpt_watch/{jax.process_index()}',
          json.dumps([jax.process_index(), socket.gethostname(), self._doing, round(seconds)]),
          allow_overwrite=True)
      if seconds > self._timeout:
        self._is_over.wait(2 * poll)  # Until the others have said how they are.
        if time.monotonic() - self._since > self._timeout:
          _end_hung(client, self._timeout, 3 * poll)


def _end_hung(client, timeout, poll):
  found = sorted(json.loads(value) for _, value in client.key_value_dir_get('alpt_watch'))
  missing = sorted(set(range(jax.process_count())) - {process for process, *_ in found})
  hosts = '; '.join([
      *(f'process {process} on {host}: {doing}, for {seconds} s'
        for process, host, doing, seconds in found),
      *(f'process {process}: has said nothing yet' for process in missing)])
  sys.stderr.write(
      f'error: process {jax.process_index()} made no step for {timeout} s '
      f'(distributed.hang_timeout_seconds). The others wait for those that are not '
      f'"computing": {hosts}. Nothing is lost but the work since the last checkpoint; start '
      'again.\n')
  sys.stderr.flush()
  if is_main():  # The coordination service runs in it, and the others report through that.
    time.sleep(poll)
  os._exit(HUNG)
