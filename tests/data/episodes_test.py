"""What all code asks of episodes is the same in memory and on disk."""

import inspect

import numpy as np
from absl.testing import absltest

from alpt_jax.data import episode_files, episodes
from alpt_jax.domains.atari import action_sets
from tests.data import atari_data

WINDOWS = [(0, 2), (0, 9), (2, 0)]


class EpisodesTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    on_disk = episode_files.EpisodeFiles(
        [atari_data.recorded()[1]], action_sets.spec(atari_data.GAME))
    lengths = on_disk.num_transitions
    first = np.cumsum(lengths + 1) - lengths - 1
    cuts = [on_disk.cut(np.array([e]), np.array([0]), n) for e, n in enumerate(lengths.tolist())]
    fields = [np.concatenate([np.append(getattr(cut, name)[0], last) for cut in cuts])
              for name, last in (('actions', 0), ('rewards', 0.), ('is_labelled', False))]
    self.on_disk, self.in_memory = on_disk, episodes.InMemory(
        np.concatenate([cut.observations[0] for cut in cuts]), fields[0].astype(np.int32),
        fields[1].astype(np.float32), fields[2].astype(bool), first, lengths)

  def assert_same(self, first, second):
    self.assertEqual(first.num_episodes, second.num_episodes)
    for name in ('num_transitions', 'num_labelled'):
      np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for e, length in enumerate(first.num_transitions.tolist()):
      for a, b in zip(first.actions_of(e), second.actions_of(e), strict=True):
        np.testing.assert_array_equal(a, b)
      for a, b in zip(*(x.cut(np.array([e]), np.array([0]), length + 2)[:5]
                        for x in (first, second)), strict=True):
        np.testing.assert_array_equal(a, b)
      np.testing.assert_array_equal(
          first.frames(e, length - 1, length + 3), second.frames(e, length - 1, length + 3))

  def test_both_say_the_same(self):
    self.assert_same(self.on_disk, self.in_memory)

  def test_both_hide_the_same_actions(self):
    found = [x.hidden(WINDOWS, 3) for x in (self.on_disk, self.in_memory)]
    self.assert_same(*found)
    self.assertEqual(np.flatnonzero(found[1].actions_of(0)[1]).tolist(), [2, 3, 4, 9, 10, 11])
    self.assertFalse(found[1].actions_of(1)[1].any())
    np.testing.assert_array_equal(found[1].num_labelled, self.in_memory.num_transitions)
    self.assertTrue(self.in_memory.actions_of(1)[1].all())  # As before.

  def test_what_is_hidden_stays_hidden_and_changes_add_up(self):
    def change(episode, actions, is_labelled):
      return np.where(is_labelled, (actions + episode + 1) % 7, actions), is_labelled | False

    found = []
    for x in (self.on_disk, self.in_memory):
      found.append(x.hidden(WINDOWS, 3).with_actions(change).hidden([(0, 0)], 4))
      actions, is_labelled = found[-1].actions_of(0)
      self.assertEqual(np.flatnonzero(is_labelled).tolist(), [2, 3])
      before = x.actions_of(0)[0]
      self.assertEqual(actions[2:4].tolist(), ((before[2:4] + 1) % 7).tolist())
      self.assertFalse(actions[:2].any() or actions[4:].any())
    self.assert_same(*found)

  def test_play_that_may_look_the_same_by_chance_is_no_duplicate(self):
    episode_files.check_no_duplicates({'a': self.in_memory, 'b': self.in_memory})
    episode_files.check_no_duplicates({'a': self.in_memory, 'b': self.on_disk})
    with self.assertRaisesRegex(ValueError, r'episode \d+ of b is the same as episode \d+ of a'):
      episode_files.check_no_duplicates({'a': self.on_disk, 'b': self.on_disk})

  def test_both_have_all_that_is_asked_of_episodes(self):
    for x in (self.on_disk, self.in_memory):
      for name, member in vars(episodes.Episodes).items():
        if inspect.isfunction(member) and not name.startswith('_') and name != 'hidden':
          self.assertIsNot(getattr(type(x), name), member, msg=name)
      for name in episodes.Episodes.__annotations__:
        self.assertLen(getattr(x, name), x.num_episodes)


def of_parts(seed=0, lengths=(7, 1, 12), num_parts=3):
  """Episodes in memory of several parts, each known or not by itself."""
  rng = np.random.default_rng(seed)
  lengths = np.array(lengths)
  first, num_steps = np.cumsum(lengths + 1) - lengths - 1, int((lengths + 1).sum())
  is_labelled = rng.random((num_steps, num_parts)) < .5
  is_labelled[first + lengths] = False
  actions = np.where(is_labelled, rng.normal(size=is_labelled.shape), 0).astype(np.float32)
  return episodes.InMemory(
      np.arange(num_steps, dtype=np.float32)[:, None], actions, np.zeros(num_steps, np.float32),
      is_labelled, first, lengths)


class PartsTest(absltest.TestCase):

  def test_a_step_is_labelled_if_any_part_is_known(self):
    is_labelled = np.array([[0, 0, 0], [0, 1, 0], [1, 1, 1]], bool)
    self.assertEqual(episodes.is_known(is_labelled).tolist(), [False, True, True])
    self.assertEqual(episodes.is_known(is_labelled[:, 1]).tolist(), [False, True, True])
    self.assertEqual(episodes.is_known(np.zeros((0, 3), bool)).tolist(), [])

  def test_num_labelled_counts_steps(self):
    data = of_parts()
    self.assertEqual(data.num_labelled.tolist(), [
        sum(any(data.is_labelled[first + t]) for t in range(length))
        for first, length in zip(data.first_step, data.num_transitions, strict=True)])

  def test_windows_have_all_parts_and_padding_has_none(self):
    data = of_parts()
    cut = data.cut(np.array([0, 2, 1]), np.array([4, 0, 0]), 5)
    self.assertEqual((cut.actions.shape, cut.is_labelled.shape), ((3, 5, 3), (3, 5, 3)))
    np.testing.assert_array_equal(cut.actions[0, :3], data.actions[4:7])
    np.testing.assert_array_equal(cut.is_labelled[1], data.is_labelled[10:15])
    self.assertFalse(cut.is_labelled[0, 3:].any() or cut.actions[0, 3:].any())
    self.assertFalse(cut.is_labelled[2, 1:].any() or cut.actions[2, 1:].any())

  def test_hiding_takes_all_parts_of_a_step(self):
    data = of_parts()
    hidden = data.hidden([(0, 2), (2, 9)], 3)
    is_kept = np.zeros(len(data.actions), bool)
    is_kept[[2, 3, 4, 19, 20, 21]] = True  # Episode 2 begins at step 10.
    np.testing.assert_array_equal(hidden.is_labelled, data.is_labelled & is_kept[:, None])
    np.testing.assert_array_equal(hidden.actions, np.where(hidden.is_labelled, data.actions, 0))
    self.assertEqual(hidden.actions.dtype, np.float32)
    np.testing.assert_array_equal(hidden.num_labelled, data.num_labelled)

  def test_held_windows_are_those_of_the_episodes(self):
    data = of_parts()
    windows = np.array([(2, 1), (0, 0), (2, 6)])
    held = episodes.HeldWindows(data, windows, 4)
    for episode, start in ((2, 6), (0, 0)):
      one, other = (x.cut(np.array([episode]), np.array([start]), 4) for x in (held, data))
      for a, b in zip(one[:5], other[:5], strict=True):
        np.testing.assert_array_equal(a, b)


if __name__ == '__main__':
  absltest.main()
