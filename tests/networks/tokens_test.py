"""Tests of the tokenizers and of the order of tokens."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from alpt_jax import action_space, types
from alpt_jax.networks import tokens


def spec(kind, shape, **kwargs):
  return types.EnvironmentSpec(
      name='test', observation_key='', observation_kind=kind, observation_shape=shape,
      actions=action_space.numbered(2), return_low=0, return_high=1, **kwargs)


def set_kernels(params, rng):
  return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), params)


class PatchTokenizerTest(parameterized.TestCase):

  def test_patches_are_row_major_slices_scaled_to_one(self):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 4, 6, 2), np.uint8)
    tokenizer = tokens.PatchTokenizer(d_model=5, patch_size=2, scale=255.)
    params = set_kernels(jax.jit(tokenizer.init)(jax.random.key(0), images), rng)
    p = params['params']
    out = jax.jit(tokenizer.apply)(params, images)
    self.assertEqual(out.shape, (2, 3, 2 * 3, 5))
    corners = [(0, 0), (0, 2), (0, 4), (2, 0), (2, 2), (2, 4)]
    for i, (row, column) in enumerate(corners):
      patch = images[:, :, row:row + 2, column:column + 2].reshape(2, 3, -1) / 255.
      expected = patch @ p['embed']['kernel'] + p['embed']['bias'] + p['position'][i]
      np.testing.assert_allclose(out[:, :, i], expected, atol=1e-5, err_msg=f'patch {i}')

  @parameterized.parameters((3, 2), (4, 3))
  def test_patches_must_fit(self, height, width):
    images = np.zeros((1, 1, height, width, 1), np.uint8)
    with self.assertRaisesRegex(ValueError, f'patch_size 2 must divide .* {height} x {width}'):
      tokens.PatchTokenizer(4, 2, 255.).init(jax.random.key(0), images)


  def test_changes_are_embedded_beside_the_patches_from_the_second_frame_on(self):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 4, 2, 1), np.uint8)
    tokenizer = tokens.PatchTokenizer(d_model=5, patch_size=2, scale=255., change_tokens=True)
    params = set_kernels(jax.jit(tokenizer.init)(jax.random.key(0), images), rng)
    out = jax.jit(tokenizer.apply)(params, images)
    plain = tokens.PatchTokenizer(5, 2, 255.).apply(params, images)
    patches = images.reshape(2, 3, 2, -1) / 255.
    np.testing.assert_allclose(out[:, 0], plain[:, 0], atol=1e-6)
    for t in (1, 2):
      change = (patches[:, t] - patches[:, t - 1]) @ params['params']['changes']['kernel']
      np.testing.assert_allclose(out[:, t], plain[:, t] + change, atol=1e-5)

  def test_frames_embedded_one_by_one_are_joined_to_the_same_tokens(self):
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 2, 1), np.uint8)
    tokenizer = tokens.PatchTokenizer(d_model=5, patch_size=2, scale=255., change_tokens=True)
    params = tokenizer.init(jax.random.key(0), images)
    parts = [tokenizer.apply(params, images[:, t:t + 1], images[:, max(t - 1, 0)][:, None],
                             method=tokens.PatchTokenizer.parts) for t in range(4)]
    # A window that begins with frame 1: what was before it does not count.
    window = tokenizer.apply(params, np.concatenate(parts[1:], axis=1),
                             method=tokens.PatchTokenizer.join)
    np.testing.assert_allclose(window, tokenizer.apply(params, images[:, 1:]), atol=1e-5)


def convolve(images, layer, size, stride):
  """A convolution with ReLU, cell by cell; what lies beyond the edges is 0. [N, H, W, C]."""
  n, height, width, channels = images.shape
  kernel, bias = layer['kernel'].reshape(size, size, channels, -1), layer['bias']
  h, w = (max(int(np.ceil((x - size) / stride)), 0) + 1 for x in (height, width))
  padded = np.zeros((n, height + size + stride, width + size + stride, channels))
  padded[:, :height, :width] = images
  out = np.zeros((n, h, w, kernel.shape[-1]))
  for i, j in np.ndindex(h, w):
    window = padded[:, i * stride:i * stride + size, j * stride:j * stride + size]
    out[:, i, j] = np.maximum(np.einsum('nabc,abcf->nf', window, kernel) + bias, 0)
  return out


def conv_tokens(params, frames, before):
  """The tokens [N, D] of frames [N, H, W, C] that come after others, or after themselves."""
  kernels = [params[name]['kernel'].reshape(4, 4, -1, 32) for name in ('embed', 'changes')]
  first = convolve(
      np.concatenate([frames, frames.astype(float) - before], axis=-1) / 255.,
      {'kernel': np.concatenate(kernels, axis=2), 'bias': params['embed']['bias']}, 4, 4)
  second = convolve(first, params['conv_0'], 3, 2)
  third = convolve(second, params['conv_1'], 2, 2)
  flat = third.reshape(len(frames), -1) @ params['flat']['kernel'] + params['flat']['bias']
  centred = flat - flat.mean(axis=1, keepdims=True)
  normed = centred / np.sqrt(flat.var(axis=1, keepdims=True) + 1e-6)
  return normed * params['norm']['scale'] + params['norm']['bias']


class ConvTokenizerTest(parameterized.TestCase):

  def make(self, shape, **options):
    """A tokenizer with random parameters, and random images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, shape, np.uint8)
    tokenizer = tokens.ConvTokenizer(8, **options)
    shapes = jax.eval_shape(tokenizer.init, jax.random.key(0), images)
    params = jax.tree.map(
        lambda x: rng.normal(scale=.3, size=x.shape).astype(np.float32), shapes)['params']
    return tokenizer, params, images

  # Sizes that windows fill, and some where they reach beyond the edges.
  @parameterized.parameters((84, 84, 1), (64, 48, 3), (4, 8, 1), (20, 12, 4))
  def test_equals_convolutions_of_frame_and_change_cell_by_cell(self, *shape):
    tokenizer, params, images = self.make((2, 3, *shape), change_tokens=True)
    out = jax.jit(tokenizer.apply)({'params': params}, images)
    self.assertEqual(out.shape, (2, 3, 1, 8))
    for t in range(3):  # The first frame has not changed.
      expected = conv_tokens(params, images[:, t], images[:, max(t - 1, 0)])
      np.testing.assert_allclose(out[:, t, 0], expected, rtol=1e-3, atol=1e-4, err_msg=f'{t}')

  def test_without_changes_a_token_depends_on_its_frame_alone(self):
    tokenizer, params, images = self.make((1, 3, 12, 12, 1))
    self.assertNotIn('changes', params)
    out = jax.jit(tokenizer.apply)({'params': params}, images)
    params['changes'] = {'kernel': np.zeros((16, 32), np.float32)}
    np.testing.assert_allclose(out[0, :, 0], conv_tokens(params, images[0], images[0]),
                               rtol=1e-3, atol=1e-4)

  @parameterized.parameters(False, True)
  def test_windows_of_frames_embedded_before_equal_windows_of_their_own(self, change_tokens):
    tokenizer, params, images = self.make((2, 6, 20, 20, 1), change_tokens=change_tokens)
    apply = jax.jit(lambda x: tokenizer.apply({'params': params}, x))
    parts = tokenizer.apply({'params': params}, images[:, 1:], images[:, :-1], method='parts')
    for start in range(3):  # Frame 0 is before all windows.
      window = tokenizer.apply({'params': params}, parts[:, start:start + 3], method='join')
      np.testing.assert_allclose(window, apply(images[:, start + 1:start + 4]), atol=1e-5)

  def test_what_was_before_the_first_frame_of_a_window_does_nothing(self):
    tokenizer, params, images = self.make((1, 3, 20, 20, 1), change_tokens=True)
    join = lambda before: tokenizer.apply(  # noqa: E731
        {'params': params}, tokenizer.apply({'params': params}, images, before, method='parts'),
        method='join')
    before = np.concatenate([images[:, :1], images[:, :-1]], axis=1)
    changed = before.copy()
    changed[:, 0] ^= 255
    np.testing.assert_array_equal(join(changed), join(before))
    changed[:, 1] ^= 255
    self.assertGreater(np.abs(join(changed) - join(before))[:, 1].max(), .1)

  def test_bfloat16_is_close(self):
    exact, params, images = self.make((2, 3, 84, 84, 1), change_tokens=True)
    half = tokens.ConvTokenizer(8, change_tokens=True, dtype=jnp.bfloat16)
    out, expected = (jax.jit(x.apply)({'params': params}, images) for x in (half, exact))
    self.assertEqual(out.dtype, jnp.bfloat16)
    np.testing.assert_allclose(out.astype(np.float32), expected, atol=.05)

  @parameterized.parameters((30, 28, 1), (28, 30, 1))
  def test_refuses_sizes_that_patches_do_not_fill(self, *shape):
    message = rf"^kind is 'conv', .* multiples of 4; .* test are \({shape[0]}, {shape[1]}, 1\)"
    with self.assertRaisesRegex(ValueError, message):
      tokens.make_tokenizer(spec('image', shape), d_model=8, patch_size=0, kind='conv')
    with self.assertRaisesRegex(ValueError, f'{shape[0]} x {shape[1]}; .* multiples of 4'):
      tokens.ConvTokenizer(8).init(jax.random.key(0), np.zeros((1, 1, *shape), np.uint8))


