"""Discretizes returns and rewards: a token id per integer, both ends included.

The multi-game DT release keeps `high - low` bins, one short of the values it can produce; we keep
`high - low + 1` (Atari: -20..100, 121 bins; maze: 0..1, 2 bins).
"""

import jax.numpy as jnp

NUM_REWARD_TOKENS = 3  # Zero, positive, negative: the sign is what the multi-game DT predicts.


def num_return_bins(low, high):
  """Counts the bins of returns in [low, high]."""
  if low >= high:
    raise ValueError(f'The lowest return {low} must be below the highest {high}.')
  return high - low + 1


def encode_return(returns, *, low, high):
  """Maps raw returns to bins; values outside [low, high] are clipped, fractions truncated.

  Args:
    returns: [...] float; undiscounted return-to-go in units of (clipped) reward.
    low: smallest representable return.
    high: largest representable return, inclusive.

  Returns:
    [...] int32 in [0, high - low].

  Raises:
    ValueError: if `low >= high`.
  """
  num_return_bins(low, high)
  return jnp.trunc(jnp.clip(returns, low, high)).astype(jnp.int32) - low


def encode_reward(rewards):
  """Maps rewards [...] float to ids [...] int32: 0 for zero, 1 positive, 2 negative."""
  return jnp.where(rewards > 0, 1, jnp.where(rewards < 0, 2, 0)).astype(jnp.int32)
