"""The ceiling of a recording, by playing it again."""

import json
import os
import shutil
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest

from alpt_jax.data import episode_files, rlds
from alpt_jax.domains.atari import action_sets, recording_ceiling
from tests.data import atari_data


def read(directory):
  return episode_files.EpisodeFiles([directory], action_sets.spec(atari_data.GAME),
                                    expected_name=atari_data.GAME)


class SummariseTest(absltest.TestCase):

  def test_by_hand(self):
    posteriors = np.array([[.75, .25, 0], [.75, .25, 0], [0, 0, 1], [.4, .6, 0]])
    found = recording_ceiling.summarise(posteriors, np.array([0, 1, 2, 1]), np.array([0, 0, 1, 1]),
                                        np.array([.5, .3, .2]), ['a', 'b', 'c'])
    self.assertAlmostEqual(found['expected']['value'], (.75 + .75 + 1 + .6) / 4)
    self.assertEqual(found['realised']['value'], .75)
    self.assertEqual(found['ambiguous']['value'], .75)
    a, b, c = found['actions']
    self.assertAlmostEqual(a['expected'], 1.5 / 1.9)  # Two of the three steps that may be a.
    self.assertAlmostEqual(b['expected'], .6 / 1.1)
    self.assertEqual((a['realised'], b['realised'], c['realised']), (1., .5, 1.))
    self.assertEqual([x['num_transitions'] for x in (a, b, c)], [1, 2, 1])

  def test_action_that_never_came_up_has_no_share(self):
    found = recording_ceiling.summarise(np.array([[1., 0.]]), np.array([0]), np.array([0]),
                                        np.array([1., 0.]), ['a', 'b'])
    self.assertEqual(found['actions'][1] | {'name': ''}, {
        'name': '', 'prior': 0., 'num_transitions': 0, 'realised': None, 'expected': None})


class CeilingTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'data')
    shutil.copytree(atari_data.recorded()[1], self.directory)

  def test_measured_once_and_then_read(self):
    episodes = read(self.directory)
    self.assertIsNone(recording_ceiling.known(self.directory, episodes))
    found = recording_ceiling.measure(self.directory, episodes, num_steps=25)
    self.assertEqual(found['expected']['num_transitions'], 25)
    self.assertEqual(found['digest'], episodes.digest)
    self.assertBetween(found['expected']['value'], .5, 1.)
    self.assertAlmostEqual(sum(row['prior'] for row in found['actions']), 1.)
    with mock.patch.object(recording_ceiling, '_measure', side_effect=AssertionError):
      self.assertEqual(recording_ceiling.measure(self.directory, episodes, num_steps=25), found)
    self.assertEqual(recording_ceiling.known(self.directory, episodes), found)
    with self.assertRaisesRegex(ValueError, 'protocol num_steps is 25; expected 26'):
      recording_ceiling.measure(self.directory, episodes, num_steps=26)

  def test_what_lies_beside_the_data_is_copied_if_it_was_measured_in_the_same_way(self):
    episodes, place = read(self.directory), self.enterContext(tempfile.TemporaryDirectory())
    found = recording_ceiling.measure(self.directory, episodes, num_steps=5)
    with mock.patch.object(recording_ceiling, '_measure', side_effect=AssertionError('measured')):
      for output, path in ((f'{place}/Pong.json', f'{place}/Pong.json'),
                           (place, f'{place}/ceiling.json')):
        self.assertEqual(recording_ceiling.measure(
            self.directory, episodes, num_steps=5, output=output), found)
        with open(path) as f:
          self.assertEqual(json.load(f), found)
      with self.assertRaisesRegex(AssertionError, 'measured'):
        recording_ceiling.measure(
            self.directory, episodes, num_steps=6, output=f'{place}/other.json')

  def test_refuses_that_of_another_recording(self):
    episodes = read(self.directory)
    recording_ceiling.measure(self.directory, episodes, num_steps=3)
    with mock.patch.object(episodes, 'digest', 'cd'):
      with self.assertRaisesRegex(ValueError, "ceiling.json: digest is .*; expected 'cd'"):
        recording_ceiling.known(self.directory, episodes)

  def test_refuses_data_that_plays_otherwise(self):
    self._change_card(lambda card: card['metadata'].update(seed=2))
    with self.assertRaisesRegex(ValueError, 'does not look as when it is played again'):
      recording_ceiling.measure(self.directory, read(self.directory), num_steps=400)

  def test_refuses_data_that_was_not_played_here(self):
    self._change_card(lambda card: card['metadata'].pop('seed'))
    with self.assertRaisesRegex(ValueError, 'The ceiling of this data is unknown'):
      recording_ceiling.measure(self.directory, read(self.directory))

  def _change_card(self, change):
    path = os.path.join(self.directory, rlds.CARD)
    with open(path) as f:
      card = json.load(f)
    change(card)
    with open(path, 'w') as f:
      json.dump(card, f)


if __name__ == '__main__':
  absltest.main()
