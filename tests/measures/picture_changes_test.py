"""Tests of picture_changes."""

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.measures import floors, picture_changes


def square(row, column, value=200, size=42, channels=1):
  """A picture with a square of 6 pixels a side."""
  picture = np.zeros((size, size, channels), np.uint8)
  picture[row:row + 6, column:column + 6] = value
  return picture


class PictureChangesTest(parameterized.TestCase):

  @parameterized.parameters((0, 1, 'right'), (0, -1, 'left'), (1, 0, 'down'), (-1, 0, 'up'))
  def test_movement_has_a_sign_whatever_the_colour(self, down, right, way):
    del way
    for value, ground in ((200, 0), (0, 200)):
      before, after = (np.where(square(*place) > 0, value, ground).astype(np.uint8)
                       for place in ((18, 18), (18 + down, 18 + right)))
      found = picture_changes.features(np.stack([before, after]))[1]
      self.assertEqual(found.shape, (1, 2 * 7 * 7))
      along = found.reshape(2, -1).sum(axis=1)
      # A step against the slope of what comes: what moves on leaves a slope behind it.
      self.assertEqual(np.sign(np.round(along, 3)).tolist(), [-down, -right])

  def test_movement_stands_at_its_cell(self):
    pictures = np.stack([square(18, 18), square(18, 19)])
    found = np.abs(picture_changes.features(pictures)[1]).reshape(2, 7, 7)
    # Rows 18 to 23 are row 3 of cells; of the columns, 17 to 24 change or are beside a change.
    rows, columns = np.nonzero(found[1])
    self.assertEqual((set(rows), set(columns) - {2, 3, 4}), ({3}, set()))

  def test_changes_begin_with_those_of_the_floors(self):
    pictures = np.stack([square(18, 18), square(20, 19), square(20, 19)])
    found = picture_changes.features(pictures)[0]
    expected = floors.change_features(pictures[:-1], pictures[1:])
    np.testing.assert_allclose(found[:, :expected.shape[1]], expected, rtol=1e-5)
    self.assertEqual(np.abs(found[1]).max(), 0)  # Nothing changed.

  def test_a_plane_that_takes_the_place_of_another_is_a_change(self):
    before, after = np.zeros((2, 8, 8, 3), np.uint8)
    before[4, 4, 0], after[4, 4, 1] = 1, 1
    self.assertGreater(np.abs(picture_changes.features(np.stack([before, after]))[0]).max(), 0)

  def test_large_pictures_have_as_many_features(self):
    small, large = (picture_changes.features(np.zeros((2, n, n, 1), np.uint8))[0].shape
                    for n in (84, 840))
    self.assertEqual(small, large)

  def test_of_vectors_it_is_the_difference(self):
    vectors = np.array([[1., 2.], [3., 5.], [3., 4.]], np.float32)
    for found in picture_changes.features(vectors):
      np.testing.assert_array_equal(found, [[2., 3.], [0., -1.]])


if __name__ == '__main__':
  absltest.main()
