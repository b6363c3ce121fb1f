"""TPU VMs through queued resources: requested, waited for, started on, watched, and deleted.

A run's queued resource and its one node have the run's id. The program outlives this process and
its connection: submitting the same id again resumes watching. A request that has failed, or whose
machines were taken away, counts against the quota until it is deleted, so it is deleted and made
again; the run resumes from its checkpoints. When the run is over, the request is deleted, too.
"""

import concurrent.futures
import itertools
import pathlib
import re
import shlex
import threading

from launch import log_lines, restarts, tpus

# Of a queued resource; docs.cloud.google.com/tpu/docs/queued-resources. All others, from
# WAITING_FOR_RESOURCES to SUSPENDING, change by themselves.
_ABSENT = 'absent'
_UNKNOWN = 'unknown'  # No answer: no network, or gcloud is logged out.
_ACTIVE = 'ACTIVE'
_DEAD = ('FAILED', 'SUSPENDED', 'PREEMPTED', 'TERMINATED')
# Of a node, while its queued resource may still be called ACTIVE.
_DEAD_NODE = ('PREEMPTED', 'TERMINATED', 'STOPPED', 'STOPPING', 'DELETING', 'HIDDEN', 'HIDING',
              _ABSENT)

_MAX_UNKNOWN = 40  # Looks in a row without an answer.
_MAX_SETUPS = 3  # Failures in a row to make hosts ready, if none ever was: it is no accident.
_LOOKS_PER_LOG = 10  # The log is copied here now and then, before the hosts' own disks are gone.
_LOG_LINES = 2000  # Of each worker, copied at a time.
_MAX_SILENT = 5  # Looks in a row at a living node that cannot be reached.
_POLL = re.compile(r'alpt (\S+) (running|ended|absent) ([0-9.]+) (\d+) \|')
_BASE = 'alpt'  # Directory on the hosts, in the home directory.


class _Commands:
  """Command lines of one run."""

  def __init__(self, run_id, context):
    self._id, self._settings = run_id, context.settings
    self._gcloud = context.settings.gcloud
    self._place = [f'--zone={self._gcloud.zone}', f'--project={self._gcloud.project}', '--quiet']

  def _of(self, group, verb, *args):
    return ['gcloud', 'compute', 'tpus', group, verb, *args, *self._place]

  def create(self):
    """Requests the slice; returns when the request is in the queue."""
    wanted, settings = tpus.parse(self._settings.tpu), self._gcloud
    flags = [f'--node-id={self._id}', f'--accelerator-type={wanted.accelerator_type}',
             f'--runtime-version={settings.runtime_version or wanted.runtime_version}',
             f'--labels=alpt-run={self._id}']
    flags += [f'--{name}' for name in ('spot', 'reserved') if settings[name]]
    flags += ['--internal-ips'] * settings.internal_ip
    flags += [f'--{name.replace("_", "-")}={settings[name]}'
              for name in ('service_account', 'network', 'subnetwork') if settings[name]]
    if self._gcloud.service_account or self._settings.secrets:
      flags.append('--scopes=https://www.googleapis.com/auth/cloud-platform')
    return self._of('queued-resources', 'create', self._id, *flags, '--async')

  def describe(self):
    """Returns the state of the request."""
    return self._of('queued-resources', 'describe', self._id, '--format=value(state.state)')

  def describe_node(self):
    """Returns the state of the node."""
    return self._of('tpu-vm', 'describe', self._id, '--format=value(state)')

  def delete(self):
    """Deletes the request and its node; returns when they are gone."""
    return self._of('queued-resources', 'delete', self._id, '--force')

  def _connection(self):
    return ['--worker=all'] + ['--internal-ip'] * self._gcloud.internal_ip

  def copy(self, path):
    """Copies a file into the home directory of every worker."""
    return self._of('tpu-vm', 'scp', str(path), f'{self._id}:', *self._connection())

  def ssh(self, command):
    """Runs shell on every worker."""
    return self._of('tpu-vm', 'ssh', self._id, *self._connection(), f'--command={command}')

  def setup(self, bundle):
    """Unpacks the code and makes the hosts ready."""
    code = f'{_BASE}/code-{bundle.digest}'
    env = {'ALPT_STORAGE': self._settings.storage,
           'ALPT_MOUNT_POINT': self._settings.mount_point}
    words = ' '.join(f'{name}={shlex.quote(value)}' for name, value in env.items())
    return self.ssh(
        f'set -e; echo "{bundle.sha256}  {bundle.name}" | sha256sum --check --quiet; '
        f'mkdir -p {code} {_BASE}/runs/{self._id}; tar -xzf {bundle.name} -C {code}; cd {code}; '
        f'{words} bash launch/host_setup.sh > ../runs/{self._id}/python')

  def worker(self, bundle, action, *args):
    """Calls launch/worker.sh; ~ of the workers is known to them alone."""
    words = shlex.join(args)
    return self.ssh(f'cd {_BASE}/code-{bundle.digest} && bash launch/worker.sh {action} '
                    f'"$HOME/{_BASE}/runs/{self._id}"' + (f' {words}' if words else ''))

  def start(self, bundle, run):
    """Starts the program of a run; returns at once."""
    env = {'ALPT_DISTRIBUTED': '1', 'ALPT_RUN_ID': self._id}
    words = ' '.join(f'{name}={shlex.quote(value)}' for name, value in env.items())
    secrets = ','.join(self._settings.secrets)
    options = f' --secrets={secrets}' if secrets else ''
    command = shlex.join(['-m', run.program, *run.args])
    return self.ssh(
        f'cd {_BASE}/code-{bundle.digest} && {words} bash launch/worker.sh start '
        f'"$HOME/{_BASE}/runs/{self._id}"{options} -- '
        f'"$(cat ../runs/{self._id}/python)" {command}')

  def log(self):
    """Prints the newest part of the log of every worker."""
    return self.ssh(f'tail -n {_LOG_LINES} {_BASE}/runs/{self._id}/log 2> /dev/null || true')


