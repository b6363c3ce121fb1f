"""What an audit says beside floors: the sentence on the best of them, and its warnings."""

from absl.testing import absltest, parameterized

from alpt_jax.labelling import audit
from tests.labelling import audit_test


class FloorsTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('clearly above', audit_test.mean(.05, .04), None),  # From 1 to 9 points.
      ('not clearly above', audit_test.mean(.005, .016),
       'not clearly better than {}: by 0.5 percentage points (-1.1 to 2.1). Audit more episodes'),
      ('as good at the low end', audit_test.mean(.02, .02),
       'not clearly better than {}: by 2.0 percentage points (0.0 to 4.0). Audit more episodes'),
      ('equal', audit_test.mean(0.), 'no better than {}.'),
      ('below', audit_test.mean(-.03), 'no better than {}.'),
      ('one episode', audit_test.mean(.05, None),
       'labels cannot be told to be better than {}: of one episode, the difference of 5.0'))
  def test_labels_that_are_not_clearly_above_the_best_floor_are_warned_of(self, margin, message):
    labels = audit_test.drawn()._replace(floors=audit_test.between(.984, margin))
    self.assertEqual(audit_test.kinds(labels), [] if message is None else ['floor'])
    self.assertIn((message or '').format(
        'a table of the change from one observation to the next, fitted to the same 250 labels, '
        'which is right in 98.4 % (97.4–99.4)'), audit_test.text(labels))

  def test_no_floor_that_was_measured_is_no_warning(self):
    for floors in (None, audit_test.between(.5, floors={'unknown': 'no labels'})):
      self.assertEmpty(audit_test.kinds(audit_test.drawn()._replace(floors=floors)))

  def test_the_headline_names_the_best_floor(self):
    def reference(floors, **changes):
      line, = audit.audit([audit_test.small(**changes)._replace(floors=floors)])['headlines']
      return line.split('; ', 1)[1]

    table = 'a table of the change from one observation to the next, which is no network, in '
    linear = audit_test.between(.2)
    linear['floors'] |= {'linear': audit_test.mean(.944), 'best': 'linear'}
    majority = audit_test.between(.2)
    majority['floors'] |= {'best': 'majority'}
    self.assertEqual(reference(audit_test.between(.6)),
                     f'{table}60 %, the most frequent action (NOOP) in 50 %.')
    self.assertEqual(reference(linear), f'{table.replace("table", "linear map")}94.4 %, '
                                        'the most frequent action (NOOP) in 50 %.')
    self.assertEqual(reference(majority), 'the most frequent action (NOOP) in 50 %.')
    # Fitted to other labels than it is judged on, it may be below the most frequent action here.
    self.assertEqual(reference(audit_test.between(.45)),
                     f'the most frequent action (NOOP) in 50 %, {table}45 %.')
    self.assertEqual(
        reference(audit_test.between(.5, floors={'unknown': 'training had no labels'})),
        'the most frequent action (NOOP) in 50 %, no other floor was measured (training had no '
        'labels).')

  def test_an_idm_that_sees_the_past_only_may_be_the_best_floor(self):
    def said(past, margin):
      floors = audit_test.between(.6, causal={
          'accuracy': audit_test.mean(past), 'margin': audit_test.mean(margin)})
      found = audit.audit([audit_test.drawn()._replace(floors=floors)])
      return found['headlines'][0], [w['text'] for w in found['warnings'] if w['kind'] == 'floor']

    headline, found = said(.5, -.2)
    self.assertIn('which is no network, in 60 %', headline)
    self.assertEmpty(found)
    headline, (warning,) = said(.7, -.02)
    self.assertIn('; an IDM that sees the past only, which cannot see what an action did, in 70 %, '
                  'the most frequent action', headline)
    self.assertEqual(warning, 'Pong: labels are no better than an IDM that sees the past only, '
                              'fitted to the same 250 labels, which is right in 70 % (69–71).')

  def test_nearly_constant_labels_are_warned_of(self):
    predictions = audit_test.constant()
    probabilities = predictions.probabilities.copy()
    probabilities[:24] = [.6, .2, .2]  # 24 of 600.
    labels = predictions._replace(probabilities=probabilities)
    self.assertIn('constant', audit_test.kinds(labels))
    self.assertIn('96.0 % of labels are UP: they are constant', audit_test.text(labels))
    probabilities[:36] = [.6, .2, .2]
    self.assertNotIn('constant', audit_test.kinds(labels))

  def test_floors_are_in_the_result(self):
    floors = audit_test.between(.5)
    found, = audit.audit([audit_test.drawn()._replace(floors=floors)])['environments']
    self.assertEqual(found['floors'], floors)


if __name__ == '__main__':
  absltest.main()
