"""Decides whether the gates of configs/gates.py are reached, before a study starts.

Rules over run files, fixed here; `experiments.summarise` puts their rows into READMEs, between
`<!-- gate labels: labels/runs -->` and `<!-- end of table -->`. A gate that lacks a number is not
reached: neither is one with a run that failed, or with fewer than five seeds.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from alpt_jax.measures import blindness, intervals
from alpt_jax.reports import floors_schema

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


def _of(files, methods, target=None):
  """Run files of some methods, of all games or of one, failed ones included."""
  return [file for file in files if file['identity']['method'] in methods
          and target in (None, file['identity']['target'])]


def _is_done(file):
  return file['status'] == 'done'


def _excuses(num_failed, num_lacking):
  """What a gate may not pass over, for `found`; '' if there is nothing."""
  return ''.join(f'; {num} {text}' for num, text in (
      (num_failed, 'failed'), (num_lacking, 'without numbers or their partner')) if num)


def _targets(files):
  return list(dict.fromkeys(f['identity']['target'] for f in files))


def of_the_way(value, floor, ceiling):
  """Returns (value - floor) / (ceiling - floor); NaN if the ceiling is not above the floor."""
  return (value - floor) / (ceiling - floor) if ceiling > floor else math.nan


def _ways(value, floor, ceilings):
  """Lowest and highest `of_the_way` with ceilings; unbounded if one is not above the floor."""
  ways = [of_the_way(value, floor, ceiling) if ceiling > floor
          else math.copysign(math.inf, value - floor) for ceiling in ceilings]
  return min(ways), max(ways)


def _joined(value, *ends):
  """Ends of the interval of a value whose errors are independent: distances add in squares."""
  return (value - math.hypot(*(value - low for low, _ in ends)),
          value + math.hypot(*(high - value for _, high in ends)))


class _Pair(NamedTuple):
  """Voted accuracy of an IDM, the best floor and the ceiling with its ends."""
  accuracy: float
  floor: float
  ceiling: float
  ceiling_ends: tuple


def _voted(file):
  """Its labels, with votes and a ceiling; None if it lacks one of these."""
  found = (file.get('floors') or {}).get('labels') or {}
  return found if found.get('voted') and floors_schema.is_known(found.get('ceiling')) else None


def _compared(file):
  """What runs must share to be floor and value of one seed; the first three, to be of one gate."""
  accuracy = _voted(file)['voted']['accuracy']
  return (file['identity']['target'], tuple(sorted(file['data_digests'].items())),
          file['identity']['num_labels'], file['identity']['seed'], file['seeds']['label_seed'],
          accuracy['num_transitions'], accuracy['num_episodes'])


def _pair(idm, past):
  """The `_Pair` of two files; None if the ceiling is not above the floor, or has no interval."""
  found = _voted(idm)
  floor = max(mean['value'] for mean in (
      _voted(past)['voted']['accuracy'], *(found['voted']['floors'].get(name)
                                           for name in floors_schema.FLOORS)) if mean)
  top = max((found['ceiling'][name] for name in floors_schema.CEILINGS),
            key=lambda mean: mean['value'])
  if top['value'] <= floor or None in (top['low'], top['high']):
    return None
  return _Pair(found['voted']['accuracy']['value'], floor, top['value'], (top['low'], top['high']))


def _pairs(runs):
  """Pairs the IDMs of a gate with those that see the past only.

  Returns:
    A list of `_Pair`, one a seed; how many files have failed; how many are in no pair.
  """
  done = [file for file in runs if _is_done(file)]
  keyed = {(file['identity']['method'], *_compared(file)): file for file in done if _voted(file)}
  keys = [key for method, *key in keyed if method == 'target' and ('past', *key) in keyed]
  pairs = [_pair(*(keyed[method, *key] for method in ('target', 'past'))) for key in keys]
  is_one = len({tuple(key[:3]) for key in keys}) == 1 and len({key[3] for key in keys}) == len(keys)
  found = [pair for pair in pairs if pair] if is_one else []
  return found, len(runs) - len(done), len(done) - 2 * len(found)


def labels(files):
  """Judges label accuracy, where all windows vote, between the best floor and the ceiling.

  The interval is over training seeds (Student's t), and the distance to the ends of the ceiling's
  own interval, over episodes, is added in squares: it is measured on some thousand steps.

  A run and its floor have the same game, data, number of labels, seeds and numbers of labelled
  transitions and episodes. A run that failed, lacks a number or has no partner is counted in what
  was found, and the gate is not reached; nor is it by runs of several games or recordings.

  Args:
    files: run files of methods `target` and, with the same labels, `past`.

  Returns:
    A list of one `Row`.
  """
  asks = (f'{OF_THE_WAY:g} of the way from the best floor to the ceiling, lower end at least '
          f'{LOWEST_OF_THE_WAY:g}; {FEWEST_SEEDS} seeds')
  pairs, *missing = _pairs(_of(files, ('target', 'past')))
  value = intervals.mean([of_the_way(*pair[:3]) for pair in pairs])
  if value.low is None:
    return [Row(asks, f'{value.n} seeds with votes, floors and ceiling{_excuses(*missing)}', False)]
  of_ceiling = np.mean([_ways(*pair[:2], pair.ceiling_ends) for pair in pairs], axis=0)
  low, high = _joined(value.value, (value.low, value.high), of_ceiling)
  return [Row(asks, f'{value.value:.3f} [{low:.3f}, {high:.3f}], {value.n} seeds'
              f'{_excuses(*missing)}',
              value.n >= FEWEST_SEEDS and not any(missing)
              and value.value >= OF_THE_WAY and low >= LOWEST_OF_THE_WAY)]


def agents(files):
  """Judges agents with all true actions: whether they look, and play.

  Args:
    files: run files of method `oracle`.

  Returns:
    A list of `Row`, two a game.
  """
  rows = []
  for target in _targets(files):
    runs = _of(files, ('oracle',), target)
    done = [run for run in runs if _is_done(run)]
    for row in (_looks(target, done), _plays(target, done)):
      num_failed = len(runs) - len(done)
      rows.append(Row(row.asks, row.found + _excuses(num_failed, 0),
                      row.is_reached and not num_failed))
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
    asks = (f'{target}: {OF_BEST:g} of the way from random play to the best checkpoint, as the '
            'point, whatever its interval; lower end of the score above every blind agent')
    way = _way_to_best(score, runs)
    found += f', {way.text(2)} of the way'
    is_reached = is_whole and way.value is not None and way.value >= OF_BEST
  highest = max(blind.values(), default=math.inf)
  return Row(asks, f'{found}; best blind {highest:.1f}',
             is_reached and score.low > highest)


def _way_to_best(score, runs):
  """How far agents have come from random play to the best checkpoint of their recording.

  The errors of the agents (over training seeds), of the checkpoint (over a handful of episodes) and
  of random play are independent: distances to the ends that each leaves add in squares.

  Args:
    score: `intervals.Interval` of the agents.
    runs: their run files.

  Returns:
    An `intervals.Interval`; without a value, or without ends, where a number is missing.
  """
  unknown = intervals.Interval(None, None, None, score.n, intervals.SEEDS, reason='unknown part')
  floors = (runs[0].get('floors') or {}) if runs else {}
  random = (floors.get('scores') or {}).get('agents', {}).get('random')
  best = max(floors.get('checkpoints', []), key=lambda c: c['mean_score'], default=None)
  if score.value is None or not (random and best) or not best['mean_score'] > random['score']:
    return unknown
  way = of_the_way(score.value, random['score'], best['mean_score'])
  found = dataclasses.replace(unknown, value=way, reason='no interval: an error is unknown')
  error, top = random.get('standard_error'), best['mean_score']
  if score.low is None or not {'std_score', 'num_episodes'} <= best.keys() or error is None:
    return found
  of_best = intervals.from_moments(top, best['std_score'], best['num_episodes'])
  num = random['num_episodes']  # The error divides by n - 1.
  of_random = intervals.from_moments(random['score'], error * math.sqrt(num - 1), num)
  if None in (of_best.low, of_random.low) or of_random.high >= top:
    return found
  low, high = _joined(
      way, [of_the_way(end, random['score'], top) for end in (score.low, score.high)],
      _ways(score.value, random['score'], (of_best.low, of_best.high)),
      sorted(of_the_way(score.value, end, top) for end in (of_random.low, of_random.high)))
  return dataclasses.replace(found, low=low, high=high, reason='')


def optimizers(files):
  """Judges LAMB by its difference to AdamW, paired by training seed.

  Args:
    files: run files of methods `lamb` and `adamw`.

  Returns:
    A list of `Row`, one a game.
  """
  rows = []
  for target in _targets(files):
    runs = _of(files, ('lamb', 'adamw'), target)
    done = [run for run in runs if _is_done(run)]
    values = [{file['identity']['seed']: file['curves']['label_accuracy'][-1]
               for file in _of(done, (name,)) if (file['curves']['label_accuracy'] or [None])[-1]
               is not None} for name in ('lamb', 'adamw')]
    found = intervals.difference(*values).interval
    missing = len(runs) - len(done), len(done) - 2 * found.n
    is_whole = found.n >= FEWEST_SEEDS and found.low is not None and not any(missing)
    rows.append(Row(
        f'{target}: LAMB less AdamW, accuracy, the whole interval within {LARGEST_LOSS:g}',
        f'{found.text()}, {found.n} seeds{_excuses(*missing)}',
        is_whole and -LARGEST_LOSS <= found.low and found.high <= LARGEST_LOSS))
  return rows


GATES = {'labels': labels, 'agents': agents, 'optimizers': optimizers}
