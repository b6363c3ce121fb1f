"""Records what is missing of scenarios of Doom, a directory each."""

import os

from alpt_jax import progress as progress_
from alpt_jax.data import rlds
from alpt_jax.domains.doom import record
from alpt_jax.files import disk_space

_BYTES_PER_STEP = 6000  # Of an image with much in it.


def main(config, names):
  """Records what is missing.

  Args:
    config: with `data_dir` and `collect`, the fields of `record.Settings`.
    names: of the scenarios.
  """
  settings = record.Settings(**config.collect)
  for name in names:
    directory = os.path.join(config.data_dir, name)
    card = rlds.read_card(directory) if os.path.isdir(directory) else None
    if card is None:
      print(disk_space.check(directory, settings.num_steps * _BYTES_PER_STEP,
                             what=f'a recording of {name}'), flush=True)
      with progress_.Progress(settings.num_steps, label=f'recording {name}') as progress:
        card = record.record(name, directory, settings, progress=progress.update)
      verb = 'recorded'
    else:
      _check_found(directory, card, name, settings)
      verb = 'found'
    print(f"{verb} {name}: {card['num_episodes']} episodes, {card['num_transitions']} transitions, "
          f"mean score {card['checkpoints'][0]['mean_score']:.4g} at first, "
          f"{card['checkpoints'][-1]['mean_score']:.4g} in the end", flush=True)


def _check_found(directory, card, name, settings):
  """Refuses data of another scenario, with other settings, or with missing files."""
  remedy = 'Choose another data_dir, or delete the directory.'
  if card.get('name') != name:
    raise ValueError(f'{directory}: {rlds.CARD} says name {card.get("name")!r}; expected {name!r}: '
                     f'this is the data of another scenario. {remedy}')
  for key, value in vars(settings).items():
    found = (card.get('metadata') or {}).get(key)
    if found != value:
      raise ValueError(f'{directory}: was recorded with {key} {found}, the config has '
                       f'collect.{key} {value}. {remedy}')
  try:
    rlds.dataset_digest(directory)  # Notices files that are missing or cut short.
  except (ValueError, FileNotFoundError) as error:
    raise ValueError(f'{error} To record it again, delete {directory} first.') from error
