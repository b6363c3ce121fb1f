"""Programs that tests share: forgotten together, and the same for whatever their key leaves out."""

import jax
from absl.testing import absltest

from alpt_jax.training import program, run_config, sharding
from experiments.configs import maze
from tests import shared_programs

# Another value of everything that the key leaves out, but for paths.
_OTHER = {'allow_changed_config': True, 'checkpoint_every_steps': 7, 'eval_every_steps': 9,
          'label_seed': 5, 'log_every_steps': 3, 'num_labels': 25, 'num_steps': 77}


def lowered(config):
  """The text of the update of a run, traced anew."""
  phase, specs = run_config.check_run(config)
  mesh = sharding.make_mesh(num_devices=1)
  made = program.make_program.__wrapped__(config, phase, specs, mesh)
  key = jax.eval_shape(lambda: jax.random.key(0))
  return made.update.lower(
      made.state, program.abstract_batches(config, phase, specs, mesh), key).as_text()


class SharedProgramsTest(absltest.TestCase):

  def test_what_the_key_leaves_out_is_in_no_program(self):
    config, other = maze.get_config('tiny'), maze.get_config('tiny')
    for name, value in _OTHER.items():
      self.assertNotEqual(config[name], value)
      other[name] = value
    self.assertEqual(shared_programs.key_of(config), shared_programs.key_of(other))
    self.assertEqual(lowered(config), lowered(other))

  def test_what_the_key_has_makes_another_program(self):
    config, other = maze.get_config('tiny'), maze.get_config('tiny')
    other.optimizer.idm_learning_rate *= 2
    self.assertNotEqual(shared_programs.key_of(config), shared_programs.key_of(other))
    self.assertNotEqual(lowered(config), lowered(other))

  def test_all_are_forgotten_together(self):
    make = shared_programs._shared(lambda config: object())
    first = make('a')
    self.assertIs(make('a'), first)
    shared_programs.clear()
    self.assertIsNot(make('a'), first)


if __name__ == '__main__':
  absltest.main()
