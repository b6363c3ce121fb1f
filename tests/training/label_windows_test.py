"""Tests that every transition of a dataset is labelled once, from a window that holds it."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data import episodes as episodes_lib
from alpt_jax.training import label_windows

WINDOW = 5


def walk(lengths):
  """Episodes whose observation is the sum of the actions so far, so two of them tell the action."""
  rng = np.random.default_rng(0)
  first_step = np.cumsum([0, *(n + 1 for n in lengths[:-1])])
  actions = np.concatenate([[*rng.integers(1, 4, n), 0] for n in lengths]).astype(np.int32)
  observations = np.concatenate([
      np.cumsum([0, *actions[first:first + n]])
      for first, n in zip(first_step, lengths, strict=True)])
  is_labelled = np.ones(len(actions), bool)
  is_labelled[first_step + lengths] = False
  return episodes_lib.InMemory(
      observations[:, None].astype(np.float32), actions, np.zeros(len(actions), np.float32),
      is_labelled, first_step, np.array(lengths))


def difference(params, observations):
  """Labels as a perfect IDM would; 0 where a window is filled up with the last observation.

  Its confidence in an action is a hundredth of it, so that one tells whose it is.
  """
  del params
  actions = np.diff(observations[..., 0], axis=1).astype(np.int32)
  return actions, actions / 100


class LabelTest(parameterized.TestCase):

  @parameterized.parameters(
      ((1,),), ((4, 5, 6),), ((9, 10, 11, 1, 23),), ((3, 7) * 150,))  # The last: several calls.
  def test_every_transition_gets_the_label_of_its_own_observations(self, lengths):
    episodes = walk(lengths)
    labels = label_windows.predict_actions(difference, None, episodes, window=WINDOW)
    found = np.full(len(episodes.actions), -1)
    for e, start, counted, actions in zip(*labels[:4], strict=True):
      place = episodes.first_step[e] + start + np.flatnonzero(counted)
      self.assertTrue((found[place] == -1).all())
      found[place] = actions[counted]
    np.testing.assert_allclose(labels.confidence, labels.actions / 100, atol=1e-4)
    np.testing.assert_array_equal(found, np.where(episodes.is_labelled, episodes.actions, -1))

  def test_all_calls_have_one_shape(self):
    shapes = set()

    def record(params, observations):
      shapes.add(observations.shape)
      return difference(params, observations)

    label_windows.predict_actions(record, None, walk((3, 7) * 150), window=WINDOW)
    self.assertLen(shapes, 1)


if __name__ == '__main__':
  absltest.main()
