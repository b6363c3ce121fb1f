"""The pure core starts without what only data and environments need."""

import pathlib
import subprocess
import sys

from absl.testing import absltest

from alpt_jax import measures

CORE = ('types', 'methods', 'discretize', 'losses', 'optimizers', 'networks.models', 'alpt',
        'acting')
USERS_OF_AN_IDM = ('trained_idm', 'label_run', 'audit_run', 'audit_compare', 'clips_run')
HEAVY = ('tensorflow', 'tensorflow_datasets', 'orbax', 'ale_py', 'envlogger')


class ImportsTest(absltest.TestCase):

  def test_core_imports_nothing_heavy(self):
    imports = ', '.join(f'alpt_jax.{name}' for name in CORE)
    program = f'import sys, {imports}; print([m for m in {HEAVY} if m in sys.modules])'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                            check=False)
    self.assertEqual((result.stdout.strip(), result.returncode), ('[]', 0), msg=result.stderr)

  def test_measures_need_numpy_and_scipy_only(self):
    directory = pathlib.Path(measures.__file__).parent
    names = [f'alpt_jax.measures.{path.stem}' for path in directory.glob('[a-z]*.py')]
    self.assertIn('alpt_jax.measures.intervals', names)
    program = (f'import sys, {", ".join(names)}; print([m for m in sys.modules if m in '
               '("jax", "flax", "ml_collections", "cv2", "tensorflow")])')
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                            check=False)
    self.assertEqual((result.stdout.strip(), result.returncode), ('[]', 0), msg=result.stderr)

  def test_who_uses_an_idm_does_not_import_training(self):
    imports = ', '.join(f'alpt_jax.{name}' for name in USERS_OF_AN_IDM)
    program = f'import sys, {imports}; print("alpt_jax.train" in sys.modules)'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                            check=False)
    self.assertEqual((result.stdout.strip(), result.returncode), ('False', 0), msg=result.stderr)
