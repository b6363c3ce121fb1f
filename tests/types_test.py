"""Tests of the checks of an environment's declaration."""

from absl.testing import parameterized

from alpt_jax import action_space, types

VALID = dict(name='pong', observation_key='', observation_kind='image',
             observation_shape=(84, 84, 1), actions=action_space.numbered(18, legal=(0, 1, 3)),
             return_low=-20, return_high=100)


class EnvironmentSpecTest(parameterized.TestCase):

  def test_is_hashable_data(self):
    self.assertEqual(types.EnvironmentSpec(**VALID), types.EnvironmentSpec(**VALID))
    self.assertEqual(hash(types.EnvironmentSpec(**VALID)), hash(types.EnvironmentSpec(**VALID)))

  def test_data_is_taken_as_stored_unless_said_otherwise(self):
    spec = types.EnvironmentSpec(**VALID)
    self.assertEqual((spec.stored_actions, spec.reward_clip), ((), float('inf')))

  @parameterized.parameters(
      (dict(observation_kind='pixels'), "observation_kind of pong is 'pixels'"),
      (dict(return_high=-20), 'return_low -20 of pong must be below return_high -20'),
      (dict(reward_clip=0.), 'reward_clip 0.0 of pong must be above 0'),
      (dict(reward_clip=float('nan')), 'reward_clip nan of pong must be above 0'),
      (dict(observation_kind='vector', observation_shape=(2,), observation_low=1.),
       'observation_low 1.0 of pong must be below observation_high 1.0'))
  def test_impossible_declarations_are_refused(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      types.EnvironmentSpec(**VALID | changes)
