"""Actions of several parts in datasets: what is written is read, in memory and from disk."""

import dataclasses
import os
import tempfile

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space
from alpt_jax.data import (
    action_fields,
    environment_file,
    episode_files,
    labels,
    png,
    records,
    rlds,
    writer,
)
from tests import exhaustive, random_spaces

SPACE = action_space.Parts((
    action_parts.Binary('fire'), action_parts.Continuous('turn', -9., 9., unit='degrees'),
    action_parts.Categorical('weapon', ('fist', 'saw', 'bow'), legal=('saw', 'bow'))))


def environment(space=SPACE, kind='image'):
  return environment_file.Environment(
      name='Own', reward=None,
      observation=environment_file.Observation(
          kind=kind, shape={'image': (4, 3, 1), 'vector': (1,)}[kind], low=0., high=99.),
      actions=environment_file.ActionParts(parts=space.parts))


def with_other_names(part):
  """The part with its names in another order, and one more."""
  if part.kind != 'categorical':
    return part
  return dataclasses.replace(part, names=('more', *part.names[::-1]), legal=None)


def played(rng, space, length, kind='image', **settings):
  """Arguments of `writer.steps`."""
  actions, is_known = random_spaces.episode(rng, space, length, **settings)
  observations = (np.arange(length + 1, dtype=np.float32)[:, None] if kind == 'vector' else
                  rng.integers(0, 256, (length + 1, 4, 3, 1), np.uint8))
  return {'observations': observations, 'actions': actions, 'is_labelled': is_known}


def actions_of(read):
  """[(actions [T, P], is_labelled [T, P])] of `episodes.Episodes`."""
  return [read.actions_of(episode) for episode in range(read.num_episodes)]


class FieldsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'data')

  def write(self, found, env, directory=None, **settings):
    return writer.write(directory or self.directory, name='Own', environment=env, card={},
                        episodes=(writer.steps(**x) for x in found), **settings)

  def assert_are(self, found, expected):
    for (actions, is_labelled), (wanted, was_known) in zip(found, expected, strict=True):
      self.assertEqual((actions.dtype, is_labelled.dtype), (np.float32, bool))
      np.testing.assert_array_equal(actions, wanted)
      np.testing.assert_array_equal(is_labelled, was_known)


class RandomSpacesTest(FieldsTest):

  def test_what_is_written_is_read(self):
    for seed in exhaustive.some_of(range(60)):
      rng = np.random.default_rng(seed)
      space = random_spaces.space(rng)
      found = [played(rng, space, int(rng.integers(1, 9))) for _ in range(3)]
      env, directory = environment(space), f'{self.directory}{seed}'
      with self.subTest(seed=seed):
        card = self.write(found, env, directory)
        expected = [random_spaces.in_process(space, x['actions'], x['is_labelled']) for x in found]
        num_labelled = [int(was_known.any(axis=1).sum()) for _, was_known in expected]
        self.assertEqual(card['num_labelled'], sum(num_labelled))
        self.assertEqual(card['num_labelled_by_part'], {
            part: sum(int(x['is_labelled'][part].sum()) for x in found)
            for part in space.part_names})
        # Laid out for a run with another environment, whose parts come first and in other places.
        other = action_space.Parts((
            action_parts.Binary('other'), *map(with_other_names, space.parts[::-1][:2])))
        _, wide = action_space.union([other, space], ['a', 'b'])
        place = [wide.part_names.index(part.name) for part in space.parts]
        for spec in (env.spec(), dataclasses.replace(env.spec(), actions=wide)):
          for read in (rlds.read_episodes(directory, spec),
                       episode_files.EpisodeFiles([directory], spec)):
            self.assertEqual(read.num_labelled.tolist(), num_labelled)
            if spec.actions is wide:
              for actions, is_labelled in actions_of(read):
                lacks = np.setdiff1d(np.arange(len(wide.parts)), place)
                self.assertFalse(actions[:, lacks].any() or is_labelled[:, lacks].any())
              self.assert_are([(a[:, place], k[:, place]) for a, k in actions_of(read)], [
                  (self.renamed(space, wide, a, k), k) for a, k in expected])
            else:
              self.assert_are(actions_of(read), expected)
        self.check_records(directory, env.spec(), found)

  def renamed(self, space, wide, actions, is_known):
    """The values [T, P] with the ids that a run's names have."""
    result = actions.copy()
    for p, part in enumerate(space.parts):
      if part.kind == 'categorical':
        names = wide.parts[wide.part_names.index(part.name)].names
        ids = np.array([names.index(name) for name in part.names])
        result[:, p] = np.where(is_known[:, p], ids[actions[:, p].astype(int)], 0)
    return result

  def check_records(self, directory, spec, found):
    dataset = records.Dataset(directory, spec)
    read = [fields for chunk in dataset.chunks(2) for fields in dataset.read(chunk).fields]
    for fields, x in zip(read, found, strict=True):
      is_known = rlds.labelled(fields)
      for part, values in x['actions'].items():
        np.testing.assert_array_equal(is_known[part], [*x['is_labelled'][part], False])
        np.testing.assert_array_equal(
            fields['action'][part][:-1][x['is_labelled'][part]], values[x['is_labelled'][part]])


