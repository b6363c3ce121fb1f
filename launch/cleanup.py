"""Lists everything that runs have on a target, and deletes it with --yes: what is left costs.

python -m launch.cleanup --target=tpu_vm --run_id=breakout --yes

Run directories, i.e. checkpoints, are never deleted.
"""

from absl import flags

from launch import command_line

_YES = flags.DEFINE_bool('yes', False, 'Delete.')


def main(line):
  """Lists, and deletes; returns 1 if something could not be deleted."""
  context = line.context_without_args()
  num_left = num_failed = 0
  for run_id in line.run_ids:
    for kind, name, state, remove in line.target.inventory(run_id, context):
      print(f'{run_id}: {kind} {name}: {state}', flush=True)
      if remove is None:
        continue
      if not _YES.value:
        num_left += 1
        continue
      result = remove()
      if result.code:
        num_failed += 1
        print(f'{run_id}: {kind} {name}: not deleted: {result.last_error}', flush=True)
      else:
        print(f'{run_id}: {kind} {name}: deleted', flush=True)
  if num_left:
    print(f'{num_left} to delete; the same command with --yes does it')
  return 1 if num_failed else 0


if __name__ == '__main__':
  command_line.run(main)
