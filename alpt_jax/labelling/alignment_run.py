"""Checks the listed actions of the data of a run; its networks are not asked."""

from alpt_jax import domains
from alpt_jax.data import alignment_check, source_files
from alpt_jax.labelling import trained_run


def check_run(directory, *, data_dir='', environments=(), **settings):
  """Checks the data that a run was trained on.

  Args:
    directory: of the run.
    data_dir: where the data is now; '' for where it was in training.
    environments: names; () for the run's targets.
    **settings: of `alignment_check.check`.

  Returns:
    A list of what `alignment_check.check` returns, one for each environment.

  Raises:
    FileNotFoundError, ValueError: for a run or data that is missing or damaged.
  """
  config, _ = trained_run.read_config(directory, data_dir=data_dir)
  domain, found = domains.of(config), []
  for name in environments or domains.targets(config):
    data, directories = domain.read(name), domain.directories(name)
    files = source_files.read(directories[0], data.num_episodes) if len(directories) == 1 else None
    found.append(alignment_check.check(data, domain.spec(name), files, **settings))
  return found
