"""Prints the logs of runs, all hosts merged by time, then what each host said last.

python -m launch.logs --target=gke --run_id=breakout --tail=50

The host that fell silent first is listed first: when a pod hangs, it is the one to look at.
"""

import sys

from absl import flags

from launch import command_line, log_lines

_TAIL = flags.DEFINE_integer('tail', 0, 'Only the last lines of each run; 0: all.', lower_bound=0)


def main(line):
  """Prints lines "time host text", and a summary on standard error."""
  context = line.context_without_args()
  redact = context.shell.redact
  for run_id in line.run_ids:
    lines = log_lines.merge(line.target.read_logs(run_id, context))
    for entry in lines[-_TAIL.value:]:
      print(redact(str(entry)))
    print(f'{run_id}: ' + ('no log' if not lines else 'last line of each host, the longest silent '
                           'first'), file=sys.stderr)
    for host, last, step in log_lines.last_words(lines):
      at = 'no step' if step is None else f'step {step}'
      print(redact(f'  {host}  {last.time}  {at}  {last.text}'), file=sys.stderr)
  return 0


if __name__ == '__main__':
  command_line.run(main)