class _Pod:
  """The machines of one run, through one request after another."""

  def __init__(self, run, context, bundle_path, stop):
    self._run, self._context, self._bundle = run, context, context.code
    self._commands = _Commands(run.id, context)
    self._shell, self._bundle_path, self._stop = context.shell, bundle_path, stop
    self._state = None  # As last told to the user.
    self._was_active = self._has_started = False
    self._num_failed_setups = 0
    self.is_deleted = False  # Not by this process; it is not requested again.
    self.is_hopeless = False

  def attempt(self):
    """Gets the machines, runs the program on them; returns its exit code."""
    code = self._wait_until_active()
    if code is not None:
      return code
    ends = self._look()
    if ends is not None and any(state == 'running' for _, state, *_ in ends):
      self._shell.say(f'{self._run.id} is running already; watching it')
    else:
      code = self._start()
      if code is not None:
        return code
    return self._watch()

  def close(self):
    """Keeps the logs, and deletes what costs."""
    self._keep_log()
    self._shell.run(self._commands.delete())

  def _query(self, command):
    """A state in capitals, `_ABSENT` or `_UNKNOWN`."""
    result = self._shell.run(command, quiet=True)
    if result.code:
      if self._state is None and 'gcloud auth login' in result.errors:
        raise ValueError('gcloud is not logged in; run `gcloud auth login` first')
      return _ABSENT if 'NOT_FOUND' in result.errors else _UNKNOWN
    return result.output.strip().upper() or _UNKNOWN

  def _tell(self, state):
    if state != self._state:
      self._shell.say(f'{self._run.id}: {state}')
      self._state = state

  def _wait_until_active(self):
    """Returns None when the slice is there, else an exit code."""
    num_unknown, is_requested = 0, False
    while not self._stop.is_set():
      state = self._query(self._commands.describe())
      self._tell(state)
      num_unknown = num_unknown + 1 if state == _UNKNOWN else 0
      if num_unknown > _MAX_UNKNOWN:
        raise ValueError(f'{self._run.id}: no answer about the queued resource, {num_unknown} '
                         'times. It may be there and cost: look with launch.status, or run the '
                         'same command again.')
      if state == _ACTIVE:
        node = self._query(self._commands.describe_node())
        if node == 'READY':
          self._was_active = True
          return None
        self._tell(f'ACTIVE, node {node}')
        if node in _DEAD_NODE:
          state = node if node != _ABSENT else 'PREEMPTED'
      if state in _DEAD:
        self._delete()
        if state == 'FAILED' and is_requested:
          return restarts.UNAVAILABLE
        state = _ABSENT
      if state == _ABSENT:
        if is_requested:
          return self._cancel()
        if not self._was_active:
          self._shell.require(self._commands.create())
        elif (result := self._shell.run(self._commands.create())).code:
          self._shell.say(f'{self._run.id}: {result.last_error}')
          return restarts.UNAVAILABLE  # It could be requested before, so it is no mistake.
        is_requested = True
      self._stop.wait(self._context.settings.poll_seconds)
    return restarts.LOST

  def _cancel(self):
    """Records that another process, e.g. launch.cleanup, has deleted the request."""
    self._shell.say(f'{self._run.id}: was deleted by another process; it is not requested again')
    self.is_deleted = True
    return restarts.LOST

  def _delete(self):
    result = self._shell.run(self._commands.delete())
    if result.code and 'NOT_FOUND' not in result.errors:
      self._shell.say(f'warning: {self._run.id} is not deleted: {result.last_error}')

  def _start(self):
    """Returns None when the program runs, else an exit code."""
    for command in (self._commands.copy(self._bundle_path), self._commands.setup(self._bundle),
                    self._commands.start(self._bundle, self._run)):
      result = self._shell.run(command)
      if result.code:
        self._shell.say(f'{self._run.id}: {result.last_error}')
        self._num_failed_setups += 1
        self.is_hopeless = not self._has_started and self._num_failed_setups >= _MAX_SETUPS
        return restarts.UNAVAILABLE
    self._has_started = True
    return None

  def _look(self):
    """[(seconds, state, code)] of the workers; None if they cannot be reached."""
    result = self._shell.run(self._commands.worker(self._bundle, 'poll'), quiet=True)
    found = _POLL.findall(result.output)
    if result.code or len(found) < tpus.parse(self._context.settings.tpu).num_vms:
      return None
    return [(float(seconds), state, int(code)) for _, state, seconds, code in found]

  def _watch(self):
    """Returns the exit code of the program, or `restarts.LOST`."""
    num_silent, failure, seconds_since_failure = 0, None, 0.
    for num_looks in itertools.count(1):
      self._stop.wait(self._context.settings.poll_seconds)
      if self._stop.is_set():
        return restarts.LOST
      if not num_looks % _LOOKS_PER_LOG:
        self._keep_log()
      ends = self._look()
      if ends is None:
        state = self._query(self._commands.describe())
        node = self._query(self._commands.describe_node()) if state == _ACTIVE else ''
        self._tell(f'{state}, node {node}' if node else state)
        if state in ('DELETING', _ABSENT):
          return self._cancel()
        if state in (*_DEAD, 'SUSPENDING') or node in _DEAD_NODE:
          return restarts.LOST
        num_silent += state != _UNKNOWN  # If that is unknown, this machine may be offline itself.
        if num_silent >= _MAX_SILENT:
          self._shell.say(f'{self._run.id}: {num_silent} times no answer from the workers; giving '
                          'them up')
          self._delete()
          return restarts.LOST
        continue
      num_silent = 0
      over = [(seconds, code) for seconds, state, code in ends if state != 'running']
      # What was seen first stays: later, it may be us who have killed the others.
      failure = failure or restarts.first_failure(over)
      if len(over) == len(ends):
        self._tell(f'over with exit code {failure}')
        self._keep_log()
        return failure
      self._tell('running')
      if failure:  # The others wait in vain for the one that failed.
        settings = self._context.settings
        if not seconds_since_failure:
          self._shell.run(self._commands.worker(self._bundle, 'stop'))
        elif seconds_since_failure >= restarts.patience_seconds(
            failure, settings.grace_seconds):
          self._shell.run(self._commands.worker(self._bundle, 'kill'))
        seconds_since_failure += settings.poll_seconds

  def _keep_log(self):
    """Adds what is new in the logs to the copy here."""
    result = self._shell.run(self._commands.log(), quiet=True)
    if not result.code and result.output:
      path = _log_path(self._run.id, self._context)
      before = path.read_text().splitlines() if path.exists() else []
      lines = dict.fromkeys([*before, *result.output.splitlines()])  # Times make them unique.
      unfinished = path.with_suffix('.unfinished')
      path.parent.mkdir(parents=True, exist_ok=True)
      unfinished.write_text('\n'.join([*lines, '']))
      unfinished.replace(path)  # Whole, whenever we are stopped.


