"""Which actions were drawn at random, as recordings say."""

import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest

from alpt_jax.data import action_marks, rlds
from tests import own_runs
from tests.data import atari_data


class ActionMarksTest(absltest.TestCase):

  def test_none_where_the_data_does_not_say(self):
    self.assertIsNone(action_marks.read([atari_data.recorded()[1]]))
    directory = self.enterContext(tempfile.TemporaryDirectory())
    own_runs.write(f'{directory}/Play', [6, 7])
    self.assertIsNone(action_marks.read([f'{directory}/Play']))

  def test_marks_of_transitions_in_the_order_of_episodes(self):
    self.assertEqual([list(x) for x in self._read([True, False, True], [False, False])],
                     [[True, False], [False]])

  def test_refuses_other_shapes(self):
    with self.assertRaisesRegex(ValueError, 'action_is_random of episode 0 .* is bool'):
      self._read([[True], [False], [True]])
    with self.assertRaisesRegex(ValueError, 'is int64'):
      self._read([1, 0, 1])

  def _read(self, *marks):
    """Reads made-up records: (mark of the last step is dropped)."""
    builder = mock.Mock()
    builder.info.splits = {'train': None}
    builder.info.features = {'steps': mock.Mock(feature={action_marks.FIELD: None})}
    builder.as_data_source.return_value = [
        {'steps': {action_marks.FIELD: np.array(mark), 'action': np.zeros(len(mark))}}
        for mark in marks]
    with mock.patch.object(rlds, 'open_builder', return_value=builder):
      return action_marks.read(['somewhere'])


if __name__ == '__main__':
  absltest.main()
