import dataclasses
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized

from alpt_jax.data import environment_file, episode_files, png, records, rlds, writer

SHAPES = {'image': (6, 5, 3), 'grid': (3, 4, 2), 'vector': (4,)}


def environment(kind='image', **changes):
  return environment_file.Environment(**{
      'name': 'Own-Game:1',
      'observation': environment_file.Observation(kind=kind, shape=SHAPES[kind], low=-2., high=2.),
      'actions': environment_file.Actions(space=('noop', 'up', 'down', 'jump'),
                                          legal=('noop', 'up', 'jump')),
      'reward': environment_file.Reward(), 'returns': (-50, 50)} | changes)


def random_episode(rng, kind='image', num_transitions=None):
  """Arguments of `writer.steps`; unlabelled actions are garbage."""
  length = num_transitions or int(rng.integers(1, 12))
  shape = (length + 1, *SHAPES[kind])
  if kind == 'vector':
    observations = rng.uniform(-2, 2, shape).astype(np.float32)
  else:
    # Grids that end in zero bytes, too.
    observations = rng.integers(0, 256 if kind == 'image' else 2, shape, dtype=np.uint8)
    observations[rng.random(length + 1) < .3] = 0
  is_labelled = rng.random(length) < .5
  return {'observations': observations,
          'actions': np.where(is_labelled, rng.choice([0, 1, 3], length), 77),
          'rewards': rng.normal(size=length).astype(np.float32),
          'is_labelled': is_labelled, 'is_terminal': bool(rng.integers(2))}


def write(directory, played, kind='image', **arguments):
  return writer.write(directory, **{
      'name': 'Own-Game:1', 'environment': environment(kind), 'card': {},
      'episodes': (writer.steps(**e) for e in played)} | arguments)


class DatasetWriterTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._parent = self.enterContext(tempfile.TemporaryDirectory())
    self._directory = os.path.join(self._parent, 'data')

  @parameterized.product(kind=('image', 'grid', 'vector'), seed=(0, 1))
  def test_reads_back_what_was_written(self, kind, seed):
    rng = np.random.default_rng(seed)
    played = [random_episode(rng, kind) for _ in range(7)]
    write(self._directory, played, kind, episodes_per_shard=3)
    read = rlds.read_episodes(self._directory, environment(kind).spec(),
                              expected_name='Own-Game:1')
    self.assertEqual(read.num_transitions.tolist(), [len(e['actions']) for e in played])
    np.testing.assert_array_equal(read.observations,
                                  np.concatenate([e['observations'] for e in played]))
    for e, first in zip(played, read.first_step, strict=True):
      length = len(e['actions'])
      wanted = np.where(e['is_labelled'], e['actions'], 0)
      self.assertEqual(read.actions[first:first + length + 1].tolist(), [*wanted, 0])
      self.assertEqual(read.is_labelled[first:first + length + 1].tolist(),
                       [*e['is_labelled'], False])
      self.assertEqual(read.rewards[first:first + length + 1].tolist(), [*e['rewards'], 0])

  def test_episode_files_read_the_same(self):
    rng = np.random.default_rng(2)
    played = [random_episode(rng, num_transitions=8) for _ in range(5)]
    write(self._directory, played, episodes_per_shard=2)
    spec = environment().spec()
    files = episode_files.EpisodeFiles([self._directory], spec, expected_name='Own-Game:1')
    memory = rlds.read_episodes(self._directory, spec)
    episode, start = np.repeat(np.arange(5), 7), np.tile(np.arange(7), 5)
    for one, other in zip(files.cut(episode, start, 3)[:5], memory.cut(episode, start, 3)[:5],
                          strict=True):
      self.assertEqual(one.dtype, other.dtype)
      np.testing.assert_array_equal(one, other)
    self.assertEqual(files.is_terminal(np.arange(5)).tolist(), [e['is_terminal'] for e in played])

  def test_encoded_images_are_written_as_they_are(self):
    rng = np.random.default_rng(3)
    played = random_episode(rng)
    encoded = [png.encode(image) for image in played['observations']]
    write(self._directory, [played | {'observations': encoded}])
    source = tfds.builder_from_directory(self._directory).as_data_source(
        'train', decoders={'steps': tfds.decode.SkipDecoding()})
    self.assertEqual(list(source[0]['steps']['observation']), encoded)
    write(self._directory + '2', [played])
    self.assertEqual(rlds.dataset_digest(self._directory),
                     rlds.dataset_digest(self._directory + '2'))

  def test_tfds_reads_it(self):
    played = random_episode(np.random.default_rng(4), num_transitions=4)
    write(self._directory, [played])
    steps = list(tfds.builder_from_directory(self._directory).as_data_source('train')[0]['steps'])
    np.testing.assert_array_equal([s['observation'] for s in steps], played['observations'])
    self.assertEqual([bool(s['is_labelled']) for s in steps], [*played['is_labelled'], False])
    self.assertEqual([float(s['discount']) for s in steps],
                     [1, 1, 1, 0, 0] if played['is_terminal'] else [1] * 5)
    self.assertEqual([bool(s['is_terminal']) for s in steps], [False] * 4 + [played['is_terminal']])

  def test_card_and_environment_and_names(self):
    played = [random_episode(np.random.default_rng(i), num_transitions=3) for i in range(5)]
    is_done = []
    episodes = (writer.steps(**e) for e in played)
    card = write(self._directory, [], card=lambda: {'skipped': len(is_done)},
                 episodes=(is_done.append(1) or e for e in episodes), episodes_per_shard=2)
    self.assertEqual(rlds.read_card(self._directory), card)
    self.assertEqual((card['skipped'], card['name'], card['num_episodes'], card['num_transitions']),
                     (5, 'Own-Game:1', 5, 15))
    self.assertEqual(card['num_labelled'], sum(int(e['is_labelled'].sum()) for e in played))
    self.assertAlmostEqual(card['mean_return'], np.mean([e['rewards'].sum() for e in played]), 5)
    self.assertEqual(environment_file.read(self._directory), environment().canonical())
    self.assertIn('own_game_1-train.array_record-00002-of-00003', os.listdir(self._directory))

  def test_extra_step_fields(self):
    played = random_episode(np.random.default_rng(5), num_transitions=3)
    extra = {'confidence': tfds.features.Scalar(np.float32),
             'probabilities': tfds.features.Tensor(shape=(4,), dtype=np.float32)}
    values = {'confidence': np.arange(4) / 8, 'probabilities': np.arange(16).reshape(4, 4) / 16}
    write(self._directory, [], extra_features=extra,
          episodes=[writer.steps(**played) | values])
    steps = tfds.builder_from_directory(self._directory).as_data_source(
        'train', decoders={'steps': tfds.decode.SkipDecoding()})[0]['steps']
    for name, value in values.items():
      np.testing.assert_array_equal(steps[name], value.astype(np.float32))
    self.assertEqual(rlds.read_episodes(self._directory, environment().spec()).num_episodes, 1)
    with self.assertRaisesRegex(ValueError, 'action is a step field of every dataset'):
      writer.features(environment(), {'action': extra['confidence']})

  def test_bytes_are_the_same_in_every_process_and_need_no_tensorflow(self):
    program = '''
import hashlib, sys
import numpy as np
from tests.data import writer_test as t
steps = t.writer.steps(**t.random_episode(np.random.default_rng(0), 'grid'))
record = t.writer.serialize(t.writer.features(t.environment('grid')), steps)
assert 'tensorflow' not in sys.modules
print(hashlib.sha256(record).hexdigest())
'''
    steps = writer.steps(**random_episode(np.random.default_rng(0), 'grid'))
    record = writer.serialize(writer.features(environment('grid')), steps)
    # The hashes of this process are others.
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          check=True, env=os.environ | {'PYTHONHASHSEED': '1'})
    self.assertEqual(done.stdout.strip(), hashlib.sha256(record).hexdigest())

  @parameterized.parameters('image', 'grid', 'vector')
  def test_bytes_are_those_of_tfds(self, kind):
    extra = {
        'action_source': tfds.features.ClassLabel(names=['a', 'b']), 'entropy':
        tfds.features.Scalar(np.float64), 'probabilities': tfds.features.Tensor(
            shape=(40,), dtype=np.float32), 'votes': tfds.features.Scalar(np.uint64)}
    described = writer.features(environment(kind), extra)
    for length in (1, 200):
      rng = np.random.default_rng(length)
      steps = writer.steps(**random_episode(rng, kind, num_transitions=length)) | {
          'action_source': np.ones(length + 1, np.int64), 'entropy': rng.random(length + 1),
          'probabilities': rng.random((length + 1, 40), np.float32),
          'votes': np.full(length + 1, 2 ** 64 - 1, np.uint64)}
      serializer = records.ExampleSerializer(described.get_serialized_info())
      feature = described['steps'].feature['observation']
      encoded = steps | {} if kind == 'vector' else steps | {
          'observation': [png.encode(o) if kind == 'image' else feature.encode_example(o)
                          for o in steps['observation']]}
      self.assertEqual(writer.serialize(described, steps),
                       serializer.serialize_example({'steps': encoded}))

  def test_images_are_given_up_for_their_record(self):
    described = writer.features(environment('image'))
    played = random_episode(np.random.default_rng(0), num_transitions=3)
    images = [png.encode(o) for o in played['observations']]
    steps = writer.steps(**played | {'observations': images})
    kept = writer.serialize(described, steps)
    self.assertLen(images, 4)
    self.assertEqual(writer.serialize(described, steps, consume=True), kept)
    self.assertEmpty(images)

  def test_a_record_that_protobuf_could_not_read_is_refused(self):
    steps = writer.steps(**random_episode(np.random.default_rng(0), num_transitions=3))
    with mock.patch.object(records, '_MOST_BYTES', 100):
      with self.assertRaisesRegex(ValueError, 'an episode takes .* GB; expected at most 1e-07 GB'):
        writer.serialize(writer.features(environment('image')), steps)

  def test_a_failure_leaves_nothing(self):
    def episodes():
      yield writer.steps(**random_episode(np.random.default_rng(0)))
      raise ValueError('broken')
    with self.assertRaisesRegex(ValueError, 'broken'):
      write(self._directory, [], episodes=episodes(), episodes_per_shard=1)
    with self.assertRaisesRegex(ValueError, 'no episodes to write'):
      write(self._directory, [])
    self.assertEmpty(os.listdir(self._parent))
    pathlib.Path(self._directory).mkdir()
    pathlib.Path(self._directory, 'mine').touch()
    with self.assertRaisesRegex(ValueError, 'already exists'):
      write(self._directory, [random_episode(np.random.default_rng(0))])

  @parameterized.parameters(
      ({'actions': [0]}, '4 observations, and 1 actions'),
      ({'observations': np.zeros((4, 6, 5, 1), np.uint8)}, r'an image is \(6, 5, 1\); expected'),
      ({'observations': [b'GIF89a'] * 4}, 'an image is no PNG'),
  )
  def test_what_does_not_fit_is_refused(self, changes, message):
    played = random_episode(np.random.default_rng(0), num_transitions=3) | changes
    with self.assertRaisesRegex(ValueError, message):
      write(self._directory, [played])

  def test_values_of_another_kind_are_refused(self):
    features = writer.features(environment('vector'))
    good = writer.steps(**random_episode(np.random.default_rng(0), 'vector', 3))
    for changes, message in (
        ({'action': np.zeros(4)}, 'action of an episode is float64'),
        ({'observation': np.zeros((4, 3))}, r'observation of an episode is float64 \[4, 3\]'),
        ({'reward': np.zeros(3)}, 'different lengths'),
        ({'more': np.zeros(4)}, 'the fields of an episode are')):
      with self.assertRaisesRegex(ValueError, message):
        writer.serialize(features, good | changes)


