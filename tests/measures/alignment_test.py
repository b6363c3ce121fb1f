"""Tests of alignment on hand-made worlds: who moves what, and when it is seen, is known."""

import functools
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import alignment, intervals, picture_changes

SIZE = 24


def play(seed, *, num_steps=100, latency=0, delay=0, follows=0., persists=.5):
  """A player moves a dot to either side, or not, while a ball drifts above it.

  Args:
    seed: of all draws.
    num_steps: T.
    latency: transitions from an action to the movement of the dot.
    delay: transitions that the player has to react; 0 is at once.
    follows: how often the action is the last movement of the ball that the player has seen, not
      drawn at random.
    persists: how often the ball goes on as before.

  Returns:
    [T + 1, SIZE, SIZE, 1] uint8 pictures, and [T] int actions, 0 to 2.
  """
  rng = np.random.default_rng(seed)
  dot, ball, moved, actions, pictures = SIZE // 2, SIZE // 2, [], [], []
  for t in range(num_steps + 1):
    picture = np.zeros((SIZE, SIZE, 1), np.uint8)
    picture[SIZE - 4:SIZE - 2, np.arange(dot, dot + 2) % SIZE] = 200
    picture[3:5, np.arange(ball, ball + 2) % SIZE] = 255
    pictures.append(picture)
    goes_on = moved and rng.random() < persists
    movement = moved[-1] if goes_on else int(rng.integers(-1, 2))
    seen = moved[t - 1 - delay] if t > delay else 0
    actions.append(seen if rng.random() < follows else int(rng.integers(-1, 2)))
    dot += 2 * (actions[t - latency] if t >= latency else 0)
    ball += 2 * movement
    moved.append(movement)
  return np.stack(pictures), np.array(actions[:num_steps]) + 1


@functools.cache
def _played(seed, **world):
  pictures, actions = play(seed, **world)
  return (*picture_changes.features(pictures), actions)


def listed(episode, seed, *, late=0, **world):
  """The stretch of an episode whose list is late by some transitions; early if below 0."""
  changes, movement, actions = _played(seed, **world)
  steps = np.arange(len(actions)) - late
  is_known = (steps >= 0) & (steps < len(actions))
  return alignment.Stretch(
      episode, changes, movement,
      alignment.indicators(actions[steps % len(actions)], 3), is_known)


def measured(late, num_episodes=12, **world):
  """The alignment of lists that are all late by `late`, or each by an entry of it."""
  late = np.broadcast_to(late, num_episodes).tolist()
  return alignment.measure([listed(i, i, late=n, **world) for i, n in enumerate(late)])


