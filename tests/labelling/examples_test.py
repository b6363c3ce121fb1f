"""Examples of an audit: which windows are shown, and what stands in them, by hand."""

import base64

import cv2
import numpy as np
from absl.testing import absltest

from alpt_jax import action_space, schema, types
from alpt_jax.data import episodes as episodes_lib
from alpt_jax.labelling import audit
from alpt_jax.labelling import examples as audit_examples
from experiments.studies import labelling_schema
from tests.reports import labelling_data

NAMES = ('A', 'B', 'C', 'D', 'E')
SPEC = types.EnvironmentSpec(
    name='toy', observation_key='', observation_kind='image', observation_shape=(8, 8, 1),
    actions=action_space.numbered(5, legal=(4, 0, 2)), return_low=0, return_high=10)


def make_episodes(*lengths):
  """Frame t of episode e is of brightness 100 e + 10 t; each transition is rewarded with 1."""
  first = np.cumsum([0, *(n + 1 for n in lengths[:-1])])
  brightness = np.concatenate([100 * e + 10 * np.arange(n + 1) for e, n in enumerate(lengths)])
  is_labelled = np.ones(len(brightness), bool)
  is_labelled[first + lengths] = False
  frames = np.broadcast_to(brightness[:, None, None, None], (len(brightness), 8, 8, 1))
  return episodes_lib.InMemory(
      frames.astype(np.uint8), np.zeros(len(brightness), np.int32),
      is_labelled.astype(np.float32), is_labelled, first, np.array(lengths))


def make_predictions(places, true, said, confidence):
  """Of transitions (episode, timestep); what is not said is as probable as the other."""
  probabilities = np.zeros((len(places), 5))
  probabilities[:, [0, 2, 4]] = (1 - np.array(confidence)[:, None]) / 2
  probabilities[np.arange(len(places)), said] = confidence
  episode, timestep = np.array(places).T
  return audit.Predictions('toy', probabilities, np.array(true), episode, timestep, NAMES,
                           SPEC.legal_actions, None)


def choose(predictions, episodes, spec=SPEC, window=3, num_bytes=10 ** 6):
  return audit_examples.choose(predictions, episodes, spec, window=window, num_bytes=num_bytes)


def decode(example):
  return cv2.imdecode(np.frombuffer(base64.b64decode(example['strip']), np.uint8),
                      cv2.IMREAD_GRAYSCALE)


def starts(examples):
  return [(example['kind'], example['episode'], example['start']) for example in examples]


class ExamplesTest(absltest.TestCase):

  def test_by_hand(self):
    # Windows: episode 0 from 0, 3 and 6, episode 1 from 0.
    places = [*((0, t) for t in range(9)), *((1, t) for t in range(3))]
    true = [0, 2, 4, 2, 2, 2, 4, 4, 0, 0, 0, 0]
    said = [4, 2, 2, 2, 0, 2, 4, 4, 0, 0, 0, 0]
    confidence = [.9, .8, .7, .6, .5, .9, .9, .9, .9, .4, .9, .9]
    examples = choose(make_predictions(places, true, said, confidence), make_episodes(9, 3))
    # The first of each kind come first; all four windows are there, so that none is left to draw.
    self.assertEqual(starts(examples), [
        ('wrong', 0, 0), ('unsure', 1, 0), ('wrong', 0, 3), ('unsure', 0, 6)])
    # Of the sorted legal actions A, C, E.
    self.assertEqual((examples[0]['true'], examples[0]['predicted']), ([0, 1, 2], [2, 1, 1]))
    self.assertEqual(examples[0]['confidence'], [.9, .8, .7])
    self.assertEqual(examples[2]['return_to_go'], [6., 5., 4.])
    self.assertEqual(examples[2]['was_labelled'], [False] * 3)
    strip = decode(examples[2])
    self.assertEqual(strip.shape, (88, 4 * 88))
    np.testing.assert_array_equal(strip[0, ::88], [30, 40, 50, 60])
    np.testing.assert_array_equal(decode(examples[1])[0, ::88], [100, 110, 120, 130])
    labelling = labelling_data.make_labelling(actions=('A', 'C', 'E'))
    schema.check(labelling | {'examples': examples}, labelling_schema.LABELLING, 'examples')

  def test_no_window_crosses_the_end_of_an_episode_or_a_gap(self):
    # Episode 0 ends after 4. In episode 1 transitions 0 to 3, and 6, were not audited.
    places = [*((0, t) for t in range(4)), (1, 4), (1, 5), *((1, t) for t in range(7, 14))]
    nothing = [0] * len(places)
    examples = choose(make_predictions(places, nothing, nothing, [.5] * len(places)),
                      make_episodes(4, 14))
    self.assertCountEqual(starts(examples), [
        ('unsure', 0, 0), ('unsure', 1, 7), ('unsure', 1, 10)])

  def test_windows_longer_than_all_episodes_are_none(self):
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    predictions = make_predictions(places, [0] * 4, [2] * 4, [.5] * 4)
    self.assertEqual(choose(predictions, make_episodes(2, 2)), [])
    self.assertLen(choose(predictions, make_episodes(2, 2), window=2), 2)

  def test_at_most_twelve_six_of_them_wrong(self):
    places = [(0, t) for t in range(60)]
    examples = choose(make_predictions(places, [0] * 60, [0, 0, 2] * 20, [.5] * 60),
                      make_episodes(60))
    self.assertEqual([x['kind'] for x in examples],
                     ['wrong', 'unsure', 'drawn'] * 3 + ['wrong'] * 3)
    self.assertLen({x['start'] for x in examples}, 12)

  def test_large_pictures_are_fewer_of_each_kind(self):
    places = [(0, t) for t in range(60)]
    predictions = make_predictions(places, [0] * 60, [0, 0, 2] * 20, [.5] * 60)
    everything = choose(predictions, make_episodes(60))
    num_bytes = sum(len(x['strip']) for x in everything[:4])
    self.assertEqual(choose(predictions, make_episodes(60), num_bytes=num_bytes), everything[:4])
    self.assertEqual(choose(predictions, make_episodes(60), num_bytes=num_bytes - 1),
                     everything[:3])

  def test_vectors_are_no_pictures(self):
    spec = types.EnvironmentSpec(
        name='toy', observation_key='', observation_kind='vector', observation_shape=(4,),
        actions=action_space.numbered(5, legal=(0, 2, 4)), return_low=0, return_high=10)
    places = [(0, t) for t in range(9)]
    self.assertEqual(
        choose(make_predictions(places, [0] * 9, [2] * 9, [.5] * 9), make_episodes(9), spec), [])


if __name__ == '__main__':
  absltest.main()
