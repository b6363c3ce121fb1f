"""GKE: a JobSet per run, queued by Kueue and started with kubectl, as users of xpk have it.

JobSet starts the run again when a pod fails, up to max_restarts, but not after the exit codes that
are final. The image holds the requirements alone; the code comes in a ConfigMap.
"""

import json
import math

import yaml

from launch import log_lines, restarts, tpus

_CODE_DIRECTORY = '/etc/alpt'
_CONTAINER = 'alpt'
_SECRET_KEYS = 'secretKeyRef'


class _Commands:
  """Command lines of one run."""

  def __init__(self, run_id, context):
    self._id = run_id
    gke = context.settings.gke
    self._place = ([f'--context={gke.context}'] if gke.context else []) + [
        f'--namespace={gke.namespace}']

  @property
  def config_map(self):
    """Name of what holds the code."""
    return f'{self._id}-code'

  def _of(self, *args):
    return ['kubectl', *args, *self._place]

  def state(self):
    """Prints 'name,terminalState,restarts', or nothing."""
    return self._of('get', 'jobset', self._id, '--ignore-not-found', '--output=jsonpath='
                    '{.metadata.name},{.status.terminalState},{.status.restarts}')

  def has_code(self):
    """Prints the name of the ConfigMap, or nothing."""
    return self._of('get', 'configmap', self.config_map, '--ignore-not-found',
                    '--output=jsonpath={.metadata.name}')

  def delete(self):
    """Deletes the JobSet; its pods get their grace."""
    return self._of('delete', 'jobset', self._id, '--ignore-not-found')

  def delete_code(self):
    """Deletes the ConfigMap."""
    return self._of('delete', 'configmap', self.config_map, '--ignore-not-found')

  def create_code(self, path):
    """Makes the ConfigMap."""
    return self._of('create', 'configmap', self.config_map, f'--from-file=code.tar.gz={path}')

  def apply(self, path):
    """Makes the JobSet."""
    return self._of('apply', f'--filename={path}')

  def pods(self):
    """Lists the pods."""
    return self._of('get', 'pods', f'--selector=jobset.sigs.k8s.io/jobset-name={self._id}',
                    '--output=jsonpath={range .items[*]}{.metadata.name} {.status.phase}{"\\n"}'
                    '{end}')

  def logs(self, num_pods):
    """Prints the logs of all pods."""
    return self._of('logs', f'--selector=jobset.sigs.k8s.io/jobset-name={self._id}',
                    f'--container={_CONTAINER}', '--tail=-1', '--ignore-errors',
                    f'--max-log-requests={max(num_pods, 5)}')


def jobset(run, settings, bundle):
  """Renders the JobSet of a run.

  Args:
    run: `runs.Run`.
    settings: checked.
    bundle: `bundle.Bundle`.

  Returns:
    YAML.
  """
  gke, labels = settings.gke, {'alpt-run': run.id}
  num_hosts = math.ceil(tpus.parse(settings.tpu).num_chips / gke.chips_per_host)
  annotations = ({'gke-gcsfuse/volumes': 'true'} if settings.storage.startswith('gs://') else {})
  final = [code for code in range(256) if restarts.is_final(code) and code != restarts.DONE]
  template = {'metadata': {'labels': labels} | ({'annotations': annotations} if annotations
                                                else {}), 'spec': _pod(run, settings, bundle)}
  content = {
      'apiVersion': 'jobset.x-k8s.io/v1alpha2',
      'kind': 'JobSet',
      'metadata': {
          'name': run.id,
          'labels': labels | {'kueue.x-k8s.io/queue-name': gke.queue},
          # All pods of a slice on one node pool, which is one slice.
          'annotations': {
              'alpha.jobset.sigs.k8s.io/exclusive-topology': 'cloud.google.com/gke-nodepool'},
      },
      'spec': {
          'failurePolicy': {
              'maxRestarts': settings.max_restarts,
              'rules': [{'name': 'final', 'action': 'FailJobSet',
                         'onJobFailureReasons': ['PodFailurePolicy']}],
          },
          'replicatedJobs': [{
              'name': 'slice',
              'replicas': 1,
              'template': {'spec': {
                  'parallelism': num_hosts,
                  'completions': num_hosts,
                  'completionMode': 'Indexed',
                  'backoffLimit': 0,  # A pod that fails fails the job; JobSet starts all again.
                  'podFailurePolicy': {'rules': [{
                      'action': 'FailJob',
                      'onExitCodes': {'containerName': _CONTAINER, 'operator': 'In',
                                      'values': final}}]},
                  'template': template,
              }},
          }],
      },
  }
  return (f'# Run {run.id} of commit {bundle.commit}; written by launch.submit.\n'
          + yaml.safe_dump(_copied(content), sort_keys=False, width=100))


