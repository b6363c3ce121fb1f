"""What eval/ of a run must hold: which steps it promises, and numbers that can be believed."""

from alpt_jax import schema
from alpt_jax.learners import acting

_MAIN = {'maze': 'success_500', 'atari': 'score'}
_SCORES = {
    **schema.optional(schema.SHARE, 'success_500', 'success_50', 'spl'),
    **schema.optional(schema.NOT_NEGATIVE, 'mean_steps', 'score_std'),
    **schema.optional(schema.FINITE, 'score', 'score_median'),
    'human_normalised?': (schema.FINITE, None),  # Of games that no human was measured on.
    'num_episodes?': schema.POSITIVE}


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
  schema.check(content, {'step': schema.one_of([step])})
  if own.phase != 'pretrain' and own.train_dt:
    mode = own.evaluation.acting_mode if own.experiment == 'atari' else 'argmax'
    modes = [mode]
    if (own.experiment == 'atari' and step == own.num_steps
        and own.evaluation.sharpened_temperature):
      modes.append('sharpened')
    schema.check(content, dict.fromkeys(modes, {_MAIN[own.experiment]: float}))
  for mode in acting.MODES:
    if mode in content:
      schema.check(content[mode], _SCORES, mode)
      if own.experiment == 'atari':  # Which says whose scores they are.
        schema.check(content[mode], {
            'game': schema.one_of([own.target]), 'seed': schema.one_of([own.seed])}, mode)
