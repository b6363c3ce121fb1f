"""What learners tell training, by hand; and a learner of its own, which a row makes."""

from absl.testing import absltest, parameterized

from alpt_jax import methods
from alpt_jax.learners import acting, cql, learner
from alpt_jax.networks import flops
from alpt_jax.training import run_config
from experiments.configs import atari, maze

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


if __name__ == '__main__':
  absltest.main()
