"""Observations to tokens, and the order of tokens in a sequence.

A tokenizer maps observations [B, T, ...] to [B, T, P, D]. Images are cut into patches, each
embedded by one linear map, with a learned position per patch (Lee et al., 2022). Grids become one
token, or patches as well; vectors become one token.

A tokenizer is `join(parts(observations, before))`: `parts` embeds every frame by itself, given the
one before it, so that windows which share frames need not embed them again.
"""

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from alpt_jax.networks import transformer

_EMBEDDING_INIT = nn.initializers.truncated_normal(.02)
# An input with a single one in it becomes a vector of norm 1, however long the input is.
_PER_CELL_INIT = nn.initializers.variance_scaling(1., 'fan_out', 'truncated_normal')


class PatchTokenizer(nn.Module):
  """[B, T, H, W, C] uint8 -> [B, T, P, D]; patches are non-overlapping, in row-major order.

  Attributes:
    d_model: D.
    patch_size: side of a square patch; divides H and W. 14 for Atari's 84 x 84.
    scale: what a value is divided by: 255 for pixels, 1 for the 0/1 planes of a grid.
    frame_changes: embed also how a patch differs from the frame before it in the window. What
      moves is a few pixels before a background that never changes: without this, the 2-core models
      need thousands of updates to see it at all. Not in Lee et al. (2022).
    dtype: of the tokens and of what is computed in.
  """
  d_model: int
  patch_size: int
  scale: float
  frame_changes: bool = False
  dtype: jnp.dtype = jnp.float32

  def __call__(self, observations):
    before = jnp.concatenate([observations[:, :1], observations[:, :-1]], axis=1)
    return self.join(self.parts(observations, before))

  @nn.compact
  def parts(self, observations, before):
    """Embeds frames, each by itself.

    Args:
      observations: [B, T, H, W, C].
      before: the frame before each, of the same shape; unused without `frame_changes`.

    Returns:
      [B, T, P, D], or [B, T, 2, P, D] with the embedded change second, for `join`.
    """
    frames = self._patches(observations)
    b, t, p, _ = frames.shape
    channels = observations.shape[-1]
    swapped = ()
    if self.dtype == jnp.bfloat16:  # See `_patches`.
      swapped = self.patch_size, self.patch_size * channels
    # All patches of a window in one dimension, as the transformer wants them: 36 a frame are no
    # whole tiles of a TPU, and would be moved.
    x_BMD = transformer.Dense(self.d_model, swapped=swapped, dtype=self.dtype, name='embed')(
        frames.reshape(b, t * p, -1))
    position = self.param('position', _EMBEDDING_INIT, (p, self.d_model))
    x_BTPD = (x_BMD + jnp.tile(position, (t, 1))[None]).astype(self.dtype).reshape(b, t, p, -1)
    if not self.frame_changes:
      return x_BTPD
    changes_BTPD = transformer.Dense(
        self.d_model, use_bias=False, swapped=swapped, dtype=self.dtype, name='changes')(
            frames - self._patches(before))
    return jnp.stack([x_BTPD, changes_BTPD], axis=2)

  def join(self, parts):
    """Makes the tokens [B, T, P, D] of a window; nothing is known before its first frame."""
    if not self.frame_changes:
      return parts
    is_first = jnp.arange(parts.shape[1]) == 0
    return parts[:, :, 0] + jnp.where(is_first[None, :, None, None], 0, parts[:, :, 1])

  def _patches(self, observations):
    """[B, T, P, p * p * C] float32: of each patch, row after row.

    In bfloat16, column after column: that is one dimension moved behind another, and embedding
    192 Atari frames takes 89 k cycles of a TPU instead of 219 k.
    """
    chex.assert_rank(observations, 5)
    *_, height, width, channels = observations.shape
    b, t = observations.shape[:2]
    p = self.patch_size
    if height % p or width % p:
      raise ValueError(f'patch_size {p} must divide the observation, {height} x {width}.')
    x = observations.astype(jnp.float32) / self.scale
    if self.dtype == jnp.bfloat16:
      x = x.reshape(b, t, height // p, p, width * channels).swapaxes(3, 4)
    else:
      x = x.reshape(b, t, height // p, p, width // p, p, channels).transpose(0, 1, 2, 4, 3, 5, 6)
    return x.reshape(b, t, -1, p * p * channels)


class GridTokenizer(nn.Module):
  """[B, T, H, W, C] planes of 0 and 1 -> [B, T, 1, D]; one token says what is where.

  A cell's embedding is the sum of its own, its row's and its column's, so that what is learned at
  one place helps along its row and column. Every plane is scaled to unit norm first: otherwise the
  hundred walls, the same in every frame of a maze, drown the one cell that moves.
  """
  d_model: int

  @nn.compact
  def __call__(self, observations):
    chex.assert_rank(observations, 5)
    b, t = observations.shape[:2]
    planes = observations.astype(jnp.float32)
    norm = jnp.sqrt(jnp.maximum(jnp.sum(planes, axis=(2, 3), keepdims=True), 1.))
    planes /= norm
    parts = [planes, jnp.sum(planes, axis=3), jnp.sum(planes, axis=2)]
    x_BTD = sum(
        transformer.Dense(self.d_model, use_bias=name == 'cell', kernel_init=_PER_CELL_INIT,
                          name=name)(part.reshape(b, t, -1))
        for name, part in zip(['cell', 'row', 'column'], parts, strict=True))
    return x_BTD[:, :, None]

  def parts(self, observations, before):
    """As `PatchTokenizer.parts`; `before` is unused."""
    del before
    return self(observations)

  def join(self, parts):
    """As `PatchTokenizer.join`."""
    return parts


class VectorTokenizer(nn.Module):
  """[B, T, V] numbers in [low, high] -> [B, T, 1, D]: one linear map of the numbers in [-1, 1].

  With bins, also an embedding of the bin that each number falls into: after a linear map alone,
  neighbouring cells of a maze look almost the same.

  Attributes:
    d_model: D.
    low, high: range of the numbers.
    num_bins: equal bins between low and high; 0 for none.
  """
  d_model: int
  low: float
  high: float
  num_bins: int

  @nn.compact
  def __call__(self, observations):
    chex.assert_rank(observations, 3)
    x_BTV = 2. * (observations.astype(jnp.float32) - self.low) / (self.high - self.low) - 1.
    x_BTD = transformer.Dense(self.d_model, name='embed')(x_BTV)
    if self.num_bins:
      bins_BTV = jnp.clip((x_BTV + 1.) / 2. * self.num_bins, 0, self.num_bins - 1)
      one_hot = jax.nn.one_hot(bins_BTV.astype(jnp.int32), self.num_bins)
      x_BTD += transformer.Dense(
          self.d_model, use_bias=False, kernel_init=_PER_CELL_INIT, name='bins')(
              one_hot.reshape(*bins_BTV.shape[:2], -1))
    return x_BTD[:, :, None]

  def parts(self, observations, before):
    """As `PatchTokenizer.parts`; `before` is unused."""
    del before
    return self(observations)

  def join(self, parts):
    """As `PatchTokenizer.join`."""
    return parts


def make_tokenizer(spec, *, d_model, patch_size, vector_bins=0, frame_changes=False,
                   dtype=jnp.float32, name='tokenizer'):
  """Makes the tokenizer that an environment declares.

  Args:
    spec: a `types.EnvironmentSpec`.
    d_model: D.
    patch_size: side of a patch of an image or grid; 0 for one token per grid. Unused for vectors.
    vector_bins: see `VectorTokenizer`; unused for the others.
    frame_changes: see `PatchTokenizer`; unused for the others.
    dtype: see `PatchTokenizer`; unused for the others, which are small.
    name: name of the module.

  Returns:
    A module: [B, T, ...] -> [B, T, P, D].

  Raises:
    ValueError: if an image has no patch size.
  """
  if spec.observation_kind == 'vector':
    return VectorTokenizer(
        d_model, spec.observation_low, spec.observation_high, vector_bins, name=name)
  if patch_size:
    scale = {'grid': 1., 'image': 255.}[spec.observation_kind]
    return PatchTokenizer(d_model, patch_size, scale, frame_changes, dtype, name=name)
  if spec.observation_kind == 'image':
    raise ValueError(f'patch_size is 0 for the image observations of {spec.name}; expected a '
                     f'divisor of {spec.observation_shape[:2]}.')
  return GridTokenizer(d_model, name=name)


def num_observation_tokens(spec, *, patch_size):
  """P: how many tokens one observation becomes."""
  if spec.observation_kind == 'vector' or not patch_size:
    return 1
  height, width = spec.observation_shape[:2]
  return (height // patch_size) * (width // patch_size)


def interleave(observation_BTPD, return_BTD, action_BTD, reward_BTD):
  """Orders the DT's tokens: observation, return, action, reward per step. [B, T * (P + 3), D]."""
  b, t, p, d = observation_BTPD.shape
  chex.assert_shape([return_BTD, action_BTD, reward_BTD], (b, t, d))
  others = jnp.stack([return_BTD, action_BTD, reward_BTD], axis=2).astype(observation_BTPD.dtype)
  return jnp.concatenate([observation_BTPD, others], axis=2).reshape(b, t * (p + 3), d)


class Position(nn.Module):
  """Adds a learned embedding per place in the sequence to tokens [B, S, D].

  Attributes:
    num_tokens: S.
  """
  num_tokens: int

  @nn.compact
  def __call__(self, x_BSD, place=None):
    """Adds the embeddings; with `place` [] int32, that place's embedding to tokens [B, 1, D]."""
    embedding_SD = self.param('embedding', _EMBEDDING_INIT, (self.num_tokens, x_BSD.shape[-1]))
    if place is None:
      chex.assert_axis_dimension(x_BSD, 1, self.num_tokens)
      return (x_BSD + embedding_SD[None]).astype(x_BSD.dtype)
    return (x_BSD + embedding_SD[place][None, None]).astype(x_BSD.dtype)
