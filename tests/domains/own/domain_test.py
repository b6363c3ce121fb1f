"""Own data as a domain: which environments go together, and how their actions are read."""

import os
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, domains
from alpt_jax.data import environment_file, writer
from experiments.configs import own
from tests.data import own_data


def described(name, *parts):
  """An environment of some parts, or of one discrete action."""
  return own_data.environment('grid', (3, 3, 1), name=name, actions=(
      environment_file.ActionParts(parts=parts) if parts else
      environment_file.Actions(space=('noop', 'up'))))


class PartsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def config(self, *environments, **changes):
    """A config whose target is the first environment and whose sources are the others."""
    config = own.get_config('tiny')
    for env in environments:
      os.makedirs(self.root / env.name)
      environment_file.write(self.root / env.name / 'environment.json', env)
    config.data_dir, config.target = str(self.root), environments[0].name
    config.sources = tuple(env.name for env in environments[1:])
    config.update(changes)
    return config

  def test_environments_of_other_parts_go_together(self):
    turn = action_parts.Continuous('turn', -1., 1.)
    specs = domains.specs(self.config(described('A', turn, action_parts.Binary('x')),
                                      described('B', action_parts.Binary('y'), turn)))
    self.assertEqual([spec.actions.part_names for spec in specs], [('turn', 'x', 'y')] * 2)
    self.assertEqual([spec.actions.has.tolist() for spec in specs],
                     [[True, True, False], [True, False, True]])

  @parameterized.parameters(
      ((action_parts.Binary('x'),), (action_parts.Continuous('x', 0., 1.),),
       "kind of action part x is 'binary' in A and 'continuous' in B"),
      ((action_parts.Continuous('x', 0., 1., unit='m'),),
       (action_parts.Continuous('x', 0., 1., unit='cm'),), "unit of action part x is 'm' in A"),
      ((action_parts.Binary('x'),), (), 'B has one action of 2 at every step'),
      ((), (action_parts.Binary('x'),), 'A has one action of 2 at every step'))
  def test_parts_that_do_not_fit(self, first, second, message):
    with self.assertRaisesRegex(ValueError, message):
      domains.specs(self.config(described('A', *first), described('B', *second)))

  def test_a_game_has_one_discrete_action(self):
    config = self.config(described('A', action_parts.Binary('x')))
    config.evaluation.game = 'Breakout'
    with self.assertRaisesRegex(ValueError, r"evaluation.game is Breakout; .*, and A has .*'x=up'"):
      domains.of(config).check()

  def test_reads_each_part_as_it_is_known(self):
    env = described('A', action_parts.Binary('x'), action_parts.Continuous('y', 0., 9.))
    config = own.get_config('tiny')
    config.data_dir, config.target = str(self.root), 'A'
    writer.write(self.root / 'A', name='A', environment=env, card={}, episodes=[writer.steps(
        np.zeros((4, 3, 3, 1), np.uint8),
        {'x': np.array([True, True, False]), 'y': np.float32([1, 2, 9])},
        is_labelled={'x': [True, False, True], 'y': [True, False, False]})])
    data = domains.of(config).read('A')
    self.assertEqual([x.tolist() for x in data.actions_of(0)], [
        [[1, 1], [0, 0], [0, 0]], [[True, True], [False, False], [True, False]]])
    self.assertEqual(data.num_labelled.tolist(), [2])


if __name__ == '__main__':
  absltest.main()