def _container(run, settings, bundle):
  """The container of a host."""
  gke = settings.gke
  chips = min(gke.chips_per_host, tpus.parse(settings.tpu).num_chips)
  # Checked and unpacked by the container itself; exec, so that signals reach the entry point.
  script = (f'set -e; mkdir -p /tmp/alpt; cd /tmp/alpt; '
            f'echo "{bundle.sha256}  {_CODE_DIRECTORY}/code.tar.gz" | sha256sum --check --quiet; '
            f'tar -xzf {_CODE_DIRECTORY}/code.tar.gz; exec bash launch/entrypoint.sh -- "$@"')
  env = [{'name': 'ALPT_DISTRIBUTED', 'value': '1'}, {'name': 'ALPT_RUN_ID', 'value': run.id},
         {'name': 'ALPT_HOST', 'valueFrom': {'fieldRef': {'fieldPath': 'metadata.name'}}}]
  env += [{'name': name, 'valueFrom': {_SECRET_KEYS: {'name': gke.secret, 'key': name}}}
          for name in settings.secrets]
  return {
      'name': _CONTAINER,
      'image': gke.image,
      'command': ['bash', '-c', script, 'alpt', *run.command('python3')],
      'env': env,
      'ports': [{'containerPort': 8471}, {'containerPort': 8482}],  # Of libtpu, and of JAX.
      'resources': {'requests': {'google.com/tpu': chips}, 'limits': {'google.com/tpu': chips}},
      'securityContext': {'privileged': gke.privileged},
      'volumeMounts': [{'name': 'code', 'mountPath': _CODE_DIRECTORY, 'readOnly': True},
                       {'name': 'storage', 'mountPath': settings.mount_point}],
  }


def _pod(run, settings, bundle):
  """The pod of a host."""
  wanted, gke = tpus.parse(settings.tpu), settings.gke
  tolerations = [{'key': 'google.com/tpu', 'operator': 'Exists', 'effect': 'NoSchedule'}]
  node_selector = {'cloud.google.com/gke-tpu-accelerator': wanted.gke_accelerator,
                   'cloud.google.com/gke-tpu-topology': wanted.topology}
  if gke.spot:
    node_selector['cloud.google.com/gke-spot'] = 'true'
    tolerations.append({'key': 'cloud.google.com/gke-spot', 'operator': 'Equal', 'value': 'true',
                        'effect': 'NoSchedule'})
  pod = {
      'restartPolicy': 'Never',
      'terminationGracePeriodSeconds': settings.grace_seconds,
      'nodeSelector': node_selector,
      'tolerations': tolerations,
      'containers': [_container(run, settings, bundle)],
      'volumes': [{'name': 'code', 'configMap': {'name': f'{run.id}-code'}},
                  _storage_volume(settings.storage)],
  }
  if gke.service_account:
    pod['serviceAccountName'] = gke.service_account
  if gke.priority_class:
    pod['priorityClassName'] = gke.priority_class
  return pod


def _copied(tree):
  """Plain data without shared parts, which YAML would write as anchors."""
  return json.loads(json.dumps(tree))


def _storage_volume(storage):
  if storage.startswith('gs://'):
    return {'name': 'storage', 'csi': {
        'driver': 'gcsfuse.csi.storage.gke.io',
        'volumeAttributes': {'bucketName': storage.removeprefix('gs://').rstrip('/'),
                             'mountOptions': 'implicit-dirs'}}}
  if storage.startswith('pvc:'):
    return {'name': 'storage', 'persistentVolumeClaim': {'claimName': storage[len('pvc:'):]}}
  raise ValueError(f'storage is {storage!r}; target gke takes gs://<bucket> or pvc:<claim>.')


def _state(commands, shell):
  """(Completed, Failed or '', restarts as text) of a JobSet; None if there is none."""
  output = shell.require(commands.state(), quiet=True).strip()
  return tuple(output.split(',')[1:3]) if output else None


def activity(run_id, context):
  """Describes a JobSet that is not finished; '' if there is none, or it is."""
  state = _state(_Commands(run_id, context), context.shell)
  return 'in the cluster and not finished' if state and not state[0] else ''


def submit(runs, context):
  """Makes the JobSets; returns 0 at once: what happens then is Kubernetes' business."""
  shell = context.shell
  for run in runs:
    commands = _Commands(run.id, context)
    text = jobset(run, context.settings, context.code)
    directory = context.directory(run.id)
    shell.say(f'run {run.id}: {run.program} on {context.settings.tpu}')
    if state := activity(run.id, context):
      raise ValueError(f'{run.id}: is {state}. Wait for it, or delete it with python -m '
                       f'launch.cleanup --target=gke --run_id={run.id} --yes; it goes on from its '
                       'checkpoints when it is submitted again.')
    shell.write(directory / 'jobset.yaml', text)
    if not shell.dry_run:
      (directory / context.code.name).write_bytes(context.code.data)
    shell.require(commands.delete())
    shell.require(commands.delete_code())
    shell.require(commands.create_code(directory / context.code.name))
    shell.require(commands.apply(directory / 'jobset.yaml'))
  return restarts.DONE


def inventory(run_id, context):
  """Lists what a run has: [(kind, name, state, function that removes it or None)]."""
  commands, shell = _Commands(run_id, context), context.shell
  state = _state(commands, shell)
  found = []
  if state:
    found.append(('JobSet', run_id, f'{state[0] or "not finished"}, {state[1] or 0} restarts',
                  lambda: shell.run(commands.delete())))
    for line in shell.require(commands.pods(), quiet=True).splitlines():
      found.append(('pod', *line.split(' ', 1), None))
  else:
    found.append(('JobSet', run_id, 'absent', None))
  has_code = bool(shell.require(commands.has_code(), quiet=True))
  found.append(('ConfigMap', commands.config_map, 'present' if has_code else 'absent',
                (lambda: shell.run(commands.delete_code())) if has_code else None))
  found.append(('run directory', f'{context.workdir(run_id)} on {context.settings.storage}',
                'kept', None))
  return found


def read_logs(run_id, context):
  """Reads the logs of the pods that are there."""
  commands, shell = _Commands(run_id, context), context.shell
  num_pods = len(shell.require(commands.pods(), quiet=True).splitlines())
  return [log_lines.parse(shell.require(commands.logs(num_pods), quiet=True))]
