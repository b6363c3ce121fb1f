"""Version of the computation: what an update makes of the same config, data and seed.

A run writes it into config.json. A change beyond rounding that no key of the config tells gets a
new `VERSION`: the second half of an unfinished run would not be what the first half was. Finished
runs are read from `OLDEST` on.
"""

import os

from alpt_jax.training import checkpoints

# 2: LAMB exempts vectors from its trust ratio, and dropout and shifts are drawn per window. Runs
# without a version are older.
VERSION = 2
OLDEST = 2  # Of the runs that are read: older ones lack keys of the config, or have others.
CURRENT = {'computation': VERSION}


def check(before, config, workdir):
  """Refuses to resume a run of another version.

  Args:
    before: content of config.json in the run directory.
    config: the run's, with the `num_steps` that it is to reach.
    workdir: the run directory.

  Returns:
    {'computation': version} for config.json: that of the run if it is finished, else `VERSION`.

  Raises:
    ValueError: if the run has begun and is not finished.
  """
  found = before['computation']
  step = checkpoints.latest_step(os.path.join(workdir, 'checkpoints')) if found != VERSION else None
  if step is None:  # Of no checkpoint: begun anew.
    return CURRENT
  if step < config.num_steps:
    raise ValueError(f'{os.path.join(workdir, "config.json")}: computation is {found}, that of '
                     f'this code {VERSION}, and the run is at step {step} of {config.num_steps}: '
                     'the rest would be computed in another way. Choose another --config.workdir, '
                     'or finish the run with the code that began it.')
  return {'computation': found}
