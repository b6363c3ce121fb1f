"""Checkpoints that are verified before they are used; the only file that imports Orbax.

Orbax makes a save atomic, but restores flipped bytes as wrong numbers and takes a half-copied
directory for a checkpoint. So a step here is a directory whose MANIFEST.json lists the size and
CRC-32 of each of its files; libdeflate computes it at the speed of memory, so that reading a state
costs hardly more for being verified. Small arrays are saved together, see `packing`.

  checkpoints/1000/MANIFEST.json, checkpoints/1000/state/...   a step
  checkpoints/2000.saving...                                   a save in progress, or a killed one

The manifest is written before the directory gets its name, so a kill at any moment leaves whole
steps only. A step that doesn't match its manifest was damaged later and is never loaded, and does
not count when old steps are deleted.
"""

import concurrent.futures
import contextlib
import json
import logging as logging_
import os
import re
import sys

import deflate
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from etils import epath
from orbax.checkpoint import v1 as ocp

from alpt_jax.files import atomic_files
from alpt_jax.training import distributed, packing

MANIFEST = 'MANIFEST.json'


_NO_STEP = -1
_NO_GOOD_STEP = -2


class _NotOrbax(logging_.Filter):
  """Drops what threads of Orbax say of an error, each with a traceback: `_finish` says it.

  A context manager around saving.
  """

  def __enter__(self):
    self._show = sys.unraisablehook
    sys.unraisablehook = self._drop_unraisable
    logging.get_absl_logger().addFilter(self)

  def __exit__(self, *unused):
    logging.get_absl_logger().removeFilter(self)
    if sys.unraisablehook == self._drop_unraisable:
      sys.unraisablehook = self._show

  def filter(self, record):
    return not (record.levelno >= logging_.ERROR and 'orbax' in record.pathname)

  def _drop_unraisable(self, unraisable):
    """As `sys.unraisablehook`; files that are written after the first error find no event loop."""
    if str(unraisable.exc_value) != 'Event loop is closed':
      self._show(unraisable)


