"""Clips worth labelling: what may be picked, and in which order."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.labelling import clips


def choose(unsure, places, num_clips, *, episode=None, start=None, window=5, is_labelled=None):
  """`clips.choose` of windows that lie in episodes of their own, without labels, unless said."""
  unsure = np.asarray(unsure, np.float64)
  return clips.choose(
      unsure, np.asarray(places, np.float64).reshape(len(unsure), -1), num_clips,
      episode=np.arange(len(unsure)) if episode is None else np.asarray(episode),
      start=np.zeros(len(unsure), int) if start is None else np.asarray(start), window=window,
      is_labelled=np.zeros(len(unsure), bool) if is_labelled is None else np.asarray(is_labelled)
  ).tolist()


def random_windows(seed):
  """60 windows of 5 in 8 short episodes, at any start, a third of them labelled."""
  rng = np.random.default_rng(seed)
  return dict(unsure=rng.random(60), places=rng.normal(size=(60, 3)), window=5,
              episode=rng.integers(8, size=60), start=rng.integers(20, size=60),
              is_labelled=rng.random(60) < 1 / 3)


class ChooseTest(parameterized.TestCase):

  def test_unsure_and_far_from_labels_by_hand(self):
    # The window at 0 has labels. Worth at first: -, 1 x .9, 4 x .5, 5 x .3, 6 x .1.
    unsure, places = [1., .9, .5, .3, .1], [0., 1., 4., 5., 6.]
    is_labelled = [True, False, False, False, False]
    # After the one at 4: 1 x .9, 1 x .3, 2 x .1; after the one at 1: 1 x .3, 2 x .1.
    self.assertEqual(choose(unsure, places, 4, is_labelled=is_labelled), [2, 1, 3, 4])

  def test_the_most_unsure_one_is_first_where_nothing_has_labels(self):
    self.assertEqual(choose([.2, .6, .5], [0., 9., 0.], 1), [1])

  def test_a_copy_of_what_was_picked_comes_last(self):
    self.assertEqual(choose([.9, .89, .1], [0., 0., 1.], 3), [0, 2, 1])

  @parameterized.parameters(0, 1)
  def test_of_windows_that_look_the_same_the_most_unsure_come_first(self, num_labelled):
    unsure = np.array([.3, .8, .1, .5])
    is_labelled = np.arange(4) < num_labelled
    expected = [i for i in (1, 3, 0, 2) if not is_labelled[i]]
    self.assertEqual(choose(unsure, np.ones(4), 4, is_labelled=is_labelled), expected)

  @parameterized.parameters(range(5))
  def test_never_labelled_never_overlapping_and_never_twice(self, seed):
    windows = random_windows(seed)
    picked = clips.choose(num_clips=10, **windows)
    self.assertLen(set(picked.tolist()), 10)
    self.assertFalse(windows['is_labelled'][picked].any())
    transitions = [(windows['episode'][i], windows['start'][i] + t) for i in picked
                   for t in range(5)]
    self.assertLen(set(transitions), 50)

  @parameterized.parameters(range(5))
  def test_asking_for_more_than_there_are_gives_all_that_do_not_overlap(self, seed):
    windows = random_windows(seed)
    picked = set(clips.choose(num_clips=1000, **windows).tolist())
    for i in np.flatnonzero(~windows['is_labelled']):
      overlaps = [j for j in picked if windows['episode'][j] == windows['episode'][i]
                  and abs(windows['start'][j] - windows['start'][i]) < 5]
      self.assertEqual(overlaps == [i], i in picked)
      self.assertNotEmpty(overlaps)

  @parameterized.parameters(range(3))
  def test_more_clips_begin_with_the_fewer(self, seed):
    windows = random_windows(seed)
    np.testing.assert_array_equal(clips.choose(num_clips=9, **windows)[:4],
                                  clips.choose(num_clips=4, **windows))

  @parameterized.parameters(range(3))
  def test_order_of_the_windows_does_not_matter(self, seed):
    windows = random_windows(seed)
    order = np.random.default_rng(seed).permutation(60)
    shuffled = {key: x if key == 'window' else x[order] for key, x in windows.items()}
    np.testing.assert_array_equal(order[clips.choose(num_clips=8, **shuffled)],
                                  clips.choose(num_clips=8, **windows))

  def test_all_labelled_gives_nothing(self):
    self.assertEqual(choose([.5, .6], [0., 1.], 3, is_labelled=[True, True]), [])

  def test_bad_numbers_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'num_clips is 0; expected at least 1'):
      choose([.5], [0.], 0)
    with self.assertRaisesRegex(ValueError, 'not finite'):
      choose([np.nan], [0.], 1)


class LooksTest(absltest.TestCase):

  def test_uncertainty_is_of_hidden_actions_only(self):
    found = clips.uncertainty(np.array([[.9, .5], [.8, .2], [.1, .1]], np.float64),
                              np.array([[True, True], [True, False], [False, False]]))
    np.testing.assert_allclose(found, [.3, .2, 0.])

  def test_small_images_are_their_mean_and_mean_change(self):
    frames = np.array([0, 4, 2], np.uint8).reshape(1, 3, 1, 1, 1) * np.ones((1, 1, 2, 3, 1))
    found = clips.looks(frames.astype(np.uint8))
    self.assertEqual(found.shape, (1, 2, 6))
    np.testing.assert_allclose(found[0, 0], 2.)
    np.testing.assert_allclose(found[0, 1], 3.)  # |4 - 0| and |2 - 4|.

  def test_large_images_become_means_over_cells(self):
    frames = np.zeros((1, 2, 20, 9, 1), np.uint8)
    frames[0, :, 18:, 8, 0] = 90  # Rows in cells of 3, the last of 2; columns in cells of 2 and 1.
    mean, change = clips.looks(frames)[0].reshape(2, 7, 5)
    self.assertEqual(mean[6, 4], 90.)
    self.assertEqual(mean.sum(), 90.)
    self.assertEqual(change.sum(), 0.)

  def test_both_parts_count_the_same(self):
    parts = np.random.default_rng(0).normal(size=(50, 2, 4)) * [[[1000.], [.1]]] + 7.
    mean, change = clips.balanced(parts).reshape(50, 2, 4).transpose(1, 0, 2)
    for part in (mean, change):
      self.assertAlmostEqual((part ** 2).sum(axis=1).mean(), 1.)

  def test_a_part_that_is_all_the_same_says_nothing(self):
    parts = np.stack([np.ones((3, 2)), [[0., 0.], [1., 0.], [2., 0.]]], axis=1)
    found = clips.balanced(parts)
    np.testing.assert_array_equal(found[:, :2], 0.)
    self.assertTrue(np.isfinite(found).all())


if __name__ == '__main__':
  absltest.main()
