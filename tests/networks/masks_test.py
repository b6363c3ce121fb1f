"""Tests of the attention masks against matrices written by hand."""

import numpy as np
from absl.testing import parameterized

from alpt_jax.networks import masks


def parse(rows):
  """Reads 'x' as True; spaces and '|' only help the eye."""
  return np.array([[cell == 'x' for cell in row if cell in 'x.'] for row in rows])


class MasksTest(parameterized.TestCase):

  def test_all_ones(self):
    mask = masks.all_ones(3)
    self.assertEqual(mask.dtype, bool)
    np.testing.assert_array_equal(mask, parse(['xxx', 'xxx', 'xxx']))

  def test_causal(self):
    np.testing.assert_array_equal(masks.causal(3), parse(['x..', 'xx.', 'xxx']))

  # Two steps of two observation tokens, return, action and reward: oo R a r | oo R a r. Rows ask.
  @parameterized.named_parameters(
      ('current', 'current', [
          'xx ... | .. ...',
          'xx ... | .. ...',
          'xx x.. | .. ...',  # The return token sees itself; its output gives the action.
          'xx .x. | .. ...',
          'xx .xx | .. ...',
          'xx .xx | xx ...',
          'xx .xx | xx ...',
          'xx .xx | xx x..',
          'xx .xx | xx .x.',
          'xx .xx | xx .xx',
      ]),
      ('first', 'first', [
          'xx ... | .. ...',
          'xx ... | .. ...',
          'xx x.. | .. ...',
          'xx xx. | .. ...',
          'xx xxx | .. ...',
          'xx xxx | xx ...',
          'xx xxx | xx ...',
          'xx xxx | xx ...',  # The second return token asks, and nothing sees it.
          'xx xxx | xx .x.',
          'xx xxx | xx .xx',
      ]),
      ('all', 'all', [
          'xx ... | .. ...',
          'xx ... | .. ...',
          'xx x.. | .. ...',
          'xx xx. | .. ...',
          'xx xxx | .. ...',
          'xx xxx | xx ...',
          'xx xxx | xx ...',
          'xx xxx | xx x..',
          'xx xxx | xx xx.',
          'xx xxx | xx xxx',
      ]))
  def test_block_causal(self, return_tokens, expected):
    mask = masks.block_causal(2, 2, return_tokens=return_tokens)
    np.testing.assert_array_equal(mask, parse(expected))

  def test_current_is_the_default(self):
    np.testing.assert_array_equal(
        masks.block_causal(3, 1), masks.block_causal(3, 1, return_tokens='current'))

  def test_multi_game_dt_has_the_pairs_counted_by_hand(self):
    # 4 steps of 39 tokens: the triangle of 156, and above it 36 * 35 / 2 pairs in each frame.
    mask = masks.block_causal(4, 36, return_tokens='all')
    self.assertEqual(mask.sum(), 156 * 157 // 2 + 4 * 36 * 35 // 2)

  @parameterized.parameters(*masks.RETURN_TOKENS)
  def test_every_token_sees_something(self, return_tokens):
    # A row without any key would attend to all of them.
    self.assertTrue(masks.block_causal(3, 2, return_tokens=return_tokens).any(axis=1).all())

  def test_unknown_return_tokens_are_refused(self):
    with self.assertRaisesRegex(ValueError, "return_tokens is 'last'"):
      masks.block_causal(2, 2, return_tokens='last')
