import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest, parameterized
from array_record.python import array_record_module

from alpt_jax.data import episodes as episodes_lib
from alpt_jax.data import recorder, records, rlds
from tests.data import corridor, handmade

_SECOND_FILE = 'handmade-train.array_record-00001-of-00002'


def _edit_json(path, **changes):
  with open(path) as f:
    content = json.load(f)
  with open(path, 'w') as f:
    json.dump(content | changes, f)


class ReadTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls._recorded = cls.enterClassContext(tempfile.TemporaryDirectory())
    rng = np.random.default_rng(0)
    recorder.record_episodes(corridor.Corridor(), lambda timestep: rng.integers(2), 30,
                             cls._recorded, name='corridor-8', metadata={})

  def test_both_observations_come_from_one_recording(self):
    vector = rlds.read_episodes(self._recorded, corridor.spec('vector'))
    grid = rlds.read_episodes(self._recorded, corridor.spec('grid'))
    self.assertEqual(vector.observations.dtype, np.float32)
    self.assertEqual(grid.observations.dtype, np.uint8)
    # The agent's plane shows the cell; most grids end in zero bytes.
    np.testing.assert_array_equal(np.argmax(grid.observations[:, 0, :, 2], axis=1),
                                  vector.observations[:, 1])
    self.assertTrue((grid.observations[:, 0, 7, 1] == 1).all())
    self.assertEqual(int(grid.observations[..., 1:].sum()), 2 * len(grid.observations))

  def test_types_and_layout(self):
    episodes = rlds.read_episodes(self._recorded, corridor.spec(), expected_name='corridor-8')
    self.assertEqual(episodes.num_episodes, 30)
    self.assertEqual(
        [a.dtype for a in (episodes.actions, episodes.rewards, episodes.is_labelled,
                           episodes.first_step, episodes.num_transitions)],
        [np.int32, np.float32, bool, np.int64, np.int64])
    last_step = episodes.first_step + episodes.num_transitions
    np.testing.assert_array_equal(np.flatnonzero(~episodes.is_labelled), last_step)
    np.testing.assert_array_equal(episodes.first_step[1:], last_step[:-1] + 1)
    self.assertFalse(episodes.actions[last_step].any())

  def test_tensorflow_is_not_imported(self):
    code = ('import sys\nfrom alpt_jax.data import labels, pipeline, rlds\n'
            'from tests.data import corridor\n'
            'print(rlds.read_episodes(sys.argv[1], corridor.spec("grid")).num_episodes)\n'
            'rlds.dataset_digest(sys.argv[1])\n'
            'assert "tensorflow" not in sys.modules')
    result = subprocess.run([sys.executable, '-c', code, self._recorded], capture_output=True,
                            text=True)
    self.assertEqual((result.returncode, result.stdout), (0, '30\n'), result.stderr)

  def test_single_array_observation(self):
    directory = self._handmade([handmade.episode(2)], observation='')
    spec = dataclasses.replace(corridor.spec(), observation_key='')
    np.testing.assert_array_equal(rlds.read_episodes(directory, spec).observations,
                                  [[0, 0], [0, 1], [0, 2]])

  def test_returns_to_go_reach_to_the_end_of_the_episode_only(self):
    episodes = [handmade.episode(3), handmade.episode(2)]
    episodes[0]['reward'] = np.array([1, 0, 2, 0], np.float32)
    episodes[1]['reward'] = np.array([-1, 5, 0], np.float32)
    read = rlds.read_episodes(self._handmade(episodes), corridor.spec())
    np.testing.assert_array_equal(read.returns_to_go, [3, 2, 2, 0, 4, 5, 0])
    self.assertEqual(read.returns_to_go.dtype, np.float32)

  def test_episodes_of_all_files_in_their_order(self):
    directory = self._handmade([handmade.episode(n) for n in (3, 1, 2)], episodes_per_file=1)
    read = rlds.read_episodes(directory, corridor.spec())
    np.testing.assert_array_equal(read.num_transitions, [3, 1, 2])

  def test_digest_follows_the_content_not_the_place(self):
    copy = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'copy')
    shutil.copytree(self._recorded, copy)
    self.assertEqual(rlds.dataset_digest(copy), rlds.dataset_digest(self._recorded))
    self.assertRegex(rlds.dataset_digest(copy), '^[0-9a-f]{16}$')
    self.assertNotEqual(rlds.dataset_digest(self._handmade([handmade.episode(1)])),
                        rlds.dataset_digest(self._handmade([handmade.episode(2)])))

  @parameterized.named_parameters(
      ('missing', lambda d: shutil.rmtree(d), 'no such dataset directory'),
      ('empty', lambda d: [os.remove(os.path.join(d, n)) for n in os.listdir(d)],
       'the directory is empty'),
      ('no_manifest', lambda d: os.remove(os.path.join(d, 'dataset_info.json')),
       'has no dataset_info.json.*half written'),
      ('no_features', lambda d: os.remove(os.path.join(d, 'features.json')),
       'has no features.json.*half written'),
      ('empty_manifest', lambda d: open(os.path.join(d, 'dataset_info.json'), 'w').close(),
       'dataset_info.json: not JSON'),
      ('strange_manifest', lambda d: _edit_json(os.path.join(d, 'dataset_info.json'), splits=3),
       'not a description of a TFDS dataset'),
      ('strange_features', lambda d: _edit_json(os.path.join(d, 'features.json'), featuresDict={}),
       "no dataset 'steps'"),
      ('format', lambda d: _edit_json(os.path.join(d, 'dataset_info.json'), fileFormat='tfrecord'),
       'fileFormat is tfrecord.*collect.origin=convert'),
      ('no_splits', lambda d: _edit_json(os.path.join(d, 'dataset_info.json'), splits=[]),
       'holds no episodes'),
      ('missing_file', lambda d: os.remove(os.path.join(d, _SECOND_FILE)),
       f'{_SECOND_FILE}: the file is missing'),
      ('extra_file', lambda d: shutil.copy(
          os.path.join(d, _SECOND_FILE),
          os.path.join(d, 'handmade-train.array_record-00002-of-00003')),
       'handmade-train.array_record-00002-of-00003 is not among the 2 files'),
      ('swapped_files', lambda d: shutil.copy(
          os.path.join(d, 'handmade-train.array_record-00000-of-00002'),
          os.path.join(d, _SECOND_FILE)), f'{_SECOND_FILE}: holds 2 episodes.*says 1'),
  )
  def test_incomplete_dataset_is_refused(self, break_it, message):
    directory = self._handmade([handmade.episode(n) for n in (1, 2, 3)], episodes_per_file=2)
    break_it(directory)
    self._assert_refused(directory, message)

  @parameterized.parameters(0., 0.3, 0.5, 0.9, 0.999)
  def test_truncated_file_is_refused(self, fraction):
    directory = self._handmade([handmade.episode(n) for n in (1, 2, 3)], episodes_per_file=2)
    path = os.path.join(directory, _SECOND_FILE)
    os.truncate(path, int(fraction * os.path.getsize(path)))
    self._assert_refused(directory, f'{_SECOND_FILE}: ')

  def test_file_truncated_at_a_block_is_refused(self):
    # The reader of such a file reports no error and no records.
    directory = self._handmade([handmade.episode(n) for n in (1, 2, 3)], episodes_per_file=2)
    os.truncate(os.path.join(directory, _SECOND_FILE), 65536)
    self._assert_refused(directory, f'{_SECOND_FILE}: holds 0 episodes.*says 1')

  def test_flipped_byte_is_refused_or_harmless(self):
    directory = self._handmade([handmade.episode(n) for n in (1, 2, 3)], episodes_per_file=2)
    expected = rlds.read_episodes(directory, corridor.spec())
    path = os.path.join(directory, _SECOND_FILE)
    with open(path, 'rb') as f:
      content = f.read()
    num_refused = 0
    for position in range(64, 400, 7):  # Headers and payload; the rest of the file is padding.
      changed = bytearray(content)
      changed[position] ^= 0x10
      with open(path, 'wb') as f:
        f.write(changed)
      try:
        episodes = rlds.read_episodes(directory, corridor.spec())
        for field in dataclasses.fields(episodes_lib.InMemory):
          np.testing.assert_array_equal(getattr(episodes, field.name),
                                        getattr(expected, field.name))
      except ValueError as error:
        self.assertIn(path, str(error))
        num_refused += 1
    self.assertGreater(num_refused, 20)

  def test_data_of_another_maze_is_refused(self):
    with self.assertRaisesRegex(
        ValueError, "dataset_card.json says name 'corridor-8'; expected 'corridor-9'"):
      rlds.read_episodes(self._recorded, corridor.spec(), expected_name='corridor-9')
    without_card = self._handmade([handmade.episode(1)])
    with self.assertRaisesRegex(ValueError, "says name None; expected 'corridor-8'"):
      rlds.read_episodes(without_card, corridor.spec(), expected_name='corridor-8')

  def test_card_of_other_data_is_refused(self):
    copy = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'copy')
    shutil.copytree(self._recorded, copy)
    _edit_json(os.path.join(copy, rlds.CARD), num_transitions=1)
    self._assert_refused(copy, 'dataset_card.json says 1 transitions; the files hold')

  @parameterized.named_parameters(
      ('key', dict(observation='place'), {}, "observation is .'place'.; expected the key 'xy'"),
      ('not_a_dict', dict(observation=''), {}, "a single array; expected the key 'xy'"),
      ('shape', {}, dict(observation_shape=(3,)), r'has shape \(2,\); corridor-8 has \(3,\)'),
      ('dtype', {}, dict(observation_kind='grid'), 'has dtype float32; a grid.*holds uint8'),
      ('action_dtype', dict(action_dtype=np.float32), {}, 'action has dtype.*float32'),
      ('no_reward', dict(without=('reward',)), {}, "has no step field 'reward'"),
      ('no_observation', dict(without=('observation',)), {}, "has no step field 'observation'"),
  )
  def test_wrong_schema_is_refused(self, written, expected, message):
    directory = self._handmade([handmade.episode(3)], **written)
    self._assert_refused(directory, message, dataclasses.replace(corridor.spec(), **expected))

  @parameterized.named_parameters(
      ('illegal_action', 'action', 1, 2, 'episode 1 of .*: action is 2 at step 1'),
      ('negative_action', 'action', 0, -1, 'episode 1 of .*: action is -1 at step 0'),
      ('huge_action', 'action', 2, 2**32, 'episode 1 of .*: action is 4294967296 at step 2'),
      ('nan_reward', 'reward', 1, np.nan, 'episode 1 of .*: reward is nan at step 1'),
      ('inf_reward', 'reward', 0, -np.inf, 'episode 1 of .*: reward is -inf at step 0'),
      ('nan_observation', 'xy', 3, [0, np.nan], 'episode 1 of .*: observation has nan at step 3'),
      ('outside', 'xy', 2, [0, 8], 'episode 1 of .*: observation has 8.0 at step 2'),
      ('reward_at_last', 'reward', 3, 1., 'episode 1 .*reward is 1.0 at the last step'),
      ('no_first', 'is_first', 0, False, 'episode 1 .*is_first is False at step 0'),
      ('two_firsts', 'is_first', 2, True, 'episode 1 .*is_first is True at step 2'),
      ('no_last', 'is_last', 3, False, 'episode 1 .*is_last is False at step 3'),
      ('early_last', 'is_last', 1, True, 'episode 1 .*is_last is True at step 1'),
  )
  def test_wrong_value_is_refused(self, field, t, value, message):
    wrong = handmade.episode(3)
    wrong[field][t] = value
    self._assert_refused(self._handmade([handmade.episode(2), wrong, handmade.episode(2)]), message)

  def test_action_of_the_last_step_does_not_matter(self):
    episode = handmade.episode(3)
    episode['action'][-1] = 77
    read = rlds.read_episodes(self._handmade([episode]), corridor.spec())
    np.testing.assert_array_equal(read.actions, [1, 1, 1, 0])

  def test_episode_without_a_transition_is_refused(self):
    directory = self._handmade([handmade.episode(2), handmade.episode(0)])
    self._assert_refused(directory, 'episode 1 .*has 1 steps; expected at least 2')

  @parameterized.named_parameters(
      ('field_missing', dict(without=('reward',))), ('other_shape', dict(xy_shape=(3,))))
  def test_features_of_another_dataset_are_refused(self, written):
    episode = handmade.episode(3)
    episode['xy'] = np.zeros((4, *written.get('xy_shape', (2,))), np.float32)
    directory = self._handmade([episode], **written)
    shutil.copy(os.path.join(self._handmade([handmade.episode(3)]), 'features.json'), directory)
    self._assert_refused(directory, 'features.json is of another dataset')

  @parameterized.parameters((b'', 'do not fit each other'), (b'\xff\xff', 'the file is damaged'))
  def test_record_that_is_no_episode_is_refused(self, content, message):
    directory = self._handmade([handmade.episode(3)])
    writer = array_record_module.ArrayRecordWriter(
        os.path.join(directory, 'handmade-train.array_record-00000-of-00001'), 'group_size:1')
    writer.write(content)
    writer.close()
    self._assert_refused(directory, message)

  def test_splits_are_in_the_order_of_their_names(self):
    directories = [self._handmade([handmade.episode(length)]) for length in (3, 5)]
    train, first = directories
    os.rename(*(os.path.join(d, f'handmade-{split}.array_record-00000-of-00001')
                for d, split in ((first, 'train'), (train, 'atest'))))
    splits = []
    for directory, name in zip(directories, ('train', 'atest'), strict=True):
      with open(os.path.join(directory, 'dataset_info.json')) as f:
        splits.append(json.load(f)['splits'][0] | {'name': name})
    _edit_json(os.path.join(train, 'dataset_info.json'), splits=splits)
    self.assertEqual(rlds.read_episodes(train, corridor.spec()).num_transitions.tolist(),
                     [5, 3])
    chunks = records.Dataset(train, corridor.spec()).chunks(9)
    self.assertEqual([chunk.split for chunk in chunks], ['atest', 'train'])

  def test_grid_is_made_of_zeros_and_ones(self):
    directory = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'data')

    class Doubled(corridor.Corridor):

      def _observation(self):
        return {key: value * 2 for key, value in super()._observation().items()}

    recorder.record_episodes(Doubled(), lambda timestep: 1, 1, directory, name='doubled',
                             metadata={})
    self._assert_refused(directory, 'episode 0 of .*: observation has 2 at step 0',
                         corridor.spec('grid'))

  def _handmade(self, episodes, **kwargs):
    directory = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'data')
    handmade.write(directory, episodes, **kwargs)
    return directory

  def _assert_refused(self, directory, message, spec=None):
    with self.assertRaisesRegex((ValueError, FileNotFoundError), message) as caught:
      rlds.read_episodes(directory, spec or corridor.spec())
    self.assertStartsWith(str(caught.exception), directory)
    self.assertLen(str(caught.exception).splitlines(), 1)


if __name__ == '__main__':
  absltest.main()
