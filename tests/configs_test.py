"""What differs between two configs, in words."""

from absl.testing import absltest

from alpt_jax import configs


class ChangesTest(absltest.TestCase):

  def test_names_what_differs(self):
    before = {'b.c': 1, 'a': 2, 'same': 'x', 'gone': None}
    self.assertEqual(configs.changes(before, {'b.c': 3, 'a': 4, 'same': 'x', 'new': (1,)}),
                     'a: 2 -> 4, b.c: 1 -> 3, gone: None -> not there, new: not there -> (1,)')

  def test_names_five_and_says_how_many_more(self):
    before, now = (dict.fromkeys('abcdefg', x) for x in (0, 1))
    self.assertEqual(configs.changes(before, now),
                     'a: 0 -> 1, b: 0 -> 1, c: 0 -> 1, d: 0 -> 1, e: 0 -> 1, and 2 more')

  def test_is_empty_for_equal_ones(self):
    self.assertEqual(configs.changes({'a': [1]}, {'a': [1]}), '')


if __name__ == '__main__':
  absltest.main()
