"""A bad field of results.json is named."""


from absl.testing import absltest, parameterized

from experiments.studies import results_file
from tests.experiments.studies import report_test


class ResultsFileTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('no_rows', lambda r: r.pop('rows'), r'results\.rows is missing; expected a list'),
      ('no_label', lambda r: r['methods']['dt1'].pop('label'), r'methods\.dt1\.label is missing'),
      ('threshold', lambda r: r['thresholds'].append(None), r'thresholds\[2\] is None'),
      ('no_step', lambda r: r['rows'][3].pop('step'), r'rows\[3\]\.step is missing'),
      ('text_metric', lambda r: r['rows'][3].update({'argmax/spl': 'high'}),
       r"rows\[3\]\.argmax/spl is 'high'; expected a number or null"),
      ('unknown_target', lambda r: r['runs'][0].update(target='nowhere'),
       r"runs\[0\]\.target is 'nowhere'; expected one of"),
      ('unknown_run', lambda r: r['rows'][0].update(run='other'), r"rows\[0\]\.run is 'other'"),
      ('contradiction', lambda r: r['rows'][0].update(seed=7), r'rows\[0\]\.seed is 7; expected 0'),
      ('twice', lambda r: r['rows'].append(r['rows'][0]), r'repeats step 0'),
      ('ragged_walls', lambda r: r['mazes'][report_test._SOURCE]['walls'][0].pop(),
       r'walls is \[\[.*; expected rows of 0 and 1, equally long'),
      ('part', lambda r: r['runs'][0].update(part='both', num_labels=5),
       r"runs\[0\]\.part is 'both'; expected one of"),
      ('no_part', lambda r: r['runs'][1].update(part='score', num_labels=5),
       r'runs\[0\]\.part is missing'),
      ('floor', lambda r: r.update(floors=[dict(observation='grid')]),
       r'floors\[0\]\.target is missing'),
      ('status', lambda r: r['runs'][0].update(status='fine'), r"runs\[0\]\.status is 'fine'"))
  def test_a_bad_field_is_named(self, spoil, message):
    results = report_test.make_results()
    spoil(results)
    with self.assertRaisesRegex(ValueError, message) as caught:
      results_file.check(results)
    self.assertNotIn('\n', str(caught.exception))


if __name__ == '__main__':
  absltest.main()
