"""Published data becomes array_record files, and what is recorded equals what TFDS prepares."""

import json
import os
import tempfile
from unittest import mock

import tensorflow as tf
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized
from tensorflow_datasets.rl_unplugged.rlu_atari_checkpoints_ordered import (
    rlu_atari_checkpoints_ordered,
)

from alpt_jax.data import rlds
from alpt_jax.domains.atari import convert
from tests.data import atari_data

_NAME = 'rlu_atari_checkpoints_ordered/Breakout_run_1/1.1.0'


def _sorted_fields(records):
  """The same records with their fields in a fixed order, which TFDS's own have not."""
  return {split: [tf.train.Example.FromString(r).SerializeToString(deterministic=True)
                  for r in episodes] for split, episodes in records.items()}


def _without_marks(records):
  """The same records without the step field that only recordings made here have."""
  result = {}
  for split, episodes in records.items():
    result[split] = []
    for record in episodes:
      example = tf.train.Example.FromString(record)
      del example.features.feature['steps/action_is_random']
      result[split].append(example.SerializeToString(deterministic=True))
  return result


def _manifest(directory, name='dataset_info.json'):
  with open(os.path.join(directory, name)) as f:
    return json.load(f)


class PrepareTest(parameterized.TestCase):

  def _directory(self):
    return self.enterContext(tempfile.TemporaryDirectory())

  def test_recording_equals_what_tfds_prepares_of_the_same_episodes(self):
    _, recorded, _, checkpoints = atari_data.recorded()
    published, data_dir = self._directory(), self._directory()
    atari_data.write_published(published, checkpoints)
    counts = []
    self.assertEqual(convert.num_files('Breakout', published, run=1), 3)
    convert.prepare('Breakout', data_dir, published, progress=counts.append)
    self.assertEqual(sorted(set(counts)), [0, 1, 2, 3])
    prepared = os.path.join(data_dir, _NAME)
    records = _without_marks(atari_data.records(recorded))
    self.assertTrue(_sorted_fields(atari_data.records(prepared)) == records)
    features = _manifest(recorded, 'features.json')
    steps = features['featuresDict']['features']['steps']['sequence']['feature']
    self.assertEqual(
        steps['featuresDict']['features'].pop('action_is_random')['tensor']['dtype'], 'bool')
    self.assertEqual(features, _manifest(prepared, 'features.json'))
    found, expected = _manifest(recorded), _manifest(prepared)
    self.assertIn('NOT DQN replay', found.pop('description'))
    self.assertIn('DQN replay paper', expected.pop('description'))
    for manifest, content in ((found, atari_data.records(recorded)),
                              (expected, atari_data.records(prepared))):
      sizes = {split['name']: int(split.pop('numBytes')) for split in manifest['splits']}
      self.assertEqual(sizes, {name: sum(map(len, episodes)) for name, episodes in content.items()})
    self.assertEqual(found, expected)

  def test_prepared_data_has_no_card(self):
    published, data_dir = self._directory(), self._directory()
    atari_data.write_published(published, atari_data.recorded()[3][:1])
    convert.prepare('Breakout', data_dir, published)
    self.assertIsNone(rlds.read_card(os.path.join(data_dir, _NAME)))
    with self.assertRaisesRegex(ValueError, 'already exists'):
      convert.prepare('Breakout', data_dir, published)

  def test_missing_files_are_named(self):
    published = self._directory()
    atari_data.write_published(published, atari_data.recorded()[3])
    os.remove(os.path.join(published, 'Breakout/run_1-00001-of-00003'))
    with self.assertRaisesRegex(FileNotFoundError, '1 files are missing: run_1-00001-of-00003'):
      convert.prepare('Breakout', self._directory(), published)
    with self.assertRaisesRegex(FileNotFoundError, 'Freeway: expected files run_2-00000-of-00050'):
      convert.prepare('Freeway', self._directory(), published, run=2)

  def test_damaged_files_are_named(self):
    published, data_dir = self._directory(), self._directory()
    atari_data.write_published(published, atari_data.recorded()[3][:1])
    path = os.path.join(published, 'Breakout/run_1-00000-of-00001')
    os.truncate(path, os.path.getsize(path) // 2)
    with self.assertRaisesRegex(OSError, f'{published}/Breakout/run_1: cannot be read'):
      convert.prepare('Breakout', data_dir, published)
    self.assertFalse(os.path.exists(os.path.join(data_dir, _NAME)))

  @parameterized.parameters(('Breakout', 50), ('StarGunner', 49))
  def test_without_a_directory_tfds_downloads(self, game, num_files):
    self.assertEqual(convert.num_files(game, '', run=1), num_files)
    builder_class = rlu_atari_checkpoints_ordered.RluAtariCheckpointsOrdered
    with mock.patch.object(builder_class, 'download_and_prepare', autospec=True) as prepare:
      convert.prepare(game, self._directory(), '')
    builder, = prepare.call_args.args
    self.assertEqual(builder.get_file_prefix(),
                     f'gs://rl_unplugged/atari_episodes_ordered/{game}/run_1')


class ConvertTest(parameterized.TestCase):

  def _directory(self):
    return self.enterContext(tempfile.TemporaryDirectory())

  @parameterized.named_parameters(
      (f'_{name}', name) for name in ('rlu_atari', 'rlu_atari_checkpoints_ordered'))
  def test_records_are_copied_under_the_same_name(self, dataset):
    _, recorded, card, _ = atari_data.recorded(dataset)
    from_dir, data_dir = self._directory(), self._directory()
    name = os.path.join(*recorded.split('/')[-3:])
    atari_data.write_tfrecord(recorded, os.path.join(from_dir, name))
    counts = []
    self.assertEqual(convert.num_episodes('Breakout', from_dir, dataset=dataset, run=1),
                     card['num_episodes'])
    convert.convert('Breakout', data_dir, from_dir, dataset=dataset,
                    progress=counts.append)
    self.assertEqual(counts, list(range(1, card['num_episodes'] + 1)))
    converted = os.path.join(data_dir, name)
    self.assertTrue(atari_data.records(converted) == atari_data.records(recorded))
    self.assertEqual(_manifest(converted), _manifest(recorded))
    self.assertLen(tfds.builder(f'{dataset}/Breakout_run_1', data_dir=data_dir).info.splits,
                   1 if dataset == 'rlu_atari' else 3)

  def test_array_record_is_not_converted(self):
    data_dir, directory, _, _ = atari_data.recorded()
    with self.assertRaisesRegex(ValueError, f'{directory}: fileFormat is array_record; expected'):
      convert.convert('Breakout', self._directory(), data_dir)


if __name__ == '__main__':
  absltest.main()
