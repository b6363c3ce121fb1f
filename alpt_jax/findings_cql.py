"""What conservative Q-learning scores, beside Table 4 of the paper."""

import math
from typing import NamedTuple

from alpt_jax import findings, findings_atari

TABLE_4 = {'Asterix': 227.5, 'Breakout': 12.3, 'Freeway': 10.2, 'Seaquest': 236.0,
           'SpaceInvaders': 250.9}  # Points after 100 iterations; the paper gives no spread.
NUM_STEPS = 100 * 62_500  # Updates of 100 iterations.
_METHOD = 'cql'


class Row(NamedTuple):
  """A game of Table 4.

  Attributes:
    game: its name.
    paper: points in the paper.
    mean: points here, over seeds; NaN if no run is done.
    std: population standard deviation over seeds; NaN for one.
    num_seeds: behind them.
    random: points of random play.
    human: points of a human.
  """
  game: str
  paper: float
  mean: float
  std: float
  num_seeds: int
  random: float
  human: float


def rows(results):
  """The games of Table 4 that were played: a list of `Row`."""
  return [Row(entry['target'], TABLE_4[entry['target']], entry['score/mean'], entry['score/std'],
              entry['score/n'], results['games'][entry['target']]['random'],
              results['games'][entry['target']]['human'])
          for entry in findings_atari.final_metrics(results)
          if entry['method'] == _METHOD and entry['target'] in TABLE_4]


def is_comparable(results):
  """Whether training was that of the paper: as many updates, on DQN replay."""
  return all(run.get('num_steps') == NUM_STEPS for run in results['runs']
             if run['method'] == _METHOD) and not any(
                 game.get('behaviour') for game in results['games'].values())


def claim_row(results):
  """Table 4 as a `findings.ClaimRow`; None if CQL was not run.

  It reproduces if the paper's number is within two standard deviations over at least two seeds, in
  part if that holds for some games.
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
  if is_comparable(results) and all(row.num_seeds > 1 for row in found):
    within = [abs(row.mean - row.paper) <= 2 * row.std for row in found]
    verdict = 'reproduced' if all(within) else 'partly' if any(within) else 'contradicted'
  numbers = ', '.join(f'{row.game} {row.paper:g}' for row in found)
  return findings.ClaimRow('Table 4', f'CQL on 10,000 labelled frames scores {numbers}', measured,
                           verdict)
