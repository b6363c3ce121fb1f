"""What is known to be damaged in RL Unplugged's Atari data is refused at the door."""

import json
import os
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized

from alpt_jax.data import rlds
from alpt_jax.domains.atari import rlu
from tests.data import atari_data

_ALL = frozenset(range(50))


def _write_official(directory, game, run, checkpoints, dataset='rlu_atari_checkpoints_ordered'):
  """Writes the manifests that TFDS would, and files without content."""
  os.makedirs(directory)
  info = tfds.builder(f'{dataset}/{game}_run_{run}', data_dir=directory).info
  template = tfds.core.ShardedFileTemplate(directory, dataset_name=dataset,
                                           filetype_suffix='tfrecord')
  info.set_splits(tfds.core.SplitDict([
      tfds.core.SplitInfo(name=rlu.split_name(dataset, i), shard_lengths=[2, 2], num_bytes=1,
                          filename_template=template) for i in sorted(checkpoints)]))
  info.write_to_directory(directory)
  for split in info.splits.values():
    for path in split.filepaths:
      pathlib.Path(path).touch()


class RluAtariTest(parameterized.TestCase):

  def _official(self, game, run, checkpoints, **kwargs):
    directory = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'data')
    _write_official(directory, game, run, checkpoints, **kwargs)
    return directory

  def test_directories_and_versions_are_those_of_tfds(self):
    data_dir = self.enterContext(tempfile.TemporaryDirectory())
    for dataset in rlu.VERSIONS:
      builder = tfds.builder(f'{dataset}/MsPacman_run_2', data_dir=data_dir)
      self.assertEqual(rlu.dataset_directory(data_dir, dataset, 'MsPacman', 2),
                       os.fspath(builder.data_dir))

  @parameterized.parameters(
      ('rlu', 'Breakout', 1, r"dataset is 'rlu'; expected one of \['rlu_atari', "),
      ('rlu_atari', 'Breakot', 1, 'Breakout'),
      ('rlu_atari', 'Breakout', 6, r'run is 6; expected one of \(1, 2, 3, 4, 5\)'))
  def test_unknown_names_are_refused(self, dataset, game, run, message):
    with self.assertRaisesRegex(ValueError, message):
      rlu.dataset_directory('data', dataset, game, run)

  @parameterized.parameters(('Breakout', _ALL), ('Carnival', _ALL - {49}),
                            ('Gravitar', _ALL - {49}), ('StarGunner', _ALL - {49}))
  def test_published_datasets_are_taken_as_they_were_published(self, game, checkpoints):
    rlu.check_dataset(self._official(game, 1, checkpoints), game, 1)

  def test_missing_checkpoints_are_named(self):
    directory = self._official('Breakout', 1, _ALL - {7, 31})
    with self.assertRaisesRegex(
        ValueError, f'{directory}: Breakout was published with 50 checkpoints; 2 are missing: '
        'checkpoint_07, checkpoint_31. .*allow_damaged'):
      rlu.check_dataset(directory, 'Breakout', 1)
    rlu.check_dataset(directory, 'Breakout', 1, allow_damaged=True)

  def test_missing_files_are_named(self):
    for dataset, name in (('rlu_atari_checkpoints', 'checkpoint_03'), ('rlu_atari', 'train')):
      checkpoints = [0] if dataset == 'rlu_atari' else _ALL
      directory = self._official('Pong', 2, checkpoints, dataset=dataset)
      rlu.check_dataset(directory, 'Pong', 2)
      name = f'{dataset}-{name}.tfrecord-00001-of-00002'
      os.remove(os.path.join(directory, name))
      with self.assertRaisesRegex(FileNotFoundError, f'{directory}: 1 files .* missing: {name}'):
        rlu.check_dataset(directory, 'Pong', 2, allow_damaged=True)

  def test_suspected_run_of_asterix_needs_permission(self):
    directory = self._official('Asterix', 1, _ALL)
    with self.assertRaisesRegex(ValueError, 'Run 1 of Asterix is suspected .* issue 28.* another'):
      rlu.check_dataset(directory, 'Asterix', 1)
    rlu.check_dataset(directory, 'Asterix', 1, allow_damaged=True)
    rlu.check_dataset(self._official('Asterix', 2, _ALL), 'Asterix', 2)

  def test_recorded_data_has_its_own_number_of_checkpoints(self):
    rlu.check_dataset(atari_data.recorded()[1], 'Breakout', 1)
    directory = self._official('Asterix', 1, {0})
    with open(os.path.join(directory, rlds.CARD), 'w') as f:
      json.dump({'name': 'Asterix', 'metadata': {'run': 1}}, f)
    rlu.check_dataset(directory, 'Asterix', 1)

  def test_data_of_another_game_or_run_is_refused(self):
    directory = self._official('Breakout', 1, _ALL)
    for game, run in (('Pong', 1), ('Breakout', 2)):
      with self.assertRaisesRegex(
          ValueError, f'{directory}: holds Breakout_run_1; expected {game}_run_{run}'):
        rlu.check_dataset(directory, game, run)

  def test_one_split_of_another_game_is_refused(self):
    copy = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'copy')
    shutil.copytree(atari_data.recorded('rlu_atari')[1], copy)
    with self.assertRaisesRegex(ValueError, 'holds Breakout_run_1; expected Pong_run_1'):
      rlu.check_dataset(copy, 'Pong', 1)

  def test_no_dataset(self):
    with self.assertRaisesRegex(FileNotFoundError, 'nowhere: no dataset .* of Pong, run 3'):
      rlu.check_dataset('nowhere', 'Pong', 3)

  def test_actions_are_indices_into_the_minimal_set(self):
    rlu.check_actions(np.arange(4), 'Breakout', 'file', 0)
    rlu.check_actions(np.arange(18), 'Alien', 'file', 0)
    for actions, value, step in (([0, 3, 4], 4, 2), ([-1, 5], -1, 0)):
      with self.assertRaisesRegex(
          ValueError, f'file-1: action is {value} at step {step} of episode 12; Breakout has 4 '
          r'minimal actions, stored as indices 0 \.\. 3'):
        rlu.check_actions(np.array(actions), 'Breakout', 'file-1', 12)

  def test_full_ids_of_ms_pacman_are_known(self):
    rlu.check_actions(np.arange(9), 'MsPacman', 'file', 0)
    with self.assertRaisesRegex(ValueError, 'action is 9 .* full 18, as is suspected of MsPacman '
                                r'\(google-research/batch_rl issue 40\)'):
      rlu.check_actions(np.array([2, 9]), 'MsPacman', 'file', 0)


if __name__ == '__main__':
  absltest.main()
