"""Pictures of label accuracy: their points by hand, and committed ones equal to their run files."""

import contextlib
import io
import pathlib
import struct
import tempfile

from absl import flags
from absl.testing import absltest, flagsaver

from experiments import label_curves, summarise
from experiments.studies import label_points, runs


def content(method, seed, value, **more):
  """What of a run file is read."""
  return dict(
      run=f'{method}-{seed}', status='done', curves={'label_accuracy': [.1, value]},
      identity=dict(part='labels', method=method, target='Pong', seed=seed, num_labels=300)) | more


class PointsTest(absltest.TestCase):

  def test_means_and_intervals_over_seeds(self):
    found = label_points.points([content('none', 0, .5), content('none', 1, .7),
                                 content('four', 0, .8)])
    one, two = found
    self.assertEqual(one[:3] + one[6:], ('Pong', 'none', 300, 2))
    self.assertAlmostEqual(one.mean, .6)
    # t of 97.5 % with one degree of freedom, 12.7062, times 0.2 / sqrt 2 / sqrt 2.
    self.assertAlmostEqual(one.high, .6 + 12.7062 * .1, places=4)
    self.assertEqual(two, ('Pong', 'four', 300, .8, None, None, 1))

  def test_only_finished_runs_of_idms(self):
    score = content('dt1', 0, .5)
    score['identity']['part'] = 'score'
    self.assertEqual(label_points.points([score, content('none', 0, .5, status='failed')]), [])

  def test_floors_once_a_seed_and_the_higher_ceiling(self):
    floors = {'labels': {'floors': {'linear': {'value': .75}, 'majority': {'value': .3},
                                    'table': None},
                         'ceiling': {'expected': {'value': .9}, 'realised': {'value': .95}}}}
    found = label_points.points([content(method, seed, .5, floors=floors)
                                 for method in ('none', 'four') for seed in (0, 1)])
    by_method = {point.method: point for point in found}
    self.assertEqual({name: (point.mean, point.seeds) for name, point in by_method.items()}, {
        'none': (.5, 2), 'four': (.5, 2), 'linear': (.75, 2), 'majority': (.3, 2),
        'ceiling': (.95, 2)})

  def test_two_runs_of_one_seed(self):
    with self.assertRaisesRegex(ValueError, 'again: a second run of none with Pong, 300 labels'):
      label_points.points([content('none', 0, .5), content('none', 0, .6, run='again')])


class ProgramTest(absltest.TestCase):

  def test_committed_points_are_those_of_run_files(self):
    committed = sorted((runs.ROOT / 'experiments' / 'results').glob('*/labels.csv'))
    self.assertNotEmpty(committed)
    for path in committed:
      found = label_points.points(summarise.read(path.parent / 'runs'))
      self.assertEqual(path.read_text(), label_curves.as_csv(found),
                       msg=f'{path}: run python -m experiments.label_curves')
      self.assertTrue((path.parent / 'labels.png').exists())

  def test_a_panel_for_each_observation(self):
    widths = {}
    for panels in (1, 2):
      found = [label_points.Point(f'view{i}', 'none', n, .5, .4, .6, 5)
               for i in range(panels) for n in (100, 1000)]
      widths[panels] = struct.unpack('>I', label_curves.picture(found)[16:20])[0]
    self.assertEqual(widths[2], 2 * widths[1])

  def test_no_directory_and_no_runs(self):
    flags.FLAGS.mark_as_parsed()
    with tempfile.TemporaryDirectory() as directory:
      for runs_, said in ((f'{directory}/none', 'expected a directory'),
                          (directory, 'no run of IDMs is done')):
        with self.subTest(said), flagsaver.flagsaver((label_curves._RUNS, runs_)):
          text = io.StringIO()
          with contextlib.redirect_stderr(text):
            self.assertEqual(label_curves.main(['label_curves']), 1)
          self.assertIn(said, text.getvalue())
      self.assertEmpty(list(pathlib.Path(directory).iterdir()))


if __name__ == '__main__':
  absltest.main()
