"""What a comparison of two IDMs says of labels that a floor may match."""

from absl.testing import parameterized

from alpt_jax.labelling import compare_findings
from tests.labelling import audit_test


class CompareFindingsTest(parameterized.TestCase):

  @parameterized.parameters(
      (audit_test.mean(-.02), 'no better than the floor table, .*: -0.020 .-0.030, -0.010.'),
      (audit_test.mean(.005), 'not clearly better than the floor table, .*: .0.005 .-0.005'),
      (audit_test.mean(.02, None), 'not clearly better than the floor table, .*: .0.020'),
      (audit_test.mean(.02), None), (None, None))
  def test_a_margin_that_may_be_nothing_is_said(self, margin, expected):
    about = {'directory': 'runs/a', 'sources': [], 'method': 'alpt', 'pretraining_also': [],
             'labels': {'is_constant': False}, 'accuracy': audit_test.mean(.6),
             'margin': audit_test.mean(.2)}
    one = {'environment': 'Play', 'kind': 'held out', 'seed': 0, 'label_seed': 0,
           'num_transitions': 9, 'num_episodes': 3, 'run': about | {'directory': 'runs/b'},
           'baseline': about | {'margin': margin}, 'difference': audit_test.mean(0.)
           } | audit_test.between(.512)
    result = {'environment': 'Play', 'num_pairs': 1, 'difference': audit_test.mean(0.),
              'verdict': {'word': 'cannot tell', 'reason': ''}}
    said = '\n'.join(compare_findings.sentences([one], result))
    self.assertNotIn('labels of runs/b', said)
    if expected is None:
      self.assertNotIn('labels of', said)
    else:
      self.assertRegex(said, f'labels of runs/a are {expected}')