class GridTokenizerTest(parameterized.TestCase):

  def test_is_the_sum_of_cell_row_and_column_embeddings_of_unit_planes(self):
    rng = np.random.default_rng(0)
    height, width, channels, d = 3, 4, 2, 5
    grids = rng.integers(0, 2, (2, 2, height, width, channels), np.uint8)
    grids[0, 0, :, :, 1] = 0  # An empty plane adds nothing.
    tokenizer = tokens.GridTokenizer(d)
    params = set_kernels(jax.jit(tokenizer.init)(jax.random.key(0), grids), rng)
    p = params['params']
    cell = p['cell']['kernel'].reshape(height, width, channels, d)
    row = p['row']['kernel'].reshape(height, channels, d)
    column = p['column']['kernel'].reshape(width, channels, d)
    out = jax.jit(tokenizer.apply)(params, grids)
    self.assertEqual(out.shape, (2, 2, 1, d))
    for b, t in np.ndindex(2, 2):
      expected = p['cell']['bias'].copy()
      for c in range(channels):
        marked = np.argwhere(grids[b, t, :, :, c])
        for i, j in marked:
          expected += (cell[i, j, c] + row[i, c] + column[j, c]) / np.sqrt(len(marked))
      np.testing.assert_allclose(out[b, t, 0], expected, atol=1e-5)


  def make_changes(self, shape=(1, 6, 7, 8, 2), **options):
    """A tokenizer of changes with random parameters, and what it adds to a frame for its change."""
    tokenizer = tokens.GridTokenizer(5, change_tokens=True, **options)
    rng = np.random.default_rng(0)
    params = set_kernels(
        tokenizer.init(jax.random.key(0), np.zeros(shape, np.uint8)), rng)['params']
    embed = jax.jit(lambda frames, before: tokenizer.apply(
        {'params': params}, frames, before, method='embed_frames')[:, :, 0])
    return tokenizer, params, lambda frames, before: np.asarray(
        embed(frames, before) - embed(frames, frames))

  def test_a_move_has_one_embedding_everywhere_and_another_one_in_another_direction(self):
    _, params, embed = self.make_changes()
    wall = np.random.default_rng(1).integers(0, 2, (7, 8))

    def moved(start, step):
      frames = np.zeros((2, 1, 1, 7, 8, 2), np.uint8)
      frames[..., 0] = wall  # Whatever stays where it is.
      for frame, cell in zip(frames, (start, np.add(start, step)), strict=True):
        frame[0, 0, cell[0], cell[1], 1] = 1
      return embed(frames[1], frames[0])[0, 0]

    kernel = params['changes']['kernel']  # Rows of both planes, columns of both planes.
    down, right = kernel[1] * 2 / 6, kernel[3] * 2 / 7  # A cell's share of [-1, 1].
    for start in ((1, 1), (5, 6), (3, 2)):
      for step, expected in (((1, 0), down), ((-1, 0), -down), ((0, 1), right), ((0, -1), -right),
                             ((0, 0), 0. * right)):
        np.testing.assert_allclose(moved(start, step), expected, atol=1e-5, err_msg=f'{step}')

  @parameterized.parameters(True, False)
  def test_changes_are_added_from_the_second_frame_on(self, places):
    tokenizer, params, embed = self.make_changes(places=places)
    frames = np.random.default_rng(1).integers(0, 2, (1, 6, 7, 8, 2), np.uint8)
    out = jax.jit(tokenizer.apply)({'params': params}, frames)
    plain = tokens.GridTokenizer(5, places=places).apply(
        {'params': {name: layer for name, layer in params.items() if name != 'changes'}}, frames)
    changes = embed(frames[:, 1:], frames[:, :-1])
    np.testing.assert_allclose(out[:, 0], plain[:, 0], atol=1e-5)
    np.testing.assert_allclose(out[:, 1:, 0], plain[:, 1:, 0] + changes, rtol=1e-4, atol=1e-4)
    parts = tokenizer.apply({'params': params}, frames[:, 1:], frames[:, :-1], method='parts')
    np.testing.assert_allclose(  # What was before the first frame does nothing.
        tokenizer.apply({'params': params}, parts, method='join'),
        tokenizer.apply({'params': params}, frames[:, 1:]), rtol=1e-4, atol=1e-4)

  def test_without_places_a_token_tells_the_centres_of_planes(self):
    tokenizer = tokens.GridTokenizer(5, places=False)
    frames = np.zeros((1, 1, 3, 5, 2), np.uint8)
    frames[0, 0, 0, (1, 4), 0] = 1  # Row -1; columns -.5 and 1. The other plane is empty.
    params = set_kernels(tokenizer.init(jax.random.key(0), frames), np.random.default_rng(0))
    kernel, bias = (params['params']['centre'][name] for name in ('kernel', 'bias'))
    np.testing.assert_allclose(tokenizer.apply(params, frames)[0, 0, 0],
                               bias - kernel[0] + .25 * kernel[2], atol=1e-6)


