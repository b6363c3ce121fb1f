"""What is measured of a study's recordings and runs, and when it is measured again."""

import json
import os
import pathlib
import shutil
import tempfile
from unittest import mock

from absl.testing import absltest

from alpt_jax import domains
from alpt_jax.domains.atari import recording_ceiling, score_floors, study
from alpt_jax.files import versions
from alpt_jax.labelling import run_floors
from experiments.studies import floors, runs
from tests import atari_runs


class StudyFloorsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = atari_runs.config(self.root / 'study', 'tiny')
    shutil.copytree(self.config.data_dir, self.root / 'data')
    self.config.data_dir = str(self.root / 'data')
    self.directory, = domains.of(self.config).directories('Breakout')
    self.planned = study.plan(self.config)

  def test_only_targets_are_measured_and_only_as_their_runs_need(self):
    self.assertEqual(floors.missing(self.config, self.planned),
                     {'Breakout': ['ceiling', 'score floors']})
    self.assertEqual(floors.missing(
        self.config, [run for run in self.planned if run.part == 'labels']),
        {'Breakout': ['ceiling']})
    self.assertEqual(floors.missing(
        self.config, [run for run in self.planned if run.variant == 'dt1']),
        {'Breakout': ['score floors']})
    self.config.study.floors.update(ceiling_steps=0, score_games=0)
    self.assertEqual(floors.missing(self.config, self.planned), {})

  def test_measured_once_beside_the_data(self):
    floors.measure(self.config, self.planned)
    self.assertEqual(floors.missing(self.config, self.planned), {})
    with open(os.path.join(self.directory, recording_ceiling.FILE)) as f:
      self.assertEqual(json.load(f)['protocol']['num_steps'], 5)
    with mock.patch.object(recording_ceiling, '_measure', side_effect=AssertionError), \
        mock.patch.object(score_floors, '_play', side_effect=AssertionError):
      floors.measure(self.config, self.planned)
      self.config.study.floors.update(ceiling_steps=9, score_games=4)  # Other numbers will do.
      floors.measure(self.config, self.planned)
    self.config.evaluation.sticky = .25
    with self.assertRaisesRegex(ValueError, 'protocol sticky is 0.0; expected 0.25'):
      floors.measure(self.config, self.planned)

  def test_data_of_elsewhere_has_scores_to_compare_and_no_ceiling(self):
    with mock.patch.object(floors.rlds, 'read_card', return_value=None):
      floors.measure(self.config, self.planned)
    self.assertEqual(floors.missing(self.config, self.planned), {'Breakout': ['ceiling']})

  def test_best_checkpoint_is_kept_with_its_episodes_and_protocol(self):
    card = json.loads(pathlib.Path(self.directory, floors.rlds.CARD).read_text())
    own = runs.run_config(self.config, self.planned[0])
    with mock.patch.object(floors.rlds, 'read_card', return_value=card) as read_card:
      for best in (1, 0):
        card['checkpoints'][best].update(mean_score=50., std_score=1.5, num_episodes=7)
        self.assertEqual(floors._best_checkpoint(own), [{
            'mean_score': 50., 'std_score': 1.5, 'num_episodes': 7, 'sticky': .25,
            'max_steps': 100}])
        card['checkpoints'][best]['mean_score'] = -1.
      for nothing in (None, {'checkpoints': [{}]}):
        read_card.return_value = nothing
        self.assertEqual(floors._best_checkpoint(own), [])
      read_card.return_value = {'checkpoints': [{'mean_score': 3.}]}
      self.assertEqual(floors._best_checkpoint(own), [{'mean_score': 3.}])

  def test_a_run_is_measured_again_when_its_files_change(self):
    run = next(run for run in self.planned if run.variant == 'idm_causal')
    own = runs.run_config(self.config, run)
    self.assertIsNone(floors.of_run(self.config, run))  # Not trained.
    (pathlib.Path(own.workdir) / 'labels').mkdir(parents=True)
    (pathlib.Path(own.workdir) / 'finished.json').write_text('{}')
    found = {'labels': {'accuracy': {'value': 1 / 3}, 'causal': {}, 'above_floor': .5},
             'agent': None, 'scores': None}
    self.config.study.floors.exchanged_games = 7
    with mock.patch.object(run_floors, 'measure', return_value=found) as measure:
      for _ in range(2):
        self.assertEqual(floors.of_run(self.config, run), {
            'labels': {'accuracy': {'value': .333333}}, 'agent': None, 'scores': None,
            'versions': versions.current()})
      measure.assert_called_once_with(
          own.workdir, data_dir=own.data_dir, held_out_dir='', voted_transitions=0,
          labeller_transitions=0, games=7)
      (pathlib.Path(own.workdir) / 'labels' / 'step_0000004.npz').write_bytes(b'other')
      floors.of_run(self.config, run)
      self.assertEqual(measure.call_count, 2)
      pathlib.Path(self.directory, recording_ceiling.FILE).write_text('{}')
      floors.of_run(self.config, run)
      self.assertEqual(measure.call_count, 3)
      self.config.study.floors.exchanged_games = 0
      floors.of_run(self.config, run)
      self.assertEqual(measure.call_count, 4)
      measure.return_value = found | {'as_labeller': {'accuracy': {'value': 2 / 3}}}
      self.config.study.floors.labeller_transitions = 30
      self.assertEqual(floors.of_run(self.config, run)['as_labeller'],
                       {'accuracy': {'value': .666667}})
      self.assertEqual(measure.call_args.kwargs['labeller_transitions'], 30)
      self.config.study.floors.labeller_transitions = 0
      self.config.study.floors.of_runs = False
      self.assertIsNone(floors.of_run(self.config, run))

  def test_an_agent_is_looked_at_again_on_another_recording_of_the_same_name(self):
    run = next(run for run in self.planned if run.variant == 'dt1')
    own = runs.run_config(self.config, run)
    pathlib.Path(own.workdir).mkdir(parents=True)
    (pathlib.Path(own.workdir) / 'finished.json').write_text('{}')
    held_out = self.root / 'held_out'
    shutil.copytree(self.root / 'data', held_out)
    self.config.study.floors.held_out_dir = str(held_out)
    directory, = (path for path in held_out.glob('*/Breakout_run_1/*') if path.is_dir())
    for number in (1, 2):
      found = {'labels': None, 'agent': {'is_blind': False}, 'scores': None}
      with mock.patch.object(run_floors, 'measure', return_value=found) as measure:
        for _ in range(2):
          agent = floors.of_run(self.config, run)['agent']
        measure.assert_called_once()
        self.assertEqual(measure.call_args.kwargs['held_out_dir'], str(held_out), msg=number)
        self.assertEqual(agent['data_digest'],
                         domains.of(self.config).digest('Breakout'))  # A copy of it.
      (directory / 'dataset_card.json').write_bytes(
          (directory / 'dataset_card.json').read_bytes() + b' ')


if __name__ == '__main__':
  absltest.main()
