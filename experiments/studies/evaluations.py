"""What eval/ of a run must hold: which steps it promises, and numbers that can be believed."""

import math
import numbers

from alpt_jax.learners import acting

_NUMBERS = {  # Name: lowest, highest.
    'success_500': (0., 1.), 'success_50': (0., 1.), 'spl': (0., 1.), 'mean_steps': (0., math.inf),
    'score': (-math.inf, math.inf), 'score_std': (0., math.inf),
    'score_median': (-math.inf, math.inf), 'human_normalised': (-math.inf, math.inf),
    'num_episodes': (1., math.inf)}
_NULLABLE = ('human_normalised',)  # Of games that no human was measured on.
_MAIN = {'maze': 'success_500', 'atari': 'score'}


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
  if own.phase != 'pretrain' and own.train_dt:
    mode = own.evaluation.acting_mode if own.experiment == 'atari' else 'argmax'
    modes = [mode]
    if (own.experiment == 'atari' and step == own.num_steps
        and own.evaluation.sharpened_temperature):
      modes.append('sharpened')
    for mode in modes:
      for name, where in ((mode, content), (_MAIN[own.experiment], content.get(mode))):
        if not isinstance(where, dict) or name not in where:
          raise ValueError(f'has no {name}')
  for mode in acting.MODES:
    if mode in content:
      _check_scores(content[mode], mode, own)


def _check_scores(scores, mode, own):
  if not isinstance(scores, dict):
    raise ValueError(f'{mode} is {str(scores)[:40]!r}; expected an object')
  for name, (low, high) in _NUMBERS.items():
    x = scores.get(name, low if math.isfinite(low) else 0.)
    if x is None and name in _NULLABLE:
      continue
    if (not isinstance(x, numbers.Real) or isinstance(x, bool) or not math.isfinite(x)
        or not low <= x <= high):
      between = f' in [{low:g}, {high:g}]' if math.isfinite(low) else ''
      raise ValueError(f'{mode}.{name} is {str(x)[:40]!r}; expected a finite number{between}')
  if own.experiment == 'atari':  # Which says whose scores they are.
    _expect(scores, 'game', own.target, f'{mode}.')
    _expect(scores, 'seed', own.seed, f'{mode}.')


def _expect(record, name, expected, prefix):
  if name not in record or record[name] != expected:
    raise ValueError(f'{prefix}{name} is {str(record.get(name))[:40]!r}; expected {expected!r}')
