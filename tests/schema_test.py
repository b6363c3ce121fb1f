"""Kinds of JSON: what is let in, and how what is refused is named."""

import math
import os
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax import schema


def not_seven(record, where):
  if record['x'] == 7:
    schema.fail(f'{where}.x', 'is 7', 'another number')


POINT = schema.Also({'x': float, 'label?': str}, not_seven)
SHAPE = {
    'name': schema.one_of(('line', 'area')), 'points': [POINT], 'size': ({'unknown': str}, POINT),
    'colours?': {str: schema.SHARE}, 'origin?': (POINT, None), 'length?': schema.NUMBER,
    'extra?': object, 'level?': schema.Rule([str], lambda x: len(x) < 3, 'a list of at most 2'),
    'tags?': schema.filled(dict), **schema.optional(int, 'width', 'height')}


def shape(**changes):
  return {'name': 'line', 'points': [{'x': 1}, {'x': 2.5, 'label': 'b'}],
          'size': {'x': 0}} | changes


class CheckTest(parameterized.TestCase):

  @parameterized.parameters(
      {}, {'size': {'unknown': 'never measured'}}, {'origin': None}, {'origin': {'x': math.nan}},
      {'length': None}, {'length': 3}, {'colours': {'red': 1, 'what?': 0}}, {'other': 'key'},
      {'extra': [{}]}, {'level': ['b', 'x']}, {'tags': {'a': []}}, {'width': 3})
  def test_lets_in(self, **changes):
    schema.check(shape(**changes), SHAPE, 'it')

  @parameterized.parameters(
      ({'name': 'dot'}, "it.name is 'dot'; expected one of ['area', 'line']"),
      ({'points': {}}, 'it.points is {}; expected a list'),
      ({'points': [{'x': 1}, 3]}, 'it.points[1] is 3; expected an object'),
      ({'points': [{'label': 'a'}]}, 'it.points[0].x is missing; expected a number'),
      ({'points': [{'x': '1'}]}, "it.points[0].x is '1'; expected a number"),
      ({'points': [{'x': True}]}, 'it.points[0].x is True; expected a number'),
      ({'points': [{'x': 7}]}, 'it.points[0].x is 7; expected another number'),
      ({'colours': {'red': 1.5}}, 'it.colours.red is 1.5; expected a number between 0 and 1'),
      ({'origin': 4}, 'it.origin is 4; expected an object or null'),
      ({'origin': {}}, 'it.origin.x is missing; expected a number'),
      ({'size': {'why': 'x'}}, 'it.size.x is missing; expected a number'),
      ({'length': 'far'}, "it.length is 'far'; expected a number or null"),
      ({'level': ['a'] * 3}, "it.level is ['a', 'a', 'a']; expected a list of at most 2"),
      ({'level': [1]}, 'it.level[0] is 1; expected a string'),
      ({'tags': {}}, 'it.tags is {}; expected an object, not empty'),
      ({'height': .5}, 'it.height is 0.5; expected a whole number'),
      ({'length': 'x' * 99}, f"it.length is '{'x' * 39}...; expected a number or null"))
  def test_names_the_first_bad_field(self, changes, message):
    with self.assertRaises(ValueError) as caught:
      schema.check(shape(**changes), SHAPE, 'it')
    self.assertEqual(str(caught.exception), message)

  @parameterized.parameters(
      (-1, schema.COUNT, 'a whole number, 0 or more'), (True, schema.COUNT, 'a whole number'),
      (0, schema.POSITIVE, 'a whole number, 1 or more'), (1., schema.COUNT, 'a whole number'),
      (math.inf, schema.FINITE, 'a finite number'), (None, float, 'a number'),
      (-.1, schema.NOT_NEGATIVE, 'a finite number, 0 or more'), (1, str, 'a string'),
      (1, bool, 'true or false'), (2, schema.one_of((1,)), '1'),
      ('b', schema.one_of(('a',)), "'a'"))
  def test_kinds_of_a_single_value(self, value, kind, expected):
    with self.assertRaisesRegex(ValueError, f'the content is .*; expected {expected}'):
      schema.check(value, kind)

  def test_names_that_are_no_fields_are_refused_with_the_nearest(self):
    kind = {'x': float, 'label?': str}
    schema.check_names({'x': 1, 'label': 'a'}, kind)
    with self.assertRaisesRegex(
        ValueError, r'^p\.lable is an unknown key; expected x, label; did you mean label\?$'):
      schema.check_names({'lable': 1}, kind, 'p')


class ReadTest(parameterized.TestCase):

  @parameterized.parameters((b'', 1), (b'{"a": ', 1), (b'"\xff"', 1), (b'[', 100_000),
                            (b'{"a":', 100_000))
  def test_what_is_not_json_is_one_error(self, content, times):
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'a.json')
    with open(path, 'wb') as f:
      f.write(content * times)
    with self.assertRaisesRegex(ValueError, f'^{path}: not JSON .*Make it again.$'):
      schema.read(path, remedy='Make it again.')

  @parameterized.parameters(
      ('{"a": 1, "b": {}, "a": 2}', 'a'),
      ('{"a": 1, "a": 1}', 'a'),
      ('{"list": [{}, {"point": {"x": 1, "x": 2}}]}', r'list\[1\].point.x'),
      ('{"kept": {}, "twice": {"x": 1, "x": 2}, "twice": {}}', 'twice'),
      ('{"x": {"y": {"z": 1, "z": 2}, "y": 3}}', 'x.y'))
  def test_a_name_that_is_there_twice_is_refused(self, content, place):
    path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'a.json')
    with open(path, 'w') as f:
      f.write(content)
    with self.assertRaisesRegex(
        ValueError, f'^{path}: {place} is there twice; expected every name once. Correct it.$'):
      schema.read(path, remedy='Correct it.')


if __name__ == '__main__':
  absltest.main()
