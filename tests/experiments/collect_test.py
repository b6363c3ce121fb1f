"""Which data an experiment asks for; that it is brought in is tested with the runs that read it."""

from absl.testing import absltest

from alpt_jax import domains
from experiments.configs import maze


class CollectTest(absltest.TestCase):

  def test_mazes_of_a_config_are_named_once(self):
    self.assertEqual(domains.of(maze.get_config('desk')).environments(), [
        'maze-20-blocks:10-seed0', 'maze-20-blocks:10-seed100', 'maze-20-tunnel-seed100'])

  def test_sources_of_idms_alone_are_named_too(self):
    names = domains.of(maze.get_config('study')).environments()
    self.assertIn('maze-20-blocks:10-seed101', names)  # Of no agent.
    self.assertLen(names, 5 + 3)


if __name__ == '__main__':
  absltest.main()