class VectorTokenizerTest(parameterized.TestCase):

  def test_scales_to_minus_one_and_one_and_embeds_the_bins(self):
    tokenizer = tokens.VectorTokenizer(d_model=3, low=0., high=19., num_bins=32)
    vectors = np.array([[[0, 19], [9, 10]]], np.int32)
    params = set_kernels(jax.jit(tokenizer.init)(jax.random.key(0), vectors),
                         np.random.default_rng(0))
    kernel, bias = params['params']['embed']['kernel'], params['params']['embed']['bias']
    bins = params['params']['bins']['kernel'].reshape(2, 32, 3)
    out = jax.jit(tokenizer.apply)(params, vectors)
    self.assertEqual(out.shape, (1, 2, 1, 3))
    np.testing.assert_allclose(
        out[0, 0, 0], -kernel[0] + kernel[1] + bias + bins[0, 0] + bins[1, 31], atol=1e-5)
    # 9 / 19 * 32 = 15.2, 10 / 19 * 32 = 16.8.
    np.testing.assert_allclose(
        out[0, 1, 0], (kernel[1] - kernel[0]) / 19. + bias + bins[0, 15] + bins[1, 16], atol=1e-5)


  @parameterized.parameters(0, 4)
  def test_changes_are_embedded_from_the_second_frame_on(self, num_bins):
    tokenizer = tokens.VectorTokenizer(3, low=-1., high=19., num_bins=num_bins, change_tokens=True)
    vectors = np.array([[[0, 19], [1, 9], [1, 9]]], np.int32)
    params = set_kernels(jax.jit(tokenizer.init)(jax.random.key(0), vectors),
                         np.random.default_rng(0))
    out = jax.jit(tokenizer.apply)(params, vectors)
    plain = tokens.VectorTokenizer(3, low=-1., high=19., num_bins=num_bins).apply(
        {'params': {k: v for k, v in params['params'].items() if k != 'changes'}}, vectors)
    kernel = params['params']['changes']['kernel']
    np.testing.assert_allclose(out[0, (0, 2)], plain[0, (0, 2)], atol=1e-6)
    # A unit is a tenth of [-1, 1].
    np.testing.assert_allclose(out[0, 1, 0] - plain[0, 1, 0], .1 * kernel[0] - kernel[1], atol=1e-5)
    before = vectors - 7  # What was before the first frame does nothing.
    parts = tokenizer.apply(params, vectors[:, 1:], before[:, 1:], method='parts')
    np.testing.assert_allclose(
        tokenizer.apply(params, parts, method='join')[:, 0], plain[:, 1], atol=1e-6)


