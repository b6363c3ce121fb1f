import json
import os
import tempfile

import tensorflow as tf
import tensorflow_datasets as tfds
from absl.testing import absltest

from alpt_jax.data import tfrecord
from tests.data import handmade


class ConvertTest(absltest.TestCase):

  def _directory(self):
    return self.enterContext(tempfile.TemporaryDirectory())

  def _tfrecords(self):
    source = os.path.join(self._directory(), 'source')
    handmade.write(source, [handmade.episode(n) for n in (1, 2, 3)], episodes_per_file=2,
                   file_format='tfrecord')
    return source, os.path.join(source, 'handmade-train.tfrecord-00000')

  def test_copy_holds_the_same_records(self):
    source, _ = self._tfrecords()
    directory = self._directory()
    tfrecord.convert_to_array_record(source, directory)
    copied = tfds.builder_from_directory(directory).as_data_source(
        'train', deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    files = [os.path.join(source, f'handmade-train.tfrecord-0000{i}') for i in range(2)]
    self.assertEqual(list(copied), list(tf.data.TFRecordDataset(files).as_numpy_iterator()))

  def test_file_cut_between_records_is_not_copied(self):
    source, path = self._tfrecords()
    first = next(iter(tf.data.TFRecordDataset(path).as_numpy_iterator()))
    with open(path, 'r+b') as f:
      f.truncate(len(first) + 16)  # 8 bytes of length, and two checksums of 4.
    directory = self._directory()
    with self.assertRaisesRegex(ValueError, f'{path}: holds 1 episodes; dataset_info.json says 2'):
      tfrecord.convert_to_array_record(source, directory)
    self.assertEqual(os.listdir(directory), [])

  def test_damaged_or_missing_file_is_not_copied(self):
    source, path = self._tfrecords()
    with open(path, 'r+b') as f:
      f.truncate(os.path.getsize(path) - 1)
    with self.assertRaisesRegex(ValueError, f'{path}: missing or damaged'):
      tfrecord.convert_to_array_record(source, self._directory())
    os.remove(path)
    with self.assertRaisesRegex(ValueError, f'{path}: missing or damaged'):
      tfrecord.convert_to_array_record(source, self._directory())

  def test_source_must_be_a_dataset(self):
    with self.assertRaisesRegex(FileNotFoundError, 'has no dataset_info.json'):
      tfrecord.convert_to_array_record(self._directory(), 'unused')

  def test_manifest_differs_in_format_and_file_names_only(self):
    source, _ = self._tfrecords()
    directory = self._directory()
    tfrecord.convert_to_array_record(source, directory)
    manifests = []
    for path in (source, directory):
      with open(os.path.join(path, 'dataset_info.json')) as f:
        manifests.append(json.load(f))
      manifests[-1].pop('fileFormat')
      for split in manifests[-1]['splits']:
        split.pop('filepathTemplate')
    self.assertEqual(manifests[0], manifests[1])


if __name__ == '__main__':
  absltest.main()
