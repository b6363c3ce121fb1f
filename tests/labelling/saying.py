"""IDMs that say what a test wants, in the place of trained ones."""

import collections
import dataclasses
from typing import Any

import numpy as np

from alpt_jax.domains.maze import env
from alpt_jax.labelling import trained_idm

Said = collections.namedtuple('Said', 'episode probabilities')  # As `votes.Votes`.


@dataclasses.dataclass(frozen=True, eq=False)
class Saying(trained_idm.TrainedIdm):
  """The IDM of a run, but for what it says.

  Attributes:
    make_predict_fn: make_predict_fn(spec, stride) -> predict(episodes, numbers) -> iterator of what
      has the `episode` and `probabilities` of `votes.Votes`.
  """
  make_predict_fn: Any = None

  def predict_episodes(self, episodes, numbers, *, spec=None, stride=1, temperature=1.):
    assert temperature == 1.
    return self.make_predict_fn(spec or self.spec, stride)(episodes, numbers)


def saying(trained, make_predict_fn):
  """Makes a `Saying` of a `trained_idm.TrainedIdm`."""
  fields = {field.name: getattr(trained, field.name)
            for field in dataclasses.fields(trained_idm.TrainedIdm) if field.init}
  return Saying(**fields, make_predict_fn=make_predict_fn)


def always_up(spec, stride):
  """As constant as an IDM that has collapsed."""
  del stride
  row = np.where(np.arange(spec.num_actions) == env.UP, .7, .1)
  return lambda episodes, numbers: (
      Said(n, np.tile(row, (episodes.num_transitions[n], 1))) for n in numbers)
