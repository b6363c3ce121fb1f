"""IDMs that say what a test wants, in the place of trained ones."""

import dataclasses
from typing import Any

from alpt_jax.labelling import trained_idm


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
