"""RLDS datasets whose actions are dicts or vectors, imported part by part."""

import pathlib
import tempfile

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized

from alpt_jax import action_parts
from alpt_jax.data import environment_file, rlds
from alpt_jax.data import writer as dataset_writer
from alpt_jax.data.importers import rlds as import_rlds
from tests import exhaustive, random_spaces
from tests.data import own_data
from tests.data.importers import rlds_test

SCALARS = {'categorical': tfds.features.Scalar(np.int32), 'binary': tfds.features.Scalar(np.bool_),
           'continuous': tfds.features.Scalar(np.float64)}
FLOAT = tfds.features.Scalar(np.float32)
VECTOR = tfds.features.Tensor(shape=(2,), dtype=np.float32)
ARM = (action_parts.Continuous('lift', -1., 1.), action_parts.Continuous('turn', -9., 9.),
       action_parts.Binary('grip'))
ARM_KEYS = ('arm[0]', 'arm[1]', 'grip')


def environment(parts=ARM, keys=ARM_KEYS, **changes):
  return rlds_test.environment('vector', **{'actions': environment_file.ActionParts(
      key='act', parts=parts, keys=keys), 'reward': None, 'returns': None} | changes)


class PartsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.parent = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.source = str(self.parent / 'source')

  def write(self, actions, feature, *, steps=None, features=None, file_format='array_record'):
    """Writes an episode for each list of actions; `steps`, `features` are of more step fields."""
    _, observation = rlds_test._OBSERVATIONS['vector']
    episodes = [rlds_test.played(np.random.default_rng(e), 'vector', len(of_steps) - 1)
                | {'act': of_steps} | (steps or {}) for e, of_steps in enumerate(actions)]
    rlds_test.write(self.source, episodes, observation, action=feature, shards=1, more=features,
                    file_format=file_format)

  def imported(self, env):
    return own_data.written(str(self.parent / 'data'),
                            import_rlds.recordings(self.source, env), env)

  def of_arm(self, *, steps=None, features=None, file_format='array_record', **values):
    """Writes three steps of a dict with a vector; the last has no action."""
    rows = [{'arm': np.float32(arm), 'grip': np.float32(grip)} for arm, grip in zip(
        values.get('arm', [(.5, 3), (-1, -9), (7, 7)]), values.get('grip', [1, 0, 5]), strict=True)]
    self.write([rows], tfds.features.FeaturesDict({'arm': VECTOR, 'grip': FLOAT}), steps=steps,
               features=features, file_format=file_format)


