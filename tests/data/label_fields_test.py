"""Fields of labelled steps: true parts as they were, all others legal, and said how sure."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space
from alpt_jax.data import action_fields, label_fields
from alpt_jax.labelling import votes
from tests import exhaustive, random_spaces


def learned(rng, part):
  """The part of a run in which another environment has more values, in another order."""
  if part.kind == 'categorical':
    return action_parts.Categorical(
        part.name, tuple(rng.permutation([*part.names, 'more', 'most']).tolist()))
  if part.kind == 'continuous' and not part.wraps:
    return dataclasses.replace(part, low=part.low - rng.integers(0, 3) / 4,
                               high=part.high + rng.integers(0, 3) / 4)
  return part


def some(rng, parts):
  """At least one of some parts, in any order."""
  parts = [parts[i] for i in rng.permutation(len(parts))]
  return tuple(parts[:rng.integers(1, len(parts) + 1)])


def draw(rng):
  """An environment's space, and the same laid out as that of a run that lacks parts of it."""
  whole = random_spaces.space(rng).parts
  own, of_run = some(rng, whole), some(rng, whole)
  if not {p.name for p in own} & {p.name for p in of_run}:
    own += of_run[:1]
  run = action_space.Parts(tuple(learned(rng, part) for part in of_run))
  own = action_space.Parts(own)
  return own, own.within(run)


def vote(rng, layout, length):
  """Random `votes.Votes`; none of parts that the environment lacks."""
  found = np.zeros((length, layout.num), np.float32)
  for segment in layout.segments:
    legal = layout.mask[segment]
    if legal.any():
      found[:, segment][:, legal] = rng.dirichlet(np.full(legal.sum(), .4), length)
  return votes.Votes(0, found, rng.integers(1, 6, length).astype(np.int32))


