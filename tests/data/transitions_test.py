"""Tests of single transitions between stacks of frames, of real recordings."""

import numpy as np
from absl.testing import absltest

from alpt_jax.data import episode_files, sampling, transitions
from alpt_jax.domains.atari import action_sets
from tests.data import atari_data

WINDOW, STACK = 5, 4


def source():
  _, directory, _, _ = atari_data.recorded()
  return episode_files.EpisodeFiles([directory], action_sets.spec(atari_data.GAME))


def chosen(data):
  """Windows at both ends of every episode, and one in the middle of the first."""
  ends = [(e, s) for e, length in enumerate(data.num_transitions.tolist())
          for s in (0, length - WINDOW)]
  return np.array([*ends[:1], (0, 40), *ends[1:]])


class LabelledTransitionsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.data = source()
    self.windows = chosen(self.data)
    self.held = transitions.LabelledTransitions(self.data, self.windows, WINDOW, stack=STACK)

  def test_every_transition_of_the_windows_once_and_no_other(self):
    expected = [(e, s + i) for e, s in self.windows.tolist() for i in range(WINDOW)]
    self.assertEqual([tuple(p) for p in self.held.places.tolist()], expected)
    with self.assertRaises(KeyError):
      self.held.cut(np.array([0]), np.array([39]))

  def test_transitions_are_those_of_the_recording(self):
    segments = sampling.labelled_windows(self.held.places, 1)
    order = np.random.default_rng(0).permutation(len(segments.episode))
    cut = self.held.cut(segments.episode[order], segments.start[order])
    ends = self.data.is_terminal(segments.episode[order])
    self.assertEqual(cut.observations.shape, (len(order), 2, 84, 84, STACK))
    for i, (e, t) in enumerate(zip(segments.episode[order], segments.start[order], strict=True)):
      whole = self.data.cut(np.array([e]), np.array([0]), int(self.data.num_transitions[e]))
      for next_step in (0, 1):
        for k in range(STACK):
          time = t + next_step - (STACK - 1) + k
          frame = whole.observations[0, time, ..., 0] if time >= 0 else 0
          np.testing.assert_array_equal(cut.observations[i, next_step, ..., k], frame)
      self.assertEqual(cut.actions[i, 0], whole.actions[0, t])
      self.assertEqual(cut.rewards[i, 0], whole.rewards[0, t])
      self.assertEqual(cut.returns_to_go[i, 0], whole.returns_to_go[0, t])
      self.assertTrue(cut.is_labelled[i, 0])
      self.assertEqual(cut.is_terminal[i, 0],
                       ends[i] and t == self.data.num_transitions[e] - 1)

  def test_episodes_that_were_cut_do_not_end(self):
    # The recording cuts episodes at 180 steps; its environment said which were over.
    _, _, _, checkpoints = atari_data.recorded()
    over = [timesteps[-1].discount == 0 for episodes in checkpoints for timesteps, _ in episodes]
    self.assertIn(True, over)
    self.assertIn(False, over)
    np.testing.assert_array_equal(
        self.data.is_terminal(np.arange(self.data.num_episodes)), over)


if __name__ == '__main__':
  absltest.main()
