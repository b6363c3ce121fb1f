"""Across games: the numbers of the page are those of `aggregates`, and one seed has no interval."""

import re

import numpy as np
from absl.testing import absltest

from alpt_jax.domains.atari import report_aggregates
from alpt_jax.measures import aggregates
from tests.domains.atari import report_test

_HUMAN = (1.7, 30.5)  # Of the results' games: random and human points.


def results_of(scores):
  """Results whose methods scored {method: {game: points of each seed}}."""
  results = report_test.make_results()
  results['runs'], results['rows'] = [], []
  for method, by_game in scores.items():
    for game, points in by_game.items():
      results['games'].setdefault(game, report_test._game('target'))['role'] = 'target'
      for seed, score in enumerate(points):
        own = dict(run=f'{method}-{game}-{seed}', method=method, target=game, sources=[],
                   seed=seed, num_labels=500, phase='finetune', part='score')
        results['runs'].append(own | {'status': 'done'})
        results['rows'].append(own | {
            'step': 10, 'sampled/score': score,
            'sampled/human_normalised': (score - _HUMAN[0]) / (_HUMAN[1] - _HUMAN[0])})
  return results


def words(html):
  return ' '.join(re.sub('<[^>]*>', ' ', html).split())


class ReportAggregatesTest(absltest.TestCase):

  def test_numbers_are_those_of_aggregates(self):
    points = {'alpt': {'Breakout': [9., 10., 14.], 'Freeway': [20., 22., 25.]},
              'dt1_idm': {'Breakout': [3., 4., 5.], 'Freeway': [21., 19., 24.]}}
    results = results_of(points)
    text = words(report_aggregates.section(results))
    scores = {m: {g: (np.array(x) - _HUMAN[0]) / (_HUMAN[1] - _HUMAN[0])
                  for g, x in by_game.items()} for m, by_game in points.items()}
    for by_game in scores.values():
      for statistic in report_aggregates.STATISTICS.values():
        estimate = aggregates.interval(by_game, statistic, num_resamples=2000)
        self.assertIn(f'{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]', text)
    # Breakout: all 9 pairs; Freeway: 20 beats 19, 22 beats 21 and 19, 25 beats all: 6 of 9.
    self.assertIn('ALPT over DT1-IDM 0.83', text)
    self.assertIn('6 and 6 runs', text)

  def test_one_seed_has_no_interval(self):
    text = words(report_aggregates.section(results_of(
        {'alpt': {'Breakout': [9.]}, 'dt1_idm': {'Breakout': [3.]}})))
    self.assertNotIn('[', text.split('labels: Breakout')[1])
    self.assertIn('ALPT over DT1-IDM 1.00 one seed', text)

  def test_games_that_a_method_lacks_are_left_out_and_named(self):
    text = words(report_aggregates.section(results_of(
        {'alpt': {'Breakout': [9.], 'Freeway': [3.]}, 'dt1_idm': {'Breakout': [3.]}})))
    self.assertIn('500 labels: Breakout', text)
    self.assertIn('Left out, as not every method finished there: Freeway', text)

  def test_games_without_a_human_score_are_not_counted_and_named(self):
    results = results_of({'alpt': {'Breakout': [9., 10.]}})
    results['games']['Carnival'] = report_test._game('target') | {'human': None}
    self.assertIn('Without a human score, and so not counted: Carnival',
                  words(report_aggregates.section(results)))


if __name__ == '__main__':
  absltest.main()
