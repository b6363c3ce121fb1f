"""What families of environments share: labels that are kept, buffers for reading, ways to act."""

import math

import jax

from alpt_jax.data import labels
from alpt_jax.learners import acting


def reserve(config, data):
  """Makes room in `episode_files.EpisodeFiles` for what the pools of all shards span."""
  sampling = config.sampling
  # A pool's windows fill whole episodes, but for the first and the last.
  spanned = sampling.pool_size * config.window + 2 * data.num_transitions.mean()
  # IDM and DT read sources each in their own order. A quarter more, as lengths differ: an episode
  # too few, and each is read again for every window.
  num_shards = -(-sampling.num_shards // jax.process_count())
  data.reserve(int(1.25 * 2 * num_shards * spanned))


def choose_labels(config, data):
  return labels.choose_windows(data.num_transitions, budget=config.num_labels,
                               window=config.window, seed=config.label_seed)


def check_acting(settings):
  """Refuses unknown ways to act."""
  # The primary score is never the sharpened one.
  for key, known in (('acting_mode', ('argmax', 'sampled')), ('rule', acting.RULES)):
    if settings[key] not in known:
      raise ValueError(f'evaluation.{key} is {settings[key]!r}; expected one of {known}.')
  temperature = settings.sharpened_temperature
  if not 0 <= temperature < math.inf:
    raise ValueError(f'evaluation.sharpened_temperature is {temperature}; expected a finite number '
                     'above 0, or 0 to play no sharpened games.')
