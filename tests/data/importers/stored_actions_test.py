"""What actions of datasets of others mean: indices, names, and where parts are."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts
from alpt_jax.data import environment_file
from alpt_jax.data.importers import checks, stored_actions
from tests.data import own_data


class IndicesTest(parameterized.TestCase):

  def test_stored_actions_become_ids(self):
    env = own_data.environment(actions=environment_file.Actions(
        space=('noop', 'up', 'down', 'jump'), stored=('jump', 'noop')))
    self.assertEqual(stored_actions.action_ids(np.array([1, 0], np.int32), env).tolist(), [0, 3])
    self.assertEqual(stored_actions.action_ids(
        np.array([7, 0]), env, is_labelled=np.array([False, True])).tolist()[1], 3)
    with self.assertRaisesRegex(ValueError, r'action is 2 at step 1 \(1 .*; Own has \[0, 1\]'):
      stored_actions.action_ids(np.array([1, 2]), env)

  @parameterized.parameters(([.5, 1.], 'actions are float64'), ([[1], [0]], r'of shape \[2, 1\]'),
                            ([0, 2], r'action is 2 at step 1.*\[0, 1, 3\]'))
  def test_other_actions_are_refused(self, stored, message):
    with self.assertRaisesRegex(ValueError, message):
      stored_actions.action_ids(np.array(stored), own_data.environment())


class PlacesTest(parameterized.TestCase):

  def test_entries_and_elements(self):
    found = stored_actions.places(
        {'arm': {'grip': 1, 'joints': {'x': 2}}, 'base': 3}, checks.entries_of, 'action')
    self.assertEqual(found, {'arm/grip': 1, 'arm/joints/x': 2, 'base': 3})
    self.assertEqual(stored_actions.places(5, checks.entries_of, 'action'), {'action': 5})
    self.assertEqual(stored_actions.elements('a', ()), {'a': ()})
    self.assertEqual(stored_actions.elements('a', (2,)), {'a[0]': (0,), 'a[1]': (1,)})
    self.assertEqual(list(stored_actions.elements('a', (1, 2))), ['a[0][0]', 'a[0][1]'])

  def actions(self, **settings):
    return environment_file.ActionParts(parts=(
        action_parts.Binary('grip'), action_parts.Continuous('lift', 0., 1.)),
        keys=('arm[1]', 'arm[0]'), **settings)

  @parameterized.parameters(
      (['arm[0]'], (), r"it has no 'arm\[1\]', the key of actions.parts.grip in .*, but \['arm"
                       r"\[0\]'\]. Correct the key; is 'arm\[0\]' meant\?"),
      (['arm[0]', 'arm[1]', 'base'], (), r"has 'base', the key of no part .*; expected \['arm\["),
      (['arm[0]', 'arm[1]', 'base[0]', 'base[1]', 'b/x'], ('base', 'b'), None),
      (['arm[0]', 'arm[1]', 'base[0]', 'base[1]'], ('base[0]',), r"has 'base\[1\]'"),
      (['arm[0]', 'arm[1]', 'basement'], ('base',), "has 'basement'"))
  def test_every_key_is_named(self, found, left_out, message):
    actions = self.actions(left_out=left_out)
    if message is None:
      stored_actions.check_keys('it', found, actions)
    else:
      with self.assertRaisesRegex(ValueError, message):
        stored_actions.check_keys('it', found, actions)

  def test_flags_of_a_part_its_vector_or_all(self):
    flags = {'arm[0]': 1, 'arm': 2, 'action': 3}
    self.assertEqual([stored_actions.of_key(flags, key, 'action')
                      for key in ('arm[0]', 'arm[1]', 'base[0]')], [1, 2, 3])
    self.assertIsNone(stored_actions.of_key({'arm': 2}, 'base', 'action'))

  @parameterized.parameters(
      (action_parts.Binary('x'), np.float64, None, None),
      (action_parts.Binary('x'), str, None, 'k is <U0; expected 0 or 1, as x is binary'),
      (action_parts.Binary('x'), np.int64, 3, 'k has 3 values; expected the 2 of actions.parts.x '),
      (action_parts.Continuous('x', 0, 1), np.int32, None, None),
      (action_parts.Continuous('x', 0, 1), bool, None, 'k is bool; expected numbers, as x is cont'),
      (action_parts.Continuous('x', 0, 1), np.int64, 5, 'k is one of 5 values; expected a number'),
      (action_parts.Categorical('x', ('a', 'b')), np.float32, None, 'k is float32; expected integ'),
      (action_parts.Categorical('x', ('a', 'b')), np.int8, 2, None),
      (action_parts.Categorical('x', ('a', 'b')), np.int8, 3,
       r"k has 3 values; expected the 2 of actions.parts.x.names .*\['a', 'b'\]"))
  def test_values_of_another_kind(self, part, dtype, num_values, message):
    if message is None:
      stored_actions.check_values('it', 'k', part, dtype, num_values)
    else:
      with self.assertRaisesRegex(ValueError, f'^it: {message}'):
        stored_actions.check_values('it', 'k', part, dtype, num_values)

  def test_parts_are_picked_checked_and_stored(self):
    env = own_data.environment(actions=self.actions())
    known = {'grip': np.array([True, False]), 'lift': np.array([True, True])}
    actions, is_labelled = stored_actions.parts(
        {'arm[0]': np.array([.5, 1.]), 'arm[1]': np.array([1., 7.]), 'more': []}, env, known)
    self.assertEqual({part: (x.dtype, x.tolist()) for part, x in actions.items()},
                     {'grip': (bool, [True, False]), 'lift': (np.float32, [.5, 1.])})
    self.assertIs(is_labelled, known)
    for found, message in (
        ({'arm[0]': [0, 2], 'arm[1]': [0, 0]}, 'action lift is 2 at step 1 .*; expected a number'),
        ({'arm[0]': [0, 1], 'arm[1]': [0, .5]}, 'action grip is 0.5 at step 1'),
        ({'arm[0]': [0, 1]}, r"have no 'arm\[1\]' but"),
        ({'arm[0]': [0, 1], 'arm[1]': [0]}, "different lengths, {'grip': 1, 'lift': 2}")):
      with self.assertRaisesRegex(ValueError, message):
        stored_actions.parts(found, env)


if __name__ == '__main__':
  absltest.main()
