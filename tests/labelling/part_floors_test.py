"""Floors of parts: what they are fitted to, and what they say of other transitions."""

import numpy as np
from absl.testing import absltest

from alpt_jax import action_parts, action_space, types
from alpt_jax.data import episodes, labels
from alpt_jax.labelling import part_audit, part_floors

SPACE = action_space.Parts((
    action_parts.Continuous('turn', -8, 8), action_parts.Binary('jump'),
    action_parts.Categorical('way', ('left', 'on', 'right')),
    action_parts.Continuous('heading', -180, 180, wraps=True)))
NUM, LENGTH = 8, 30


def spec(**changes):
  return types.EnvironmentSpec(**(dict(
      name='Room', observation_key='', observation_kind='vector', observation_shape=(5,),
      actions=SPACE, return_low=0, return_high=1, observation_low=-99., observation_high=99.)
                                  | changes))


def room(seed=0, known=1.):
  """Episodes whose observations change by what was done, and by noise."""
  rng = np.random.default_rng(seed)
  shape = (NUM, LENGTH + 1)
  turn, jump = rng.uniform(-8, 8, shape), rng.random(shape) < .3
  way, heading = rng.integers(0, 3, shape), rng.uniform(-180, 180, shape)
  change = np.stack([turn, jump, way - 1, np.sin(np.radians(heading)),
                     np.cos(np.radians(heading))], axis=-1)
  observations = np.cumsum(np.roll(change, 1, axis=1), axis=1)
  actions = np.stack([turn, jump, way, heading], axis=-1).reshape(-1, 4).astype(np.float32)
  is_labelled = rng.random(actions.shape) < known
  is_labelled.reshape(NUM, LENGTH + 1, 4)[:, -1] = False
  return episodes.InMemory(
      observations.reshape(-1, 5).astype(np.float32), np.where(is_labelled, actions, 0),
      np.zeros(len(actions), np.float32), is_labelled, np.arange(NUM) * (LENGTH + 1),
      np.full(NUM, LENGTH))


def predictions(data, numbers):
  """`part_audit.Predictions` of all transitions of some episodes, in no order."""
  rows = np.random.default_rng(0).permutation(len(numbers) * LENGTH)
  actions, known = (np.concatenate(x)[rows] for x in zip(
      *(data.actions_of(n) for n in numbers), strict=True))
  return part_audit.Predictions(
      'Room', SPACE, np.zeros((len(rows), SPACE.num), np.float32), actions, known,
      np.repeat(numbers, LENGTH)[rows], np.tile(np.arange(LENGTH), len(numbers))[rows])


CHOICE = labels.Choice(np.array([[0, 3], [1, 0], [1, 20], [2, 10], [3, 5], [0, 18]]), 60, 10, 0)


