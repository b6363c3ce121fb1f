"""The pure core starts without what only data and environments need."""

import pathlib
import subprocess
import sys

from absl.testing import absltest

from tests import processes

ROOT = pathlib.Path(__file__).resolve().parents[1]
CORE = ('types', 'methods', 'networks', 'learners')
USERS_OF_AN_IDM = ('labelling',)
# What converts TFRecord files, or records through envlogger; and what compares speed with PyTorch.
OPTIONAL = {'alpt_jax.data.tfrecord', 'alpt_jax.data.recorder_envlogger',
            'alpt_jax.domains.atari.convert', 'alpt_jax.domains.atari.record_envlogger',
            'experiments.benchmarks.torch_gpt2'}
_IMPORT_ALL = """
import importlib, sys
from absl import flags
for name in sys.argv[1:]:
  for flag in flags.FLAGS.__dict__['__flags'].values():
    flag.allow_override = True  # Programs have flags of one name.
  importlib.import_module(name)
"""
HEAVY = ('tensorflow', 'tensorflow_datasets', 'orbax', 'ale_py', 'vizdoom', 'envlogger')


def modules(name):
  """Dotted names of a module, or of all modules of a folder of the package."""
  path = ROOT / 'alpt_jax' / name
  found = [f'{name}.{file.stem}' for file in sorted(path.glob('[a-z]*.py'))] or [name]
  return [f'alpt_jax.{module}' for module in found]


def loaded(names, wanted):
  """Imports modules in a process of its own; returns those of `wanted` that came with them."""
  program = f'import sys, {", ".join(names)}; print([m for m in {wanted!r} if m in sys.modules])'
  result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          check=False)
  assert result.returncode == 0, result.stderr
  return result.stdout.strip()


class ImportsTest(absltest.TestCase):

  def test_core_imports_nothing_heavy(self):
    names = [module for name in CORE for module in modules(name)]
    self.assertContainsSubset({'alpt_jax.types', 'alpt_jax.networks.decision_transformer',
                               'alpt_jax.learners.alpt'}, names)
    self.assertEqual(loaded(names, HEAVY), '[]')

  def test_measures_need_numpy_and_scipy_only(self):
    names = modules('measures')
    self.assertIn('alpt_jax.measures.intervals', names)
    self.assertEqual(loaded(names, ('jax', 'flax', 'ml_collections', 'cv2', 'tensorflow')), '[]')

  def test_who_uses_an_idm_does_not_import_training(self):
    names = [module for name in USERS_OF_AN_IDM for module in modules(name)]
    self.assertIn('alpt_jax.labelling.trained_idm', names)
    self.assertEqual(loaded(names, ('alpt_jax.training.train',)), '[]')

  def test_all_but_converters_are_there_without_tensorflow_and_envlogger(self):
    names = {str(path.relative_to(ROOT).with_suffix('')).replace('/', '.')
             for top in ('alpt_jax', 'experiments') for path in (ROOT / top).rglob('*.py')}
    self.assertContainsSubset(OPTIONAL, names)
    self.assertIn('experiments.collect', names)
    result = subprocess.run(
        [sys.executable, '-c', _IMPORT_ALL, *sorted(names - OPTIONAL)], capture_output=True,
        text=True, check=False, cwd=ROOT,
        env=processes.environment_without('tensorflow', 'envlogger', 'torch'))
    self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == '__main__':
  absltest.main()
