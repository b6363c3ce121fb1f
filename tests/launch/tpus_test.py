"""Tests of tpus.py: what the platforms call a slice."""

from absl.testing import absltest, parameterized

from launch import tpus


class TpusTest(parameterized.TestCase):

  @parameterized.parameters(
      # cloud.google.com/tpu/docs/v5e, v4, v5p, v6e: the number is of cores for v4 and v5p.
      ('v5e:2x4', 'v5litepod-8', 8, 1), ('v5e:4x4', 'v5litepod-16', 16, 4),
      ('v5e:16x16', 'v5litepod-256', 256, 64), ('v4:2x2x4', 'v4-32', 16, 4),
      ('v4:2x2x1', 'v4-8', 4, 1), ('v5p:2x2x2', 'v5p-16', 8, 2), ('v6e:4x4', 'v6e-16', 16, 4))
  def test_slices(self, text, accelerator_type, num_chips, num_vms):
    found = tpus.parse(text)
    self.assertEqual((found.accelerator_type, found.num_chips, found.num_vms),
                     (accelerator_type, num_chips, num_vms))
    self.assertEqual(found.topology, text.split(':')[1])

  @parameterized.parameters('v5e', 'v9:2x2', 'v5e:2x2x2', 'v4:4x4', 'v5e:0x4', 'v5e:4x', '')
  def test_others_are_refused(self, text):
    with self.assertRaisesRegex(ValueError, 'expected v5e:4x4'):
      tpus.parse(text)


if __name__ == '__main__':
  absltest.main()
