import os
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized
from PIL import Image

from alpt_jax.data import environment_file, png, rlds, tfrecord
from alpt_jax.data import writer as dataset_writer
from alpt_jax.data.importers import rlds as import_rlds
from tests.data import own_data

_OBSERVATIONS = {  # TFDS features of pictures and of others, by what they become.
    'png': ('image', tfds.features.Image(shape=(8, 6, 3))),
    'any_png': ('image', tfds.features.Image(shape=(None, None, 3))),
    'array': ('image', tfds.features.Tensor(shape=(8, 6, 3), dtype=np.uint8)),
    'zlib': ('image', tfds.features.Tensor(shape=(8, 6, 3), dtype=np.uint8, encoding='zlib')),
    'grid': ('grid', tfds.features.Tensor(shape=(8, 6, 3), dtype=np.int32)),
    'vector': ('vector', tfds.features.Tensor(shape=(4,), dtype=np.float64)),
}


def played(rng, kind, num_transitions):
  """Fields [L] of an episode; actions are indices into noop, jump."""
  length = num_transitions + 1
  if kind == 'vector':
    observations = rng.uniform(-2, 2, (length, 4))
  else:
    high = 256 if kind == 'image' else 2
    observations = rng.integers(0, high, (length, 8, 6, 3)).astype(
        np.uint8 if kind == 'image' else np.int32)
    observations[0] = 0
  t = np.arange(length)
  return {'observation': observations, 'act': rng.integers(0, 2, length),
          'score': np.where(t < num_transitions, rng.normal(size=length), 0).astype(np.float32),
          'is_first': t == 0, 'is_last': t == num_transitions}


