"""Attention masks: the only difference between the transformer of the IDM and that of the DT.

A mask is a numpy bool [S, S]; `mask[q, k]` is True where query token q may attend key token k.
Masks depend on static sizes only, so they are built once, at trace time.
"""

import numpy as np

RETURN_TOKENS = ('current', 'first', 'all')


def all_ones(num_tokens):
  """Makes the mask of the IDM (appendix B): every token sees every token; bool [S, S]."""
  return np.ones((num_tokens, num_tokens), bool)


def causal(num_tokens):
  """Makes GPT-2's mask: a token sees itself and what comes before it; bool [S, S]."""
  return np.tril(all_ones(num_tokens))


def block_causal(num_steps, num_observation_tokens, *, return_tokens='current'):
  """Makes the DT's mask over (observation tokens, return, action, reward) of each step.

  Causal, but the tokens of one observation see each other, as in the multi-game DT release (Lee et
  al., 2022). Which queries see a return token is a choice:

    'current'  only the token itself, so an action depends on the return of its own step and on no
               other, directly or through other tokens. This is eq. 3 of the paper.
    'first'    the first step's return token is seen by everything after it, the others by nothing,
               not even by themselves: their value is unused (the DT zeroes it, or it would reach
               its own output by the residual path). The multi-game DT release.
    'all'      every later token, as in the original decision transformer.

  Args:
    num_steps: T, steps in the window.
    num_observation_tokens: P, tokens of one observation.
    return_tokens: one of RETURN_TOKENS.

  Returns:
    bool [T * (P + 3), T * (P + 3)].

  Raises:
    ValueError: for an unknown `return_tokens`.
  """
  if return_tokens not in RETURN_TOKENS:
    raise ValueError(f'return_tokens is {return_tokens!r}; expected one of {RETURN_TOKENS}.')
  tokens_per_step = num_observation_tokens + 3
  num_tokens = num_steps * tokens_per_step
  step, slot = np.divmod(np.arange(num_tokens), tokens_per_step)
  is_observation = slot < num_observation_tokens
  is_return = slot == num_observation_tokens
  same_frame = ((step[:, None] == step[None, :])
                & is_observation[:, None] & is_observation[None, :])
  mask = causal(num_tokens) | same_frame
  if return_tokens == 'current':
    mask &= ~is_return[None, :] | np.eye(num_tokens, dtype=bool)
  elif return_tokens == 'first':
    mask &= ~(is_return & (step > 0))[None, :]
  return mask
