"""Runs that are stopped at any moment, as machines do it, and started again by the same command."""

import concurrent.futures
import pathlib
import random
import shutil
import signal
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from tests import maze_data, train_processes, train_test


def same_run(test, config, unbroken):
  """Asserts that two run directories hold the same metrics, scores, labels and parameters."""
  test.assertEqual(train_test.metrics_lines(config), train_test.metrics_lines(unbroken))
  for kind in ('eval', 'labels'):
    expected = {p.name: p.read_bytes() for p in pathlib.Path(unbroken.workdir, kind).iterdir()}
    found = {p.name: p.read_bytes() for p in pathlib.Path(config.workdir, kind).iterdir()}
    test.assertEqual(found, expected)
  for a, b in zip(train_test.final_params(config), train_test.final_params(unbroken), strict=True):
    np.testing.assert_array_equal(a, b)


class SurvivalTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    # Long enough to be stopped many times.
    cls.changes = dict(num_steps=40, checkpoint_every_steps=4, eval_every_steps=6,
                       compilation_cache_dir=str(cls.root / 'cache'))
    cls.first_compile = maze_data.config(cls.root / 'run0', **cls.changes)
    # Killed while it compiles for the first time: others find what it left in the cache.
    process = train_processes.Trainer(cls.first_compile)
    process.stop_in('compiling', signal.SIGKILL, random.Random(0))
    cls.first_code, _ = process.wait()
    cls.unbroken = maze_data.config(cls.root / 'unbroken', **cls.changes)
    code, output = train_processes.Trainer(cls.unbroken).wait()
    assert code == 0, output

  def test_killed_at_any_moment_a_run_goes_on_bit_for_bit(self):
    self.assertEqual(self.first_code, -signal.SIGKILL)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
      configs = list(pool.map(self.kill_in_every_phase, range(4)))
    for config in configs:
      same_run(self, config, self.unbroken)

  def kill_in_every_phase(self, seed):
    """Kills a run once in every phase, in an order of its own, and lets it finish."""
    config = maze_data.config(self.root / f'run{seed}', **self.changes)
    rng = random.Random(seed)
    for phase in rng.sample(train_processes.PHASES, len(train_processes.PHASES)):
      process = train_processes.Trainer(config)
      process.stop_in(phase, signal.SIGKILL, rng)
      self.assertEqual(process.wait()[0], -signal.SIGKILL)
    code, output = train_processes.Trainer(config).wait()
    self.assertEqual(code, 0, output)
    return config


if __name__ == '__main__':
  absltest.main()
