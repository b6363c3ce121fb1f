"""Audits of actions of several parts: perfect IDMs and blind ones in random spaces, bad input."""

import json
import re

import numpy as np
from absl.testing import absltest, parameterized

from alpt_jax import action_parts, action_space
from alpt_jax.labelling import part_audit, part_floors, part_measures
from tests import exhaustive, random_spaces
from tests.labelling import part_data

PERFECT = {'categorical': ('accuracy', 'balanced_accuracy', 'macro_f1'),
           'binary': ('accuracy', 'step_f1', 'onset_f1_0', 'release_f1_0', 'event_f1_0',
                      'event_f1_2')}


def audit(*predictions, **settings):
  return part_audit.audit(list(predictions), **(dict(num_resamples=100) | settings))


def between(found):
  """The same, with the constant floors and a ceiling that knows all."""
  said = {}
  for p, (part, own) in enumerate(zip(found.space.parts, found.space.own, strict=True)):
    if own is not None:
      middle = 'majority' if part.kind != 'continuous' else 'mean'
      true = found.actions[:, p].astype(float)
      value = np.mean(true) if middle == 'mean' else np.round(np.median(true))
      said[part.name] = {middle: part_measures.Said(np.full(len(true), value)),
                         'ceiling': part_measures.Said(true)}
  return found._replace(references=part_floors.References(
      said, {name: {'linear': 'no labels'} for name in said}, dict.fromkeys(said, 7)))


class RandomSpacesTest(absltest.TestCase):

  def test_perfect_labels_are_perfect_and_blind_ones_are_warned_of(self):
    for seed in range(exhaustive.num_of(40)):
      rng = np.random.default_rng(seed)
      perfect = between(part_data.perfect(random_spaces.space(rng), rng))
      with self.subTest(seed=seed):
        self.check_perfect(audit(perfect))
        self.check_blind(audit(part_data.shuffled(perfect, rng)))

  def check_perfect(self, found):
    environment, = found['environments']
    for part in environment['parts']:
      for key in PERFECT.get(part['kind'], ()):
        self.assertEqual(part['figures'][key]['value'], 1, msg=(part['name'], key))
      if part['kind'] == 'continuous':
        self.assertLessEqual(part['compared']['figures']['ceiling']['mean_absolute_error']['value'],
                             part['figures']['mean_absolute_error']['value'])
      self.assertEqual(set(part['main']['values']) - {'luck', 'zero'}, {
          'idm', 'persistence', 'ceiling', 'mean' if part['kind'] == 'continuous' else 'majority'})
    keys = environment['keys']
    if keys:
      self.assertEqual({keys[block][who]['value'] for block in ('labels', 'thresholds')
                        for who in ('idm', 'ceiling')}, {1})
    json.dumps(found, allow_nan=False)

  def check_blind(self, found):
    environment, = found['environments']
    warned = {(w['kind'], part['name']) for w in found['warnings'] for part in environment['parts']
              if f', {part["name"]}:' in w['text']}
    for part in environment['parts']:
      margin = part['over_persistence']['margin']['value']
      if margin is None or part['kind'] != 'continuous' and len(part['names']) == 1:
        continue  # Nothing can be wrong.
      self.assertLess(margin, 0, msg=part['name'])
      self.assertIn(('persistence', part['name']), warned)


