# run alpt-breakout: experiments.train on v4:2x2x4
# what is there already?
gcloud compute tpus queued-resources describe alpt-breakout '--format=value(state.state)' --zone=us-west4-a --project=my-project --quiet
# nothing: request it
gcloud compute tpus queued-resources create alpt-breakout --node-id=alpt-breakout --accelerator-type=v4-32 --runtime-version=tpu-ubuntu2204-base --labels=alpt-run=alpt-breakout --spot --internal-ips --service-account=alpt@my-project --network=my-net --subnetwork=my-subnet --scopes=https://www.googleapis.com/auth/cloud-platform --async --zone=us-west4-a --project=my-project --quiet
# every 30 s, until ACTIVE and READY
gcloud compute tpus queued-resources describe alpt-breakout '--format=value(state.state)' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm describe alpt-breakout '--format=value(state)' --zone=us-west4-a --project=my-project --quiet
# code: commit abad1deaabad, and the hosts
gcloud compute tpus tpu-vm scp runs/launch/alpt-breakout/alpt-c0dec0dec0de.tar.gz alpt-breakout: --worker=all --internal-ip --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt-breakout --worker=all --internal-ip '--command=set -e; echo "c0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0de  alpt-c0dec0dec0de.tar.gz" | sha256sum --check --quiet; mkdir -p alpt/code-c0dec0dec0de alpt/runs/alpt-breakout; tar -xzf alpt-c0dec0dec0de.tar.gz -C alpt/code-c0dec0dec0de; cd alpt/code-c0dec0dec0de; ALPT_STORAGE=gs://my-bucket ALPT_MOUNT_POINT=/mnt/alpt bash launch/host_setup.sh > ../runs/alpt-breakout/python' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt-breakout --worker=all --internal-ip '--command=cd alpt/code-c0dec0dec0de && ALPT_DISTRIBUTED=1 ALPT_RUN_ID=alpt-breakout bash launch/worker.sh start "$HOME/alpt/runs/alpt-breakout" --secrets=WANDB_API_KEY,HF_TOKEN -- "$(cat ../runs/alpt-breakout/python)" -m experiments.train --config=experiments/configs/atari.py:paper,phase=pretrain,target=Breakout --config.workdir=/mnt/alpt/runs/alpt-breakout --config.compilation_cache_dir=/mnt/alpt/runs/compilation_cache' --zone=us-west4-a --project=my-project --quiet
# every 30 s, until all have ended
gcloud compute tpus tpu-vm ssh alpt-breakout --worker=all --internal-ip '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh poll "$HOME/alpt/runs/alpt-breakout"' --zone=us-west4-a --project=my-project --quiet
# one worker failed, others go on: they are asked to stop, then killed
gcloud compute tpus tpu-vm ssh alpt-breakout --worker=all --internal-ip '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh stop "$HOME/alpt/runs/alpt-breakout"' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt-breakout --worker=all --internal-ip '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh kill "$HOME/alpt/runs/alpt-breakout"' --zone=us-west4-a --project=my-project --quiet
# SUSPENDED, FAILED, PREEMPTED: deleted and requested again, at most 20 times; in the end, too
gcloud compute tpus tpu-vm ssh alpt-breakout --worker=all --internal-ip '--command=tail -n 2000 alpt/runs/alpt-breakout/log 2> /dev/null || true' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus queued-resources delete alpt-breakout --force --zone=us-west4-a --project=my-project --quiet
# run alpt-freeway: experiments.train on v4:2x2x4
# what is there already?
gcloud compute tpus queued-resources describe alpt-freeway '--format=value(state.state)' --zone=us-west4-a --project=my-project --quiet
# nothing: request it
gcloud compute tpus queued-resources create alpt-freeway --node-id=alpt-freeway --accelerator-type=v4-32 --runtime-version=tpu-ubuntu2204-base --labels=alpt-run=alpt-freeway --spot --internal-ips --service-account=alpt@my-project --network=my-net --subnetwork=my-subnet --scopes=https://www.googleapis.com/auth/cloud-platform --async --zone=us-west4-a --project=my-project --quiet
# every 30 s, until ACTIVE and READY
gcloud compute tpus queued-resources describe alpt-freeway '--format=value(state.state)' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm describe alpt-freeway '--format=value(state)' --zone=us-west4-a --project=my-project --quiet
# code: commit abad1deaabad, and the hosts
gcloud compute tpus tpu-vm scp runs/launch/alpt-freeway/alpt-c0dec0dec0de.tar.gz alpt-freeway: --worker=all --internal-ip --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt-freeway --worker=all --internal-ip '--command=set -e; echo "c0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0de  alpt-c0dec0dec0de.tar.gz" | sha256sum --check --quiet; mkdir -p alpt/code-c0dec0dec0de alpt/runs/alpt-freeway; tar -xzf alpt-c0dec0dec0de.tar.gz -C alpt/code-c0dec0dec0de; cd alpt/code-c0dec0dec0de; ALPT_STORAGE=gs://my-bucket ALPT_MOUNT_POINT=/mnt/alpt bash launch/host_setup.sh > ../runs/alpt-freeway/python' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt-freeway --worker=all --internal-ip '--command=cd alpt/code-c0dec0dec0de && ALPT_DISTRIBUTED=1 ALPT_RUN_ID=alpt-freeway bash launch/worker.sh start "$HOME/alpt/runs/alpt-freeway" --secrets=WANDB_API_KEY,HF_TOKEN -- "$(cat ../runs/alpt-freeway/python)" -m experiments.train --config=experiments/configs/atari.py:paper,phase=pretrain,target=Freeway --config.workdir=/mnt/alpt/runs/alpt-freeway --config.compilation_cache_dir=/mnt/alpt/runs/compilation_cache' --zone=us-west4-a --project=my-project --quiet
# every 30 s, until all have ended
gcloud compute tpus tpu-vm ssh alpt-freeway --worker=all --internal-ip '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh poll "$HOME/alpt/runs/alpt-freeway"' --zone=us-west4-a --project=my-project --quiet
# one worker failed, others go on: they are asked to stop, then killed
gcloud compute tpus tpu-vm ssh alpt-freeway --worker=all --internal-ip '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh stop "$HOME/alpt/runs/alpt-freeway"' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt-freeway --worker=all --internal-ip '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh kill "$HOME/alpt/runs/alpt-freeway"' --zone=us-west4-a --project=my-project --quiet
# SUSPENDED, FAILED, PREEMPTED: deleted and requested again, at most 20 times; in the end, too
gcloud compute tpus tpu-vm ssh alpt-freeway --worker=all --internal-ip '--command=tail -n 2000 alpt/runs/alpt-freeway/log 2> /dev/null || true' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus queued-resources delete alpt-freeway --force --zone=us-west4-a --project=my-project --quiet
