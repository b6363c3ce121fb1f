"""An IDM and data of another speed do not go together unless somebody allows it."""

import contextlib
import dataclasses
import io
import pathlib
import shutil
import tempfile

from absl.testing import absltest, parameterized

from alpt_jax.data import rlds
from alpt_jax.labelling import audit_report, audit_run, clips_run, label_dataset, trained_idm
from alpt_jax.training import train
from tests import own_runs

RATES = {'Play': 15., 'Same': 15.1, 'Fast': 60., 'Unknown': None}


class TimesTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    for i, (name, rate) in enumerate(RATES.items()):
      described = dataclasses.replace(own_runs.environment(name), steps_per_second=rate)
      own_runs.write(cls.root / name, (20, 30, 25), known=(1., 1., 0.), described=described, seed=i)
    config = own_runs.config(cls.root, cls.root / 'run', train_dt=False, num_steps=2)
    train.train(config, config.workdir)
    cls.trained = trained_idm.restore(config.workdir)

  def run_on(self, what, name, **settings):
    """What is written of the times of a dataset, and what is printed on standard error."""
    error, directory = io.StringIO(), str(self.root / name)
    output = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'new')
    with contextlib.redirect_stderr(error):
      if what == 'label':
        card = label_dataset.label_run(self.trained, output, dataset=directory, **settings)
        self.assertEqual(rlds.read_card(output), card)
        return card['labels']['times'], error.getvalue()
      if what == 'clips':
        return clips_run.clips_run(self.trained, dataset=directory, **settings)['times'], ''
      found = audit_run.audit_run(self.trained, environments=[name], num_episodes=2, **settings)
    said = [warning['text'] for warning in found['warnings'] if warning['kind'] == 'speed']
    self.assertIn(said[0] if said else 'Numbers', audit_report.page(found, None))
    return found['about']['times'][name], '\n'.join(said)

  @parameterized.parameters('label', 'clips', 'audit')
  def test_another_speed_is_refused_with_both_values(self, what):
    with self.assertRaisesRegex(ValueError, 'steps_per_second of .*Fast is 60, that of the IDM of '
                                '.*run is 15. .*--allow_other_speed, which is written down'):
      self.run_on(what, 'Fast')

  @parameterized.parameters('label', 'clips', 'audit')
  def test_allowed_it_is_written_down(self, what):
    times, said = self.run_on(what, 'Fast', allow_other_speed=True)
    self.assertEqual((times['data']['steps_per_second'], times['idm']['steps_per_second']),
                     (60., 15.))
    self.assertLen(times['differences'], 1)
    if what != 'clips':  # The program prints it.
      self.assertIn(times['differences'][0], said)
    else:
      self.assertIn('warning: steps_per_second', trained_idm.time_lines(times)[0])

  @parameterized.product(what=('label', 'clips', 'audit'), name=('Play', 'Same'))
  def test_of_the_same_speed_nothing_is_said(self, what, name):
    times, said = self.run_on(what, name)
    self.assertEqual((times['differences'], times['unknown']), ([], []))
    self.assertNotIn('second', said)

  @parameterized.parameters('label', 'clips', 'audit')
  def test_what_is_not_known_is_said(self, what):
    times, said = self.run_on(what, 'Unknown')
    self.assertEqual(times['differences'], [])
    self.assertRegex(times['unknown'][0], 'steps_per_second of .*Unknown is not known')
    if what != 'clips':
      self.assertIn(times['unknown'][0], said)

  def test_a_run_that_does_not_say(self):
    trained = dataclasses.replace(self.trained, time_scales={})
    times = trained_idm.check_time(
        trained, 'Play', self.trained.time_scales['Play'], where='Play', is_own=True,
        is_allowed=False)
    self.assertEqual(times['unknown'], [])  # It is the data of training.
    times = trained_idm.check_time(
        trained, 'Play', self.trained.time_scales['Play'], where='other', is_own=False,
        is_allowed=False)
    self.assertRegex(times['unknown'][0], 'of the IDM of .*run is not known')


if __name__ == '__main__':
  absltest.main()
