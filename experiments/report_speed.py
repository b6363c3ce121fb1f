"""Measures how fast a report of many methods, games and seeds is built.

python -m experiments.report_speed --methods=10 --games=10 --seeds_each=5

Scores and label accuracies are random numbers; nothing is trained and nothing is kept. Prints one
JSON object: seconds of each turn, and the size of the page.
"""

import json
import os
import tempfile
import time

import numpy as np
from absl import app, flags

from alpt_jax import cli
from alpt_jax.domains.atari import scores as atari_scores
from experiments.studies import report, results_file

_METHODS = flags.DEFINE_integer('methods', 10, 'How many.', lower_bound=1)
_GAMES = flags.DEFINE_integer('games', 10, 'How many.', lower_bound=1, upper_bound=40)
_SEEDS = flags.DEFINE_integer('seeds_each', 5, 'How many.', lower_bound=1)
_EVALUATIONS = flags.DEFINE_integer('evaluations', 11, 'Of each run.', lower_bound=1)
_REPORTS = flags.DEFINE_integer('reports', 3, 'How many are built.', lower_bound=1)


def make_results(num_methods, num_games, num_seeds, num_evaluations):
  """Makes results of random scores, as `experiments.reproduce` would write them.

  Returns:
    The dict of results.json of agents: a run for each method, game and seed.
  """
  generator = np.random.default_rng(0)
  games = [game for game, scores in atari_scores.RANDOM_AND_HUMAN.items()
           if None not in scores][:num_games]
  results = {
      'experiment': 'atari', 'preset': 'made up', 'command': 'python -m experiments.report_speed',
      'created': '1970-01-01T00:00:00+00:00', 'config': {}, 'config_digest': '0', 'versions': {},
      'methods': {f'method{i}': {'label': f'Method {i}'} for i in range(num_methods)},
      'games': {game: {'role': 'target', 'checkpoints': [], 'random': random, 'human': human}
                for game, (random, human) in atari_scores.RANDOM_AND_HUMAN.items()
                if game in games},
      'runs': [], 'rows': []}
  for method in results['methods']:
    for game in games:
      random, human = atari_scores.RANDOM_AND_HUMAN[game]
      for seed in range(num_seeds):
        own = {'run': f'{method}-{game}-seed{seed}', 'method': method, 'target': game,
               'sources': [], 'seed': seed, 'num_labels': 10_000, 'phase': 'finetune',
               'part': 'score'}
        results['runs'].append(own | {'status': 'done', 'num_steps': num_evaluations - 1})
        for step, normalised in enumerate(generator.normal(1., .5, num_evaluations)):
          results['rows'].append(own | {
              'step': step, 'label_accuracy': float(generator.random()),
              'sampled/score': random + normalised * (human - random), 'sampled/score_std': 1.,
              'sampled/human_normalised': normalised, 'sampled/num_episodes': 16})
  return results


def main(argv):
  """Builds the report some times and prints how long it took."""
  if len(argv) > 1:
    raise app.UsageError(f'Unknown arguments: {argv[1:]}.')
  results = make_results(_METHODS.value, _GAMES.value, _SEEDS.value, _EVALUATIONS.value)
  seconds = []
  with tempfile.TemporaryDirectory() as directory:
    data, page = (os.path.join(directory, name) for name in ('results.json', 'report.html'))
    with open(data, 'w') as f:
      json.dump(results, f)
    for _ in range(_REPORTS.value):
      begin = time.perf_counter()
      report.write_report(results_file.read(data), page)
      seconds.append(time.perf_counter() - begin)
    print(json.dumps({'seconds': seconds, 'runs': len(results['runs']),
                      'rows': len(results['rows']), 'page_bytes': os.path.getsize(page)}))


if __name__ == '__main__':
  cli.run_with_arguments(main)