class LabelledTest(parameterized.TestCase):
  """Unknown actions are not looked at, known ones are."""

  def setUp(self):
    super().setUp()
    self._directory = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'data')

  def _write(self, actions, is_labelled):
    played = random_episode(np.random.default_rng(0), num_transitions=3)
    steps = writer.steps(**played)
    steps['action'] = np.array(actions)  # Of somebody who leaves garbage in the file.
    steps[rlds.LABELLED] = np.array(is_labelled)
    everything = environment_file.Actions(space=environment().actions.space)
    write(self._directory, [], episodes=[steps], environment=environment(actions=everything))

  def test_garbage_of_unlabelled_steps_is_gone(self):
    self._write([1, 2, 99, 50], [True, False, False, True])
    spec = environment().spec()
    read = rlds.read_episodes(self._directory, spec)
    self.assertEqual(read.actions.tolist(), [1, 0, 0, 0])
    self.assertEqual(read.is_labelled.tolist(), [True, False, False, False])
    cut = episode_files.EpisodeFiles([self._directory], spec).cut(np.array([0]), np.array([0]), 3)
    self.assertEqual(cut.actions.tolist(), [[1, 0, 0]])
    self.assertEqual(cut.is_labelled.tolist(), [[True, False, False]])

  def test_actions_that_stand_for_others(self):
    self._write([1, 50, 0, 0], [True, False, True, False])
    spec = environment().spec()
    spec = dataclasses.replace(spec, actions=dataclasses.replace(spec.actions, stored=(3, 1)))
    cut = episode_files.EpisodeFiles([self._directory], spec).cut(np.array([0]), np.array([0]), 3)
    self.assertEqual(cut.actions.tolist(), [[1, 0, 3]])
    self.assertEqual(rlds.read_episodes(self._directory, spec).actions.tolist(), [1, 0, 3, 0])

  def test_illegal_actions_of_labelled_steps_are_errors(self):
    self._write([1, 50, 2, 0], [True, False, True, False])
    for read in (lambda spec: rlds.read_episodes(self._directory, spec),
                 lambda spec: episode_files.EpisodeFiles([self._directory], spec)):
      with self.assertRaisesRegex(ValueError, r'(episode|record) 0.*: action is 2 at step 2 \(1'):
        read(environment().spec())

  def test_rewards_are_clipped_as_the_spec_says(self):
    played = random_episode(np.random.default_rng(0), 'grid', num_transitions=3)
    write(self._directory, [played | {'rewards': [-3., .5, 7.]}], 'grid')
    spec = dataclasses.replace(environment('grid').spec(), reward_clip=1.)
    self.assertEqual(rlds.read_episodes(self._directory, spec).rewards.tolist(), [-1, .5, 1, 0])


if __name__ == '__main__':
  absltest.main()
