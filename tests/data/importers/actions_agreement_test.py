"""Two people's labels of the same steps."""

import pathlib
import tempfile

from absl.testing import absltest

from alpt_jax.data.importers import actions as import_actions
from tests.data import own_data
from tests.data.importers import images_test


class AgreementTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.environment = own_data.environment()
    self.names = self.environment.actions.legal

  def write(self, name, rows):
    images_test.write_csv(self.directory / name, rows)

  def test_share_of_steps_that_both_list(self):
    first, second = self.names[:2]
    self.write('actions.csv', [('a', 0, first), ('a', 1, second), ('b', 0, first), ('b', 1, '')])
    self.write('actions-2.csv', [('b', 0, second), ('a', 1, second), ('a', 0, first),
                                 ('b', 1, first), ('c', 5, first)])
    found = import_actions.agreement(self.directory, self.environment)
    self.assertEqual((found['value'], found['num_transitions'], found['num_episodes']),
                     (2 / 3, 3, 2))
    self.assertEqual((found['low'], found['high']), (0., 1.))  # Two files, one of which disagrees.

  def test_none_without_a_second_list(self):
    self.write('actions.csv', [('a', 0, self.names[0])])
    self.assertIsNone(import_actions.agreement(self.directory, self.environment))

  def test_second_list_is_never_read_as_the_first(self):
    self.write('actions-2.csv', [('a', 0, self.names[0])])
    actions = import_actions.Actions(self.directory, self.environment)
    self.assertEqual((actions.names, actions.known()), ([], {}))

  def test_refuses_lists_without_a_common_step(self):
    self.write('actions.csv', [('a', 0, self.names[0])])
    self.write('actions-2.csv', [('a', 1, self.names[0])])
    with self.assertRaisesRegex(ValueError, 'actions-2.csv: lists no step'):
      import_actions.agreement(self.directory, self.environment)

  def test_mistakes_name_the_second_list(self):
    self.write('actions.csv', [('a', 0, self.names[0])])
    self.write('actions-2.csv', [('a', 0, 'fly')])
    with self.assertRaisesRegex(ValueError, "actions-2.csv, line 2: action is 'fly'"):
      import_actions.agreement(self.directory, self.environment)


if __name__ == '__main__':
  absltest.main()
