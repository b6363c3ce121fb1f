"""What the launcher renders for a few runs, to be compared with tests/launch/goldens.

python -m tests.launch.render    Writes the goldens anew; read the difference before committing it.
"""

import contextlib
import io
import pathlib
import sys

from launch import bundle, redaction, runs, shell
from launch import context as context_
from launch import settings as settings_
from launch.targets import gke, local, multiprocess, slurm, tpu_vm

DIRECTORY = pathlib.Path(__file__).parent / 'goldens'
_TARGETS = {'local': local, 'multiprocess': multiprocess, 'tpu_vm': tpu_vm, 'gke': gke,
            'slurm': slurm}
_CODE = bundle.Bundle(b'', 'c0de' * 16, 'abad1dea' * 5, frozenset())
_GCLOUD = {'gcloud.project': 'my-project', 'gcloud.zone': 'us-west4-a',
           'storage': '10.0.0.2:/share'}
_GKE = {'gke.queue': 'my-queue', 'gke.image': 'us-docker.pkg.dev/my-project/alpt/deps:1',
        'storage': 'gs://my-bucket'}
_SLURM = {'run_root': '/shared/runs', 'slurm.partition': 'long'}

CASES = {  # File: target, settings, what to run.
    'local.sh': ('local', {}, dict(job='maze_study')),
    'multiprocess.sh': ('multiprocess', {'secrets': 'WANDB_API_KEY'}, dict(
        job='maze', args=('--config.method=dt1',), seeds=('0', '1'))),
    'tpu_vm.sh': ('tpu_vm', _GCLOUD, dict(
        job='atari_pretrain', args=('--config.batch_size=4096',))),
    'tpu_vm_spot.sh': ('tpu_vm', _GCLOUD | {
        'gcloud.spot': 'True', 'gcloud.internal_ip': 'True', 'gcloud.network': 'my-net',
        'gcloud.subnetwork': 'my-subnet', 'gcloud.service_account': 'alpt@my-project',
        'gcloud.runtime_version': 'tpu-ubuntu2204-base', 'storage': 'gs://my-bucket',
        'secrets': 'WANDB_API_KEY,HF_TOKEN', 'tpu': 'v4:2x2x4'}, dict(
            job='atari_pretrain', targets=('Breakout', 'Freeway'))),
    'gke.sh': ('gke', _GKE, dict(job='alpt9_pretrain')),
    'gke_spot.sh': ('gke', _GKE | {
        'gke.spot': 'True', 'gke.context': 'my-cluster', 'gke.namespace': 'research',
        'gke.service_account': 'trainer', 'gke.priority_class': 'high', 'gke.privileged': 'False',
        'storage': 'pvc:checkpoints', 'secrets': 'WANDB_API_KEY', 'tpu': 'v6e:2x2'}, dict(
            job='atari_finetune',
            args=('--config.init_from=/mnt/alpt/runs/alpt9', "--config.target=it's"))),
    'slurm.sh': ('slurm', _SLURM, dict(job='maze_paper')),
    'slurm_nodes.sh': ('slurm', _SLURM | {
        'slurm.nodes': '2', 'slurm.gpus_per_node': '4', 'slurm.tasks_per_node': '4',
        'slurm.cpus_per_task': '8', 'slurm.memory': '64G', 'slurm.account': 'lab',
        'slurm.setup': 'source /shared/venv/bin/activate', 'slurm.options': '--constraint=a100',
        'secrets': 'WANDB_API_KEY', 'max_restarts': '3'}, dict(
            job='maze_paper', seeds=('0', '1'))),
}


def render(name):
  """What a dry run prints, without what differs between machines."""
  target, changes, what = CASES[name]
  settings = settings_.load(str(settings_.EXAMPLE))
  for key, text in changes.items():
    settings_.set_from_text(settings, key, text)
  with settings.unlocked():
    settings_.check(settings, target)
  context = context_.Context(
      settings, shell.Shell(True, redaction.make_redact(environment={})), _CODE)
  output = io.StringIO()
  with contextlib.redirect_stdout(output):
    _TARGETS[target].submit(runs.plan(settings, run_id='alpt', **what), context)
  return output.getvalue().replace(sys.executable, 'python').replace(
      str(settings_.ROOT), '/repository')


if __name__ == '__main__':
  DIRECTORY.mkdir(exist_ok=True)
  for case in CASES:
    (DIRECTORY / case).write_text(render(case))
