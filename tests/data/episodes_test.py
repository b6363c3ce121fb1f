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


if __name__ == '__main__':
  absltest.main()