class MakeTokenizerTest(parameterized.TestCase):

  def test_bins_and_cells_are_embedded_where_places_are_wanted(self):
    for places in (True, False):
      vector, grid = (tokens.make_tokenizer(
          spec(kind, shape), d_model=8, patch_size=0, vector_bins=4, places=places)
                      for kind, shape in (('vector', (7,)), ('grid', (6, 4, 3))))
      self.assertEqual((vector.num_bins, grid.places), (4 if places else 0, places))

  @parameterized.parameters(
      ('vector', (7,), 0, 1), ('vector', (7,), 2, 1), ('grid', (6, 4, 3), 0, 1),
      ('grid', (6, 4, 3), 2, 6), ('image', (84, 84, 1), 14, 36),
      ('image', (84, 84, 4), 14, 1, 'conv'), ('image', (64, 64, 3), 0, 1, 'conv'))
  def test_makes_as_many_tokens_as_counted(self, kind, shape, patch_size, expected, how='patch'):
    declared = spec(kind, shape)
    self.assertEqual(
        tokens.num_observation_tokens(declared, patch_size=patch_size, kind=how), expected)
    tokenizer = tokens.make_tokenizer(declared, d_model=8, patch_size=patch_size, kind=how)
    out, _ = jax.eval_shape(
        tokenizer.init_with_output, jax.random.key(0), jnp.zeros((2, 3, *shape), jnp.uint8))
    self.assertEqual(out.shape, (2, 3, expected, 8))

  def test_pixels_are_divided_by_255_and_planes_are_not(self):
    self.assertEqual(tokens.make_tokenizer(
        spec('image', (4, 4, 1)), d_model=8, patch_size=2).scale, 255.)
    self.assertEqual(tokens.make_tokenizer(
        spec('grid', (4, 4, 1)), d_model=8, patch_size=2).scale, 1.)

  @parameterized.parameters(('vector', (7,)), ('grid', (8, 8, 3)))
  def test_convolutions_are_for_images(self, kind, shape):
    with self.assertRaisesRegex(ValueError, f"^kind is 'conv', .* of test are of kind '{kind}'"):
      tokens.make_tokenizer(spec(kind, shape), d_model=8, patch_size=0, kind='conv')

  def test_unknown_tokenizers_are_refused(self):
    with self.assertRaisesRegex(ValueError, r"^kind is 'resnet'; expected one of \('patch', 'c"):
      tokens.make_tokenizer(spec('vector', (7,)), d_model=8, patch_size=0, kind='resnet')

  def test_images_need_patches(self):
    with self.assertRaisesRegex(ValueError, r'patch_size is 0 .* test; .* \(84, 84\)'):
      tokens.make_tokenizer(spec('image', (84, 84, 1)), d_model=8, patch_size=0)


