"""The scores of an agent that plays a scenario."""

from alpt_jax import schema
from alpt_jax.domains import metric

METRICS = {
    'score': metric.Metric('score', 'reward of the game', digits=1),
    'score_std': metric.Metric(
        'std of the score', 'reward of the game', digits=1, kind=schema.NOT_NEGATIVE),
    'score_median': metric.Metric('median score', 'reward of the game', digits=1),
}