class ParityTest(FieldsTest):

  def test_windows_and_digests_are_those_of_memory(self):
    rng = np.random.default_rng(0)
    found = [played(rng, SPACE, 9) for _ in range(4)]
    self.write(found, environment(), episodes_per_shard=3)
    spec = environment().spec()
    disk = episode_files.EpisodeFiles([self.directory], spec)
    memory = rlds.read_episodes(self.directory, spec)
    for one, other in ((disk, memory), (disk.hidden([(1, 2)], 3), memory.hidden([(1, 2)], 3))):
      episode, start = np.repeat(np.arange(4), 9), np.tile(np.arange(9), 4)
      for a, b in zip(one.cut(episode, start, 3)[:5], other.cut(episode, start, 3)[:5],
                      strict=True):
        self.assertEqual(a.dtype, b.dtype)
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(*(labels.choose_known_windows(
        data, budget=0, window=3, seed=0, held_out=.3) for data in (disk, memory)))

  def test_digests_tell_actions_and_what_is_known_of_them(self):
    first = played(np.random.default_rng(0), SPACE, 5, known=1.)
    variants = [first]
    for part in ('fire', 'turn', 'weapon'):
      known = first['is_labelled'] | {part: np.arange(5) > 0}
      variants.append(first | {'is_labelled': known})
    turned = first['actions'] | {'turn': np.float32([0, 0, 0, 0, .125])}
    variants.append(first | {'actions': turned})
    # Of what is not known, nothing.
    garbage = variants[1]['actions'] | {'fire': ~first['actions']['fire'] & (np.arange(5) < 1)
                                        | first['actions']['fire'] & (np.arange(5) > 0)}
    variants.append(variants[1] | {'actions': garbage})
    self.write(variants, environment())
    digests = episode_files.EpisodeFiles(
        [self.directory], environment().spec()).episode_digests.tolist()
    self.assertLen(set(digests[:5]), 5)
    self.assertEqual(digests[5], digests[1])

  def test_tfds_reads_the_types_that_are_said(self):
    found = played(np.random.default_rng(1), SPACE, 3, known=1.)
    self.write([found], environment())
    builder = tfds.builder_from_directory(self.directory)
    steps = list(builder.as_data_source('train')[0]['steps'])
    for part, dtype in (('fire', np.bool_), ('turn', np.float32), ('weapon', np.int64)):
      values = [step['action'][part] for step in steps]
      self.assertEqual({np.asarray(value).dtype for value in values}, {np.dtype(dtype)})
      self.assertEqual([*map(float, values)], [*map(float, found['actions'][part]), 0.])
      self.assertEqual([bool(step['is_labelled'][part]) for step in steps], [True] * 3 + [False])

  def test_bytes_are_those_of_tfds(self):
    described = writer.features(environment())
    steps = writer.steps(**played(np.random.default_rng(2), SPACE, 30))
    serializer = records.ExampleSerializer(described.get_serialized_info())
    encoded = steps | {'observation': [png.encode(o) for o in steps['observation']]}
    self.assertEqual(writer.serialize(described, steps),
                     serializer.serialize_example({'steps': encoded}))

  def test_any_name_of_a_part(self):
    names = ('a', 'a[0]', 'a[10]', 'a b', 'a.b', 'A', '1', 'Ctrl+C', 'é', '左', '_', 'x:y')
    space = action_space.Parts(tuple(
        action_parts.Continuous(name, 0., len(names)) for name in names))
    env = environment(space, 'vector')
    found = {'observations': np.zeros((2, 1), np.float32),
             'actions': {name: np.float32([i]) for i, name in enumerate(names)}}
    self.write([found], env)
    self.assertEqual(environment_file.read(self.directory), env)
    read = rlds.read_episodes(self.directory, environment_file.read(self.directory).spec())
    self.assertEqual(read.actions[0].tolist(), list(range(len(names))))
    described, steps = writer.features(env), writer.steps(**found)
    self.assertEqual(
        writer.serialize(described, steps),
        records.ExampleSerializer(described.get_serialized_info()).serialize_example(
            {'steps': steps}))

  def test_discrete_actions_have_the_features_of_ever(self):
    described = action_fields.features(action_space.numbered(3))
    self.assertEqual({name: feature.np_dtype for name, feature in described.items()},
                     {'action': np.int64, 'is_labelled': np.bool_})


