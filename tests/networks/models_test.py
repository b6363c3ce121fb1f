"""Tests of what reaches what in the two models.

What may influence an answer is read from the paper (eq. 3 and 4) and tested by perturbation: the
rows of one batch are the same window, each with one input at one step changed.
"""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from alpt_jax import action_space, types
from alpt_jax.networks import decision_transformer, inverse_dynamics, masks

T = 3
SPEC = types.EnvironmentSpec(
    name='test', observation_key='', observation_kind='image', observation_shape=(4, 4, 1),
    actions=action_space.numbered(3), return_low=0, return_high=4)
SIZES = dict(num_layers=3, num_heads=2, d_model=8, patch_size=2)  # P = 4.
INPUTS = ('observations', 'returns', 'actions', 'rewards')


def random_params(network, *args):
  """Parameters far from their start, where little influences little."""
  shapes = jax.eval_shape(network.init, jax.random.key(0), *args)
  rng = np.random.default_rng(0)
  return jax.tree.map(
      lambda x: jnp.asarray(rng.normal(scale=.5, size=x.shape), jnp.float32), shapes)


def random_frames(batch_size, num_frames):
  shape = (batch_size, num_frames, *SPEC.observation_shape)
  return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def random_ids(batch_size):
  """Returns, actions and rewards of a window."""
  rng = np.random.default_rng(2)
  return [rng.integers(0, high, (batch_size, T), np.int32) for high in (5, 4, 3)]


def is_reached(logits):
  """Which steps' logits [1 + N, T, A] differ from those of row 0. Returns bool [N, T]."""
  difference = np.abs(logits[1:] - logits[:1]).max(axis=-1)
  np.testing.assert_array_equal(difference > 1e-6, difference > 1e-5)  # Rounding stays below.
  return difference > 1e-6


class InverseDynamicsModelTest(parameterized.TestCase):

  @parameterized.named_parameters(('bidirectional', False), ('causal', True))
  def test_which_frames_reach_which_actions(self, is_causal):
    idm = inverse_dynamics.InverseDynamicsModel(SPEC, **SIZES, is_causal=is_causal)
    frames = np.repeat(random_frames(1, T + 1), T + 2, axis=0)
    for frame in range(T + 1):
      frames[1 + frame, frame] ^= 255
    logits = jax.jit(idm.apply)(random_params(idm, frames), frames)
    self.assertEqual(logits.shape, (T + 2, T, SPEC.num_actions))
    frame, action = np.indices((T + 1, T))
    # Eq. 4: every action is inferred from o_t .. o_{t+T}, its next frame and the last included.
    expected = frame <= action if is_causal else np.ones((T + 1, T), bool)
    np.testing.assert_array_equal(is_reached(logits), expected)

  def test_has_no_other_input_than_observations(self):
    inputs = inspect.signature(inverse_dynamics.InverseDynamicsModel.__call__).parameters
    self.assertEqual(
        list(inputs), ['self', 'observations', 'deterministic', 'rows', 'is_tokenized'])

  @parameterized.product(kind=('image', 'conv image', 'patched grid', 'grid', 'vector'),
                         changes=(False, True))
  def test_windows_of_frames_that_were_embedded_before_say_the_same(self, kind, changes):
    spec = dataclasses.replace(
        SPEC, observation_kind=kind.split()[-1],
        observation_shape=(3,) if kind == 'vector' else SPEC.observation_shape)
    idm = inverse_dynamics.InverseDynamicsModel(spec, **SIZES | dict(
        patch_size=0 if kind == 'grid' else 2), change_tokens=changes,
        tokenizer_kind='conv' if 'conv' in kind else 'patch')
    frames = np.random.default_rng(1).integers(0, 2, (1, T + 4, *spec.observation_shape), np.uint8)
    params = random_params(idm, frames[:, :T + 1])
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    tokenize = lambda *frames: idm.apply(params, *frames, method='tokenize')  # noqa: E731
    tokens, begin = tokenize(frames, before), tokenize(frames, frames)
    for start in range(3):
      window = slice(start, start + T + 1)
      tokenized = np.concatenate(
          [begin[:, start:start + 1], tokens[:, start + 1:start + T + 1]], axis=1)
      np.testing.assert_allclose(
          idm.apply(params, tokenized, is_tokenized=True),
          idm.apply(params, frames[:, window]), rtol=1e-5, atol=1e-5)

  def test_causal_and_bidirectional_have_the_same_parameters(self):
    shapes = [jax.eval_shape(
        inverse_dynamics.InverseDynamicsModel(SPEC, **SIZES, is_causal=is_causal).init,
        jax.random.key(0), random_frames(1, T + 1)) for is_causal in (False, True)]
    self.assertEqual(*shapes)

  def test_equal_frames_at_different_times_get_different_answers(self):
    idm = inverse_dynamics.InverseDynamicsModel(SPEC, **SIZES)
    frames = np.repeat(random_frames(1, 1), T + 1, axis=1)
    logits = jax.jit(idm.apply)(random_params(idm, frames), frames)
    self.assertGreater(np.ptp(logits, axis=1).max(), 1e-3)


