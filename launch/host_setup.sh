#!/usr/bin/env bash
# Makes a TPU host ready for a run; run again, it finds everything done in a second.
#
# bash launch/host_setup.sh     from the directory with the code. By environment variables:
#   ALPT_HOME     where the Python environment goes; ~/alpt.
#   ALPT_PYTHON   Python 3.11 to 3.13 to make it with; found, or got with uv, if empty.
#   ALPT_STORAGE  'gs://bucket' or 'server:/share', mounted at ALPT_MOUNT_POINT; nothing if empty.
#   ALPT_LOCKFILE  of libtpu; /tmp/libtpu_lockfile.
# Prints the interpreter's path as its last line.
set -euo pipefail

home=${ALPT_HOME:-${HOME:-/tmp}/alpt}
lockfile=${ALPT_LOCKFILE:-/tmp/libtpu_lockfile}
code=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { echo "host_setup: $*" >&2; }

is_held() {  # Whether a living process has the file open or locked.
  local inode
  inode=$(stat -c %i "$1") || return 1
  if [[ -r /proc/locks ]] && awk -v inode="$inode" '
      { n = split($6, id, ":"); if (id[n] == inode) found = 1 } END { exit !found }' /proc/locks
  then
    return 0
  fi
  [[ -n $(find /proc/[0-9]*/fd -lname "$1" -print -quit 2> /dev/null) ]]
}

remove_stale_lock() {  # A killed program leaves it, and the next one says the device is busy.
  [[ -e $lockfile ]] || return 0
  if is_held "$lockfile"; then
    say "$lockfile is held by a living process; left alone"
  elif rm -f "$lockfile" 2> /dev/null || sudo -n rm -f "$lockfile"; then
    say "removed stale $lockfile"
  else
    say "warning: $lockfile is stale, and cannot be removed"
  fi
}

mount_storage() {
  local storage=${ALPT_STORAGE:-} mount_point=${ALPT_MOUNT_POINT:-/mnt/alpt}
  [[ -n $storage ]] || return 0
  if mountpoint -q "$mount_point"; then
    say "$mount_point is mounted"
    return 0
  fi
  sudo mkdir -p "$mount_point"
  case $storage in
    gs://*)
      if ! command -v gcsfuse > /dev/null; then
        say 'error: gcsfuse is not installed. Install it, or use an NFS share (server:/share)'
        return 1
      fi
      sudo chown "$(id -u):$(id -g)" "$mount_point"
      gcsfuse --implicit-dirs "${storage#gs://}" "$mount_point" >&2
      ;;
    *)
      if [[ ! -x /sbin/mount.nfs ]]; then
        sudo apt-get -qq update >&2
        sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y nfs-common >&2
      fi
      sudo mount -t nfs -o hard "$storage" "$mount_point"
      ;;
  esac
  say "mounted $storage at $mount_point"
}

make_environment() {  # Of the pinned requirements, and jax[tpu] at the same version; sets REPLY.
  local requirements=$code/requirements.txt version digest environment
  version=$(sed -n 's/^jax==\([0-9.]*\).*/\1/p' "$requirements")
  if [[ -z $version ]]; then
    say "error: $requirements does not pin jax==<version>"
    return 1
  fi
  digest=$(sha256sum "$requirements" | cut -c1-12)
  environment=$home/python-$digest
  REPLY=$environment/bin/python
  if [[ -e $environment/installed ]]; then
    say "$environment is installed"
    return 0
  fi
  rm -rf "$environment"  # Half of one.
  mkdir -p "$home"
  local python=${ALPT_PYTHON:-} candidate
  for candidate in python3 python3.11 python3.12 python3.13; do  # As in the Makefile.
    if [[ -z $python ]] && "$candidate" -c '
        import ensurepip, sys, venv
        sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null
    then
      python=$candidate
    fi
  done
  if [[ -n $python ]]; then
    "$python" -m venv "$environment" >&2
  else  # E.g. images of TPU VMs, which have Python 3.10.
    python3 -m pip install --quiet --user uv >&2
    python3 -m uv venv --quiet --seed --python 3.11 "$environment" >&2
  fi
  "$REPLY" -m pip install --quiet --disable-pip-version-check -r "$requirements" \
    "jax[tpu]==$version" >&2
  touch "$environment/installed"
  say "installed $environment"
}

remove_stale_lock
mount_storage
make_environment
echo "$REPLY"
