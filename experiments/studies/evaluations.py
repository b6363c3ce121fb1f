"""What eval/ of a run must hold: which steps it promises, and numbers that can be believed."""

import math
import numbers

from alpt_jax import domains
from alpt_jax.domains import metric
from alpt_jax.learners import acting

_NUMBERS = {'num_episodes': metric.Metric('episodes', lowest=1.)}  # Beside those of the domain.


def promised_steps(own, reached):
  """Steps at which a run evaluates, as far as it has come.

  Args:
    own: the run's config.
    reached: the last step of which the run left a trace; 0 if none.

  Returns:
    Ascending ints, up to `own.num_steps`.
  """
  if not reached:  # Even the evaluation of step 0 may be still to come.
    return []
  steps = {*range(0, own.num_steps + 1, own.eval_every_steps), own.num_steps}
  return sorted(step for step in steps if step <= reached)


def check(content, step, own):
  """Refuses an evaluation that cannot be of this step of this run.

  Args:
    content: of eval/step_*.json.
    step: of the file's name.
    own: the run's config.

  Raises:
    ValueError: naming the field, what it holds and what was expected.
  """
  if not isinstance(content, dict):
    raise ValueError(f'is {str(content)[:40]!r}; expected an object')
  _expect(content, 'step', step, '')
  domain = domains.of(own)
  if own.phase != 'pretrain' and own.train_dt and domain.metrics:
    for mode in domain.acting_modes(step == own.num_steps):
      for name, where in ((mode, content), (next(iter(domain.metrics)), content.get(mode))):
        if not isinstance(where, dict) or name not in where:
          raise ValueError(f'has no {name}')
  for mode in acting.MODES:
    if mode in content:
      _check_scores(content[mode], mode, domain)


def _check_scores(scores, mode, domain):
  if not isinstance(scores, dict):
    raise ValueError(f'{mode} is {str(scores)[:40]!r}; expected an object')
  for name, metric_ in (domain.metrics | _NUMBERS).items():
    x = scores.get(name)
    if x is None and (name not in scores or metric_.is_optional):
      continue
    if (not isinstance(x, numbers.Real) or isinstance(x, bool) or not math.isfinite(x)
        or not metric_.lowest <= x <= metric_.highest):
      between = (f' in [{metric_.lowest:g}, {metric_.highest:g}]'
                 if math.isfinite(metric_.lowest) else '')
      raise ValueError(f'{mode}.{name} is {str(x)[:40]!r}; expected a finite number{between}')
  for name, expected in domain.protocol().items():
    _expect(scores, name, expected, f'{mode}.')


def _expect(record, name, expected, prefix):
  if name not in record or record[name] != expected:
    raise ValueError(f'{prefix}{name} is {str(record.get(name))[:40]!r}; expected {expected!r}')
