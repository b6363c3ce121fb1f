"""Tests of the Atari evaluation, with real emulators."""

import dataclasses
import functools
import itertools
import json
import math
import subprocess
import sys
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from ale_py import vector_env

from alpt_jax import action_space
from alpt_jax.domains import play
from alpt_jax.domains.atari import action_sets, env, evaluate, plain
from alpt_jax.learners import acting, cql
from alpt_jax.measures import play as measures
from alpt_jax.networks import decision_transformer, q_network

SURE = 1e4  # A logit that leaves no doubt.
NOOP, FIRE = 0, 1


class TableAgent:
  """Stands in for a DecisionTransformer: does the same at every step.

  The parameters are action logits [18], illegal ones included.
  """
  num_steps, parts_in_order = 3, False

  def __init__(self, game):
    self.spec = action_sets.spec(game)

  def apply(self, variables, *args, method, **unused):
    if method is decision_transformer.DecisionTransformer.tokenize:
      return args[0][..., :1, 0, 0] / 255.
    if method is decision_transformer.DecisionTransformer.predict_return:
      return jnp.zeros((len(args[0]), 121)), None
    return jnp.tile(variables['params'][None], (len(args[0]), 1))


class WhimsicalAgent(TableAgent):
  """What it does follows from what it has seen, done and earned, but in no sensible way."""

  def apply(self, variables, *args, method, **unused):
    if method is decision_transformer.DecisionTransformer.tokenize:
      return jnp.sum(args[0].astype(jnp.int32), axis=(2, 3))[..., None]
    if method is decision_transformer.DecisionTransformer.predict_return:
      observations, _, actions, rewards, slot = args
      is_past = (jnp.arange(3) < slot)[None]
      whim = jnp.sum(observations, axis=(1, 2, 3)) // 64 + jnp.sum(is_past * rewards, axis=1)
      return jnp.zeros((len(whim), 121)), (actions[:, slot - 1], whim)
    legal = jnp.array(self.spec.legal_actions)
    last, whim = args[1]
    # One further or one back: it comes by FIRE, which starts a game, even if nothing moves.
    index = jnp.searchsorted(legal, last) + 1 + 2 * (whim % 2)
    return SURE * jax.nn.one_hot(legal[index % len(legal)], 18)


def make_transformer(game, **options):
  """A small DT and its parameters; it looks at frames more than at the place in the window."""
  dt = decision_transformer.DecisionTransformer(
      action_sets.spec(game), num_steps=3, num_layers=2, num_heads=2, d_model=8, patch_size=28,
      **options)
  ids = np.zeros((1, 3), np.int32)
  shapes = jax.eval_shape(
      dt.init, jax.random.key(0), np.zeros((1, 3, 84, 84, 1), np.uint8), ids, ids, ids)
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), shapes)
  params = params['params']
  params['position']['embedding'] *= .2
  params['action_head']['bias'] *= 0.
  params['transformer']['ln_f']['bias'] *= 0.
  for name in ('return', 'action', 'reward'):
    params[f'{name}_embedding']['embedding'] *= 3.
  for layer in range(2):
    params['transformer'][f'block_{layer}']['attention']['value']['kernel'] *= 5.
  if dt.tokenizer_kind == 'conv':  # The background, beside which what moves is little, adds less.
    params['return_embedding']['embedding'] *= .1
    tokenizer = params['tokenizer']
    tokenizer['embed']['kernel'] *= .01
    for name in ('embed', 'conv_0', 'conv_1', 'flat', 'norm'):
      tokenizer[name]['bias'] *= .01
  return dt, params


UNIFORM = np.zeros(18, np.float32)


def legal_in(game):
  return action_sets.spec(game).actions.mask


def make_evaluator(dt, game, *, rule='paper', **settings):
  return evaluate.AtariEvaluator(acting.Player(dt, legal_in(game), rule), game, **settings)


