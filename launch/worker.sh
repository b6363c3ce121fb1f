#!/usr/bin/env bash
# The program of a run on one worker of a pod: started so that it outlives the connection, looked
# at, stopped. Called over ssh by launch/targets/tpu_vm.py.
#
# bash worker.sh start DIRECTORY [options of entrypoint.sh] -- COMMAND...
# bash worker.sh poll DIRECTORY    Prints "alpt HOST running|ended|absent SECONDS CODE | last line".
# bash worker.sh stop DIRECTORY    SIGTERM: it saves and ends.
# bash worker.sh kill DIRECTORY    SIGKILL, to it and what it has started.
set -uo pipefail

action=$1 directory=$2
shift 2
host=${ALPT_HOST:-$(hostname)}

is_running() {  # Not another process that has got its number. At first, it is a copy of this one.
  pid=$(cat "$directory/pid" 2> /dev/null) && [[ -n $pid ]] || return 1
  local command
  command=" $(tr '\0' ' ' 2> /dev/null < "/proc/$pid/cmdline") " || return 1
  [[ $command == *" $directory "* || $command == *"$directory/log"* ]]
} 2> /dev/null

case $action in
  start)
    if is_running; then
      echo "alpt $host is running already"
      exit 0
    fi
    mkdir -p "$directory"
    rm -f "$directory/end"
    # A session of its own, so that the end of this one is nothing to it.
    setsid nohup bash "$(dirname "${BASH_SOURCE[0]}")/entrypoint.sh" --log="$directory/log" \
      --end="$directory/end" "$@" < /dev/null > /dev/null 2>&1 &
    echo $! > "$directory/pid"
    echo "alpt $host started"
    ;;
  poll)
    state=ended
    ! is_running || state=running  # Asked before: who is not running any more has written its end.
    last=$(tail -n 1 "$directory/log" 2> /dev/null)
    if [[ -s $directory/end ]]; then
      read -r seconds code < "$directory/end"
      echo "alpt $host ended $seconds $code | $last"
    elif [[ $state == running ]]; then
      echo "alpt $host running 0 0 | $last"
    elif [[ -e $directory/pid ]]; then  # Killed before it could say so.
      echo "alpt $host ended 0 137 | $last"
    else
      echo "alpt $host absent 0 0 | $last"
    fi
    ;;
  stop) ! is_running || kill -TERM "$pid" ;;
  kill) ! is_running || kill -KILL -- "-$pid" ;;
  *) echo "error: $action: expected start, poll, stop or kill" >&2; exit 1 ;;
esac
