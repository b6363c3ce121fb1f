"""The scores of an agent in a maze."""

from alpt_jax import schema
from alpt_jax.domains import metric

METRICS = {
    'success_500': metric.Metric(
        'success within 500 (= return)', 'share of starts', kind=schema.SHARE),
    'success_50': metric.Metric('success within 50', 'share of starts', kind=schema.SHARE),
    'spl': metric.Metric('SPL', 'mean over starts', kind=schema.SHARE),
    'mean_steps': metric.Metric('mean steps', digits=1, kind=schema.NOT_NEGATIVE),
}