def _log_path(run_id, context):
  return context.directory(run_id) / 'pod.log'


def activity(run_id, context):
  """Returns '': `submit` itself looks for a running run, and watches it."""
  del run_id, context
  return ''


def submit(runs, context):
  """Runs all, side by side; returns the first bad exit code."""
  tpus.parse(context.settings.tpu)
  if context.shell.dry_run:
    for run in runs:
      _show(run, context)
    return restarts.DONE
  bundle_path = pathlib.Path(context.directory(runs[0].id), context.code.name)
  bundle_path.parent.mkdir(parents=True, exist_ok=True)
  bundle_path.write_bytes(context.code.data)
  stop = threading.Event()
  settings = context.settings

  def supervise(run):
    pod = _Pod(run, context, bundle_path, stop)
    code = restarts.supervise(
        pod.attempt, restarts.Budget(settings.max_restarts, settings.first_pause_seconds,
                                     settings.max_pause_seconds),
        say=lambda text: context.shell.say(f'{run.id}: {text}'), wait=stop.wait,
        is_stopping=lambda: stop.is_set() or pod.is_deleted or pod.is_hopeless)
    if not stop.is_set() and not pod.is_deleted:
      if context.keep:
        context.shell.say(f'{run.id}: kept, and costs; python -m launch.cleanup deletes it')
      else:
        pod.close()
    return code

  with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
    futures = [pool.submit(supervise, run) for run in runs]
    try:
      codes = [future.result() for future in futures]
    except BaseException:
      stop.set()
      context.shell.say('not watching any more; what runs goes on, and costs. The same command '
                        'watches again, python -m launch.cleanup deletes.')
      raise
  return next((code for code in codes if code), restarts.DONE)


