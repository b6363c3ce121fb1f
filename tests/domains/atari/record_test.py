"""Recordings of Atari games hold what was played, as RL Unplugged would have stored it."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized

from alpt_jax.data import episode_files, records, rlds
from alpt_jax.domains.atari import action_sets, policies, record
from alpt_jax.domains.atari import env as atari
from tests import processes
from tests.data import atari_data


class RecordAtariTest(parameterized.TestCase):

  def _directory(self):
    return self.enterContext(tempfile.TemporaryDirectory())

  def test_decoded_steps_are_what_was_played(self):
    data_dir, _, _, checkpoints = atari_data.recorded()
    builder = tfds.builder('rlu_atari_checkpoints_ordered/Breakout_run_1', data_dir=data_dir)
    self.assertEqual(list(builder.info.splits), ['checkpoint_00', 'checkpoint_01', 'checkpoint_02'])
    endings = set()
    for i, played in enumerate(checkpoints):
      episodes = list(builder.as_data_source(f'checkpoint_{i:02d}'))
      self.assertLen(episodes, len(played))
      for j, (episode, (timesteps, actions)) in enumerate(zip(episodes, played, strict=True)):
        steps = episode['steps']
        steps = {k: np.array([step[k] for step in steps]) for k in next(iter(steps))}
        np.testing.assert_array_equal(steps['observation'], [t.observation for t in timesteps])
        np.testing.assert_array_equal(steps['action'], [*actions, 0])
        rewards = [np.sign(t.reward) for t in timesteps[1:]]  # Breakout's are whole numbers.
        np.testing.assert_array_equal(steps['reward'], [*rewards, 0])
        np.testing.assert_array_equal(steps['is_first'], [True] + [False] * len(actions))
        np.testing.assert_array_equal(steps['is_last'], [False] * len(actions) + [True])
        is_over = timesteps[-1].discount == 0
        np.testing.assert_array_equal(steps['is_terminal'], [False] * len(actions) + [is_over])
        np.testing.assert_array_equal(
            steps['discount'], [1] * (len(actions) - 1) + ([0, 0] if is_over else [1, 1]))
        self.assertEqual((episode['checkpoint_id'], episode['episode_id'],
                          episode['episode_return']), (i, j, sum(rewards)))
        endings.add(bool(is_over))
    self.assertEqual(endings, {True, False})

  def test_envlogger_writes_the_same_records(self):
    data_dir, directory, _, _ = atari_data.recorded('rlu_atari')
    expected = atari_data.records(atari_data.recorded()[1])
    found = atari_data.records(directory)
    self.assertTrue(found == {'train': sum(expected.values(), [])})  # Too long to be shown.
    builder = tfds.builder('rlu_atari/Breakout_run_1', data_dir=data_dir)
    self.assertEqual(builder.info.splits['train'].num_examples,
                     sum(len(episodes) for episodes in expected.values()))

  @parameterized.named_parameters(
      (f'_{name}', name)
      for name in ('rlu_atari', 'rlu_atari_checkpoints', 'rlu_atari_checkpoints_ordered'))
  def test_features_are_the_official_ones(self, dataset):
    _, directory, _, _ = atari_data.recorded(dataset)
    official = tfds.builder(f'{dataset}/Breakout_run_1', data_dir=self._directory())
    found = tfds.builder_from_directory(directory).info.features
    steps = dict(found['steps'].feature)
    self.assertEqual(steps.pop('action_is_random').np_dtype, np.bool_)  # The one of ours.
    found = tfds.features.FeaturesDict(dict(found) | {'steps': tfds.features.Dataset(steps)})
    self.assertEqual(found.to_json(), official.info.features.to_json())
    self.assertEqual(repr(found), repr(official.info.features))

  @parameterized.named_parameters(
      (f'_{name}', name) for name in ('rlu_atari', 'rlu_atari_checkpoints_ordered'))
  def test_random_draws_are_marked(self, dataset):
    drawn, call, reset = [], policies.Policy.__call__, atari.Atari.reset

    def spy_call(policy, timestep):
      action = call(policy, timestep)
      drawn[-1].append(policy.is_random)
      return action

    def spy_reset(env):
      drawn.append([])
      return reset(env)

    directory = self._directory()
    with (mock.patch.object(policies.Policy, '__call__', spy_call),
          mock.patch.object(atari.Atari, 'reset', spy_reset)):
      card = record.record_game('Breakout', directory, record.Settings(
          num_steps=300, num_checkpoints=2, max_episode_steps=70), dataset=dataset)
    path, = pathlib.Path(directory).glob('*/*/*')
    found = records.random_draws(path)
    self.assertEqual([draws.tolist() for draws in found], drawn)
    first, last = np.concatenate(found[:3]), np.concatenate(found[3:])
    self.assertBetween(first.mean(), .35, .65)
    self.assertLess(last.mean(), .1)
    self.assertAlmostEqual(card['actions']['random_share'], np.mean(sum(drawn, [])))
    self.assertIn('steps/action_is_random', card['own_features'])

  def test_card_says_how_the_data_was_made(self):
    _, directory, card, checkpoints = atari_data.recorded()
    self.assertEqual(rlds.read_card(directory), card)
    self.assertEqual(card['name'], 'Breakout')
    self.assertIn('NOT DQN replay', card['notice'])
    self.assertIn('NOT DQN replay', tfds.builder_from_directory(directory).info.description)
    metadata = card['metadata']
    self.assertEqual(
        metadata | dataclasses.asdict(atari_data.SETTINGS) | {
            'dataset': 'rlu_atari_checkpoints_ordered', 'run': 1}, metadata)
    self.assertIn('ale-py', metadata['versions'])
    for expected_epsilon, found, played in zip(
        (.5, .1, .02), card['checkpoints'], checkpoints, strict=True):
      self.assertAlmostEqual(found['epsilon'], expected_epsilon)
      lengths = [len(actions) for _, actions in played]
      scores = [sum(t.reward for t in timesteps[1:]) for timesteps, _ in played]
      self.assertEqual((found['num_episodes'], found['num_transitions']),
                       (len(played), sum(lengths)))
      self.assertAlmostEqual(found['mean_length'], sum(lengths) / len(played))
      self.assertAlmostEqual(found['mean_score'], sum(scores) / len(played))
      variance = sum((s - sum(scores) / len(played))**2 for s in scores) / len(played)
      self.assertAlmostEqual(found['std_score'], variance**.5)
    self.assertEqual(card['num_transitions'],
                     sum(len(actions) for played in checkpoints for _, actions in played))

  def test_card_says_what_the_actions_alone_tell(self):
    _, _, card, checkpoints = atari_data.recorded()
    episodes = [actions for played in checkpoints for _, actions in played]
    found = card['actions']
    self.assertEqual(found['random_share'], 1.)
    counts = [sum(actions.count(a) for actions in episodes) for a in range(4)]
    self.assertAlmostEqual(found['most_frequent_share'], max(counts) / sum(counts))
    self.assertEqual(found['most_frequent_action'],
                     ('NOOP', 'FIRE', 'RIGHT', 'LEFT')[counts.index(max(counts))])
    pairs = [pair for actions in episodes for pair in zip(actions, actions[1:], strict=False)]
    moves = [(a, b) for a, b in pairs if a in (2, 3)]
    self.assertAlmostEqual(found['opposite_moves'],
                           sum({a, b} == {2, 3} for a, b in moves) / len(moves))
    # Uniform actions are not told by the last one.
    self.assertAlmostEqual(found['last_action_table']['log_loss'], np.log(4), delta=.1)
    self.assertEqual(found['last_action_table']['num_scored'],
                     sum(len(actions) - 1 for actions in episodes[1::2]))

  def test_checkpoints_share_the_steps(self):
    _, _, card, _ = atari_data.recorded()
    num_steps = np.cumsum([c['num_transitions'] for c in card['checkpoints']])
    for i, found in enumerate(num_steps):
      # A checkpoint ends with the episode, of at most 180 steps, in which its share is reached.
      self.assertBetween(found, 700 * (i + 1) / 3, 700 * (i + 1) / 3 + 180)

  def test_score_is_not_clipped(self):
    directory = self._directory()

    class Rich(atari.Atari):
      def step(self, action):
        timestep = super().step(action)
        return timestep._replace(reward=250.)

    with mock.patch.object(atari, 'Atari', Rich):
      card = record.record_game('Breakout', directory, record.Settings(
          behaviour='random', num_steps=5, num_checkpoints=1, max_episode_steps=5))
    self.assertEqual((card['mean_return'], card['checkpoints'][0]['mean_score']), (5., 1250.))

  def test_recording_is_reproducible_and_runs_differ(self):
    settings = record.Settings(behaviour='random', num_steps=40, num_checkpoints=2,
                               max_episode_steps=20)
    found = []
    for run in (1, 1, 2):
      directory = self._directory()
      record.record_game('Freeway', directory, settings, run=run)
      name = f'rlu_atari_checkpoints_ordered/Freeway_run_{run}/1.1.0'
      found.append(atari_data.records(os.path.join(directory, name)))
    self.assertTrue(found[0] == found[1])
    self.assertFalse(found[0] == found[2])
    self.assertFalse(found[0]['checkpoint_00'] == found[0]['checkpoint_01'])

  def test_progress_ends_at_the_number_of_steps(self):
    counts = []
    record.record_game(
        'Freeway', self._directory(), record.Settings(
            behaviour='random', num_steps=30, num_checkpoints=1, max_episode_steps=20),
        progress=counts.append)
    self.assertEqual(counts, list(range(1, 31)))  # 40 are played: whole episodes.

  @parameterized.named_parameters(
      (f'_{name}', name) for name in ('rlu_atari', 'rlu_atari_checkpoints_ordered'))
  def test_failure_leaves_nothing_behind(self, dataset):
    directory = self._directory()

    def fail(num_steps):
      if num_steps == 25:
        raise KeyboardInterrupt

    with self.assertRaises(KeyboardInterrupt):
      record.record_game(
          'Freeway', directory, record.Settings(
              behaviour='random', num_steps=30, num_checkpoints=1, max_episode_steps=20),
          dataset=dataset, progress=fail)
    self.assertEqual(os.listdir(directory), [])

  def test_without_envlogger_one_split_is_refused(self):
    program = ('import sys; from alpt_jax.domains.atari import record; record.record_game('
               '"Freeway", sys.argv[1], record.Settings("random", 20, 1), dataset="rlu_atari")')
    directory = self._directory()
    done = subprocess.run([sys.executable, '-c', program, directory], capture_output=True,
                          text=True, check=False, env=processes.environment_without('envlogger'))
    self.assertRegex(done.stderr.splitlines()[-1], (
        r"^ValueError: dataset is rlu_atari, .* through envlogger \(No module named 'envlogger'; .*"
        r'pip install "\.\[envlogger\]"\)\. Expected rlu_atari_checkpoints_ordered'))
    self.assertEqual(os.listdir(directory), [])

  def test_existing_data_is_not_overwritten(self):
    data_dir, directory, _, _ = atari_data.recorded()
    with self.assertRaisesRegex(ValueError, f'{directory}: already exists'):
      record.record_game('Breakout', data_dir, atari_data.SETTINGS)

  @parameterized.parameters(
      (dict(num_checkpoints=0), 'num_checkpoints is 0; expected 1 to 100'),
      (dict(num_steps=9), 'num_steps is 9; expected at least one for each of the 10 checkpoints'),
      (dict(first_epsilon=1.5), r'first_epsilon is 1\.5; expected a share'),
      (dict(seed=-1), 'seed is -1; expected at least 0'))
  def test_settings_are_checked(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      record.Settings(**changes)

  def test_auto_prefers_the_script(self):
    settings = record.Settings()
    self.assertEqual(settings.of_game('Breakout').behaviour, 'scripted')
    self.assertEqual(settings.of_game('Zaxxon').behaviour, 'lookahead')
    self.assertEqual(atari_data.SETTINGS.of_game('Breakout').behaviour, 'random')

  @parameterized.parameters(*policies.SCRIPTED)
  def test_every_scripted_game_is_recorded(self, game):
    directory = self._directory()
    card = record.record_game(game, directory, record.Settings(
        num_steps=40, num_checkpoints=2, max_episode_steps=20))
    self.assertEqual(card['metadata']['behaviour'], 'scripted')
    path = os.path.join(directory, f'rlu_atari_checkpoints_ordered/{game}_run_1/1.1.0')
    data = episode_files.EpisodeFiles([path], action_sets.spec(game), expected_name=game)
    self.assertEqual(data.num_transitions.sum(), card['num_transitions'])

  def test_another_process_writes_the_same_files_without_tensorflow(self):
    digests = set()
    for is_first in (True, False):
      directory = self._directory()
      program = ('import sys; from alpt_jax.domains.atari import record; record.record_game('
                 '"Freeway", sys.argv[1], record.Settings("random", 20, 1, '
                 'max_episode_steps=20)); assert "tensorflow" not in sys.modules')
      if is_first:
        subprocess.run([sys.executable, '-c', program, directory], check=True)
      else:
        record.record_game('Freeway', directory, record.Settings(
            'random', 20, 1, max_episode_steps=20))
      digests.add(rlds.dataset_digest(
          os.path.join(directory, 'rlu_atari_checkpoints_ordered/Freeway_run_1/1.1.0')))
    self.assertLen(digests, 1)


if __name__ == '__main__':
  absltest.main()
