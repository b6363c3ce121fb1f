import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.data import source_files

FILES = [{'name': 'a.mp4', 'steps_per_second': 15.}, {'name': 'b', 'steps_per_second': None}]


class SourceFilesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self._directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def _write(self, **card):
    (self._directory / 'dataset_card.json').write_text(json.dumps(card))

  def test_comes_back(self):
    self._write(name='Own', source_files=FILES)
    self.assertEqual(source_files.read(self._directory, 2),
                     [source_files.SourceFile('a.mp4', 15.), source_files.SourceFile('b', None)])

  def test_data_without_a_list_or_a_card_has_none(self):
    self.assertIsNone(source_files.read(self._directory, 2))
    self._write(name='Own')
    self.assertIsNone(source_files.read(self._directory, 2))

  @parameterized.parameters(
      (FILES[:1],), ([],), (7,), (['a.mp4', 'b'],), ([FILES[0], {'name': 3}],),
      ([FILES[0], {'name': 'b', 'steps_per_second': 0}],), ([FILES[0], {'file': 'b'}],))
  def test_other_lists_are_refused(self, found):
    self._write(name='Own', source_files=found)
    with self.assertRaisesRegex(ValueError, 'dataset_card.json: source_files is not a list of the '
                                            'name and steps_per_second of 2 files, .*import or'):
      source_files.read(self._directory, 2)


if __name__ == '__main__':
  absltest.main()
