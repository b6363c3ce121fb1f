"""The same run on one device and on several: same losses, same labels, same scores.

Devices here are eight of the CPU in one process; tests of several processes are in
`training/distributed_test.py`.
"""

import json
import pathlib
import shutil
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import types
from alpt_jax.data import pipeline
from alpt_jax.training import inputs, program, run_config, sharding, shares, stopping, train
from tests import maze_data

# Float32 sums in another order: 1e-6 of their size, ten times that after some updates.
_RTOL = 1e-5


class RuleTest(parameterized.TestCase):

  def spec(self, shape, *, fsdp, is_moment=False):
    mesh = sharding.make_mesh(fsdp=fsdp)
    tree = sharding.of_params(
        mesh, {'x': jax.ShapeDtypeStruct(shape, jnp.float32)}, shard_optimizer=is_moment)
    return tuple(tree['x'].spec)

  def test_first_dimension_is_cut_if_it_divides(self):
    self.assertEqual(self.spec((64, 256), fsdp=2), ('fsdp',))
    self.assertEqual(self.spec((256, 64), fsdp=2), ('fsdp',))
    self.assertEqual(self.spec((255, 256), fsdp=2), ())

  def test_small_ones_and_copies_are_whole(self):
    self.assertEqual(self.spec((128,), fsdp=2), ())
    self.assertEqual(self.spec((), fsdp=2), ())
    self.assertEqual(self.spec((512, 512), fsdp=1), ())

  def test_moments_are_cut_over_both_axes_if_they_can_be(self):
    self.assertEqual(self.spec((64, 256), fsdp=2, is_moment=True), (('fsdp', 'data'),))
    self.assertEqual(self.spec((64, 256), fsdp=1, is_moment=True), (('fsdp', 'data'),))
    # Where the parameter is, if over both does not go.
    self.assertEqual(self.spec((250, 64), fsdp=2, is_moment=True), ('fsdp',))
    self.assertEqual(self.spec((250, 64), fsdp=1, is_moment=True), ())
    self.assertEqual(self.spec((128,), fsdp=1, is_moment=True), ())

  def test_state_has_a_sharding_for_every_leaf(self):
    config = maze_data.config('unused')
    phase, specs = run_config.check_run(config)
    config.model.d_model = 64
    config.sharding.update(fsdp=2, optimizer=True)
    state = program.make_program(config, phase, specs, sharding.make_mesh(fsdp=2)).state
    self.assertIsInstance(state, types.TrainState)
    kernel = state.dt.params['transformer']['block_0']['mlp_in']['kernel']
    self.assertEqual(tuple(kernel.sharding.spec), ('fsdp',))
    specs = {tuple(x.sharding.spec) for x in jax.tree.leaves(state.dt.opt_state)}
    self.assertIn((('fsdp', 'data'),), specs)
    self.assertIn((), specs)

  def test_devices_that_do_not_fit_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'sharding.fsdp is 3; expected a divisor of the 8'):
      sharding.make_mesh(fsdp=3)
    with self.assertRaisesRegex(ValueError, 'num_devices is 9; expected at most the 8'):
      sharding.make_mesh(num_devices=9)

  def test_rows_that_do_not_divide_are_refused_by_the_part_that_has_them(self):
    config = maze_data.config('unused', batch_size=24)
    phase, specs = run_config.check_run(config)
    with self.assertRaisesRegex(
        ValueError, r'^idm_batch_size is 12, windows of idm 12; expected multiples of 8 .* Use 16'):
      shares.check_rows(config, phase, specs, sharding.make_mesh())
    config.idm_batch_size = 16
    with self.assertRaisesRegex(  # 12 of the source and 12 of the target.
        ValueError, '^batch_size is 24, windows of dt 12, limited 12; .* Use 32'):
      shares.check_rows(config, phase, specs, sharding.make_mesh())
    config.batch_size = 32
    shares.check_rows(config, phase, specs, sharding.make_mesh())

  def test_batches_are_cut_along_their_rows(self):
    mesh = sharding.make_mesh(fsdp=2)
    x = np.arange(32).reshape(16, 2)
    placed = sharding.to_devices(mesh, {'x': x})['x']
    np.testing.assert_array_equal(placed, x)
    self.assertLen(placed.addressable_shards, 8)
    for i, shard in enumerate(placed.addressable_shards):
      np.testing.assert_array_equal(shard.data, x[2 * i:2 * i + 2])


def make_config(workdir, *, dropout=.1, **settings):
  """A tiny run whose batches eight devices can share."""
  config = maze_data.config(workdir, batch_size=32, idm_batch_size=32)
  config.model.update(dt_dropout=dropout, d_model=64)  # Large enough for pieces.
  config.pseudo_labels.mode = settings.pop('labels', 'hard')
  config.sharding.update(settings)
  return config


