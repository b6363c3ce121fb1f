"""Reads which actions of a recording were drawn at random, and not chosen by its policy.

Recordings say so in a step field of their own. It is read for measurements only: training never
sees it.
"""

import numpy as np
import tensorflow_datasets as tfds

from alpt_jax.data import rlds

FIELD = 'action_is_random'


def read(directories):
  """Reads the marks of all episodes.

  Args:
    directories: TFDS directories, as those of `episode_files.EpisodeFiles`.

  Returns:
    List of [L] bool, one for each episode, in the order of their numbers; L transitions. None if
    one of the directories has no such field.

  Raises:
    FileNotFoundError, ValueError: if a dataset does not open, or a mark has another shape.
  """
  marks = []
  for directory in directories:
    builder = rlds.open_builder(directory)
    if FIELD not in builder.info.features['steps'].feature:
      return None
    for split in sorted(builder.info.splits):
      source = builder.as_data_source(split, decoders={'steps': tfds.decode.SkipDecoding()})
      for i in range(len(source)):
        steps = source[i]['steps']
        mark = np.asarray(steps[FIELD])
        if mark.shape != np.shape(steps['action']) or mark.dtype != bool:
          raise ValueError(f'{directory}: {FIELD} of episode {i} of {split!r} is {mark.dtype} '
                           f'{mark.shape}; expected bool {np.shape(steps["action"])}. Record the '
                           'data again.')
        marks.append(mark[:-1])  # The last step has no action.
  return marks
