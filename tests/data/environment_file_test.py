import json
import math
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.data import environment_file

CONTENT = {
    'name': 'Breakout',
    'observation': {'kind': 'image', 'key': 'pixels', 'shape': [84, 84, 1], 'low': 0., 'high': 1.},
    'actions': {'key': 'act', 'space': ['NOOP', 'FIRE', 'UP', 'RIGHT', 'LEFT'],
                'legal': ['NOOP', 'LEFT', 'FIRE'], 'stored': ['NOOP', 'FIRE', 'LEFT', 'NOOP']},
    'reward': {'key': 'score', 'clip': 1.},
    'returns': [-20, 100],
    'steps_per_second': 15.,
}
_MISSING = object()


def changed(path, value):
  """The content with another value at a dotted path."""
  content = json.loads(json.dumps(CONTENT))
  *groups, key = path.split('.')
  inside = content
  for group in groups:
    inside = inside[group]
  if value is _MISSING:
    del inside[key]
  else:
    inside[key] = value
  return content


class EnvironmentFileTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'environment.json')

  def _read(self, content):
    self._path.write_text(json.dumps(content))
    return environment_file.read(self._path)

  def test_what_is_written_is_read(self):
    environment = self._read(CONTENT)
    self.assertEqual(environment.observation.shape, (84, 84, 1))
    self.assertEqual(environment.reward, environment_file.Reward(key='score', clip=1.))
    environment_file.write(self._path, environment)
    self.assertEqual(json.loads(self._path.read_text()), CONTENT)
    self.assertEqual(environment_file.read(self._path.parent), environment)

  def test_spec_has_the_ids_of_the_names(self):
    spec = self._read(CONTENT).spec()
    self.assertEqual((spec.name, spec.observation_key, spec.observation_kind, spec.num_actions),
                     ('Breakout', 'pixels', 'image', 5))
    self.assertEqual(spec.legal_actions, (0, 1, 4))
    self.assertEqual(spec.stored_actions, (0, 1, 4, 0))
    self.assertEqual((spec.return_low, spec.return_high, spec.reward_clip), (-20, 100, 1.))

  def test_canonical_data_stores_ids_under_the_usual_names(self):
    environment = self._read(CONTENT).canonical()
    self.assertEqual((environment.observation.key, environment.actions.key, environment.reward.key),
                     ('', 'action', 'reward'))
    self.assertEqual(environment.spec().stored_actions, ())
    self.assertEqual(environment.spec().legal_actions, (0, 1, 4))

  def test_defaults(self):
    environment = self._read({
        'name': 'a', 'observation': {'kind': 'grid', 'shape': [3, 3, 2]},
        'actions': {'space': ['x', 'y']}, 'reward': None})
    self.assertEqual(environment.actions.legal, ('x', 'y'))
    self.assertEqual(environment.returns, (0, 1))
    self.assertIsNone(environment.steps_per_second)
    self.assertEqual(environment.spec().reward_clip, math.inf)

  @parameterized.parameters(
      ('name', '2048', "name is '2048'; expected a letter"),
      ('name', 'a/b', "name is 'a/b'; expected"),
      ('name', _MISSING, 'name is missing'),
      ('extra', 1, 'extra is an unknown key'),
      ('observation', [], 'observation is .*; expected an object'),
      ('observation.kind', 'video', "observation.kind is 'video'; expected one of"),
      ('observation.shaep', 1, 'observation.shaep is an unknown key.*did you mean shape'),
      ('observation.shape', [84, 84], r'observation.shape is \[84, 84\]; expected \[height'),
      ('observation.shape', [84, 84, 4], r'observation.shape is \[84, 84, 4\]; expected'),
      ('observation.shape', [84., 84, 1], r'observation.shape is \[84.0, 84, 1\]; expected'),
      ('observation.shape', 84, 'observation.shape is 84; expected'),
      ('observation.low', 1., 'observation.high is 1.0; expected .* above observation.low, 1.0'),
      ('observation.high', math.nan, 'observation.high is nan'),
      ('observation.key', None, 'observation.key is None'),
      ('actions.space', [], r'actions.space is \[\]; expected a list of names'),
      ('actions.space', 'NOOP', "actions.space is 'NOOP'; expected a list"),
      ('actions.space', ['NOOP', 'LEFT', 'FIRE', 'LEFT'], r"\['LEFT'\] is repeated"),
      ('actions.legal', ['NOOP', 'JUMP'], r"names of actions.space.*\['JUMP'\] is not there"),
      ('actions.stored', ['NOOP', 'UP'], r"names of actions.legal.*\['UP'\] is not there"),
      ('actions.stored', [0, 1], r'actions.stored is \[0, 1\]; expected a list of names'),
      ('reward', 3, 'reward is 3; expected an object or null'),
      ('reward', _MISSING, 'reward is missing'),
      ('reward.clip', 0, 'reward.clip is 0; expected a number above 0'),
      ('reward.clip', True, 'reward.clip is True; expected'),
      ('returns', [1, 1], r'returns is \[1, 1\]; expected'),
      ('returns', [0, 1.5], r'returns is \[0, 1.5\]; expected'),
      ('returns', _MISSING, 'returns is None; expected'),
      ('steps_per_second', -15, 'steps_per_second is -15; expected'),
  )
  def test_mistakes_are_named(self, path, value, message):
    with self.assertRaisesRegex(ValueError, message) as raised:
      self._read(changed(path, value))
    self.assertStartsWith(str(raised.exception), f'{self._path}: ')
    self.assertNotIn('\n', str(raised.exception))

  def test_vectors_need_their_range(self):
    vector = {'kind': 'vector', 'shape': [2], 'low': -1}
    with self.assertRaisesRegex(ValueError, 'observation.high is missing'):
      self._read(CONTENT | {'observation': vector})
    self.assertEqual(self._read(CONTENT | {'observation': vector | {'high': 1}}).spec()
                     .observation_low, -1)

  def test_no_file_and_no_json(self):
    with self.assertRaisesRegex(FileNotFoundError, 'environment.json: no such file'):
      environment_file.read(self._path)
    self._path.write_text('{"name": ')
    with self.assertRaisesRegex(ValueError, 'environment.json: not JSON'):
      environment_file.read(self._path)
    with self.assertRaisesRegex(ValueError, 'the content is .*; expected an object'):
      self._read([])


if __name__ == '__main__':
  absltest.main()
