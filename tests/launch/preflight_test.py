"""Tests of preflight with the real compiler, for the smallest slices."""

import json
import os
import pathlib
import subprocess
import sys

import jax
from absl.testing import absltest, parameterized

from launch import chips

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAZE = '--config=experiments/configs/maze.py:tiny'


def preflight(*arguments):
  """Runs the binary as a user does; nothing tells it that there is no TPU."""
  environment = {key: value for key, value in os.environ.items()
                 if not key.startswith(('TPU_', 'JAX_'))}
  return subprocess.run([sys.executable, '-m', 'launch.preflight', *arguments], cwd=ROOT,
                        env=environment, capture_output=True, text=True)


class ChipsTest(parameterized.TestCase):

  @parameterized.parameters(('v5e:2x4', 8), ('v5e:16x16', 256), ('v4:2x2x4', 16), ('v6e:1x1', 1),
                            ('v5p:2x2x2', 8))
  def test_number_of_chips(self, topology, expected):
    self.assertEqual(chips.parse(topology)[1], expected)

  @parameterized.parameters('v5e', 'v5e:4', 'v5e:4x4x4', 'v4:4x4', 'v9:2x2', 'v5e:0x4', 'v5e:4xb')
  def test_unknown_slices_are_refused(self, topology):
    with self.assertRaisesRegex(ValueError, f'--topology={topology}: no such slice; expected'):
      chips.parse(topology)

  def test_slices_above_256_chips_are_refused(self):
    with self.assertRaisesRegex(ValueError, '512 chips; expected at most 256'):
      chips.parse('v5e:16x32')


class PreflightTest(parameterized.TestCase):

  def test_table_and_object_of_a_run_that_fits(self):
    result = preflight(MAZE, '--topology=v5e:2x2', '--config.batch_size=16', '--json')
    self.assertEqual((result.returncode, result.stderr), (0, ''))
    found = json.loads(result.stdout)
    self.assertEqual(found['num_chips'], 4)
    self.assertEqual(found['rows'], {'idm': 12, 'dt': 8, 'limited': 8})
    # By hand, as for tests/networks/flops_test.py.
    self.assertGreater(found['model_flops'], 0)
    self.assertEqual(found['model_flops'], sum(found['model_flops_by_part'].values()))
    self.assertGreater(found['estimated_ms'], found['compute_ms'])
    self.assertAlmostEqual(found['estimated_ms'], found['compute_ms'] + found['collective_ms'])
    self.assertAlmostEqual(
        found['mfu_estimate'], found['model_flops'] / (found['compute_ms'] * 1e-3) / 197e12)
    self.assertLess(found['mfu_with_collectives'], found['mfu_estimate'])
    self.assertAlmostEqual(found['hours'], found['num_steps'] * found['estimated_ms'] / 3.6e6)
    self.assertLen(found['operations'], 10)
    # Every gradient is summed over the devices, in float32.
    self.assertGreater(found['collectives']['all-reduce']['bytes'], 0)

  def test_a_run_that_does_not_fit_ends_with_the_remedy(self):
    result = preflight(MAZE, '--topology=v5e:1x1', '--config.model.d_model=32768')
    self.assertEqual((result.returncode, result.stdout), (1, ''))
    self.assertRegex(result.stderr, '^error: does not fit into the memory of a chip of v5e:1x1')
    for remedy in ('smaller --config.batch_size', 'sharding.accumulate=2',
                   'sharding.optimizer=True', 'sharding.fsdp=2'):
      self.assertIn(remedy, result.stderr)

  def test_a_batch_that_the_chips_cannot_share_is_refused_before_compiling(self):
    result = preflight(MAZE, '--topology=v5e:2x2', '--config.batch_size=10')
    self.assertEqual(result.returncode, 1)
    self.assertRegex(result.stderr, '^error: .*batch_size.* expected multiples of 4 ')

  def test_compiling_for_tpus_leaves_the_cpu_as_it_is(self):
    devices = jax.devices()
    self.assertLen(chips.devices('v5e:2x2'), 4)
    self.assertEqual(jax.devices(), devices)
    self.assertEqual(jax.numpy.ones(2).sum(), 2)


if __name__ == '__main__':
  absltest.main()
