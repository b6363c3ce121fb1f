"""Recording through envlogger does what recording without it does, to the bit."""

import json
import os
import pathlib
import tempfile

import dm_env
import numpy as np
from absl.testing import absltest
from dm_env import specs

from alpt_jax.data import recorder, rlds
from tests.data import corridor, recorder_test


class RecordTest(recorder_test.RecordTest):

  @property
  def recorder(self):
    from tests.data import envlogger_recorder  # Not there on every Python; see conftest.py.

    return envlogger_recorder


class _Counter(dm_env.Environment):
  """Shows how many actions there were, in one array that it changes; no observation dict."""

  def __init__(self):
    self._seen = np.zeros(2, np.float32)

  def reset(self):
    self._seen[:] = 0
    return dm_env.restart(self._seen)

  def step(self, action):
    self._seen += 1
    if self._seen[0] == 3:
      return dm_env.termination(-2.5, self._seen)
    return dm_env.transition(1. / 3, self._seen, discount=.99)

  def action_spec(self):
    return specs.DiscreteArray(2)

  def observation_spec(self):
    return specs.Array((2,), np.float32)


class _Marked:
  """Goes right; every other action counts as drawn."""

  def __init__(self):
    self.is_random = False

  def __call__(self, timestep):
    self.is_random = not self.is_random
    return 1


class BothWaysTest(absltest.TestCase):

  def test_datasets_have_the_same_bytes(self):
    from tests.data import envlogger_recorder

    right = lambda timestep: 1  # noqa: E731
    for make_env, make_policy in ((corridor.Corridor, _Marked), (_Counter, lambda: right),
                                  (lambda: corridor.Corridor(horizon=4), lambda: right)):
      contents, digests, cards = [], [], []
      for module in (recorder, envlogger_recorder):
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        cards.append(module.record_episodes(make_env(), make_policy(), 9, directory,
                                            name='corridor-8', metadata={'seed': 4}))
        digests.append(rlds.dataset_digest(directory))
        content = {path: (directory / path).read_bytes() for path in os.listdir(directory)}
        info = json.loads(content.pop('dataset_info.json'))
        for split in info['splits']:
          del split['numBytes']  # Of the files, or of the records in them.
        contents.append((content, info))
      self.assertEqual(digests[0], digests[1])
      self.assertEqual(cards[0], cards[1])
      self.assertEqual(contents[0], contents[1])


if __name__ == '__main__':
  absltest.main()