class FloorsTest(absltest.TestCase):

  def test_what_follows_from_the_change_is_told_by_a_linear_map(self):
    data = room()
    found = predictions(data, [5, 6, 7])
    said = part_floors.find(data, spec(), CHOICE, found).said
    np.testing.assert_allclose(said['turn']['linear'].values, found.actions[:, 0], atol=.05)
    np.testing.assert_array_equal(said['jump']['linear'].values, found.actions[:, 1])
    scores, is_down = said['jump']['linear'].scores, found.actions[:, 1] == 1
    self.assertGreater(scores[is_down].min(), scores[~is_down].max())
    self.assertGreater(np.mean(said['way']['linear'].values == found.actions[:, 2]), .6)
    heading = said['heading']['linear'].values
    self.assertTrue(np.all((heading >= -180) & (heading < 180)))
    off = (heading - found.actions[:, 3] + 180) % 360 - 180
    self.assertLess(np.abs(off).max(), 1)

  def test_constants_are_of_labels_that_the_idm_knew(self):
    data = room(known=.7)
    found = predictions(data, [5, 6, 7])
    references = part_floors.find(data, spec(), CHOICE, found)
    actions, known = [], []
    for episode, start in CHOICE.windows:
      for x, every in zip((actions, known), data.actions_of(episode), strict=True):
        x.append(every[start:start + 10])
    actions, known = np.concatenate(actions), np.concatenate(known)
    self.assertEqual(references.num_labels, dict(zip(
        SPACE.part_names, known.sum(axis=0).tolist(), strict=True)))
    said = references.said
    np.testing.assert_allclose(said['turn']['mean'].values, actions[known[:, 0], 0].mean(),
                               rtol=1e-6)
    self.assertEqual(set(said['turn']['zero'].values), {0})
    self.assertEqual(set(said['jump']['majority'].values), {0})
    counts = np.bincount(actions[known[:, 2], 2].astype(int))
    self.assertEqual(set(said['way']['majority'].values), {counts.argmax()})

  def test_what_there_is_none_of_is_said(self):
    data = room()
    found = predictions(data, [5])
    references = part_floors.find(data, spec(), None, found)
    self.assertEqual(references.unknown['turn'], {
        'linear': 'training had no labels of it that a floor could be fitted to',
        'past': 'no run with model.idm_is_causal was given (--causal)',
        'ceiling': 'nobody has computed it'})
    self.assertEqual(references.num_labels['turn'], 0)  # The mean is that of what is audited.
    np.testing.assert_allclose(references.said['turn']['mean'].values,
                               found.actions[:, 0].mean(), rtol=1e-5)
    one = labels.Choice(np.array([[0, 0]]), 1, 1, 0)
    self.assertEqual(
        part_floors.find(data, spec(), one, found).unknown['jump']['linear'],
        'training knew it in 1 steps; a linear map takes at least 2')
    unknown = part_floors.find(data, spec(), CHOICE, found, ceiling={'unknown': 'no emulator'})
    self.assertEqual(unknown.unknown['way']['ceiling'], 'no emulator')

  def test_no_linear_map_is_fitted_to_grids(self):
    data = room()
    grids = episodes.InMemory(
        np.zeros((len(data.actions), 2, 2, 1), np.uint8), data.actions, data.rewards,
        data.is_labelled, data.first_step, data.num_transitions)
    references = part_floors.find(
        grids, spec(observation_kind='grid', observation_shape=(2, 2, 1)), CHOICE,
        predictions(data, [5]))
    self.assertEqual(references.unknown['turn']['linear'],
                     'observations are grids, whose changes no linear map tells')
    self.assertIn('mean', references.said['turn'])

  def test_past_and_ceiling_are_put_beside_their_transitions(self):
    data = room()
    found = predictions(data, [4, 6])
    past = found._replace(probabilities=found.probabilities.copy())
    for p, (part, segment) in enumerate(zip(SPACE.parts, SPACE.segments, strict=True)):
      past.probabilities[np.arange(60), segment.start + part.classes(found.actions[:, p])] = 1
    ceiling = []
    for number in (4, 6):
      actions, _ = data.actions_of(number)
      ceiling.append({'turn': actions[:, 0] / 2, 'jump': .25 + actions[:, 1] / 2,
                      'way': np.eye(3)[actions[:, 2].astype(int)] * .4 + .2,
                      'heading': actions[:, 3]})
    said = part_floors.find(data, spec(), CHOICE, found, past=past, ceiling=ceiling).said
    np.testing.assert_array_equal(said['jump']['past'].scores, found.actions[:, 1])
    np.testing.assert_array_equal(said['way']['past'].values, found.actions[:, 2])
    np.testing.assert_allclose(said['turn']['ceiling'].values, found.actions[:, 0] / 2)
    np.testing.assert_allclose(said['jump']['ceiling'].scores, .25 + found.actions[:, 1] / 2)
    np.testing.assert_array_equal(said['jump']['ceiling'].values, found.actions[:, 1])
    np.testing.assert_array_equal(said['way']['ceiling'].values, found.actions[:, 2])
    np.testing.assert_allclose(said['way']['ceiling'].probabilities.max(axis=1), .6)


if __name__ == '__main__':
  absltest.main()