class Checkpoints(contextlib.AbstractContextManager):
  """The checkpoints of one run, as a context manager; leaving it waits for the last save.

  All processes of a run make the same calls. Process 0 writes manifests and deletes.
  """

  def __init__(self, directory, *, save_every_steps, keep=2):
    """Reads and writes nothing yet.

    Args:
      directory: holds one directory per step; local or in a bucket.
      save_every_steps: `save` skips steps that are no multiple of it.
      keep: how many of the newest undamaged steps stay.

    Raises:
      ValueError: if `save_every_steps` or `keep` is below 1.
    """
    if save_every_steps < 1 or keep < 1:
      raise ValueError(f'save_every_steps is {save_every_steps} and keep is {keep}; expected '
                       'both to be at least 1.')
    self._directory = epath.Path(directory).absolute()
    # Beside the directory: shows that there was one, should it get lost.
    self._began = self._directory.parent / f'{self._directory.name}-began'
    self._save_every_steps = save_every_steps
    self._keep = keep
    self._newest = None  # Step last restored or saved. Whatever is newer on disk is damaged.
    self._executor = concurrent.futures.ThreadPoolExecutor(1, 'checkpoints')
    self._saving = None  # Step, future and what is to be closed of the save in progress.
    self._damaged = set()  # Steps that have been warned of.

  def __exit__(self, exc_type, exc_value, traceback):
    try:
      self.wait()
    except OSError as error:
      if exc_type is None:
        raise
      logging.error('%s', error)  # The first error is the one to raise.
    finally:
      self._executor.shutdown()

  def save(self, step, state, *, force=False):
    """Starts to save a state, unless the step is not due or already saved.

    Returns when the state has been copied from the devices, so its buffers may be donated; the
    files are written by a thread. The previous save is waited for.

    Args:
      step: updates made so far.
      state: a `types.TrainState`.
      force: saves although the step is no multiple of `save_every_steps`.

    Returns:
      Whether a save was started.

    Raises:
      FileExistsError: if the directory holds this step of another run.
      FloatingPointError: if a number is infinite or NaN; such a state is not saved.
      OSError: if the previous save failed.
    """
    self.wait()
    if step == self._newest or not (force or step % self._save_every_steps == 0):
      return False
    path = self._directory / str(step)
    if (self._newest is None or step < self._newest) and (path / MANIFEST).exists():
      raise FileExistsError(f'{path}: this step was saved by another run; restore it, or choose '
                            'another directory.')
    _check_finite(path, state)
    if jax.process_index() == 0:
      _remove_killed_saves(self._directory)
      self._directory.mkdir(parents=True, exist_ok=True)
    unnamed = self._directory / f'{step}.saving'
    packed, index = packing.pack(_flatten(state))
    with contextlib.ExitStack() as stack:
      stack.enter_context(_NotOrbax())
      with _saving_context():
        response = ocp.save_async(unnamed, packed, custom_metadata={'index': index})
      future = self._executor.submit(self._finish, step, unnamed, path, response)
      self._saving = step, future, stack.pop_all()
    return True

  def _finish(self, step, unnamed, path, response):
    """Waits for Orbax, then makes the files a step; in the thread."""
    try:
      response.result()
      if jax.process_index() == 0:
        _write_manifest(unnamed, step)
        if path.exists():
          _remove_step(path)
        unnamed.rename(path)
        _flush(self._directory)
        if not self._began.exists():
          self._began.write_text(f'{step}\n')
          _flush(self._began)
        self._remove_old(step)
    except Exception as error:  # Orbax raises any kind.
      logging.error('%s: saving failed.', path)  # Now: the next call raises the exception.
      if jax.process_count() == 1:  # Others may still be writing.
        with contextlib.suppress(OSError):  # And threads of Orbax; what they leave goes later.
          _remove_killed_saves(self._directory)  # The disk may be full.
      raise OSError(f'{path}: saving failed; the steps before it are unharmed. '
                    f'{_reason(error)}') from error

  def _remove_old(self, newest):
    """Keeps the newest steps that are undamaged now; those beyond `newest` are damaged."""
    num_good = 0
    for step in sorted((s for s in _steps(self._directory) if s <= newest), reverse=True):
      path = self._directory / str(step)
      if num_good == self._keep:
        _remove_step(path)
      elif step == newest or self._is_good(step):
        num_good += 1

  def _is_good(self, step):
    damage = None if step in self._damaged else _damage(self._directory / str(step))
    if damage:
      logging.warning('%s; older steps are kept instead.', damage)
      self._damaged.add(step)
    return step not in self._damaged

  def restore_latest(self, abstract_state):
    """Restores the newest undamaged step, and removes what killed saves have left.

    Args:
      abstract_state: a `types.TrainState` of arrays or `jax.ShapeDtypeStruct`s; their shardings
        decide where the arrays go, one device if there are none.

    Returns:
      The state, or None if the directory never had a step.

    Raises:
      ValueError: if there are steps but all are damaged, if there were some and there are none, or
        if the state has other parameters.
    """
    self.wait()
    if jax.process_index() == 0:
      _remove_killed_saves(self._directory)
    step = latest_step(self._directory)
    if step is None:
      if self._began.exists():
        raise ValueError(f'{self._directory}: no checkpoint, but {self._began} says that there '
                         'were some. Restore them from a copy; or delete that file to start from '
                         'scratch.')
      return None
    state = _load(self._directory / str(step), abstract_state)
    self._newest = step
    return state

  def wait(self):
    """Waits until the last save is a step; raises OSError if it failed."""
    if self._saving is not None:
      (step, future, stack), self._saving = self._saving, None
      future.result()  # If it failed, threads of Orbax go on speaking of it.
      stack.close()
      self._newest = step


