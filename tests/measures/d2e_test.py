"""D2E's scorer: worked by hand, and against a version of its rules written anew bin by bin."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import d2e, events, resampling
from alpt_jax.measures import timeline as timeline_


def _recording(keys=(), buttons=(), moves=()):
  return d2e.Recording(list(keys), list(buttons), np.array(moves, float).reshape(-1, 3))


def _random(seed, num=60, seconds=4.):
  rng = np.random.default_rng(seed)
  times = lambda: rng.integers(int(1000 * seconds), size=num) / 1000  # noqa: E731
  return _recording(
      [(t, f'press_{rng.integers(3)}') for t in times()],
      [(t, d2e.BUTTONS[rng.integers(6)]) for t in times()],
      [(t, *rng.integers(-20, 20, 2)) for t in times()])


def _slow(true, predicted, start, end):
  """Bin by bin, in milliseconds."""
  edges = list(range(round(1000 * start), round(1000 * end), 50)) + [round(1000 * end)]
  equal, pairs, moved, every = {0: 0, 1: 0}, {0: 0, 1: 0}, [], []
  for begin, stop in zip(edges, edges[1:], strict=False):
    def within(listed, begin=begin, stop=stop):
      return [x for x in listed if begin <= round(1000 * x[0]) < stop]
    for i in (0, 1):
      names = [[name for _, name in within(x[i])] for x in (true, predicted)]
      for name in {*names[0], *names[1]}:
        pairs[i] += 1
        equal[i] += names[0].count(name) == names[1].count(name)
    moves = [within(x.moves.tolist()) for x in (true, predicted)]
    sums = [[sum(m[axis] for m in listed) for listed in moves] for axis in (1, 2)]
    every.append(sums)
    if moves[0] or moves[1]:
      moved.append(sums)
  moved, every = np.array(moved, float), np.abs(every)
  ratios = every.mean(axis=0)[:, 0] / every.mean(axis=0)[:, 1]
  return {
      'summary': {'num_bins': len(edges) - 1},
      'mouse_move': {
          'pearson_x': np.corrcoef(*moved[:, 0].T)[0, 1],
          'pearson_y': np.corrcoef(*moved[:, 1].T)[0, 1],
          'scale_ratio_x': max(ratios[0], 1 / ratios[0]),
          'scale_ratio_y': max(ratios[1], 1 / ratios[1]), 'sample_count': len(moved)},
      'mouse_button': {'button_accuracy': equal[1] / pairs[1], 'sample_count': pairs[1]},
      'keyboard': {'key_accuracy': equal[0] / pairs[0], 'sample_count': pairs[0]}}


class ScoreTest(parameterized.TestCase):

  def test_keys_by_hand(self):
    true = _recording([(.01, 'press_87'), (.02, 'press_87'), (.06, 'release_87'),
                       (.11, 'press_65')])
    said = _recording([(.04, 'press_87'), (.05, 'release_87'), (.14, 'press_65'),
                       (.14, 'press_66')])
    # Bin 0: twice and once; bin 1: equal, whenever in it; bin 2: equal, and a false alarm.
    found = d2e.results(d2e.sums(true, said, end=.3))
    self.assertEqual(found['keyboard'], {'key_accuracy': 2 / 4, 'sample_count': 4})
    self.assertEqual(found['mouse_button'], {'button_accuracy': None, 'sample_count': 0})
    self.assertEqual(found['summary'], {'num_bins': 6})

  def test_buttons_and_keys_are_apart(self):
    true = _recording([(.01, 'press_1')], [(.01, 'left_down'), (.06, 'left_up')])
    said = _recording([], [(.02, 'left_down'), (.06, 'right_up')])
    found = d2e.results(d2e.sums(true, said, end=.1))
    self.assertEqual(found['mouse_button'], {'button_accuracy': 1 / 3, 'sample_count': 3})
    self.assertEqual(found['keyboard'], {'key_accuracy': 0., 'sample_count': 1})

  def test_mouse_by_hand(self):
    true = _recording(moves=[(.01, 1, 0), (.03, 2, 0), (.06, -1, 0), (.16, 2, 1)])
    said = _recording(moves=[(.02, 6, 0), (.07, -1, 0), (.12, 1, 2)])
    # Of x: 3, -1, 0, 2 and 6, -1, 1, 0 in four bins; the other two of the six are silent.
    found = d2e.results(d2e.sums(true, said, end=.3))['mouse_move']
    self.assertAlmostEqual(found['pearson_x'], np.corrcoef([3, -1, 0, 2], [6, -1, 1, 0])[0, 1])
    self.assertAlmostEqual(found['pearson_y'], np.corrcoef([0, 0, 0, 1], [0, 0, 2, 0])[0, 1])
    self.assertAlmostEqual(found['scale_ratio_x'], 8 / 6)
    self.assertAlmostEqual(found['scale_ratio_y'], 2.)
    self.assertEqual(found['sample_count'], 4)

  def test_movements_that_cancel_make_a_bin_that_counts(self):
    true = _recording(moves=[(.01, 1, 1), (.02, -1, -1)])
    said = _recording(moves=[(.06, 5, 2)])
    self.assertEqual(d2e.results(d2e.sums(true, said, end=.2))['mouse_move'], {
        'pearson_x': None, 'pearson_y': None, 'scale_ratio_x': None, 'scale_ratio_y': None,
        'sample_count': 2})

  @parameterized.parameters((0., 4.), (.013, 3.999), (1., 1.73))
  def test_is_that_of_bins_one_by_one(self, start, end):
    for seed in range(5):
      true, said = _random(seed), _random(seed + 100)
      said = d2e.Recording(true.keys[::2] + said.keys[::3], true.buttons[::2] + said.buttons[::3],
                           np.concatenate([true.moves[::2], said.moves[::3]]))
      found = d2e.results(d2e.sums(true, said, start=start, end=end))
      expected = _slow(true, said, start, end)
      self.assertEqual(found.keys(), expected.keys())
      for group, numbers in expected.items():
        self.assertEqual(found[group].keys(), numbers.keys())
        for name, number in numbers.items():
          self.assertAlmostEqual(found[group][name], number, msg=f'{seed} {group} {name}')

  def test_edges_of_bins_are_exact(self):
    # 0.15 is not 3 x 0.05 in floating point.
    for k in range(200):
      true = _recording([(k * .05, 'press_1')])
      said = _recording([(k * .05 + .049, 'press_1')])
      self.assertEqual(d2e.key_accuracy(d2e.sums(true, said, end=20.)), 1, msg=k)

  def test_an_event_across_an_edge_costs_two_pairs(self):
    total = d2e.sums(_recording([(.049, 'press_1')]), _recording([(.051, 'press_1')]), end=1.)
    self.assertEqual(d2e.results(total)['keyboard'], {'key_accuracy': 0., 'sample_count': 2})

  def test_times_in_a_bin_and_events_outside_do_not_matter(self):
    true, said = _random(0), _random(1)
    rng = np.random.default_rng(0)

    def moved(listed):
      return [(int(t / .05 + 1e-6) * .05 + .001 * rng.integers(50), *rest) for t, *rest in listed]

    again = d2e.Recording(
        [*moved(said.keys), (-.01, 'press_1'), (4., 'press_1')][::-1], moved(said.buttons),
        np.array(moved(said.moves.tolist()) + [(9., 100, 100)]))
    np.testing.assert_array_equal(d2e.sums(true, said, end=4.), d2e.sums(true, again, end=4.))

  def test_the_truth_scores_best(self):
    true = _random(0)
    found = d2e.results(d2e.sums(true, true, end=4.))
    for number in (*list(found['mouse_move'].values())[:4], found['keyboard']['key_accuracy'],
                   found['mouse_button']['button_accuracy']):
      self.assertAlmostEqual(number, 1.)

  def test_silence_has_no_numbers(self):
    found = d2e.results(d2e.sums(_recording(), _recording(), end=1.))
    self.assertEqual(set(found['mouse_move'].values()), {None, 0})
    only_true = d2e.results(d2e.sums(_random(0), _recording(), end=4.))
    self.assertEqual(only_true['keyboard']['key_accuracy'], 0)
    self.assertIsNone(only_true['mouse_move']['pearson_x'])
    self.assertIsNone(only_true['mouse_move']['scale_ratio_x'])

  def test_recordings_are_resampled(self):
    totals = np.stack([d2e.sums(_random(i, seconds=1.), _random(i + 50, seconds=1.), end=1.)
                       for i in range(12)])
    for number in (d2e.key_accuracy, d2e.button_accuracy, lambda x: d2e.pearson(x, d2e.X),
                   lambda x: d2e.scale_ratio(x, d2e.Y)):
      found = resampling.interval(totals, number)
      self.assertAlmostEqual(found.value, float(number(totals.sum(axis=0))))
      self.assertBetween(found.value, found.low, found.high)
      self.assertEqual(found.n, 12)

  @parameterized.parameters(
      (dict(start=1., end=1.), r'are in \[1.0, 1.0\); expected'),
      (dict(end=1., bin_seconds=0), 'bins of 0 s'),
      (dict(true=_recording(buttons=[(0., 'wheel_up')]), end=1.), "button is 'wheel_up'; expected"),
      (dict(true=_recording(keys=[(np.nan, 'press_1')]), end=1.), 'time of an event is not finite'),
      (dict(true=_recording(moves=[(0., np.inf, 1)]), end=1.), 'a movement is not finite'))
  def test_bad_input_is_refused(self, settings, message):
    case = dict(true=_recording(), predicted=_recording()) | settings
    with self.assertRaisesRegex(ValueError, message):
      d2e.sums(case.pop('true'), case.pop('predicted'), **case)


class StepsTest(absltest.TestCase):

  def test_by_hand(self):
    found = d2e.from_steps([[1, 0, 0], [1, 1, 0], [0, 1, 1]], ('W', 'left', 'fire'),
                           [[0, 0], [3, 0], [0, -1]], step_seconds=.1, buttons={'fire': 'left'})
    self.assertEqual(found.keys, [(.1, 'press_left'), (.2, 'release_W')])  # A key called left.
    self.assertEqual(found.buttons, [(.2, 'left_down')])
    np.testing.assert_allclose(found.moves, [[.1, 3, 0], [.2, 0, -1]])

  def test_bins_of_a_step_compare_events_at_collar_0(self):
    rng = np.random.default_rng(0)
    true = (rng.random((200, 2)) < .2).cumsum(axis=0) % 2
    said = np.where(rng.random((200, 2)) < .05, 1 - true, true)
    recordings = (d2e.from_steps(x, ('1', '2'), np.zeros((200, 2)), step_seconds=.05)
                  for x in (true, said))
    found = d2e.results(d2e.sums(*recordings, end=10.))['keyboard']
    line, is_known = timeline_.Timeline(np.zeros(200, int), np.arange(200)), np.ones((200, 2), bool)
    counts = events.count(*(events.find(x, is_known, line) for x in (true, said)), is_known, line,
                          collar=0).sum(axis=(0, 1, 2))
    num_pairs = counts[events.TRUE] + counts[events.PREDICTED] - counts[events.MATCHED]
    self.assertEqual(found['sample_count'], num_pairs)
    self.assertEqual(found['key_accuracy'], counts[events.MATCHED] / num_pairs)

  def test_shapes_that_differ_are_refused(self):
    with self.assertRaisesRegex(ValueError, r'is_pressed has shape \(2, 1\) and moves \(3, 2\)'):
      d2e.from_steps([[0], [1]], ('1',), np.zeros((3, 2)), step_seconds=.05)


if __name__ == '__main__':
  absltest.main()
