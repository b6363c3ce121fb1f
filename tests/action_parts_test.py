"""Parts of actions, and spaces of several: 500 random ones against rules written out here."""

import warnings

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space
from tests import random_spaces


class PartsTest(parameterized.TestCase):

  def test_bins_of_equal_width(self):
    part = action_parts.Continuous('turn', -10., 10., num_bins=4)
    np.testing.assert_allclose(part.edges, [-10, -5, 0, 5, 10])
    np.testing.assert_allclose(part.class_values, [-7.5, -2.5, 2.5, 7.5])
    np.testing.assert_array_equal(part.classes([-10, -5.1, -5, -.1, 0, 4.9, 9, 10]),
                                  [0, 0, 1, 1, 2, 2, 3, 3])

  def test_bins_that_grow_from_zero(self):
    part = action_parts.Continuous('dx', -100., 100., num_bins=5, growth=99.)
    # Middles at -4/5, -2/5, 0, .. of log(100): 100 (100^|place| - 1) / 99.
    np.testing.assert_allclose(
        part.class_values, [-39.203, -5.363, 0, 5.363, 39.203], atol=1e-3)
    widths = np.diff(part.edges)
    self.assertTrue(np.all(np.diff(widths[2:]) > 0))
    np.testing.assert_allclose(widths, widths[::-1], rtol=1e-9)
    self.assertEqual(part.classes(0.), 2)

  def test_values_that_wrap_around_meet(self):
    part = action_parts.Continuous('yaw', -180., 180., num_bins=8, wraps=True)
    np.testing.assert_array_equal(part.classes([-180., 180., 179.9, -179.9]), [0, 0, 7, 0])

  def test_quantiles_by_hand(self):
    part = action_parts.Continuous('x', 0., 4., num_bins=4)
    found = part.quantiles(np.array([[.25, .25, .25, .25], [0, .5, 0, .5], [0, 0, 0, 0.]]),
                           [0., .25, .5, .9])
    np.testing.assert_allclose(found, [[0, 1, 2, 3.6], [1, 1.5, 2, 3.8], [np.nan] * 4], atol=1e-6)

  def test_quantiles_of_what_wraps_around_enclose_the_mean(self):
    part = action_parts.Continuous('yaw', -180., 180., num_bins=36, wraps=True)
    probabilities = np.zeros((1, 36))
    probabilities[0, [35, 0]] = .5  # 170 .. 180 and -180 .. -170.
    np.testing.assert_allclose(abs(part.predicted(probabilities)), 180, atol=1e-4)
    found, = part.quantiles(probabilities, [.05, .25, .75, .95])
    np.testing.assert_allclose(found, [171, 175, -175, -171], atol=1e-3)

  def test_quantiles_of_random_distributions(self):
    rng, levels = np.random.default_rng(0), np.array([.05, .25, .5, .75, .95])
    for growth in (0., 9.):
      part = action_parts.Continuous('x', -2., 3., num_bins=31, growth=growth)
      values = np.clip(rng.normal(rng.uniform(-.5, 1.5, (9, 1)), .4, (9, 40000)), -2, 3)
      counts = np.stack([np.bincount(part.classes(row), minlength=31) for row in values])
      found = part.quantiles(counts / counts.sum(axis=1, keepdims=True), levels)
      np.testing.assert_allclose(found, np.quantile(values, levels, axis=1).T, atol=.06)
      np.testing.assert_allclose(
          part.predicted(counts / counts.sum(axis=1, keepdims=True)), values.mean(axis=1), atol=.02)

  @parameterized.parameters(False, True)
  def test_quantiles_are_those_of_each_row_by_itself(self, wraps):
    # None but the ends is a sum of probabilities, where all of a gap would be right.
    rng, levels = np.random.default_rng(0), np.array([0., .05213, .30117, .5019, .95071, 1.])
    for _ in range(30):
      num = int(rng.integers(2, 60))
      part = action_parts.Continuous('x', -2., 3., num_bins=num, wraps=wraps)
      rows = np.maximum(rng.integers(-3, 9, (12, num)), 0)
      found = part.quantiles(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1), levels)
      for row, own in zip(rows, found, strict=True):
        if not row.any():
          self.assertTrue(np.isnan(own).all())
          continue
        first = 0
        if wraps:
          first = int(part.classes(part.predicted(row / row.sum()))) + (num + 1) // 2
        row = np.roll(row, -first)
        sums = np.concatenate([[0], np.cumsum(row) / row.sum()])
        for level, value in zip(levels, own, strict=True):
          b = np.flatnonzero((sums[1:] >= level - 1e-12) & (row > 0))[0]
          place = b + np.clip((level - sums[b]) / (row[b] / row.sum()), 0, 1)
          expected = -2 + 5 / num * (first + place)
          expected = (expected + 2) % 5 - 2 if wraps else expected
          gap = abs(value - expected)
          self.assertLess(min(gap, abs(5 - gap)) if wraps else gap, 1e-5)

  @parameterized.parameters(
      (lambda: action_parts.Continuous('a', 1., 1.), 'low and high of a are 1.0 and 1.0'),
      (lambda: action_parts.Continuous('a', 0., np.nan), 'low and high of a are 0.0 and nan'),
      (lambda: action_parts.Continuous('a', 0., 1., mode='rel'), "mode of a is 'rel'"),
      (lambda: action_parts.Continuous('a', 0., 1., num_bins=1), 'num_bins of a is 1'),
      (lambda: action_parts.Continuous('a', 1., 2., growth=1.), 'leave out 0'),
      (lambda: action_parts.Continuous('a', 0., 1., growth=-1.), 'growth of a is -1.0'),
      (lambda: action_parts.Continuous('a', 0., 1., growth=1., wraps=True), 'wrap around'),
      (lambda: action_parts.Categorical('a', ('x', 'x')), "names of a are .*each once"),
      (lambda: action_parts.Categorical('a', ('x',), legal=('y',)), "legal values of a are"),
      (lambda: action_space.Parts(()), 'expected at least one, each once'),
      (lambda: action_space.Parts((action_parts.Binary('a'),) * 2), r"\['a', 'a'\]; expected"))
  def test_parts_that_mean_nothing(self, make, message):
    with self.assertRaisesRegex(ValueError, message):
      make()

  def test_values_beyond_float32_are_out_of_range_without_a_word(self):
    part = action_parts.Continuous('x', 0., 1.)
    with warnings.catch_warnings():
      warnings.simplefilter('error')
      self.assertEqual(part.problem([1e300, -1e300, .5])[0].tolist(), [True, True, False])

  def test_random_spaces(self):
    for seed in range(500):
      with self.subTest(seed=seed):
        rng = np.random.default_rng(seed)
        space = random_spaces.space(rng)
        stored = {part.name: random_spaces.values(rng, part, 20) for part in space.parts}
        self.assertEqual(space.check(stored, name='x'), '')
        actions = space.to_ids(stored)
        self.assertEqual((actions.shape, actions.dtype), ((20, len(space.parts)), np.float32))
        back = space.to_stored(actions)
        for part in space.parts:
          np.testing.assert_array_equal(back[part.name], np.float32(stored[part.name]))
        # Classes lie in their segments, are legal, and hold what they stand for.
        classes = space.classes(actions)
        for p, (part, segment) in enumerate(zip(space.parts, space.segments, strict=True)):
          self.assertEqual(segment.stop - segment.start, part.num_classes)
          self.assertTrue(space.mask[segment][classes[:, p]].all())
          if part.kind != 'continuous':
            np.testing.assert_array_equal(part.class_values[classes[:, p]], actions[:, p])
            continue
          inside = part.edges[classes[:, p]], part.edges[classes[:, p] + 1]
          values = actions[:, p].astype(float)
          if part.wraps:
            values = np.where(values >= np.float32(part.high), part.low, values)
          self.assertTrue(np.all((inside[0] - 1e-5 <= values) & (values <= inside[1] + 1e-5)))
          np.testing.assert_array_equal(part.classes(part.class_values),
                                        np.arange(part.num_classes))
        self.assertEqual(space.segments[-1].stop, space.num)
        self.assertLen(space.names, space.num)

  def test_what_is_not_known_is_zero(self):
    space = action_space.Parts((action_parts.Binary('key'), action_parts.Continuous('x', 5., 9.)))
    stored = {'key': np.array([1, 7]), 'x': np.array([6., np.nan])}
    is_known = {'key': np.array([True, False]), 'x': np.array([True, False])}
    self.assertEqual(space.check(stored, is_known, name='x'), '')
    np.testing.assert_array_equal(space.to_ids(stored, is_known), [[1, 6], [0, 0]])

  @parameterized.parameters(
      ({'key': [2], 'x': [6.]}, 'action key is 2 at step 0 .*expected 0 or 1'),
      ({'key': [0], 'x': [9.5]}, r'action x is 9.5 .*expected a number in \[5.0, 9.0\] m'),
      ({'key': [0], 'x': [np.nan]}, 'action x is nan'),
      ({'key': [[0]], 'x': [6.]}, 'action key is int64 of shape'),
      ({'key': ['up'], 'x': [6.]}, 'action key is <U2'),
      ({'key': [0]}, r"actions have parts \['key'\]; toy has \['key', 'x'\]"),
      ({'key': [0], 'x': [6.], 'y': [0]}, 'actions have parts'))
  def test_actions_that_it_does_not_have(self, stored, message):
    space = action_space.Parts(
        (action_parts.Binary('key'), action_parts.Continuous('x', 5., 9., unit='m')))
    stored = {name: np.array(values) for name, values in stored.items()}
    self.assertRegex(space.check(stored, name='toy'), message)


