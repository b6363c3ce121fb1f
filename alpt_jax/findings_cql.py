"""What conservative Q-learning scores, beside Table 4 of the paper."""

import math
from typing import NamedTuple

from alpt_jax import findings, findings_atari
from alpt_jax.measures import verdicts

TABLE_4 = {'Asterix': 227.5, 'Breakout': 12.3, 'Freeway': 10.2, 'Seaquest': 236.0,
           'SpaceInvaders': 250.9}  # Points after 100 iterations; the paper gives no spread.
NUM_STEPS = 100 * 62_500  # Updates of 100 iterations.
NUM_LABELS = 10_000
_METHOD = 'cql'
_BAND = .25  # Of the paper's number.


class Row(NamedTuple):
  """A game of Table 4.

  Attributes:
    game: its name.
    paper: points in the paper.
    mean: points here, over seeds; NaN if no run is done.
    std: population standard deviation over seeds; NaN for one.
    low: lower end of the 95 % interval of the mean, over training seeds; None for one.
    high: upper end; None for one.
    num_seeds: behind them.
    random: points of random play.
    human: points of a human.
  """
  game: str
  paper: float
  mean: float
  std: float
  low: float | None
  high: float | None
  num_seeds: int
  random: float
  human: float


def rows(results):
  """The games of Table 4 that were played: a list of `Row`."""
  return [Row(entry['target'], TABLE_4[entry['target']], entry['score/mean'], entry['score/std'],
              entry['score/low'], entry['score/high'], entry['score/n'],
              results['games'][entry['target']]['random'],
              results['games'][entry['target']]['human'])
          for entry in findings_atari.final_metrics(results)
          if entry['method'] == _METHOD and entry['target'] in TABLE_4]


def is_comparable(results):
  """Whether training was that of the paper: as many updates on as many labels, on DQN replay."""
  runs = [run for run in results['runs'] if run['method'] == _METHOD]
  return (all((run.get('num_steps'), run['num_labels']) == (NUM_STEPS, NUM_LABELS) for run in runs)
          and not any(game.get('behaviour') for game in results['games'].values()))


def claim_row(results):
  """Table 4 as a `findings.ClaimRow`; None if CQL was not run.

  A game agrees if the 95 % interval of the mean over training seeds lies within a quarter of the
  paper's number, differs if it lies outside, and else nothing can be told. Fewer than five seeds
  give no verdict. The table reproduces if all five games agree, in part if some do.
  """
  found = rows(results)
  if not found:
    return None
  measured = '; '.join(
      f'{row.game} '
      + ('no finished run' if not row.num_seeds else f'{row.mean:,.1f}'
         + (f' ± {row.std:,.1f}' if math.isfinite(row.std) else '') + f' (n = {row.num_seeds})')
      + f', paper {row.paper:g}, random {row.random:g}' for row in found)
  verdict = 'undecided'
  if is_comparable(results):
    agreeing = [_agrees(row) for row in found]
    if agreeing.count(True) == len(TABLE_4):
      verdict = 'reproduced'
    elif True in agreeing:
      verdict = 'partly'
    elif False in agreeing:
      verdict = 'contradicted'
    elif all(verdicts.no_verdict(row.num_seeds) for row in found):
      verdict = 'no verdict'
  numbers = ', '.join(f'{game} {points:g}' for game, points in TABLE_4.items())
  return findings.ClaimRow('Table 4', f'CQL on 10,000 labelled frames scores {numbers}', measured,
                           verdict)


def _agrees(row):
  """Whether a game's number is the paper's; None if that cannot be told."""
  band = _BAND * row.paper
  if verdicts.no_verdict(row.num_seeds):
    return None
  if row.paper - band <= row.low and row.high <= row.paper + band:
    return True
  is_outside = row.high < row.paper - band or row.low > row.paper + band
  return False if is_outside else None
