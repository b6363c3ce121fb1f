"""Audits of IDMs that were trained on data of one's own."""

import html
import json
import pathlib
import tempfile

from absl.testing import absltest

from alpt_jax.labelling import audit_report, audit_run, trained_idm
from alpt_jax.training import train
from tests import own_runs
from tests.labelling.saying import always_up, saying


def train_on_own_data(test):
  """Trains an IDM on data of one's own; returns the directory of all of it, and the IDM."""
  root = pathlib.Path(test.enterContext(tempfile.TemporaryDirectory()))
  own_runs.write(root / 'Play', (20, 31, 25, 18))
  config = own_runs.config(root, root / 'run', train_dt=False, held_out=.5)
  train.train(config, config.workdir)
  return root, trained_idm.restore(config.workdir)


class FilesTest(absltest.TestCase):

  def test_examples_have_the_files_that_the_data_knows(self):
    root, trained = train_on_own_data(self)

    def examples():
      environment, = audit_run.audit_run(saying(trained, always_up), progress=False)['environments']
      return environment['examples']

    before = examples()
    self.assertFalse(any('file' in example for example in before))
    path, files = root / 'Play' / 'dataset_card.json', ['a.mp4', 'b.mp4', 'c.mp4', 'd.mp4']
    path.write_text(json.dumps(json.loads(path.read_text()) | {
        'source_files': [{'name': name, 'steps_per_second': 15.} for name in files]}))
    self.assertEqual(examples(), [
        example | {'file': files[example['episode']]} for example in before])
    self.assertNotEmpty(before)


class OwnVideosTest(absltest.TestCase):

  def test_the_page_says_what_the_owner_of_videos_can_do(self):
    root, trained = train_on_own_data(self)
    path = root / 'Play' / 'dataset_card.json'
    content = json.loads(path.read_text())

    def page(**metadata):
      path.write_text(json.dumps(content | {'metadata': metadata}))
      found = audit_run.audit_run(saying(trained, always_up), progress=False)
      return html.unescape(audit_report.page(found))

    found = page(kind='videos')
    self.assertNotIn('Record the data again', found)
    for text in (
        'random draws: unknown, Play: has no step field action_is_random, so nothing says which '
        'actions were drawn at random. Recordings of experiments.collect say so. Of other data, an '
        'IDM that sees the past only (--config.model.idm_is_causal=True)',
        'ceiling: unknown, Play has no emulator in which all actions could be tried; a second '
        'person’s list of some of the actions (actions-2.csv), imported with the clips, would '
        'bound it',
        'Audit 8 or more: hold out, label by hand or record more of them.'):
      self.assertIn(text, found)
    second = 'a second person’s list'
    self.assertNotIn(second, page(kind='rlds'))  # There is no such list.
    self.assertNotIn(second, page(kind='videos', agreement={
        'value': .9, 'low': .8, 'high': 1., 'num_transitions': 9, 'num_episodes': 2}))


if __name__ == '__main__':
  absltest.main()