class OrderTest(parameterized.TestCase):

  def test_a_step_is_observation_return_action_reward(self):
    # Two steps of two observation tokens; a token is its place in the expected order.
    places = np.arange(10.).reshape(2, 5)
    observation, others = places[:, :2], places[:, 2:]
    args = [jnp.asarray(x)[None, ..., None] for x in (observation, *others.T)]
    np.testing.assert_array_equal(tokens.interleave(*args)[0, :, 0], np.arange(10.))

  def test_position_at_one_place_is_that_row_of_the_whole(self):
    position = tokens.Position(4)
    x = jax.random.normal(jax.random.key(0), (2, 4, 3))
    params = position.init(jax.random.key(1), x)
    whole = position.apply(params, x)
    np.testing.assert_array_equal(whole, x + params['params']['embedding'][None])
    for place in range(4):
      one = position.apply(params, x[:, place:place + 1], jnp.int32(place))
      np.testing.assert_array_equal(one[:, 0], whole[:, place])

  @parameterized.parameters(1, 3)
  def test_patches_of_bfloat16_are_embedded_by_the_same_kernel(self, channels):
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 6, channels), np.uint8)
    exact, half = (tokens.PatchTokenizer(8, patch_size=2, scale=255., dtype=dtype)
                   for dtype in (jnp.float32, jnp.bfloat16))
    params = exact.init(jax.random.key(0), frames)
    np.testing.assert_allclose(
        half.apply(params, frames).astype(np.float32), exact.apply(params, frames), atol=.03)
