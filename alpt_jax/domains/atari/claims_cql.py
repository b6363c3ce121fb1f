"""Compares conservative Q-learning with Table 4 of the paper."""

import math
from typing import NamedTuple

from alpt_jax.domains.atari import findings as findings_atari
from alpt_jax.reports import findings

TABLE_4 = {'Asterix': 227.5, 'Breakout': 12.3, 'Freeway': 10.2, 'Seaquest': 236.0,
           'SpaceInvaders': 250.9}  # Points after 100 iterations; the paper gives no spread.
NUM_STEPS = 100 * 62_500  # Updates of 100 iterations.
NUM_LABELS = 10_000
_METHOD = 'cql'


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
  """Lists the games of Table 4 that were played, as `Row`s."""
  return [Row(entry['target'], TABLE_4[entry['target']], entry['score/mean'], entry['score/std'],
              entry['score/low'], entry['score/high'], entry['score/n'],
              results['games'][entry['target']]['random'],
              results['games'][entry['target']]['human'])
          for setting in findings_atari.settings(results, findings.SCORE)
          if _METHOD in (*setting.methods, *setting.bounds) and setting.target in TABLE_4
          for entry in [findings.final(results, setting, _METHOD, {'score': setting.metric})]]


def is_comparable(results):
  """Returns whether a run is trained as the paper's: its updates and labels, on DQN replay."""
  runs = [run for run in results['runs'] if run['method'] == _METHOD]
  return (all((run.get('num_steps'), run['num_labels']) == (NUM_STEPS, NUM_LABELS) for run in runs)
          and not any(game.get('behaviour') for game in results['games'].values()))


def claim_row(results):
  """Returns Table 4 as a `findings.ClaimRow`; None if CQL was not run.

  Every game has its mean, spread and 95 % interval over training seeds beside the paper's number,
  which has no spread; see `is_comparable` for whether they are of the same training.
  """
  found = rows(results)
  if not found:
    return None
  numbers = ', '.join(f'{game} {points:g}' for game, points in TABLE_4.items())
  return findings.ClaimRow('Table 4', f'CQL on 10,000 labelled frames scores {numbers}',
                           '; '.join(map(_in_words, found)), 'exploratory')


def _in_words(row):
  """E.g. 'Breakout 12.0 ± 2.0 [-13.4, 37.4] (n = 2), paper 12.3, random 1.7'."""
  here = 'no finished run'
  if row.num_seeds:
    here = (f'{row.mean:,.1f}' + (f' ± {row.std:,.1f}' if math.isfinite(row.std) else '')
            + ('' if row.low is None else f' [{row.low:,.1f}, {row.high:,.1f}]')
            + f' (n = {row.num_seeds})')
  return f'{row.game} {here}, paper {row.paper:g}, random {row.random:g}'
