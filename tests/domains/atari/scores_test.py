"""Tests of the scores by which results are read."""

from absl.testing import absltest

from alpt_jax.domains.atari import action_sets, scores


class AtariScoresTest(absltest.TestCase):

  def test_every_game_has_an_entry(self):
    self.assertEqual(tuple(scores.RANDOM_AND_HUMAN), action_sets.GAMES)

  def test_humans_beat_random_play(self):
    for game, (random, human) in scores.RANDOM_AND_HUMAN.items():
      with self.subTest(game):
        self.assertTrue(human is None or human > random)

  def test_random_play_is_0_and_human_play_1(self):
    self.assertAlmostEqual(scores.human_normalised('Breakout', 1.7), 0.)
    self.assertAlmostEqual(scores.human_normalised('Breakout', 30.5), 1.)

  def test_a_draw_in_pong_is_more_than_half_way_from_random_to_human(self):
    self.assertAlmostEqual(scores.human_normalised('Pong', 0.), 20.7 / 35.3)

  def test_games_without_a_human_score_have_no_normalised_one(self):
    self.assertIsNone(scores.human_normalised('Pooyan', 100.))
    self.assertIsNone(scores.human_normalised('Carnival', 100.))

  def test_unknown_games_are_refused(self):
    with self.assertRaisesRegex(ValueError, "did you mean 'Breakout'"):
      scores.human_normalised('breakout', 1.)


