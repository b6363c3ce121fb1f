"""Datasets that Minari wrote, imported; Minari is optional for users, and here for tests."""

import os
import pathlib
import sys
import tempfile
from unittest import mock

import gymnasium
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data import environment_file
from alpt_jax.data.importers import minari as import_minari
from tests.data import own_data


def made(root, observation_space, action_space, episodes):
  """Makes a dataset with Minari; returns its directory."""
  import minari
  from minari.data_collector import EpisodeBuffer

  buffers = [EpisodeBuffer(
      id=i, observations=observations, actions=list(actions), rewards=[float(r) for r in rewards],
      terminations=[False] * (len(actions) - 1) + [is_terminal],
      truncations=[False] * (len(actions) - 1) + [not is_terminal])
             for i, (observations, actions, rewards, is_terminal) in enumerate(episodes)]
  with mock.patch.dict(os.environ, MINARI_DATASETS_PATH=str(root)):
    minari.create_dataset_from_buffers(
        'own/walk-v0', buffers, observation_space=observation_space, action_space=action_space,
        algorithm_name='none', author='nobody', author_email='none', code_permalink='none')
  return str(pathlib.Path(root, 'own/walk-v0'))


class NotInstalledTest(absltest.TestCase):

  def test_says_what_to_install(self):
    with mock.patch.dict(sys.modules, minari=None), self.assertRaisesRegex(
        ValueError, r'Minari is not inst.*pip install "minari\[hdf5\]"'):
      import_minari.total('somewhere')


class ImportMinariTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def _import(self, source, env, **settings):
    return own_data.written(str(self._parent / 'data'), import_minari.recordings(source, env), env,
                            **settings)

  @parameterized.product(kind=('image', 'vector'), key=('', 'seen'), seed=(0, 1))
  def test_episodes_come_back(self, kind, key, seed):
    rng = np.random.default_rng(seed)
    shape = (4,) if kind == 'vector' else (8, 6, 3)
    space = (gymnasium.spaces.Box(-2, 2, shape, np.float32) if kind == 'vector' else
             gymnasium.spaces.Box(0, 255, shape, np.uint8))
    played = []
    for _ in range(4):
      length = int(rng.integers(2, 9))
      observations = (rng.uniform(-2, 2, (length + 1, *shape)).astype(np.float32)
                      if kind == 'vector' else own_data.frames(rng, length + 1, shape))
      played.append((observations, rng.integers(0, 2, length), rng.normal(size=length),
                     bool(rng.integers(2))))
    source = made(
        self._parent, gymnasium.spaces.Dict({key: space}) if key else space,
        gymnasium.spaces.Discrete(2),
        [({key: list(o)} if key else list(o), *rest) for o, *rest in played])
    env = own_data.environment(
        observation=environment_file.Observation(kind=kind, key=key, shape=shape, low=-2., high=2.),
        actions=environment_file.Actions(space=('left', 'stay', 'right'), stored=('left', 'right')),
        reward=environment_file.Reward(), returns=(-9, 9))
    _, read = self._import(source, env)
    for (observations, actions, rewards, is_labelled), wanted in zip(
        own_data.split(read), played, strict=True):
      np.testing.assert_array_equal(observations, wanted[0])
      self.assertEqual(actions.tolist(), [(0, 2)[a] for a in wanted[1]])
      np.testing.assert_array_equal(rewards, wanted[2].astype(np.float32))
      self.assertTrue(is_labelled.all())

  def _vectors(self, action_space, action, observation=1.):
    space = gymnasium.spaces.Box(-2, 2, (4,), np.float32)
    observations = [np.full(4, observation, np.float32)] * 4
    return made(self._parent, space, action_space, [(observations, [action] * 3, [0.] * 3, True)])

  def test_actions_that_are_not_discrete(self):
    source = self._vectors(gymnasium.spaces.Box(-1, 1, (2,), np.float32), np.zeros(2, np.float32))
    with self.assertRaisesRegex(ValueError, 'episode 0: the action space is Box.*Discrete'):
      self._import(source, own_data.environment('vector', (4,)))

  def test_actions_may_begin_with_another_number(self):
    source = self._vectors(gymnasium.spaces.Discrete(4, start=5), 8)
    _, read = self._import(source, own_data.environment('vector', (4,)))
    self.assertEqual(read.actions.tolist(), [3, 3, 3, 0])

  def test_other_observations(self):
    source = self._vectors(gymnasium.spaces.Discrete(2), 1)
    with self.assertRaisesRegex(ValueError, r'observations are float32 \[4\]; expected .* \[5\]'):
      self._import(source, own_data.environment('vector', (5,)))
    env = own_data.environment(observation=environment_file.Observation(
        kind='vector', key='seen', shape=(4,)))
    with self.assertRaisesRegex(ValueError, "a single array; expected observation.key 'seen'"):
      self._import(source, env)

  def test_no_dataset(self):
    with self.assertRaisesRegex(FileNotFoundError, 'has no data/metadata.json'):
      import_minari.total(str(self._parent))


if __name__ == '__main__':
  absltest.main()