@functools.cache  # It compiles once for all tests.
def breakout():
  """Four sticky games of an agent that does anything; some last longer than 220 steps."""
  return make_evaluator(
      TableAgent('Breakout'), 'Breakout', num_episodes=4, max_steps=220, sticky=.25)


class AtariEvaluatorTest(parameterized.TestCase):

  @parameterized.parameters(
      (dict(return_tokens='current', change_tokens=True), False),
      (dict(return_tokens='first'), True),
      (dict(return_tokens='all', change_tokens=True), False),
      (dict(return_tokens='current', change_tokens=True, tokenizer_kind='conv'), False))
  def test_does_what_the_plain_way_does(self, options, earns):
    dt, params = make_transformer('SpaceInvaders', **options)
    scores, episodes = make_evaluator(
        dt, 'SpaceInvaders', num_episodes=2, max_steps=100, sticky=.25).run(
            params, acting_mode='argmax', record_episodes=2)
    slow = plain.PlainEvaluation(dt, 'SpaceInvaders', sticky=.25)
    for episode in episodes:
      score, actions = slow.run(
          params, acting_mode='argmax', episode_seed=episode['seed'], max_steps=100)
      np.testing.assert_array_equal(episode['actions'], actions)
      self.assertEqual(scores['scores'][episode['episode']], score)
      self.assertGreater(len(np.unique(actions)), 1)
    self.assertEqual(scores['score'] > 0., earns)  # One agent at least knows of rewards.

  @parameterized.parameters('patch', 'conv')
  def test_images_come_late_and_nothing_else_does(self, tokenizer_kind):
    dt, params = make_transformer(
        'SpaceInvaders', return_tokens='current', change_tokens=True, tokenizer_kind=tokenizer_kind)
    evaluator = make_evaluator(
        dt, 'SpaceInvaders', num_episodes=2, max_steps=60, sticky=.25)
    slow = plain.PlainEvaluation(dt, 'SpaceInvaders', sticky=.25)
    taken = []
    for delay in (0, 1, 7):
      scores, episodes = evaluator.run(
          params, acting_mode='argmax', record_episodes=2, delay=delay)
      self.assertEqual(scores.get('delay', 0), delay)
      for episode in episodes:
        score, actions = slow.run(params, acting_mode='argmax', episode_seed=episode['seed'],
                                   max_steps=60, delay=delay)
        np.testing.assert_array_equal(episode['actions'], actions)
        self.assertEqual(scores['scores'][episode['episode']], score)
      taken.append(np.concatenate([e['actions'] for e in episodes]).tolist())
    self.assertLen(set(map(tuple, taken)), 3)

  def test_who_does_not_look_plays_the_same_with_late_images(self):
    plain, late = (breakout().run(UNIFORM, seed=3, delay=delay)[0] for delay in (0, 41))
    self.assertEqual(late.pop('delay'), 41)
    self.assertEqual(plain, late)

  def test_until_images_come_the_first_one_is_shown(self):
    evaluator = make_evaluator(
        WhimsicalAgent('Breakout'), 'Breakout', num_episodes=2, max_steps=30, sticky=.25)
    shown, step = [], evaluator._step

    def spy(params, history, rewards, frames, before, *args):
      shown.append((frames.copy(), before.copy()))
      return step(params, history, rewards, frames, before, *args)

    with mock.patch.object(evaluator, '_step', spy):
      _, episodes = evaluator.run(None, acting_mode='argmax', record_episodes=2, delay=4)
    by_number = {e['episode']: e['observations'] for e in episodes}
    for number in range(2):  # A group each, which take turns.
      seen = shown[number::2]
      self.assertLen(seen, 30)
      for t, (frames, before) in enumerate(seen):
        np.testing.assert_array_equal(frames[0], by_number[number][max(t - 4, 0)])
        np.testing.assert_array_equal(before[0], by_number[number][max(t - 5, 0)])

  def test_episodes_are_those_of_the_environment_and_end_with_it(self):
    scores, episodes = breakout().run(UNIFORM, seed=3, record_episodes=4)
    self.assertEqual([e['score'] for e in episodes], sorted(scores['scores'], reverse=True))
    self.assertEqual({e['episode'] for e in episodes}, set(range(4)))
    self.assertTrue(0 < scores['num_cut'] < 4, scores)
    num_cut = 0
    for episode in episodes:
      environment = env.make('Breakout', episode['seed'], sticky=.25)
      timestep = environment.reset()
      for action, observation in zip(episode['actions'], episode['observations'], strict=True):
        self.assertFalse(timestep.last())
        np.testing.assert_array_equal(timestep.observation[..., 0], observation)
        timestep = environment.step(action_sets.MINIMAL_ACTIONS['Breakout'].index(action))
      length = scores['lengths'][episode['episode']]
      self.assertLen(episode['actions'], length)
      self.assertEqual(environment.score, scores['scores'][episode['episode']])
      if not timestep.last():
        self.assertEqual(length, 220)
        num_cut += 1
    self.assertEqual(num_cut, scores['num_cut'])

  def test_the_reward_that_ends_a_game_counts(self):
    # Who stands still loses Pong by 21 points, the last of them in the last step.
    evaluator = make_evaluator(TableAgent('Pong'), 'Pong', num_episodes=2)
    scores, _ = evaluator.run(SURE * np.eye(18)[NOOP], acting_mode='argmax')
    self.assertEqual((scores['scores'], scores['num_cut']), ([-21.], 0))
    environment = env.make('Pong', 0, sticky=0.)
    environment.reset()
    for _ in range(scores['lengths'][0]):
      timestep = environment.step(NOOP)
    self.assertEqual((timestep.last(), timestep.reward, timestep.discount), (True, -1., 0.))

  def test_equal_episodes_are_played_once(self):
    # No sticky actions, and an agent that leaves nothing to chance.
    evaluator = make_evaluator(
        TableAgent('Breakout'), 'Breakout', num_episodes=3, max_steps=20)
    for acting_mode, num_episodes in (('argmax', 1), ('sampled', 3)):
      scores, _ = evaluator.run(SURE * np.eye(18)[FIRE], acting_mode=acting_mode)
      self.assertEqual(scores['num_episodes'], num_episodes)
      self.assertEqual(scores['lengths'], [20] * num_episodes)
      self.assertEqual(scores['num_cut'], num_episodes)

  def test_a_seed_decides_everything(self):
    first, again, other = (breakout().run(UNIFORM, seed=seed)[0] for seed in (5, 5, 6))
    self.assertEqual(first, again)
    self.assertNotEqual((first['scores'], first['lengths']), (other['scores'], other['lengths']))

  def test_a_failed_run_does_not_disturb_the_next(self):
    evaluator = make_evaluator(
        WhimsicalAgent('Breakout'), 'Breakout', num_episodes=2, max_steps=30, sticky=.25)
    run = lambda: evaluator.run(None, acting_mode='argmax', record_episodes=2)[1]  # noqa: E731
    expected = run()
    step, calls = evaluator._step, []

    def fail_later(*args):
      calls.append(args)
      if len(calls) == 10:
        raise RuntimeError('The machine is on fire.')
      return step(*args)

    with mock.patch.object(evaluator, '_step', fail_later):
      with self.assertRaisesRegex(RuntimeError, 'on fire'):
        run()
    for episode, other in zip(run(), expected, strict=True):
      jax.tree.map(np.testing.assert_array_equal, episode, other)

  @parameterized.parameters(0, 30)
  def test_shrinking_the_batch_changes_nothing(self, delay):
    evaluator = make_evaluator(
        WhimsicalAgent('Breakout'), 'Breakout', num_episodes=4, sticky=.25)
    results = []
    for min_batch in (1, 100):
      with mock.patch.object(play, '_MIN_BATCH', min_batch):
        results.append(evaluator.run(None, acting_mode='argmax', delay=delay)[0])
    self.assertEqual(*results)
    self.assertGreater(len(set(results[0]['lengths'])), 2)
    self.assertEqual(results[0]['num_cut'], 0)

  @parameterized.product(game=('Breakout', 'Freeway'), rule=acting.RULES)
  def test_illegal_actions_are_never_sent(self, game, rule):
    evaluator = make_evaluator(
        TableAgent(game), game, num_episodes=2, max_steps=40, rule=rule)
    legal = np.array(action_sets.MINIMAL_ACTIONS[game])
    preferences = np.full(18, SURE)
    preferences[legal] = 0.
    sent, send = [], vector_env.AtariVectorEnv.send

    def spy(emulator, actions):
      sent.extend(actions.tolist())
      send(emulator, actions)

    with mock.patch.object(vector_env.AtariVectorEnv, 'send', spy):
      for acting_mode in acting.MODES:
        evaluator.run(preferences, acting_mode=acting_mode)
    self.assertGreaterEqual(len(sent), 3 * 40)
    self.assertEqual(set(sent), set(legal.tolist()))

  def test_sharpened_games_are_those_of_the_logits_divided(self):
    # The same numbers are drawn: of four times the logits, or with a temperature of 1/4.
    logits = np.random.default_rng(0).integers(-8, 9, size=18).astype(np.float32) / 8
    sharpened, _ = breakout().run(logits, acting_mode='sharpened', temperature=.25)
    plain, _ = breakout().run(4 * logits)
    self.assertEqual((sharpened['acting_mode'], sharpened['temperature']), ('sharpened', .25))
    for name in ('scores', 'lengths', 'game', 'seed', 'num_episodes', 'acting_rule'):
      self.assertEqual(sharpened[name], plain[name])
    self.assertNotIn('temperature', plain)
    self.assertNotEqual(breakout().run(logits)[0]['lengths'], sharpened['lengths'])

  @parameterized.parameters(('sharpened', 0.), ('sharpened', math.inf), ('sharpened', math.nan),
                            ('sharpened', -1.), ('sampled', .5), ('argmax', .5))
  def test_temperature_that_is_none(self, acting_mode, temperature):
    with self.assertRaisesRegex(ValueError, f'temperature is {temperature} in mode'):
      breakout().run(UNIFORM, acting_mode=acting_mode, temperature=temperature)

  def test_scores_are_json_and_say_how_they_came_about(self):
    scores, episodes = breakout().run(UNIFORM, seed=1)
    self.assertEqual(json.loads(json.dumps(scores)), scores)
    self.assertEqual(episodes, [])
    said = {name: scores[name] for name in (
        'game', 'num_episodes', 'max_steps', 'sticky', 'acting_rule', 'acting_mode', 'seed')}
    self.assertEqual(said, {
        'game': 'Breakout', 'num_episodes': 4, 'max_steps': 220, 'sticky': .25,
        'acting_rule': 'paper', 'acting_mode': 'sampled', 'seed': 1})
    values = scores['scores']
    self.assertAlmostEqual(scores['score'], sum(values) / 4)
    self.assertAlmostEqual(scores['score_std'] ** 2, np.mean((values - np.mean(values)) ** 2))
    self.assertEqual(scores['score_median'], sum(sorted(values)[1:3]) / 2)
    # Random play scores 1.7 and a human 30.5 (the table of DQN Zoo).
    self.assertAlmostEqual(scores['human_normalised'], (scores['score'] - 1.7) / 28.8)

  def test_scores_say_how_varied_the_actions_were(self):
    scores, episodes = breakout().run(UNIFORM, seed=1, record_episodes=4)
    actions = [e['actions'].tolist() for e in episodes]
    counts = np.bincount(sum(actions, []))
    self.assertEqual(scores['most_frequent_action'], counts.argmax())
    self.assertEqual(scores['most_frequent_share'], counts.max() / counts.sum())
    runs = [len(list(run)) for episode in actions for _, run in itertools.groupby(episode)]
    self.assertEqual(scores['longest_run'], max(runs))
    self.assertIn('dqn_zoo', scores['human_normalised_by'])

  def test_counts_the_steps_it_took_and_where_the_time_went(self):
    scores, _ = breakout().run(UNIFORM)
    self.assertEqual(breakout().num_agent_steps, sum(scores['lengths']))
    self.assertEqual(set(breakout().seconds), {'reset', 'emulator', 'model', 'host'})
    self.assertGreater(min(breakout().seconds.values()), 0.)

  @parameterized.parameters(
      (dict(game='Brekout'), "'Brekout'; did you mean 'Breakout'"),
      (dict(num_episodes=0), 'num_episodes is 0; expected at least 1'),
      (dict(max_steps=0), 'max_steps is 0; expected at least 1'),
      (dict(sticky=1.), r'sticky is 1.0; expected a probability in \[0, 1\)'),
      (dict(rule='best'), "rule is 'best'; expected one of"))
  def test_bad_arguments(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      make_evaluator(TableAgent('Breakout'), **{'game': 'Breakout', **arguments})

  @parameterized.parameters(
      (dict(actions=action_space.numbered(4)), 'num_actions of the model .* is 4; Breakout'),
      (dict(observation_shape=(42, 42, 1)), r'observation_shape of the model .* \(84, 84, 1\)'))
  def test_a_model_of_something_else(self, changes, message):
    agent = TableAgent('Breakout')
    agent.spec = dataclasses.replace(agent.spec, **changes)
    with self.assertRaisesRegex(ValueError, message):
      make_evaluator(agent, 'Breakout')

  def test_bad_run(self):
    with self.assertRaisesRegex(ValueError, "acting_mode is 'greedy'"):
      breakout().run(UNIFORM, acting_mode='greedy')
    with self.assertRaisesRegex(ValueError, 'seed is -1'):
      breakout().run(UNIFORM, seed=-1)
    with self.assertRaisesRegex(ValueError, 'delay is -1; expected at least 0'):
      breakout().run(UNIFORM, delay=-1)

  @parameterized.parameters('gymnasium', 'ale_py')
  def test_says_what_to_install(self, missing):
    program = f'import sys; sys.modules[{missing!r}] = None; import alpt_jax.domains.atari.evaluate'
    result = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=False)
    self.assertRegex(result.stderr.strip().splitlines()[-1],
                     f'ImportError: .* needs ale-py and gymnasium .*{missing}.*: pip install')


