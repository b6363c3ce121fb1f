"""D2E's scores of labels: by hand, across gaps, and where there are none."""

import numpy as np
from absl.testing import absltest

from alpt_jax import action_parts
from alpt_jax.labelling import part_desktop, part_measures
from alpt_jax.measures import timeline

KEY = action_parts.Binary('w')
MOUSE = {axis: action_parts.Continuous(axis, -9, 9, mode='delta') for axis in ('dx', 'dy')}


def score(parts, said, *, steps=None, known=None, step_seconds=.05, episodes=None):
  """`part_desktop.measure` of {name: (part, true)} and {name: said}; one episode by default."""
  length = len(next(iter(said.values())))
  steps = np.arange(length) if steps is None else np.array(steps)
  place = timeline.Timeline(np.zeros(length, int) if episodes is None else episodes, steps)
  known = np.ones(length, bool) if known is None else np.array(known, bool)
  cases = {name: part_measures.Case(part, part, np.array(true, float), known, place)
           for name, (part, true) in parts.items()}
  return part_desktop.measure(
      'Desk', cases, {name: {'idm': part_measures.Said(np.array(x, float))}
                      for name, x in said.items()}, step_seconds, num_resamples=20, seed=0)


def values(found, who):
  return {key: x['value'] for key, x in found['figures'][who].items()}


class DesktopTest(absltest.TestCase):

  def test_by_hand(self):
    true = {'w': (KEY, [0, 0, 1, 1, 0, 0]), 'dx': (MOUSE['dx'], [0, 1, 2, 0, -3, 0]),
            'dy': (MOUSE['dy'], [0, 0, 0, 4, 2, 0])}
    found = score(true, {'w': [0, 0, 1, 0, 0, 0], 'dx': [0, 2, 4, 0, -6, 0],
                         'dy': [0, 0, 0, 2, 4, 0]})
    # Five steps have one before. The press is in its bin; of two releases none is.
    self.assertEqual(found['num_transitions'], 5)
    said = values(found, 'idm')
    self.assertAlmostEqual(said['key_accuracy'], 1 / 3)
    # Bins that move: 1, 2, 0, -3 and their doubles; 0, 0, 4, 2 and 0, 0, 2, 4.
    self.assertAlmostEqual(said['pearson_x'], 1)
    self.assertAlmostEqual(said['pearson_y'], np.corrcoef([0, 0, 4, 2], [0, 0, 2, 4])[0, 1])
    self.assertAlmostEqual(said['scale_ratio_x'], 2)
    self.assertAlmostEqual(said['scale_ratio_y'], 1)
    self.assertEqual(values(found, 'still')['key_accuracy'], 0)
    self.assertIsNone(values(found, 'still')['pearson_x'])
    # Of presses and releases one step late, none is in its bin.
    self.assertEqual(values(found, 'persistence')['key_accuracy'], 0)
    self.assertEqual((found['keys'], found['axes']), (['w'], {'x': 'dx', 'y': 'dy'}))

  def test_several_steps_share_a_bin(self):
    true = {'w': (KEY, [0, 0, 0, 1, 1, 1]), 'dx': (MOUSE['dx'], [0, 1, 1, 0, 3, 0])}
    said = {'w': [0, 0, 0, 0, 1, 1], 'dx': [0, 2, 0, 0, 0, 3]}
    found = {seconds: values(score(true, said, step_seconds=seconds), 'idm')
             for seconds in (.05, .025)}
    self.assertEqual(found[.05]['key_accuracy'], 0)
    # Counted from step 1, bins are steps 1 and 2, 3 and 4, and 5.
    self.assertEqual(found[.025]['key_accuracy'], 1)
    self.assertAlmostEqual(found[.025]['pearson_x'],
                           np.corrcoef([2, 3, 0], [2, 0, 3])[0, 1])

  def test_no_event_is_across_a_gap(self):
    true = {'w': (KEY, [0, 0, 0, 1, 1, 1]), 'dx': (MOUSE['dx'], [1, 2, 1, 2, 1, 2])}
    said = {'w': [0, 0, 0, 0, 0, 0], 'dx': [1, 2, 1, 2, 1, 2]}
    for where in (dict(steps=[0, 1, 2, 5, 6, 7]), dict(episodes=[0, 0, 0, 1, 1, 1])):
      found = score(true, said, **where)
      self.assertEqual(found['num_transitions'], 4)
      self.assertIsNone(values(found, 'idm')['key_accuracy'])  # Nobody pressed anything.
      self.assertEqual(values(found, 'idm')['scale_ratio_x'], 1)
    found = score(true, said, known=[1, 1, 1, 0, 1, 1])
    self.assertEqual(found['num_transitions'], 3)

  def test_where_there_is_no_mouse_or_no_key_there_is_no_score(self):
    turn = action_parts.Continuous('joint', -1, 1)
    for parts, message in (
        ({'w': (KEY, [0, 1])}, 'Desk has 1 binary parts and 0 that are a delta; D2E scores keys'),
        ({'w': (KEY, [0, 1]), 'joint': (turn, [0, 1])}, '1 binary parts and 0 that are a delta'),
        ({'dx': (MOUSE['dx'], [0, 1])}, 'Desk has 0 binary parts and 1 that are a delta'),
        ({'w': (KEY, [0, 1]), **{str(i): (MOUSE['dx'], [0, 1]) for i in range(3)}},
         'Desk has 1 binary parts and 3 that are a delta')):
      self.assertIn(message, score(parts, {name: [0, 1] for name in parts})['unknown'])
    found = score({'w': (KEY, [0, 1]), 'dx': (MOUSE['dx'], [0, 1])}, {'w': [0, 1], 'dx': [0, 1]},
                  known=[1, 0])
    self.assertEqual(found, {
        'unknown': 'no two steps in a row have keys and motion that are known'})

  def test_of_an_unknown_length_a_step_is_a_bin(self):
    true = {'w': (KEY, [0, 0, 1, 0, 0]), 'dx': (MOUSE['dx'], [0, 1, 2, 3, 0])}
    said = {'w': [0, 1, 1, 0, 0], 'dx': [0, 1, 1, 3, 1]}
    unknown, known = (score(true, said, step_seconds=seconds) for seconds in (None, .05))
    self.assertEqual((unknown['step_seconds'], known['step_seconds']), (None, .05))
    self.assertEqual(unknown['figures'], known['figures'])


if __name__ == '__main__':
  absltest.main()
