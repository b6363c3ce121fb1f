"""Whether gates are reached, from run files with known numbers."""

import math
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from alpt_jax.domains.atari import study
from experiments import gates
from experiments.configs import gates as gates_config
from experiments.studies import runs


def _mean(value, low=None, high=None):
  return dict(value=value, low=low, high=high, num_transitions=100, num_episodes=9)


def _file(method, seed, target='Breakout', **content):
  return dict(
      status='done', identity=dict(method=method, seed=seed, target=target, num_labels=9),
      seeds=dict(seed=seed, label_seed=seed), data_digests={target: 'one'}) | content


def _failed(file):
  """As `run_files` writes it: without what only finished runs have."""
  return dict(status='failed', identity=file['identity'])


def label_files(accuracies, *, linear=.8, past=.7, ceiling=(.9, .9, .9)):
  """Runs with voted accuracies, one a seed, and the floors that see the past only."""
  top = dict(expected=_mean(.85), realised=_mean(*ceiling))
  files = []
  for seed, accuracy in enumerate(accuracies):
    floors = dict(num_labels=9, majority=_mean(.6), table=None, linear=_mean(linear))
    files.append(_file('target', seed, floors=dict(labels=dict(
        ceiling=top, accuracy=_mean(.1), voted=dict(accuracy=_mean(accuracy), floors=floors)))))
    files.append(_file('past', seed, floors=dict(labels=dict(
        ceiling=top, voted=dict(accuracy=_mean(past), floors=floors)))))
  return files


def agent_files(scores, *, target='Pong', is_blind=False, by_score=False, is_held_out=True,
                num_games=64, best=10.,
                **of_best):
  agents = dict(random=dict(score=-20., standard_error=1., num_episodes=9),
                repeat=dict(score=-19.))
  checkpoints = [dict(mean_score=best) | of_best]
  return [_file('oracle', seed, target, games={'sampled': dict(returns=[score] * num_games)},
                floors=dict(agent=dict(by_loss=is_blind, is_held_out=is_held_out,
                                       is_blind=is_blind, by_score=dict(is_blind=by_score)),
                            scores=dict(agents=agents), checkpoints=checkpoints))
          for seed, score in enumerate(scores)]


class ConfigTest(parameterized.TestCase):

  @parameterized.parameters(*gates_config.GATES)
  def test_every_gate_has_runs(self, gate):
    for preset in ('desk', 'tiny'):
      planned = study.plan(gates_config.get_config(f'{gate},{preset}'))
      self.assertEqual({run.changes['phase'] for run in planned}, {'finetune'})
      seeds = {run.changes['seed'] for run in planned}
      self.assertEqual(seeds, {0} if gate == 'rates' else set(range(gates.FEWEST_SEEDS)))

  def test_the_floor_differs_from_the_idm_in_its_mask_only(self):
    config = gates_config.get_config('labels')
    one, other = (runs.run_config(config, run).to_dict() for run in study.plan(config)
                  if run.changes['seed'] == 3)
    self.assertEqual({key for key in one if one[key] != other[key]}, {'model', 'workdir'})
    self.assertEqual({key for key in one['model'] if one['model'][key] != other['model'][key]},
                     {'idm_is_causal'})

  def test_agents_play_as_many_games_with_exchanged_images_as_without(self):
    config = gates_config.get_config('agents')
    self.assertEqual((config.study.floors.exchanged_games, config.evaluation.num_episodes),
                     (64, 64))


