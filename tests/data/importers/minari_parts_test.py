"""Datasets of Minari with Box, MultiDiscrete, MultiBinary and Dict actions, part by part."""

import pathlib
import tempfile

import gymnasium
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts
from alpt_jax.data import environment_file
from alpt_jax.data.importers import minari as import_minari
from tests import exhaustive, random_spaces
from tests.data import own_data
from tests.data.importers import minari_test

spaces = gymnasium.spaces
OBSERVATIONS = spaces.Box(-2, 2, (4,), np.float32)


def environment(parts, keys=None, **settings):
  return own_data.environment('vector', (4,), actions=environment_file.ActionParts(
      parts=tuple(parts), keys=keys, **settings))


def numbers(*names, low=-1., high=1.):
  return tuple(action_parts.Continuous(name, low, high) for name in names)


class ImportMinariPartsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def made(self, space, actions, length=None, name='source'):
    """Makes a dataset of one episode."""
    length = length or len(next(iter(actions.values())) if isinstance(actions, dict) else actions)
    observations = [np.full(4, t / length, np.float32) for t in range(length + 1)]
    root = self.parent / name
    root.mkdir()
    return minari_test.made(root, OBSERVATIONS, space, [
        (observations, actions, [0.] * length, True)])

  def imported(self, source, env, name='data'):
    _, read = own_data.written(
        str(self.parent / name), import_minari.recordings(source, env), env)
    return read

  def test_box(self):
    source = self.made(spaces.Box(-1, 1, (2,), np.float32), np.float32([[.5, -1], [1, .25]]))
    read = self.imported(source, environment(numbers('action[0]', 'action[1]')))
    self.assertEqual(read.actions.tolist(), [[.5, -1], [1, .25], [0, 0]])
    self.assertEqual(read.is_labelled.tolist(), [[True, True], [True, True], [False, False]])
    read = self.imported(source, environment(
        numbers('turn', 'lift'), ('action[1]', 'action[0]')), 'renamed')
    self.assertEqual(read.actions.tolist(), [[-1, .5], [.25, 1], [0, 0]])

  def test_elements_of_a_matrix(self):
    source = self.made(spaces.Box(-1, 1, (2, 1), np.float64), np.array([[[.5], [-1]], [[0], [1]]]))
    read = self.imported(source, environment(numbers('action[0][0]', 'action[1][0]')))
    self.assertEqual(read.actions.tolist(), [[.5, -1], [0, 1], [0, 0]])

  def test_buttons(self):
    source = self.made(spaces.MultiBinary(2), np.int8([[0, 1], [1, 1]]))
    read = self.imported(source, environment(
        map(action_parts.Binary, ('jump', 'fire')), ('action[0]', 'action[1]')))
    self.assertEqual(read.actions.tolist(), [[0, 1], [1, 1], [0, 0]])

  def test_choices_that_begin_with_another_number(self):
    source = self.made(spaces.MultiDiscrete([3, 2], start=[5, 1]), np.array([[7, 1], [5, 2]]))
    read = self.imported(source, environment((
        action_parts.Categorical('action[0]', ('a', 'b', 'c')), action_parts.Binary('action[1]'))))
    self.assertEqual(read.actions.tolist(), [[2, 0], [0, 1], [0, 0]])

  def test_dicts_in_each_other(self):
    space = spaces.Dict({
        'arm': spaces.Dict({'joints': spaces.Box(-1, 1, (2,), np.float32)}),
        'grip': spaces.Discrete(2, start=3), 'time': spaces.Box(0, 9, (), np.float32)})
    source = self.made(space, {
        'arm': {'joints': np.float32([[.5, -1], [0, 1]])}, 'grip': np.array([4, 3]),
        'time': np.float32([0, 1])}, length=2)
    env = environment(
        (*numbers('lift', 'turn'), action_parts.Binary('grip')),
        ('arm/joints[0]', 'arm/joints[1]', 'grip'), left_out=('time',))
    self.assertEqual(self.imported(source, env).actions.tolist(),
                     [[.5, -1, 1], [0, 1, 0], [0, 0, 0]])

  def test_random_spaces_as_dicts(self):
    for seed in exhaustive.some_of(range(30)):
      with self.subTest(seed=seed):
        rng = np.random.default_rng(seed)
        space = random_spaces.space(rng)
        found, _ = random_spaces.episode(rng, space, 5, known=1.)
        declared = {part.name: spaces.Box(part.low, part.high, (), np.float32)
                    if part.kind == 'continuous' else spaces.Discrete(part.num_classes)
                    for part in space.parts}
        source = self.made(spaces.Dict(declared), {
            name: values.astype(declared[name].dtype) for name, values in found.items()},
            name=f'source{seed}')
        read = self.imported(source, environment(space.parts), f'data{seed}')
        for p, part in enumerate(space.parts):
          np.testing.assert_array_equal(read.actions[:5, p], np.float32(found[part.name]))

  @parameterized.parameters(
      (spaces.Box(-1, 1, (2,), np.float32), np.zeros((1, 2), np.float32),
       numbers('action[0]'), r"has 'action\[1\]', the key of no part"),
      (spaces.Box(-1, 1, (1,), np.float32), np.zeros((1, 1), np.float32),
       numbers('action'), r"has no 'action', .*, but \['action\[0\]'\].*'action\[0\]' meant"),
      (spaces.Box(-1, 1, (1,), np.float32), np.zeros((1, 1), np.float32),
       (action_parts.Categorical('action[0]', ('a', 'b')),), 'is float32; expected integers, as'),
      (spaces.MultiDiscrete([3]), np.zeros((1, 1), int),
       (action_parts.Categorical('action[0]', ('a', 'b')),),
       r'has 3 values; expected the 2 of actions.parts.action\[0\].names'),
      (spaces.MultiDiscrete([3]), np.zeros((1, 1), int),
       (action_parts.Binary('action[0]'),), 'has 3 values; expected the 2 of'),
      (spaces.MultiBinary(1), np.zeros((1, 1), np.int8), numbers('action[0]'),
       'is one of 2 values; expected a number'),
      (spaces.Tuple([spaces.Discrete(2)]), (np.array([0]),), numbers('action'),
       'is, at .action., Tuple.*; expected Discrete, Box, MultiBinary'))
  def test_spaces_that_do_not_fit(self, space, actions, parts, message):
    source = self.made(space, actions, length=1)
    with self.assertRaisesRegex(
        ValueError, f'walk-v0: the action space.* {message}') as raised:
      self.imported(source, environment(parts))
    self.assertNotIn('\n', str(raised.exception))

  @parameterized.parameters((1.5, 'is 1.5 at step 1'), (np.nan, 'is nan at step 1'))
  def test_values_outside_of_what_is_declared(self, value, message):
    source = self.made(spaces.Box(-9, 9, (1,), np.float64), np.array([[0.], [value]]))
    with self.assertRaisesRegex(
        ValueError, rf'walk-v0, episode 0: action action\[0\] {message} .*; expected a number in'):
      self.imported(source, environment(numbers('action[0]')))


if __name__ == '__main__':
  absltest.main()
