"""Maps the episodes of an imported dataset to the user's files that they come from.

Imports of videos and of folders of images list them on the dataset card, in the order of the
episodes. A copy of such a dataset with labels in it has the same card. Other data has no list: its
episodes have numbers only.
"""

import os
from typing import NamedTuple

from alpt_jax.data import rlds

KEY = 'source_files'  # Of the dataset card.


class SourceFile(NamedTuple):
  """Where an episode comes from.

  Attributes:
    name: of the video or the folder of images, as a list of actions names it.
    steps_per_second: how many steps of the episode one second of the video is; None for images.
  """
  name: str
  steps_per_second: float | None = None


def read(directory, num_episodes):
  """Reads the list of a dataset.

  Args:
    directory: of the dataset.
    num_episodes: how many it has.

  Returns:
    A list of `SourceFile`, one for each episode; None if the card has no list.

  Raises:
    ValueError: if the list is not one of so many files.
  """
  found = (rlds.read_card(directory) or {}).get(KEY)
  if found is None:
    return None
  try:
    files = [SourceFile(**entry) for entry in found]
  except TypeError as error:
    files = [error]
  if len(files) != num_episodes or not all(map(_is_right, files)):
    raise ValueError(f'{os.path.join(directory, rlds.CARD)}: {KEY} is not a list of the name and '
                     f'steps_per_second of {num_episodes} files, one for each episode. The file '
                     'was changed: import or copy the dataset again, or delete the list.')
  return files


def _is_right(file):
  if not isinstance(file, SourceFile):
    return False
  rate = file.steps_per_second
  return isinstance(file.name, str) and (
      rate is None or isinstance(rate, int | float) and rate > 0)
