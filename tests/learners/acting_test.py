"""Tests of the acting rules and of the history that the agent keeps."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from alpt_jax import action_space, types
from alpt_jax.learners import acting, action_heads
from alpt_jax.networks import decision_transformer, masks

N = 20_000  # Draws.


def assert_frequencies(draws, expected):
  """Within four standard errors of the expected ones, and exactly 0 where they are."""
  expected = np.asarray(expected) / np.sum(expected)
  frequencies = np.bincount(draws, minlength=len(expected)) / len(draws)
  np.testing.assert_array_less(
      np.abs(frequencies - expected), 4 * np.sqrt(expected * (1 - expected) / len(draws)) + 1e-12)


def many(logits):
  return jnp.tile(jnp.asarray(logits, jnp.float32)[None], (N, 1))


class ChooseReturnTest(parameterized.TestCase):

  def test_paper_tilts_by_kappa_10_over_the_range(self):
    # Returns -20, 20, 60, 100: the tilt adds 0, 10/3, 20/3, 10.
    logits = [0., -3., -7., -10.]
    draws = acting.choose_return(many(logits), jax.random.key(0), rule='paper', is_greedy=False)
    self.assertEqual(draws.dtype, np.int32)
    assert_frequencies(draws, np.exp([0., 10 / 3 - 3, 20 / 3 - 7, 0.]))

  def test_paper_greedy_is_the_mode_of_the_tilted_distribution(self):
    for logits, expected in (([0., -3., -7., -10.], 1), ([0., -3., -6.1, -10.], 2)):
      chosen = acting.choose_return(
          jnp.array([logits]), jax.random.key(0), rule='paper', is_greedy=True)
      np.testing.assert_array_equal(chosen, [expected])

  def test_release_is_the_largest_of_128_of_the_flattened(self):
    logits = np.array([0., -5., -6., -7.])
    draws = acting.choose_return(many(logits), jax.random.key(0), rule='release', is_greedy=False)
    probs = np.exp(.75 * logits) / np.exp(.75 * logits).sum()
    assert_frequencies(draws, np.diff(np.cumsum(probs) ** 128, prepend=0.))

  def test_release_has_the_distribution_of_128_draws_over_121_bins(self):
    # Tails too thin for float32 sums from the left: most maxima lie there.
    logits = -.12 * np.arange(121.)
    draws = acting.choose_return(many(logits), jax.random.key(1), rule='release', is_greedy=False)
    probs = np.exp(.75 * logits) / np.exp(.75 * logits).sum()
    assert_frequencies(draws, np.diff(np.cumsum(probs) ** 128, prepend=0.))

  def test_release_never_takes_what_is_impossible(self):
    draws = acting.choose_return(many([-np.inf, 0., 0., -np.inf]), jax.random.key(0),
                                 rule='release', is_greedy=False)
    self.assertContainsSubset(np.unique(draws).tolist(), {1, 2})

  def test_paper_over_121_bins_tilts_by_a_twelfth_a_bin(self):
    logits = -.1 * np.arange(121.)
    draws = acting.choose_return(many(logits), jax.random.key(2), rule='paper', is_greedy=False)
    assert_frequencies(draws, np.exp(logits + np.arange(121.) / 12))

  def test_unknown_rule(self):
    with self.assertRaisesRegex(ValueError, "rule is 'best'"):
      acting.choose_return(jnp.zeros((1, 2)), jax.random.key(0), rule='best', is_greedy=False)


class ChooseActionTest(parameterized.TestCase):

  def choose(self, logits, legal, rule, is_greedy=False, **options):
    head = action_heads.of(action_space.numbered(len(logits)))
    return head.choose(many(logits), jnp.array(legal), jax.random.key(0), is_greedy=is_greedy,
                       better_half=rule == acting.BETTER_HALF, **options)

  def test_paper_samples_the_legal_actions(self):
    draws = self.choose([1., 50., 0., 2.], [True, False, True, True], 'paper')
    self.assertEqual(draws.dtype, np.int32)
    assert_frequencies(draws, [np.exp(1.), 0., 1., np.exp(2.)])

  @parameterized.named_parameters(
      ('odd', [1., 50., 0., 2., 3.], [True, False, True, True, True], [0, 0, 0, 0, 1]),
      ('even', [2., -9., 0., 1., -8., -7.], [True, False, True, True, False, True],
       [np.e ** 2, 0, 1, np.e, 0, 0]),
      ('all_legal', [3., 1., 2., 0.], [True] * 4, [np.e, 0, 1, 0]),
      ('all_equal', [1., 9., 1., 1.], [True, False, True, True], [1, 0, 1, 1]),
      ('none_above', [0., 9., .5, 9., 1.], [True, False, True, False, False], [0, 0, 1, 0, 0]))
  def test_release_samples_legal_actions_above_the_median_of_all(self, logits, legal, expected):
    assert_frequencies(self.choose(logits, legal, 'release'), expected)

  def test_release_keeps_nine_of_18_and_of_them_the_legal(self):
    logits = np.array([3, -1, 0, 9, 2, 8, -2, -3, -4, 7, 1, -5, -6, 6, 5, -7, -8, 4]) / 4
    kept = {3, 5, 9, 13, 14, 17, 0, 4, 10}  # 9, 8, 7, 6, 5, 4, 3, 2 and 1.
    for legal in (range(18), (0, 1, 3, 4), (0, 2, 5, 11)):
      is_kept = np.isin(np.arange(18), list(kept & set(legal)))
      assert_frequencies(self.choose(logits, np.isin(np.arange(18), legal), 'release'),
                         np.where(is_kept, np.exp(logits), 0.))

  @parameterized.parameters(*acting.RULES)
  def test_greedy_takes_the_best_legal_action(self, rule):
    draws = self.choose([1., 50., 0., 2.], [True, False, True, True], rule, is_greedy=True)
    np.testing.assert_array_equal(draws, np.full(N, 3))

  @parameterized.parameters('paper', 'imitate')
  def test_a_temperature_of_a_third_cubes_the_probabilities(self, rule):
    # Odds 1 : 2 : 3, which become 1 : 8 : 27; the illegal one keeps none.
    draws = self.choose(np.log([1., 2., 9., 3.]), [True, True, False, True], rule,
                        temperature=1 / 3)
    assert_frequencies(draws, [1., 8., 0., 27.])

  def test_a_temperature_changes_nothing_about_what_the_release_samples_from(self):
    # The upper half are the last two, 1 : 2, which become 1 : 4.
    draws = self.choose(np.log([1., 2., 3., 6.]), [True] * 4, 'release', temperature=.5)
    assert_frequencies(draws, [0., 0., 1., 4.])

  @parameterized.parameters(*acting.RULES)
  def test_a_temperature_of_1_draws_the_same_and_arg_max_has_none(self, rule):
    logits, legal = [1., 50., 0., 2.], [True, False, True, True]
    np.testing.assert_array_equal(
        self.choose(logits, legal, rule, temperature=1.), self.choose(logits, legal, rule))
    np.testing.assert_array_equal(
        self.choose(logits, legal, rule, is_greedy=True, temperature=9.), np.full(N, 3))

  @parameterized.product(rule=acting.RULES, temperature=(1., 1 / 3, 100.))
  def test_illegal_actions_are_never_taken_however_unlikely_the_others(self, rule, temperature):
    draws = self.choose([1e4, 1e4, -1e4, -1e4 - 1.], [False, False, True, True], rule,
                        temperature=temperature)
    self.assertEqual(set(np.unique(draws)) - {2, 3}, set())


class ActTest(parameterized.TestCase):
  B, T = 2, 3
  SPEC = types.EnvironmentSpec(
      name='test', observation_key='', observation_kind='vector', observation_shape=(3,),
      actions=action_space.numbered(4, legal=(0, 1, 3)), return_low=0, return_high=4)
  LEGAL = np.array([True, True, False, True])

  def make(self, return_tokens):
    dt = decision_transformer.DecisionTransformer(
        self.SPEC, self.T, num_layers=2, num_heads=2, d_model=8, return_tokens=return_tokens)
    ids = np.zeros((1, self.T), np.int32)
    shapes = jax.eval_shape(
        dt.init, jax.random.key(0), np.zeros((1, self.T, 3), np.float32), ids, ids, ids)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), shapes)['params']
    # Answers shall depend on what was observed more than on the place, the biases and the tilt.
    params['tokenizer']['embed']['kernel'] *= 10.
    params['position']['embedding'] *= .2
    params['transformer']['ln_f']['bias'] *= 0.
    params['action_head']['bias'] *= 0.
    params['return_head']['kernel'] *= 5.
    for layer in range(2):
      params['transformer'][f'block_{layer}']['attention']['value']['kernel'] *= 5.
    return dt, params

  @parameterized.parameters(*masks.RETURN_TOKENS)
  def test_equals_lists_and_whole_windows_over_more_steps_than_fit(self, return_tokens):
    dt, params = self.make(return_tokens)
    act = jax.jit(acting.make_act(dt, self.LEGAL))
    observe_reward = jax.jit(acting.observe_reward)
    whole = jax.jit(lambda *args: dt.apply({'params': params}, *args))
    rng = np.random.default_rng(1)
    tilt = 10. * np.arange(5) / 4

    def window(items, shape=()):
      """The last T items from the left, then zeros. [B, T, ...]."""
      items = [np.asarray(x) for x in items[-self.T:]]
      empty = [np.zeros((self.B, *shape), items[0].dtype)] * (self.T - len(items))
      return np.stack(items + empty, axis=1)

    history = acting.empty_history(jnp.zeros((self.B, 3)), self.T)
    observations, returns, actions, rewards = [], [], [], []
    for t in range(2 * self.T + 1):
      observations.append(rng.random((self.B, 3), np.float32))
      action, history = act(params, history, observations[-1], jax.random.key(t), True)

      slot = min(t, self.T - 1)
      unknown = [np.full(self.B, rng.integers(3), np.int32) for _ in range(3)]
      args = [window(x + [y]) for x, y in zip((returns, actions, rewards), unknown, strict=True)]
      logits = whole(window(observations, (3,)), *args).returns[:, slot]
      returns.append(np.argmax(logits + tilt[None], axis=-1).astype(np.int32))
      args[0] = window(returns)
      logits = whole(window(observations, (3,)), *args).actions[:, slot]
      actions.append(np.argmax(np.where(self.LEGAL, logits, -np.inf), axis=-1).astype(np.int32))
      np.testing.assert_array_equal(action, actions[-1], err_msg=f'step {t}')

      reward = rng.integers(-1, 2, self.B)
      rewards.append(np.where(reward < 0, 2, reward).astype(np.int32))
      history = observe_reward(history, jnp.float32(reward) / 2)
      for name, items in (('returns', returns), ('actions', actions), ('rewards', rewards)):
        np.testing.assert_array_equal(
            getattr(history, name)[:, :slot + 1], window(items)[:, :slot + 1], err_msg=name)
      np.testing.assert_array_equal(history.observations, window(observations, (3,)))
      self.assertEqual(history.num_steps, t + 1)
    # The test is worth something only if the agent does different things.
    self.assertGreater(len(np.unique(actions)), 1)
    self.assertGreater(len(np.unique(returns)), 1)

  @parameterized.parameters(('current', False), ('current', True), ('first', False), ('all', True),
                            ('current', False, 'conv'), ('all', True, 'conv'))
  def test_embedding_frames_once_changes_nothing(self, return_tokens, change_tokens, kind='patch'):
    spec = types.EnvironmentSpec(
        name='test', observation_key='', observation_kind='image', observation_shape=(8, 8, 1),
        actions=action_space.numbered(4, legal=(0, 1, 3)), return_low=0, return_high=4)
    dt = decision_transformer.DecisionTransformer(
        spec, self.T, num_layers=2, num_heads=2, d_model=8, patch_size=4,
        return_tokens=return_tokens, change_tokens=change_tokens, tokenizer_kind=kind)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2 * self.T + 1, 16, 8, 8, 1), np.uint8)
    ids = np.zeros((1, self.T), np.int32)
    shapes = jax.eval_shape(dt.init, jax.random.key(0), frames[None, :self.T, 0], ids, ids, ids)
    params = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32),
                          shapes)['params']
    tokenize = jax.jit(lambda x, before: dt.apply(
        {'params': params}, x[:, None], before[:, None],
        method=decision_transformer.DecisionTransformer.tokenize)[:, 0])
    chosen = []
    for is_tokenized in (False, True):
      act = jax.jit(acting.make_act(dt, self.LEGAL, is_tokenized=is_tokenized))
      # What is before the first frame does not matter.
      seen = ([tokenize(frames[t], frames[t - 1]) for t in range(len(frames))] if is_tokenized else
              jnp.asarray(frames))
      history = acting.empty_history(seen[0], self.T)
      for t, observations in enumerate(seen):
        _, history = act(params, history, observations, jax.random.key(t), False)
        chosen.append((history.returns, history.actions))
    np.testing.assert_array_equal(chosen[:len(frames)], chosen[len(frames):])
    self.assertGreater(len(np.unique(np.array(chosen)[:, 1])), 1)

  def test_greedy_does_not_depend_on_the_key_and_sampling_does(self):
    dt, params = self.make('current')
    params['action_head'] = jax.tree.map(jnp.zeros_like, params['action_head'])
    act = jax.jit(acting.make_act(dt, self.LEGAL))
    observations = jnp.zeros((64, 3))
    history = acting.empty_history(observations, self.T)
    run = lambda seed, is_greedy: act(  # noqa: E731
        params, history, observations, jax.random.key(seed), is_greedy)[0]
    np.testing.assert_array_equal(run(0, True), run(1, True))
    np.testing.assert_array_equal(run(0, False), run(0, False))
    self.assertFalse(np.array_equal(run(0, False), run(1, False)))
    self.assertEqual(set(np.unique(run(0, False))), {0, 1, 3})  # Equal logits, legal actions.

  def test_empty_history_keeps_the_observations_dtype(self):
    history = acting.empty_history(np.zeros((2, 4, 4, 1), np.uint8), window=5)
    self.assertEqual((history.observations.shape, history.observations.dtype),
                     ((2, 5, 4, 4, 1), np.uint8))
    self.assertEqual(history.num_steps, 0)