def _show(run, context):
  commands, shell, bundle = _Commands(run.id, context), context.shell, context.code
  shell.say(f'run {run.id}: {run.program} on {context.settings.tpu}')
  shell.say('what is there already?')
  shell.show(commands.describe())
  shell.say('nothing: request it')
  shell.show(commands.create())
  shell.say(f'every {context.settings.poll_seconds:g} s, until ACTIVE and READY')
  shell.show(commands.describe())
  shell.show(commands.describe_node())
  shell.say(f'code: commit {bundle.commit[:12]}, and the hosts')
  shell.show(commands.copy(context.directory(run.id) / bundle.name))
  shell.show(commands.setup(bundle))
  shell.show(commands.start(bundle, run))
  shell.say(f'every {context.settings.poll_seconds:g} s, until all have ended')
  shell.show(commands.worker(bundle, 'poll'))
  shell.say('one worker failed, others go on: they are asked to stop, then killed')
  shell.show(commands.worker(bundle, 'stop'))
  shell.show(commands.worker(bundle, 'kill'))
  shell.say(f'SUSPENDED, FAILED, PREEMPTED: deleted and requested again, at most '
            f'{context.settings.max_restarts} times; in the end, too')
  shell.show(commands.log())
  shell.show(commands.delete())


def inventory(run_id, context):
  """Lists what a run has: [(kind, name, state, function that removes it or None)]."""
  commands, shell = _Commands(run_id, context), context.shell
  found = []
  for kind, describe in (('queued resource', commands.describe()),
                         ('TPU VM', commands.describe_node())):
    result = shell.run(describe, quiet=True)
    absent = bool(result.code) and 'NOT_FOUND' in result.errors
    state = _ABSENT if absent else f'{_UNKNOWN}: {result.last_error}' if result.code else (
        result.output.strip() or _UNKNOWN)
    remove = None
    if kind == 'queued resource' and not absent:
      remove = lambda: shell.run(commands.delete())  # noqa: E731
    found.append((kind, run_id, state, remove))
  found.append(('run directory', f'{context.workdir(run_id)} on {context.settings.storage}',
                'kept', None))
  log = _log_path(run_id, context)
  found.append(('log', str(log), 'kept' if log.exists() else _ABSENT, None))
  return found


def read_logs(run_id, context):
  """Reads the logs of a run: of the workers if they can be reached, else as last kept."""
  result = context.shell.run(_Commands(run_id, context).log(), quiet=True)
  path = _log_path(run_id, context)
  if not result.code and result.output:
    return [log_lines.parse(result.output)]
  return [log_lines.parse(path.read_text(errors='replace'))] if path.exists() else []
