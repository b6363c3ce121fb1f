"""Studies of budgets: which runs they have, and what is gathered from run directories made up."""

import collections
import json
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest

from alpt_jax import methods, schema
from alpt_jax.training import label_windows
from experiments import reproduce
from experiments.configs import atari, maze
from experiments.studies import budget as findings_budget
from experiments.studies import evaluations, gather, labelling_schema, report, runs
from tests import maze_data


def make_run(config, run, accuracy):
  """A run directory as training leaves it, with that share of the labels right."""
  own = runs.run_config(config, run)
  directory = pathlib.Path(own.workdir)
  scores = dict(success_500=accuracy, success_50=accuracy, spl=accuracy, mean_steps=10.)
  (directory / 'eval').mkdir(parents=True)
  (directory / 'finished.json').write_text('{}')
  steps = evaluations.promised_steps(own, own.num_steps)
  for step in steps:
    (directory / 'eval' / f'step_{step:07d}.json').write_text(
        json.dumps({'step': step, 'argmax': scores, 'sampled': scores}))
  if not methods.phase_of(own.method, own.phase).idm:
    return
  (directory / 'labels').mkdir()
  truth = runs.Truths(own)[own.target]
  episode, start, is_counted = label_windows.tile(truth.num_transitions, own.window)
  true = truth.cut(episode, start, own.window).actions
  rng = np.random.default_rng(0)
  is_right = rng.random(true.shape) < accuracy
  labels = label_windows.Labels(
      episode, start, is_counted, np.where(is_right, true, (true + 1) % 4).astype(np.int8),
      np.zeros(true.shape, bool), rng.random(true.shape).astype(np.float16))
  for step in steps:
    np.savez(directory / 'labels' / f'step_{step:07d}.npz', **labels._asdict())


class PlanTest(absltest.TestCase):

  def test_maze_has_every_budget_of_every_variant_and_seed_and_the_oracle_once(self):
    config = maze.get_config('budget')
    planned = reproduce.plan(config)
    self.assertLen({run.name for run in planned}, len(planned))
    found = collections.defaultdict(list)
    for run in planned:
      own = runs.run_config(config, run)
      self.assertIn(f'-{own.num_labels}-', run.name)
      self.assertIn(f'--config.num_labels={own.num_labels}', [
          *runs.command(config, run), '--config.num_labels=250'])  # 250 is the preset's own.
      found[run.variant, own.seed].append(own.num_labels)
    self.assertEqual(dict(found), {
        (variant, seed): [250] if variant == 'oracle' else [50, 250, 1000, 5000]
        for variant in ('alpt_blocked', 'dt1_idm', 'oracle') for seed in (0, 1, 2)})

  def test_atari_has_every_budget_of_both_parts_and_the_oracle_once(self):
    config = atari.get_config('budget')
    planned = reproduce.plan(config)
    self.assertLen({run.name for run in planned}, len(planned))
    found = collections.defaultdict(set)
    for run in planned:
      own = runs.run_config(config, run)
      if run.after is not None:
        self.assertEqual(runs.run_config(config, run.after).num_labels, own.num_labels)
      found[run.part, run.variant, own.target].add(own.num_labels)
    self.assertEqual(dict(found), {
        ('labels', 'idm_target', 'Breakout'): {300, 1000, 3000, 10_000},
        ('labels', 'idm_space_invaders', 'Breakout'): {300, 1000, 3000, 10_000},
        ('score', 'dt1_idm', 'Breakout'): {100, 1000, 10_000},
        ('score', 'oracle', 'Breakout'): {1000}})

  def test_names_of_other_studies_say_no_more_than_they_did(self):
    self.assertEqual([run.name for run in reproduce.plan(maze.get_config('desk'))],
                     [f'grid-{name}-seed0' for name in (
                         'alpt_blocked', 'alpt_blocked_tunnel', 'dt1', 'dt1_idm', 'oracle')]
                     + [f'labels-grid-250-{name}-seed0' for name in (
                         'alpt_blocked', 'alpt_blocked_tunnel', 'dt1_idm')])
    self.assertNotIn('num_labels', reproduce.plan(maze.get_config('desk'))[0].changes)
    self.assertEqual([run.name for run in reproduce.plan(atari.get_config('desk'))][:5], [
        'score-pretrain-Breakout-1000-alpt-seed0', 'score-Breakout-1000-alpt-seed0',
        'score-Breakout-1000-dt1-seed0', 'score-Breakout-1000-dt1_idm-seed0',
        'score-Breakout-1000-oracle-seed0'])

  def test_bad_budgets_are_refused(self):
    config = maze.get_config('budget')
    for budgets in ((), (50, 50)):
      config.study.budgets = budgets
      with self.assertRaisesRegex(ValueError, r'study.budgets is \(.*expected numbers of labels'):
        reproduce.plan(config)

  def test_a_budget_below_one_window_is_refused_before_anything_runs(self):
    config = maze.get_config('budget')
    config.workdir = self.enterContext(tempfile.TemporaryDirectory())
    config.study.budgets = (50, 3)
    dry_run = mock.patch.object(reproduce, '_DRY_RUN', mock.Mock(value=True))
    with dry_run, self.assertRaisesRegex(
        ValueError, '^num_labels is 3; expected a multiple of the window of 5 .* Try 5.$'):
      reproduce.main(config)


class GatherTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.config = maze_data.config(directory.name)
    del cls.config.study.labels  # A study of budgets has agents only.
    cls.config.study.budgets, cls.config.study.num_clips = (10, 50), 4
    cls.planned = reproduce.plan(cls.config)
    for run in cls.planned:
      if run.variant != 'alpt_blocked_tunnel':  # Not trained yet.
        make_run(cls.config, run, {10: .4, 50: .8}[runs.run_config(cls.config, run).num_labels])
    cls.results = gather.gather(cls.config, cls.planned, [])

  def test_rows_say_the_number_of_labels(self):
    self.assertEqual(self.results['budgets'], [10, 50])
    self.assertEqual(
        {(row['method'], row['num_labels'], row['argmax/success_500'])
         for row in self.results['rows']},
        {(method, n, x) for method in ('dt1', 'dt1_idm', 'alpt_blocked')
         for n, x in ((10, .4), (50, .8))} | {('oracle', 50, .8)})
    for row in self.results['rows']:
      if row['method'] == 'dt1_idm':
        self.assertAlmostEqual(row['label_accuracy'], row['argmax/success_500'], delta=.1)

  def test_lines_and_bounds_are_told_apart(self):
    study = report.of(self.results)
    group, = study.groups()
    found = study.lines(group, 'success_500')
    self.assertEqual(set(found), {'dt1', 'dt1_idm', 'alpt_blocked'})
    np.testing.assert_array_equal(found['dt1'].budgets, [10, 50])
    self.assertEqual(study.baselines(group, 'success_500')['Oracle labels'], .8)

  def test_every_labelling_has_clips_that_do_not_overlap(self):
    self.assertLen(self.results['labellings'], 4)  # Two methods with two budgets.
    for labelling in self.results['labellings']:
      schema.check(labelling, labelling_schema.LABELLING, 'labelling')
      self.assertLen({(clip['episode'], clip['start'] + t) for clip in labelling['clips']
                      for t in range(5)}, 4 * 5)
    self.assertLen(findings_budget.clips(self.results), 16)

  def test_what_was_found_is_kept_until_the_number_of_clips_changes(self):
    run = next(run for run in self.planned if run.variant == 'dt1_idm')
    truths = runs.Truths(self.config)
    again = runs.label_scores(self.config, run, truths)['labelling']['clips']
    self.assertEqual(again, self.results['labellings'][2]['clips'])
    self.assertEmpty(truths._read)  # The truth was not read again.
    other = self.config.copy_and_resolve_references()
    other.study.num_clips = 2
    self.assertEqual(runs.label_scores(other, run, truths)['labelling']['clips'], again[:2])

  def test_results_make_a_report_that_names_what_is_missing(self):
    problems = report.of(self.results).problems()
    self.assertLen(problems, 2)
    for problem, budget in zip(problems, (10, 50), strict=True):
      self.assertEqual(problem, f'grid-{budget}-alpt_blocked_tunnel-seed0: unfinished, without an '
                       'evaluation.')


if __name__ == '__main__':
  absltest.main()
