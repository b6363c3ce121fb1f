"""The paper's optimizer: global-norm clipping, then LAMB with linear warm-up (Table 3)."""

import optax


def make_optimizer(*, learning_rate, warmup_steps, weight_decay, max_grad_norm):
  """Makes the optimizer of one network.

  Args:
    learning_rate: after warm-up, constant.
    warmup_steps: steps of linear warm-up from 0; 0 for none.
    weight_decay: LAMB's decoupled weight decay.
    max_grad_norm: gradients of a larger global norm are scaled down to it.

  Returns:
    An `optax.GradientTransformation`. LAMB scales its step per tensor, so parameters that
    the model keeps apart must stay apart.
  """
  schedule = learning_rate
  if warmup_steps:
    schedule = optax.linear_schedule(0., learning_rate, warmup_steps)
  return optax.chain(
      optax.clip_by_global_norm(max_grad_norm),
      optax.lamb(schedule, b1=.9, b2=.999, weight_decay=weight_decay))
