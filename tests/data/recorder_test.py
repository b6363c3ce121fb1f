import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl.testing import absltest

from alpt_jax.data import recorder, records, rlds
from tests.data import corridor

_RECORD_IN_A_PROCESS = """
import importlib, os, sys
from tests.data import corridor
env = corridor.Corridor()
def policy(timestep):
  if env._num_episodes == 4:
    if sys.argv[2] == 'kill':
      os._exit(7)
    raise RuntimeError('policy failed')
  return 1
record = importlib.import_module(sys.argv[3]).record_episodes
record(env, policy, 5, sys.argv[1], name='corridor-8', metadata={})
"""


def _right(timestep):
  return 1


def _stay(timestep):
  return 0


class RecordTest(absltest.TestCase):

  @property
  def recorder(self):
    """The module that is tested."""
    return recorder

  def _directory(self):
    return self.enterContext(tempfile.TemporaryDirectory())

  def _record(self, directory, policy=_right, num_episodes=3, horizon=20, **kwargs):
    return self.recorder.record_episodes(
        corridor.Corridor(horizon=horizon), policy, num_episodes, directory,
        name='corridor-8', metadata={'seed': 4}, **kwargs)

  def _run(self, directory, ending):
    return subprocess.run(
        [sys.executable, '-c', _RECORD_IN_A_PROCESS, directory, ending, self.recorder.__name__],
        capture_output=True, text=True)

  def test_recorded_steps_are_what_happened(self):
    directory = self._directory()
    self._record(directory)
    episodes = rlds.read_episodes(directory, corridor.spec())
    # Starts at cells 0, 1, 2 and walks right to cell 7.
    np.testing.assert_array_equal(episodes.num_transitions, [7, 6, 5])
    np.testing.assert_array_equal(episodes.first_step, [0, 8, 15])
    np.testing.assert_array_equal(
        episodes.observations[:, 1], [*range(0, 8), *range(1, 8), *range(2, 8)])
    np.testing.assert_array_equal(
        episodes.actions, [1] * 7 + [0] + [1] * 6 + [0] + [1] * 5 + [0])
    np.testing.assert_array_equal(
        episodes.rewards, [0] * 6 + [1, 0] + [0] * 5 + [1, 0] + [0] * 4 + [1, 0])
    np.testing.assert_array_equal(episodes.is_labelled, episodes.actions == 1)

  def test_random_actions_are_marked_at_their_own_step(self):
    class Policy:
      is_random = False
      num_calls = 0

      def __call__(self, timestep):
        self.num_calls += 1
        self.is_random = self.num_calls in (1, 3, 13)
        return 1

    directory = self._directory()
    self._record(directory, Policy())  # Episodes of 7, 6 and 5 steps.
    found = records.random_draws(directory)
    self.assertEqual([draws.tolist() for draws in found], [
        [True, False, True, False, False, False, False], [False] * 5 + [True], [False] * 5])

  def test_recordings_of_unmarked_policies_have_no_marks(self):
    directory = self._directory()
    self._record(directory)
    with self.assertRaisesRegex(ValueError, f"{directory}: has no step field 'action_is_random'"):
      records.random_draws(directory)
    self.assertEqual(rlds.read_episodes(directory, corridor.spec()).num_transitions.sum(), 18)

  def test_files_hold_rlds_steps_with_the_terminal_flag_and_discounts(self):
    for policy, horizon, is_terminal in ((_right, 20, True), (_stay, 3, False)):
      directory = self._directory()
      self._record(directory, policy, 1, horizon)
      source = tfds.builder_from_directory(directory).as_data_source(
          'train', decoders={'steps': tfds.decode.SkipDecoding()})
      steps = source[0]['steps']
      length = 8 if is_terminal else 4
      last = np.arange(length) == length - 1
      np.testing.assert_array_equal(steps['is_first'], np.arange(length) == 0)
      np.testing.assert_array_equal(steps['is_last'], last)
      np.testing.assert_array_equal(steps['is_terminal'], last & is_terminal)
      # The discount belongs to the transition, so the one that ends the game is one step earlier.
      end = 0. if is_terminal else 1.
      np.testing.assert_array_equal(steps['discount'], [1.] * (length - 2) + [end, 0.])
      self.assertEqual((steps['action'].dtype, steps['reward'].dtype), (np.int64, np.float32))

  def test_card_says_how_the_data_was_made(self):
    directory = self._directory()
    progress = []
    card = self._record(directory, progress=progress.append)
    self.assertEqual(card, {
        'name': 'corridor-8', 'metadata': {'seed': 4}, 'num_episodes': 3, 'num_transitions': 18,
        'mean_length': 6., 'mean_return': 1.})
    self.assertEqual(rlds.read_card(directory), card)
    self.assertEqual(progress, [1, 2, 3])

  def test_same_episodes_have_the_same_digest(self):
    digests = []
    for policy in (_right, _right, _stay):
      directory = self._directory()
      self._record(directory, policy)
      digests.append(rlds.dataset_digest(directory))
    self.assertEqual(digests[0], digests[1])
    self.assertNotEqual(digests[0], digests[2])

  def test_fields_are_in_a_fixed_order(self):
    directory = self._directory()
    self._record(directory)
    records = tfds.builder_from_directory(directory).as_data_source(
        'train', deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    for record_ in records:  # TFDS alone would write another order in every process.
      example = tf.train.Example.FromString(record_)
      self.assertEqual(record_, example.SerializeToString(deterministic=True))

  def test_existing_data_is_not_overwritten(self):
    directory = self._directory()
    self._record(directory)
    before = rlds.dataset_digest(directory)
    with self.assertRaisesRegex(ValueError, f'{directory}: already exists.*Delete it'):
      self._record(directory, _stay)
    self.assertEqual(rlds.dataset_digest(directory), before)

  def test_at_least_one_episode(self):
    with self.assertRaisesRegex(ValueError, 'num_episodes is 0; expected at least 1'):
      self._record('unused', num_episodes=0)

  def test_name_begins_with_a_letter(self):
    with self.assertRaisesRegex(ValueError, "name is '8'; expected it to begin with a letter"):
      self.recorder.record_episodes(corridor.Corridor(), _right, 1, 'unused', name='8', metadata={})

  def test_failure_leaves_nothing_behind(self):
    parent = self._directory()

    def fail(num_episodes):
      raise KeyboardInterrupt

    with self.assertRaises(KeyboardInterrupt):
      self._record(os.path.join(parent, 'data'), progress=fail)
    self.assertEqual(os.listdir(parent), [])

  def test_kill_leaves_nothing_that_opens(self):
    parent = self._directory()
    directory = os.path.join(parent, 'data')
    self.assertEqual(self._run(directory, 'kill').returncode, 7)
    with self.assertRaisesRegex(FileNotFoundError, 'no such dataset directory'):
      rlds.read_episodes(directory, corridor.spec())
    for path, _, _ in os.walk(parent):
      with self.assertRaises(ValueError):
        rlds.read_episodes(path, corridor.spec())
    self._record(directory)
    self.assertEqual(rlds.read_episodes(directory, corridor.spec()).num_episodes, 3)

  def test_error_is_the_last_thing_a_process_says(self):
    parent = self._directory()
    result = self._run(os.path.join(parent, 'data'), 'raise')
    self.assertEqual(result.stderr.splitlines()[-1], 'RuntimeError: policy failed', result.stderr)
    self.assertNotIn('Exception ignored', result.stderr)
    self.assertEqual(os.listdir(parent), [])


if __name__ == '__main__':
  absltest.main()
