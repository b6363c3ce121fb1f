"""Checks eval/ of a run: the steps it must hold, and numbers that can be believed."""

from alpt_jax import domains, schema
from alpt_jax.learners import acting


def promised_steps(own, reached):
  """Steps at which a run evaluates, as far as it has come.

  Args:
    own: the run's config.
    reached: the last step of which the run left a trace; 0 if none.

  Returns:
    Ascending ints, up to `own.num_steps`.
  """
  if not reached:  # The evaluation of step 0 may not be made yet.
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
  domain = domains.of(own)
  if own.phase != 'pretrain' and own.train_dt and domain.metrics:
    main = next(iter(domain.metrics))
    schema.check(content, dict.fromkeys(domain.acting_modes(step == own.num_steps), {main: float}))
  scores = {f'{name}?': metric.kind for name, metric in domain.metrics.items()} | {
      'num_episodes?': schema.POSITIVE} | {
          name: schema.one_of([value]) for name, value in domain.protocol().items()}
  for mode in acting.MODES:
    if mode in content:
      schema.check(content[mode], scores, mode)
