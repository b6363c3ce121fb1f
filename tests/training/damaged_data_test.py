"""Runs whose data was damaged or exchanged: refused at the door, at the start and at a restart."""

import pathlib
import shutil
import tempfile

import numpy as np
from absl.testing import absltest, parameterized
from array_record.python import array_record_module

from alpt_jax.training import stopping, train
from tests import maze_data
from tests.training import train_test

TARGET = 'maze-8-blocks:3-seed0'


def rewritten(path, change):
  """Content of a whole file with the records change(records of `path`)."""
  reader = array_record_module.ArrayRecordReader(str(path))
  records = change(reader.read_all())
  reader.close()
  with tempfile.TemporaryDirectory() as directory:
    copy = pathlib.Path(directory, 'copy')
    writer = array_record_module.ArrayRecordWriter(str(copy), 'group_size:1')
    for record in records:
      writer.write(record)
    writer.close()
    return copy.read_bytes()


def flipped(path):
  content = bytearray(path.read_bytes())
  content[5000] ^= 1
  return content


DAMAGES = dict(
    flipped=(flipped, '{path}: the file is damaged .* Copy or record the dataset again'),
    truncated=(lambda path: path.read_bytes()[:-1], '{path}: .*opy or record the dataset again'),
    emptied=(lambda path: b'', '{path}: .*opy or record the dataset again'),
    missing=(lambda path: None, '{path}: the file is missing; .* Copy or record'),
    cut_between_records=(lambda path: rewritten(path, lambda records: records[:20]),
                         '{path}: holds 20 episodes; dataset_info.json says 40. .*copy or record'),
    episode_exchanged=(lambda path: rewritten(path, lambda records: records[:1] + records[:-1]),
                       '{path.parent}: dataset_card.json says 294 transitions; the files hold'),
)


class DamagedDataTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    shutil.copytree(maze_data.recorded(), cls.root / 'data')
    cls.path, = (cls.root / 'data' / TARGET).glob('*array_record*')
    cls.content = cls.path.read_bytes()
    half = cls.config('half', num_steps=3)
    assert train.train(half, half.workdir) == stopping.DONE

  def setUp(self):
    super().setUp()
    self.addCleanup(self.path.write_bytes, self.content)

  @classmethod
  def config(cls, name, **changes):
    return maze_data.config(cls.root / name, data_dir=str(cls.root / 'data'), **changes)

  def damage(self, change):
    content = change(self.path)
    self.path.unlink()
    if content is not None:
      self.path.write_bytes(content)

  @parameterized.named_parameters((name, *damage) for name, damage in DAMAGES.items())
  def test_damage_is_refused_and_nothing_is_touched(self, change, message):
    self.damage(change)
    before = {path: path.stat().st_mtime_ns for path in (self.root / 'half').rglob('*')}
    for name in ('half', 'new'):
      config = self.config(name)
      with self.assertRaisesRegex((ValueError, FileNotFoundError),
                                  f'^{message.format(path=self.path)}'):
        train.train(config, config.workdir)
    self.assertFalse((self.root / 'new').exists())
    self.assertEqual(
        {path: path.stat().st_mtime_ns for path in (self.root / 'half').rglob('*')}, before)

  def test_whole_data_that_is_other_data_is_refused_at_a_restart(self):
    self.damage(lambda path: rewritten(path, lambda records: records[::-1]))
    config = self.config('half')
    with self.assertRaisesRegex(
        ValueError, rf'half/config.json: .* \(data_digests.{TARGET}: \w+ -> \w+\). Choose another'):
      train.train(config, config.workdir)

  def test_restored_data_lets_the_run_go_on_bit_for_bit(self):
    self.damage(flipped)
    config = self.config('restored', num_steps=3)
    shutil.copytree(self.root / 'half', config.workdir)
    with self.assertRaises(ValueError):
      train.train(config, config.workdir)
    self.path.write_bytes(self.content)
    for changed, steps in ((config, 4), (self.config('unbroken'), 4)):
      changed.num_steps = steps
      self.assertEqual(train.train(changed, changed.workdir), stopping.DONE)
    for a, b in zip(train_test.final_params(config),
                    train_test.final_params(self.config('unbroken')), strict=True):
      np.testing.assert_array_equal(a, b)


if __name__ == '__main__':
  absltest.main()
