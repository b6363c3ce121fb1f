# run alpt: experiments.train on v5e:4x4
# what is there already?
gcloud compute tpus queued-resources describe alpt '--format=value(state.state)' --zone=us-west4-a --project=my-project --quiet
# nothing: request it
gcloud compute tpus queued-resources create alpt --node-id=alpt --accelerator-type=v5litepod-16 --runtime-version=v2-alpha-tpuv5-lite --labels=alpt-run=alpt --async --zone=us-west4-a --project=my-project --quiet
# every 30 s, until ACTIVE and READY
gcloud compute tpus queued-resources describe alpt '--format=value(state.state)' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm describe alpt '--format=value(state)' --zone=us-west4-a --project=my-project --quiet
# code: commit abad1deaabad, and the hosts
gcloud compute tpus tpu-vm scp runs/launch/alpt/alpt-c0dec0dec0de.tar.gz alpt: --worker=all --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt --worker=all '--command=set -e; echo "c0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0de  alpt-c0dec0dec0de.tar.gz" | sha256sum --check --quiet; mkdir -p alpt/code-c0dec0dec0de alpt/runs/alpt; tar -xzf alpt-c0dec0dec0de.tar.gz -C alpt/code-c0dec0dec0de; cd alpt/code-c0dec0dec0de; ALPT_STORAGE=10.0.0.2:/share ALPT_MOUNT_POINT=/mnt/alpt bash launch/host_setup.sh > ../runs/alpt/python' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt --worker=all '--command=cd alpt/code-c0dec0dec0de && ALPT_DISTRIBUTED=1 ALPT_RUN_ID=alpt bash launch/worker.sh start "$HOME/alpt/runs/alpt" -- "$(cat ../runs/alpt/python)" -m experiments.train --config=experiments/configs/atari.py:paper,phase=pretrain --config.batch_size=4096 --config.workdir=/mnt/alpt/runs/alpt --config.compilation_cache_dir=/mnt/alpt/runs/compilation_cache' --zone=us-west4-a --project=my-project --quiet
# every 30 s, until all have ended
gcloud compute tpus tpu-vm ssh alpt --worker=all '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh poll "$HOME/alpt/runs/alpt"' --zone=us-west4-a --project=my-project --quiet
# one worker failed, others go on: they are asked to stop, then killed
gcloud compute tpus tpu-vm ssh alpt --worker=all '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh stop "$HOME/alpt/runs/alpt"' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus tpu-vm ssh alpt --worker=all '--command=cd alpt/code-c0dec0dec0de && bash launch/worker.sh kill "$HOME/alpt/runs/alpt"' --zone=us-west4-a --project=my-project --quiet
# SUSPENDED, FAILED, PREEMPTED: deleted and requested again, at most 20 times; in the end, too
gcloud compute tpus tpu-vm ssh alpt --worker=all '--command=tail -n 2000 alpt/runs/alpt/log 2> /dev/null || true' --zone=us-west4-a --project=my-project --quiet
gcloud compute tpus queued-resources delete alpt --force --zone=us-west4-a --project=my-project --quiet