def write(directory, episodes, feature, *, key='', file_format='tfrecord', with_label=False,
          action=None, shards=2, more=None):
  """Writes a dataset in a layout of somebody else; `more` are features of more step fields."""
  fields = {'observation': tfds.features.FeaturesDict(
                {key: feature, 'other': tfds.features.Scalar(np.float32)}) if key else feature,
            'act': action or tfds.features.Scalar(np.int32),
            'score': tfds.features.Scalar(np.float32),
            'is_first': tfds.features.Scalar(np.bool_), 'is_last': tfds.features.Scalar(np.bool_)}
  fields |= more or {}
  if with_label:
    fields[rlds.LABELLED] = tfds.features.Scalar(np.bool_)
  written = f'{directory}.tfrecord' if file_format == 'array_record' else directory
  os.makedirs(written)
  info = tfds.core.DatasetInfo(
      builder=tfds.core.dataset_info.DatasetIdentity(
          name='theirs', version=tfds.core.Version('1.0.0'), data_dir=written, module_name=''),
      features=tfds.features.FeaturesDict({'steps': tfds.features.Dataset(fields)}))
  writer = tfds.core.SequentialWriter(info, -(-len(episodes) // shards))
  writer.initialize_splits(['train'])
  for episode in episodes:
    steps = [{name: values[t] for name, values in episode.items()}
             for t in range(len(episode['act']))]
    for step in steps:
      if key:
        step['observation'] = {key: step['observation'], 'other': np.float32(7)}
    writer.add_examples({'train': [{'steps': steps}]})
  writer.close_all()
  if file_format == 'array_record':
    tfrecord.convert_to_array_record(written, directory)


def environment(kind='image', key='', **changes):
  return own_data.environment(**{
      'kind': kind, 'shape': (4,) if kind == 'vector' else (8, 6, 3),
      'observation': environment_file.Observation(
          kind=kind, key=key, shape=(4,) if kind == 'vector' else (8, 6, 3), low=-2., high=2.),
      'actions': environment_file.Actions(key='act', space=('noop', 'up', 'down', 'jump'),
                                          stored=('noop', 'jump')),
      'reward': environment_file.Reward(key='score'), 'returns': (-50, 50)} | changes)


class ImportRldsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self._source = str(self._parent / 'source')

  def _import(self, env=None, **settings):
    env = env or environment()
    return own_data.written(str(self._parent / 'data'),
                            import_rlds.recordings(self._source, env), env, **settings)

  def _write(self, layout='zlib', num_episodes=4, change=None, **arguments):
    rng, (kind, feature) = np.random.default_rng(0), _OBSERVATIONS[layout]
    episodes = [played(rng, kind, int(rng.integers(2, 8))) for _ in range(num_episodes)]
    if change:
      change(episodes)
    write(self._source, episodes, feature, **arguments)
    return episodes

  @parameterized.parameters('tfrecord', 'array_record')
  def test_actions_are_found_by_the_names_that_the_data_has(self, file_format):
    label = tfds.features.ClassLabel(names=['jump', 'noop', 'up', 'down'])
    episodes = self._write(action=label, file_format=file_format)
    env = environment(actions=environment_file.Actions(
        key='act', space=('noop', 'up', 'down', 'jump'), legal=('noop', 'jump')))
    _, read = self._import(env)
    for (_, actions, _, _), wanted in zip(own_data.split(read), episodes, strict=True):
      self.assertEqual(actions.tolist(), [(3, 0)[a] for a in wanted['act'][:-1]])

  @parameterized.parameters(
      (['noop', 'up', 'down', 'jump'], None, None),
      (['0', '1', '2', '3'], None, None),
      (4, None, None),
      (['noop', 'jump'], ('noop', 'jump'), None),
      (2, ('noop', 'jump'), None),
      (5, None, r"act, a ClassLabel .* has 5 actions; expected the 4 of actions.space .*'noop'"),
      (3, ('noop', 'jump'), 'has 3 actions; expected the 2 of actions.stored'),
      (['jump', 'noop'], ('noop', 'jump'),
       r"names the actions \['jump', 'noop'\]; expected actions.stored .*\['noop', 'jump'\]"),
      (['Noop', 'Jump'], None, r"names the actions \['Noop', 'Jump'\]; expected actions.space"),
      (['noop', 'jump', 'fire'], None, "names the actions .*'fire'.*; expected actions.space"))
  def test_names_and_numbers_of_actions(self, names, stored, message):
    label = (tfds.features.ClassLabel(num_classes=names) if isinstance(names, int) else
             tfds.features.ClassLabel(names=names))
    self._write(action=label)
    env = environment(actions=environment_file.Actions(
        key='act', space=('noop', 'up', 'down', 'jump'), stored=stored))
    if message is None:
      self.assertEqual(self._import(env)[1].num_episodes, 4)
    else:
      with self.assertRaisesRegex(ValueError, f'source: {message}|source: act, .*{message}'):
        self._import(env)

  @parameterized.parameters(('1.0.0',), ('1.0.0', '1.10.0'), ('play/1.0.0',))
  def test_a_dataset_that_lies_below(self, *below):
    for name in below:
      self._write(num_episodes=1)
      os.renames(self._source, self._source + f'-/{name}')
    os.rename(self._source + '-', self._source)
    with self.assertRaisesRegex(
        ValueError, f'source: has no dataset_info.json.* A dataset lies below it: .*{below[-1]}'):
      self._import()

  @parameterized.product(kind=('png', 'any_png', 'zlib', 'array'), shape=((7,), (1,), (2, 2, 3)))
  def test_observations_of_another_kind(self, kind, shape):
    self._write(kind)
    env = environment(observation=environment_file.Observation(
        kind='grid' if len(shape) > 1 else 'vector', shape=shape, low=0, high=1))
    with self.assertRaisesRegex(
        ValueError, r'features.json: the observation has shape \[|step 0: observations are uint8 '):
      self._import(env)

  @parameterized.parameters('tfrecord', 'array_record')
  def test_nested_observations(self, file_format):
    episodes = [played(np.random.default_rng(i), 'image', 4) for i in range(2)]
    nested = [episode | {'observation': [{'front': image} for image in episode['observation']]}
              for episode in episodes]
    write(self._source, nested, tfds.features.FeaturesDict({'front': _OBSERVATIONS['png'][1]}),
          key='cam', file_format=file_format)
    _, read = self._import(environment(key='cam/front'))
    np.testing.assert_array_equal(
        read.observations, np.concatenate([episode['observation'] for episode in episodes]))
    for key in ('cam', 'front', '', 'cam/back'):
      with self.assertRaisesRegex(ValueError, r"the observation is \['cam/front', 'other'\]; exp"):
        list(import_rlds.recordings(self._source, environment(key=key)))

  def test_actions_in_a_dict(self):
    self._write(action=tfds.features.FeaturesDict(
        {f'button{i}': tfds.features.Scalar(np.int32) for i in range(30)}),
                change=lambda episodes: [episode.update(act=[
                    {f'button{i}': 0 for i in range(30)}] * len(episode['act']))
                                         for episode in episodes])
    with self.assertRaisesRegex(ValueError, r'^[^\n]{1,400}act is FeaturesDict[^\n]*; expected '):
      self._import()

  def test_images_that_are_turned_or_transparent(self):
    def write_with(**options):
      def change(episodes):
        for episode in episodes:
          paths = []
          for t, image in enumerate(episode['observation']):
            paths.append(str(self._parent / f'{len(os.listdir(self._parent))}-{t}.png'))
            Image.fromarray(image).save(paths[-1], **options)
          episode['observation'] = paths
      self._write('png', change=change, num_episodes=1)

    exif = Image.Exif()
    exif[0x0112] = 6
    for options, message in (({'exif': exif}, 'image of step 0: its EXIF says that it is turned'),
                             ({'transparency': (0, 0, 0)}, 'step 0: has pixels that are transpare'),
                             ({'transparency': (1, 2, 3)}, None)):
      write_with(**options)
      if message is None:
        self.assertEqual(self._import()[1].num_episodes, 1)
      else:
        with self.assertRaisesRegex(ValueError, message):
          self._import()
      shutil.rmtree(self._source)

  @parameterized.product(layout=tuple(_OBSERVATIONS), key=('', 'pixels'),
                         file_format=('tfrecord', 'array_record'))
  def test_every_layout_comes_back(self, layout, key, file_format):
    episodes = self._write(layout, key=key, file_format=file_format)
    _, read = self._import(environment(_OBSERVATIONS[layout][0], key))
    for (observations, actions, rewards, is_labelled), wanted in zip(
        own_data.split(read), episodes, strict=True):
      np.testing.assert_array_equal(observations,
                                    wanted['observation'].astype(observations.dtype))
      self.assertEqual(actions.tolist(), [(0, 3)[a] for a in wanted['act'][:-1]])
      np.testing.assert_array_equal(rewards, wanted['score'][:-1])
      self.assertTrue(is_labelled.all())

  def test_images_that_fit_are_not_coded_again(self):
    rng = np.random.default_rng(0)
    # Coded as ours never are: the bytes say who made them.
    encoded = [tfds.features.Image(shape=(8, 6, 3)).encode_example(f)
               for f in own_data.frames(rng, 4, (8, 6, 3))]
    self.assertNotEqual(encoded[0], png.encode(own_data.frames(np.random.default_rng(0), 4,
                                                               (8, 6, 3))[0]))
    env = environment().canonical()
    dataset_writer.write(self._source, name='Own', environment=env, card={},
                         episodes=[dataset_writer.steps(encoded, [0, 3, 3])])
    self._import(env)
    source = tfds.builder_from_directory(str(self._parent / 'data')).as_data_source(
        'train', decoders={'steps': tfds.decode.SkipDecoding()})
    self.assertEqual(list(source[0]['steps']['observation']), encoded)

  def test_what_was_imported_imports_as_itself(self):
    self._write('png')
    self._import()
    digest = rlds.dataset_digest(str(self._parent / 'data'))
    (self._parent / 'data').rename(self._source + '2')
    self._source += '2'
    self._import(environment_file.read(self._source))
    self.assertEqual(rlds.dataset_digest(str(self._parent / 'data')), digest)

  def test_labels_and_terminals_are_kept(self):
    def hide(episodes):
      for episode in episodes:
        episode[rlds.LABELLED] = np.arange(len(episode['act'])) % 2 == 0
        episode['act'][1::2] = 77
    self._write(change=hide, with_label=True)
    card, read = self._import()
    for _, actions, _, is_labelled in own_data.split(read):
      self.assertEqual(is_labelled.tolist(), [t % 2 == 0 for t in range(len(actions))])
      self.assertEqual(set(actions[1::2]), {0})
    self.assertLess(card['num_labelled'], card['num_transitions'])

  def test_no_reward(self):
    self._write()
    card, read = self._import(environment(reward=None, returns=None))
    self.assertFalse(read.rewards.any())
    self.assertIsNone(card['mean_return'])

  @parameterized.parameters(
      (dict(key='pixels'), "the observation is a single array; expected observation.key 'pixels'"),
      (dict(reward=environment_file.Reward(key='reward')), "no step field 'reward', as reward.key"),
      (dict(actions=environment_file.Actions(key='action', space=('a', 'b'))),
       r"no step field 'action', as actions.key .*\['act', 'is_first'"),
      (dict(actions=environment_file.Actions(key='score', space=('a', 'b'))),
       'score is .*; expected an integer, a discrete action'),
      (dict(observation=environment_file.Observation(kind='image', shape=(6, 8, 3))),
       r'observation has shape \[8, 6, 3\]; expected observation.shape \[6, 8, 3\]'),
  )
  def test_environment_files_that_do_not_fit(self, changes, message):
    self._write()
    with self.assertRaisesRegex(ValueError, f'source: features.json.*{message}'):
      self._import(environment(**changes))

  def test_another_key(self):
    self._write(key='pixels')
    with self.assertRaisesRegex(ValueError, r"\['other', 'pixels'\]; expected .*'rgb'"):
      self._import(environment(key='rgb'))

  def test_vectors_of_actions(self):
    def widen(episodes):
      for episode in episodes:
        episode['act'] = np.zeros((len(episode['act']), 2), np.float32)
    self._write(change=widen, action=tfds.features.Tensor(shape=(2,), dtype=np.float32))
    with self.assertRaisesRegex(ValueError, 'act is .*expected an integer, a discrete action'):
      self._import()

  @parameterized.parameters(
      ('act', 1, 2, r'action is 2 at step 1 \(1 in all\); Own has \[0, 1\]'),
      ('score', 1, np.nan, 'reward is nan at step 1'),
      ('score', -1, 1., 'the episode: reward is 1.0 at the last step'),
      ('is_last', 0, True, 'the episode: is_last is True at step 0'))
  def test_damaged_episodes(self, field, t, value, message):
    def damage(episodes):
      episodes[2][field][t] = value
    self._write(change=damage)
    with self.assertRaisesRegex(ValueError, f"source, episode 2 of split 'train': {message}"):
      self._import()
    card, read = self._import(on_problem='skip')
    self.assertEqual((read.num_episodes, card['left_out']), (3, {'damaged': 1}))

  @parameterized.parameters('tfrecord', 'array_record')
  def test_files_with_flipped_bytes(self, file_format):
    self._write(file_format=file_format)
    path = sorted(pathlib.Path(self._source).glob(f'*.{file_format}-*'))[1]
    data = bytearray(path.read_bytes())
    used = np.flatnonzero(np.frombuffer(data, np.uint8))
    data[used[len(used) // 2]] ^= 1
    path.write_bytes(data)
    with self.assertRaisesRegex(ValueError, 'the file is damaged'):
      self._import()
    card, read = self._import(on_problem='skip')
    self.assertGreaterEqual(read.num_episodes, 2)
    self.assertIn('damaged', card['left_out'])

  def test_tfrecords_that_break_off_between_episodes(self):
    self._write(shards=1)
    path, = pathlib.Path(self._source).glob('*.tfrecord-*')
    data = path.read_bytes()
    first = 8 + 4 + int.from_bytes(data[:8], 'little') + 4  # Length, its checksum, data, checksum.
    path.write_bytes(data[:first])
    with self.assertRaisesRegex(ValueError, r'the file is damaged \(Input dataset was expected'):
      self._import()

  def test_no_dataset(self):
    with self.assertRaisesRegex(FileNotFoundError, 'source: no such dataset directory'):
      self._import()
    os.mkdir(self._source)
    (self._parent / 'source' / 'video.mp4').touch()
    with self.assertRaisesRegex(ValueError, 'source: has no dataset_info.json'):
      self._import()

  def test_episodes_of_one_step_are_too_short(self):
    def shorten(episodes):
      episodes[0] = {name: values[:1] for name, values in episodes[0].items()}
      episodes[0]['score'][:] = 0
    self._write(change=shorten)
    self.assertEqual(self._import()[0]['left_out'], {'too short': 1})


if __name__ == '__main__':
  absltest.main()