class LayoutsTest(PartsTest):

  @parameterized.parameters('array_record', 'tfrecord')
  def test_dicts_of_vectors_and_scalars(self, file_format):
    self.of_arm(file_format=file_format)
    card, read = self.imported(environment())
    self.assertEqual(read.actions.tolist(), [[.5, 3, 1], [-1, -9, 0], [0, 0, 0]])
    self.assertEqual(read.is_labelled.tolist(), [[True] * 3] * 2 + [[False] * 3])
    self.assertEqual(card['num_labelled'], 2)
    written = environment_file.read(str(self.parent / 'data'))
    self.assertEqual(written.actions, environment_file.ActionParts(parts=ARM))

  @parameterized.product(encoding=('none', 'zlib'), file_format=('array_record', 'tfrecord'))
  def test_vectors(self, encoding, file_format):
    feature = tfds.features.Tensor(shape=(2,), dtype=np.float64, encoding=encoding)
    self.write([[np.array([.5, 3]), np.array([1., -9]), np.zeros(2)]], feature,
               file_format=file_format)
    _, read = self.imported(environment(ARM[:2], ('act[0]', 'act[1]')))
    self.assertEqual(read.actions.tolist(), [[.5, 3], [1, -9], [0, 0]])

  def test_episodes_of_one_step_are_too_short(self):
    rows = [{'lift': np.float32(t)} for t in range(3)]
    self.write([rows[:1], rows], tfds.features.FeaturesDict({'lift': FLOAT}))
    card, read = self.imported(environment(ARM[:1], ('lift',)))
    self.assertEqual((card['left_out'], read.num_episodes), ({'too short': 1}, 1))

  def test_random_spaces_as_dicts_of_scalars(self):
    for seed in exhaustive.some_of(range(30)):
      with self.subTest(seed=seed):
        rng = np.random.default_rng(seed)
        space = random_spaces.space(rng)
        self.source = str(self.parent / f'source{seed}')
        played = [random_spaces.episode(rng, space, int(rng.integers(2, 7)), known=1.)[0]
                  for _ in range(2)]
        features = {part.name: SCALARS[part.kind] for part in space.parts}
        rows = [[{name: values[t].astype(features[name].np_dtype) for name, values in x.items()}
                 for t in [*range(len(x[space.parts[0].name])), 0]] for x in played]
        self.write(rows, tfds.features.FeaturesDict(features))
        env = environment(space.parts, None)
        _, read = own_data.written(str(self.parent / f'data{seed}'),
                                   import_rlds.recordings(self.source, env), env)
        for (_, actions, _, is_labelled), wanted in zip(own_data.split(read), played, strict=True):
          self.assertTrue(is_labelled.all())
          for p, part in enumerate(space.parts):
            np.testing.assert_array_equal(actions[:, p], np.float32(wanted[part.name]))

  def test_what_was_imported_imports_as_itself(self):
    rng, space = np.random.default_rng(0), random_spaces.space(np.random.default_rng(3))
    found = [random_spaces.episode(rng, space, 6) for _ in range(3)]
    env = environment(space.parts, None).canonical()
    dataset_writer.write(
        self.source, name='Own', environment=env, card={}, episodes=(dataset_writer.steps(
            np.full((7, 4), e, np.float32) / 4, *of[:1], is_labelled=of[1])
            for e, of in enumerate(found)))
    _, read = self.imported(environment_file.read(self.source))
    self.assertEqual(rlds.dataset_digest(str(self.parent / 'data')),
                     rlds.dataset_digest(self.source))
    for (_, actions, _, is_labelled), of in zip(own_data.split(read), found, strict=True):
      for one, other in zip((actions, is_labelled), random_spaces.in_process(space, *of),
                            strict=True):
        np.testing.assert_array_equal(one, other)

  def test_names_of_a_class_label(self):
    label = tfds.features.ClassLabel(names=['saw', 'fist'])
    self.write([[{'w': 0}, {'w': 1}, {'w': 1}]], tfds.features.FeaturesDict({'w': label}))
    weapon = action_parts.Categorical('weapon', ('fist', 'bow', 'saw'))
    _, read = self.imported(environment((weapon,), ('w',)))
    self.assertEqual(read.actions.tolist(), [[2], [0], [0]])
    with self.assertRaisesRegex(ValueError, r"w, a ClassLabel .* names the values \['saw', 'fist'\]"
                                            '; expected actions.parts.weapon.names'):
      list(import_rlds.recordings(self.source, environment(
          (action_parts.Categorical('weapon', ('fist', 'bow')),), ('w',))))


class KnownTest(PartsTest):

  BOOL = tfds.features.Scalar(np.bool_)

  @parameterized.parameters(
      (BOOL, [False, True, True], [[0, 0, 0], [1, 1, 1]]),
      (tfds.features.FeaturesDict({'arm': BOOL, 'grip': BOOL}),
       [{'arm': False, 'grip': True}, {'arm': True, 'grip': False}, {'arm': True, 'grip': True}],
       [[0, 0, 1], [1, 1, 0]]),
      (tfds.features.FeaturesDict({'arm': tfds.features.Tensor(shape=(2,), dtype=np.bool_),
                                   'grip': BOOL}),
       [{'arm': np.array([False, True]), 'grip': True}, {'arm': np.array([True, True]),
                                                         'grip': True},
        {'arm': np.array([True, True]), 'grip': True}], [[0, 1, 1], [1, 1, 1]]))
  def test_flags_of_all_parts_entries_or_elements(self, feature, flags, expected):
    first = [x if known else 77 for x, known in zip((.5, 3), expected[0][:2], strict=True)]
    self.of_arm(arm=[first, (-1, -9), (7, 7)], grip=[1 if expected[0][2] else np.nan, 0, 5],
                steps={'is_labelled': flags}, features={'is_labelled': feature})
    _, read = self.imported(environment())
    np.testing.assert_array_equal(read.is_labelled[:2], np.array(expected, bool))
    np.testing.assert_array_equal(
        read.actions[:2], np.where(expected, [[.5, 3, 1], [-1, -9, 0]], 0))

  def test_only_true_labels_come_in(self):
    source = tfds.features.ClassLabel(names=list(rlds.SOURCES))
    self.of_arm(steps={'action_source': [{'arm': 1, 'grip': 2}, {'arm': 2, 'grip': 1},
                                         {'arm': 0, 'grip': 0}]},
                features={'action_source': tfds.features.FeaturesDict(
                    {'arm': source, 'grip': source})})
    _, read = self.imported(environment())
    self.assertEqual(read.is_labelled[:2].tolist(), [[True, True, False], [False, False, True]])

  @parameterized.parameters(
      (tfds.features.FeaturesDict({'arm': BOOL}), [{'arm': True}] * 3),
      (tfds.features.Scalar(np.int64), [1] * 3))
  def test_flags_that_say_nothing_of_a_part(self, feature, flags):
    self.of_arm(steps={'is_labelled': flags}, features={'is_labelled': feature})
    with self.assertRaisesRegex(ValueError, 'features.json: is_labelled is .*; expected a bool'):
      self.imported(environment())


  def test_one_discrete_action_has_one_flag(self):
    flag = {'x': True}
    self.write([[0, 1, 0]], tfds.features.Scalar(np.int64), steps={'is_labelled': [flag] * 3},
               features={'is_labelled': tfds.features.FeaturesDict({'x': self.BOOL})})
    env = environment(actions=environment_file.Actions(key='act', space=('a', 'b')))
    with self.assertRaisesRegex(ValueError, 'is_labelled is FeaturesDict.*; expected a scalar'):
      self.imported(env)


