import json
import math
import pathlib
import re
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space
from alpt_jax.data import environment_file
from alpt_jax.data.importers import actions as import_actions
from tests import random_spaces

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


def changed(path, value, before=None):
  """The content with another value at a dotted path."""
  content = json.loads(json.dumps(before or CONTENT))
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


PARTS = CONTENT | {'actions': {'key': 'act', 'parts': {
    'forward': {'kind': 'binary', 'key': 'W'},
    'turn': {'kind': 'continuous', 'low': -90, 'high': 90, 'unit': 'degrees', 'mode': 'delta',
             'wraps': False, 'num_bins': 21, 'growth': 5.},
    'weapon': {'kind': 'categorical', 'names': ['fist', 'pistol', 'saw'], 'legal': ['saw', 'fist']},
}, 'left_out': ['time']}}


class PartsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'environment.json')

  def _read(self, content):
    self._path.write_text(content if isinstance(content, str) else json.dumps(content))
    return environment_file.read(self._path)

  def test_what_is_written_is_read(self):
    environment = self._read(PARTS)
    environment_file.write(self._path, environment)
    self.assertEqual(json.loads(self._path.read_text()), PARTS)
    self.assertEqual(environment_file.read(self._path), environment)

  def test_spec_has_the_parts_in_their_order(self):
    environment = self._read(PARTS)
    expected = action_space.Parts((
        action_parts.Binary('forward'),
        action_parts.Continuous('turn', -90, 90, unit='degrees', mode='delta', num_bins=21,
                                growth=5.),
        action_parts.Categorical('weapon', ('fist', 'pistol', 'saw'), legal=('saw', 'fist'))))
    self.assertEqual(environment.spec().actions, expected)
    self.assertEqual(environment.actions.keys, ('W', 'turn', 'weapon'))

  def test_canonical_data_has_every_part_under_its_name(self):
    environment = self._read(PARTS).canonical()
    self.assertEqual((environment.actions.key, environment.actions.keys,
                      environment.actions.left_out),
                     ('action', ('forward', 'turn', 'weapon'), ()))
    self.assertEqual(environment.spec().actions, self._read(PARTS).spec().actions)

  def test_defaults(self):
    actions = self._read(CONTENT | {'actions': {'parts': {
        'x': {'kind': 'continuous', 'low': 0, 'high': 1}, 'é': {'kind': 'binary'},
        'w': {'kind': 'categorical', 'names': ['a', 'b'], 'legal': None}}}}).actions
    self.assertEqual(actions.parts, (
        action_parts.Continuous('x', 0, 1), action_parts.Binary('é'),
        action_parts.Categorical('w', ('a', 'b'))))
    self.assertEqual((actions.key, actions.keys), ('action', ('x', 'é', 'w')))

  def test_random_spaces_come_back(self):
    for seed in range(100):
      rng = np.random.default_rng(seed)
      space = random_spaces.space(rng)
      keys = tuple(f'k{i}' for i in rng.permutation(len(space.parts)))
      environment = environment_file.Environment(
          name='a', reward=None,
          observation=environment_file.Observation(kind='grid', shape=(3, 3, 2)),
          actions=environment_file.ActionParts(
              parts=space.parts, keys=keys if seed % 2 else None))
      environment_file.write(self._path, environment)
      self.assertEqual(environment_file.read(self._path), environment)
      self.assertEqual(environment_file.read(self._path).spec().actions, space)

  @parameterized.parameters(
      ('', 3, r'actions.parts is 3; expected an object, not empty'),
      ('', {}, r'actions.parts is {}; expected an object, not empty'),
      ('turn', [], r'actions.parts.turn is \[\]; expected an object'),
      ('turn.kind', 'analog', r"actions.parts.turn.kind is 'analog'; expected one of \['binary', "),
      ('turn.kind', _MISSING, 'actions.parts.turn.kind is missing'),
      ('turn.low', _MISSING, 'actions.parts.turn.low is missing; expected a finite number'),
      ('turn.low', math.nan, 'actions.parts.turn.low is nan; expected a finite number'),
      ('turn.high', math.inf, 'actions.parts.turn.high is inf; expected a finite number'),
      ('turn.high', 1e39, r'actions.parts.turn.high is 1e\+39; expected a finite number'),
      ('turn.low', 10 ** 400, 'actions.parts.turn.low is 1000.*; expected a finite number'),
      ('turn.low', '-90', "actions.parts.turn.low is '-90'; expected a finite number"),
      ('turn.low', True, 'actions.parts.turn.low is True; expected a finite number'),
      ('turn.low', 90, 'actions.parts.turn.low is 90; expected a number below .*turn.high, 90'),
      ('turn.low', 90 - 1e-9, 'actions.parts.turn.low is 89.99.*; expected a number below'),
      ('turn.unit', 3, 'actions.parts.turn.unit is 3; expected a string'),
      ('turn.mode', 'relative', "turn.mode is 'relative'; expected one of .'absolute', 'delta'."),
      ('turn.wraps', 1, 'actions.parts.turn.wraps is 1; expected true or false'),
      ('turn.wraps', True, 'actions.parts.turn: growth of turn is 5.0, and its values wrap around'),
      ('turn.num_bins', 1, 'actions.parts.turn.num_bins is 1; expected a whole number from 2 to'),
      ('turn.num_bins', 1e9, 'actions.parts.turn.num_bins is 1000000000.0; expected a whole'),
      ('turn.growth', -1, 'actions.parts.turn.growth is -1; expected a number from 0 to'),
      ('turn.growth', math.nan, 'actions.parts.turn.growth is nan; expected'),
      ('turn.hihg', 3, 'actions.parts.turn.hihg is an unknown key; .*did you mean high'),
      ('turn.names', ['a'], 'actions.parts.turn.names is an unknown key; expected kind, key, low'),
      ('forward.low', 0, 'actions.parts.forward.low is an unknown key; expected kind, key'),
      ('forward.key', 'turn', "actions.parts.forward.key is 'turn'; expected where .* unlike"),
      ('forward.key', 'step', "actions.parts.forward.key is 'step'; expected .* none of file, st"),
      ('forward.key', 3, 'actions.parts.forward.key is 3; expected where the data has it'),
      ('weapon.names', [], r'actions.parts.weapon.names is \[\]; expected a list of names'),
      ('weapon.names', ['a', 'a'], r"weapon.names is .* every name once, and \['a'\] is repeated"),
      ('weapon.legal', ['bow'], r"weapon.legal is \['bow'\]; expected names of .*weapon.names"),
      ('weapon.legal', [], r'actions.parts.weapon.legal is \[\]; expected a list of names'),
      ('step', {'kind': 'binary'}, "actions.parts has a part 'step'; expected .* none of them"),
      ('a/b', {'kind': 'binary'}, "actions.parts has a part 'a/b'; expected names of letters"),
      ('a,b', {'kind': 'binary'}, "actions.parts has a part 'a,b'; expected names of letters"),
      (' a', {'kind': 'binary'}, "actions.parts has a part ' a'; expected names of letters"))
  def test_mistakes_are_named(self, path, value, message):
    place = f'actions.parts.{path}' if path else 'actions.parts'
    with self.assertRaisesRegex(ValueError, message) as raised:
      self._read(changed(place, value, PARTS))
    self.assertStartsWith(str(raised.exception), f'{self._path}: ')
    self.assertNotIn('\n', str(raised.exception))

  @parameterized.parameters(
      ('space', ['a'], 'actions.space is an unknown key; expected key, parts, left_out'),
      ('key', '', "actions.key is ''; expected a name of a field"),
      ('left_out', 'time', "actions.left_out is 'time'; expected a list"),
      ('left_out', ['W'], r"actions.left_out is \['W'\]; expected a list of keys that no part has"))
  def test_mistakes_beside_the_parts(self, key, value, message):
    with self.assertRaisesRegex(ValueError, message):
      self._read(changed(f'actions.{key}', value, PARTS))

  @parameterized.parameters(
      '{"turn": {"kind": "binary"}, "x": {"kind": "binary"}, "turn": {"kind": "binary"}}',
      '{"turn": {"kind": "binary"}, "turn": 3}')
  def test_two_parts_of_one_name(self, parts):
    content = json.dumps(PARTS | {'actions': {'parts': 'HERE'}}).replace('"HERE"', parts)
    with self.assertRaisesRegex(ValueError, 'actions.parts.turn is there twice; expected every'):
      self._read(content)

  def test_two_parts_whose_names_look_the_same(self):
    content = CONTENT | {'actions': {'parts': {
        name: {'kind': 'binary'} for name in ('\u00e9', 'e\u0301')}}}
    with self.assertRaisesRegex(ValueError, 'actions.parts.\u00e9 is there twice'):
      self._read(content)


