"""Scores of agents that look at nothing, by the evaluator that scores agents."""

import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from alpt_jax.data import episode_files
from alpt_jax.domains.atari import action_sets, score_floors
from tests.data import atari_data

SETTINGS = dict(num_episodes=4, max_steps=80, sticky=0.)


class ScoreFloorsTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.directory = atari_data.recorded()[1]
    cls.episodes = episode_files.EpisodeFiles(
        [cls.directory], action_sets.spec('Breakout'), expected_name='Breakout')
    cls.output = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.found = cls.measure(cls)

  def measure(self, **changes):
    return score_floors.measure(
        self.directory, self.episodes, 'Breakout', output=self.output, **SETTINGS | changes)

  def test_plays_all_blind_agents(self):
    agents = self.found['agents']
    self.assertCountEqual(agents, ['random', 'markov chain', 'repeat', 'always NOOP',
                                   'always FIRE', 'always RIGHT', 'always LEFT'])
    self.assertLen(agents, score_floors.num_agents('Breakout'))
    for name, result in agents.items():
      with self.subTest(name):
        is_one = name.startswith('always')
        self.assertEqual(result['num_episodes'], 1 if is_one else 4)
        self.assertEqual(result['standard_error'] is None, is_one)
        self.assertEqual(result['most_frequent_share'] == 1, is_one)
        self.assertEqual((result['max_steps'], result['sticky']), (80, 0.))
    self.assertEqual(agents['always NOOP']['score'], 0.)  # No ball comes without FIRE.
    self.assertEqual((agents['always NOOP']['num_cut'], agents['always NOOP']['longest_run']),
                     (1, 80))

  def test_measured_once(self):
    with mock.patch.object(score_floors, '_play', side_effect=AssertionError):
      self.assertEqual(self.measure(), self.found)

  def test_known_are_read_whatever_the_number_of_games(self):
    about = dict(max_steps=80, sticky=0.)
    self.assertEqual(score_floors.known(
        self.directory, self.episodes, 'Breakout', output=self.output, **about), self.found)
    self.assertIsNone(score_floors.known(
        self.directory, self.episodes, 'Breakout', output=self.output + '/none', **about))
    with self.assertRaisesRegex(ValueError, 'protocol max_steps is 80; expected 90'):
      score_floors.known(self.directory, self.episodes, 'Breakout', output=self.output,
                         max_steps=90, sticky=0.)

  def test_in_short_of_single_actions_the_best(self):
    found = {name: dict(score=score, standard_error=None, num_episodes=1, lengths=[3])
             for name, score in (('random', 1.), ('markov chain', 2.), ('repeat', 0.),
                                 ('always NOOP', 0.), ('always UP', 21.), ('always DOWN', 3.))}
    short = score_floors.in_short({'agents': found, 'protocol': {'sticky': 0.}})
    self.assertEqual({name: about['score'] for name, about in short['agents'].items()},
                     {'random': 1., 'always UP': 21., 'markov chain': 2., 'repeat': 0.})
    self.assertEqual(short['protocol'], {'sticky': 0.})
    self.assertNotIn('lengths', short['agents']['random'])

  @parameterized.parameters(
      (dict(sticky=.25), 'protocol sticky is 0.0; expected 0.25'),
      (dict(max_steps=90), 'protocol max_steps is 80; expected 90'),
      (dict(num_episodes=8), 'protocol num_episodes is 4; expected 8'))
  def test_refuses_floors_of_another_protocol(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      self.measure(**changes)

  def test_refuses_numbers_that_make_no_batches(self):
    with self.assertRaisesRegex(ValueError, 'num_episodes is 60; expected 1 to 50, or a multiple'):
      self.measure(num_episodes=60)

  def test_batches_join_into_all_games(self):
    batch = dict(scores=[1., 3.], lengths=[10, 20], num_cut=1, num_episodes=2,
                 human_normalised=.5, most_frequent_action=0, most_frequent_share=.5,
                 longest_run=4, game='Breakout')
    other = batch | dict(scores=[5., 7.], lengths=[30, 30], num_cut=0, human_normalised=.7,
                         most_frequent_action=3, most_frequent_share=.8, longest_run=9)
    found = score_floors.joined([batch, other])
    self.assertEqual((found['score'], found['score_median'], found['num_episodes']), (4., 4., 4))
    self.assertAlmostEqual(found['standard_error'], (20 / 3) ** .5 / 2)
    self.assertAlmostEqual(found['human_normalised'], .6)
    self.assertEqual((found['num_cut'], found['longest_run'], found['game']), (1, 9, 'Breakout'))
    self.assertIsNone(found['most_frequent_action'])
    self.assertAlmostEqual(found['most_frequent_share'], (30 * .5 + 60 * .8) / 90)


if __name__ == '__main__':
  absltest.main()
