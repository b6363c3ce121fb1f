# run alpt-seed0: experiments.train on 2 nodes
squeue --me --name=alpt-seed0 --noheader '--format=%i %T'
mkdir -p /shared/runs/code-c0dec0dec0de
tar -xzf runs/launch/alpt-seed0/alpt-c0dec0dec0de.tar.gz -C /shared/runs/code-c0dec0dec0de
cat > runs/launch/alpt-seed0/job.sbatch <<'END_OF_FILE'
#!/usr/bin/env bash
#SBATCH --job-name=alpt-seed0
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --time=24:00:00
#SBATCH --partition=long
#SBATCH --account=lab
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=4
#SBATCH --mem=64G
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append
#SBATCH --output=/shared/runs/alpt-seed0/logs/batch.out
#SBATCH --chdir=/shared/runs/code-c0dec0dec0de
#SBATCH --export=PATH,HOME,USER,WANDB_API_KEY
#SBATCH --constraint=a100

# Run alpt-seed0 of commit abad1deaabad1deaabad1deaabad1deaabad1dea; written by launch.submit.
set -uo pipefail
trap : TERM  # Slurm signals the program; this script outlives it, to decide what comes next.

ends=/shared/runs/alpt-seed0/logs/ends
mkdir -p "$ends"
rm -f "$ends"/*
export ALPT_RUN_ID=alpt-seed0
export ALPT_DISTRIBUTED=1
source /shared/venv/bin/activate

srun --kill-on-bad-exit=1 --export=ALL \
  bash launch/entrypoint.sh --log=/shared/runs/alpt-seed0/logs/ --end="$ends/" -- \
  python3 -m experiments.train --config=experiments/configs/maze.py:paper --config.seed=0 --config.workdir=/shared/runs/alpt-seed0 --config.compilation_cache_dir=/shared/runs/compilation_cache
code=$?

# The first task to fail decides: Slurm ends the others, whose codes say nothing.
first=$(cat "$ends"/* 2> /dev/null | LC_ALL=C sort -n | awk '$2 != 0 { print $2; exit }')
if ((code != 0)); then
  code=${first:-$code}
fi
case $code in
  0|1|77) exit "$code" ;;  # Done, or a failure that would come back.
esac

restarts=${SLURM_RESTART_COUNT:-0}
if ((restarts >= 3)); then
  echo "exit code $code, and the budget of restarts is spent (3)"
  exit "$code"
fi
if ((code != 75)); then  # A failure: wait, twice as long each time.
  pause=10
  for ((i = 0; i < restarts && pause < 600; i++)); do
    pause=$((2 * pause))
  done
  sleep $((pause < 600 ? pause : 600)) &
  wait $!  # So that a signal ends it.
fi
echo "exit code $code: back into the queue"
scontrol requeue "$SLURM_JOB_ID"
END_OF_FILE
mkdir -p /shared/runs/alpt-seed0/logs
sbatch --parsable runs/launch/alpt-seed0/job.sbatch
# run alpt-seed1: experiments.train on 2 nodes
squeue --me --name=alpt-seed1 --noheader '--format=%i %T'
cat > runs/launch/alpt-seed1/job.sbatch <<'END_OF_FILE'
#!/usr/bin/env bash
#SBATCH --job-name=alpt-seed1
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --time=24:00:00
#SBATCH --partition=long
#SBATCH --account=lab
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=4
#SBATCH --mem=64G
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append
#SBATCH --output=/shared/runs/alpt-seed1/logs/batch.out
#SBATCH --chdir=/shared/runs/code-c0dec0dec0de
#SBATCH --export=PATH,HOME,USER,WANDB_API_KEY
#SBATCH --constraint=a100

# Run alpt-seed1 of commit abad1deaabad1deaabad1deaabad1deaabad1dea; written by launch.submit.
set -uo pipefail
trap : TERM  # Slurm signals the program; this script outlives it, to decide what comes next.

ends=/shared/runs/alpt-seed1/logs/ends
mkdir -p "$ends"
rm -f "$ends"/*
export ALPT_RUN_ID=alpt-seed1
export ALPT_DISTRIBUTED=1
source /shared/venv/bin/activate

srun --kill-on-bad-exit=1 --export=ALL \
  bash launch/entrypoint.sh --log=/shared/runs/alpt-seed1/logs/ --end="$ends/" -- \
  python3 -m experiments.train --config=experiments/configs/maze.py:paper --config.seed=1 --config.workdir=/shared/runs/alpt-seed1 --config.compilation_cache_dir=/shared/runs/compilation_cache
code=$?

# The first task to fail decides: Slurm ends the others, whose codes say nothing.
first=$(cat "$ends"/* 2> /dev/null | LC_ALL=C sort -n | awk '$2 != 0 { print $2; exit }')
if ((code != 0)); then
  code=${first:-$code}
fi
case $code in
  0|1|77) exit "$code" ;;  # Done, or a failure that would come back.
esac

restarts=${SLURM_RESTART_COUNT:-0}
if ((restarts >= 3)); then
  echo "exit code $code, and the budget of restarts is spent (3)"
  exit "$code"
fi
if ((code != 75)); then  # A failure: wait, twice as long each time.
  pause=10
  for ((i = 0; i < restarts && pause < 600; i++)); do
    pause=$((2 * pause))
  done
  sleep $((pause < 600 ? pause : 600)) &
  wait $!  # So that a signal ends it.
fi
echo "exit code $code: back into the queue"
scontrol requeue "$SLURM_JOB_ID"
END_OF_FILE
mkdir -p /shared/runs/alpt-seed1/logs
sbatch --parsable runs/launch/alpt-seed1/job.sbatch