class PartsTest(parameterized.TestCase):

  def test_random_spaces(self):
    for seed in range(exhaustive.num_of(500)):
      with self.subTest(seed=seed):
        rng = np.random.default_rng(seed)
        space, layout = draw(rng)
        length, top_k = int(rng.integers(1, 12)), int(rng.integers(0, 3))
        stored, is_known = random_spaces.episode(rng, space, length + 1)
        known = {name: x[:-1] for name, x in is_known.items()}
        said = vote(rng, layout, length)
        with np.errstate(all='raise'):
          found = label_fields.steps(
              space, layout, {'action': stored}, known, said, top_k=top_k)
        features = action_fields.flat({
            name: tfds.features.FeaturesDict(x) if isinstance(x, dict) else x
            for name, x in label_fields.features(space, layout, top_k).items()})
        flat = action_fields.flat(found)
        self.assertEqual(flat.keys(), features.keys())
        for name, values in flat.items():
          self.assertEqual(values.shape, (length + 1, *features[name].shape), msg=name)
          self.assertEqual(values.dtype.kind, np.dtype(features[name].np_dtype).kind, msg=name)
          self.assertFalse(values[-1].any())
        for part in space.parts:
          self.check_part(part, layout, stored, known[part.name], said, found)
        is_labelled = {name: x[:-1] for name, x in found['is_labelled'].items()}
        actions = {name: x[:-1] for name, x in found['action'].items()}
        self.assertEqual(space.check(actions, is_labelled, name='x'), '')
        np.testing.assert_array_equal(found['num_votes'][:-1], said.num_votes)

  def check_part(self, part, layout, stored, known, said, found):
    name = part.name
    actions = found['action'][name][:-1]
    is_said = name in [own.name for own in layout.own if own]
    self.assertEqual(actions[known].tobytes(), stored[name][:-1][known].tobytes())
    np.testing.assert_array_equal(
        found['action_source'][name][:-1], np.where(known, 1, 2 if is_said else 0))
    np.testing.assert_array_equal(found['is_labelled'][name][:-1], known | is_said)
    self.assertEqual(name in found['action_entropy'], is_said)
    if not is_said:
      self.assertFalse(actions[~known].any())
      return
    p = layout.part_names.index(name)
    run, probabilities = layout.parts[p], said.probabilities[:, layout.segments[p]]
    np.testing.assert_allclose(found['action_entropy'][name][:-1], [
        -sum(x * np.log(x) for x in row if x > 0) for row in probabilities.astype(float)],
                               atol=1e-5)
    if part.kind == 'continuous':
      quantiles = found['action_quantiles'][name][:-1]
      self.assertTrue((quantiles >= np.float32(part.low)).all())
      self.assertTrue((quantiles <= np.float32(part.high)).all())
      if not part.wraps:
        self.assertTrue((np.diff(quantiles, axis=1) >= 0).all())
        expected = np.clip(probabilities.astype(float) @ run.class_values, part.low, part.high)
        np.testing.assert_allclose(actions[~known], expected[~known], rtol=1e-4, atol=1e-4)
      return
    names = part.names if part.kind == 'categorical' else ('up', 'down')
    legal = part.legal if part.kind == 'categorical' else names
    expected = np.stack([probabilities[:, run.class_names.index(n)] for n in names], axis=1)
    np.testing.assert_array_equal(actions[~known], expected.argmax(axis=1)[~known])
    self.assertFalse(expected[:, [n not in legal for n in names]].any())
    if name in found.get('action_probabilities', {}):
      np.testing.assert_array_equal(found['action_probabilities'][name][:-1], expected)
      return
    top, of_top = (found[f][name][:-1] for f in ('action_top', 'action_top_probabilities'))
    np.testing.assert_array_equal(of_top, -np.sort(-expected, axis=1)[:, :top.shape[1]])
    np.testing.assert_array_equal(np.take_along_axis(expected, top, axis=1), of_top)

  def test_by_hand(self):
    run = action_space.Parts((
        action_parts.Binary('light'), action_parts.Continuous('turn', -4., 4., num_bins=4),
        action_parts.Categorical('weapon', ('b', 'a', 'c')), action_parts.Binary('other')))
    own = action_space.Parts((
        action_parts.Categorical('weapon', ('a', 'b')), action_parts.Continuous('turn', -1., 4.),
        action_parts.Continuous('zoom', 0., 1.), action_parts.Binary('light')))
    said = votes.Votes(0, np.array([
        [.9, .1, 0, .5, .5, 0, .25, .75, 0, 0, 0], [.2, .8, 0, 0, 0, 1, 1, 0, 0, 0, 0]],
                                   np.float32), np.array([5, 2]))
    stored = {'weapon': np.array([1, 9, 0]), 'turn': np.array([0, 2.5, 0], np.float32),
              'zoom': np.array([.5, np.nan, 0], np.float32), 'light': np.array([True, 0, 0], bool)}
    known = {'weapon': [True, False], 'turn': [False, True], 'zoom': [True, False],
             'light': [True, False]}
    found = label_fields.steps(
        own, own.within(run), {'action': stored},
        {name: np.array(x) for name, x in known.items()}, said)
    self.assertEqual({name: x.tolist() for name, x in found['action'].items()}, {
        'weapon': [1, 1, 0], 'turn': [0, 2.5, 0], 'zoom': [.5, 0, 0],
        'light': [True, True, False]})
    self.assertEqual({name: x.tolist() for name, x in found['action_source'].items()}, {
        'weapon': [1, 2, 0], 'turn': [2, 1, 0], 'zoom': [1, 0, 0], 'light': [1, 2, 0]})
    self.assertEqual({name: x.tolist() for name, x in found['is_labelled'].items()}, {
        name: [True, name != 'zoom', False] for name in stored})
    # Of the bins -2 .. 0 and 0 .. 2, and 2 .. 4; there is nothing below -1.
    np.testing.assert_allclose(
        found['action_quantiles']['turn'],
        [[-1, -1, 0, 1, 1.8], [2.1, 2.5, 3, 3.5, 3.9], [0] * 5], atol=1e-6)
    np.testing.assert_allclose(
        found['action_probabilities']['weapon'], [[.75, .25], [0, 1], [0, 0]], atol=1e-7)
    np.testing.assert_allclose(
        found['action_probabilities']['light'], [[.9, .1], [.2, .8], [0, 0]], atol=1e-7)
    np.testing.assert_allclose(found['action_entropy']['turn'], [np.log(2), 0, 0], atol=1e-6)
    np.testing.assert_allclose(found['action_entropy']['weapon'], [.562335, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found['action_entropy']['light'], [.325083, .500402, 0], atol=1e-6)
    counts = label_fields.count(found)
    self.assertEqual(label_fields.said(label_fields.total([counts, counts])), {
        'num_true': 8, 'num_idm': 6, 'parts': {
            'weapon': {'num_true': 2, 'num_idm': 2}, 'turn': {'num_true': 2, 'num_idm': 2},
            'zoom': {'num_true': 2, 'num_idm': 0}, 'light': {'num_true': 2, 'num_idm': 2}}})

  def test_most_probable_values_that_are_written(self):
    space = action_space.Parts((
        action_parts.Binary('x'), action_parts.Categorical('way', ('a', 'b', 'c')),
        action_parts.Continuous('turn', 0., 1.)))
    for top_k in range(4):
      label_fields.check_top_k(space, top_k)
    for top_k in (-1, 4):
      with self.assertRaisesRegex(ValueError, f'top_k is {top_k}; expected 1 to 3, the most val'):
        label_fields.check_top_k(space, top_k)
    with self.assertRaisesRegex(ValueError, 'top_k is 1, and all parts are numbers.*expected 0'):
      label_fields.check_top_k(action_space.Parts(space.parts[2:]), 1)


if __name__ == '__main__':
  absltest.main()