class RefusedTest(PartsTest):

  @parameterized.parameters(
      (dict(keys=('arm[0]', 'arm[2]', 'grip')), r"act has no 'arm\[2\]', the key of actions.parts."
                                                r"turn .*, but \['arm\[0\]', 'arm\[1\]', 'grip'\]"),
      (dict(parts=ARM[:2], keys=ARM_KEYS[:2]), "act has 'grip', the key of no part"),
      (dict(parts=(*ARM[:2], action_parts.Categorical('grip', ('a', 'b')))),
       'act: grip is float32; expected integers, as grip is categorical'),
      (dict(actions=environment_file.ActionParts(key='action', parts=ARM, keys=ARM_KEYS)),
       "no step field 'action', as actions.key of the environment file says"),
      (dict(actions=environment_file.Actions(key='act', space=('a', 'b'))),
       'act is .*; expected an integer, a discrete action. .*, or declare actions.parts'))
  def test_environment_files_that_do_not_fit(self, changes, message):
    self.of_arm()
    with self.assertRaisesRegex(ValueError, f'source: features.json.*{message}') as raised:
      self.imported(environment(**changes))
    self.assertNotIn('\n', str(raised.exception))

  @parameterized.parameters(
      (dict(arm=[(.5, 3), (-1.5, 9), (0, 0)]), r'action lift is -1.5 at step 1 \(1 in all\); expect'
                                               r'ed a number in \[-1.0, 1.0\]'),
      (dict(arm=[(.5, np.nan), (-1, 9), (0, 0)]), 'action turn is nan at step 0'),
      (dict(grip=[.5, 0, 0]), 'action grip is 0.5 at step 0 .*; expected 0 or 1'))
  def test_values_that_a_part_does_not_have(self, values, message):
    self.of_arm(**values)
    with self.assertRaisesRegex(ValueError, f"source, episode 0 of split 'train': {message}"):
      self.imported(environment())
    self.assertFalse((self.parent / 'data').exists())

  def test_what_is_no_number_may_be_left_out_only(self):
    rows = [{'lift': np.float32(0), 'said': 'up', 'path': [np.float32(1)] * (t + 1)}
            for t in range(3)]
    self.write([rows], tfds.features.FeaturesDict({
        'lift': FLOAT, 'said': tfds.features.Text(), 'path': tfds.features.Sequence(FLOAT)}))
    env = lambda parts, keys, left_out: environment(  # noqa: E731
        actions=environment_file.ActionParts(
            key='act', parts=parts, keys=keys, left_out=left_out))
    with self.assertRaisesRegex(ValueError, 'act: said is object; expected numbers, as turn is'):
      self.imported(env(ARM[:2], ('lift', 'said'), ('path',)))
    with self.assertRaisesRegex(ValueError, 'act: path is Sequence.*; expected a number or a'):
      self.imported(env(ARM[:2], ('lift', 'path'), ('said',)))
    _, read = self.imported(env(ARM[:1], ('lift',), ('path', 'said')))
    self.assertEqual(read.is_labelled.tolist(), [[True], [True], [False]])


if __name__ == '__main__':
  absltest.main()
