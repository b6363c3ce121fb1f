"""What learners tell training, by hand; and a learner of its own, which a row makes."""

import json
import pathlib
import tempfile
from typing import NamedTuple
from unittest import mock

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import absltest, parameterized
from flax import linen as nn

from alpt_jax import methods, types
from alpt_jax.domains.maze import anchors, env
from alpt_jax.learners import acting, cql, learner, losses
from alpt_jax.networks import flops
from alpt_jax.training import checkpoints, inputs, run_config, stopping, train
from experiments.configs import atari, camera, maze
from tests import maze_data

LABELLED, SOURCES, TARGET = methods.LABELLED, methods.SOURCES, methods.TARGET


def make(config):
  return learner.make(config, *run_config.check_run(config))


class LearnerTest(parameterized.TestCase):

  @parameterized.parameters(
      ('alpt', {SOURCES: 'idm', LABELLED: 'idm'}, {SOURCES: 'dt', TARGET: 'limited'}),
      ('dt5_ret', {}, {SOURCES: 'dt', LABELLED: 'dt', TARGET: 'limited'}),
      ('dt1_idm', {LABELLED: 'idm'}, {TARGET: 'limited'}),
      ('oracle', {}, {TARGET: 'limited'}))
  def test_parts_of_an_idm_and_a_dt(self, method, idm, dt):
    config = maze.get_config('tiny')
    config.method = method
    made = make(config)
    self.assertEqual(made.parts(), [('idm_batch_size', idm), ('batch_size', dt)])
    self.assertEqual((made.window, made.frame_stack), (config.window, 0))
    self.assertEqual(made.observation_shape, (8, 8, 3))

  def test_q_learning_reads_single_transitions_of_stacked_frames(self):
    config = atari.get_config('tiny,setting=disjoint,method=cql')
    config.cql.stack = 3
    made = make(config)
    self.assertEqual(made.parts(), [('cql.batch_size', {LABELLED: 'q'})])
    self.assertEqual((made.window, made.frame_stack), (1, 3))
    self.assertEqual(made.observation_shape, (84, 84, 3))
    self.assertEqual(made.microbatch, 0)

  def test_update_counts_every_row_once(self):
    made = make(maze.get_config('tiny'))
    idm, dt = flops.idm(made.networks.idm, made.window), flops.dt(made.networks.dt)
    self.assertEqual(made.flops({'idm': 5, 'dt': 3, 'limited': 2}), {
        'idm': 5 * idm.training, 'labelling': 2 * idm.forward, 'dt': 5 * dt.training})
    config = maze.get_config('tiny')
    config.method = 'oracle'  # No IDM labels.
    self.assertEqual(make(config).flops({'limited': 2}),
                     {'idm': 0, 'labelling': 0, 'dt': 2 * dt.training})

  def test_order_of_parts(self):
    config = camera.get_config('tiny')
    self.assertFalse(make(config).networks.dt.parts_in_order)
    config.model.action_order = 'sequential'
    self.assertTrue(make(config).networks.dt.parts_in_order)
    del config.model.action_order  # Of a run of earlier code.
    self.assertFalse(make(config).networks.dt.parts_in_order)
    for own, order in ((config, 'random'), (maze.get_config('tiny'), 'sequential')):
      own.model.action_order = order
      with self.assertRaisesRegex(ValueError, f"model.action_order is '{order}'"):
        make(own).networks.dt  # noqa: B018

  def test_q_learning_knows_one_action(self):
    config = camera.get_config('tiny')
    config.method, config.cql = 'cql', atari.get_config('tiny').cql
    with self.assertRaisesRegex(ValueError, "method is 'cql', which knows one discrete action"):
      make(config)

  def test_players(self):
    config = atari.get_config('tiny,setting=disjoint,method=cql')
    config.cql.epsilon = .25
    player = make(config).player([True] * 18, rule='paper')
    self.assertIsInstance(player, cql.Player)
    self.assertEqual(player.about, {'acting_rule': 'epsilon-greedy', 'epsilon': .25})
    config.method = 'dt1'
    player = make(config).player([True] * 18, rule='imitate')
    self.assertIsInstance(player, acting.Player)
    self.assertEqual(player.about, {'acting_rule': 'imitate'})
    with self.assertRaisesRegex(ValueError, "rule is 'best'; expected one of"):
      make(config).player([True] * 18, rule='best')

  @parameterized.parameters(*methods.METHODS)
  def test_every_method_has_a_learner(self, name):
    self.assertIn(methods.METHODS[name].learner, learner.LEARNERS)
    self.assertIn(learner.of_method(name).agent, ('dt', 'q'))


class Networks(NamedTuple):
  habit: nn.Module


class State(flax.struct.PyTreeNode):
  step: jax.Array
  habit: types.ModelState


