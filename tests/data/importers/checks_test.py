import dataclasses
import json
import os
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts
from alpt_jax.data import environment_file, png
from alpt_jax.data.importers import checks
from tests.data import own_data


def recording(name, num_transitions=4, seed=None, kind='image', **changes):
  rng = np.random.default_rng(len(name) * 1000 + sum(name.encode()) if seed is None else seed)
  if kind == 'image':
    observations = [png.encode(f) for f in own_data.frames(rng, num_transitions + 1)]
  else:
    observations = rng.integers(0, 2, (num_transitions + 1, 3, 3, 2))
  return checks.Recording(**{
      'name': name, 'observations': observations,
      'actions': rng.choice([0, 1, 3], num_transitions),
      'is_labelled': np.ones(num_transitions, bool), 'rewards': None} | changes)


def flat(value, num=5):
  return [png.encode(np.full((8, 6, 1), value, np.uint8))] * num


class CheckTest(parameterized.TestCase):

  def _check(self, found, env=None, **settings):
    left_out = []
    kept = list(checks.check(
        found, env or own_data.environment(), checks.Settings(**settings), left_out))
    return [r.name for r in kept], [tuple(e[:2]) for e in left_out], [e.reason for e in left_out]

  def test_useless_episodes_are_left_out_and_said_to_be(self):
    noisy = recording('good', 6)
    some_blank = recording('some', 6)._replace(
        observations=[*flat(0, 3), *recording('x', 3).observations])
    kept, left_out, reasons = self._check([
        noisy, recording('short', 4),
        recording('again', 6, observations=noisy.observations, is_labelled=np.zeros(6, bool)),
        some_blank,
        recording('frozen', 5, observations=[noisy.observations[0]] * 6),
        recording('white', 5, observations=flat(255, 6)),
    ], window=5)
    self.assertEqual(kept, ['good', 'some'])
    self.assertEqual(left_out, [('short', 'too short'), ('again', 'duplicate'), ('frozen', 'blank'),
                                ('white', 'blank')])
    self.assertEqual(reasons[0], 'has 4 transitions; expected at least a window of 5')
    self.assertEqual(reasons[1], 'is the same as good')
    self.assertEqual(reasons[2], 'all images are the same')
    self.assertStartsWith(reasons[3], '6 of 6 images have one colour only')

  def test_copy_without_actions_does_not_take_the_place_of_what_has_them(self):
    labelled = recording('labelled', 6)
    copy = recording('copy', 6, observations=labelled.observations, is_labelled=np.arange(6) < 2)
    with self.assertRaisesRegex(ValueError, 'labelled: is the same as copy, and has 6 known '
                                'actions where that has 2. Remove copy'):
      self._check([copy, labelled])

  def test_share_of_blank_images(self):
    found = [recording('half')._replace(
        observations=[*flat(0, 2), *recording('x', 1).observations])]
    self.assertEqual(self._check(found, window=2, max_blank=.5)[0], ['half'])
    self.assertEqual(self._check(found, window=2, max_blank=.49)[1], [('half', 'blank')])

  def test_grids_that_look_alike_are_duplicates_only_with_the_same_play(self):
    env = own_data.environment('grid', (3, 3, 2))
    one = recording('one', kind='grid', seed=1)
    kept, left_out, _ = self._check(
        [one, one, one._replace(name='same'), one._replace(name='other', actions=one.actions * 0)],
        env, window=1)
    self.assertEqual((kept, left_out), (['one', 'other'], [(name, 'duplicate')
                                                           for name in ('one', 'same')]))

  @parameterized.parameters(
      ({'actions': np.array([0, 2, 1, 1])}, "action is 'down' at step 1"),
      ({'rewards': np.array([0, 1, np.nan, 1])}, 'reward is nan at step 2'),
      ({'rewards': np.array([0, 1, np.inf, 1])}, 'reward is inf at step 2'),
      ({'observations': [b'\x89PNG'] * 5}, 'image of step 0: an image is no PNG'),
      ({'observations': [*flat(3, 4), flat(4)[0][:-30]]}, 'image of step 4: an image is not a who'),
  )
  def test_damage_is_an_error_or_left_out(self, changes, message):
    found = [recording('first'), recording('bad', **changes), recording('last')]
    with self.assertRaisesRegex(ValueError, f'^bad: {message}'):
      self._check(found, window=1)
    kept, left_out, reasons = self._check(found, window=1, on_problem='skip')
    self.assertEqual((kept, left_out), (['first', 'last'], [('bad', 'damaged')]))
    self.assertRegex(reasons[0], f'^{message}')

  def test_unlabelled_actions_are_not_looked_at(self):
    found = [recording('a', actions=np.array([99, 0, 0, 0]),
                       is_labelled=np.array([False, True, True, True]))]
    self.assertEqual(self._check(found, window=1)[0], ['a'])

  @parameterized.parameters(
      ('grid', (3, 3, 2), 2, r'observation has 2 at step 3; expected values in \[0, 1\]'),
      ('vector', (3, 3, 2), np.nan, r'observation has nan at step 3; expected .*\[-2.0, 2.0\]'),
      ('vector', (3, 3, 2), 2.5, 'observation has 2.5 at step 3'))
  def test_numbers_out_of_range(self, kind, shape, value, message):
    env = own_data.environment('grid', shape)
    if kind == 'vector':
      env = own_data.environment('vector', (18,))
    bad = recording('bad', kind='grid')
    observations = bad.observations.astype(float if kind == 'vector' else int)
    observations[3, 1, 1, 1] = value
    with self.assertRaisesRegex(ValueError, f'^bad: {message}'):
      self._check([bad._replace(observations=observations)], env)

  def test_problems_of_the_source(self):
    found = [checks.Problem('clip.mp4', 'breaks off.'), recording('good')]
    with self.assertRaisesRegex(ValueError, 'clip.mp4: breaks off. Or leave .*on_problem=skip'):
      self._check(found)
    self.assertEqual(self._check(found, window=1, on_problem='skip')[:2],
                     (['good'], [('clip.mp4', 'damaged')]))

  @parameterized.parameters(({'window': 0}, 'window is 0'), ({'on_problem': 'ask'}, "is 'ask'"),
                            ({'max_blank': 1.5}, 'max_blank is 1.5'))
  def test_settings(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      checks.Settings(**changes)


class WriteTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._parent = self.enterContext(tempfile.TemporaryDirectory())
    self._directory = os.path.join(self._parent, 'data')

  def test_card_lists_what_was_left_out(self):
    card, read = own_data.written(
        self._directory, [recording('a'), recording('b', 1),
                          checks.Problem('c', 'is no video.')],
        own_data.environment(), window=2, on_problem='skip')
    self.assertEqual(json.loads(pathlib.Path(self._directory, 'dataset_card.json').read_text()),
                     card)
    self.assertEqual(card['left_out'], {'too short': 1, 'damaged': 1})
    self.assertEqual([e['name'] for e in card['left_out_episodes']], ['b', 'c'])
    self.assertEqual(card['left_out_episodes'][1]['reason'], 'is no video.')
    self.assertEqual((card['num_episodes'], card['num_transitions'], card['mean_return']),
                     (1, 4, None))
    self.assertEqual(read.num_episodes, 1)

  def test_grids_become_bytes(self):
    found = [recording(name, kind='grid') for name in 'ab']
    _, read = own_data.written(self._directory, found, own_data.environment('grid', (3, 3, 2)))
    np.testing.assert_array_equal(read.observations,
                                  np.concatenate([r.observations for r in found]))
    self.assertEqual(read.observations.dtype, np.uint8)

  def test_nothing_left_or_damaged_leaves_no_directory(self):
    for found, message in (
        ([recording('a', 1), recording('b', 2)],
         r'no episode is left to write, 2 left out \(2 too short\); .* a: has 1'),
        ([recording('a', 9), checks.Problem('b', 'gone.')], 'b: gone')):
      with self.assertRaisesRegex(ValueError, message):
        own_data.written(self._directory, found, own_data.environment(), window=5)
      self.assertEmpty(os.listdir(self._parent))


class PartsTest(parameterized.TestCase):
  """Recordings whose actions have several parts."""

  def setUp(self):
    super().setUp()
    self._directory = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'data')
    self._env = own_data.environment('vector', (1,), actions=environment_file.ActionParts(
        parts=(action_parts.Binary('fire'), action_parts.Continuous('turn', -9., 9.))))

  def recording(self, name, turn, known=(True, True), seen=0.):
    return checks.Recording(
        name, np.full((3, 1), seen, np.float32),
        {'fire': np.array([True, False]), 'turn': np.float32(turn)},
        {'fire': np.array([True, True]), 'turn': np.array(known)}, None)

  def write(self, *found):
    return own_data.written(self._directory, found, self._env)

  def test_the_same_play_twice(self):
    first = self.recording('a', [1, 2])
    card, read = self.write(first, self.recording('b', [1, 3]), self.recording('c', [1, 2]),
                            self.recording('d', [1, 2], (True, False)))
    self.assertEqual([x['name'] for x in card['left_out_episodes']], ['c'])
    self.assertEqual(read.actions[:2].tolist(), [[1, 1], [0, 2]])
    self.assertEqual(read.num_labelled.tolist(), [2, 2, 2])

  def test_of_the_same_images_those_with_more_known_parts_are_wanted(self):
    images = [png.encode(x) for x in own_data.frames(np.random.default_rng(0), 3)]
    self._env = dataclasses.replace(
        self._env, observation=environment_file.Observation(kind='image', shape=(8, 6, 1)))
    less, more = (self.recording('a', [1, 2], known)._replace(observations=list(images))
                  for known in ((True, False), (True, True)))
    with self.assertRaisesRegex(ValueError, 'has 4 known actions where that has 3. Remove a'):
      self.write(less, more._replace(name='b'))

  @parameterized.parameters(
      ([1, 9.5], (True, True), r'a: action turn is 9.5 at step 1 \(1 in all\); expected a number'),
      ([np.nan, 1], (True, True), 'a: action turn is nan at step 0'),
      ([np.nan, 1], (False, True), None))
  def test_values_of_parts(self, turn, known, message):
    if message is None:
      self.assertEqual(self.write(self.recording('a', turn, known))[1].actions[:2].tolist(),
                       [[1, 0], [0, 1]])
    else:
      with self.assertRaisesRegex(ValueError, f'{message}.*Correct the environment file or the da'):
        self.write(self.recording('a', turn, known))


class ValuesTest(parameterized.TestCase):

  def test_observations_of_another_shape_or_type(self):
    wanted = own_data.environment().observation
    grey = own_data.frames(np.random.default_rng(0), 3)
    self.assertEqual(checks.observations(grey, wanted),
                     checks.observations(grey[..., 0], wanted))
    for values in (grey[:, :7], grey.astype(float), grey.repeat(3, axis=-1)):
      with self.assertRaisesRegex(ValueError, r'expected uint8 \[8, 6, 1\] by the environment'):
        checks.observations(values, wanted)


if __name__ == '__main__':
  absltest.main()
