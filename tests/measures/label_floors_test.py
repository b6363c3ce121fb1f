"""Floors of labels on recorded episodes: judged where an IDM is judged, and paired with it."""

from unittest import mock

import numpy as np
from absl.testing import absltest

from alpt_jax import action_space, types
from alpt_jax.data import episodes as episodes_lib
from alpt_jax.measures import label_floors

SPEC = types.EnvironmentSpec(
    name='pixels', observation_key='', observation_kind='image', observation_shape=(4, 4, 1),
    actions=action_space.numbered(4), return_low=0, return_high=1)


def make_episodes(num_episodes, length):
  """An observation shows the action before it as a bright pixel: repeating one changes nothing."""
  rng = np.random.default_rng(0)
  actions = rng.integers(4, size=(num_episodes, length + 1)).astype(np.int32)
  images = np.zeros((num_episodes, length + 1, 16), np.uint8)
  np.put_along_axis(images[:, 1:], actions[:, :-1, None], 200, axis=2)
  is_labelled = np.ones(actions.shape, bool)
  is_labelled[:, -1] = False
  return episodes_lib.InMemory(
      images.reshape(-1, 4, 4, 1), actions.ravel(), np.zeros(actions.size, np.float32),
      is_labelled.ravel(), np.arange(num_episodes) * (length + 1),
      np.full(num_episodes, length)), actions[:, :-1]


class JudgeTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.episodes, self.actions = make_episodes(12, 1000)
    self.fitted = label_floors.fit(self.episodes, SPEC, [(0, 0), (1, 0), (2, 0)], 100)
    rows = np.random.default_rng(1).permutation(12_000)  # In no order.
    self.episode, self.timestep = np.divmod(rows, 1000)
    self.true = self.actions[self.episode, self.timestep]

  def judge(self, **options):
    return label_floors.judge(self.fitted, self.episodes, self.episode, self.timestep, **options)

  def test_every_transition_counts(self):
    found = self.judge()
    self.assertEqual((found['num_labels'], found['table'], found['best']), (300, None, 'linear'))
    self.assertEqual({found[name]['num_transitions'] for name in ('majority', 'linear')}, {12_000})
    frequent = np.bincount(self.actions.ravel()[np.arange(300) // 100 * 1000
                                                + np.arange(300) % 100]).argmax()
    self.assertAlmostEqual(found['majority']['value'], np.mean(self.true == frequent))
    # It knows where something changes; where nothing does, one of four actions is right.
    is_same = np.zeros(self.actions.shape, bool)
    is_same[:, 1:] = self.actions[:, 1:] == self.actions[:, :-1]
    self.assertBetween(found['linear']['value'], 1 - is_same.mean(), 1 - .6 * is_same.mean())
    self.assertNotIn('margin', found)

  def test_how_many_are_read_at_once_does_not_matter(self):
    expected = self.judge()
    with mock.patch.object(label_floors, '_AT_ONCE', 7001):
      self.assertEqual(self.judge(), expected)

  def test_margin_is_paired_by_transition(self):
    found = self.judge()
    # As often right as the linear map, but of other transitions: the mean is 0, and it varies.
    is_right = np.random.default_rng(2).random(12_000) < found['linear']['value']
    margin = self.judge(is_right=is_right)['margin']
    self.assertAlmostEqual(margin['value'], is_right.mean() - found['linear']['value'])
    self.assertGreater(margin['high'] - margin['low'], .005)
    # An IDM that says what the map says: nothing varies, though accuracies do between episodes.
    with mock.patch.object(label_floors.floors, 'mean', side_effect=lambda x, *_, **__: mock.Mock(
        _asdict=lambda: {'value': float(np.mean(x)), 'all': np.asarray(x)})):
      linear = self.judge()['linear']['all']
    margin = self.judge(is_right=linear)['margin']
    self.assertEqual((margin['value'], margin['low'], margin['high']), (0., 0., 0.))
    self.assertEqual(margin['num_transitions'], 12_000)


if __name__ == '__main__':
  absltest.main()
