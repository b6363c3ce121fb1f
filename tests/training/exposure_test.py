"""How often a run sees its data, computed by hand."""

import io

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import methods
from alpt_jax.data import pipeline, sampling
from alpt_jax.training import exposure, run_config, shares
from experiments.configs import atari


class WindowsPerEpochTest(parameterized.TestCase):

  @parameterized.parameters(
      ([5], 5, 1.),  # A labelled window.
      ([3], 5, 1.),  # Too short for one.
      ([10], 5, 2.8),  # Offset 0: two windows; 1 to 4: three, two of them partial.
      ([6], 5, 2.), ([4, 10], 1, 14.), ([10, 5, 3], 5, 4.8))
  def test_by_hand(self, lengths, window, expected):
    segments = sampling.whole_episodes(lengths)
    self.assertAlmostEqual(sampling.windows_per_epoch(segments, window), expected)

  def test_agrees_with_the_sampler(self):
    segments = sampling.whole_episodes([13, 7, 29, 5, 2, 40])
    sampler = sampling.WindowSampler(
        segments, window=5, rows=1, num_shards=1, pool_size=1, seed=0)
    num_steps = 20_000
    seen = sum(int(sampler.windows(step).is_valid.sum()) for step in range(num_steps))
    epochs = seen / segments.num_transitions.sum()  # Every transition counts once in an epoch.
    self.assertAlmostEqual(epochs / (num_steps / sampling.windows_per_epoch(segments, 5)), 1.,
                           places=2)


class ExposureTest(absltest.TestCase):

  def streams(self):
    labelled = sampling.labelled_windows(np.stack([np.arange(50), np.zeros(50)], axis=1), 5)
    episodes = sampling.whole_episodes([1001] * 20)  # 1 + 1000 / 5 = 201 windows each.
    return [pipeline.Stream('idm', None, episodes, 1, 6, methods.SOURCES),
            pipeline.Stream('idm', None, labelled, 0, 6, methods.LABELLED),
            pipeline.Stream('limited', None, episodes, 0, 12, methods.TARGET)]

  def test_epochs_of_each_stream(self):
    found = exposure.measure(self.streams(), ['Pong', 'Freeway'], window=5, num_steps=2010)
    self.assertEqual([e.environment for e in found], ['Freeway', 'Pong', 'Pong'])
    self.assertEqual([e.num_windows for e in found], [12_060, 12_060, 24_120])
    # 12,060 windows of 4,020; of 50; 24,120 of 4,020.
    np.testing.assert_allclose([e.epochs for e in found], [3., 241.2, 6.])

  def test_lines_and_the_warning_above_200_epochs(self):
    config = atari.get_config('tiny')
    config.num_steps = 2010
    written = io.StringIO()
    exposure.write(self.streams(), ['Pong', 'Freeway'], config, 5, written)
    self.assertEqual(written.getvalue().splitlines(), [
        'idm: source of Freeway: 6 rows an update, 12,060 windows in 2,010 updates, 3 epochs',
        'idm: labelled windows of Pong: 6 rows an update, 12,060 windows in 2,010 updates, '
        '241 epochs',
        'limited: target of Pong: 12 rows an update, 24,120 windows in 2,010 updates, 6 epochs',
        'warning: idm sees the labelled windows of Pong 241 times; more than 200 invite learning '
        'by heart. Take fewer updates, more labels, or, beside sources, fewer rows '
        '(--config.sampling.labelled_share).'])

  def test_two_hundred_epochs_are_not_warned_of(self):
    windows = sampling.labelled_windows(np.stack([np.arange(50), np.zeros(50)], axis=1), 5)
    stream = pipeline.Stream('q', None, windows, 0, 10, methods.LABELLED)
    found = exposure.measure([stream], ['Pong'], window=5, num_steps=1000)
    self.assertEqual(found[0].epochs, 200.)
    self.assertLen(exposure.lines(found, num_steps=1000), 1)

  def test_paper_preset_sees_its_labels_as_often_as_it_says(self):
    config = atari.get_config('paper,phase=pretrain')
    phase, specs = run_config.check_run(config)
    rows = {(s.part, s.data): s.rows for s in shares.of(config, phase, specs)}
    self.assertEqual(rows, {('idm', methods.SOURCES): 512, ('idm', methods.LABELLED): 32,
                            ('dt', methods.SOURCES): 416, ('limited', methods.TARGET): 416})
    num_windows = config.num_labels // config.window
    self.assertEqual(rows['idm', methods.LABELLED] * config.num_steps / num_windows, 16_000)
    config.sampling.labelled_share = 0.
    rows = {(s.part, s.data): s.rows for s in shares.of(config, phase, specs)}
    self.assertEqual(rows['idm', methods.LABELLED] * config.num_steps / num_windows, 208_000)
    finetuning = atari.get_config('paper,phase=finetune')
    self.assertEqual(finetuning.idm_batch_size * finetuning.num_steps / num_windows, 12_800)


if __name__ == '__main__':
  absltest.main()