class UnionTest(parameterized.TestCase):

  def test_parts_are_matched_by_name(self):
    robot6 = action_space.Parts(tuple(
        action_parts.Continuous(f'joint{i}', -1., 1., num_bins=4) for i in range(2)))
    robot7 = action_space.Parts((
        action_parts.Binary('grip'), action_parts.Continuous('joint1', -2., 1., num_bins=4),
        action_parts.Continuous('joint0', -1., 1., num_bins=4)))
    six, seven = action_space.union([robot6, robot7], ['six', 'seven'])
    self.assertEqual(six.part_names, ('joint0', 'joint1', 'grip'))
    self.assertEqual(seven.parts, six.parts)
    np.testing.assert_array_equal(six.has, [True, True, False])
    # joint1 has bins of [-2, 1] here: -2, -1.25, -.5, .25, 1. Six's values begin at -1.
    np.testing.assert_array_equal(six.mask, [1, 1, 1, 1, 0, 1, 1, 1, 0, 0])
    self.assertTrue(seven.mask.all())
    stored = {'joint0': np.array([.5]), 'joint1': np.array([-1.])}
    np.testing.assert_array_equal(six.to_ids(stored), [[.5, -1., 0.]])
    np.testing.assert_array_equal(six.known(True, 1), [[True, True, False]])
    self.assertEqual(set(six.to_stored(np.zeros((1, 3)))), {'joint0', 'joint1'})

  def test_the_largest_value_is_legal_on_an_edge_of_the_run_too(self):
    own = action_space.Parts((action_parts.Continuous('stick', -.5, .5, num_bins=4),))
    wide = action_space.Parts((action_parts.Continuous('stick', -1., 1., num_bins=4),))
    _, space = action_space.union([wide, own], ['wide', 'own'])
    self.assertTrue(space.mask[space.classes(np.array([[-.5], [.5]]))].all())
    np.testing.assert_array_equal(space.values(np.array([[1], [2], [3]])), [[-.25], [.25], [.5]])

  def test_names_of_categorical_parts_are_joined(self):
    first = action_space.Parts((action_parts.Categorical('weapon', ('a', 'b', 'c'), ('a', 'b')),))
    second = action_space.Parts((action_parts.Categorical('weapon', ('d', 'b')),))
    one, two = action_space.union([first, second], ['one', 'two'])
    self.assertEqual(one.parts[0].names, ('a', 'b', 'c', 'd'))
    np.testing.assert_array_equal(one.mask, [1, 1, 0, 0])
    np.testing.assert_array_equal(two.mask, [0, 1, 0, 1])
    np.testing.assert_array_equal(two.to_ids({'weapon': np.array([0, 1])}), [[3], [1]])
    np.testing.assert_array_equal(two.to_stored(np.array([[3.], [1.]]))['weapon'], [0, 1])

  def test_random_environments_keep_their_values(self):
    for seed in range(100):
      with self.subTest(seed=seed):
        rng = np.random.default_rng(seed)
        whole = random_spaces.space(rng)
        spaces = [action_space.Parts(tuple(p for p in whole.parts if rng.random() < .6)
                                     or whole.parts[:1]) for _ in range(3)]
        for space, own in zip(
            action_space.union(spaces, ['a', 'b', 'c']), spaces, strict=True):
          stored = {part.name: random_spaces.values(rng, part, 9) for part in own.parts}
          self.assertEqual(space.check(stored, name='x'), '')
          back = space.to_stored(space.to_ids(stored))
          for name, values in stored.items():
            np.testing.assert_array_equal(back[name], np.float32(values))
          np.testing.assert_array_equal(space.has, [p.name in own.part_names for p in space.parts])
          for part, segment in zip(space.parts, space.segments, strict=True):
            self.assertEqual(space.mask[segment].any(), part.name in own.part_names)

  def test_a_layout_of_its_own_and_that_of_the_run(self):
    own = action_space.Parts((action_parts.Binary('key'), action_parts.Continuous('x', 0., 1.)))
    other = action_space.Parts((action_parts.Continuous('x', 0., 2.), action_parts.Binary('jump')))
    run, _ = action_space.union([other, own], ['other', 'own'])
    self.assertEqual(own.within(run), action_space.union([other, own], ['other', 'own'])[1])
    actions, known = own.laid_out(np.array([[1, .5], [0, 0]], np.float32),
                                  np.array([[True, True], [True, False]]), own.within(run))
    np.testing.assert_array_equal(actions, [[.5, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(known, [[True, False, True], [False, False, True]])
    wide = action_space.Parts((action_parts.Continuous('x', -9., 9.), action_parts.Binary('key')))
    left = other.within(wide)  # Which has no `jump`.
    self.assertEqual(left, action_space.Parts(wide.parts, (other.parts[0], None)))

  @parameterized.parameters(
      ((action_parts.Binary('jump'),), r"parts are \['jump'\] in Play and .*'way'\] in IDM; expe"),
      ((action_parts.Binary('x'),), "kind of action part x is 'continuous' in IDM and 'binary'"),
      ((action_parts.Continuous('x', 0., 1., unit='rad'),), "unit .* 'deg' in IDM and 'rad' in P"),
      ((action_parts.Continuous('x', 0., 1.5, unit='deg'),),
       'x has numbers from 0.0 to 1.5 in Play, and IDM knows numbers from 0.0 to 1.0; expected no'),
      ((action_parts.Categorical('way', ('a', 'c')),),
       r"way has names \['c'\] in Play, and IDM knows names \['b', 'a'\]"),
      ((action_parts.Continuous('yaw', 0., 90., wraps=True),),
       'yaw has numbers from 0.0 to 90.0 in Play, and IDM knows numbers from 0.0 to 360.0'))
  def test_layouts_that_do_not_fit(self, parts, message):
    run = action_space.Parts((
        action_parts.Continuous('x', 0., 1., unit='deg'),
        action_parts.Continuous('yaw', 0., 360., wraps=True),
        action_parts.Categorical('way', ('b', 'a'))))
    with self.assertRaisesRegex(ValueError, message):
      action_space.Parts(parts).within(run, ('IDM', 'Play'))

  def test_one_action_is_laid_out_as_it_is_or_not_at_all(self):
    space = action_space.Discrete(('a', 'b'), legal=(1,))
    self.assertIs(space.within(action_space.Discrete(('a', 'b'))), space)
    with self.assertRaisesRegex(ValueError, r"space is \['a', 'b'\], that of IDM is \['b', 'a'\]"):
      space.within(action_space.Discrete(('b', 'a')), ('IDM', 'Play'))
    parts = action_space.Parts((action_parts.Binary('x'),))
    with self.assertRaisesRegex(
        ValueError, 'Play has one action of a list at every step, and IDM has actions of several'):
      space.within(parts, ('IDM', 'Play'))
    with self.assertRaisesRegex(ValueError, 'Play has actions of several parts, and IDM has one'):
      parts.within(space, ('IDM', 'Play'))

  @parameterized.parameters(
      (action_parts.Binary('x'), 'kind of action part x is \'continuous\' in one and \'binary\''),
      (action_parts.Continuous('x', 0., 1., unit='rad'), "unit .* 'deg' in one and 'rad' in two"),
      (action_parts.Continuous('x', 0., 1., unit='deg', mode='delta'), "mode .*'absolute' in one"),
      (action_parts.Continuous('x', 0., 1., unit='deg', wraps=True), 'wraps of action part x'))
  def test_parts_that_do_not_fit(self, other, message):
    spaces = [action_space.Parts((action_parts.Continuous('x', 0., 1., unit='deg'),)),
              action_space.Parts((other,))]
    with self.assertRaisesRegex(ValueError, message):
      action_space.union(spaces, ['one', 'two'])

  def test_one_action_beside_several_parts(self):
    spaces = [action_space.Discrete(('a',)), action_space.Parts((action_parts.Binary('x'),))]
    self.assertEqual(action_space.union(spaces[:1], ['a']), spaces[:1])
    with self.assertRaisesRegex(ValueError, 'one has one action of 1 at every step'):
      action_space.union(spaces, ['one', 'two'])

  def test_angles_of_two_ranges(self):
    spaces = [action_space.Parts((action_parts.Continuous('x', low, low + 360., wraps=True),))
              for low in (0., -180.)]
    with self.assertRaisesRegex(ValueError, 'x wraps around at 0.0 and 360.0 in one'):
      action_space.union(spaces, ['one', 'two'])


if __name__ == '__main__':
  absltest.main()