def latest_step(directory):
  """Finds the newest step whose files match its manifest; warns of each newer one that doesn't.

  Args:
    directory: of `Checkpoints`.

  Returns:
    The step, or None if there are none.

  Raises:
    ValueError: if there are steps but all are damaged.
  """
  directory = epath.Path(directory).absolute()
  step = distributed.agree(_latest_step(directory) if distributed.is_main() else _NO_STEP)
  if step == _NO_GOOD_STEP:
    raise ValueError(f'{directory}: all steps are damaged; restore them from a copy, or start '
                     'again in another directory.')
  return None if step == _NO_STEP else step


def restore_params(directory, abstract):
  """Restores parameters of the newest step, without optimizer state, to finetune or evaluate them.

  Args:
    directory: of `Checkpoints`.
    abstract: {'idm': params, 'dt': params} or one of them, of arrays or `jax.ShapeDtypeStruct`s;
      see `Checkpoints.restore_latest` for their shardings.

  Returns:
    The number of updates; a dict like `abstract`.

  Raises:
    FileNotFoundError: if there is no checkpoint.
    ValueError: if all are damaged, or if the checkpoint has other parameters.
  """
  directory = epath.Path(directory).absolute()
  step = latest_step(directory)
  if step is None:
    raise FileNotFoundError(f'{directory}: no checkpoint here; expected directories named after '
                            'steps. Train first, or correct the path.')
  restored = _load(directory / str(step),
                   {name: {'params': params} for name, params in abstract.items()}, partial=True)
  return step, {name: model['params'] for name, model in restored.items()}


def _steps(directory):
  """Sorted steps of a directory, damaged or not."""
  if not directory.exists():
    return []
  return sorted(int(p.name) for p in directory.iterdir() if re.fullmatch(r'0|[1-9]\d*', p.name))


def _latest_step(directory):
  steps = _steps(directory)
  for step in reversed(steps):
    damage = _damage(directory / str(step))
    if damage is None:
      return step
    logging.warning('%s; trying the step before it.', damage)
  return _NO_GOOD_STEP if steps else _NO_STEP


def _checksums(path):
  """Size and checksum of a file, as the manifest has them."""
  with path.open('rb') as f:
    return dict(zip(('size', 'crc32'), atomic_files.crc32(f), strict=True))


def _files(path):
  """Files below a directory, sorted, as paths relative to it."""
  files = []
  for entry in path.iterdir():
    files += [f'{entry.name}/{f}' for f in _files(entry)] if entry.is_dir() else [entry.name]
  return sorted(files)


def _manifest_crc32(manifest):
  """Of what a manifest says: damage to it must not be taken for damage to a file that it lists."""
  return f"{deflate.crc32(json.dumps([manifest['step'], manifest['files']]).encode()):08x}"


def _write_manifest(path, step):
  names = _files(path)
  manifest = {'step': step,
              'files': {name: _checksums(path / name) for name in names}}
  manifest['crc32'] = _manifest_crc32(manifest)
  (path / MANIFEST).write_text(json.dumps(manifest, indent=1))
  for name in (*names, MANIFEST, *{os.path.dirname(name) or '.' for name in (*names, MANIFEST)}):
    _flush(path / name)


def _flush(path):
  """Waits until a file or directory is on the disk; buckets need no waiting.

  A machine that loses its power must not find the name of a step without the content.
  """
  if '://' not in str(path):
    atomic_files.flush(path)


def _damage(path):
  """Says what is wrong with a step directory, naming the file; None if nothing is."""
  manifest_path = path / MANIFEST
  if not manifest_path.exists():
    return f'{manifest_path} is missing'
  try:
    manifest = json.loads(manifest_path.read_bytes())
    step, files = manifest['step'], dict(manifest['files'])
    if manifest.get('crc32', '') != _manifest_crc32(manifest):
      return f'{manifest_path} is damaged (its CRC-32 is another)'
    for name, expected in files.items():
      try:
        found = _checksums(path / name)
      except OSError as error:
        return f'{path / name} is unreadable ({error.strerror or error})'
      if found != expected:
        return f'{path / name} is damaged: its size or checksum is not that of {MANIFEST}'
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    return f'{manifest_path} is damaged ({error})'
  if str(step) != path.name:
    return f'{manifest_path} is of step {step}'
  return None