class DecisionTransformerTest(parameterized.TestCase):

  @parameterized.parameters(*masks.RETURN_TOKENS)
  def test_which_inputs_reach_which_answers(self, return_tokens):
    dt = decision_transformer.DecisionTransformer(
        SPEC, T, **SIZES, return_tokens=return_tokens, predict_rewards=True)
    rows = 1 + len(INPUTS) * T
    frames = np.repeat(random_frames(1, T), rows, axis=0)
    ids = [np.repeat(x, rows, axis=0) for x in random_ids(1)]
    for step in range(T):
      frames[1 + step, step] ^= 255
      for i, num_ids in enumerate((5, 4, 3)):
        row = 1 + (i + 1) * T + step
        ids[i][row, step] = (ids[i][row, step] + 1) % num_ids
    logits = jax.jit(dt.apply)(random_params(dt, frames, *ids), frames, *ids)
    k, t = np.indices((T, T))  # Does the input of step k reach the answer of step t?
    earlier_return = {
        'current': np.zeros((T, T), bool), 'first': (k == 0) & (t > 0), 'all': k < t}[return_tokens]
    own_return = (k == t) & ((k == 0) | (return_tokens != 'first'))
    reward_return = {  # Whether it reaches what comes after the action.
        'current': np.zeros((T, T), bool), 'first': k == 0, 'all': k <= t}[return_tokens]
    expected = decision_transformer.DTLogits(  # Observations, returns, actions, rewards.
        returns=[k <= t, earlier_return, k < t, k < t],
        actions=[k <= t, earlier_return | own_return, k < t, k < t],
        rewards=[k <= t, reward_return, k <= t, k < t])
    for answer, values, reached in zip(expected._fields, logits, expected, strict=True):
      actual = is_reached(values).reshape(len(INPUTS), T, T)
      for i, name in enumerate(INPUTS):
        np.testing.assert_array_equal(actual[i], reached[i], err_msg=f'{name} to {answer}')

  @parameterized.parameters(*((name, jnp.float32, 1e-5) for name in masks.RETURN_TOKENS),
                            ('current', jnp.bfloat16, .04))
  def test_acting_in_two_halves_equals_the_whole(self, return_tokens, dtype, tolerance):
    dt = decision_transformer.DecisionTransformer(
        SPEC, T, **SIZES, return_tokens=return_tokens, dtype=dtype)
    frames, (returns, actions, rewards) = random_frames(2, T), random_ids(2)
    params = random_params(dt, frames, returns, actions, rewards)
    whole = jax.jit(dt.apply)(params, frames, returns, actions, rewards)

    @jax.jit
    def halves(frames, returns, actions, rewards, chosen, step):
      logits, caches = dt.apply(params, frames, returns, actions, rewards, step,
                                method=decision_transformer.DecisionTransformer.predict_return)
      return logits, dt.apply(params, chosen, caches, step,
                              method=decision_transformer.DecisionTransformer.predict_action)

    for step in range(T):
      # What is not known when acting may be anything.
      is_later = np.arange(T) > step
      seen = np.where(is_later[:, None, None, None], 255 - frames, frames)
      unknown = [np.where(np.arange(T) >= step, (x + 1) % 3, x)
                 for x in (returns, actions, rewards)]
      return_logits, action_logits = halves(seen, *unknown, returns[:, step], jnp.int32(step))
      np.testing.assert_allclose(return_logits, whole.returns[:, step], atol=tolerance)
      np.testing.assert_allclose(action_logits, whole.actions[:, step], atol=tolerance)

  def test_shapes(self):
    frames, ids = random_frames(2, T), random_ids(2)
    for predict_rewards in (False, True):
      dt = decision_transformer.DecisionTransformer(
          SPEC, T, **SIZES, predict_rewards=predict_rewards)
      logits, _ = jax.eval_shape(dt.init_with_output, jax.random.key(0), frames, *ids)
      self.assertEqual(logits.returns.shape, (2, T, 5))
      self.assertEqual(logits.actions.shape, (2, T, 3))
      if predict_rewards:
        self.assertEqual(logits.rewards.shape, (2, T, 3))
      else:
        self.assertIsNone(logits.rewards)

  def test_other_window_than_declared_is_refused(self):
    dt = decision_transformer.DecisionTransformer(SPEC, T, **SIZES)
    with self.assertRaises(AssertionError):
      jax.eval_shape(dt.init, jax.random.key(0), random_frames(1, T + 1),
                     *np.zeros((3, 1, T + 1), np.int32))

  def test_models_have_separate_parameters_of_the_paper_s_size(self):
    # Table 3 on Atari, DT with 5 steps of 36 + 3 tokens; counted by hand.
    spec = types.EnvironmentSpec(
        name='pong', observation_key='', observation_kind='image', observation_shape=(84, 84, 1),
        actions=action_space.numbered(18, legal=(0,)), return_low=-20, return_high=100)
    d = 512
    body = 6 * (12 * d ** 2 + 13 * d) + 2 * d
    patches = 14 * 14 * d + d + 36 * d
    sizes = dict(num_layers=6, num_heads=8, d_model=d, patch_size=14)
    dt = decision_transformer.DecisionTransformer(spec, 5, **sizes)
    idm = inverse_dynamics.InverseDynamicsModel(spec, **sizes)
    frames, ids = np.zeros((1, 6, 84, 84, 1), np.uint8), np.zeros((3, 1, 5), np.int32)
    count = lambda *args: sum(  # noqa: E731
        x.size for x in jax.tree.leaves(jax.eval_shape(*args)))
    self.assertEqual(
        count(dt.init, jax.random.key(0), frames[:, :5], *ids),
        body + patches + 5 * 39 * d + (121 + 19 + 3) * d + (121 + 18) * (d + 1))
    self.assertEqual(
        count(idm.init, jax.random.key(0), frames),
        body + patches + (6 * 36 + 5) * d + d + 18 * (d + 1))


class PrecisionTest(parameterized.TestCase):

  @parameterized.product(name=('idm', 'dt'), change_tokens=(False, True),
                         tokenizer_kind=('patch', 'conv'))
  def test_logits_of_bfloat16_are_float32_and_close(self, name, **options):
    frames = random_frames(4, T + 1)
    if name == 'idm':
      make, inputs = inverse_dynamics.InverseDynamicsModel, (frames,)
    else:
      make = functools.partial(
          decision_transformer.DecisionTransformer, num_steps=T, predict_rewards=True)
      inputs = (frames[:, :T], *random_ids(4))
    exact, half = (make(SPEC, **SIZES, **options, dtype=dtype)
                   for dtype in (jnp.float32, jnp.bfloat16))
    params = random_params(exact, *inputs)
    for expected, out in zip(*(jax.tree.leaves(jax.jit(network.apply)(params, *inputs))
                               for network in (exact, half)), strict=True):
      self.assertEqual(out.dtype, jnp.float32)
      error = np.linalg.norm(out - expected) / np.linalg.norm(expected)
      self.assertBetween(error, 1e-5, .05)
