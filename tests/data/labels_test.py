import collections
import dataclasses
import os
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space, schema
from alpt_jax.data import episodes, labels, recorder, rlds
from tests.data import corridor

_LENGTHS = np.array([3, 28, 5, 11, 4, 60, 9, 5])


def _transitions(windows, window):
  """Every (episode, transition) inside the windows."""
  return [(episode, start + i) for episode, start in windows.tolist() for i in range(window)]


class ChooseWindowsTest(parameterized.TestCase):

  @parameterized.parameters(5, 50, 100, 110)  # 110 is all: 0 + 5 + 1 + 2 + 0 + 12 + 1 + 1 windows.
  def test_labels_are_exact_in_number_disjoint_and_inside_the_episodes(self, budget):
    for seed in range(20):
      windows = labels.choose_windows(_LENGTHS, budget=budget, window=5, seed=seed)
      self.assertEqual((windows.shape, windows.dtype), ((budget // 5, 2), np.int64))
      self.assertLen(set(_transitions(windows, 5)), budget)
      self.assertTrue((windows[:, 1] >= 0).all())
      self.assertTrue((windows[:, 1] + 5 <= _LENGTHS[windows[:, 0]]).all())

  def test_choice_depends_on_its_arguments_only(self):
    choices = [labels.choose_windows(_LENGTHS, budget=50, window=5, seed=s) for s in (3, 3, 4)]
    np.testing.assert_array_equal(choices[0], choices[1])
    self.assertFalse(np.array_equal(choices[0], choices[2]))

  def test_one_window_is_uniform_over_the_dataset(self):
    counts = collections.Counter(
        tuple(labels.choose_windows([5, 7, 4], budget=5, window=5, seed=seed)[0].tolist())
        for seed in range(2000))
    # Four windows exist. 2000 draws with probability 1/4: 500 with a standard deviation of 19.
    self.assertEqual(set(counts), {(0, 0), (1, 0), (1, 1), (1, 2)})
    self.assertBetween(min(counts.values()), 500 - 5 * 19, 500)
    self.assertBetween(max(counts.values()), 500, 500 + 5 * 19)

  def test_two_windows_of_an_episode_are_uniform_over_their_placements(self):
    counts = collections.Counter(
        tuple(labels.choose_windows([11], budget=10, window=5, seed=seed)[:, 1].tolist())
        for seed in range(1800))
    # Three placements, 600 each with a standard deviation of 20.
    self.assertEqual(set(counts), {(0, 5), (0, 6), (1, 6)})
    self.assertBetween(min(counts.values()), 500, 600)

  @parameterized.parameters(
      (12, 'budget is 12 labels; expected a positive multiple of the window of 5.*Try 10'),
      (3, 'budget is 3 labels.*Try 5'), (0, 'budget is 0 labels'), (-5, 'budget is -5 labels'),
      (115, '8 episodes hold 22 disjoint windows of 5 transitions, 110 labels. Lower'))
  def test_impossible_budget_is_refused(self, budget, message):
    with self.assertRaisesRegex(ValueError, message):
      labels.choose_windows(_LENGTHS, budget=budget, window=5, seed=0)


class HideActionsTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = cls.enterClassContext(tempfile.TemporaryDirectory())
    rng = np.random.default_rng(0)
    recorder.record_episodes(corridor.Corridor(), lambda timestep: rng.integers(2), 12, directory,
                             name='corridor-8', metadata={})
    cls._episodes = rlds.read_episodes(directory, corridor.spec())

  def test_actions_stay_inside_the_windows_only(self):
    windows = labels.choose_windows(self._episodes.num_transitions, budget=20, window=5, seed=0)
    hidden = labels.hide_actions(self._episodes, windows, 5)
    kept = {int(self._episodes.first_step[e]) + t for e, t in _transitions(windows, 5)}
    for i, action in enumerate(self._episodes.actions):
      self.assertEqual(hidden.is_labelled[i], i in kept)
      self.assertEqual(hidden.actions[i], action if i in kept else 0)
    self.assertEqual(hidden.actions.dtype, np.int32)

  def test_hidden_actions_have_left(self):
    windows = labels.choose_windows(self._episodes.num_transitions, budget=20, window=5, seed=0)
    hidden = labels.hide_actions(self._episodes, windows, 5)
    garbage = np.random.default_rng(1).integers(-99, 99, self._episodes.actions.shape)
    spoiled = dataclasses.replace(
        self._episodes,
        actions=np.where(hidden.is_labelled, self._episodes.actions, garbage).astype(np.int32))
    self.assertFalse(np.array_equal(spoiled.actions, self._episodes.actions))
    hidden_again = labels.hide_actions(spoiled, windows, 5)
    for field in dataclasses.fields(self._episodes):
      np.testing.assert_array_equal(getattr(hidden_again, field.name), getattr(hidden, field.name))

  def test_everything_is_hidden_without_windows(self):
    hidden = labels.hide_actions(self._episodes, np.zeros((0, 2), np.int64), 5)
    self.assertFalse(hidden.is_labelled.any())
    self.assertFalse(hidden.actions.any())

  def test_original_is_not_changed(self):
    before = self._episodes.actions.copy()
    labels.hide_actions(self._episodes, [[0, 0]], 5)
    np.testing.assert_array_equal(self._episodes.actions, before)

  def test_windows_of_other_data_are_refused(self):
    length = int(self._episodes.num_transitions[1])
    for window in ([12, 0], [-1, 0], [1, length - 4], [1, -1]):
      with self.assertRaisesRegex(ValueError, 'labelled window 1 is transitions.*another dataset'):
        labels.hide_actions(self._episodes, [[0, 0], window], 5)


class PartsTest(absltest.TestCase):
  """Of several parts, each known or not by itself."""

  def data(self, is_labelled):
    """One episode, whose last step is no transition."""
    is_labelled = np.array([*is_labelled, [0] * len(is_labelled[0])], bool)
    length = len(is_labelled)
    return episodes.InMemory(
        np.zeros((length, 1), np.float32), is_labelled.astype(np.float32),
        np.zeros(length, np.float32), is_labelled, np.array([0]), np.array([length - 1]))

  def test_windows_are_runs_of_steps_with_any_known_part(self):
    data = self.data([[1, 0], [0, 1], [1, 1], [0, 0], [0, 1], [0, 1], [1, 0], [0, 1], [0, 0]])
    windows = labels.choose_known_windows(data, budget=0, window=2, seed=0, held_out=0)
    self.assertEqual(windows.tolist(), [[0, 0], [0, 4], [0, 6]])

  def test_hidden_windows_lose_all_parts(self):
    hidden = labels.hide_actions(self.data([[1, 0], [1, 1], [0, 1]]), [[0, 1]], 1)
    self.assertEqual(hidden.is_labelled.tolist(), [[0, 0], [1, 1], [0, 0], [0, 0]])
    self.assertEqual(hidden.actions.tolist(), [[0, 0], [1, 1], [0, 0], [0, 0]])

  def test_every_part_that_the_environment_has_must_be_known(self):
    parts = tuple(map(action_parts.Binary, 'xy'))
    spec = lambda own: dataclasses.replace(  # noqa: E731
        corridor.spec(), actions=action_space.Parts(parts, own))
    labels.check_all_known('oracle', spec(parts), self.data([[1, 1], [1, 1]]))
    labels.check_all_known('oracle', spec((parts[0], None)), self.data([[1, 0], [1, 0]]))
    with self.assertRaisesRegex(ValueError, "'oracle', .* corridor-8 has 1 true ones of 2; exp"):
      labels.check_all_known('oracle', spec(parts), self.data([[1, 1], [1, 0]]))
    with self.assertRaisesRegex(ValueError, 'has 0 true ones of 1'):
      labels.check_all_known('oracle', spec((None, parts[1])), self.data([[1, 0]]))


class ChoiceFileTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'labels.json')
    self._choice = labels.Choice(np.array([[0, 3], [4, 1]]), budget=10, window=5, seed=7)

  def test_choice_survives_the_file(self):
    labels.write_choice(self._path, self._choice)
    read = labels.read_choice(self._path)
    np.testing.assert_array_equal(read.windows, self._choice.windows)
    self.assertEqual(read[1:], (10, 5, 7))
    self.assertEqual(os.listdir(os.path.dirname(self._path)), ['labels.json'])

  def test_failed_write_leaves_the_old_file(self):
    labels.write_choice(self._path, self._choice)
    with self.assertRaises(TypeError):
      labels.write_choice(self._path, self._choice._replace(seed=object()))
    self.assertEqual(labels.read_choice(self._path).seed, 7)
    self.assertEqual(os.listdir(os.path.dirname(self._path)), ['labels.json'])

  @parameterized.parameters(
      ('', 'not JSON'), ('{"windows": [[0, 1]', 'not JSON'), ('[]', 'expected an object'),
      ('{"windows": [[0, 1]], "budget": 5}', 'window is missing'),
      ('{"windows": [[0, 1]], "budget": 10, "window": 5, "seed": 0}',
       'windows holds 1 of 5 transitions; expected budget, 10, of them'),
      ('{"windows": [[0, 1], [2]], "budget": 10, "window": 5, "seed": 0}',
       'windows.1. is .2.; expected .episode, start.'),
      ('{"windows": [[0, 1.5]], "budget": 5, "window": 5, "seed": 0}',
       'windows.0..1. is 1.5; expected a whole number'),
      ('{"windows": [[0, 1], [true, 1]], "budget": 10, "window": 5, "seed": 0}',
       'windows.1..0. is True; expected a whole number'),
      ('{"windows": [[0, 1], 7], "budget": 10, "window": 5, "seed": 0}',
       'windows.1. is 7; expected .episode, start.'),
      ('{"windows": [], "budget": 0, "window": 5, "seed": 0}',
       'windows is ..; expected a list, not empty'),
      ('{"windows": [[0, 1]], "budget": 5, "window": 5, "seed": null}', 'seed is None'))
  def test_damaged_file_is_refused(self, content, message):
    with open(self._path, 'w') as f:
      f.write(content)
    with self.assertRaisesRegex(ValueError, f'{self._path}: .*{message}.*choose the labels again'):
      labels.read_choice(self._path)

  def test_many_windows_take_little_time(self):
    windows = np.stack([np.arange(200_000), np.arange(200_000) % 7], axis=1)
    labels.write_choice(self._path, labels.Choice(windows, 10 ** 6, 5, 0))
    with mock.patch.object(schema, 'check', side_effect=schema.check) as check:
      read = labels.read_choice(self._path)
    np.testing.assert_array_equal(read.windows, windows)
    self.assertLess(check.call_count, 20)

  def test_missing_file(self):
    with self.assertRaisesRegex(FileNotFoundError, 'labels.json'):
      labels.read_choice(self._path)


if __name__ == '__main__':
  absltest.main()