def _remove_step(path):
  (path / MANIFEST).unlink(missing_ok=True)  # First: from here on it is no step.
  path.rmtree()


def _remove_killed_saves(directory):
  for path in directory.iterdir() if directory.exists() else ():
    if re.fullmatch(r'\d+\.saving.*', path.name):
      path.rmtree()


def _flatten(tree):
  """Leaves by 'a/b/c'; the same names for a class and for the dicts Orbax makes of it."""
  def name(key):
    return str(next(getattr(key, a) for a in ('key', 'name', 'idx') if hasattr(key, a)))

  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {'/'.join(name(key) for key in path): leaf for path, leaf in leaves}


def _check_finite(path, state):
  """Raises FloatingPointError, in all processes, if a number of the state is not finite."""
  numbers = {name: leaf for name, leaf in _flatten(state).items()
             if np.issubdtype(leaf.dtype, np.inexact)}
  is_finite = dict(zip(numbers, np.asarray(_are_finite(list(numbers.values()))), strict=True))
  wrong = [name for name in numbers if not is_finite[name]]
  if wrong:
    raise FloatingPointError(f'{path}: {wrong[0]} is not finite; the state is not saved, the steps '
                             'before it are good.')


@jax.jit
def _are_finite(arrays):
  """[n] bool; on the devices, which copies nothing and is the same in all processes."""
  return jnp.array([jnp.isfinite(x).all() for x in arrays])


def _describe(leaf):
  return 'absent' if leaf is None else f'{np.dtype(leaf.dtype).name}{list(leaf.shape)}'


def _check_same(path, saved, wanted):
  """Raises ValueError naming the first parameter that differs; both are dicts by name."""
  saved_models, wanted_models = ({name.split('/')[0] for name in tree} for tree in (saved, wanted))
  if saved_models != wanted_models:
    raise ValueError(f'{path}: the checkpoint holds {sorted(saved_models)} and this run needs '
                     f'{sorted(wanted_models)}; was it trained with another method?')
  for name in [*wanted, *(name for name in saved if name not in wanted)]:
    there, here = _describe(saved.get(name)), _describe(wanted.get(name))
    if there != here:
      cause = ('optimizer' if '/opt_state/' in name else
               'observation mode, environment or model size')
      raise ValueError(f'{path}: {name} is {there} in the checkpoint and {here} in this run; was '
                       f'it trained with another {cause}? Use the config it was trained with.')


def _reason(error):
  """The words of the system for an error of Orbax, which names many files; else its own."""
  return atomic_files.system_error(str(error), '').strerror or error


def _saving_context():
  """How Orbax saves: cheaply, while the same cores train."""
  context = ocp.Context()
  context.array.saving.use_compression = False  # Floats hardly compress.
  context.array.saving.enable_write_sharding_file = False  # `_load` says where arrays go.
  context.memory.deepcopy_host_arrays = False  # `packing` has copied them.
  return context


def _load(path, abstract, *, partial=False):
  """Loads a step, or the part of it that `abstract` names, after comparing all shapes."""
  metadata = ocp.metadata(path)
  index = metadata.custom_metadata['index']
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  abstract = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype,
                                     sharding=getattr(x, 'sharding', None) or device), abstract)
  wanted = _flatten(abstract)
  saved = packing.abstract(index)
  if partial:
    saved = {name: leaf for name, leaf in saved.items()
             if any(name.startswith(f'{model}/params/') for model in abstract)}
  _check_same(path, saved, wanted)
  context = ocp.Context()
  context.pytree.loading.partial_load = partial
  with context:
    packed = ocp.load(path, packing.select(wanted, index, metadata.metadata))
  leaves = packing.unpack(wanted, index, packed)
  return jax.tree.unflatten(jax.tree.structure(abstract), leaves.values())
