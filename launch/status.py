"""Prints what runs have on a target, and in which state it is.

python -m launch.status --target=tpu_vm --run_id=breakout --seeds=0,1,2
"""

from launch import command_line


def main(line):
  """Prints a line for everything that the runs have."""
  context = line.context_without_args()
  for run_id in line.run_ids:
    for kind, name, state, _ in line.target.inventory(run_id, context):
      print(f'{run_id}: {kind} {name}: {state}')
  return 0


if __name__ == '__main__':
  command_line.run(main)
