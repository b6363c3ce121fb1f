"""A program for tests of the launcher: counts steps, resumes, and ends as it is told to.

Copied to experiments/probe.py of a repository for tests. Every process keeps its files in the run
directory under its own name: starts, steps (resumed from), secret (a digest of a secret it got).
"""

import hashlib
import os
import pathlib
import signal
import sys
import time

from alpt_jax import cli


def main(config):
  """Returns the exit code that the config has for this start."""
  name = os.environ.get('ALPT_PROCESS_ID') or os.environ.get('ALPT_HOST', '0')
  directory = pathlib.Path(config.workdir, 'probe', name)
  directory.mkdir(parents=True, exist_ok=True)
  is_told = []
  signal.signal(signal.SIGTERM, lambda *_: is_told.append(1))
  signal.signal(signal.SIGINT, lambda *_: is_told.append(1))
  start = _count(directory / 'starts')
  _append(directory / 'starts', f'{start} {os.environ.get("ALPT_DISTRIBUTED", "")}')
  secret = os.environ.get('WANDB_API_KEY', '')
  (directory / 'secret').write_text(hashlib.sha256(secret.encode()).hexdigest())
  ends = config.ends if name == config.first_process else config.other_ends
  end = ends[min(start, len(ends) - 1)]
  for step in range(_count(directory / 'steps') + 1, config.num_steps + 1):
    _append(directory / 'steps', str(step))
    print(f'probe {100 * step // config.num_steps}% {step}/{config.num_steps}')
  sys.stdout.flush()
  if end == config.hold:
    (directory / f'held{start}').touch()
    while not is_told:
      time.sleep(.01)
    print('saved')
    return 75
  if end == config.deaf:  # Waits for others in a collective, so to say.
    (directory / f'held{start}').touch()
    while True:
      time.sleep(1)
  if end == 137:
    os.kill(os.getpid(), signal.SIGKILL)
  if end == 1:  # A mistake that shows once all processes of this machine have begun.
    for number in range(int(os.environ.get('ALPT_NUM_PROCESSES', 0))):
      while not (directory.parent / str(number) / 'starts').exists():
        time.sleep(.01)
    raise ValueError('sources is empty; expected at least one')
  return end


def _count(path):
  return len(path.read_text().splitlines()) if path.exists() else 0


def _append(path, line):
  with open(path, 'a') as f:
    f.write(line + '\n')


if __name__ == '__main__':
  cli.run(main, 'experiments/configs/probe.py')
