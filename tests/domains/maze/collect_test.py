"""Mazes are recorded once, without TensorFlow, and never mixed up."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data import recorder, records, rlds
from alpt_jax.domains.maze import collect, env
from experiments.configs import maze
from tests import maze_data, processes

_PROGRAM = """
import sys
from alpt_jax.domains.maze import collect
from experiments.configs import maze
config = maze.get_config('tiny')
config.data_dir = sys.argv[1]
collect.main(config, [config.target])
"""


class CollectTest(parameterized.TestCase):

  @parameterized.parameters(
      ({'name': 'maze-8-blocks:3-seed7'}, 'says name .*seed7.* expected .*seed0.* another maze'),
      ({'metadata': {'epsilon': .25}}, r'recorded with epsilon 0\.25.*collect\.epsilon 0\.5'),
      ({'metadata': None}, 'recorded with epsilon None'))
  def test_other_data_is_neither_used_nor_replaced(self, changes, message):
    config = maze.get_config('tiny')
    config.data_dir = self.enterContext(tempfile.TemporaryDirectory())
    name = config.target
    path = pathlib.Path(config.data_dir, name, 'dataset_card.json')
    path.parent.mkdir()
    path.write_text(json.dumps(
        {'name': name, 'metadata': config.collect.to_dict()} | changes))
    before = path.read_bytes()
    with self.assertRaisesRegex(ValueError, message):
      collect.main(config, [name])
    self.assertEqual(path.read_bytes(), before)

  def test_recorded_mazes_say_which_actions_were_drawn_at_random(self):
    config = maze_data.config('unused')
    for name in (config.target, *config.sources):
      directory = pathlib.Path(config.data_dir, name)
      draws = np.concatenate(records.random_draws(directory))
      # Of the 0.5, and nothing else: mazes are recorded from where the goal can be reached.
      self.assertAlmostEqual(draws.mean(), config.collect.epsilon,
                             delta=4 * np.sqrt(.25 / len(draws)))

  def test_another_process_records_the_same_without_tensorflow_and_envlogger(self):
    config = maze_data.config('unused')
    with tempfile.TemporaryDirectory() as directory:
      done = subprocess.run([sys.executable, '-c', _PROGRAM, directory], capture_output=True,
                            text=True, check=False,
                            env=processes.environment_without('tensorflow', 'envlogger'))
      self.assertEqual(done.returncode, 0, done.stderr)
      self.assertEqual(*(rlds.dataset_digest(os.path.join(data_dir, config.target))
                         for data_dir in (config.data_dir, directory)))

  def test_envlogger_records_the_same_episodes(self):
    from tests.data import envlogger_recorder

    config = maze_data.config('unused')
    fast = os.path.join(config.data_dir, config.target)
    config.data_dir = self.enterContext(tempfile.TemporaryDirectory())
    with mock.patch.object(recorder, 'record_episodes', envlogger_recorder.record_episodes):
      collect.record(config.target, config)
    through_envlogger = os.path.join(config.data_dir, config.target)
    self.assertEqual(rlds.dataset_digest(fast), rlds.dataset_digest(through_envlogger))
    for observation in ('xy', 'grid'):
      spec = env.spec(env.layout_of(config.target), observation)
      found = [vars(rlds.read_episodes(directory, spec)) for directory in (fast, through_envlogger)]
      np.testing.assert_equal(*found)
      self.assertLen(found[0]['num_transitions'], config.collect.num_episodes)


if __name__ == '__main__':
  absltest.main()
