"""Runs of another version of the computation are read, and not resumed."""

import json
import pathlib
import shutil
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.labelling import trained_idm, trained_run
from alpt_jax.training import computation, run_directory, stopping, train
from tests import maze_data

OTHERS = ((computation.VERSION + 1,),)
TOO_OLD = (None, computation.OLDEST - 1)  # None: of code without versions.


class ComputationTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    cls.short = maze_data.config(cls.root / 'short', num_steps=2)
    assert train.train(cls.short, cls.short.workdir) == stopping.DONE

  def copy(self, version, num_steps):
    """A copy of the run of two updates by other code, and a config that asks for `num_steps`."""
    directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'copy')
    shutil.copytree(self.short.workdir, directory)
    path = directory / 'config.json'
    content = json.loads(path.read_text())
    self.assertEqual(content.pop('computation'), computation.VERSION)
    path.write_text(json.dumps(content | ({} if version is None else {'computation': version})))
    return path, maze_data.config(directory, num_steps=num_steps, allow_changed_config=True)

  @parameterized.parameters(*OTHERS)
  def test_an_unfinished_run_is_not_resumed(self, version):
    path, config = self.copy(version, 3)
    before = path.read_bytes()
    with self.assertRaisesRegex(ValueError, f'^{path}: computation is {version}, that of this '
                                            f'code {computation.VERSION}, and the run is at step 2 '
                                            'of 3: the rest would') as caught:
      train.train(config, config.workdir)
    self.assertLen(str(caught.exception).splitlines(), 1)
    self.assertEqual(path.read_bytes(), before)

  @parameterized.parameters(*OTHERS)
  def test_a_finished_run_stays_what_it_is(self, version):
    path, config = self.copy(version, 2)
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    self.assertEqual(json.loads(path.read_text())['computation'], version)

  @parameterized.parameters(*OTHERS)
  def test_who_only_reads_asks_for_no_version(self, version):
    path, config = self.copy(version, 3)
    digests = json.loads(path.read_text())['data_digests']
    run_directory.check_config(config, config.workdir, digests, ignored=('computation',))
    self.assertEqual(trained_idm.restore(config.workdir).step, 2)
    self.assertNotIn('computation', trained_run.read_config(config.workdir)[0])

  @parameterized.parameters(*TOO_OLD)
  def test_runs_of_before_are_neither_resumed_nor_read_nor_started_from(self, version):
    path, config = self.copy(version, 2)
    before = path.read_bytes()
    finetuning = maze_data.config(
        self.root / 'finetuning', phase='finetune', init_from=config.workdir)
    for read in (lambda: train.train(config, config.workdir),
                 lambda: trained_idm.restore(config.workdir),
                 lambda: train.train(finetuning, finetuning.workdir)):
      with self.assertRaisesRegex(
          ValueError, rf'^{path}: the run is of an earlier version of this code \(computation 1; '
                      r'2 and later ones are read\)\. Read it with the code that trained it'):
        read()
    self.assertEqual(path.read_bytes(), before)

  def test_a_run_without_checkpoint_begins_anew(self):
    path, config = self.copy(computation.VERSION + 1, 1)
    shutil.rmtree(path.parent / 'checkpoints')
    (path.parent / 'checkpoints-began').unlink()
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    self.assertEqual(json.loads(path.read_text())['computation'], computation.VERSION)

  def test_a_run_of_this_version_is_resumed(self):
    path, config = self.copy(computation.VERSION, 3)
    self.assertEqual(train.train(config, config.workdir), stopping.DONE)
    self.assertEqual(json.loads(path.read_text())['computation'], computation.VERSION)


if __name__ == '__main__':
  absltest.main()
