"""The measurement of labelling counts the windows that labelling votes with; never how fast."""

import tempfile

from absl.testing import absltest

from alpt_jax.data import rlds
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
    self.assertEqual(rlds.dataset_digest(*label_speed.directories(config)), before)


if __name__ == '__main__':
  absltest.main()
