"""Finds the settings of the Atari experiment, and the best checkpoints of its recordings."""

import math

from alpt_jax.measures import curves
from alpt_jax.reports import findings

FIELDS = ('target', 'num_labels')  # That runs of a setting have in common.
MAIN = 'score'


def score_metric(results):
  """Returns the score's column: 'sampled/score', or 'argmax/score' if agents acted so."""
  return findings.column(results, MAIN)


def settings(results, part):
  """Returns the `findings.Setting`s of a part, in the order of the runs."""
  return findings.settings(results, part, FIELDS, MAIN)


def best_checkpoint(game):
  """Returns the highest mean score among the checkpoints of a game's data; NaN if unknown."""
  scores = [curves.value(checkpoint, 'mean_score') for checkpoint in game['checkpoints']]
  return max((score for score in scores if math.isfinite(score)), default=math.nan)
