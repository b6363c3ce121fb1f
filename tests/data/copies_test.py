"""Copies of a target's episodes are found whatever their actions are, and nothing else is."""

import dataclasses
import pathlib
import tempfile
from unittest import mock

import cv2
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.data import copies, episode_files, episodes, png
from tests import own_runs


def make_episodes(lengths, seed=0, width=3):
  """Random observations [N, width] float32; episodes of `lengths` transitions."""
  steps = np.array(lengths) + 1
  rng, total = np.random.default_rng(seed), int(steps.sum())
  return episodes.InMemory(
      rng.normal(size=(total, width)).astype(np.float32), rng.integers(0, 4, total),
      np.zeros(total, np.float32), np.ones(total, bool), np.cumsum(steps) - steps,
      np.array(lengths))


class DigestTest(absltest.TestCase):

  def test_digests_are_of_observations_and_lengths_only(self):
    observations = np.arange(12.).reshape(4, 3)
    self.assertEqual(copies.digest(observations, 4), copies.digest(observations.copy(), 4))
    self.assertNotEqual(copies.digest(observations, 4), copies.digest(observations, 5))
    self.assertNotEqual(copies.digest(observations, 4), copies.digest(observations[::-1], 4))
    changed = observations.copy()
    changed[2, 1] += 1e-9
    self.assertNotEqual(copies.digest(observations, 4), copies.digest(changed, 4))

  def test_an_episode_in_which_nothing_changes_says_nothing(self):
    self.assertEqual(copies.digest(np.ones((4, 3)), 4), 0)

  def test_actions_rewards_and_labels_are_nothing_to_it(self):
    data = make_episodes([12, 30])
    other = dataclasses.replace(data, actions=data.actions + 1, rewards=data.rewards + 1,
                                is_labelled=~data.is_labelled)
    np.testing.assert_array_equal(data.observation_digests, other.observation_digests)
    self.assertLen(set(data.observation_digests.tolist()), 2)


class CheckTest(parameterized.TestCase):

  def test_a_copy_that_is_one_step_shorter_is_not_found(self):
    data = make_episodes([30])
    shorter = dataclasses.replace(
        data, num_transitions=np.array([29]), **{
            name: getattr(data, name)[:-1]
            for name in ('observations', 'actions', 'rewards', 'is_labelled')})
    copies.check({'a': data, 'b': shorter}, ['a'])  # A limit that the module names.
    with self.assertRaisesRegex(ValueError, 'b holds 1 of the 1 episodes'):
      copies.check({'a': data, 'b': dataclasses.replace(data)}, ['a'])

  def setUp(self):
    super().setUp()
    self.target, self.other = make_episodes([12, 30, 9, 40]), make_episodes([12, 30, 9], seed=1)

  def with_episode(self, number):
    """The other data, and one episode of the target at its end."""
    first = int(self.target.first_step[number])
    part = slice(first, first + int(self.target.num_transitions[number]) + 1)
    joined = {name: np.concatenate([getattr(self.other, name), getattr(self.target, name)[part]])
              for name in ('observations', 'actions', 'rewards', 'is_labelled')}
    return episodes.InMemory(
        **joined, first_step=np.append(self.other.first_step, len(self.other.actions)),
        num_transitions=np.append(self.other.num_transitions, self.target.num_transitions[number]))

  def test_other_data_passes(self):
    copies.check({'a': self.target, 'b': self.other}, ['a', 'b'])

  def test_one_episode_is_enough_and_named(self):
    with self.assertRaisesRegex(ValueError, '^b holds 1 of the 4 episodes of the target a, e.g. '
                                            'episode 1, .*Take b out of the config.$'):
      copies.check({'a': self.target, 'b': self.with_episode(1)}, ['a'])

  def test_who_is_no_target_may_have_copies(self):
    copies.check({'a': self.target, 'b': self.other, 'c': self.other}, ['a'])
    with self.assertRaisesRegex(ValueError, '^c holds 3 of the 3 episodes of the target b'):
      copies.check({'a': self.target, 'b': self.other, 'c': self.other}, ['a', 'b'])

  def test_a_short_episode_may_be_chance(self):
    copies.check({'a': self.target, 'b': self.with_episode(2)}, ['a'])

  @parameterized.parameters(True, False)
  def test_all_episodes_are_a_copy_where_one_may_be_chance(self, by_episode):
    short = make_episodes([3, 4, 5])
    with self.assertRaisesRegex(ValueError, 'b holds 3 of the 3 episodes'):
      copies.check({'a': short, 'b': dataclasses.replace(short)}, ['a'], by_episode=by_episode)

  def test_one_episode_passes_where_it_may_be_chance(self):
    copies.check({'a': self.target, 'b': self.with_episode(1)}, ['a'], by_episode=False)

  def test_episodes_that_stand_still_are_no_copies(self):
    still = dataclasses.replace(self.target, observations=np.ones_like(self.target.observations))
    copies.check({'a': still, 'b': dataclasses.replace(still)}, ['a'])


class EpisodeFilesTest(absltest.TestCase):

  def write(self, **changes):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    own_runs.write(root / 'data', (12, 30, 17), **changes)
    return episode_files.EpisodeFiles([root / 'data'], own_runs.environment().spec())

  def test_a_copy_without_some_actions_is_found_by_its_images_alone(self):
    whole, partly = self.write(), self.write(known=.5)
    self.assertEmpty({*whole.episode_digests.tolist()} & {*partly.episode_digests.tolist()})
    episode_files.check_no_duplicates({'a': whole, 'b': partly})
    with self.assertRaisesRegex(ValueError, 'b holds 3 of the 3 episodes of the target a'):
      copies.check({'a': whole, 'b': partly}, ['a'])

  def test_a_copy_that_is_encoded_in_another_way_is_found(self):
    whole = self.write()
    with mock.patch.object(png, '_FLAT', (cv2.IMWRITE_PNG_COMPRESSION, 9)):
      other = self.write()
    self.assertEmpty({*whole.episode_digests.tolist()} & {*other.episode_digests.tolist()})
    np.testing.assert_array_equal(whole.observation_digests, other.observation_digests)

  def test_other_episodes_of_the_same_lengths_pass(self):
    copies.check({'a': self.write(), 'b': self.write(seed=1)}, ['a'])


if __name__ == '__main__':
  absltest.main()
