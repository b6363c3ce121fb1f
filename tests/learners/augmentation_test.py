import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from alpt_jax.learners import augmentation


class ShiftTest(absltest.TestCase):

  def test_all_images_of_a_window_move_by_the_same_amount(self):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(1, 256, (40, 3, 9, 9, 1)), jnp.uint8)
    shifted = np.asarray(augmentation.shift(jax.random.key(0), images, max_shift=2))
    self.assertEqual((shifted.shape, shifted.dtype), (images.shape, np.uint8))
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2), (0, 0)))
    offsets = set()
    for before, after in zip(padded, shifted, strict=True):
      found = [(y, x) for y in range(5) for x in range(5)
               if (before[:, y:y + 9, x:x + 9] == after).all()]
      self.assertLen(found, 1)
      offsets.add(found[0])
    self.assertGreater(len(offsets), 15)  # Of 25; windows move each by its own amount.
    self.assertTrue({y for y, _ in offsets} == {x for _, x in offsets} == set(range(5)))

  def test_shift_of_a_window_depends_on_its_number_and_not_on_other_windows(self):
    images = jnp.asarray(np.random.default_rng(0).integers(1, 256, (9, 2, 9, 9, 1)), jnp.uint8)
    together = augmentation.shift(jax.random.key(0), images, max_shift=4)
    numbers = np.array([7, 2, 5])
    some = augmentation.shift(
        jax.random.key(0), images[numbers], jnp.asarray(numbers), max_shift=4)
    np.testing.assert_array_equal(some, together[numbers])

  def test_kinds(self):
    self.assertIsNone(augmentation.make('none'))
    images = jnp.ones((2, 3, 84, 84, 1), jnp.uint8)
    self.assertEqual(augmentation.make('shift')(jax.random.key(0), images).shape, images.shape)
    with self.assertRaisesRegex(ValueError, "augmentation is 'flip'; expected one of"):
      augmentation.make('flip')


if __name__ == '__main__':
  absltest.main()
