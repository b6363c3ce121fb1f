"""Labels of a key and a mouse that a run wrote, scored part by part, by hand."""

import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from alpt_jax import action_parts, action_space
from alpt_jax.data import episodes
from alpt_jax.labelling import part_scores, run_labels

FIRE, TURN = action_parts.Binary('fire'), action_parts.Continuous('turn', -10., 10., num_bins=8)
GEAR = action_parts.Categorical('gear', ('low', 'high'))
SPACE = action_space.Parts((FIRE, TURN, GEAR), (FIRE, TURN, None))
TRUE_FIRE = [0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0]
SAID_FIRE = [0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0]
TRUE_TURN = np.array([0, 3, 6, 5, 1, -2, -8, 9, 9, 0, 1, -1.])
SAID_TURN = TRUE_TURN + [0, 1, 2, 2.5, 0, 2.6, 0, 0, -1, 0, 3, 0]  # A bin is 2.5 wide.


def laid_out(fire, turn):
  """[12, 3] actions; of the gear that is not there, anything."""
  return np.stack([fire, turn, np.ones(12)], axis=1).astype(np.float32)


def make_truth():
  is_known = np.tile([True, True, False], (12, 1))
  return episodes.InMemory(
      np.zeros((13, 2, 2, 1), np.uint8), np.append(laid_out(TRUE_FIRE, TRUE_TURN), [[0] * 3], 0),
      np.zeros(13, np.float32), np.append(is_known, [[False] * 3], 0), np.array([0]),
      np.array([12]))


class PartScoresTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def write(self, was_labelled=(), said=None):
    """Writes labels in windows of 3; some (timestep, part) were known to training."""
    known = np.zeros((12, 3), bool)
    for timestep, part in was_labelled:
      known[timestep, part] = True
    said = laid_out(SAID_FIRE, SAID_TURN) if said is None else said
    (self.directory / 'labels').mkdir(exist_ok=True)
    np.savez(self.directory / 'labels' / 'step_0000005.npz', episode=np.zeros(4, int),
             start=3 * np.arange(4), is_counted=np.ones((4, 3), bool),
             actions=said.reshape(4, 3, 3), was_labelled=known.reshape(4, 3, 3),
             confidence=np.ones((4, 3, 3), np.float16))
    path, = run_labels.files(self.directory)
    return path

  def test_events_and_explained_variance(self):
    found = part_scores.score(SPACE, self.write(), make_truth())
    self.assertEqual(found['labels/fire/event_f1'], 2 / 4)  # Onset 2, release 10 of 4 and 4.
    later, before = TRUE_TURN[1:], TRUE_TURN[:-1]  # Both where there is a step before.
    self.assertAlmostEqual(found['labels/turn/r2'], 1 - np.sum(
        (SAID_TURN[1:] - later)**2) / np.sum((later - later.mean())**2))
    self.assertAlmostEqual(found['labels/turn/r2_floor'], 1 - np.sum(
        (later - before)**2) / np.sum((later - later.mean())**2))
    self.assertEqual(found['labels/event_f1'], found['labels/fire/event_f1'])
    self.assertEqual(found['labels/r2'], found['labels/turn/r2'])
    self.assertBetween(found['labels/fire/event_f1_floor'], 0, .5)
    self.assertLen(found, 6)

  def test_what_training_knew_does_not_count_by_part(self):
    found = part_scores.score(SPACE, self.write([(4, 0), (0, 1), (1, 1)]), make_truth())
    # Nothing says what happened to the key at 4 and 5: 2, 8 and 10, and said 2, 6, 9 and 10.
    self.assertEqual(found['labels/fire/event_f1'], 2 * 2 / (3 + 4))
    true, said = TRUE_TURN[3:], SAID_TURN[3:]  # The step before is known.
    self.assertAlmostEqual(found['labels/turn/r2'], 1 - np.sum(
        (said - true)**2) / np.sum((true - true.mean())**2))

  def test_a_part_without_hidden_actions_has_no_number(self):
    found = part_scores.score(SPACE, self.write([(t, 0) for t in range(12)]), make_truth())
    self.assertIsNone(found['labels/fire/event_f1'])
    self.assertIsNone(found['labels/event_f1'])
    self.assertIsNotNone(found['labels/r2'])

  def test_a_step_is_right_if_all_its_hidden_parts_are(self):
    path = self.write()
    score = lambda path: run_labels.score_labels(  # noqa: E731
        [path], make_truth(), SPACE.is_right)
    # Fire is wrong at 5 and 8, the turn, by more than a bin, at 5 and 10.
    self.assertEqual(score(path), {5: 9 / 12})
    self.assertEqual(run_labels.count_hidden(path, make_truth()), (12, 4))
    path = self.write([(8, 0), (0, 0), (0, 1), (1, 0)])
    self.assertEqual(score(path), {5: 9 / 11})  # 8 is right in its turn; 0 does not count.
    self.assertEqual(run_labels.count_hidden(path, make_truth()), (11, 4))

  def test_one_action_at_every_step_has_no_parts(self):
    self.assertEqual(part_scores.score(action_space.numbered(3), None, None), {})

  def test_an_angle_is_right_across_its_ends(self):
    angle = action_parts.Continuous('angle', -180., 180., wraps=True, num_bins=36)
    np.testing.assert_array_equal(
        angle.is_right(np.array([179., -179, 179]), np.array([-175., 175, -160])),
        [True, True, False])