class BlindTest(parameterized.TestCase):

  def play(self, chances, acting_mode='sampled', **settings):
    agent = evaluate.AtariEvaluator(
        play.BlindPlayer(action_sets.spec('Breakout')), 'Breakout', max_steps=150, **settings)
    return agent.run(jnp.asarray(chances, jnp.float32), acting_mode=acting_mode,
                     record_episodes=settings['num_episodes'])

  def test_plays_the_chain_it_is_given(self):
    episodes = [[FIRE, 3, 3, 4, NOOP], [FIRE, 4, NOOP, 3]]
    chances = measures.markov_chain(episodes, 18)
    scores, played = self.play(chances, num_episodes=8)
    actions = [e['actions'] for e in played]
    self.assertEqual({a[0] for a in actions}, {FIRE})
    pairs = {pair for a in actions for pair in itertools.pairwise(a.tolist())}
    self.assertEqual(pairs, {(FIRE, 3), (FIRE, 4), (3, 3), (3, 4), (4, NOOP), (NOOP, 3)})
    after_3 = np.concatenate([a[1:][a[:-1] == 3] for a in actions])
    # Both follow 3 with probability 1/2; five standard errors of a share.
    self.assertLess(abs(np.mean(after_3 == 4) - .5), 5 * .5 / np.sqrt(len(after_3)))
    self.assertEqual(scores['acting_rule'], 'blind')
    self.assertGreater(len({tuple(a.tolist()) for a in actions}), 1)

  def test_random_play_is_of_legal_actions(self):
    legal = np.isin(np.arange(18), action_sets.spec('Breakout').legal_actions)
    scores, played = self.play(measures.uniform(legal), num_episodes=4)
    actions = np.concatenate([e['actions'] for e in played])
    self.assertEqual(set(actions.tolist()), {0, 1, 3, 4})
    self.assertLess(scores['most_frequent_share'], .35)

  def test_one_action_is_one_game(self):
    scores, (played,) = self.play(measures.always(FIRE, 18), acting_mode='argmax', num_episodes=4)
    self.assertEqual((scores['num_episodes'], scores['most_frequent_share']), (1, 1.))
    self.assertEqual(scores['longest_run'], len(played['actions']))


class QNetworkTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.network = q_network.QNetwork(action_sets.spec('Breakout'), num_quantiles=3, hidden=8)
    shapes = jax.eval_shape(
        cls.network.init, jax.random.key(0), np.zeros((1, 84, 84, 4), np.uint8))['params']
    rng = np.random.default_rng(0)  # Far from 0, so that the order of frames matters.
    cls.params = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), shapes)

  def play(self, epsilon=0., seed=0, acting_mode='sampled', num_episodes=3, max_steps=30):
    agent = evaluate.AtariEvaluator(
        cql.Player(self.network, legal_in('Breakout'), epsilon), 'Breakout',
        num_episodes=num_episodes, max_steps=max_steps)
    return agent.run(self.params, acting_mode=acting_mode, seed=seed, record_episodes=num_episodes)

  def test_takes_the_best_legal_action_of_the_last_four_frames(self):
    _, (episode, *_) = self.play()
    legal = list(self.network.spec.legal_actions)
    frames = np.concatenate([np.zeros((3, 84, 84), np.uint8), episode['observations']])
    stacks = np.stack([np.moveaxis(frames[t:t + 4], 0, -1) for t in range(30)])

    def best(stacks):
      values = np.asarray(self.network.apply({'params': self.params}, stacks)).mean(axis=-1)
      return np.array(legal)[values[:, legal].argmax(axis=1)]

    np.testing.assert_array_equal(episode['actions'], best(stacks))
    self.assertTrue((best(stacks[..., ::-1]) != best(stacks)).any())
    self.assertTrue((best(stacks[..., -1:].repeat(4, axis=-1)) != best(stacks)).any())

  def test_explores_legal_actions_differently_in_every_episode_and_by_the_seed_only(self):
    (scores, episodes), (again, same), (_, others) = (
        self.play(epsilon=1., seed=seed) for seed in (3, 3, 4))
    self.assertEqual(scores, again)
    taken = [e['actions'].tolist() for e in sorted(episodes, key=lambda e: e['episode'])]
    self.assertEqual(taken, [
        e['actions'].tolist() for e in sorted(same, key=lambda e: e['episode'])])
    self.assertEqual({a for actions in taken for a in actions}, {0, 1, 3, 4})
    all_taken = [*taken, *(e['actions'].tolist() for e in others)]
    self.assertLen({tuple(actions) for actions in all_taken}, 6)
    self.assertEqual((scores['epsilon'], scores['acting_rule']), (1., 'epsilon-greedy'))

  def test_has_nothing_to_sharpen(self):
    with self.assertRaisesRegex(ValueError, "acting_mode is 'sharpened', and rule 'epsilon-gr"):
      self.play(acting_mode='sharpened')

  def test_arg_max_explores_nothing_and_plays_one_episode(self):
    (scores, (episode,)), (_, (greedy, *_)) = (
        self.play(epsilon=1., acting_mode='argmax'), self.play(epsilon=0.))
    self.assertEqual(scores['num_episodes'], 1)
    np.testing.assert_array_equal(episode['actions'], greedy['actions'])

  def test_epsilon_is_a_probability(self):
    with self.assertRaisesRegex(ValueError, 'epsilon is 2.0; expected a probability'):
      self.play(epsilon=2.)
