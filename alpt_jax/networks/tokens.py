"""Observations to tokens, and the order of tokens in a sequence.

A tokenizer maps observations [B, T, ...] to [B, T, P, D]. Images are cut into patches, each
embedded by one linear map, with a learned position per patch (Lee et al., 2022), or become one
token through convolutions. Grids become one token, or patches as well; vectors become one token.

A tokenizer embeds every frame by itself, given the one before it, so that windows which share
frames need not embed them again. A window's first frame is embedded as if it had not changed:
nothing is known before it.
"""

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from alpt_jax.networks import transformer

TOKENIZERS = ('patch', 'conv')
# Of `ConvTokenizer`: side of a patch and its features; then features, size and stride.
CONV_PATCH = 4, 32
CONV_LAYERS = (64, 3, 2), (64, 2, 2)
EMBEDDING_INIT = nn.initializers.truncated_normal(.02)
# An input with a single one in it becomes a vector of norm 1, however long the input is.
_PER_CELL_INIT = nn.initializers.variance_scaling(1., 'fan_out', 'truncated_normal')


def _previous(observations):
  """The frame before each of [B, T, ...]; of the first, itself, so that it has not changed."""
  return jnp.concatenate([observations[:, :1], observations[:, :-1]], axis=1)


class _Tokenizer(nn.Module):
  """What tokenizers share; subclasses have `change_tokens` and `embed_frames`."""

  def __call__(self, observations):
    return self.embed_frames(observations, _previous(observations))

  def parts(self, observations, before):
    """Embeds frames for windows in which they may come first, or later.

    Args:
      observations: [B, T, ...].
      before: the frame before each, of the same shape; unused without `change_tokens`.

    Returns:
      [B, T, P, D], or with `change_tokens` [B, T, 2, P, D], for `join`: the tokens of the frame had
      it not changed, and those of the frame and its change.
    """
    return self.embed_frames(observations, before, both=self.change_tokens)

  def join(self, parts):
    """Makes the tokens [B, T, P, D] of a window of what `parts` gave."""
    if not self.change_tokens:
      return parts
    is_first = jnp.arange(parts.shape[1]) == 0
    return jnp.where(is_first[None, :, None, None], parts[:, :, 0], parts[:, :, 1])


def _changed(x, changes, both, axis):
  """Adds what is embedded of changes; with `both`, [.., 2, ..] without and with it at `axis`."""
  return jnp.stack([x, x + changes], axis=axis) if both else x + changes


