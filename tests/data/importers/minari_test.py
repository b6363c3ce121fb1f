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
      id=i, observations=observations, rewards=[float(r) for r in rewards],
      actions=actions if isinstance(actions, dict | tuple) else list(actions),
      terminations=[False] * (len(rewards) - 1) + [is_terminal],
      truncations=[False] * (len(rewards) - 1) + [not is_terminal])
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

  def _vectors(self, action_space, action):
    space = gymnasium.spaces.Box(-2, 2, (4,), np.float32)
    actions = ({key: [value] * 3 for key, value in action.items()} if isinstance(action, dict) else
               tuple([value] * 3 for value in action) if isinstance(action, tuple) else
               [action] * 3)
    return made(self._parent, space, action_space,
                [([np.ones(4, np.float32)] * 4, actions, [0.] * 3, True)])

  def test_actions_that_are_not_discrete(self):
    source = self._vectors(gymnasium.spaces.Box(-1, 1, (2,), np.float32), np.zeros(2, np.float32))
    with self.assertRaisesRegex(ValueError, 'walk-v0: the action space is Box.*Discrete'):
      self._import(source, own_data.environment('vector', (4,)))

  @parameterized.parameters(
      (gymnasium.spaces.MultiBinary(4), np.zeros(4, np.int8)),
      (gymnasium.spaces.MultiDiscrete([2, 3]), np.zeros(2, np.int64)),
      (gymnasium.spaces.Dict({str(i): gymnasium.spaces.Discrete(2) for i in range(40)}),
       {str(i): np.int64(1) for i in range(40)}),
      (gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(2)] * 2), (np.int64(0), np.int64(1))))
  def test_buttons_and_several_actions_are_refused_in_one_line(self, space, action):
    source = self._vectors(space, action)
    name = type(space).__name__
    with self.assertRaisesRegex(
        ValueError, rf'^[^\n]{{1,400}}: the action space is {name}[^\n]*; expected Discrete'):
      self._import(source, own_data.environment('vector', (4,)))

  @parameterized.parameters(3, 5)
  def test_another_number_of_actions_is_refused(self, number):
    source = self._vectors(gymnasium.spaces.Discrete(number), 1)
    with self.assertRaisesRegex(
        ValueError, rf"walk-v0: .*Discrete\({number}\) has {number} actions; expected the 4 of "
                    r"actions.space in the environment file, \['noop', "):
      self._import(source, own_data.environment('vector', (4,)))
    env = own_data.environment('vector', (4,), actions=environment_file.Actions(
        space=('noop', 'up', 'down', 'jump'), stored=('up', 'jump')))
    with self.assertRaisesRegex(ValueError, 'expected the 2 of actions.stored'):
      self._import(source, env)

  def test_numbers_are_vectors_of_one(self):
    space = gymnasium.spaces.Discrete(16)
    source = made(self._parent, space, gymnasium.spaces.Discrete(4), [
        ([np.int64(o) for o in (3, 15, 0, 7)], [0, 1, 3], [0.] * 3, True)])
    env = own_data.environment(observation=environment_file.Observation(
        kind='vector', shape=(1,), low=0, high=15))
    _, read = self._import(source, env)
    self.assertEqual(read.observations.tolist(), [[3.], [15.], [0.], [7.]])
    with self.assertRaisesRegex(
        ValueError, r'walk-v0: the observation space is Discrete\(16\); expected vector \[2\]'):
      list(import_minari.recordings(source, own_data.environment('vector', (2,))))

  def test_nested_observations(self):
    spaces = gymnasium.spaces
    box = spaces.Box(0, 255, (8, 6, 3), np.uint8)
    images = own_data.frames(np.random.default_rng(0), 4, (8, 6, 3))
    source = made(
        self._parent,
        spaces.Dict({'cam': spaces.Dict({'front': box}), 'state': spaces.Discrete(9)}),
        spaces.Discrete(4), [({'cam': {'front': list(images)}, 'state': [np.int64(1)] * 4},
                              [0, 1, 3], [0.] * 3, True)])
    env = lambda key: own_data.environment(  # noqa: E731
        observation=environment_file.Observation(kind='image', key=key, shape=(8, 6, 3)))
    _, read = self._import(source, env('cam/front'))
    np.testing.assert_array_equal(read.observations, images)
    for key in ('cam', 'front', '', 'cam/back', 'state/front'):
      with self.assertRaisesRegex(
          ValueError, rf"walk-v0: the observation is \['cam/front', 'state'\]; .* '{key}'"):
        list(import_minari.recordings(source, env(key)))

  def test_actions_may_begin_with_another_number(self):
    source = self._vectors(gymnasium.spaces.Discrete(4, start=5), 8)
    _, read = self._import(source, own_data.environment('vector', (4,)))
    self.assertEqual(read.actions.tolist(), [3, 3, 3, 0])

  def test_other_observations(self):
    source = self._vectors(gymnasium.spaces.Discrete(4), 1)
    with self.assertRaisesRegex(ValueError, r'walk-v0: the observation space is Box.*; ex.* \[5\]'):
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
