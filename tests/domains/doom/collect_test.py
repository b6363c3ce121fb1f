"""Scenarios are recorded once, and never mixed up; the domain reads what was recorded."""

import json
import pathlib
import tempfile

import ml_collections
import numpy as np
from absl.testing import parameterized

from alpt_jax import domains
from alpt_jax.domains.doom import collect, record, scenarios
from experiments.configs import doom


def config(data_dir, **settings):
  settings = dict(num_steps=40, num_checkpoints=2) | settings
  return ml_collections.ConfigDict(dict(
      experiment='doom', data_dir=data_dir, window=4,
      target='deadly_corridor', sources=('my_way_home',), phase='joint',
      sampling=dict(pool_size=8, num_shards=1), evaluation=dict(rule='paper'),
      collect=vars(record.Settings(**settings))))


class CollectTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.data_dir = self.enterContext(tempfile.TemporaryDirectory())

  def test_what_is_recorded_is_read_and_found_again(self):
    own = config(self.data_dir)
    domain = domains.of(own)
    domain.collect(domain.environments())
    specs = domains.specs(own)
    self.assertEqual([spec.actions.part_names for spec in specs], [scenarios.PARTS] * 2)
    self.assertEqual([spec.actions.has.sum() for spec in specs], [6, 4])
    settings = record.Settings(**own.collect)
    for name in domain.environments():
      data = domain.read(name)
      played = list(record.episodes(name, settings))
      self.assertLen(played, data.num_episodes)
      cut = data.cut(np.array([0]), np.array([0]), 5)
      np.testing.assert_array_equal(cut.observations[0], played[0].observations[:6])
      np.testing.assert_array_equal(cut.actions[0], played[0].actions[:5])
    digests = domains.digests(own, domain.environments())
    before = {path: path.stat().st_mtime_ns
              for path in pathlib.Path(self.data_dir).rglob('*')}
    domain.collect(domain.environments())
    self.assertEqual(domains.digests(own, domain.environments()), digests)
    self.assertEqual(before, {path: path.stat().st_mtime_ns
                              for path in pathlib.Path(self.data_dir).rglob('*')})

  @parameterized.parameters(
      ({'name': 'deathmatch'}, "says name 'deathmatch'; expected 'my_way_home'"),
      ({'metadata': {'num_steps': 50}}, r'recorded with num_steps 50.*collect\.num_steps 40'),
      ({'metadata': None}, 'recorded with num_steps None'))
  def test_other_data_is_neither_used_nor_replaced(self, changes, message):
    own = config(self.data_dir)
    path = pathlib.Path(self.data_dir, 'my_way_home', 'dataset_card.json')
    path.parent.mkdir()
    path.write_text(json.dumps(
        {'name': 'my_way_home', 'metadata': own.collect.to_dict()} | changes))
    before = path.read_bytes()
    with self.assertRaisesRegex(ValueError, message):
      collect.main(own, ['my_way_home'])
    self.assertEqual(path.read_bytes(), before)

  def test_time_passes_as_fast_as_it_was_recorded(self):
    for frame_skip, rate in ((4, 8.75), (7, 5.)):
      domain = domains.of(config(self.data_dir, frame_skip=frame_skip))
      self.assertEqual(domain.time_scale('my_way_home')[:3], ('image', rate, frame_skip))

  def test_the_config_knows_all_scenarios_and_how_they_are_recorded(self):
    own = doom.get_config('target=my_way_home')
    self.assertEqual((*own.sources, own.target), tuple(scenarios.SCENARIOS))
    self.assertEqual(own.collect.to_dict(), vars(record.Settings(num_steps=12_000)))
    with self.assertRaisesRegex(ValueError, "target is 'Doom'; expected one of deadly_corridor"):
      doom.get_config('target=Doom')

  def test_a_scenario_that_there_is_not_is_named(self):
    with self.assertRaisesRegex(ValueError, "scenario is 'maze'; expected one of deadly_corridor"):
      domains.of(config(self.data_dir)).spec('maze')