class OtherFormsTest(FieldsTest):
  """Datasets of others: one flag for all parts, sources by part or for all."""

  def written(self, change, extra=None, without=()):
    """Writes two steps and one without an action, with other features; returns {part: values}."""
    env = environment(kind='vector')
    actions = {'fire': np.array([True, False]), 'turn': np.float32([4, -9]),
               'weapon': np.array([2, 1])}
    steps = change(writer.steps(np.zeros((3, 1), np.float32), actions))
    step = {name: feature for name, feature in writer.features(env)['steps'].feature.items()
            if name not in without}
    described = tfds.features.FeaturesDict(
        {'steps': tfds.features.Dataset(step | (extra or {}))})
    os.makedirs(self.directory)
    lengths = writer.write_shards(
        self.directory, 'Own', [writer.serialize(described, {n: steps[n] for n in described[
            'steps'].feature})])
    writer.finish(self.directory, name='Own', features=described, shard_lengths=lengths, card={})
    return env.spec()

  def read(self, spec, **settings):
    return rlds.read_episodes(self.directory, spec, **settings)

  def test_one_flag_for_all_parts(self):
    spec = self.written(lambda steps: steps | {'is_labelled': np.array([False, True, False])},
                        {'is_labelled': tfds.features.Scalar(np.bool_)})
    read = self.read(spec)
    self.assertEqual(read.is_labelled.tolist(), [[False] * 3, [True] * 3, [False] * 3])
    self.assertEqual(read.actions.tolist(), [[0, 0, 0], [0, -9, 1], [0, 0, 0]])
    dataset = records.Dataset(self.directory, spec)
    fields, = dataset.read(dataset.chunks(9)[0]).fields
    self.assertEqual({part: known.tolist() for part, known in rlds.labelled(fields).items()},
                     dict.fromkeys(('fire', 'turn', 'weapon'), [False, True, False]))

  def test_without_flags_all_parts_are_known(self):
    read = self.read(self.written(lambda steps: steps, without=('is_labelled',)))
    self.assertEqual(read.is_labelled.tolist(), [[True] * 3, [True] * 3, [False] * 3])

  @parameterized.parameters(False, True)
  def test_what_an_idm_has_labelled_is_known_only_if_asked_for(self, with_idm_labels):
    source = tfds.features.ClassLabel(names=list(rlds.SOURCES))
    sources = {'fire': np.array([1, 2, 0]), 'turn': np.array([2, 2, 0]),
               'weapon': np.array([1, 1, 0])}
    spec = self.written(lambda steps: steps | {'action_source': sources}, {
        'action_source': tfds.features.FeaturesDict(dict.fromkeys(sources, source))})
    read = self.read(spec, with_idm_labels=with_idm_labels)
    everything = [True] * 3
    self.assertEqual(read.is_labelled.tolist(), [
        everything if with_idm_labels else [True, False, True],
        everything if with_idm_labels else [False, False, True], [False] * 3])

  def test_other_numbers_are_read(self):
    parts = {'fire': tfds.features.Scalar(np.int64), 'turn': tfds.features.Scalar(np.float64),
             'weapon': tfds.features.Scalar(np.int32)}
    spec = self.written(
        lambda steps: steps | {'action': {part: values.astype(parts[part].np_dtype)
                                          for part, values in steps['action'].items()}},
        {'action': tfds.features.FeaturesDict(parts)})
    self.assertEqual(self.read(spec).actions.tolist(), [[1, 4, 2], [0, -9, 1], [0, 0, 0]])

  @parameterized.parameters(
      ({'fire': tfds.features.Scalar(np.bool_)}, r"action is \['fire'\]; expected the parts "),
      ({'fire': tfds.features.Scalar(np.float32), 'turn': tfds.features.Scalar(np.float32),
        'weapon': tfds.features.Scalar(np.int64)}, 'action fire is float32 .*expected a bool of'),
      ({'fire': tfds.features.Scalar(np.bool_), 'turn': tfds.features.Tensor(
          shape=(2,), dtype=np.float32), 'weapon': tfds.features.Scalar(np.int64)},
       r'action turn is float32 of shape \(2,\); expected numbers of a continuous part, a scalar'),
      ({'fire': tfds.features.Scalar(np.bool_), 'turn': tfds.features.Scalar(np.bool_),
        'weapon': tfds.features.Scalar(np.int64)}, 'action turn is bool'),
      ({'fire': tfds.features.Scalar(np.bool_), 'turn': tfds.features.Scalar(np.float32),
        'weapon': tfds.features.Scalar(np.float32)}, 'action weapon is float32 .* integers, ids'))
  def test_parts_of_other_kinds_are_named(self, parts, message):
    features = dict(writer.features(environment())['steps'].feature.items())
    described = tfds.features.FeaturesDict({'steps': tfds.features.Dataset(
        features | {'action': tfds.features.FeaturesDict(parts)})})
    with self.assertRaisesRegex(ValueError, f'x: features.json: {message}'):
      rlds.check_features('x', described, environment().spec())

  @parameterized.parameters(
      ({'action': tfds.features.Scalar(np.int64)}, 'action is of one part; expected the parts'),
      ({'is_labelled': tfds.features.Scalar(np.int64)}, 'is_labelled is Scalar.*expected a bool'),
      ({'is_labelled': tfds.features.FeaturesDict({'fire': tfds.features.Scalar(np.bool_)})},
       r"is_labelled is \['fire'\]; expected the parts \['fire', 'turn', 'weapon'\]"),
      ({'is_labelled': tfds.features.FeaturesDict(
          dict.fromkeys(('fire', 'turn', 'weapon'), tfds.features.Scalar(np.int64)))},
       'is_labelled of fire is Scalar.*; expected a bool'),
      ({'action_source': tfds.features.FeaturesDict({'fire': tfds.features.Scalar(np.int64)})},
       'action_source/fire is Scalar.*; expected a ClassLabel'))
  def test_fields_of_other_kinds_are_named(self, changes, message):
    features = dict(writer.features(environment())['steps'].feature.items())
    described = tfds.features.FeaturesDict({'steps': tfds.features.Dataset(features | changes)})
    with self.assertRaisesRegex(ValueError, f'x: features.json: {message}'):
      rlds.check_features('x', described, environment().spec())

  def test_several_parts_are_no_discrete_action(self):
    described = writer.features(environment())
    spec = dataclasses.replace(environment().spec(), actions=action_space.numbered(2))
    with self.assertRaisesRegex(ValueError, "action has shape .*'fire'.*; expected a scalar"):
      rlds.check_features('x', described, spec)


