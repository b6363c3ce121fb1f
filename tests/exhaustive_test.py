"""A tenth of an exhaustive test is drawn the same way every time, and all of it on demand."""

import os
from unittest import mock

from absl.testing import absltest

from tests import exhaustive


class ExhaustiveTest(absltest.TestCase):

  def test_a_tenth_is_the_same_one_every_time_and_in_order(self):
    with mock.patch.dict(os.environ, {exhaustive.VARIABLE: ''}):
      self.assertEqual([exhaustive.num_of(n) for n in (1, 10, 11, 1000)], [1, 1, 2, 100])
      found = exhaustive.some_of(range(200))
      self.assertLen(set(found), 20)
      self.assertEqual(found, sorted(found))
      self.assertEqual(found, exhaustive.some_of(range(200)))
      self.assertNotEqual(found, exhaustive.some_of(range(200), seed=1))
      self.assertLen(exhaustive.some_of('abcde', at_least=3), 3)
      self.assertEqual(exhaustive.some_of('ab', at_least=3), ['a', 'b'])

  def test_all_on_demand(self):
    with mock.patch.dict(os.environ, {exhaustive.VARIABLE: '1'}):
      self.assertEqual(exhaustive.num_of(1000), 1000)
      self.assertEqual(exhaustive.some_of(range(200)), list(range(200)))


if __name__ == '__main__':
  absltest.main()
