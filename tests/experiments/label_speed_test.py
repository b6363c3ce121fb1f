"""The measurement of labelling counts the windows that labelling votes with; never how fast."""

import tempfile

from absl.testing import absltest

from alpt_jax.data import records, rlds
from alpt_jax.training import run_config
from experiments import label_speed
from tests import atari_runs


class LabelSpeedTest(absltest.TestCase):

  def test_every_stride_is_measured_in_every_turn(self):
    config = atari_runs.config(self.enterContext(tempfile.TemporaryDirectory()))
    before = rlds.dataset_digest(*label_speed.directories(config))
    found = label_speed.measure(config, [1, config.window], 2)
    self.assertEqual(set(found['strides']), {1, config.window})
    for measured in found['strides'].values():
      self.assertLen(measured['quotient'], 2)
      self.assertGreater(min(measured['quotient']), 0)
    windows = {stride: measured['windows'] for stride, measured in found['strides'].items()}
    self.assertGreaterEqual(windows[config.window] * config.window, found['transitions'])
    self.assertLess(windows[1], found['transitions'])
    parts = label_speed.measure(config, [config.window], 1, num_parts=4)
    self.assertEqual(parts['transitions'], found['transitions'])
    self.assertEqual(parts['strides'][config.window]['windows'], windows[config.window])
    self.assertEqual(rlds.dataset_digest(*label_speed.directories(config)), before)

  def test_a_copy_has_the_same_observations_and_parts_of_all_kinds(self):
    config = atari_runs.config(self.enterContext(tempfile.TemporaryDirectory()))
    directory, = label_speed.directories(config)
    source = records.Dataset(directory, run_config.check_run(config)[1][0])
    copy = label_speed.copy_with_parts(
        source, self.enterContext(tempfile.TemporaryDirectory()), 10)
    self.assertEqual([part.kind for part in copy.spec.actions.parts], [
        'binary', 'continuous', 'categorical'] * 3 + ['binary'])
    before, after = ([fields for chunk in x.chunks(50) for fields in x.read(chunk).fields]
                     for x in (source, copy))
    for a, b in zip(before, after, strict=True):
      self.assertEqual(a['observation'], b['observation'])
      self.assertFalse(any(known.any() for known in b['is_labelled'].values()))


if __name__ == '__main__':
  absltest.main()
