"""Augments images by random changes that keep the actions right.

The multi-game DT augments its images (Lee et al., 2022, appendix B.5, which we could not read).
Here a window's images are shifted, all of them by the same amount: what moved from one to the next,
and so the action, stays the same. Flips would turn left into right. Each window draws from a key of
its own, so that microbatches change nothing.
"""

import functools

import jax
import jax.numpy as jnp

from alpt_jax.networks import transformer

KINDS = ('none', 'shift')
_MAX_SHIFT = 4  # Pixels, of 84.


def make(kind):
  """Looks up an augmentation.

  Args:
    kind: one of KINDS.

  Returns:
    augment(key, observations [B, T + 1, H, W, C] uint8, rows) -> the same shape, see `shift`; None
    for 'none'.

  Raises:
    ValueError: for another kind.
  """
  if kind not in KINDS:
    raise ValueError(f'augmentation is {kind!r}; expected one of {KINDS}.')
  return None if kind == 'none' else functools.partial(shift, max_shift=_MAX_SHIFT)


def shift(key, observations, rows=None, *, max_shift):
  """Shifts the images of each window by one random amount; what comes in at the edge is black.

  Args:
    key: PRNG key.
    observations: [B, T + 1, H, W, C].
    rows: [B] int32; numbers of the windows, which `key` is folded with; None for 0 to B - 1.
    max_shift: largest shift in pixels, up, down, left and right.

  Returns:
    [B, T + 1, H, W, C].
  """
  keys = transformer.keys_of_rows(key, len(observations), rows)
  offsets = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, 2 * max_shift + 1))(keys)

  def crop(window, offset):
    padded = jnp.pad(window, ((0, 0), (max_shift, max_shift), (max_shift, max_shift), (0, 0)))
    return jax.lax.dynamic_slice(padded, (0, offset[0], offset[1], 0), window.shape)

  return jax.vmap(crop)(observations, offsets)
