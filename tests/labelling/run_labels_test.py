"""What is said of labels: counts by hand, and pictures of the windows that they are about."""

import base64
import dataclasses
import pathlib
import tempfile

import cv2
import numpy as np
from absl.testing import absltest

from alpt_jax import action_space, types
from alpt_jax.data import episodes as episodes_lib
from alpt_jax.data import labels
from alpt_jax.labelling import run_labels

WINDOW = 3
SPEC = types.EnvironmentSpec(
    name='toy', observation_key='', observation_kind='image', observation_shape=(8, 8, 1),
    actions=action_space.Discrete(tuple('ABCDE'), legal=(0, 2, 4)), return_low=0, return_high=10)
TRUE = np.array([[0, 2, 4], [2, 2, 2], [4, 4, 0], [0, 0, 0]])


def make_truth():
  """An episode of 12 transitions; frame t is of brightness 10 t."""
  frames = np.broadcast_to(10 * np.arange(13)[:, None, None, None], (13, 8, 8, 1))
  is_labelled = np.arange(13) < 12
  return episodes_lib.InMemory(
      frames.astype(np.uint8), np.append(TRUE.ravel(), 0).astype(np.int32),
      is_labelled.astype(np.float32), is_labelled, np.array([0]), np.array([12]))


class LabelQualityTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (self.directory / 'labels').mkdir()

  def write(self, step, actions, **changes):
    fields = dict(
        episode=np.zeros(4, int), start=3 * np.arange(4), is_counted=np.ones((4, 3), bool),
        actions=np.array(actions, np.int8), was_labelled=np.zeros((4, 3), bool),
        confidence=np.array([[.9, .8, .7], [.6, .5, .9], [.9, .9, .9], [.4, .9, .9]], np.float16))
    fields = {k: v for k, v in (fields | changes).items() if v is not None}
    np.savez(self.directory / 'labels' / f'step_{step:07d}.npz', **fields)

  def describe(self):
    return run_labels.describe(
        run_labels.files(self.directory)[-1], make_truth(), SPEC)

  def test_counts_by_hand(self):
    was_labelled = np.zeros((4, 3), bool)
    was_labelled[0, 0] = True
    self.write(5, np.full((4, 3), 2))
    self.write(9, [[4, 2, 2], [2, 0, 2], [4, 4, 0], [0, 0, 0]], was_labelled=was_labelled)
    self.assertEqual(run_labels.score_labels(
        run_labels.files(self.directory), make_truth()),
                     {5: 4 / 12, 9: 9 / 11})
    self.assertEqual([run_labels.count_hidden(path, make_truth()) for path in run_labels.files(
        self.directory)], [(12, 4), (11, 4)])
    is_counted = np.ones((4, 3), bool)
    is_counted[1] = is_counted[2, 0] = False
    self.write(9, TRUE, was_labelled=was_labelled, is_counted=is_counted)
    self.assertEqual(
        run_labels.count_hidden(run_labels.files(self.directory)[-1], make_truth()), (7, 3))
    self.write(9, [[4, 2, 2], [2, 0, 2], [4, 4, 0], [0, 0, 0]], was_labelled=was_labelled)
    found = self.describe()
    self.assertEqual(found['step'], 9)
    self.assertEqual(found['num_hidden'], 11)
    self.assertEqual(found['actions'], ['A', 'C', 'E'])
    # The first transition was known, so that calling it E counts for nothing.
    self.assertEqual(found['confusion'], [[4, 0, 0], [1, 3, 0], [0, 1, 2]])

  def test_table_of_the_change_is_fitted_to_the_labels_and_judged_on_the_rest(self):
    was_labelled = np.zeros((4, 3), bool)
    was_labelled[0] = True
    self.write(1, TRUE, was_labelled=was_labelled)
    steps = TRUE.ravel().copy()
    steps[3] = 0  # A move that changes nothing, as against a wall.
    truth = dataclasses.replace(
        make_truth(), observations=np.append(0, np.cumsum(steps)).astype(np.float32)[:, None])
    spec = dataclasses.replace(SPEC, observation_kind='vector', observation_shape=(1,))
    found = run_labels.table_floor(
        run_labels.files(self.directory)[-1], truth,
        labels.Choice(np.array([[0, 0]]), 3, 3, seed=0), spec)
    # Of the nine others, the change gives eight away; the most frequent label is the first of
    # equals, A, which four of them are.
    self.assertEqual(found, {'table': 8 / 9, 'table_low': None, 'table_high': None,
                             'majority': 4 / 9, 'num_entries': 3, 'num_hidden': 9})

  def test_clips_worth_labelling_are_unsure_hidden_and_whole(self):
    was_labelled = np.zeros((4, 3), bool)
    was_labelled[3, 0] = True  # Of the window of which it is least sure.
    self.write(1, TRUE, was_labelled=was_labelled)
    found = run_labels.worth_labelling(
        run_labels.files(self.directory)[-1], make_truth(), SPEC, 9)
    # Brightness changes evenly: windows 0, 1, 2 are 9, 6 and 3 steps from the labelled one, and
    # 1.8, 2 and .3 are the products with their uncertainties of .2, 1/3 and .1.
    self.assertEqual([clip['start'] for clip in found], [3, 0, 6])
    for clip, uncertainty in zip(found, (1 / 3, .2, .1), strict=True):
      self.assertAlmostEqual(clip['uncertainty'], uncertainty, places=3)
    self.assertEqual(found[1]['true'], [0, 1, 2])
    self.assertEqual(cv2.imdecode(np.frombuffer(base64.b64decode(found[0]['strip']), np.uint8),
                                  cv2.IMREAD_GRAYSCALE).shape, (88, 4 * 88))

  def test_no_clips_without_confidence_and_none_past_the_end(self):
    self.write(1, TRUE, confidence=None)
    path, = run_labels.files(self.directory)
    self.assertEqual(run_labels.worth_labelling(path, make_truth(), SPEC, 9), [])
    is_counted = np.ones((4, 3), bool)
    is_counted[3, 2] = False
    self.write(1, TRUE, is_counted=is_counted, start=np.array([0, 3, 6, 10]))
    self.assertCountEqual([clip['start'] for clip in run_labels.worth_labelling(
        path, make_truth(), SPEC, 9)], [0, 3, 6])

  def test_most_wrong_windows_come_first_then_least_sure_ones(self):
    self.write(1, [[0, 2, 2], [0, 0, 2], [4, 4, 0], [0, 0, 0]])
    examples = self.describe()['examples']
    self.assertEqual([(e['kind'], e['start']) for e in examples],
                     [('wrong', 3), ('wrong', 0), ('unsure', 9), ('unsure', 6)])
    first = examples[0]
    self.assertEqual((first['true'], first['predicted']), ([1, 1, 1], [0, 0, 1]))
    np.testing.assert_allclose(first['confidence'], [.6, .5, .9], atol=1e-3)
    self.assertEqual(first['return_to_go'], [9., 8., 7.])
    strip = cv2.imdecode(
        np.frombuffer(base64.b64decode(first['strip']), np.uint8), cv2.IMREAD_GRAYSCALE)
    self.assertEqual(strip.shape, (first['frame_height'], 4 * first['frame_width']))
    np.testing.assert_array_equal(strip[0, ::first['frame_width']], [30, 40, 50, 60])

  def test_runs_that_wrote_no_confidence_have_none(self):
    self.write(1, TRUE, confidence=None)
    examples = self.describe()['examples']
    self.assertEqual([e['confidence'] for e in examples], [None] * 4)
    self.assertNotIn('wrong', [e['kind'] for e in examples])

  def test_a_damaged_file_is_named(self):
    self.write(1, TRUE)
    path = self.directory / 'labels' / 'step_0000001.npz'
    path.write_bytes(path.read_bytes()[:100])
    with self.assertRaisesRegex(ValueError, 'step_0000001.npz: cannot be read'):
      self.describe()

  def test_whatever_byte_is_damaged_is_no_crash(self):
    self.write(1, TRUE)
    path = self.directory / 'labels' / 'step_0000001.npz'
    with np.load(path) as saved:
      np.savez_compressed(path, **saved)
    whole = path.read_bytes()
    num_refused = 0
    for place in range(0, len(whole), 3):
      path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xff]) + whole[place + 1:])
      try:
        run_labels.score_labels(run_labels.files(self.directory), make_truth())
      except ValueError as error:
        num_refused += 1
        self.assertIn('step_0000001.npz', str(error))
    self.assertGreater(num_refused, len(whole) // 6)

  def test_labels_of_a_longer_run_are_left_out(self):
    self.write(1, TRUE)
    self.write(5, TRUE)
    self.assertEqual([f.stem for f in run_labels.files(self.directory, last_step=3)],
                     ['step_0000001'])

  def test_labels_of_other_data_are_refused(self):
    self.write(1, TRUE, start=10 * np.arange(4))
    with self.assertRaisesRegex(ValueError, 'labels transitions that the data does not have'):
      self.describe()


if __name__ == '__main__':
  absltest.main()