class RefusedTest(FieldsTest):

  @parameterized.parameters(
      ({'turn': np.float32([0, 9.5, 0])}, r'action turn is 9.5 at step 1 \(1 in all\); expected a '
                                          r'number in \[-9.0, 9.0\] degrees'),
      ({'turn': np.float32([0, 0, np.nan])}, 'action turn is nan at step 2'),
      ({'weapon': np.array([1, 0, 3])}, r'action weapon is 0 at step 1 \(2 in all\); expected one '
                                        r"of \[1, 2\], the ids of \['saw', 'bow'\]"),
      ({'fire': np.array([0, 1, 2])}, 'action fire is 2 at step 2 .*; expected 0 or 1'),
      ({'jump': np.array([0, 1, 0])}, r"actions have parts \['fire', 'jump', .*; Own has \['fire'"))
  def test_values_that_the_environment_does_not_have(self, changes, message):
    found = played(np.random.default_rng(0), SPACE, 3, known=1.)
    good = played(np.random.default_rng(1), SPACE, 3)
    bad = found | {'actions': found['actions'] | changes, 'is_labelled': None}
    with self.assertRaisesRegex(ValueError, f'data: episode 1: {message}'):
      self.write([good, bad], environment())
    self.assertFalse(os.path.exists(self.directory))

  def test_an_array_is_no_dict_of_parts(self):
    found = played(np.random.default_rng(0), SPACE, 3)
    with self.assertRaisesRegex(ValueError, r"actions are an array; Own has the parts \['fire', "):
      self.write([found | {'actions': np.zeros(3, int), 'is_labelled': None}], environment())

  def test_lengths_and_types(self):
    found = played(np.random.default_rng(0), SPACE, 3)
    for changes, message in (
        ({'actions': found['actions'] | {'turn': np.float32([0])}}, "'turn': 1.* actions, 3 rew"),
        ({'is_labelled': {'turn': [True] * 3}}, "and {'turn': 3} labels; expected one less")):
      with self.assertRaisesRegex(ValueError, message):
        writer.steps(**found | changes)
    found['actions']['fire'] = found['actions']['fire'].astype(int)
    with self.assertRaisesRegex(ValueError, 'action/fire of an episode is int64 .*expected bool'):
      self.write([found], environment())


if __name__ == '__main__':
  absltest.main()
