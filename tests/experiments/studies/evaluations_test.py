"""Which evaluations a run promises, and what is refused as an evaluation."""

import math

from absl.testing import absltest, parameterized

from experiments.configs import atari, maze
from experiments.studies import evaluations


def mazes_scores(**changes):
  return {'success_500': 1., 'success_50': .5, 'spl': 0., 'mean_steps': 12.5,
          'num_episodes': 7} | changes


def games_scores(**changes):
  return {'score': -21., 'score_std': 0., 'score_median': -21., 'human_normalised': None,
          'game': 'Breakout', 'seed': 0, 'num_episodes': 16} | changes


class PromisedStepsTest(parameterized.TestCase):

  @parameterized.parameters(
      (0, []),  # Nothing was written yet.
      (2, [0]), (3, [0, 3]), (7, [0, 3, 6]), (8, [0, 3, 6, 8]),
      (9, [0, 3, 6, 8]))  # Of a longer run.
  def test_are_multiples_and_the_last_as_far_as_the_run_has_come(self, reached, expected):
    config = maze.get_config('tiny')
    config.num_steps, config.eval_every_steps = 8, 3
    self.assertEqual(evaluations.promised_steps(config, reached), expected)


class CheckTest(parameterized.TestCase):

  def test_whole_ones_are_taken(self):
    mazes, games = maze.get_config('tiny'), atari.get_config('tiny')
    evaluations.check({'step': 3, 'argmax': mazes_scores()}, 3, mazes)
    evaluations.check({'step': 6, 'argmax': mazes_scores(), 'sampled': mazes_scores()}, 6, mazes)
    evaluations.check({'step': 2, 'sampled': games_scores()}, 2, games)
    games.phase = 'pretrain'  # Which plays no game.
    evaluations.check({'step': 2}, 2, games)

  @parameterized.parameters(
      ([], r'is \[\]; expected an object'),
      ({'step': 5, 'argmax': mazes_scores()}, 'step is 5; expected 6'),
      ({'argmax': mazes_scores()}, 'step is missing; expected 6'),
      ({'step': 6}, 'argmax is missing'),
      ({'step': 6, 'argmax': 5}, 'argmax is 5; expected an object'),
      ({'step': 6, 'argmax': {}}, 'argmax.success_500 is missing'),
      ({'step': 6, 'argmax': mazes_scores(success_500=7)},
       r"argmax.success_500 is 7; expected a number between 0 and 1"),
      ({'step': 6, 'argmax': mazes_scores(spl=-.1)}, 'argmax.spl is'),
      ({'step': 6, 'argmax': mazes_scores(success_50='high')}, "argmax.success_50 is 'high'"),
      ({'step': 6, 'argmax': mazes_scores(mean_steps=math.nan)}, "argmax.mean_steps is nan"),
      ({'step': 6, 'argmax': mazes_scores(success_500=None)}, "argmax.success_500 is None"),
      ({'step': 6, 'argmax': mazes_scores(success_500=True)}, "argmax.success_500 is True"),
      ({'step': 6, 'argmax': mazes_scores(), 'sampled': mazes_scores(spl=2)}, "sampled.spl is 2"))
  def test_of_mazes_what_cannot_be_is_named(self, content, message):
    with self.assertRaisesRegex(ValueError, message):
      evaluations.check(content, 6, maze.get_config('tiny'))

  @parameterized.parameters(
      (games_scores(score=math.inf), "sampled.score is inf; expected a finite number$"),
      (games_scores(score_std=-1.), 'sampled.score_std is'),
      (games_scores(game='Pong'), "sampled.game is 'Pong'; expected 'Breakout'"),
      (games_scores(seed=1), "sampled.seed is 1; expected 0"))
  def test_of_games_what_cannot_be_or_is_of_another_run_is_named(self, scores, message):
    with self.assertRaisesRegex(ValueError, message):
      evaluations.check({'step': 2, 'sampled': scores}, 2, atari.get_config('tiny'))


if __name__ == '__main__':
  absltest.main()
