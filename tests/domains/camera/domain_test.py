"""Cameras as environments of runs."""

import numpy as np
from absl.testing import absltest

from alpt_jax import domains
from alpt_jax.domains.camera import domain
from experiments.configs import camera


class DomainTest(absltest.TestCase):

  def test_data_is_a_function_of_its_name(self):
    config = camera.get_config('tiny')
    own = domains.of(config)
    first, again, other = (own.read(name) for name in (
        'camera-seed3', 'camera-seed3', 'camera-seed4'))
    domain.simulated.cache_clear()
    again = own.read('camera-seed3')
    for field in ('observations', 'actions', 'is_labelled'):
      np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    self.assertFalse(np.array_equal(first.actions, other.actions))
    self.assertNotEqual(own.digest('camera-seed3'), own.digest('camera-seed4'))
    self.assertTrue(first.is_labelled[:domain.LENGTH].all())
    self.assertFalse(first.is_labelled[domain.LENGTH].any())

  def test_parts_of_a_run_are_those_of_both(self):
    config = camera.get_config('tiny')
    target, source = domains.specs(config)
    self.assertEqual(target.actions.part_names, ('turn', 'light', 'jump'))
    self.assertEqual(source.actions.part_names, target.actions.part_names)
    np.testing.assert_array_equal(source.actions.has, [True, True, False])
    read = domains.read(config, source.name, [target, source])
    actions, is_known = read.actions_of(0)
    own, _ = domains.of(config).read(source.name).actions_of(0)
    np.testing.assert_array_equal(actions[:, :2], own)
    np.testing.assert_array_equal(is_known, np.tile([True, True, False], (domain.LENGTH, 1)))

  def test_name_of_no_world(self):
    with self.assertRaisesRegex(ValueError, "environment is 'drone-seed0'; expected camera or"):
      domains.of(camera.get_config('tiny')).spec('drone-seed0')


if __name__ == '__main__':
  absltest.main()