class AlignmentTest(parameterized.TestCase):

  @parameterized.parameters(
      (0, 'aligned', 0), (1, 'late', 1), (2, 'late', 2), (3, 'late', 3), (-1, 'not late', 1))
  def test_a_dot_that_moves_as_the_action_says(self, late, kind, steps):
    found = measured(late)
    self.assertEqual(alignment.verdict(found), (kind, steps))
    self.assertEqual(found.effects, (-late,))
    gain = {gain.lag: gain for gain in found.gains}[-late]
    # The dot's movement is the action, which is drawn: it tells all, and nothing else any of it.
    self.assertGreater(gain.value, .95)
    self.assertLessEqual(gain.low, gain.value)
    self.assertGreaterEqual(gain.high, gain.value)
    self.assertLess(max(abs(gain.value) for gain in found.gains if gain.lag != -late), .05)
    self.assertLess(abs(found.past), .05)
    self.assertEqual((found.num_episodes, found.num_transitions),
                     (12, 12 * (100 - 8 - max(0, abs(late) - 4))))

  @parameterized.product(
      world=(dict(follows=.8, persists=0.), dict(follows=.8, persists=.7),
             dict(follows=.9, persists=.5), dict(follows=.8, delay=2)),
      late=(0, 1, 2))
  def test_a_player_that_reacts_to_what_it_sees(self, world, late):
    found = measured(late, **world)
    before = [gain.value for gain in found.gains if gain.lag < -late]
    if late + world.get('delay', 0) < 3:  # There is something to be misled by.
      self.assertGreater(max(before), .25 * max(gain.value for gain in found.gains))
    self.assertEqual(alignment.verdict(found), ('late', late) if late else ('aligned', 0))

  def test_a_player_that_hardly_does_anything_else_cannot_be_told(self):
    for late in (0, 1):
      found = measured(late, num_episodes=16, follows=.95)
      self.assertEqual(alignment.verdict(found).kind, 'cannot tell')
      self.assertIn('reacts', found.reason)

  def test_a_stated_latency_tells_early_from_late_pictures(self):
    for late, unstated, stated in ((0, ('not late', 1), ('aligned', 0)),
                                   (1, ('aligned', 0), ('late', 1)),
                                   (2, ('late', 1), ('late', 2)),
                                   (-1, ('not late', 2), ('early', 1))):
      found = measured(late, latency=1)
      self.assertEqual(alignment.verdict(found), unstated)
      self.assertEqual(alignment.verdict(found, latency=1), stated)

  def test_episodes_that_differ_are_named_and_do_not_count(self):
    late = np.zeros(20, int)
    late[[3, 8, 15]] = 1, 2, -1
    found = measured(late, 20, follows=.5)
    self.assertEqual({d.episode: d.late for d in found.differences}, dict(enumerate(late)))
    self.assertEqual((alignment.verdict(found), found.num_episodes), (('aligned', 0), 17))
    for d in found.differences:
      self.assertLess(d.low, d.gain)
      self.assertGreater(d.high, d.gain)
      self.assertEqual(d.gain > 0, bool(d.late))

  def test_most_episodes_are_late_and_the_others_differ(self):
    late = np.ones(20, int)
    late[[3, 8]] = 0
    found = measured(late, 20)
    self.assertEqual(alignment.verdict(found), ('late', 1))
    self.assertEqual({d.episode: d.late for d in found.differences}, dict(enumerate(late - 1)))

  def test_files_of_which_half_are_late_disagree(self):
    found = measured([1] * 6 + [0] * 6, follows=.5)
    self.assertEqual(alignment.verdict(found), ('files disagree', 1))
    self.assertIn((found.group, found.group_late),
                  ((tuple(range(6)), 1), (tuple(range(6, 12)), -1)))
    # Each is of one of the two, and none says anything else.
    self.assertEqual({d.episode: d.late for d in found.differences},
                     {i: found.group_late * (i in found.group) for i in range(12)})

  def test_late_files_too_short_to_be_judged_alone_are_found_together(self):
    late = np.zeros(16, int)
    late[[2, 5, 9, 12]] = 1
    found = measured(late, 16, num_steps=28, follows=.8)
    self.assertEqual((found.group, found.group_late), ((2, 5, 9, 12), 1))
    self.assertEqual((alignment.verdict(found), found.num_episodes), (('aligned', 0), 12))
    self.assertEqual([found.differences[i].late for i in found.group], [None, 1, 1, 1])
    self.assertContainsSubset({d.late for d in found.differences if d.episode not in found.group},
                              {0, None})

  def test_an_effect_that_no_lag_reaches_cannot_be_told(self):
    found = measured(-2, latency=2)  # Four transitions after the listed action.
    self.assertEqual((alignment.verdict(found).kind, found.effects), ('cannot tell', ()))
    self.assertEqual((found.differences, found.group), ((), ()))

  def test_a_gain_that_is_small_or_of_some_episodes_only_gives_no_verdict(self):
    lags = mock.Mock(spec=alignment._Lags)
    interval = functools.partial(intervals.Interval, n=12, over=intervals.EPISODES)
    nothing = interval(0., -.01, .01)
    for value, low, is_enough in ((.011, .008, False), (.03, .004, False), (.03, .012, True)):
      shares = [nothing] * 3 + [interval(value, low, 2 * value)] + [nothing] * 3
      effects, reason = alignment._effects(lags, shares)
      self.assertEqual((effects, bool(reason)), ([3] if is_enough else [], not is_enough))

  def test_an_episode_without_movement_is_not_judged(self):
    stretches = [listed(i, i) for i in range(12)]
    still = np.zeros_like(stretches[0].changes)
    stretches[5] = stretches[5]._replace(changes=still,
                                         movement=np.zeros_like(stretches[5].movement))
    found = alignment.measure(stretches)
    self.assertEqual([d.late for d in found.differences], [0] * 5 + [None] + [0] * 6)

  def test_actions_that_do_nothing_cannot_be_told(self):
    rng = np.random.default_rng(0)
    stretches = [listed(i, i, follows=0.) for i in range(12)]
    stretches = [s._replace(targets=alignment.indicators(rng.integers(3, size=100), 3))
                 for s in stretches]
    found = alignment.measure(stretches)
    self.assertEqual((alignment.verdict(found).kind, found.effects), ('cannot tell', ()))
    self.assertIn('no change of the picture tells', found.reason)

  def test_windows_of_an_episode_are_one_episode(self):
    stretches = []
    for i in range(12):
      whole = listed(i, i, late=1)
      stretches += [alignment.Stretch(i, *(field[begin:begin + 20] for field in whole[1:]))
                    for begin in (0, 30, 70)]
    found = alignment.measure(stretches)
    self.assertEqual(alignment.verdict(found), ('late', 1))
    self.assertEqual((found.num_episodes, found.num_transitions), (12, 12 * 3 * 12))

  def test_increments_of_a_continuous_part_are_targets_too(self):
    for late, kind in ((0, 'aligned'), (1, 'late')):
      stretches = [listed(i, i, late=late) for i in range(12)]
      side = np.array([[-1.], [0.], [1.]])  # How far the dot is pushed, one number.
      found = alignment.measure([s._replace(targets=s.targets @ side) for s in stretches])
      self.assertEqual(alignment.verdict(found), (kind, late))

  def test_too_little_is_said(self):
    for stretches, reason in (
        ([listed(i, i) for i in range(7)], '7 episodes have'),
        ([listed(i, i, num_steps=20) for i in range(12)], '144 transitions have'),
        ([listed(i, i)._replace(targets=np.ones((100, 1))) for i in range(8)], 'are the same'),
        ([listed(i, i)._replace(is_known=np.zeros(100, bool)) for i in range(8)], '0 episodes')):
      found = alignment.measure(stretches)
      self.assertIn(reason, found.reason)
      self.assertEqual(found.gains, ())
      self.assertEqual(alignment.verdict(found).kind, 'cannot tell')

  def test_the_same_seed_gives_the_same_numbers(self):
    self.assertEqual(measured(0), measured(0))

  def test_stretches_of_different_pictures_are_refused(self):
    stretches = [listed(0, 0), listed(1, 1)._replace(movement=np.zeros((100, 2), np.float32))]
    for wrong in (stretches, []):
      with self.assertRaisesRegex(ValueError, 'stretches have changes, movements and targets'):
        alignment.measure(wrong)


if __name__ == '__main__':
  absltest.main()
