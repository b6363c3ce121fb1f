"""Trained IDMs as Python objects: what they predict, what they refuse, what the README shows."""

import contextlib
import io
import pathlib
import re
import shutil
import tempfile

import jax
import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_space, types
from alpt_jax.data import rlds
from alpt_jax.labelling import label_dataset, trained_idm
from alpt_jax.learners import alpt
from alpt_jax.training import train
from tests import own_runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
LENGTHS = (20, 31, 25, 9, 3)


class TrainedIdmTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
    own_runs.write(cls.root / 'runs' / 'own' / 'data' / 'Play', LENGTHS, known=(1., 1., .4, 0., 0.))
    config = own_runs.config(
        cls.root / 'runs' / 'own' / 'data', cls.root / 'runs' / 'own' / 'idm', train_dt=False)
    assert train.train(config, config.workdir) == 0
    cls.idm = trained_idm.restore(config.workdir)
    cls.episodes = rlds.read_episodes(cls.root / 'runs' / 'own' / 'data' / 'Play', cls.idm.spec)

  def frames(self, number):
    """[L + 1, ...]; all frames of an episode."""
    return self.episodes.frames(number, 0, LENGTHS[number] + 1)

  def window_by_window(self, frames, stride):
    """[T - 1, A]; the mean over windows, each computed by itself."""
    window, legal = self.idm.config.window, alpt.legal_actions([self.idm.spec])
    length = len(frames) - 1
    padded = np.concatenate([frames, np.repeat(frames[-1:], max(window - length, 0), axis=0)])
    sums, counts = np.zeros((length, self.idm.spec.num_actions)), np.zeros(length)
    starts = list(range(0, len(padded) - window, stride))
    if starts[-1] + window < length:
      starts.append(length - window)
    for i, start in enumerate(starts):
      found = np.asarray(alpt.probabilities(
          self.idm.idm, self.idm.params, padded[None, start:start + window + 1], legal))[0]
      is_rest = i and start < starts[i - 1] + stride  # Of the last one, what no other holds.
      for t in range(starts[i - 1] + window if is_rest else start, min(start + window, length)):
        sums[t] += found[t - start]
        counts[t] += 1
    return sums / counts[:, None]

  @parameterized.product(number=(1, 3, 4), stride=(1, 3, 5))
  def test_predictions_are_means_of_windows(self, number, stride):
    frames = self.frames(number)
    found = self.idm.predict(frames, stride=stride)
    self.assertEqual((found.shape, found.dtype), ((LENGTHS[number], 4), np.float32))
    np.testing.assert_allclose(found, self.window_by_window(frames, stride), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)

  def test_predictions_are_the_labels_that_a_dataset_gets(self):
    label_dataset.label_run(
        self.idm, self.root / 'Labelled', temperature=1.7, progress=False)
    builder = rlds.open_builder(self.root / 'Labelled')
    source = builder.as_data_source('train')
    for number in range(len(LENGTHS)):
      steps = list(source[number]['steps'])[:-1]
      found = self.idm.predict(self.frames(number), temperature=1.7)
      np.testing.assert_allclose(
          found, [step['action_probabilities'] for step in steps], atol=1e-6)
      is_label = np.array([step['action_source'] == rlds.SOURCES.index('idm') for step in steps])
      np.testing.assert_array_equal(
          found.argmax(axis=1)[is_label], np.array([step['action'] for step in steps])[is_label])
      self.assertEqual(is_label.sum(), (0, 0, 15, 9, 3)[number])

  def test_a_temperature_flattens_and_keeps_the_order(self):
    frames = self.frames(1)
    plain, flat = (self.idm.predict(frames, temperature=t).astype(float) for t in (1., 2.))
    expected = np.sqrt(plain) / np.sqrt(plain).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(flat, expected, atol=1e-6)

  def test_episodes_come_in_the_order_they_are_asked_for(self):
    found = list(self.idm.predict_episodes(self.episodes, [3, 0, 4]))
    self.assertEqual([x.episode for x in found], [3, 0, 4])
    for x in found:
      np.testing.assert_allclose(x.probabilities, self.idm.predict(self.frames(x.episode)),
                                 atol=1e-6)

  def test_actions_of_another_environment_that_are_not_legal_get_nothing(self):
    spec = own_runs.environment('Other', legal=('stay', 'up')).spec()
    found, = self.idm.predict_episodes(self.episodes, [1], spec=spec)
    self.assertTrue((found.probabilities[:, 1:3] == 0).all())
    ours = self.idm.predict_episodes(self.episodes, [1])
    self.assertTrue((next(ours).probabilities > 0).all())

  def test_programs_are_compiled_once(self):
    with jax.log_compiles():
      with self.assertLogs('jax._src.interpreters.pxla', level='WARNING'):
        self.idm.predict(self.frames(0), stride=2)
      with self.assertNoLogs('jax._src.interpreters.pxla', level='WARNING'):
        self.idm.predict(self.frames(1), stride=2)
        self.idm.predict(self.frames(4), stride=2)

  @parameterized.parameters(
      (lambda x: x.astype(np.float32), 'frames are float32; expected uint8'),
      (lambda x: x.astype(np.int64), 'frames are int64; expected uint8'),
      (lambda x: x[..., 0], r'frames have shape \[21, 28, 28\]; expected uint8'),
      (lambda x: x[None], r'frames have shape \[1, 21, 28, 28, 1\]'),
      (lambda x: x[0], r'frames have shape \[28, 28, 1\]'),
      (lambda x: x[0, 0, 0, 0], r'frames have shape \[\]'),
      (lambda x: x[:1], r'frames have shape \[1, 28, 28, 1\]'),
      (lambda x: x[:0], r'frames have shape \[0, 28, 28, 1\]'))
  def test_what_is_no_clip_is_refused(self, change, message):
    with self.assertRaisesRegex(
        ValueError, message + r'.*\[T, 28, 28, 1\], T at least 2 frames of one'):
      self.idm.predict(change(self.frames(0)))

  @parameterized.parameters(
      (dict(stride=0), 'stride is 0; expected 1'), (dict(stride=6), 'stride is 6; expected 1'),
      (dict(temperature=0.), 'temperature is 0.0; expected'),
      (dict(temperature=float('nan')), 'temperature is nan; expected'))
  def test_settings_that_mean_nothing_are_refused(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      self.idm.predict(self.frames(0), **settings)

  def test_python_blocks_of_the_readme_run(self):
    text = (ROOT / 'alpt_jax' / 'README.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    blocks = [block for block in blocks if 'quantiles' not in block]  # See part_labels_test.py.
    self.assertLen(blocks, 2)
    np.save(self.root / 'clip.npy', self.frames(2))
    names, out = {}, io.StringIO()
    with contextlib.chdir(self.root), contextlib.redirect_stdout(out):
      for block in blocks:
        exec(block.replace('data/Breakout', 'data/Play'), names)  # pylint: disable=exec-used
    np.testing.assert_array_equal(names['probabilities'], self.idm.predict(self.frames(2)))
    self.assertEqual(names['actions'], [
        own_runs.ACTIONS[a] for a in names['probabilities'].argmax(axis=1)])
    lines = out.getvalue().splitlines()
    self.assertLen([line for line in lines if re.match(r'\d+ 0\.\d+ \[', line)], len(LENGTHS))


class FramesTest(parameterized.TestCase):

  def spec(self, kind, shape, **fields):
    return types.EnvironmentSpec(
        name='test', observation_key='', observation_kind=kind, observation_shape=shape,
        actions=action_space.numbered(2), return_low=0, return_high=1, **fields)

  def test_vectors_are_numbers_in_their_range(self):
    spec = self.spec('vector', (2,), observation_low=-1., observation_high=1.)
    found = trained_idm.check_frames([[0, 1], [-1, 0]], spec)
    self.assertEqual((found.dtype, found.tolist()), (np.float32, [[0, 1], [-1, 0]]))
    for value in (1.5, -2., np.nan, np.inf):
      with self.assertRaisesRegex(
          ValueError, f'frames: observation has {value} at step 1; expected .* .-1.0, 1.0.'):
        trained_idm.check_frames([[0., 1.], [0., value]], spec)
    with self.assertRaisesRegex(ValueError, 'frames are <U1; expected numbers'):
      trained_idm.check_frames([['a', 'b'], ['a', 'b']], spec)

  def test_grids_are_zeros_and_ones(self):
    spec = self.spec('grid', (2, 2, 1))
    planes = np.zeros((3, 2, 2, 1), np.uint8)
    self.assertIs(trained_idm.check_frames(planes, spec), planes)
    planes[2, 0, 1] = 2
    with self.assertRaisesRegex(ValueError, r'observation has 2 at step 2; expected .*\[0, 1\]'):
      trained_idm.check_frames(planes, spec)


if __name__ == '__main__':
  absltest.main()
