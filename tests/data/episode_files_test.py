import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized
from array_record.python import array_record_module

from alpt_jax.data import episode_files, labels, pipeline, png, sampling, transitions
from alpt_jax.domains.atari import action_sets
from alpt_jax.files import atomic_files
from tests.data import atari_data

SPEC = action_sets.spec(atari_data.GAME)


def played():
  """Episodes (timesteps, actions) in the order of the files."""
  return [episode for episodes in atari_data.recorded()[3] for episode in episodes]


def opened(directory=None, **changes):
  directory = directory or atari_data.recorded()[1]
  return episode_files.EpisodeFiles([directory], SPEC, **changes)


def fewer_records(path):
  """Content of a whole file with all records of `path` but the last."""
  reader = array_record_module.ArrayRecordReader(str(path))
  records = reader.read_all()
  reader.close()
  copy = path.with_name('copy')
  writer = array_record_module.ArrayRecordWriter(str(copy), 'group_size:1')
  for record in records[:-1]:
    writer.write(record)
  writer.close()
  content = copy.read_bytes()
  copy.unlink()
  return content


class EpisodeFilesTest(parameterized.TestCase):

  def _copy(self):
    target = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'copy')
    shutil.copytree(atari_data.recorded()[1], target)
    pathlib.Path(target, episode_files.INDEX).unlink(missing_ok=True)
    return target

  def test_windows_are_what_was_played(self):
    data, episodes = opened(), played()
    self.assertEqual(data.num_transitions.tolist(), [len(actions) for _, actions in episodes])
    for e, (timesteps, actions) in enumerate(episodes):
      start = len(actions) // 2
      cut = data.cut(np.array([e]), np.array([start]), 4)
      rewards = np.clip([t.reward for t in timesteps[1:]], -1, 1)
      for t in range(5):
        np.testing.assert_array_equal(cut.observations[0, t], timesteps[start + t].observation)
      # Breakout's minimal set is nothing, fire, right, left: 0, 1, 3 and 4 of all 18.
      self.assertEqual(cut.actions[0].tolist(),
                       [(0, 1, 3, 4)[a] for a in actions[start:start + 4]])
      np.testing.assert_array_equal(cut.rewards[0], rewards[start:start + 4])
      np.testing.assert_array_equal(
          cut.returns_to_go[0], [rewards[start + t:].sum() for t in range(4)])
      self.assertTrue(cut.is_labelled.all())

  def test_the_last_step_is_no_target_and_fills_up(self):
    data, (timesteps, actions) = opened(), played()[0]
    cut = data.cut(np.array([0]), np.array([len(actions) - 2]), 4)
    self.assertEqual(cut.is_labelled[0].tolist(), [True, True, False, False])
    self.assertEqual(cut.actions[0, 2:].tolist(), [0, 0])
    for t in (2, 3, 4):
      np.testing.assert_array_equal(cut.observations[0, t], timesteps[-1].observation)

  def test_little_room_changes_nothing(self):
    data, small = opened(), opened()
    small._room = 1  # One episode at a time.
    rng = np.random.default_rng(0)
    episode = rng.integers(data.num_episodes, size=50)
    start = rng.integers(data.num_transitions[episode])
    for a, b in zip(data.cut(episode, start, 5), small.cut(episode, start, 5), strict=True):
      np.testing.assert_array_equal(a, b)
    self.assertLen(small._held, 1)

  def test_hidden_actions_never_come_out(self):
    data = opened()
    windows = labels.choose_windows(data.num_transitions, budget=40, window=5, seed=0)
    hidden = labels.hide_actions(data, windows, 5)
    kept = {(e, s + t) for e, s in windows.tolist() for t in range(5)}
    for e, length in enumerate(data.num_transitions):
      whole, cut = (d.cut(np.array([e]), np.array([0]), length) for d in (data, hidden))
      for t in range(length):
        is_kept = (e, t) in kept
        self.assertEqual(cut.is_labelled[0, t], is_kept)
        self.assertEqual(cut.actions[0, t], whole.actions[0, t] if is_kept else 0)
    self.assertTrue(data.cut(np.array([0]), np.array([0]), 5).is_labelled.all())  # As before.

  def test_actions_of_an_episode_are_those_of_its_windows(self):
    data = opened()
    windows = labels.choose_windows(data.num_transitions, budget=40, window=5, seed=0)
    with mock.patch.object(png, 'decode_into', wraps=png.decode_into) as decode:
      for source in (data, labels.hide_actions(data, windows, 5)):
        for e, length in enumerate(data.num_transitions):
          actions, is_labelled = source.actions_of(e)
          self.assertEqual(decode.call_count, 0)
          cut = source.cut(np.array([e]), np.array([0]), length)
          np.testing.assert_array_equal(actions, cut.actions[0])
          np.testing.assert_array_equal(is_labelled, cut.is_labelled[0])
          decode.reset_mock()

  def test_images_stay_encoded_until_their_window_is_cut(self):
    data = opened()
    with mock.patch.object(png, 'decode_into', wraps=png.decode_into) as decode:
      data.cut(np.array([0, 1]), np.array([3, 8]), 5)
      self.assertEqual(decode.call_count, 12)

  def test_second_opening_reads_no_episode(self):
    directory = self._copy()
    first = opened(directory)
    self.assertTrue(pathlib.Path(directory, episode_files.INDEX).exists())
    with mock.patch.object(episode_files, '_read_record', side_effect=AssertionError):
      second = opened(directory)
    self.assertEqual(first.digest, second.digest)
    np.testing.assert_array_equal(first.num_transitions, second.num_transitions)

  def test_copied_files_are_compared_once_and_not_read_again(self):
    directory = self._copy()
    first = opened(directory)
    for path in pathlib.Path(directory).glob('*array_record*'):
      os.utime(path, (1, 1))
    with mock.patch.object(episode_files, '_read_record', side_effect=AssertionError):
      self.assertEqual(opened(directory).digest, first.digest)
      with mock.patch.object(atomic_files, 'crc32', side_effect=AssertionError):
        self.assertEqual(opened(directory).digest, first.digest)

  @parameterized.named_parameters(
      ('flipped', lambda path, content: content[:30_000] + b'x' + content[30_001:],
       '{path}, record 0: the file is damaged'),
      ('truncated', lambda path, content: content[:len(content) // 2 + 1], '{path}: '),
      ('truncated_at_a_block', lambda path, content: content[:1 << 16],
       '{path}: holds 0 episodes; dataset_info.json says 2'),
      ('emptied', lambda path, content: b'', '{path}: '),
      ('missing', lambda path, content: None, '{path}: the file is missing'),
      ('cut_between_records', lambda path, content: fewer_records(path),
       '{path}: holds 1 episodes; dataset_info.json says 2'),
      ('of_another_checkpoint', lambda path, content: next(
          path.parent.glob('*checkpoint_00*')).read_bytes(),
       '{path.parent}: dataset_card.json says .* transitions; the files hold'),
  )
  def test_damaged_file_is_refused_at_the_door(self, damage, message):
    directory = self._copy()
    opened(directory)  # It was good when it was indexed.
    path, = pathlib.Path(directory).glob('*checkpoint_01*')
    content = damage(path, path.read_bytes())
    path.unlink()
    if content is not None:
      path.write_bytes(content)
    with self.assertRaisesRegex((ValueError, FileNotFoundError),
                                f'^{message.format(path=path)}.*opy or record'):
      opened(directory)

  def test_flipped_bits_all_over_the_files_are_named_when_read_or_harmless(self):
    directory = self._copy()
    expected = [opened(directory)._episode(e) for e in range(opened(directory).num_episodes)]
    rng = np.random.default_rng(0)
    paths = sorted(pathlib.Path(directory).glob('*array_record*'))
    num_refused = 0
    for path in [paths[i] for i in rng.integers(len(paths), size=60)]:
      content, times = path.read_bytes(), path.stat()
      flipped = bytearray(content)
      flipped[rng.integers(len(content))] ^= 1 << rng.integers(8)
      path.write_bytes(flipped)
      # Not seen by the file system, as when a disk goes bad.
      os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
      try:
        data = opened(directory)
        for e, episode in enumerate(expected):
          for a, b in zip(data._episode(e), episode, strict=True):
            self.assertEqual(list(a), list(b))
      except ValueError as error:
        self.assertStartsWith(str(error), str(path))
        num_refused += 1
      path.write_bytes(content)
      os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    self.assertGreater(num_refused, 20)  # The rest is padding.

  def test_other_files_are_indexed_anew(self):
    directory = self._copy()
    opened(directory)
    with np.load(os.path.join(directory, episode_files.INDEX)) as saved:
      fields = dict(saved)
    fields['about'] = np.array(re.sub(r'"format": \d+', '"format": 1', str(fields['about'])))
    fields['num_transitions'] = fields['num_transitions'] + 1
    del fields['num_labelled']  # There was no such field once.
    np.savez(os.path.join(directory, episode_files.INDEX), **fields)
    np.testing.assert_array_equal(opened(directory).num_transitions, opened().num_transitions)

  def test_damaged_index_is_named(self):
    directory = self._copy()
    pathlib.Path(directory, episode_files.INDEX).write_bytes(b'no archive')
    with self.assertRaisesRegex(ValueError, f'{episode_files.INDEX}: damaged.*Delete this file'):
      opened(directory)

  def test_data_of_another_game_is_refused(self):
    with self.assertRaisesRegex(ValueError, "says name 'Breakout'; expected 'Pong'"):
      opened(expected_name='Pong')

  def test_opening_imports_no_tensorflow(self):
    program = (
        'import sys\nfrom alpt_jax.data import episode_files\n'
        'from alpt_jax.domains.atari import action_sets\n'
        'data = episode_files.EpisodeFiles([sys.argv[1]], action_sets.spec("Breakout"))\n'
        'import numpy as np\ndata.cut(np.array([0]), np.array([0]), 5)\n'
        'assert "tensorflow" not in sys.modules')
    subprocess.run([sys.executable, '-c', program, atari_data.recorded()[1]], check=True)

  def test_same_episode_twice_is_refused(self):
    with self.assertRaisesRegex(ValueError, r'of Copy is the same as episode \d+ of Breakout'):
      episode_files.check_no_duplicates({'Breakout': opened(), 'Copy': opened()})
    episode_files.check_no_duplicates({'Breakout': opened()})

  def test_pipeline_reads_the_same_windows_at_any_step(self):
    data = opened()
    segments = sampling.whole_episodes(data.num_transitions)
    stream = pipeline.Stream('dt', data, segments, 0, 6)
    options = dict(window=5, seed=0, num_shards=2, pool_size=16)
    first = pipeline.Pipeline([stream], start_step=0, num_threads=2, **options)
    later = pipeline.Pipeline([stream], start_step=3, **options)
    self.addCleanup(first.close)
    self.addCleanup(later.close)
    for _ in range(3):
      next(first)
    for a, b in zip(next(first).dt, next(later).dt, strict=True):
      np.testing.assert_array_equal(a, b)


class DamageTest(parameterized.TestCase):
  """What is wrong with an episode is said when the data is opened, whoever wrote it."""

  def _write(self, *, num_steps=6, **changes):
    """A dataset of one episode of six steps, `changes` its fields."""
    fields = {
        'observation': [png.encode(np.full((84, 84, 1), t, np.uint8))
                        for t in range(6)],
        'action': np.array([0, 1, 2, 3, 1, 0]), 'reward': np.zeros(6, np.float32),
        'discount': np.ones(num_steps, np.float32), 'is_first': np.arange(num_steps) == 0,
        'is_last': np.arange(num_steps) == num_steps - 1,
        'is_terminal': np.zeros(num_steps, bool)} | changes
    directory = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'data')
    os.makedirs(directory)
    source = tfds.builder('rlu_atari_checkpoints_ordered/Breakout_run_1', data_dir=directory)
    info = tfds.core.DatasetInfo(
        builder=tfds.core.dataset_info.DatasetIdentity(
            name='handmade', version=tfds.core.Version('1.0.0'), data_dir=directory,
            module_name=''),
        features=source.info.features)
    writer = tfds.core.SequentialWriter(info, 10, file_format='array_record')
    writer.initialize_splits(['train'])
    writer.add_examples({'train': [{
        'steps': [{name: values[t] for name, values in fields.items()} for t in range(num_steps)],
        'checkpoint_id': 0, 'episode_id': 0, 'episode_return': 0.}]})
    writer.close_all()
    return directory

  def test_correct_episode_is_read(self):
    self.assertEqual(opened(self._write()).num_transitions.tolist(), [5])

  def test_the_last_step_s_action_does_not_matter_and_its_reward_counts(self):
    data = opened(self._write(action=np.array([0, 1, 2, 3, 1, 17]),
                              reward=np.array([0, 0, 1, 0, 0, 1], np.float32)))
    cut = data.cut(np.array([0]), np.array([0]), 5)
    self.assertEqual(cut.returns_to_go[0].tolist(), [2, 2, 2, 1, 1])
    self.assertEqual(cut.rewards[0].tolist(), [0, 0, 1, 0, 1])
    self.assertEqual(cut.actions[0].tolist(), [0, 1, 3, 4, 1])
    # Past the end of the episode there is nothing.
    cut = data.cut(np.array([0]), np.array([3]), 5)
    self.assertEqual(cut.rewards[0].tolist(), [0, 1, 0, 0, 0])
    self.assertEqual(cut.returns_to_go[0].tolist(), [1, 1, 0, 0, 0])

  @parameterized.parameters(True, False)  # It ended, or was cut.
  def test_a_lost_game_of_pong_sums_to_minus_21(self, is_terminal):
    # As logged by DQN replay: 21 points, the last of which ends the game with the last action.
    num_steps = 64
    rewards = np.zeros(num_steps, np.float32)
    rewards[3::3] = -1.
    self.assertEqual((rewards[-1], rewards.sum()), (-1., -21.))
    data = opened(self._write(
        num_steps=num_steps, observation=[png.encode(np.full((84, 84, 1), t, np.uint8))
                                          for t in range(num_steps)],
        reward=rewards, action=np.ones(num_steps, int),
        is_terminal=is_terminal & (np.arange(num_steps) == num_steps - 1)))
    cut = data.cut(np.array([0]), np.array([0]), num_steps - 1)
    self.assertEqual(cut.rewards.sum(), -21.)
    self.assertEqual(cut.returns_to_go[0, :4].tolist(), [-21., -21., -21., -21.])
    self.assertEqual(cut.returns_to_go[0, -3:].tolist(), [-2., -1., -1.])
    # So for Q-learning, whose last transition ends the game.
    windows = np.array([[0, num_steps - 6]])
    last = transitions.LabelledTransitions(data, windows, 5, stack=1).cut(
        np.array([0]), np.array([num_steps - 2]), 1)
    self.assertEqual((last.rewards.tolist(), last.is_terminal.tolist()), ([[-1.]], [[is_terminal]]))

  def test_two_points_at_the_end_are_two(self):
    data = opened(self._write(reward=np.array([0, 0, 0, 0, -7, -1], np.float32)))
    cut = data.cut(np.array([0]), np.array([0]), 5)
    self.assertEqual(cut.returns_to_go[0].tolist(), [-2.] * 5)  # Each clipped to [-1, 1].

  @parameterized.parameters(
      (dict(action=np.array([0, 1, 4, 3, 1, 0])), 'record 0: action is 4 at step 2'),
      (dict(reward=np.array([0, np.nan, 0, 0, 0, 0], np.float32)), 'reward is nan at step 1'),
      (dict(reward=np.array([0, 0, 0, 0, 0, np.nan], np.float32)), 'reward is nan at step 5'),
      (dict(is_last=np.arange(6) == 3), 'is_last is True at step 3 of 6'),
      (dict(observation=[png.encode(np.zeros((84, 80, 1), np.uint8))] * 6),
       r'observation at step 0 is \(84, 80, 1\); Breakout has \(84, 84, 1\)'),
  )
  def test_damage_is_named(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      opened(self._write(**changes))


if __name__ == '__main__':
  absltest.main()
