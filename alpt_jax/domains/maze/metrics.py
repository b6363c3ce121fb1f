"""The scores of an agent in a maze."""

import math

from alpt_jax.domains import metric

METRICS = {
    'success_500': metric.Metric(
        'success within 500 (= return)', 'share of starts', lowest=0., highest=1.),
    'success_50': metric.Metric('success within 50', 'share of starts', lowest=0., highest=1.),
    'spl': metric.Metric('SPL', 'mean over starts', lowest=0., highest=1.),
    'mean_steps': metric.Metric('mean steps', digits=1, lowest=0., highest=math.inf),
}
