"""Tests of bundle.py: the hosts get what is committed, under a name that says which."""

import io
import tarfile
import tempfile

from absl.testing import absltest

from launch import bundle
from tests.launch import repositories


class BundleTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.repository = repositories.make(self)
    self.root = self.repository.path

  def test_same_commit_has_the_same_digest(self):
    first, warning = bundle.make(self.root)
    second, _ = bundle.make(self.root)
    self.assertEqual(first, second)
    self.assertEqual(warning, '')
    self.assertIn(first.digest, first.name)

  def test_holds_programs_and_scripts_and_nothing_that_is_ignored(self):
    (self.root / 'launch' / 'user.py').write_text("project = 'mine'")
    (self.root / 'runs').mkdir()
    (self.root / 'runs' / 'x').write_text('x')
    made, _ = bundle.make(self.root)
    with tarfile.open(fileobj=io.BytesIO(made.data)) as archive:
      names = set(archive.getnames())
    self.assertContainsSubset({'launch/entrypoint.sh', 'experiments/probe.py', 'requirements.txt',
                               'alpt_jax/__init__.py'}, names)
    self.assertEmpty([name for name in names if 'user.py' in name or name.startswith('runs')])

  def test_this_repository_fits_into_a_config_map(self):
    # Kubernetes: at most 1 MiB in all; base64 is not counted.
    made, _ = bundle.make(repositories.ROOT, allow_uncommitted=True)
    self.assertLess(len(made.data), 900_000)

  def test_uncommitted_changes_are_refused_or_warned_of(self):
    (self.root / 'experiments' / 'probe.py').write_text('changed')
    with self.assertRaisesRegex(ValueError, r'experiments/probe.py.*Commit them'):
      bundle.make(self.root)
    _, warning = bundle.make(self.root, allow_uncommitted=True)
    self.assertIn('without the changes of experiments/probe.py', warning)

  def test_config_that_is_not_committed_is_refused(self):
    made, _ = bundle.make(self.root)
    bundle.check_config(made, 'experiments/configs/probe.py')
    with self.assertRaisesRegex(ValueError, 'mine.py: is not committed'):
      bundle.check_config(made, 'experiments/configs/mine.py')

  def test_directory_without_a_commit_is_refused(self):
    with tempfile.TemporaryDirectory() as directory:
      with self.assertRaisesRegex(ValueError, 'newest commit'):
        bundle.make(directory)


if __name__ == '__main__':
  absltest.main()
