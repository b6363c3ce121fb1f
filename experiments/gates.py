"""Says whether gates are reached: what has to hold before a study on recorded Atari means anything.

Rules over run files, fixed here; `experiments.summarise` puts their rows into READMEs, between
`<!-- gate labels: labels/runs -->` and `<!-- end of table -->`. A gate that lacks a number is not
reached. Fewer than five seeds give no interval, so nothing is reached with fewer.
"""

import math
from typing import NamedTuple

import numpy as np

from alpt_jax import floors_schema
from alpt_jax.measures import blindness, intervals

FEWEST_SEEDS = 5
OF_THE_WAY, LOWEST_OF_THE_WAY = .85, .75  # From the best floor to the ceiling.
POINTS = {'Breakout': 10.}  # Of a game; in others, OF_BEST.
OF_BEST = .5  # Of the way from random play to the best checkpoint of the recording.
FEWEST_GAMES = 64
LARGEST_LOSS = .02  # Of accuracy.
HEADER = ('asks for', 'found', 'reached')


class Row(NamedTuple):
  """What a gate asks for, in words; what was found; whether that is enough."""
  asks: str
  found: str
  is_reached: bool


def _of(files, method, target=None):
  """{seed: run file} of runs of a method that are done."""
  return {f['identity']['seed']: f for f in files if f['status'] == 'done'
          and f['identity']['method'] == method
          and target in (None, f['identity']['target'])}


def _targets(files):
  return list(dict.fromkeys(f['identity']['target'] for f in files))


def of_the_way(value, floor, ceiling):
  """(value - floor) / (ceiling - floor); NaN if the ceiling is not above the floor."""
  return (value - floor) / (ceiling - floor) if ceiling > floor else math.nan


def labels(files):
  """Judges label accuracy, where all windows vote, between the best floor and the ceiling.

  The interval is over training seeds (Student's t), and the distance to the ends of the ceiling's
  own interval, over episodes, is added in squares: it is measured on some hundred steps.

  Args:
    files: run files of methods `target` and, with the same labels, `past`.

  Returns:
    A list of one `Row`.
  """
  asks = (f'{OF_THE_WAY:g} of the way from the best floor to the ceiling, lower end at least '
          f'{LOWEST_OF_THE_WAY:g}; {FEWEST_SEEDS} seeds')
  ends, past = {'value': [], 'low': [], 'high': []}, _of(files, 'past')
  for seed, file in _of(files, 'target').items():
    found, of_past = ((f.get('floors') or {}).get('labels') or {} for f in (
        file, past.get(seed, {})))
    if not (found.get('voted') and of_past.get('voted')) or 'unknown' in found['ceiling']:
      continue
    floor = max(mean['value'] for mean in (
        of_past['voted']['accuracy'], *(found['voted']['floors'].get(name) for name in (
            'majority', 'table', 'linear'))) if mean)
    top = max(found['ceiling'].values(), key=lambda mean: mean['value'])
    for end, values in ends.items():
      values.append(of_the_way(found['voted']['accuracy']['value'], floor, top[end]))
  value = intervals.mean(ends['value'])
  if value.n < FEWEST_SEEDS or value.low is None:
    return [Row(asks, f'{value.n} seeds with votes, floors and ceiling', False)]
  low, high = (math.hypot(a, float(np.mean(b)) - value.value) for a, b in (
      (value.value - value.low, ends['high']), (value.high - value.value, ends['low'])))
  low, high = value.value - low, value.value + high
  return [Row(asks, f'{value.value:.3f} [{low:.3f}, {high:.3f}], {value.n} seeds',
              value.value >= OF_THE_WAY and low >= LOWEST_OF_THE_WAY)]


def agents(files):
  """Judges agents with all true actions: whether they look, and play.

  Args:
    files: run files of method `oracle`.

  Returns:
    A list of `Row`, two a game.
  """
  rows = []
  for target in _targets(files):
    runs = list(_of(files, 'oracle', target).values())
    rows += [_looks(target, runs), _plays(target, runs)]
  return rows


def _looks(target, runs):
  agents_ = [(run.get('floors') or {}).get('agent') or {} for run in runs]
  num = sum(floors_schema.is_known(agent) and bool(agent.get('is_held_out'))
            and blindness.overall(*floors_schema.verdicts(agent)) is False for agent in agents_)
  return Row(f'{target}: looks, on a recording that it was not trained on; {FEWEST_SEEDS} seeds',
             f'{num} of {len(runs)} seeds', num == len(runs) >= FEWEST_SEEDS)


def _plays(target, runs):
  games = [next(iter((run.get('games') or {}).values()), {}).get('returns', []) for run in runs]
  score = intervals.mean([float(np.mean(returns)) for returns in games if returns])
  blind = {name: about['score'] for run in runs[:1] for name, about in (
      (run['floors'] or {}).get('scores') or {}).get('agents', {}).items()}
  is_whole = (len(runs) >= FEWEST_SEEDS and score.low is not None
              and min(map(len, games)) >= FEWEST_GAMES)
  found = f'{score.text(1)} points, {score.n} seeds of {min(map(len, games), default=0)} games'
  if target in POINTS:
    asks = f'{target}: above {POINTS[target]:g} points, lower end above every blind agent'
    is_reached = is_whole and score.value > POINTS[target]
  else:
    asks = (f'{target}: {OF_BEST:g} of the way from random play to the best checkpoint, lower end '
            'of the score above every blind agent')
    best = max((c['mean_score'] for run in runs[:1]
                for c in (run['floors'] or {}).get('checkpoints', [])), default=math.nan)
    way = of_the_way(score.value or 0., blind.get('random', math.nan), best)
    found += f', {way:.2f} of the way'
    is_reached = is_whole and way >= OF_BEST
  highest = max(blind.values(), default=math.inf)
  return Row(asks, f'{found}; best blind {highest:.1f}',
             is_reached and score.low > highest)


def optimizers(files):
  """Judges LAMB by its difference to AdamW, paired by training seed.

  Args:
    files: run files of methods `lamb` and `adamw`.

  Returns:
    A list of `Row`, one a game.
  """
  rows = []
  for target in _targets(files):
    values = [{seed: file['curves']['label_accuracy'][-1]
               for seed, file in _of(files, name, target).items()} for name in ('lamb', 'adamw')]
    found = intervals.difference(*values).interval
    is_whole = found.n >= FEWEST_SEEDS and found.low is not None
    rows.append(Row(
        f'{target}: LAMB less AdamW, accuracy, the whole interval within {LARGEST_LOSS:g}',
        f'{found.text()}, {found.n} seeds',
        is_whole and -LARGEST_LOSS <= found.low and found.high <= LARGEST_LOSS))
  return rows


GATES = {'labels': labels, 'agents': agents, 'optimizers': optimizers}
