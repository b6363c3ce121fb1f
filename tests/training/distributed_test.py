"""Runs of two real processes with four CPU devices each, as on a pod of two hosts."""

import json
import pathlib
import shutil
import signal
import tempfile
import time

import jax
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax.training import (
    checkpoints,
    distributed,
    program,
    run_config,
    sharding,
    stopping,
    train,
)
from tests import maze_data, processes

_RTOL = 1e-5  # As in training/sharding_test.py.


def make_config(workdir, **changes):
  """A tiny pretraining whose batches eight devices can share."""
  config = maze_data.config(workdir, batch_size=32, idm_batch_size=32, phase='pretrain')
  config.sharding.num_devices = 0
  config.model.d_model = 64  # Large enough to be cut into pieces.
  config.update(changes)
  return config


def arguments(config, *extra):
  """The command line of `experiments.train` for such a config."""
  names = ('workdir', 'data_dir', 'phase', 'init_from', 'batch_size', 'idm_batch_size', 'num_steps',
           'checkpoint_every_steps', 'eval_every_steps')
  return ['-m', 'experiments.train', '--config=experiments/configs/maze.py:tiny',
          '--config.sharding.num_devices=0', '--config.model.d_model=64',
          '--config.compilation_cache_dir=',
          *(f'--config.{name}={config[name]}' for name in names), *extra]


def metrics_of(workdir):
  lines = pathlib.Path(workdir, 'metrics.jsonl').read_text().splitlines()
  return [{k: v for k, v in json.loads(line).items() if not k.startswith(('time/', 'data/'))}
          for line in lines]


def state_of(config, mesh):
  """The newest state of a run as numpy arrays, read onto a mesh."""
  phase, specs = run_config.check_run(config)
  config.sharding.optimizer = True
  abstract = program.make_program(config, phase, specs, mesh).state
  with checkpoints.Checkpoints(
      pathlib.Path(config.workdir, 'checkpoints'), save_every_steps=1) as saved:
    return jax.tree.map(np.asarray, saved.restore_latest(abstract))


class RunTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.pretraining = make_config(cls.root / 'two')
    cls.results = processes.finish(processes.start(
        arguments(cls.pretraining, '--config.sharding.fsdp=2', '--config.sharding.optimizer=True')))
    alone = make_config(cls.root / 'one')
    assert train.train(alone, alone.workdir) == stopping.DONE

  def assert_same_metrics(self, workdir, other):
    lines, others = metrics_of(self.root / workdir), metrics_of(self.root / other)
    self.assertEqual([line['step'] for line in lines], [line['step'] for line in others])
    for line, wanted in zip(lines, others, strict=True):
      self.assertEqual(line.keys(), wanted.keys())
      for name, value in line.items():
        np.testing.assert_allclose(value, wanted[name], rtol=_RTOL, err_msg=name)

  def test_two_processes_make_the_run_of_one(self):
    for code, _, err in self.results:
      self.assertEqual(code, stopping.DONE, msg=err)
    self.assert_same_metrics('two', 'one')
    for step in (0, 3, 6):
      name = f'labels/step_{step:07d}.npz'
      with np.load(self.root / 'two' / name) as two, np.load(self.root / 'one' / name) as one:
        for field in one:
          if field == 'confidence':  # Fewer devices share a microbatch: float32 rounds otherwise.
            np.testing.assert_array_max_ulp(two[field], one[field], maxulp=1)  # Of float16.
          else:
            np.testing.assert_array_equal(two[field], one[field], err_msg=field)

  def test_only_the_first_process_speaks(self):
    (_, out, _), (_, other_out, other_err) = self.results
    self.assertIn('done.', out)
    self.assertNotIn('done.', other_out)
    self.assertNotIn('steps/s', other_err)

  def test_state_is_the_same_bits_on_any_number_of_devices(self):
    wanted = state_of(self.pretraining, sharding.make_mesh(num_devices=1))
    for num_devices, fsdp in ((8, 1), (4, 2), (2, 1), (8, 8)):
      found = state_of(self.pretraining, sharding.make_mesh(num_devices=num_devices, fsdp=fsdp))
      jax.tree.map(np.testing.assert_array_equal, found, wanted)

  def test_finetuning_goes_on_elsewhere(self):
    wanted = state_of(self.pretraining, sharding.make_mesh(num_devices=1))
    changes = dict(phase='finetune', init_from=self.pretraining.workdir)
    one = make_config(self.root / 'finetuned_one', **changes)
    one.sharding.num_devices = 2
    self.assertEqual(train.train(one, one.workdir), stopping.DONE)
    two = make_config(self.root / 'finetuned_two', **changes)
    for code, _, err in processes.finish(processes.start(arguments(two), num_devices=2)):
      self.assertEqual(code, stopping.DONE, msg=err)
    self.assert_same_metrics('finetuned_two', 'finetuned_one')
    found = state_of(one, sharding.make_mesh(num_devices=1))
    first, second = (jax.tree.leaves(state.dt.params)[0] for state in (found, wanted))
    self.assertFalse(np.array_equal(first, second))

  def test_run_goes_from_one_process_to_two_and_back(self):
    config = make_config(self.root / 'moved')
    for num_steps, num_devices, num_processes in ((2, 4, 1), (4, 4, 2), (6, 1, 1)):
      config.num_steps = num_steps
      if num_processes == 1:
        config.sharding.num_devices = num_devices
        self.assertEqual(train.train(config, config.workdir), stopping.DONE)
        continue
      for code, _, err in processes.finish(processes.start(
          arguments(config), num_processes=num_processes, num_devices=num_devices)):
        self.assertEqual(code, stopping.DONE, msg=err)
    last = {name: metrics_of(self.root / name)[-1] for name in ('moved', 'one')}
    self.assertEqual(last['moved'].keys(), last['one'].keys())
    for name, value in last['one'].items():
      np.testing.assert_allclose(last['moved'][name], value, rtol=_RTOL, err_msg=name)

  def test_signal_to_one_stops_both_at_the_same_step(self):
    config = make_config(self.root / 'signalled', num_steps=100_000, eval_every_steps=100_000,
                         checkpoint_every_steps=100_000)
    both = processes.start(arguments(config))
    self.addCleanup(processes.kill, both)
    while not pathlib.Path(config.workdir, 'metrics.jsonl').exists() or (
        not metrics_of(config.workdir)):
      self.assertIsNone(both[0].poll(), msg='ended before it was told to')
      time.sleep(.1)
    both[1].send_signal(signal.SIGTERM)
    for code, _, err in processes.finish(both):
      self.assertEqual(code, stopping.PREEMPTED, msg=err)
    step = checkpoints.latest_step(pathlib.Path(config.workdir, 'checkpoints'))
    self.assertGreater(step, 0)
    self.assertLess(step, 100_000)