class PatchTokenizer(_Tokenizer):
  """[B, T, H, W, C] uint8 -> [B, T, P, D]; patches are non-overlapping, in row-major order.

  Attributes:
    d_model: D.
    patch_size: side of a square patch; divides H and W. 14 for Atari's 84 x 84.
    scale: what a value is divided by: 255 for pixels, 1 for the 0/1 planes of a grid.
    change_tokens: embed also how a patch differs from the frame before it in the window. What
      moves is a few pixels before a background that never changes: without this, the 2-core models
      need thousands of updates to see it at all. Not in Lee et al. (2022).
    dtype: of the tokens and the computation.
  """
  d_model: int
  patch_size: int
  scale: float
  change_tokens: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def embed_frames(self, observations, before, *, both=False):
    """Embeds frames, each by itself.

    Args:
      observations: [B, T, H, W, C].
      before: the frame before each, of the same shape; unused without `change_tokens`.
      both: with `change_tokens`, also embed the frames as if they had not changed.

    Returns:
      [B, T, P, D]; with `both` [B, T, 2, P, D], unchanged ones first.
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
    position = self.param('position', EMBEDDING_INIT, (p, self.d_model))
    x_BTPD = (x_BMD + jnp.tile(position, (t, 1))[None]).astype(self.dtype).reshape(b, t, p, -1)
    if not self.change_tokens:
      return x_BTPD
    changes_BTPD = transformer.Dense(
        self.d_model, use_bias=False, swapped=swapped, dtype=self.dtype, name='changes')(
            frames - self._patches(before))
    return _changed(x_BTPD, changes_BTPD, both, axis=2)

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


class ConvTokenizer(_Tokenizer):
  """[B, T, H, W, C] uint8 -> [B, T, 1, D]: one token per image, through convolutions.

  Patches of 4 x 4 pixels are embedded by one linear map, those of the change to the frame before by
  another; their sum passes ReLU, a convolution of 3 x 3 with stride 2, one of 2 x 2 with stride 2,
  each with ReLU, and one linear map of all that is left, then LayerNorm. Edges are padded with
  zeros so that no patch is left out. Objects of a few pixels, lost in patches of 14 x 14, are found
  wherever they are. Not in Lee et al. (2022).

  Convolutions are matrix products of concatenated slices, which one core computes faster than XLA's
  convolutions.

  Attributes:
    d_model: D.
    change_tokens: embed the change as well; else the frame only.
    dtype: of the tokens and the computation.
  """
  d_model: int
  change_tokens: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def embed_frames(self, observations, before, *, both=False):
    """Embeds frames, each by itself, as `PatchTokenizer.embed_frames` does; P is 1."""
    frames = self._patches(observations)
    x_NHWF = self._dense(CONV_PATCH[1], 'embed')(frames)
    if self.change_tokens:
      changes_NHWF = self._dense(CONV_PATCH[1], 'changes', use_bias=False)(
          frames - self._patches(before))
      x_NHWF = _changed(x_NHWF, changes_NHWF, both, axis=1)
      x_NHWF = x_NHWF.reshape(-1, *changes_NHWF.shape[1:])
    x_NHWF = jax.nn.relu(x_NHWF)
    for i, (features, size, stride) in enumerate(CONV_LAYERS):
      x_NHWF = jax.nn.relu(self._dense(features, f'conv_{i}')(_unfold(x_NHWF, size, stride)))
    x_ND = self._dense(self.d_model, 'flat')(x_NHWF.reshape(len(x_NHWF), -1))
    x_ND = nn.LayerNorm(dtype=self.dtype, name='norm')(x_ND)
    variants = (2,) if both else ()
    return x_ND.reshape(*observations.shape[:2], *variants, 1, self.d_model)

  def _dense(self, features, name, **options):
    return transformer.Dense(features, dtype=self.dtype, name=name, **options)

  def _patches(self, observations):
    """[N, H / 4, W / 4, 16 C] float32 in [0, 1]; N = B T, patches row after row."""
    chex.assert_rank(observations, 5)
    *_, height, width, channels = observations.shape
    p = CONV_PATCH[0]
    if height % p or width % p:
      raise ValueError(f'the observation is {height} x {width}; a convolutional tokenizer expects '
                       f'multiples of {p}.')
    x = observations.reshape(-1, height // p, p, width // p, p * channels).swapaxes(2, 3)
    return x.reshape(*x.shape[:3], p * p * channels).astype(jnp.float32) / 255.


def conv_sizes(height, width):
  """Computes height and width of each layer's output of `ConvTokenizer`, patches first."""
  sizes = [(height // CONV_PATCH[0], width // CONV_PATCH[0])]
  for _, size, stride in CONV_LAYERS:
    sizes.append(tuple(_num_windows(n, size, stride) for n in sizes[-1]))
  return sizes


def _num_windows(length, size, stride):
  """How many windows cover a side; the last may reach beyond the edge."""
  return -(-max(length - size, 0) // stride) + 1


def _unfold(x_NHWC, size, stride):
  """What a convolution multiplies with its kernel: [N, h, w, size * size * C].

  Edges at the bottom and at the right are padded with zeros until windows fill the image.
  """
  _, height, width, _ = x_NHWC.shape
  h, w = (_num_windows(n, size, stride) for n in (height, width))
  x_NHWC = jnp.pad(x_NHWC, ((0, 0), (0, (h - 1) * stride + size - height),
                            (0, (w - 1) * stride + size - width), (0, 0)))
  return jnp.concatenate(
      [x_NHWC[:, i:i + (h - 1) * stride + 1:stride, j:j + (w - 1) * stride + 1:stride]
       for i in range(size) for j in range(size)], axis=-1)


class GridTokenizer(_Tokenizer):
  """[B, T, H, W, C] planes of 0 and 1 -> [B, T, 1, D]; one token says what is where.

  A cell's embedding is the sum of its own, its row's and its column's, so that what is learned at
  one place helps along its row and column. Every plane is scaled to unit norm first: otherwise the
  hundred walls, the same in every frame of a maze, drown the one cell that moves.

  A change is embedded by a linear map of how far the ones of each plane have moved, all together,
  down and to the right: the same everywhere.

  Attributes:
    d_model: D.
    change_tokens: embed changes as well.
    places: embed every cell; else only the centre of each plane, by a linear map.
  """
  d_model: int
  change_tokens: bool = False
  places: bool = True

  @nn.compact
  def embed_frames(self, observations, before, *, both=False):
    """Embeds grids, each by itself, as `PatchTokenizer.embed_frames` does images."""
    chex.assert_rank(observations, 5)
    b, t = observations.shape[:2]
    planes = observations.astype(jnp.float32)
    if self.places:
      norm = jnp.sqrt(jnp.maximum(jnp.sum(planes, axis=(2, 3), keepdims=True), 1.))
      unit = planes / norm
      named = {'cell': unit, 'row': jnp.sum(unit, axis=3), 'column': jnp.sum(unit, axis=2)}
      x_BTD = sum(
          transformer.Dense(self.d_model, use_bias=name == 'cell', kernel_init=_PER_CELL_INIT,
                            name=name)(part.reshape(b, t, -1))
          for name, part in named.items())
    else:
      count = jnp.maximum(jnp.sum(planes, axis=(2, 3)), 1.)
      x_BTD = transformer.Dense(self.d_model, name='centre')(
          _coordinates(planes) / jnp.concatenate([count, count], axis=-1))
    if not self.change_tokens:
      return x_BTD[:, :, None]
    changes_BTD = transformer.Dense(self.d_model, use_bias=False, name='changes')(
        _coordinates(planes - before.astype(jnp.float32)))
    return _changed(x_BTD, changes_BTD, both, axis=2)[..., None, :]


def _coordinates(planes):
  """Sums of row and column, both in [-1, 1], over planes [B, T, H, W, C]: [B, T, 2 C]."""
  height, width = planes.shape[2:4]
  rows = jnp.sum(planes, axis=3) * jnp.linspace(-1., 1., height)[None, None, :, None]
  columns = jnp.sum(planes, axis=2) * jnp.linspace(-1., 1., width)[None, None, :, None]
  return jnp.concatenate([jnp.sum(rows, axis=2), jnp.sum(columns, axis=2)], axis=-1)


class VectorTokenizer(_Tokenizer):
  """[B, T, V] numbers in [low, high] -> [B, T, 1, D]: one linear map of the numbers in [-1, 1].

  With bins, also an embedding of the bin that each number falls into: after a linear map alone,
  neighbouring cells of a maze look almost the same. A change is embedded by a linear map of the
  difference to the numbers before, on the same scale.

  Attributes:
    d_model: D.
    low, high: range of the numbers.
    num_bins: equal bins between low and high; 0 for none.
    change_tokens: embed changes as well.
  """
  d_model: int
  low: float
  high: float
  num_bins: int
  change_tokens: bool = False

  @nn.compact
  def embed_frames(self, observations, before, *, both=False):
    """Embeds vectors, each by itself, as `PatchTokenizer.embed_frames` does images."""
    chex.assert_rank(observations, 3)
    x_BTV = 2. * (observations.astype(jnp.float32) - self.low) / (self.high - self.low) - 1.
    x_BTD = transformer.Dense(self.d_model, name='embed')(x_BTV)
    if self.num_bins:
      bins_BTV = jnp.clip((x_BTV + 1.) / 2. * self.num_bins, 0, self.num_bins - 1)
      one_hot = jax.nn.one_hot(bins_BTV.astype(jnp.int32), self.num_bins)
      x_BTD += transformer.Dense(
          self.d_model, use_bias=False, kernel_init=_PER_CELL_INIT, name='bins')(
              one_hot.reshape(*bins_BTV.shape[:2], -1))
    if not self.change_tokens:
      return x_BTD[:, :, None]
    difference = observations.astype(jnp.float32) - before.astype(jnp.float32)
    changes_BTD = transformer.Dense(self.d_model, use_bias=False, name='changes')(
        2. * difference / (self.high - self.low))
    return _changed(x_BTD, changes_BTD, both, axis=2)[..., None, :]


def make_tokenizer(spec, *, d_model, patch_size, kind='patch', vector_bins=0,
                   change_tokens=False, places=True, dtype=jnp.float32, name='tokenizer'):
  """Makes the tokenizer that an environment declares.

  Args:
    spec: a `types.EnvironmentSpec`.
    d_model: D.
    patch_size: side of a patch of an image or grid; 0 for one token per grid. Unused for vectors
      and convolutions.
    kind: one of TOKENIZERS: 'patch', which for vectors and unpatched grids stands for their own, or
      'conv', for images.
    vector_bins: see `VectorTokenizer`; unused for the others.
    change_tokens: embed also how an observation differs from the one before it in the window.
    places: False for no embedding of every bin of a vector, or every cell of a grid without
      patches: then tokens say where things are by linear maps of coordinates only.
    dtype: see `PatchTokenizer`; unused for vectors and grids without patches, which are small.
    name: name of the module.

  Returns:
    A module: [B, T, ...] -> [B, T, P, D].

  Raises:
    ValueError: if an image has no patch size, or convolutions do not fit the observation.
  """
  check_kind(kind, spec)
  if kind == 'conv':
    return ConvTokenizer(d_model, change_tokens, dtype, name=name)
  if spec.observation_kind == 'vector':
    return VectorTokenizer(
        d_model, spec.observation_low, spec.observation_high, vector_bins if places else 0,
        change_tokens, name=name)
  if patch_size:
    scale = {'grid': 1., 'image': 255.}[spec.observation_kind]
    return PatchTokenizer(d_model, patch_size, scale, change_tokens, dtype, name=name)
  if spec.observation_kind == 'image':
    raise ValueError(f'patch_size is 0 for the image observations of {spec.name}; expected a '
                     f'divisor of {spec.observation_shape[:2]}.')
  return GridTokenizer(d_model, change_tokens, places, name=name)


def tokenizer_of(network, **options):
  """Makes the tokenizer of a network: its submodule 'tokenizer'.

  Args:
    network: an `InverseDynamicsModel` or a `DecisionTransformer`.
    **options: more arguments of `make_tokenizer`.

  Returns:
    The module.
  """
  return make_tokenizer(
      network.spec, d_model=network.d_model, patch_size=network.patch_size,
      kind=network.tokenizer_kind, vector_bins=network.vector_bins,
      change_tokens=network.change_tokens, dtype=network.dtype, name='tokenizer', **options)


def check_kind(kind, spec, *, field='kind'):
  """Refuses a tokenizer that cannot read the observations of an environment.

  Args:
    kind: one of TOKENIZERS.
    spec: a `types.EnvironmentSpec`.
    field: where `kind` comes from, for the message.

  Raises:
    ValueError: naming the field.
  """
  if kind not in TOKENIZERS:
    raise ValueError(f'{field} is {kind!r}; expected one of {TOKENIZERS}.')
  if kind != 'conv':
    return
  if spec.observation_kind != 'image':
    raise ValueError(f"{field} is 'conv', which reads images; observations of {spec.name} are of "
                     f"kind {spec.observation_kind!r}. Use 'patch'.")
  if any(n % CONV_PATCH[0] for n in spec.observation_shape[:2]):
    raise ValueError(f"{field} is 'conv', which reads images whose height and width are multiples "
                     f'of {CONV_PATCH[0]}; observations of {spec.name} are '
                     f"{spec.observation_shape}. Use 'patch', or change their shape.")


def num_observation_tokens(spec, *, patch_size, kind='patch'):
  """Counts P, the tokens that one observation becomes."""
  if kind == 'conv' or spec.observation_kind == 'vector' or not patch_size:
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
    embedding_SD = self.param('embedding', EMBEDDING_INIT, (self.num_tokens, x_BSD.shape[-1]))
    if place is None:
      chex.assert_axis_dimension(x_BSD, 1, self.num_tokens)
      return (x_BSD + embedding_SD[None]).astype(x_BSD.dtype)
    return (x_BSD + embedding_SD[place][None, None]).astype(x_BSD.dtype)
