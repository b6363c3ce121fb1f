"""Discrete actions: what a dataset stores, what networks get, and what is refused."""

import numpy as np
from absl.testing import parameterized

from alpt_jax import action_space

NAMES = ('stay', 'left', 'right', 'up')
PLAIN = action_space.Discrete(NAMES)
SOME = action_space.Discrete(NAMES, legal=(0, 1, 3))
INDEXED = action_space.Discrete(NAMES, legal=(0, 1, 3), stored=(3, 1, 3))  # Two stand for 'up'.


class DiscreteTest(parameterized.TestCase):

  def test_all_actions_are_legal_unless_said_otherwise(self):
    self.assertEqual((PLAIN.num, PLAIN.legal, PLAIN.num_stored), (4, (0, 1, 2, 3), 4))
    self.assertEqual(SOME.mask.tolist(), [True, True, False, True])
    self.assertEqual(INDEXED.num_stored, 3)
    self.assertEqual(action_space.numbered(3, legal=(2,)),
                     action_space.Discrete(('0', '1', '2'), legal=(2,)))

  def test_is_hashable_data(self):
    again = action_space.Discrete(NAMES, legal=(0, 1, 3), stored=(3, 1, 3))
    self.assertEqual((again, hash(again)), (INDEXED, hash(INDEXED)))
    self.assertNotEqual(again, SOME)

  @parameterized.parameters(
      (PLAIN, [0, 3, 2], [0, 3, 2]), (SOME, [0, 3, 1], [0, 3, 1]), (INDEXED, [0, 1, 2], [3, 1, 3]))
  def test_stored_actions_become_ids(self, space, stored, expected):
    self.assertEqual(space.check(np.array(stored), name='Play'), '')
    ids = space.to_ids(np.array(stored))
    self.assertEqual((ids.tolist(), ids.dtype), (expected, np.int32))

  def test_unknown_actions_may_be_anything_and_become_0(self):
    stored, is_known = np.array([1, -7, 2**40, 1]), np.array([True, False, False, True])
    for space, expected in ((SOME, [1, 0, 0, 1]), (INDEXED, [1, 0, 0, 1])):
      self.assertEqual(space.check(stored, is_known, name='Play'), '')
      self.assertEqual(space.to_ids(stored, is_known).tolist(), expected)
    self.assertEqual(action_space.Discrete(NAMES, stored=(3,)).to_ids(stored, ~is_known & False)
                     .tolist(), [0, 0, 0, 0])

  @parameterized.parameters(
      (PLAIN, [0, 4, -1], r'action is 4 at step 1 \(2 in all\); Play has \[0, 1, 2, 3\]'),
      (SOME, [0, 1, 2], r'action is 2 at step 2 \(1 in all\); Play has \[0, 1, 3\]'),
      (INDEXED, [0, 3], r'action is 3 at step 1 \(1 in all\); Play has \[0, 1, 2\]'),
      (PLAIN, [2**32], r'action is 4294967296 at step 0'),
      (PLAIN, [0., 1.], r'actions are float64 of shape \[2\]; expected one integer a step'),
      (PLAIN, [[0], [1]], r'actions are int64 of shape \[2, 1\]; expected one integer a step'),
      (PLAIN, [True], r'actions are bool of shape \[1\]'))
  def test_what_the_environment_does_not_have_is_named(self, space, stored, message):
    self.assertRegex(space.check(np.array(stored), name='Play'), f'^{message}')

  def test_predictions_become_those_of_what_is_stored(self):
    said = np.array([[.1, .2, .3, .4], [.5, 0., .5, 0.]], np.float32)
    self.assertIs(PLAIN.to_stored(said), said)
    np.testing.assert_allclose(  # The first index of 'up' gets all of it.
        INDEXED.to_stored(said), [[2 / 3, 1 / 3, 0], [0, 0, 0]], rtol=1e-6)

  def test_the_most_probable_index_stands_for_the_most_probable_action(self):
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.ones(4), 50).astype(np.float32) * INDEXED.mask * [0, 1, 1, 1]
    stored = INDEXED.to_stored(said.astype(np.float32)).argmax(axis=1)
    np.testing.assert_array_equal(INDEXED.to_ids(stored), said.argmax(axis=1))

  @parameterized.parameters(
      (dict(legal=()), r'legal actions are \(\); expected at least one id in \[0, 4\)'),
      (dict(legal=(0, 4)), r'legal actions are \(0, 4\); .*\[0, 4\)'),
      (dict(legal=(-1,)), r'legal actions are \(-1,\)'),
      (dict(legal=(0, 1, 3), stored=(0, 2)), r'stand for \(0, 2\); expected some .*\(0, 1, 3\)'))
  def test_impossible_declarations_are_refused(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      action_space.Discrete(NAMES, **fields)