class AuditTest(parameterized.TestCase):

  def desk(self, seed=0, **settings):
    return part_data.perfect(part_data.DESK, np.random.default_rng(seed), **settings)

  def test_predicted_intervals_cover_what_is_anywhere_in_a_bin(self):
    found, = audit(self.desk(num_episodes=40, held=0))['environments']
    turn, = (part for part in found['parts'] if part['name'] == 'turn')
    self.assertAlmostEqual(turn['figures']['coverage_90']['value'], .9, delta=.03)
    self.assertAlmostEqual(turn['figures']['coverage_50']['value'], .5, delta=.04)
    self.assertEqual(turn['figures']['within']['value'], 1)

  def test_labels_that_are_late_are_found_in_each_part(self):
    found = self.desk(known=1, held=.5)
    late = np.roll(found.probabilities.reshape(12, 40, -1), 1, axis=1)  # First steps are wrong.
    found = audit(found._replace(probabilities=late.reshape(480, -1)), num_resamples=200)
    texts = [w['text'] for w in found['warnings'] if w['kind'] == 'lag']
    self.assertLen(texts, 4)
    for name, text in zip(('jump', 'run', 'turn', 'weapon'), texts, strict=True):
      self.assertStartsWith(text, f'Desk, {name}: labels come 1 transition too late')
    self.assertEqual({part['lag']['best'] for part in found['environments'][0]['parts']}, {-1})

  def test_a_part_of_unknown_truth_is_named(self):
    found = self.desk()
    is_known = found.is_known.copy()
    is_known[:, 2] = False
    found = audit(found._replace(is_known=is_known))
    environment, = found['environments']
    why = f'of {environment["num_transitions"]} audited transitions, its truth is known in none'
    self.assertEqual(environment['parts'][2]['unknown'], why)
    self.assertIn(f'turn of Desk: unknown, {why}.', found['headlines'])
    self.assertIn({'kind': 'unknown', 'environment': 'Desk', 'text': f'Desk, turn: {why}.'},
                  found['warnings'])
    self.assertEqual(environment['d2e'], {
        'unknown': 'Desk has 2 binary parts and 0 that are a delta; D2E scores keys and the motion '
                   'of a mouse, one or two deltas'})

  def test_parts_that_an_environment_lacks_are_not_judged(self):
    own = tuple(None if part.name in ('run', 'turn') else part for part in part_data.DESK.parts)
    found = audit(part_data.perfect(action_space.Parts(part_data.DESK.parts, own),
                                    np.random.default_rng(0)))
    environment, = found['environments']
    self.assertEqual([part['name'] for part in environment['parts']], ['jump', 'weapon'])
    self.assertIsNone(environment['keys'])  # Of one key, it is its accuracy.

  def test_one_temperature_is_fitted_to_all_parts(self):
    found = self.desk(known=1)
    rng = np.random.default_rng(0)
    probabilities = np.zeros(found.probabilities.shape, np.float32)
    actions = found.actions.copy()
    for p, (part, segment) in enumerate(zip(found.space.parts, found.space.segments, strict=True)):
      legal = np.flatnonzero(part.own_classes(part))
      logits = rng.normal(size=(len(actions), len(legal)))
      true = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)  # Calibrated.
      actions[:, p] = part.class_values[legal[true]]
      sharp = np.exp(3 * logits)
      probabilities[:, segment.start + legal] = sharp / sharp.sum(axis=1, keepdims=True)
    found = audit(found._replace(probabilities=probabilities, actions=actions))
    self.assertAlmostEqual(found['temperature'], 3, delta=.5)
    fit = found['temperature_fit']
    self.assertEqual((fit['num_episodes_fitted'], fit['num_episodes_judged']), (6, 6))

  def test_a_single_episode_has_numbers_and_no_intervals(self):
    found = audit(self.desk(num_episodes=1))
    environment, = found['environments']
    for part in environment['parts']:
      key = part['main']['figure']
      self.assertIsNone(part['figures'][key]['low'])
      self.assertIsNotNone(part['figures'][key]['value'])
    self.assertEqual(environment['keys']['thresholds'], {
        'unknown': 'one episode: nothing is left to score thresholds on'})
    self.assertIsNone(found['temperature'])
    self.assertIn('episodes', [w['kind'] for w in found['warnings']])

  def test_what_training_knew_is_no_headline(self):
    found = audit(self.desk()._replace(kind='trained on'))
    self.assertEqual(found['headlines'], [
        'Nothing here was held out: training knew all of these actions, so nothing can be said '
        'about labels of new data.'])
    self.assertEqual({w['kind'] for w in found['warnings']}, {'known'})

  def test_bad_input_is_one_line_that_names_the_part(self):
    desk = self.desk()
    known = desk.is_known[:, 3]
    actions = desk.actions.copy()
    actions[np.flatnonzero(known)[0], 3] = 1  # A bow, which it does not have.
    far = desk.actions.copy()
    far[np.flatnonzero(desk.is_known[:, 2])[3], 2] = 9.5
    probabilities = desk.probabilities.copy()
    probabilities[5, desk.space.segments[0]] = .6
    illegal = desk.probabilities.copy()
    illegal[:, desk.space.segments[3]] = [.5, .5, 0]
    for changes, message in (
        ({'actions': actions}, 'Desk: part weapon is 1; expected one of [0, 2]. This is the data'),
        ({'actions': far}, 'Desk: part turn is 9.5; expected a number in [-9.0, 9.0] degrees.'),
        ({'probabilities': probabilities}, 'Desk: part jump: probabilities[5] sum to 1.2;'),
        ({'probabilities': illegal}, 'Desk: part weapon: probabilities[0, 1] is 0.5; expected 0'),
        ({'probabilities': probabilities[:, 1:]}, 'Desk: probabilities have shape'),
        ({'kind': 'seen'}, "Desk: kind is 'seen'; expected one of")):
      with self.assertRaisesRegex(ValueError, re.escape(message)) as caught:
        audit(desk._replace(**changes))
      self.assertNotIn('\n', str(caught.exception))
    with self.assertRaisesRegex(ValueError, 'are of Desk 2 times; expected each environment once'):
      audit(desk, desk)

  def test_a_part_that_training_did_not_know_is_said(self):
    found = audit(self.desk()._replace(left_out=(action_parts.Binary('crouch'),)))
    why = 'training had no such part, so it has no labels'
    self.assertEqual(found['environments'][0]['parts'][-1],
                     {'name': 'crouch', 'kind': 'binary', 'unknown': why})
    self.assertIn(f'crouch of Desk: unknown, {why}.', found['headlines'])

  def test_numbers_are_in_the_range_of_the_environment(self):
    turn = action_parts.Continuous('turn', -9, 9, num_bins=2)
    said = part_measures.said_by(turn, action_parts.Continuous('turn', -3, 3), np.eye(2))
    self.assertEqual(said.values.tolist(), [-3, 3])  # The middles of bins are -4.5 and 4.5.


if __name__ == '__main__':
  absltest.main()