class LabelsTest(parameterized.TestCase):

  def test_interval_is_over_seeds_and_the_ceilings_own_is_added_in_squares(self):
    accuracies = [.89, .892, .888, .891, .889]
    row, = gates.labels(label_files(accuracies, ceiling=(.9, .89, .92)))
    ways = (np.array(accuracies) - .8) / .1
    half = stats.t.ppf(.975, 4) * ways.std(ddof=1) / math.sqrt(5)
    low = .9 - math.hypot(half, .9 - .09 / .12)
    high = .9 + math.hypot(half, .09 / .09 - .9)
    self.assertEqual(row.found, f'0.900 [{low:.3f}, {high:.3f}], 5 seeds')
    self.assertFalse(row.is_reached)  # Its lower end is 0.745.
    row, = gates.labels(label_files(accuracies, ceiling=(.9, .89, .91)))
    self.assertTrue(row.is_reached)

  def test_the_past_is_a_floor(self):
    row, = gates.labels(label_files([.89] * 5, past=.88))
    self.assertStartsWith(row.found, '0.500 ')
    self.assertFalse(row.is_reached)

  @parameterized.parameters(([.89] * 4,), ([],))
  def test_fewer_seeds_do_not_reach_it(self, accuracies):
    row, = gates.labels(label_files(accuracies))
    self.assertFalse(row.is_reached)

  def test_seeds_without_votes_or_floor_do_not_count_and_are_not_passed_over(self):
    files = label_files([.89] * 6)
    self.assertTrue(gates.labels(files)[0].is_reached)
    self.assertEqual(gates.labels(files[:-1])[0], gates.Row(
        mock.ANY, '0.900 [0.900, 0.900], 5 seeds; 1 without numbers or their partner', False))
    files[0]['floors']['labels'].pop('voted')
    row, = gates.labels(files)
    self.assertEqual(row.found,
                     '0.900 [0.900, 0.900], 5 seeds; 2 without numbers or their partner')
    self.assertFalse(row.is_reached)

  def test_failed_runs_are_counted(self):
    files = label_files([.89] * 6)
    for number in (0, 1):
      files[number] = _failed(files[number])
    row, = gates.labels(files)
    self.assertEqual(row.found, '0.900 [0.900, 0.900], 5 seeds; 2 failed')
    self.assertFalse(row.is_reached)
    row, = gates.labels(list(map(_failed, files)))
    self.assertEqual(row.found, '0 seeds with votes, floors and ceiling; 12 failed')

  @parameterized.parameters(
      ('identity', 'target', 'Pong'), ('data_digests', 'Breakout', 'another'),
      ('identity', 'num_labels', 8), ('seeds', 'label_seed', 7), ('identity', 'seed', 7))
  def test_another_runs_floor_is_none(self, part, key, value):
    files = label_files([.89] * 6)
    files[1][part] = files[1][part] | {key: value}  # A run that sees the past only.
    row, = gates.labels(files)
    self.assertEqual(row.found,
                     '0.900 [0.900, 0.900], 5 seeds; 2 without numbers or their partner')
    self.assertFalse(row.is_reached)

  @parameterized.parameters('num_transitions', 'num_episodes')
  def test_another_number_of_votes_is_none(self, key):
    files = label_files([.89] * 6)
    files[1]['floors']['labels']['voted']['accuracy'][key] = 8
    row, = gates.labels(files)
    self.assertIn('5 seeds; 2 without', row.found)
    self.assertFalse(row.is_reached)

  @parameterized.parameters(('identity', 'target', 'Pong'), ('data_digests', 'Breakout', 'another'),
                            ('identity', 'num_labels', 8))
  def test_seeds_of_two_recordings_are_not_put_together(self, part, key, value):
    files = label_files([.89] * 10)
    for file in files[10:]:
      file[part] = file[part] | {key: value}
    row, = gates.labels(files)
    self.assertEqual(row.found, '0 seeds with votes, floors and ceiling; 20 without numbers or '
                     'their partner')
    self.assertFalse(row.is_reached)

  def test_a_ceiling_below_the_floor_does_not_reach_it(self):
    row, = gates.labels(label_files([.89] * 5, past=.95))
    self.assertEqual(row.found, '0 seeds with votes, floors and ceiling; 10 without numbers or '
                     'their partner')
    self.assertFalse(row.is_reached)

  def test_a_ceiling_whose_interval_reaches_the_floor_leaves_the_upper_end_open(self):
    row, = gates.labels(label_files([.89] * 5, ceiling=(.9, .8, .9)))
    self.assertEqual(row.found, '0.900 [0.900, inf], 5 seeds')