class ExamplesTest(parameterized.TestCase):
  """Those of experiments/OWN_DATA.md."""

  def setUp(self):
    super().setUp()
    root = pathlib.Path(__file__).resolve().parents[2]
    self._page = (root / 'experiments' / 'OWN_DATA.md').read_text()
    self._directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def _read(self):
    environments = {}
    for content in re.findall(r'^```json\n(.*?)^```', self._page, re.M | re.S):
      (self._directory / 'environment.json').write_text(content)
      environment = environment_file.read(self._directory)
      environments[environment.name] = environment
    return environments

  def test_all_can_be_read(self):
    environments = self._read()
    self.assertEqual(list(environments), ['Racer', 'Shooter', 'Arm6', 'Shop'])
    specs = {name: environment.spec().actions for name, environment in environments.items()}
    self.assertEqual(specs['Racer'], action_space.Discrete(('NOOP', 'LEFT', 'RIGHT', 'BOOST')))
    self.assertEqual({name: [part.kind[:3] for part in specs[name].parts] for name in (
        'Shooter', 'Arm6', 'Shop')}, {
            'Shooter': ['bin', 'bin', 'con', 'cat'], 'Arm6': ['con', 'con', 'con', 'bin'],
            'Shop': ['bin', 'con', 'con', 'con', 'cat']})

  def test_list_is_one_of_the_game(self):
    content = re.findall(r'^```csv\n(.*?)^```', self._page, re.M | re.S)
    content, = (text for text in content if 'forward' in text)
    (self._directory / 'actions.csv').write_text(content)
    listed = import_actions.Actions(self._directory, self._read()['Shooter'])
    actions, is_known, _ = listed.of('first.mp4', 2)
    self.assertEqual({part: values.tolist() for part, values in actions.items()}, {
        'forward': [True, True], 'attack': [False, False], 'turn': [-2.5, 0], 'weapon': [1, 1]})
    self.assertEqual({part: known.tolist() for part, known in is_known.items()}, {
        'forward': [True, True], 'attack': [True, False], 'turn': [True, False],
        'weapon': [True, True]})


if __name__ == '__main__':
  absltest.main()
