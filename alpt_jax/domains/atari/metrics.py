"""The scores of an agent that plays a game."""

from alpt_jax import schema
from alpt_jax.domains import metric

METRICS = {
    'score': metric.Metric('score', 'points of a game', digits=1),
    'score_std': metric.Metric(
        'std of the score', 'points of a game', digits=1, kind=schema.NOT_NEGATIVE),
    'score_median': metric.Metric('median score', 'points of a game', digits=1),
    # Null of games that no human was measured on.
    'human_normalised': metric.Metric(
        'human-normalised, by published scores', kind=(schema.FINITE, None)),
}