class HabitPlayer:
  """Remembers how many steps there were; members as those of `acting.Player`."""
  modes = ('argmax', 'sampled')
  about = {'acting_rule': 'habit'}

  def __init__(self, spec):
    self.spec = spec

  def is_chance(self, is_greedy):
    return not is_greedy

  def empty_history(self, params, frames):
    return jnp.int32(0)

  def step(self, params, history, rewards, frames, before, key, is_greedy, temperature):
    logits = jnp.tile(params['embedding'], (len(frames), 1))
    sampled = jax.random.categorical(jax.random.fold_in(key, history), logits)
    return jnp.where(is_greedy, jnp.argmax(logits, axis=1), sampled), history + 1


class Habit(learner.Learner):
  """Knows how often each action is taken, and nothing else."""
  agent = 'habit'
  networks = Networks(nn.Embed(1, 4))  # Logits of four actions.

  def check(self):
    if self._config.batch_size < 4:
      raise ValueError(f'batch_size is {self._config.batch_size}; a habit needs 4.')

  def parts(self):
    return [('batch_size', dict.fromkeys(self.phase.agent, 'dt'))]

  def init(self, key):
    params = self.networks.habit.init(key, jnp.zeros(1, jnp.int32))['params']
    return State(jnp.int32(0), types.ModelState(params, optax.EmptyState()))

  def make_update(self, *, place, num_devices, microbatch):
    def loss(params, batch):
      logits = self.networks.habit.apply({'params': params}, jnp.zeros_like(batch.actions))
      each = optax.softmax_cross_entropy_with_integer_labels(logits, batch.actions)
      return losses.masked_mean(each, batch.is_labelled & batch.is_valid)

    def update(state, batches, key):
      value, gradient = jax.value_and_grad(loss)(state.habit.params, batches.dt)
      params = jax.tree.map(lambda p, g: p - g, state.habit.params, place(gradient))
      return State(state.step + 1, types.ModelState(params, optax.EmptyState())), {
          'habit/loss': value}

    return update

  def player(self, legal, *, rule):
    return HabitPlayer(self._specs[0])


class AnotherLearnerTest(absltest.TestCase):
  """A row of the table of methods and a class are all that a learner takes."""

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    phase = methods.Phase(agent=(LABELLED,))
    self.enterContext(mock.patch.dict(learner.LEARNERS, habit=Habit))
    self.enterContext(mock.patch.dict(methods.METHODS, habit=methods.Method(
        'Counts actions.', joint=phase, finetune=phase, pretrain=phase, learner='habit')))

  def config(self, name, **changes):
    return maze_data.config(
        self.root / name, method='habit', checkpoint_every_steps=20, eval_every_steps=60, **changes)

  def params(self, config):
    directory = pathlib.Path(config.workdir, 'checkpoints')
    wanted = make(config).init(jax.random.key(0)).habit.params
    step, restored = checkpoints.restore_params(directory, {'habit': wanted})
    return step, np.asarray(restored['habit']['embedding'])

  def test_it_is_trained_stopped_and_resumed(self):
    unbroken, stopped = self.config('unbroken', num_steps=60), self.config('stopped', num_steps=20)
    self.assertEqual(train.train(unbroken, unbroken.workdir), stopping.DONE)
    self.assertEqual(train.train(stopped, stopped.workdir), stopping.DONE)
    stopped.num_steps = 60
    self.assertEqual(train.train(stopped, stopped.workdir), stopping.DONE)
    step, logits = self.params(stopped)
    self.assertEqual(step, 60)
    np.testing.assert_array_equal(logits, self.params(unbroken)[1])
    last = pathlib.Path(unbroken.workdir, 'metrics.jsonl').read_text().splitlines()[-1]
    self.assertIn('habit/loss', json.loads(last))
    phase, _ = run_config.check_run(unbroken)
    read = inputs.read_data(unbroken, phase).episodes[unbroken.target]
    known = np.concatenate([actions[is_known] for actions, is_known in map(
        read.actions_of, range(read.num_episodes))])
    self.assertLen(known, 50)
    np.testing.assert_allclose(
        np.asarray(jax.nn.softmax(logits))[0], np.bincount(known, minlength=4) / 50, atol=.05)

  def test_its_player_is_evaluated(self):
    config = self.config('played', num_steps=60)
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    _, logits = self.params(config)
    found = json.loads(pathlib.Path(config.workdir, 'eval', 'step_0000060.json').read_text())
    layout = env.layout_of(config.target)
    exact = anchors.policy_anchors(
        layout, np.broadcast_to(np.eye(4)[logits[0].argmax()], (*layout.walls.shape, 4)))
    for name in ('success_500', 'success_50', 'spl', 'mean_steps'):
      self.assertAlmostEqual(found['argmax'][name], exact[name], msg=name)
    self.assertLess(found['argmax']['success_500'], found['sampled']['success_500'])
    self.assertNotEmpty(found['paths']['sampled'])

  def test_its_check_is_asked(self):
    config = self.config('small', batch_size=2)
    with self.assertRaisesRegex(ValueError, 'batch_size is 2; a habit needs 4'):
      train.train(config, config.workdir)


if __name__ == '__main__':
  absltest.main()