class AgentsTest(parameterized.TestCase):

  def test_looks_and_plays(self):
    looks, plays = gates.agents(agent_files([-4., -5., -3., -4.5, -3.5]))
    self.assertTrue(looks.is_reached)
    self.assertIn(', 0.53 (no interval: an error is unknown) of the way; best blind -19.0',
                  plays.found)  # 16 of 30.
    self.assertTrue(plays.is_reached)

  def test_errors_of_seeds_checkpoint_and_random_play_add_in_squares(self):
    scores = [-4., -5., -3., -4.5, -3.5]
    _, plays = gates.agents(agent_files(scores, std_score=4., num_episodes=5))
    of_seeds = stats.t.ppf(.975, 4) * np.std(scores, ddof=1) / math.sqrt(5) / 30
    of_best = stats.t.ppf(.975, 4) * 4 / math.sqrt(4)
    of_random = stats.t.ppf(.975, 8) * 1.
    way = 16 / 30
    low = way - math.sqrt(of_seeds**2 + (way - 16 / (30 + of_best))**2
                          + (way - (16 - of_random) / (30 - of_random))**2)
    high = way + math.sqrt(of_seeds**2 + (16 / (30 - of_best) - way)**2
                           + ((16 + of_random) / (30 + of_random) - way)**2)
    self.assertIn(f', 0.53 [{low:.2f}, {high:.2f}] of the way; ', plays.found)
    self.assertLess(low, .5)
    self.assertTrue(plays.is_reached)  # By the point, as it asks.
    self.assertIn('as the point, whatever its interval', plays.asks)

  def test_a_checkpoint_that_may_be_no_better_than_random_leaves_the_upper_end_open(self):
    _, plays = gates.agents(agent_files([-4.] * 5, std_score=30., num_episodes=5))
    self.assertRegex(plays.found, r'0\.53 \[0\.\d+, inf\] of the way')

  @parameterized.named_parameters(
      ('too few points', dict(scores=[-5.5] * 5), [True, False]),
      ('too few seeds', dict(scores=[0.] * 4), [False, False]),
      ('too few games', dict(scores=[0.] * 5, num_games=63), [True, False]),
      ('not above the blind', dict(scores=[40., -40., 40., -40., 40.]), [True, False]),
      ('blind', dict(scores=[0.] * 5, is_blind=True), [False, True]),
      ('blind by its score', dict(scores=[0.] * 5, by_score=True), [False, True]),
      ('no games with exchanged images', dict(scores=[0.] * 5, by_score=None), [False, True]),
      ('cannot tell', dict(scores=[0.] * 5, is_blind=None), [False, True]),
      ('on its own episodes', dict(scores=[0.] * 5, is_held_out=False), [False, True]),
      ('no best checkpoint', dict(scores=[0.] * 5, best=math.nan), [True, False]))
  def test_not_reached(self, files, expected):
    self.assertEqual([row.is_reached for row in gates.agents(agent_files(**files))], expected)

  def test_a_failed_run_is_not_passed_over(self):
    files = agent_files([-4., -5., -3., -4.5, -3.5, -4.])
    files[0] = _failed(files[0])
    for row in gates.agents(files):
      self.assertEndsWith(row.found, '; 1 failed')
      self.assertFalse(row.is_reached)

  def test_breakout_asks_for_points(self):
    for score, is_reached in ((10.5, True), (9.5, False)):
      _, plays = gates.agents(agent_files([score] * 5, target='Breakout', best=300.))
      self.assertEqual(plays.is_reached, is_reached)


class OptimizersTest(parameterized.TestCase):

  @parameterized.parameters((0., True), (.015, True), (.025, False), (-.025, False))
  def test_whole_interval_of_the_paired_difference(self, difference, is_reached):
    noise = np.array([.3, -.2, .1, 0., -.1])
    files = [_file(name, seed, 'Gopher', curves=dict(label_accuracy=[.1, .5 + n + of_arm]))
             for name, of_arm in (('lamb', difference), ('adamw', 0.))
             for seed, n in enumerate(noise)]
    row, = gates.optimizers(files)
    self.assertEqual(row.is_reached, is_reached)
    self.assertIn('5 seeds', row.found)
    few, = gates.optimizers(files[:4] + files[5:])
    self.assertFalse(few.is_reached)

  def test_runs_that_failed_do_not_count_and_are_not_passed_over(self):
    files = [_file(name, seed, 'Gopher', curves=dict(label_accuracy=[.5]))
             for seed in range(6) for name in ('lamb', 'adamw')]
    self.assertTrue(gates.optimizers(files)[0].is_reached)
    row, = gates.optimizers([_failed(files[0]), *files[1:]])
    self.assertEndsWith(row.found, '5 seeds; 1 failed; 1 without numbers or their partner')
    self.assertFalse(row.is_reached)
    files[0]['curves'] = dict(label_accuracy=None)
    self.assertFalse(gates.optimizers(files)[0].is_reached)


if __name__ == '__main__':
  absltest.main()
