import collections
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data import sampling

_LENGTHS = np.array([3, 28, 5, 11, 4, 6, 9, 5, 1, 17])


def _sampler(lengths=_LENGTHS, *, window=5, rows=4, num_shards=2, pool_size=8, seed=0):
  return sampling.WindowSampler(
      sampling.whole_episodes(lengths), window=window, rows=rows, num_shards=num_shards,
      pool_size=pool_size, seed=seed)


def _transitions(windows):
  """The (episode, transition) that count, window by window."""
  return [[(int(e), int(s) + t) for t in np.flatnonzero(valid)]
          for e, s, valid in zip(windows.episode, windows.start, windows.is_valid, strict=True)]


def _shard_sequences(sampler, num_shards, num_steps):
  """What counts in each window, as one sequence for every shard."""
  result = [[] for _ in range(num_shards)]
  for step in range(num_steps):
    windows = _transitions(sampler.windows(step))
    per_shard = len(windows) // num_shards
    for v in range(num_shards):
      result[v] += windows[v * per_shard:(v + 1) * per_shard]
  return result


class WindowSamplerTest(parameterized.TestCase):

  @parameterized.product(num_shards=(1, 2, 5), pool_size=(1, 7, 1000), window=(1, 4, 5, 40))
  def test_every_transition_counts_once_in_every_epoch_of_its_shard(
      self, num_shards, pool_size, window):
    sampler = _sampler(num_shards=num_shards, pool_size=pool_size, window=window,
                       rows=2 * num_shards)
    everything = set()
    for sequence in _shard_sequences(sampler, num_shards, 200):
      epochs = [set()]
      for transitions in sequence:
        if epochs[-1] and not set(transitions).isdisjoint(epochs[-1]):
          epochs.append(set())  # A transition is back, so the epoch before is over.
        epochs[-1].update(transitions)
      self.assertGreater(len(epochs), 3)
      for epoch in epochs[1:-1]:
        self.assertEqual(epoch, epochs[0])
      self.assertTrue(everything.isdisjoint(epochs[0]))
      everything |= epochs[0]
    self.assertEqual(everything, {(e, t) for e, n in enumerate(_LENGTHS) for t in range(n)})

  def test_every_window_holds_a_transition_and_only_real_ones(self):
    sampler = _sampler()
    for step in range(200):
      windows = sampler.windows(step)
      length = _LENGTHS[windows.episode]
      self.assertTrue(windows.is_valid.any(axis=1).all())
      # Inside the episode wherever it is as long as a window; else from its start.
      self.assertTrue((windows.start >= 0).all())
      self.assertTrue((windows.start <= np.maximum(length - 5, 0)).all())

  def test_same_global_batch_for_any_number_of_hosts(self):
    sampler = _sampler(rows=8, num_shards=4)
    for step in (0, 1, 17, 300):
      whole = sampler.windows(step)
      for num_hosts in (2, 4):
        parts = [sampler.windows(step, host, num_hosts) for host in range(num_hosts)]
        for expected, *found in zip(whole, *parts, strict=True):
          np.testing.assert_array_equal(np.concatenate(found), expected)

  def test_no_episode_is_read_by_two_hosts(self):
    sampler = _sampler(rows=8, num_shards=4)
    seen = [set(), set()]
    for step in range(100):
      for host in range(2):
        seen[host].update(sampler.windows(step, host, 2).episode.tolist())
    self.assertEqual(seen[0] & seen[1], set())
    self.assertEqual(seen[0] | seen[1], set(range(len(_LENGTHS))))

  def test_batch_of_a_step_does_not_depend_on_the_steps_asked_before(self):
    steps = [900, 0, 13, 12, 5000, 900, 1]
    together = _sampler()
    for step in steps:
      for a, b in zip(together.windows(step), _sampler().windows(step), strict=True):
        np.testing.assert_array_equal(a, b)

  def test_seeds_differ(self):
    batches = [_sampler(seed=seed, rows=20).windows(0) for seed in (0, 1, 2**40)]
    self.assertFalse(np.array_equal(batches[0].episode, batches[1].episode))
    self.assertFalse(np.array_equal(batches[0].episode, batches[2].episode))

  def test_epochs_differ(self):
    # An episode of 20 with 5 windows, or 4 without an offset: the cut and the order change.
    sequence, = _shard_sequences(_sampler([20], num_shards=1, rows=1), 1, 40)
    epochs, counted = [[]], 0
    for transitions in sequence:
      if counted == 20:
        epochs.append([])
        counted = 0
      epochs[-1].append(tuple(transitions))
      counted += len(transitions)
    self.assertGreater(len(set(map(tuple, epochs))), 5)

  def test_a_transition_is_seen_at_every_place_of_a_window(self):
    sampler = _sampler([13], num_shards=1)
    places = collections.Counter()
    for step in range(100):
      windows = sampler.windows(step)
      for start, valid in zip(windows.start, windows.is_valid, strict=True):
        if start <= 6 < start + 5 and valid[6 - start]:
          places[int(6 - start)] += 1
    self.assertEqual(set(places), {0, 1, 2, 3, 4})

  def test_segments_up_to_a_window_are_one_window(self):
    for lengths in ([3, 5], [3, 5, 9]):
      sampler = _sampler(lengths, num_shards=1, rows=20)
      for step in range(20):
        for episode, start, valid in zip(*sampler.windows(step), strict=True):
          if episode < 2:
            self.assertEqual(start, 0)
            self.assertEqual(valid.tolist(), [True] * (3, 5)[episode] + [False] * (2, 0)[episode])

  def test_partial_windows_are_moved_inside_and_count_the_rest_only(self):
    sampler = _sampler([7], num_shards=1, rows=1)
    seen = {(int(w.start[0]), tuple(np.flatnonzero(w.is_valid[0]).tolist()))
            for w in map(sampler.windows, range(200))}
    self.assertEqual(seen, {
        (0, (0, 1, 2, 3, 4)), (2, (3, 4)),  # Offset 0: 0-4, 5-6.
        (0, (0,)), (1, (0, 1, 2, 3, 4)), (2, (4,)),  # Offset 1: 0, 1-5, 6.
        (0, (0, 1)), (2, (0, 1, 2, 3, 4)),  # Offset 2: 0-1, 2-6.
        (0, (0, 1, 2)), (2, (1, 2, 3, 4)),  # Offset 3: 0-2, 3-6.
        (0, (0, 1, 2, 3)), (2, (2, 3, 4))})  # Offset 4: 0-3, 4-6.

  def test_pool_mixes_episodes(self):
    def neighbours(pool_size):
      """How often two windows of an episode follow each other."""
      sequence, = _shard_sequences(_sampler([50] * 8, num_shards=1, pool_size=pool_size), 1, 20)
      episodes = [transitions[0][0] for transitions in sequence]
      return sum(a == b for a, b in zip(episodes, episodes[1:], strict=False))
    self.assertGreater(neighbours(1), 65)  # Of 79; a visit makes 10 or 11 windows.
    self.assertLess(neighbours(1000), 30)

  def test_labelled_windows_are_seen_whole(self):
    chosen = np.array([[4, 7], [0, 2], [4, 12]])
    sampler = sampling.WindowSampler(
        sampling.labelled_windows(chosen, 5), window=5, rows=3, num_shards=1, pool_size=4, seed=0)
    for step in range(5):
      windows = sampler.windows(step)
      self.assertTrue(windows.is_valid.all())
      self.assertCountEqual(zip(windows.episode.tolist(), windows.start.tolist(), strict=True),
                            map(tuple, chosen.tolist()))

  def test_windows_may_be_shorter_than_the_labelled_ones(self):
    sampler = sampling.WindowSampler(
        sampling.labelled_windows([[2, 10]], 5), window=4, rows=1, num_shards=1, pool_size=1,
        seed=0)
    for step in range(20):
      for (episode, t), in zip(*_transitions(sampler.windows(step)), strict=True):
        self.assertEqual(episode, 2)
        self.assertBetween(t, 10, 14)

  @parameterized.parameters(
      (dict(rows=5), 'rows is 5; expected a multiple of num_shards 2. Try 6 rows'),
      (dict(rows=12, num_shards=12), 'num_shards is 12; there are only 10 segments.*at most 10'),
      (dict(window=0), 'window is 0; expected at least 1'),
      (dict(pool_size=0), 'pool_size is 0; expected at least 1'),
      (dict(lengths=np.array([3, 0])), 'num_transitions of segment 1 is 0; expected at least 1'))
  def test_impossible_numbers_are_refused(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      _sampler(**arguments)

  @parameterized.parameters(
      ((0, 0, 3), 'num_hosts is 3; expected a divisor of num_shards 4. Use a multiple of 3'),
      ((0, 2, 2), r'host is 2; expected it in \[0, 2\)'), ((-1,), 'step is -1'))
  def test_impossible_questions_are_refused(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      _sampler(num_shards=4).windows(*arguments)


class LargeDataTest(WindowSamplerTest):
  """The same of data whose epochs are made in parts."""

  test_pool_mixes_episodes = None  # Not beyond a part, and here a part is one episode.

  def setUp(self):
    super().setUp()
    for name in ('_WINDOWS_PER_BLOCK', '_MAX_WINDOWS_PER_BLOCK'):
      self.enter_context(mock.patch.object(sampling, name, 4))

  def test_parts_are_small(self):
    shard = _sampler([20] * 50, num_shards=1)._shards[0]
    for block in range(60):
      self.assertLess(shard._block(block).shape[1], 8)  # One segment, at least.


if __name__ == '__main__':
  absltest.main()
