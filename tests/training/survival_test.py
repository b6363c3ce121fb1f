"""Runs that are stopped at any moment, as machines do it, and started again by the same command.

Processes here are real, and stopped in every phase of a run: while they start, compile for the
first time, train, evaluate and save. Whatever happened, the metrics, the scores, the labels and
every bit of the parameters are those of a run that nobody stopped.
"""

import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import tempfile

import numpy as np
from absl.testing import absltest

from alpt_jax.process import starting
from alpt_jax.training import checkpoints, stopping
from tests import atari_runs, exhaustive, maze_data
from tests.training import train_processes, train_test


class SurvivalTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.cache = cls.root / 'cache'
    # Killed while it compiles for the first time: others find what it left in the cache.
    process = train_processes.Trainer(cls.config('killed_0'))
    process.stop_in('compiling', signal.SIGKILL, random.Random(0))
    cls.first_code, _ = process.wait()
    cls.unbroken = cls.config('unbroken')
    cls.finish(cls.unbroken)
    cls.programs = cls.compiled()
    # Most of the time processes start, on one core: the tests' runs go on side by side.
    pool = concurrent.futures.ThreadPoolExecutor(2)
    cls.addClassCleanup(pool.shutdown)
    cls.killed = [pool.submit(cls.kill_in_every_phase, seed)
                  for seed in range(exhaustive.num_of(4))]  # 20 kills, or five.
    cls.told = pool.submit(cls.tell_to_stop)

  @classmethod
  def config(cls, name, data=maze_data, **changes):
    # Long enough to be stopped many times.
    return data.config(cls.root / name, compilation_cache_dir=str(cls.cache), **{
        'num_steps': 40, 'checkpoint_every_steps': 4, 'eval_every_steps': 6} | changes)

  @classmethod
  def finish(cls, config):
    """Lets a run finish; returns config."""
    code, output = train_processes.Trainer(config).wait()
    assert code == stopping.DONE, output
    return config

  @classmethod
  def compiled(cls):
    """Names of the programs on disk.

    Without an agent's step: JAX numbers the functions in a program by what the process traced
    before, so one that goes on with an evaluation, before any update, compiles that anew.
    """
    return {path.name for path in cls.cache.glob('*-cache') if not path.name.startswith('jit_step')}

  @classmethod
  def stop_in(cls, config, phase, number, rng):
    """Starts a run and sends a signal in a phase; returns the exit code and what was printed."""
    process = train_processes.Trainer(config)
    process.stop_in(phase, number, rng)
    return process.wait()

  @classmethod
  def kill_in_every_phase(cls, seed):
    """Kills a run in every phase, in an order of its own, and lets it finish."""
    config, rng = cls.config(f'killed_{seed}'), random.Random(seed)
    codes = [cls.stop_in(config, phase, signal.SIGKILL, rng)[0]
             for phase in rng.sample(train_processes.PHASES, len(train_processes.PHASES))]
    return cls.finish(config), codes

  @staticmethod
  def metrics_so_far(config):
    return (train_test.metrics_lines(config)
            if pathlib.Path(config.workdir, 'metrics.jsonl').exists() else [])

  @classmethod
  def tell_to_stop(cls):
    """Stops a run in every phase as schedulers and people do, and lets it finish."""
    config, rng, results = cls.config('told'), random.Random(0), []
    for phase, number in (
        ('starting', signal.SIGTERM), ('evaluating', signal.SIGINT), ('training', signal.SIGTERM),
        ('saving', signal.SIGINT), ('compiling', signal.SIGTERM), ('evaluating', signal.SIGTERM)):
      code, output = cls.stop_in(config, phase, number, rng)
      saved = checkpoints.latest_step(f'{config.workdir}/checkpoints') or 0
      known = max((line['step'] for line in cls.metrics_so_far(config)), default=0)
      results.append((phase, code, saved, known, output))
    return cls.finish(config), results

  def assert_same(self, config, unbroken):
    self.assertEqual(train_test.metrics_lines(config), train_test.metrics_lines(unbroken))
    for kind in ('eval', 'labels'):
      found, expected = ({path.name: path.read_bytes() for path in
                          pathlib.Path(c.workdir, kind).iterdir()} for c in (config, unbroken))
      self.assertEqual(found, expected)
    for a, b in zip(train_test.final_params(config), train_test.final_params(unbroken),
                    strict=True):
      np.testing.assert_array_equal(a, b)

  def test_killed_in_every_phase_runs_go_on_bit_for_bit(self):
    self.assertEqual(self.first_code, -signal.SIGKILL)
    for future in self.killed:
      config, codes = future.result()
      self.assertEqual(codes, [-signal.SIGKILL] * 5)
      self.assert_same(config, self.unbroken)
    # What a process has compiled, none after it compiles again.
    self.assertEqual(self.compiled(), self.programs)

  def test_told_to_stop_in_any_phase_a_run_saves_and_goes_on_bit_for_bit(self):
    config, results = self.told.result()
    phase, code, *_, output = results[0]
    # There is nothing to save yet; the signal may end the process as it ends any other.
    self.assertIn(code, (stopping.PREEMPTED, starting.TERMINATED, -signal.SIGTERM), output)
    self.assertNotIn('Traceback', output)
    for phase, code, saved_step, known_step, output in results[1:]:
      self.assertEqual(code, stopping.PREEMPTED, f'{phase}: {output}')
      self.assertGreaterEqual(saved_step, known_step, phase)
    self.assert_same(config, self.unbroken)

  def test_same_run_started_twice_is_refused_and_left_alone(self):
    config = self.config('twice')
    first = train_processes.Trainer(config)
    self.assertTrue(first.reach('training'))  # And frozen there.
    code, output = train_processes.Trainer(config).wait()
    self.assertEqual(code, 1)
    self.assertRegex(output, '^error: .*twice: another process is training here. Wait for it')
    first.signal(signal.SIGCONT)
    self.assertEqual(first.wait()[0], stopping.DONE)
    self.assert_same(config, self.unbroken)

  def test_full_disk_stops_a_run_that_goes_on_when_there_is_room(self):
    config = self.config('full')
    # No file beyond 64 kB: the state has more.
    code, output = train_processes.Trainer(
        config, prefix=('sh', '-c', 'ulimit -f 128; exec "$@"', 'sh')).wait()
    self.assertEqual(code, 1)
    self.assertRegex(output.splitlines()[-1], '^error: .*full/checkpoints/4: saving failed; the '
                     'steps before it are unharmed. File too large$')
    self.assertNotIn('Traceback', output)
    self.assert_same(self.finish(config), self.unbroken)
    self.assertEqual(sorted(os.listdir(f'{config.workdir}/checkpoints')), ['36', '40'])

  def test_killed_while_atari_is_played(self):
    changes = dict(num_steps=8, eval_every_steps=4)
    unbroken = self.finish(self.config('atari_unbroken', atari_runs, **changes))
    config, rng = self.config('atari', atari_runs, **changes), random.Random(0)
    for phase in ('evaluating', 'saving'):
      self.assertEqual(self.stop_in(config, phase, signal.SIGKILL, rng)[0], -signal.SIGKILL)
    self.assert_same(self.finish(config), unbroken)


if __name__ == '__main__':
  absltest.main()