class TogetherTest(absltest.TestCase):

  def test_process_that_does_not_come_is_named(self):
    config = make_config('unused')
    (code, _, err), (other_code, _, _) = processes.finish(processes.start(
        arguments(config, '--config.distributed.init_timeout_seconds=8'), num_processes=3,
        started=[0, 1]))
    self.assertEqual((code, other_code), (distributed.HUNG,) * 2)
    # Process 1 may be late on a busy machine.
    self.assertRegex(err, r'process 0 of 3: not all processes came within 8 s.* process (1, )?2\.')

  def test_half_an_environment_is_refused(self):
    for name, value, message in (
        ('ALPT_PROCESS_ID', '', 'ALPT_PROCESS_ID is not set'),
        ('ALPT_NUM_PROCESSES', 'two', "ALPT_NUM_PROCESSES is 'two'"),
        ('ALPT_PROCESS_ID', '2', 'ALPT_PROCESS_ID is 2; expected it below'),
        ('ALPT_COORDINATOR', 'host', "ALPT_COORDINATOR is 'host'; expected host:port")):
      with self.subTest(name=name, value=value), self.assertRaisesRegex(ValueError, message):
        with absltest.mock.patch.dict('os.environ', processes.environment(0, 2, 1) | {name: value}):
          distributed.initialize(init_timeout_seconds=1, heartbeat_timeout_seconds=1)

  def test_sigterm_is_given_back_if_joining_fails(self):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    self.addCleanup(signal.signal, signal.SIGTERM, before)
    mock, found = absltest.mock, []

    def fail(**unused):
      found.append(signal.getsignal(signal.SIGTERM))
      raise RuntimeError('no coordinator')

    with mock.patch.dict('os.environ', ALPT_DISTRIBUTED='1'), mock.patch.object(
        jax.distributed, 'initialize', fail), mock.patch.object(jax.config, 'update'):
      with self.assertRaisesRegex(RuntimeError, 'no coordinator'):
        distributed.initialize(init_timeout_seconds=60, heartbeat_timeout_seconds=60)
    self.assertEqual((found, signal.getsignal(signal.SIGTERM)), ([signal.SIG_DFL], signal.SIG_IGN))

  def test_who_hangs_is_named(self):
    # Process 1 reads and reads; process 0 computes with it, that is, waits.
    program_text = '''
import sys, time
import jax
from alpt_jax.training import distributed
distributed.initialize(init_timeout_seconds=30, heartbeat_timeout_seconds=30)
with distributed.Watch(4) as watch:
  watch.at(7, 'computing' if distributed.is_main() else 'reading')
  time.sleep(60)
'''
    (code, _, err), (other_code, _, _) = processes.finish(processes.start(['-c', program_text]))
    self.assertEqual(code, distributed.HUNG, msg=err)
    self.assertRegex(err, r'process 1 on \S+: reading, step 7, for \d+ s')
    self.assertNotEqual(other_code, 0)

  def test_mistake_of_one_ends_it_at_once_with_its_code(self):
    # Process 1 meets a mistake while process 0 waits for it in a collective.
    program_text = '''
import sys
import jax, numpy as np
from jax.experimental import multihost_utils
from alpt_jax.training import distributed
distributed.initialize(init_timeout_seconds=60, heartbeat_timeout_seconds=10)
multihost_utils.broadcast_one_to_all(np.int32(1))
if not distributed.is_main():
  sys.stderr.write('error: a damaged file\\n')
  sys.exit(1)
multihost_utils.broadcast_one_to_all(np.int32(1))
'''
    (code, _, _), (other_code, _, other_err) = processes.finish(
        processes.start(['-c', program_text]))
    self.assertEqual(other_code, 1, msg=other_err)
    self.assertEqual(other_err.strip().splitlines()[-1], 'error: a damaged file')
    self.assertNotEqual(code, 0)

  def test_word_that_is_no_number_does_not_mean_alone(self):
    with self.assertRaisesRegex(ValueError, "ALPT_DISTRIBUTED is 'true'; expected 0 or 1"):
      with absltest.mock.patch.dict('os.environ', {'ALPT_DISTRIBUTED': 'true'}):
        distributed.initialize(init_timeout_seconds=1, heartbeat_timeout_seconds=1)


if __name__ == '__main__':
  absltest.main()
