"""Tests of what the recording refuses; recording itself is tested with the runs that read it."""

import json
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data import records
from experiments import collect
from experiments.configs import maze
from tests import maze_data


class CollectTest(parameterized.TestCase):

  @parameterized.parameters(
      ({'name': 'maze-8-blocks:3-seed7'}, 'says name .*seed7.* expected .*seed0.* another maze'),
      ({'metadata': {'epsilon': .25}}, r'recorded with epsilon 0\.25.*collect\.epsilon 0\.5'),
      ({'metadata': None}, 'recorded with epsilon None'))
  def test_other_data_is_neither_used_nor_replaced(self, changes, message):
    config = maze.get_config('tiny')
    config.data_dir = self.enterContext(tempfile.TemporaryDirectory())
    name = collect.dataset_names(config)[0]
    path = pathlib.Path(config.data_dir, name, 'dataset_card.json')
    path.parent.mkdir()
    path.write_text(json.dumps(
        {'name': name, 'metadata': config.collect.to_dict()} | changes))
    before = path.read_bytes()
    with self.assertRaisesRegex(ValueError, message):
      collect.main(config)
    self.assertEqual(path.read_bytes(), before)

  def test_mazes_of_a_config_are_named_once(self):
    self.assertEqual(collect.dataset_names(maze.get_config('desk')), [
        'maze-20-blocks:10-seed0', 'maze-20-blocks:10-seed100', 'maze-20-tunnel-seed100'])

  def test_recorded_mazes_say_which_actions_were_drawn_at_random(self):
    config = maze_data.config('unused')
    for name in collect.dataset_names(config):
      directory = pathlib.Path(config.data_dir, name)
      draws = np.concatenate(records.random_draws(directory))
      # Of the 0.5, and nothing else: mazes are recorded from where the goal can be reached.
      self.assertAlmostEqual(draws.mean(), config.collect.epsilon,
                             delta=4 * np.sqrt(.25 / len(draws)))


  def test_sources_of_idms_alone_are_named_too(self):
    names = collect.dataset_names(maze.get_config('study'))
    self.assertIn('maze-20-blocks:10-seed101', names)  # Of no agent.
    self.assertLen(names, 5 + 3)


if __name__ == '__main__':
  absltest.main()
