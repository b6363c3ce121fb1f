"""Your settings: where runs are started. Copy to launch/user.py, which git ignores, and fill in.

Every value can be given as a flag, too: --settings.gcloud.zone=us-central2-b. A target that lacks
one says so. Secrets do not belong here: only names of environment variables do.
"""

import ml_collections


def get_config():
  """Returns the settings of all targets."""
  config = ml_collections.ConfigDict()

  # The directory of all runs, as the hosts see it; a run is {run_root}/{run_id}.
  # '': runs/ here for local and multiprocess, {mount_point}/runs for tpu_vm and gke.
  config.run_root = ''
  config.data_dir = ''  # Passed on as --config.data_dir; '': the config's.
  config.secrets = ()  # Names of environment variables, e.g. ('WANDB_API_KEY',).

  # Restarts; see launch/restarts.py.
  config.max_restarts = 20
  config.first_pause_seconds = 10.  # After a failure; doubles with every further one ...
  config.max_pause_seconds = 600.  # ... up to this.
  config.grace_seconds = 120  # Between the signal to stop and the kill.
  config.save_seconds = 0.  # What a save takes, as last measured; warns if the grace is too short.
  config.poll_seconds = 30.  # Between looks at a pod.

  # tpu_vm and gke: the slice, written as for launch/preflight.py.
  config.tpu = 'v5e:4x4'
  # Storage that outlives the hosts, and where they mount it. tpu_vm: 'gs://bucket' (gcsfuse) or
  # 'server:/share' (NFS, e.g. Filestore); gke: 'gs://bucket' (the gcsfuse driver) or 'pvc:claim'.
  config.storage = ''
  config.mount_point = '/mnt/alpt'

  config.multiprocess = dict(num_processes=2, devices_per_process=4)

  config.gcloud = dict(
      project='', zone='',
      spot=False, reserved=False,
      runtime_version='',  # '': the one that goes with the TPU.
      service_account='',  # '': the project's default.
      network='', subnetwork='',
      internal_ip=False)  # Connect by internal addresses, e.g. from a VM in the same network.

  config.gke = dict(
      context='',  # Of kubectl; '': the current one.
      namespace='default',
      queue='',  # Kueue's LocalQueue.
      image='',  # Made from launch/Dockerfile.
      service_account='', priority_class='',
      spot=False,
      secret='alpt-secrets',  # The Secret that holds what `secrets` names, under the same keys.
      chips_per_host=4,
      privileged=True)  # As xpk has it; TPU drivers need it on some versions of GKE.

  config.slurm = dict(
      partition='', account='', time='24:00:00',
      nodes=1, tasks_per_node=1, cpus_per_task=0, gpus_per_node=0, memory='',
      setup='',  # A line of shell before the program, e.g. 'source /shared/venv/bin/activate'.
      python='python3',
      options=())  # More of sbatch's, e.g. ('--constraint=a100',).
  return config
