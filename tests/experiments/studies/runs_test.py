"""Runs of studies: the rows of their evaluations, and the keys of registered settings."""

import json
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized

from alpt_jax.domains import metric
from alpt_jax.domains.atari import metrics as atari_metrics
from alpt_jax.domains.maze import metrics as maze_metrics
from experiments import reproduce
from experiments.configs import atari, maze
from experiments.studies import registered_settings, runs

REGISTRATIONS = pathlib.Path(runs.ROOT, 'experiments', 'registrations')


class RowsTest(parameterized.TestCase):

  @parameterized.parameters(
      (maze, maze_metrics, ('argmax', 'sampled'), ['success_500', 'success_50', 'spl', 'mean_steps'
                                                   ]),
      (atari, atari_metrics, ('sampled',), [
          'score', 'score_std', 'score_median', 'human_normalised', 'num_episodes', 'num_cut',
          'most_frequent_share', 'longest_run']))
  def test_every_metric_of_the_domain_has_a_column(self, config_file, metrics, modes, names):
    config = config_file.get_config('tiny')
    run = next(run for run in reproduce.plan(config) if run.changes.get('train_dt', True))
    evaluation = {mode: {'detours': 3 + i} for i, mode in enumerate(modes)}

    def columns():
      with mock.patch.object(runs, 'evaluations', lambda *unused: {7: evaluation}):
        row, = runs.rows(config, run, {'accuracy': {7: .5}, 'parts': {}})
      self.assertEqual((row['step'], row['label_accuracy']), (7, .5))
      return {key: value for key, value in row.items() if '/' in key}

    self.assertEqual(list(columns()), [f'{mode}/{name}' for mode in modes for name in names])
    with mock.patch.dict(metrics.METRICS, detours=metric.Metric('detours')):
      found = columns()
    self.assertEqual({key: value for key, value in found.items() if 'detours' in key},
                     {f'{mode}/detours': 3 + i for i, mode in enumerate(modes)})
    self.assertLen(found, len(modes) * (len(names) + 1))


class KeysTest(parameterized.TestCase):

  @parameterized.parameters((maze, 'mazes'), (atari, 'labels'))
  def test_registered_settings_know_every_key_or_what_it_stands_for(self, config_file, name):
    content = json.loads((REGISTRATIONS / f'{name}.json').read_text())
    registered = set().union(*registered_settings.unpack(content['run_settings']).values())

    def unknown(config):
      found = set().union(*(runs.settings(config, run) for run in reproduce.plan(config)))
      return found - registered - runs.LATER_KEYS.keys()

    config = config_file.get_config('desk')
    self.assertEmpty(unknown(config))
    with config.unlocked():
      config.model.some_new_key = 7  # A registered study that is half done would refuse it.
    self.assertEqual(unknown(config), {'model.some_new_key'})


if __name__ == '__main__':
  absltest.main()
