"""README's table of the paper's claims, from registrations and run files."""

import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from experiments.studies import claims_table
from tests.experiments.studies import registration_test

_RESULTS = pathlib.Path(__file__).parents[3] / 'experiments' / 'results'


class ClaimsTableTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.registrations = self.directory / 'registrations'
    self.registrations.mkdir()

  def rows(self, *answers):
    claims = (claims_table.Claim('Figure 9', answers, 'to come'),)
    with mock.patch.object(claims_table, 'CLAIMS', claims):
      return claims_table.rows(self.directory, self.registrations)

  def test_a_claim_without_a_registered_study(self):
    for answers in ((), (('none', 'four'),)):
      self.assertEqual(self.rows(*answers), [
          ('Figure 9', 'to come', '', '', '', '', 'none yet')])

  def test_a_hypothesis_without_runs_and_one_that_is_not_there(self):
    content = registration_test.make_content()
    (self.registrations / 'tiny.json').write_text(json.dumps(content))
    name = content['hypotheses'][0]['name']
    row, = self.rows(('tiny', name))
    self.assertEqual(row[2:6], ('–', 0, '', ''))
    self.assertRegex(row[6], r'^no verdict: 0 of \d+ registered runs are in$')
    with self.assertRaisesRegex(ValueError, "tiny.json: has no hypothesis 'other'; expected one"):
      self.rows(('tiny', 'other'))

  def test_committed_results(self):
    row = claims_table.rows(_RESULTS)[0]
    # As in the study's own tables; the table of the change at 250 labels, averaged by hand there.
    self.assertEqual(row[2:6], ('0.703 [0.470, 1.052] times', 5, 'table of the change 0.985', ''))
    self.assertStartsWith(row[6], 'cannot tell')


if __name__ == '__main__':
  absltest.main()
