"""Tests of the checkpoints: what is saved comes back, and damage is seen."""

import json
import pathlib
import resource
import shutil
import sys
import tempfile
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from absl.testing import absltest, parameterized
from etils import epath

from alpt_jax import types
from alpt_jax.training import checkpoints
from tests import exhaustive

OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.), optax.lamb(1e-3))


def model(key, width):
  params = {'embed': {'kernel': jax.random.normal(key, (3, width))},
            'head': {'bias': jnp.arange(4, dtype=jnp.float32)}}
  return types.ModelState(params, OPTIMIZER.init(params))


def train_state(step, *, width=8, with_idm=True):
  """A state whose numbers depend on the step."""
  idm_key, dt_key = jax.random.split(jax.random.key(step))
  return types.TrainState(jnp.int32(step), model(idm_key, width) if with_idm else None,
                          model(dt_key, width))


def abstract_state(**kwargs):
  return jax.eval_shape(lambda: train_state(0, **kwargs))


class CheckpointsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'checkpoints'

  def open(self, **kwargs):
    return checkpoints.Checkpoints(self.directory, **{'save_every_steps': 1} | kwargs)

  def save(self, *steps, **kwargs):
    with self.open() as ckpt:
      for step in steps:
        ckpt.save(step, train_state(step, **kwargs))

  def restore(self, **kwargs):
    with self.open() as ckpt:
      return ckpt.restore_latest(abstract_state(**kwargs))

  def names(self):
    return sorted(path.name for path in self.directory.iterdir())

  def largest_file(self, step):
    files = [path for path in (self.directory / str(step)).rglob('*')
             if path.is_file() and path.name != checkpoints.MANIFEST]
    return max(files, key=lambda path: path.stat().st_size)

  def flip_byte(self, path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

  def assert_state(self, state, step, **kwargs):
    """Every bit equals that of `train_state(step)`, in the same classes."""
    expected = train_state(step, **kwargs)
    self.assertEqual(jax.tree.structure(state), jax.tree.structure(expected))
    for actual, leaf in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
      self.assertEqual(actual.dtype, leaf.dtype)
      self.assertEqual(np.asarray(actual).tobytes(), np.asarray(leaf).tobytes())

  @parameterized.product(with_idm=(True, False), width=(8, 1 << 17))  # With large arrays, too.
  def test_what_is_saved_comes_back_bit_for_bit(self, **kwargs):
    self.save(3, **kwargs)
    self.assert_state(self.restore(**kwargs), 3, **kwargs)

  def test_no_step_restores_none(self):
    self.assertIsNone(self.restore())

  def test_saves_multiples_and_forced_steps_once(self):
    with self.open(save_every_steps=2, keep=9) as ckpt:
      saved = [step for step in (1, 2, 3, 4) if ckpt.save(step, train_state(step))]
      self.assertEqual(saved, [2, 4])
      self.assertFalse(ckpt.save(4, train_state(4), force=True))
      self.assertTrue(ckpt.save(5, train_state(5), force=True))
    self.assertEqual(self.names(), ['2', '4', '5'])

  def test_keeps_the_newest_two(self):
    self.save(8, 9, 10, 11)
    self.assertEqual(self.names(), ['10', '11'])

  @parameterized.parameters(8, 1 << 17)
  def test_donated_buffers_do_not_change_what_is_saved(self, width):
    state = jax.tree.map(jnp.copy, train_state(1, width=width))
    add_one = jax.jit(lambda x: jax.tree.map(lambda y: y + 1, x), donate_argnums=0)
    with self.open() as ckpt:
      ckpt.save(1, state)
      for _ in range(3):
        state = add_one(state)
    self.assert_state(self.restore(width=width), 1, width=width)

  def test_flipped_byte_falls_back_to_the_step_before(self):
    self.save(1, 2)
    damaged = self.largest_file(2)
    self.flip_byte(damaged)
    with self.assertLogs(level='WARNING') as logs:
      state = self.restore()
    self.assert_state(state, 1)
    self.assertIn(str(damaged), logs.output[0])

  @parameterized.parameters('flip', 'cut', 'empty', 'delete')
  def test_damage_to_any_file_is_named_and_the_step_before_is_used(self, kind):
    self.save(1, 2)
    contents = {path: path.read_bytes() for path in (self.directory / '2').rglob('*')
                if path.is_file()}
    for path, content in contents.items():
      if kind == 'delete':
        path.unlink()
      elif not content:
        continue  # A marker of Orbax, without bytes to damage.
      elif kind == 'flip':
        self.flip_byte(path)
      else:
        path.write_bytes(content[:-1] if kind == 'cut' else b'')
      with self.subTest(path.name), self.assertLogs(level='WARNING') as logs:
        self.assertEqual(checkpoints.latest_step(self.directory), 1)
        self.assertIn(f'{path} is ', logs.output[0])
      path.write_bytes(content)
    self.assertEqual(checkpoints.latest_step(self.directory), 2)
    self.flip_byte(self.largest_file(2))
    with self.assertLogs(level='WARNING'):
      self.assert_state(self.restore(), 1)

  def test_flipped_bits_all_over_a_manifest_are_named_or_harmless(self):
    self.save(1, 2)
    path = self.directory / '2' / checkpoints.MANIFEST
    content = path.read_bytes()
    num_named = 0
    positions = exhaustive.some_of(range(len(content)), at_least=300)
    for position in positions:
      damaged = bytearray(content)
      damaged[position] ^= 1 << position % 8
      path.write_bytes(damaged)
      if checkpoints._damage(epath.Path(path.parent)) is not None:
        with self.assertLogs(level='WARNING') as logs:
          self.assertEqual(checkpoints.latest_step(self.directory), 1)
        self.assertIn(f'{path} is damaged', logs.output[0])
        num_named += 1
    # The rest is blanks between the items that became other blanks.
    self.assertGreater(num_named, .8 * len(positions))

  def test_half_copied_step_is_passed_over(self):
    self.save(1, 2)
    step = self.directory / '2'
    contents = sorted((path, path.read_bytes()) for path in step.rglob('*') if path.is_file())
    for num_whole, (half, content) in enumerate(contents):
      shutil.rmtree(step)
      for path, whole in [*contents[:num_whole], (half, content[:len(content) // 2])]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole)
      with self.assertLogs(level='WARNING'):
        self.assertEqual(checkpoints.latest_step(self.directory), 1)

  def test_manifest_holds_the_crc32_of_every_file(self):
    self.save(1)
    manifest = json.loads((self.directory / '1' / checkpoints.MANIFEST).read_text())
    self.assertGreater(len(manifest['files']), 5)
    for name, expected in manifest['files'].items():
      content = (self.directory / '1' / name).read_bytes()
      self.assertEqual(expected, {'size': len(content), 'crc32': f'{zlib.crc32(content):08x}'})

  def test_all_damaged_is_an_error_not_a_fresh_start(self):
    self.save(1, 2)
    self.flip_byte(self.largest_file(1))
    (self.directory / '2' / checkpoints.MANIFEST).unlink()
    with self.assertLogs(level='WARNING'):
      with self.assertRaisesRegex(ValueError, 'all steps are damaged'):
        self.restore()

  def test_empty_step_directory_is_passed_over(self):
    self.save(1)
    (self.directory / '4').mkdir()
    with self.assertLogs(level='WARNING') as logs:
      self.assert_state(self.restore(), 1)
    self.assertIn(str(self.directory / '4' / checkpoints.MANIFEST), logs.output[0])

  def test_renamed_step_is_passed_over(self):
    self.save(1, 2)
    (self.directory / '2').rename(self.directory / '7')
    with self.assertLogs(level='WARNING') as logs:
      self.assert_state(self.restore(), 1)
    self.assertIn('is of step 2', logs.output[0])

  def test_killed_save_is_ignored_and_removed(self):
    def leave_killed_saves():
      shutil.copytree(self.directory / '1', self.directory / '3.saving')
      (self.directory / '2.saving.orbax-checkpoint-tmp').mkdir()

    self.save(1)
    leave_killed_saves()
    self.assertEqual(checkpoints.latest_step(self.directory), 1)
    self.assert_state(self.restore(), 1)
    self.assertEqual(self.names(), ['1'])
    leave_killed_saves()
    self.save(4)
    self.assertEqual(self.names(), ['1', '4'])

  def test_damaged_step_is_replaced_when_training_reaches_it_again(self):
    self.save(1, 2)
    self.flip_byte(self.largest_file(2))
    with self.open() as ckpt:
      with self.assertLogs(level='WARNING'):
        ckpt.restore_latest(abstract_state())
      ckpt.save(2, train_state(2))
    self.assert_state(self.restore(), 2)

  def test_damaged_newer_steps_do_not_count_as_kept(self):
    self.save(1, 9)
    self.flip_byte(self.largest_file(9))
    with self.open() as ckpt:
      with self.assertLogs(level='WARNING'):
        ckpt.restore_latest(abstract_state())
      ckpt.save(2, train_state(2))
    self.assertEqual(self.names(), ['1', '2', '9'])

  def test_last_undamaged_step_outlives_any_number_of_damaged_ones(self):
    with self.open(keep=2) as ckpt:
      for step in (1, 2, 3):
        ckpt.save(step, train_state(step))
      ckpt.wait()
      self.assertEqual(self.names(), ['2', '3'])
      self.flip_byte(self.largest_file(3))  # A disk goes bad.
      with self.assertLogs(level='WARNING') as logs:
        ckpt.save(4, train_state(4))
        ckpt.wait()
      self.assertIn('older steps are kept', logs.output[0])
      self.assertEqual(self.names(), ['2', '3', '4'])
      self.flip_byte(self.largest_file(4))
      with self.assertLogs(level='WARNING') as logs:
        ckpt.save(5, train_state(5))
        ckpt.wait()
      self.assertLen(logs.output, 1)  # Of step 3 it has been said.
      self.assertEqual(self.names(), ['2', '3', '4', '5'])
      self.flip_byte(self.largest_file(5))
    with self.assertLogs(level='WARNING'):
      self.assert_state(self.restore(), 2)
    with self.open(keep=2) as ckpt:  # The next two good steps let go of all that.
      with self.assertLogs(level='WARNING'):
        ckpt.restore_latest(abstract_state())
        for step in (3, 4, 5):
          ckpt.save(step, train_state(step))
        ckpt.wait()
    self.assertEqual(self.names(), ['4', '5'])

  def test_full_disk_is_reported_at_once_and_leaves_the_steps_before(self):
    # Of random numbers, which take more room than a file may have here.
    with self.open() as ckpt:
      ckpt.save(1, train_state(1, width=1 << 14))
      ckpt.wait()
      limits = resource.getrlimit(resource.RLIMIT_FSIZE)
      resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, limits[1]))
      self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
      with self.assertLogs(level='ERROR') as logs, self.assertRaisesRegex(
          OSError, '2: saving failed; the steps before it are unharmed.*File too large'):
        ckpt.save(2, train_state(2, width=1 << 14))
        ckpt.wait()
      self.assertIn(f'{self.directory / "2"}: saving failed', logs.output[-1])
      self.assertNotIn('2', self.names())
      resource.setrlimit(resource.RLIMIT_FSIZE, limits)
      ckpt.save(3, train_state(3, width=1 << 14))
    self.assert_state(self.restore(width=1 << 14), 3, width=1 << 14)
    self.assertEqual(self.names(), ['1', '3'])  # Half a state would only fill the disk.

  def test_another_runs_step_is_never_overwritten(self):
    self.save(1)
    with self.assertRaisesRegex(FileExistsError, 'another run'):
      self.save(1)

  @parameterized.parameters(np.nan, -np.inf)
  def test_state_that_is_not_finite_is_not_saved(self, value):
    mesh = jax.make_mesh((8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,))
    with self.open() as ckpt:
      for spec in (jax.P(), jax.P(None, 'data')):  # On all devices; on the last of eight only.
        sharding = jax.NamedSharding(mesh, spec)
        state = train_state(1)
        kernel = state.dt.params['embed']['kernel']
        state.dt.params['embed']['kernel'] = jax.device_put(kernel.at[-1, -1].set(value), sharding)
        with self.assertRaisesRegex(FloatingPointError, 'dt/params/embed/kernel is not finite'):
          ckpt.save(1, state)
    self.assertFalse(self.directory.exists())

  def test_only_while_it_saves_it_changes_what_the_process_says_of_errors(self):
    logger = logging.get_absl_logger()
    before = sys.unraisablehook, list(logger.filters)
    with self.open() as ckpt:
      self.assertEqual((sys.unraisablehook, logger.filters), before)
      for step in (1, 2):
        ckpt.save(step, train_state(step))
        self.assertNotEqual(sys.unraisablehook, before[0])
        self.assertLen(logger.filters, len(before[1]) + 1)
      ckpt.wait()
      self.assertEqual((sys.unraisablehook, logger.filters), before)
      ckpt.save(3, train_state(3))
    self.assertEqual((sys.unraisablehook, logger.filters), before)

  def test_error_of_a_save_is_raised_at_the_next_call(self):
    with self.open() as ckpt:
      ckpt.save(1, train_state(1))
      ckpt.wait()
      (self.directory / '2').write_text('in the way')
      with self.assertLogs(level='ERROR'):
        ckpt.save(2, train_state(2))
        with self.assertRaisesRegex(OSError, '2: saving failed'):
          ckpt.save(3, train_state(3))
      (self.directory / '2').unlink()
      self.assertTrue(ckpt.save(2, train_state(2)))
    self.assert_state(self.restore(), 2)

  def test_other_shapes_are_named(self):
    self.save(1)
    with self.assertRaisesRegex(ValueError, r'idm/params/embed/kernel is float32\[3, 8\] in the '
                                r'checkpoint and float32\[3, 5\] in this run'):
      self.restore(width=5)

  def test_other_method_is_named(self):
    self.save(1, with_idm=False)
    with self.assertRaisesRegex(
        ValueError, r"the checkpoint holds \['dt', 'step'\] and this run needs "
        r"\['dt', 'idm', 'step'\]; was it trained with another method"):
      self.restore()

  def test_other_optimizer_is_named(self):
    self.save(1)
    state = train_state(1)
    opt_state = optax.sgd(1e-3, momentum=.9).init(state.dt.params)
    state = state.replace(dt=types.ModelState(state.dt.params, opt_state))
    with self.open() as ckpt, self.assertRaisesRegex(ValueError, 'dt/opt_state/.*other optimizer'):
      ckpt.restore_latest(jax.eval_shape(lambda: state))

  @parameterized.parameters(0, -1)
  def test_rejects_settings_below_one(self, value):
    with self.assertRaisesRegex(ValueError, 'at least 1'):
      self.open(keep=value)


class RestoreParamsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    with checkpoints.Checkpoints(self.directory, save_every_steps=1) as ckpt:
      for step in (1, 2):
        ckpt.save(step, train_state(step))

  def restore(self, directory=None, *, models=('idm', 'dt'), width=8):
    state = abstract_state(width=width)
    return checkpoints.restore_params(directory or self.directory,
                                      {name: getattr(state, name).params for name in models})

  def assert_params(self, restored, step):
    found, params = restored
    self.assertEqual(found, step)
    state = train_state(step)
    for name, actual in params.items():
      jax.tree.map(np.testing.assert_array_equal, actual, getattr(state, name).params)

  def test_newest_step(self):
    self.assert_params(self.restore(), 2)

  def test_newest_step_that_is_not_damaged(self):
    (self.directory / '2' / checkpoints.MANIFEST).write_text('{')
    self.assert_params(self.restore(), 1)

  def test_one_model_alone(self):
    restored = self.restore(models=('dt',))
    self.assertEqual(list(restored[1]), ['dt'])
    self.assert_params(restored, 2)

  def test_mismatch_names_parameter_shapes_and_reason(self):
    with self.assertRaisesRegex(
        ValueError, r'dt/params/embed/kernel is float32\[3, 8\] in the checkpoint and '
        r'float32\[3, 6\] in this run; .*observation mode.*model size'):
      self.restore(width=6)

  def test_missing_model_is_named(self):
    with checkpoints.Checkpoints(self.directory, save_every_steps=1) as ckpt:
      ckpt.save(3, train_state(3, with_idm=False))
    with self.assertRaisesRegex(
          ValueError, r"the checkpoint holds \['dt'\] and this run needs \['dt', 'idm'\]"):
      self.restore()
    self.assert_params(self.restore(models=('dt',)), 3)

  def test_missing_checkpoint_is_named(self):
    with self.assertRaisesRegex(FileNotFoundError, 'no checkpoint here'):
      self.restore(self.directory / 'nowhere')


if __name__ == '__main__':
  absltest.main()
