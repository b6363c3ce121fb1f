"""The figures of the paper: what is planned for each, and all of them for real at the tiny size."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import jax
from absl.testing import absltest, parameterized

from alpt_jax import methods
from alpt_jax.training import run_config, shares
from experiments import reproduce
from experiments.configs import atari, paper
from experiments.studies import estimates, figures, runs
from tests import exhaustive, maze_data

_ROOT = pathlib.Path(__file__).parents[2]
# Two of games that have a run in common, one of Q-learning; without mazes, which reproduce_test
# makes, and without the largest.
_FEW_FIGURES = ('4', '6', 'table4')


def plan(figure, preset):
  config = paper.get_config(f'figure={figure},preset={preset}')
  return config, reproduce.plan(config)


def final(planned):
  """{(label of the method, target, seed)} of the runs that agents are scored in."""
  return {(run.variant, run.changes['target'], run.changes['seed']) for run in planned
          if run.changes.get('phase') != 'pretrain'}


class PlanTest(parameterized.TestCase):

  @parameterized.product(figure=paper.FIGURES, preset=paper.PRESETS)
  def test_every_run_is_one_that_training_takes(self, figure, preset):
    config, planned = plan(figure, preset)
    self.assertLen({run.name for run in planned}, len(planned))
    for i, run in enumerate(planned):
      run_config.check_run(runs.run_config(config, run))
      if run.after is not None:
        self.assertIn(run.after, planned[:i])

  def test_paper_has_the_papers_methods_targets_and_seeds(self):
    for figure, variants, targets in (
        ('2', {'dt1', 'dt1_idm', 'dt5', 'dt5_ret', 'alpt'}, atari.FIVE),
        ('3', {'dt1_idm', 'alpt9', 'alpt36'}, atari.MANY_TARGETS),
        ('4', {'dt1_idm', 'alpt_freeway'}, atari.DISJOINT_TARGETS),
        ('6', {'dt1_idm', 'alpt_idm_only'}, atari.FIVE),
        ('table4', {'cql'}, atari.FIVE)):
      _, planned = plan(figure, 'paper')
      self.assertEqual(final(planned), {(v, t, s) for v in variants for t in targets
                                        for s in (0, 1, 2)}, msg=figure)

  def test_a_phase_has_its_own_batch_and_rate_at_the_papers_size(self):
    config, planned = plan('2', 'paper')
    for run in planned:
      own = runs.run_config(config, run)
      expected = atari.get_config(f'paper,phase={own.phase}')
      self.assertEqual(own.optimizer.to_dict(), expected.optimizer.to_dict())
      self.assertEqual(own.batch_size, {'pretrain': 1920, 'finetune': 256}[own.phase])

  @parameterized.product(figure=('2', '3', '4', '6'), preset=('desk', 'paper'))
  def test_games_have_equal_weight_in_pretraining(self, figure, preset):
    config, planned = plan(figure, preset)
    for run in planned:
      own = runs.run_config(config, run)
      if own.phase == 'pretrain':
        phase, specs = run_config.check_run(own)
        all_shares = shares.of(own, phase, specs)
        for network in ({'idm'}, {'dt', 'limited'}):
          own_shares = [share for share in all_shares if share.part in network]
          rows = [share.rows for share in own_shares if share.data != methods.LABELLED]
          labelled = [share.rows for share in own_shares if share.data == methods.LABELLED]
          if own.method == 'dt5_ret' and preset == 'desk':  # 60 rows are 15 shards' for 6 streams.
            self.assertLessEqual(max(rows, default=0) - min(rows, default=0), 4, msg=run.name)
            continue
          self.assertLessEqual(len(set(rows)), 1, msg=run.name)
          for count in labelled:  # At the paper's size, little more than their part of the union.
            self.assertLessEqual(count, rows[0], msg=run.name)
            if preset == 'desk':
              self.assertEqual(count, rows[0], msg=run.name)

  @parameterized.product(figure=('2', '3', '4', '6', 'table4'), chips=(8, 64))
  def test_batches_of_the_papers_size_can_be_shared_by_a_slice(self, figure, chips):
    config, planned = plan(figure, 'paper')
    for run in planned:
      own = runs.run_config(config, run)
      phase, specs = run_config.check_run(own)
      for rows in shares.part_rows(own, phase, specs).values():
        self.assertEqual(rows % own.sampling.num_shards, 0, msg=run.name)
        if own.method == 'cql':  # 32 transitions of CQL are for one chip, or 8, or 32.
          self.assertEqual(rows % 8, 0, msg=run.name)
        else:
          self.assertEqual(rows % chips, 0, msg=run.name)
          if chips == 8:  # accumulate=4
            self.assertEqual(rows % 32, 0, msg=run.name)

  def test_targets_of_figure_3_share_one_pretraining(self):
    config, planned = plan('3', 'paper')
    pretrainings = [run for run in planned if run.changes['phase'] == 'pretrain']
    self.assertEqual({(run.variant, run.changes['seed']) for run in pretrainings},
                     {(v, s) for v in ('alpt9', 'alpt36') for s in (0, 1, 2)})
    for run in pretrainings:
      own = runs.run_config(config, run)
      self.assertCountEqual((own.target, *own.other_targets), atari.MANY_TARGETS)
      self.assertEqual(len(own.sources), {'alpt9': 9, 'alpt36': 36}[run.variant])
    for run in planned:
      if run.after is not None:
        self.assertIn(run.after, pretrainings)

  @parameterized.parameters('desk', 'paper')
  def test_what_figures_have_in_common_is_one_run(self, preset):
    known = {}
    for figure in ('2', '3', '4', '6'):
      config, planned = plan(figure, preset)
      for run in planned:
        own = runs.run_config(config, run).to_dict()
        for key in ('study', 'num_steps'):  # Figure 6 ends earlier at the paper's size.
          del own[key]
        self.assertEqual(known.setdefault(run.name, own), own, msg=run.name)
    self.assertIn('score-Breakout-10000-dt1_idm-seed0', known)

  def test_unknown_figures_and_presets_are_refused(self):
    for argument, message in (
        ('figure=7', "figure is '7'; expected one of 2, 3, 4, 5, 6, table4"),
        ('', "figure is ''"), ('figure=2,preset=huge', "preset is 'huge'"),
        ('figure=2,size=3', "'size=3': unknown")):
      with self.assertRaisesRegex(ValueError, message):
        paper.get_config(argument)


class EstimateTest(absltest.TestCase):

  def test_is_steps_times_rates_over_workers(self):
    config, planned = plan('4', 'desk')
    config.study.num_workers = 2
    config.study.rates = dict(source='here', start=10., evaluation=5.,
                              pretrain=dict(both=1.), finetune=dict(both=2.))
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    works, seconds, source = estimates.plan(config, planned, [])
    # 3 seeds: a pretraining of 300 steps, two finetunings of 600 with evaluations at 0, 300, 600.
    self.assertEqual({(w.label, w.phase): w.seconds for w in works}, {
        ('ALPT, Freeway only', 'pretrain'): 3 * 310.,
        ('ALPT, Freeway only', 'finetune'): 3 * (10 + 1200 + 15.),
        ('DT1-IDM', 'finetune'): 3 * (10 + 1200 + 15.)})
    self.assertEqual(seconds, sum(w.seconds for w in works) / 2)
    self.assertEqual(source, 'here')

  def test_finished_runs_are_left_out_and_tell_the_rate_of_their_kind(self):
    config, planned = plan('4', 'desk')
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    done = next(run for run in planned if run.variant == 'dt1_idm')
    pathlib.Path(config.workdir, done.name).mkdir()
    pathlib.Path(config.workdir, done.name, 'seconds.json').write_text('60')
    works, _, source = estimates.plan(config, planned, [done])
    idm, = (w for w in works if w.label == 'DT1-IDM')
    self.assertEqual((idm.num_finished, idm.seconds), (1, 2 * 60.))
    self.assertStartsWith(source, 'finished runs in this directory and ')


class SuiteTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.workdir = pathlib.Path(tempfile.mkdtemp())
    cls.addClassCleanup(shutil.rmtree, cls.workdir, ignore_errors=True)
    cls.figures = paper.FIGURES if exhaustive.is_on() else _FEW_FIGURES
    cls.plan = cls.run_binary('2', '--dry_run')
    cls.are_there_after_the_plan = sorted(os.listdir(cls.workdir))
    cls.first = {figure: cls.run_binary(figure) for figure in cls.figures}
    for figure, process in cls.first.items():
      assert process.returncode == 0, f'{figure}: {process.stdout}{process.stderr}'

  @classmethod
  def run_binary(cls, figure, *flags):
    data = maze_data.recorded() if figure == '5' else cls.workdir / 'data'
    return subprocess.run(
        [sys.executable, '-m', 'experiments.reproduce',
         f'--config={_ROOT}/experiments/configs/paper.py:figure={figure},preset=tiny',
         f'--config.workdir={cls.workdir}', f'--config.data_dir={data}',
         f'--config.compilation_cache_dir={jax.config.jax_compilation_cache_dir}', *flags],
        cwd=_ROOT, capture_output=True, text=True, check=False)

  def test_dry_run_shows_the_plan_and_does_nothing(self):
    self.assertEqual(self.plan.returncode, 0, self.plan.stderr)
    self.assertIn('Figure 2 of the paper, preset tiny: 8 runs, 0 finished before', self.plan.stdout)
    self.assertIn('data to be collected first: Asterix, Breakout, Freeway', self.plan.stdout)
    self.assertRegex(self.plan.stdout, r'Estimate: [\d.]+ hours')
    self.assertEmpty(self.are_there_after_the_plan)

  def test_every_figure_is_made_and_in_one_report(self):
    summary = json.loads((self.workdir / figures.NUMBERS).read_text())
    made = {f.title for f in figures.FIGURES if f.name in self.figures}
    for title, figure in summary['figures'].items():
      if title in made:
        self.assertEqual((figure['status'], figure['runs_done']), ('made', figure['runs']), title)
      else:
        self.assertEqual(figure['status'], 'not made', title)
    self.assertEmpty(summary['problems'])
    self.assertLen({claim['figure'] for claim in summary['claims']}, 6)
    page = (self.workdir / figures.PAGE).read_text()
    for figure in figures.FIGURES:
      self.assertEqual(f'id="{figure.directory}"' in page, figure.title in made, figure.title)

  def test_runs_of_two_figures_are_trained_once(self):
    self.assertRegex(self.first['6'].stdout, 'Figure 6 of the paper, preset tiny: 3 runs, 1 fin')

  def test_results_show_labels_and_episodes(self):
    results = json.loads((self.workdir / 'figure4' / 'results.json').read_text())
    self.assertEqual({labelling['method'] for labelling in results['labellings']},
                     {'alpt_freeway', 'dt1_idm'})
    self.assertEqual([episode['target'] for episode in results['episodes']], ['Breakout'])
    self.assertLen({tuple(run['versions']) for run in results['runs']}, 1)

  def test_results_list_the_methods_of_their_figure_only(self):
    for figure, names in (('2', {'dt1', 'dt1_idm', 'dt5', 'dt5_ret', 'alpt'}),
                          ('4', {'dt1_idm', 'alpt_freeway'}), ('table4', {'cql'})):
      if figure not in self.figures:
        continue
      directory = {f.name: f for f in figures.FIGURES}[figure].directory
      results = json.loads((self.workdir / directory / 'results.json').read_text())
      self.assertEqual(set(results['methods']), names)

  def test_damaged_results_of_another_figure_are_named(self):
    path = self.workdir / 'figure4' / 'results.json'
    for changed in (path, self.workdir / figures.NUMBERS, self.workdir / figures.PAGE):
      self.addCleanup(changed.write_bytes, changed.read_bytes())
    path.write_text('{"experiment"')
    again = self.run_binary('6')
    self.assertEqual(again.returncode, 0, again.stderr)
    self.assertRegex(again.stdout, f'\nFigure 4: cannot be read: {path}: not JSON')

  def test_again_nothing_is_trained(self):
    logs = {p: p.stat().st_mtime_ns for p in self.workdir.glob('*/train.log')}
    again = self.run_binary('4')
    self.assertEqual(again.returncode, 0, again.stderr)
    self.assertIn('3 runs, 3 finished before', again.stdout)
    self.assertEqual({p: p.stat().st_mtime_ns for p in self.workdir.glob('*/train.log')}, logs)


if __name__ == '__main__':
  absltest.main()