def first_updates(num_updates=3, **settings):
  """Losses and state after some updates on some devices."""
  config = make_config('unused', **settings)
  phase, specs = run_config.check_run(config)
  mesh = sharding.make_mesh(fsdp=config.sharding.fsdp, num_devices=config.sharding.num_devices)
  made = program.make_program(config, phase, specs, mesh)
  streams = inputs.make_streams(config, phase, specs, inputs.read_data(config, phase))
  batches = pipeline.Pipeline(streams, window=config.window, seed=0, num_shards=2, pool_size=64,
                              start_step=0)
  state, scalars = made.init(jax.random.key(0)), []
  for _ in range(num_updates):
    state, metrics = made.update(
        state, sharding.to_devices(mesh, next(batches)), jax.random.key(1))
    scalars.append(jax.device_get(metrics))
  batches.close()
  return scalars, state


class UpdateTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.alone, cls.alone_state = first_updates(num_devices=1)
    cls.start_params = first_updates(num_updates=0, num_devices=1)[1]

  @parameterized.parameters(
      dict(num_devices=2), dict(num_devices=4), dict(num_devices=8),
      dict(num_devices=4, fsdp=4), dict(num_devices=8, fsdp=2, optimizer=True),
      dict(num_devices=8, optimizer=True))
  def test_losses_are_those_of_one_device(self, **settings):
    scalars, state = first_updates(**settings)
    for there, here in zip(self.alone, scalars, strict=True):
      self.assertEqual(there.keys(), here.keys())
      for name in there:
        np.testing.assert_allclose(here[name], there[name], rtol=_RTOL, err_msg=name)
    for before, one, several in zip(*(jax.tree.leaves((x.idm.params, x.dt.params)) for x in (
        self.start_params, self.alone_state, state)), strict=True):
      # What moved by rounding alone, e.g. the bias of keys, LAMB moves at random.
      moved = np.abs(np.asarray(one) - before).max()
      np.testing.assert_allclose(several, one, rtol=1e-3, atol=.02 * moved + 1e-5)
    cut = [x for x in jax.tree.leaves(state) if not x.is_fully_replicated]
    self.assertEqual(bool(cut), len(settings) > 1)

  def test_optimizer_state_takes_its_share_of_memory(self):
    def bytes_on_a_device(settings):
      _, state = first_updates(num_updates=1, **settings)
      return sum(x.addressable_shards[0].data.nbytes
                 for x in jax.tree.leaves([state.idm.opt_state, state.dt.opt_state]))

    whole, cut = (bytes_on_a_device(dict(num_devices=8, optimizer=o)) for o in (False, True))
    self.assertLess(cut, whole / 4)  # Not an eighth: small tensors are whole.

  @parameterized.parameters(dict(num_devices=1, accumulate=4),
                            dict(num_devices=4, accumulate=2, optimizer=True))
  def test_pieces_add_up_to_the_batch(self, **settings):
    whole, _ = first_updates(num_devices=1)
    pieces, _ = first_updates(**settings)
    for there, here in zip(whole, pieces, strict=True):
      for name in there:
        np.testing.assert_allclose(here[name], there[name], rtol=_RTOL, err_msg=name)


  @parameterized.parameters('sampled', 'weighted')  # What draws numbers, and what has sums.
  def test_labels_of_other_modes_are_those_of_one_device(self, mode):
    whole, _ = first_updates(dropout=0., num_updates=2, num_devices=1, labels=mode)
    pieces, _ = first_updates(
        dropout=0., num_updates=2, num_devices=8, accumulate=2, optimizer=True, labels=mode)
    for there, here in zip(whole, pieces, strict=True):
      self.assertIn('dt/label_confidence', here)
      for name in there:
        np.testing.assert_allclose(here[name], there[name], rtol=_RTOL, err_msg=name)


class RunTest(absltest.TestCase):

  def test_run_is_the_same_on_any_number_of_devices(self):
    root = pathlib.Path(tempfile.mkdtemp())
    self.addCleanup(shutil.rmtree, root, ignore_errors=True)
    lines, labels = {}, {}
    for num_devices in (1, 2, 4, 8):
      config = make_config(root / str(num_devices), num_devices=num_devices)
      self.assertEqual(train.train(config, config.workdir), stopping.DONE)
      lines[num_devices] = [json.loads(line) for line in pathlib.Path(
          config.workdir, 'metrics.jsonl').read_text().splitlines()]
      with np.load(pathlib.Path(config.workdir, 'labels', 'step_0000006.npz')) as saved:
        labels[num_devices] = saved['actions']
    for num_devices in (2, 4, 8):
      np.testing.assert_array_equal(labels[num_devices], labels[1])
      for here, there in zip(lines[num_devices], lines[1], strict=True):
        self.assertEqual(here.keys(), there.keys())
        for name in there.keys() - {'time/steps_per_second', 'data/wait_fraction'}:
          np.testing.assert_allclose(here[name], there[name], rtol=_RTOL, err_msg=name)
    self.assertIn('eval/argmax/success_500', lines[1][-1])


if __name__ == '__main__':
  absltest.main()
