#!/usr/bin/env bash
# Runs the program of one host: environment before, signals and log lines meanwhile, then its exit
# code.
#
# bash launch/entrypoint.sh [--log=FILE] [--end=FILE] [--secrets=NAME,...] -- COMMAND...
#
# Every line of output gets the time (UTC) and the host, and goes to --log, too. SIGTERM and SIGINT
# are passed on as SIGTERM, and the program is waited for: it saves. Its exit code is this script's,
# and is written to --end as "seconds code" when it is over. In a directory, written with a slash at
# the end, both files are named after the host. Secrets that are not in the environment are read
# from Google's Secret Manager by their names; they never meet a file or a command line.
set -uo pipefail

log='' end='' secrets=''
while (($#)); do
  case $1 in
    --log=*) log=${1#*=} ;;
    --end=*) end=${1#*=} ;;
    --secrets=*) secrets=${1#*=} ;;
    --) shift; break ;;
    *) echo "error: $1: unexpected; expected --log, --end, --secrets or --" >&2; exit 1 ;;
  esac
  shift
done
if ((!$#)); then
  echo 'error: no command after --' >&2
  exit 1
fi

host=${ALPT_HOST:-${SLURMD_NODENAME:-$(hostname)}${SLURM_PROCID:+-$SLURM_PROCID}}
export ALPT_HOST=$host
[[ $log != */ ]] || log+=$host.log
[[ $end != */ ]] || end+=$host
export PYTHONUNBUFFERED=1  # The last lines before a kill are those one wants to read.

now() {  # Seconds since 1970, with a fraction where bash knows it (5.0).
  local LC_ALL=C  # A decimal point.
  if [[ -n ${EPOCHREALTIME:-} ]]; then
    REPLY=$EPOCHREALTIME
  else
    printf -v REPLY '%(%s)T.000000' -1
  fi
}

stamp() {
  export TZ=UTC
  local line
  while IFS= read -r line || [[ -n $line ]]; do
    now
    printf -v line '%(%Y-%m-%dT%H:%M:%S)T.%.3sZ %s %s' \
      "${REPLY%.*}" "${REPLY#*.}" "$host" "${line//$'\r'/}"
    printf '%s\n' "$line"
    [[ -z $log ]] || printf '%s\n' "$line" >> "$log"
  done
}

finish() {  # With an exit code.
  if [[ -n $end ]]; then
    now
    printf '%s %s\n' "$REPLY" "$1" > "$end.unfinished" && mv "$end.unfinished" "$end"
  fi
  exit "$1"
}

[[ -z $log ]] || mkdir -p "$(dirname "$log")"
[[ -z $end ]] || { mkdir -p "$(dirname "$end")" && rm -f "$end"; }

trap '' PIPE  # Whoever read the output has gone; the run goes on.
child='' is_stopping=''
# shellcheck disable=SC2317,SC2329  # Called by the trap.
stop() {  # Once: while Python ends, a second signal would kill it, and hide its exit code.
  [[ -n $is_stopping || -z $child ]] || kill -TERM "$child" 2> /dev/null
  is_stopping=1
}
trap stop TERM INT

exec 4<> <(:)
pause() { read -rt "$1" -u 4; }  # Without a process, and signals are heard at once.

exec 3> >(trap '' TERM INT; stamp)
stamper=$!

IFS=, read -ra names <<< "$secrets"
for name in ${names[@]+"${names[@]}"}; do
  [[ -z ${!name:-} ]] || continue
  if ! value=$(gcloud secrets versions access latest --secret="$name" 2> /dev/null); then
    error=$(gcloud secrets versions access latest --secret="$name" 2>&1 > /dev/null)
    echo "error: secret $name: not in the environment, and not read: ${error##*$'\n'}" >&3
    case $error in
      *NOT_FOUND* | *PERMISSION_DENIED*) finish 1 ;;  # It would come back.
      *) finish 69 ;;  # EX_UNAVAILABLE.
    esac
  fi
  export "$name=$value"
  unset value
done

code=143  # If the signal came before there was a program.
if [[ -z $is_stopping ]]; then
  "$@" < /dev/null >&3 2>&1 3>&- 4>&- &
  child=$!
  [[ -z $is_stopping ]] || kill -TERM "$child" 2> /dev/null
  # Not `wait` alone: a signal at the wrong moment makes bash 5.2 miss that the child is gone.
  while kill -0 "$child" 2> /dev/null; do
    pause .2
  done
  trap '' TERM INT
  wait "$child"
  code=$?
fi
exec 3>&-
# All lines are to be out, but a grandchild that keeps the pipe open must not hold us.
for ((i = 0; i < 100; i++)); do
  kill -0 "$stamper" 2> /dev/null || break
  pause .05
done
echo "exit code $code" | stamp
finish "$code"
